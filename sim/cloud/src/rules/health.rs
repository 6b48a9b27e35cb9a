//! What a service's health-check port on a node answers.

use super::Service;
use std::collections::BTreeSet;

/// Status and number of local ready endpoints, which is also the weight that the answer's
/// header gives; `None` if the service has no such port.
pub fn health_check(service: &Service, node: &str) -> Option<(u16, usize)> {
    service.health_check_node_port?;
    let local = service.ports.iter().flat_map(|port| &port.endpoints);
    let addresses: BTreeSet<_> = local
        .filter(|endpoint| endpoint.ready && endpoint.node.as_deref() == Some(node))
        .map(|endpoint| endpoint.address.ip())
        .collect();
    let status = if addresses.is_empty() { 503 } else { 200 };
    Some((status, addresses.len()))
}
