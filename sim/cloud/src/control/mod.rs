//! Control planes: what is desired, and how that reaches the views of the data plane.
//!
//! A control plane does one thing to the data plane: it publishes a newer view after a delay.
//! Each file is a stage with its own clock.
//!
//! Must never know requests, nor what proxies do with them.

pub(crate) mod api;
pub(crate) mod apply;
pub(crate) mod autoscaler;
pub(crate) mod balancer;
pub(crate) mod behind;
pub(crate) mod budgets;
pub(crate) mod canaries;
pub(crate) mod certificates;
pub(crate) mod controllers;
pub(crate) mod deployments;
pub(crate) mod dns;
pub(crate) mod endpoints;
pub(crate) mod enrolment;
mod history;
pub(crate) mod istiod;
pub(crate) mod keys;
mod known_services;
pub(crate) mod kube_proxy;
pub(crate) mod kubelet;
pub(crate) mod leader;
pub(crate) mod machines;
pub(crate) mod nodes;
pub(crate) mod operations;
pub(crate) mod pod_gc;
pub(crate) mod pods;
pub(crate) mod progress;
pub(crate) mod provisioner;
pub(crate) mod pulls;
pub(crate) mod registry;
pub(crate) mod root;
mod sending;
pub(crate) mod service_controller;
pub(crate) mod sidecars;
pub(crate) mod standing;
pub(crate) mod subscriptions;
pub(crate) mod taken_in;
pub(crate) mod translation;
mod validation;
pub(crate) mod ztunnel_certificates;
pub(crate) mod ztunnels;
