//! `kubectl get endpoints`.
//!
//! Approximated: ports stand in the order of the service; those of a real object are sorted by a
//! hash.

use super::{NONE, Row, age};
use cloud::snapshot::{ClusterSnapshot, ServiceSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["NAME", "ENDPOINTS", "AGE"];
pub(super) const WIDE: &[&str] = &[];

/// How many endpoints are named.
const NAMED_MAX: usize = 3;

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let services = cluster.services.iter();
    services
        .map(|service| Row {
            namespace: Some(service.namespace.clone()),
            usual: vec![
                service.name.clone(),
                listed(service),
                age::since(now, service.created),
            ],
            wide: Vec::new(),
        })
        .collect()
}

/// The first endpoints, and how many more there are.
fn listed(service: &ServiceSnapshot) -> String {
    if !service.has_pods && service.endpoints.is_empty() {
        return NONE.to_owned();
    }
    let addresses = service.endpoints.iter().map(|endpoint| endpoint.address);
    let all: Vec<String> = match service.ports.as_slice() {
        [] => addresses.map(|address| address.to_string()).collect(),
        ports => {
            let ports = ports.iter().map(|port| port.target_port);
            let pairs = ports.flat_map(|port| {
                let addresses = addresses.clone();
                addresses.map(move |address| format!("{address}:{port}"))
            });
            pairs.collect()
        }
    };
    let named = all[..all.len().min(NAMED_MAX)].join(",");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} + {more} more..."),
    }
}
