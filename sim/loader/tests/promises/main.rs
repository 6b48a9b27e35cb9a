//! What reading promises: of manifests, of Istio's objects and of Scenarios.

mod collected;
mod fields;
mod istio;
mod istio_connections;
mod istio_gateways;
mod istio_ingresses;
mod istio_listener_sets;
mod istio_pods;
mod istio_routes;
mod manifests;
mod operations;
mod robust;
mod scenarios;
