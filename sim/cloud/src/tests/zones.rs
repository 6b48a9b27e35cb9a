//! Zone-aware routing: how much of what sidecars ask stays in their zone.

use super::mesh::{rule, versions};
use super::network::run_without_jitter;
use super::*;
use crate::istio::config::{LoadBalancer, PortPolicy};
use crate::istio::locality::ZoneAwareSetting;
use crate::record::Caller;

const SELF_DISCOVERY: &str = "ISTIO_META_ENABLE_SELF_DISCOVERY";

/// A client with a pod in each of two zones, and `web` with two pods in the first and four in the
/// second.
fn two_zones(minor: u32, setting: Option<ZoneAwareSetting>) -> Scenario {
    let policy = PortPolicy {
        load_balancer: setting.map(|setting| LoadBalancer {
            zone_aware: Some(setting),
            ..LoadBalancer::default()
        }),
        ..PortPolicy::default()
    };
    let mut scenario = versions(vec![rule(policy)], 4_000);
    let cluster = &mut scenario.clusters[0];
    cluster.mesh = Some(Mesh::new(minor));
    cluster.zones = vec!["a".into(), "b".into()];
    cluster.nodes[1].zone = ZoneId(1);
    for (workload, (node, replicas)) in
        cluster
            .workloads
            .iter_mut()
            .zip([(None, 2), (Some("n1"), 2), (Some("n2"), 4)])
    {
        workload.replicas = replicas;
        workload.template.placement.node_name = node.map(Into::into);
    }
    let client = cluster.workloads[0].template.sidecar.as_mut().unwrap();
    let environment = &mut client.settings.proxy.environment;
    environment.insert(SELF_DISCOVERY.into(), "true".into());
    scenario
}

/// Of what sidecars of each zone asked: the share that went to the first, in percent.
fn to_first(scenario: &Scenario) -> [f64; 2] {
    let record = run_without_jitter(scenario);
    [0, 1].map(|zone| {
        let calls = record.calls.iter().filter(|call| {
            call.key.caller_zone == Some(zone) && matches!(call.key.caller, Caller::Workload(..))
        });
        let (first, all) = calls.fold((0, 0), |(first, all), call| {
            let is_first = call.key.answered.is_some_and(|(_, zone)| zone == 0);
            (
                first + u64::from(is_first) * call.attempts,
                all + call.attempts,
            )
        });
        assert!(all > 1_500, "{all} from zone {zone}");
        100.0 * first as f64 / all as f64
    })
}

/// Whether shares are within four standard deviations of 2000 draws.
fn is_near([here, there]: [f64; 2], expected: [f64; 2]) -> bool {
    let near = |share: f64, expected: f64| {
        let deviation = (expected * (100.0 - expected) / 2_000.0).sqrt();
        (share - expected).abs() <= 4.0 * deviation
    };
    near(here, expected[0]) && near(there, expected[1])
}

fn zone_aware(enabled: bool, endpoints_min: Option<u32>) -> Option<ZoneAwareSetting> {
    Some(ZoneAwareSetting {
        enabled,
        failover: Vec::new(),
        failover_priority: Vec::new(),
        endpoints_min,
    })
}

#[test]
fn requests_stay_in_their_zone_as_far_as_its_hosts_can_carry_them() {
    // Half of the callers and a third of the hosts stand in the first zone: two thirds of what is
    // asked there stay, the rest and all of the second zone's goes to the second.
    let expected = [200.0 / 3.0, 0.0];
    for setting in [zone_aware(true, None), None] {
        let shares = to_first(&two_zones(31, setting));
        assert!(is_near(shares, expected), "{shares:?}");
    }
}

#[test]
fn without_self_discovery_or_enough_hosts_zones_do_not_matter() {
    let everywhere = [100.0 / 3.0, 100.0 / 3.0];
    let mut unaware = two_zones(31, zone_aware(true, None));
    let client = &mut unaware.clusters[0].workloads[0].template;
    let sidecar = client.sidecar.as_mut().unwrap();
    sidecar.settings.proxy.environment.clear();
    let cases = [
        unaware,
        two_zones(30, None),
        two_zones(31, zone_aware(false, None)),
        two_zones(31, zone_aware(true, Some(7))),
    ];
    for (number, scenario) in cases.iter().enumerate() {
        let shares = to_first(scenario);
        // The least loaded of two is no fair draw, but close to it.
        let is_even = shares
            .iter()
            .zip(everywhere)
            .all(|(share, even)| (share - even).abs() < 5.0);
        assert!(is_even, "case {number}: {shares:?}");
    }
}

#[test]
fn a_zone_that_loses_its_callers_leaves_requests_alone() {
    // With all likes in one zone nothing is spread by zone.
    let mut scenario = two_zones(31, None);
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .node_name = Some("n1".into());
    let record = run_without_jitter(&scenario);
    let by_zone = [1, 2].map(|workload: usize| record.workloads[workload].finished);
    assert_eq!(by_zone[0] + by_zone[1], 4_000);
    assert!(by_zone[1] > 2_400, "{by_zone:?}");
}
