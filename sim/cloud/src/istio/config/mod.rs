//! Istio's API objects as plain data, one file for a family.
//!
//! Models: what the objects say, in Istio's own words. Hosts stay as they were written;
//! [`crate::istio::host::complete`] makes them full. What is not said is `None` where Istio's
//! answer depends on other objects (policies are merged field by field), and Istio's default where
//! it does not.
//! Leaves out: fields that cannot change what happens to a request or to a proxy (files of
//! certificates, formats of logs, tags of traces).
//! Sources: istio/api b8f8791 (July 2026), networking/v1alpha3, networking/v1beta1,
//! security/v1beta1, telemetry/v1alpha1, mesh/v1alpha1.

pub(crate) mod common;
mod destination_rule;
mod gateway;
mod limit;
mod mesh;
mod networks;
mod object;
mod patch;
mod pod;
mod pool;
mod proxy;
mod retry_on;
mod route;
mod security;
mod service_entry;
mod sidecar;
mod telemetry;
mod tls;
mod virtual_service;
mod waypoint;

pub use super::webhook::Labels;
pub use common::*;
pub use destination_rule::*;
pub use gateway::*;
pub use limit::*;
pub use mesh::*;
pub use networks::*;
pub use object::*;
pub use patch::*;
pub use pod::*;
pub use pool::*;
pub use proxy::*;
pub use retry_on::*;
pub use route::*;
pub use security::*;
pub use service_entry::*;
pub use sidecar::*;
pub use telemetry::*;
pub use tls::*;
pub use virtual_service::*;
pub use waypoint::*;
