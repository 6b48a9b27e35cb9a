//! Snapshots around the loss of a node.

use super::*;
use crate::compile;
use crate::scenario::{Scenario, ServiceKind};
use crate::tests::two_regions;

fn snapshot(scenario: &Scenario, at_seconds: u64) -> ClusterSnapshot {
    let seed = Seed {
        master: 1,
        replication: 0,
    };
    let mut snapshot = at(&compile(scenario), seed, Duration::from_secs(at_seconds));
    snapshot.clusters.remove(0)
}

#[test]
fn endpoints_are_the_pods_at_their_addresses() {
    let cluster = snapshot(&two_regions(), 0);
    let service = &cluster.services[0];
    let addresses: Vec<_> = service
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.address.to_string(), endpoint.node.as_deref()))
        .collect();
    assert_eq!(
        addresses,
        [
            ("10.244.0.2".to_owned(), Some("n1")),
            ("10.244.1.2".to_owned(), Some("n2"))
        ]
    );
    assert_eq!(cluster.known(0, 0), service.endpoints);
    assert!(service.has_pods && service.load_balancer_ip.is_some());
}

#[test]
fn a_snapshot_of_the_ideal_network_has_no_nodes() {
    let mut scenario = two_regions();
    scenario.network = crate::scenario::NetworkModel::Ideal;
    scenario.clusters.truncate(1);
    scenario.clusters[0].nodes.clear();
    scenario.clusters[0].services[0].kind = ServiceKind::ClusterIp;
    scenario.global_names.clear();
    scenario.user_networks.clear();
    scenario.links.clear();
    scenario.traffic.clear();
    let cluster = snapshot(&scenario, 5);
    assert!(cluster.nodes.is_empty());
    assert_eq!(cluster.services[0].endpoints.len(), 2);
}
