//! Kubernetes objects: what each kind looks like, and what is kept of it.

pub mod autoscaler;
pub mod budget;
mod connection_routes;
mod container;
pub mod gateway;
pub mod ingress;
pub mod kinds;
pub mod kube_proxy;
mod lifecycle;
mod listener;
pub mod metadata;
mod namespace;
pub mod node;
pub mod node_pool;
mod objects;
pub mod pod;
mod pod_dns;
mod rollout;
pub mod selector;
pub mod service;
pub mod workload;

pub use container::ContainerPort;
pub use metadata::Metadata;
pub use objects::{Objects, apply};
