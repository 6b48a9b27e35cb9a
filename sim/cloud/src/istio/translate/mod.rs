//! From objects and services to what istiod sends each proxy.
//!
//! Models: clusters with merged DestinationRules; endpoints with subsets, priorities, weights and
//! mutual TLS; routes of VirtualServices with delegates, in order of age; listeners by address
//! and port, outbound and inbound; what a Sidecar and `exportTo` let a proxy know; servers of
//! gateways; what passes waypoints. All of it as tables with dense numbers, compiled once for proxies that know the same.
//! Approximated: a Sidecar's listener for HTTP proxying routes as any other.
//! Leaves out: clusters for `AUTO_PASSTHROUGH`, `source_subnet` of TCP
//! routes.
//! Sources: istio/istio 86c9f01 pilot/pkg/model/{sidecar,push_context,destination_rule,
//! virtualservice}.go, pilot/pkg/networking/core, pilot/pkg/xds/endpoints.
//! Validated by: cases that follow from the rules, and Bookinfo's routing samples, in `tests`.

mod chains;
pub mod cluster;
mod compile;
mod delegates;
mod edge;
pub mod inbound;
mod keys;
mod listen;
pub mod merge;
pub mod patches;
pub mod place;
pub mod registry;
pub mod rewrite;
pub mod route;
pub mod route_patches;
mod rules;
mod scope;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod waypoint;

pub use compile::{Compiler, ScopeKey};
pub use tables::{Tables, View};
