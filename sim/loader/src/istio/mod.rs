//! Istio's objects: what each kind looks like, and what is kept of it.
//!
//! Models: all kinds of networking.istio.io, security.istio.io and telemetry.istio.io in every
//! version that is served, MeshConfig in its ConfigMap or an IstioOperator, Ingresses that istiod
//! serves, and what its webhook accepts and refuses.
//! Leaves out: what EnvoyFilter and WasmPlugin do to Envoy's configuration by hand, but for
//! limits of rates.
//! Sources: istio/api b8f8791 (July 2026); istio/istio 86c9f01 pkg/config/validation.
//! Validated by: the samples of istio/istio, read whole, and the bad examples of the tests.

mod aliases;
pub(crate) mod annotations;
pub(crate) mod api_gateway;
pub(crate) mod by_hand;
pub(crate) mod conflicts;
pub(crate) mod destination_rule;
pub(crate) mod filters;
pub(crate) mod forms;
pub(crate) mod gateway;
pub(crate) mod grants;
pub(crate) mod ingress;
pub(crate) mod installation;
pub(crate) mod limits;
mod listener_sets;
mod listeners;
pub(crate) mod mesh;
pub(crate) mod mesh_route;
pub(crate) mod objects;
pub(crate) mod parents;
mod patches;
pub(crate) mod pool;
pub(crate) mod proxy;
pub(crate) mod reads;
pub(crate) mod references;
pub(crate) mod route;
mod route_patches;
pub(crate) mod security;
pub(crate) mod service_entry;
pub(crate) mod sidecar;
pub(crate) mod telemetry;
pub(crate) mod virtual_service;

pub use objects::Written;
