//! Whom sidecars prefer for where they stand, by shares of pods.

use super::mesh::{shares, versions};
use super::network::run_without_jitter;
use super::*;
use crate::istio::distribution::Word;

/// The client and the first version in one zone, the second version in the other.
fn two_zones(minor: u32, requests: u64) -> Scenario {
    let mut scenario = versions(Vec::new(), requests);
    let cluster = &mut scenario.clusters[0];
    cluster.mesh = Some(Mesh::new(minor));
    cluster.kubernetes_minor = 34;
    cluster.zones = vec!["a".into(), "b".into()];
    cluster.nodes[1].zone = ZoneId(1);
    for (workload, node) in cluster.workloads.iter_mut().zip(["n1", "n1", "n2"]) {
        workload.template.placement.node_name = Some(node.into());
    }
    scenario
}

/// What the two versions answered of 200 requests.
fn answered(minor: u32, distribution: TrafficDistribution) -> [u64; 2] {
    let mut scenario = two_zones(minor, 200);
    scenario.clusters[0].services[1].distribution = Some(distribution);
    shares(&run_without_jitter(&scenario))
}

fn is_spread([first, second]: [u64; 2]) -> bool {
    first + second == 200 && first.min(second) > 50
}

#[test]
fn sidecars_keep_to_their_zone_from_the_release_that_reads_it() {
    use TrafficDistribution::{Close, SameNode, SameZone};
    assert!(is_spread(answered(24, Close)));
    assert_eq!(answered(25, Close), [200, 0]);
    for newer in [SameZone, SameNode] {
        assert!(is_spread(answered(26, newer)));
        assert_eq!(answered(27, newer), [200, 0]);
    }
}

#[test]
fn annotations_of_services_and_namespaces_say_it_as_well() {
    let answered = |minor, in_namespace: bool| {
        let mut scenario = two_zones(minor, 200);
        let cluster = &mut scenario.clusters[0];
        let service = &cluster.services[1];
        let name = (service.namespace.clone(), service.name.clone());
        let namespace = service.namespace.clone();
        let istio = cluster.istio.as_mut().unwrap();
        if in_namespace {
            istio.namespaces.push(crate::istio::config::Namespace {
                name: namespace,
                labels: crate::istio::config::Labels::new(),
                distribution: Some(Word::Close),
            });
        } else {
            istio.services.entry(name).or_default().distribution = Some(Word::Close);
        }
        shares(&run_without_jitter(&scenario))
    };
    assert_eq!(answered(25, false), [200, 0]);
    assert!(is_spread(answered(29, true)));
    assert_eq!(answered(30, true), [200, 0]);
}
