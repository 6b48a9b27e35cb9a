//! Load balancers: when they find out about a node, which nodes they are told of, and what their
//! checks cost.

use super::control::scale;
use super::nodes::{at_end, fleet, node_down};
use super::*;
use crate::domain::Domain;

/// So many nodes with a pod on each behind a load balancer.
fn balanced(nodes: u32, minor: u32, seconds: u64) -> Scenario {
    let mut scenario = fleet(nodes, minor, seconds);
    scenario.clusters[0].services[0].kind = ServiceKind::LoadBalancer;
    scenario
}

fn healthy(domain: &Domain<'_>) -> Vec<u32> {
    domain.balancers[0].healthy().to_vec()
}

fn at(millisecond: u64) -> Time {
    Time::ZERO + Duration::from_millis(millisecond)
}

/// Nodes that the balancer believes healthy at a millisecond.
fn healthy_at(scenario: &Scenario, millisecond: u64) -> Vec<u32> {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_millis(millisecond);
    at_end(&scenario, 0, healthy)
}

#[test]
fn checks_that_change_nothing_cost_nothing() {
    let events = |kind, services| {
        let mut scenario = balanced(2_000, 33, 100);
        scenario.clusters[0].services[0].kind = kind;
        let service = scenario.clusters[0].services[0].clone();
        for number in 1..services {
            scenario.clusters[0].services.push(Service {
                name: format!("web-{number}"),
                ..service.clone()
            });
        }
        run(&scenario).events
    };
    let without = events(ServiceKind::NodePort, 10);
    // One by one 10 services with 2,000 nodes each would make 500,000 checks and results.
    assert_eq!(events(ServiceKind::LoadBalancer, 10), without);
}

#[test]
fn a_lost_node_costs_the_checks_that_find_it() {
    let events = |kind, lost| {
        let mut scenario = balanced(2_000, 33, 40);
        scenario.clusters[0].services[0].kind = kind;
        scenario.timeline = lost;
        run(&scenario).events
    };
    let cost = |lost: Vec<TimelineEntry>| {
        events(ServiceKind::LoadBalancer, lost.clone()) - events(ServiceKind::NodePort, lost)
    };
    // Three checks with a result each, and one more that was in the calendar before the last
    // result; when it is back, a check that passes.
    assert_eq!(cost(vec![node_down(5, 7, None)]), 7);
    assert_eq!(cost(vec![node_down(5, 7, None), node_down(5, 8, None)]), 14);
}

#[test]
fn each_node_is_found_lost_and_found_well_at_its_own_instants() {
    let nodes = 400;
    let (lost, back) = (at(5_250), at(45_500));
    let mut scenario = balanced(nodes, 33, 60);
    scenario.timeline = (0..nodes)
        .map(|node| {
            let mut entry = node_down(0, node, None);
            entry.at = lost;
            if let Action::Fault { lasts, .. } = &mut entry.action {
                *lasts = Some(back.since(lost));
            }
            entry
        })
        .collect();
    let (out, well): (Vec<Time>, Vec<Time>) = at_end(&scenario, 0, |domain| {
        let checks = (0..nodes).map(|node| domain.checks(0, node));
        // The third check after the loss, and the timeout; the first after the return.
        let wait = Duration::from_secs(16 + 1);
        checks
            .map(|checks| (checks.after(lost) + wait, checks.after(back)))
            .unzip()
    });
    let seconds = |times: &[Time], since: Time| -> Vec<f64> {
        let all = times.iter();
        all.map(|time| time.since(since).as_secs_f64()).collect()
    };
    for (delays, from, to) in [
        (seconds(&out, lost), 17.0, 25.0),
        (seconds(&well, back), 0.0, 8.0),
    ] {
        let mean = delays.iter().sum::<f64>() / f64::from(nodes);
        let least = delays.iter().copied().fold(f64::MAX, f64::min);
        let greatest = delays.iter().copied().fold(0.0, f64::max);
        assert!(
            least >= from && least < from + 0.15,
            "{least} of {from} to {to}"
        );
        assert!(
            greatest <= to && greatest > to - 0.15,
            "{greatest} of {from} to {to}"
        );
        // Standard error: 8 / sqrt(12 * 400) = 0.115 s.
        assert!((mean - (from + to) / 2.0).abs() < 0.45, "{mean}");
    }
    for millisecond in (22_000..31_000)
        .step_by(450)
        .chain((45_000..54_000).step_by(450))
    {
        let now = at(millisecond);
        let believed = |node: &u32| {
            let node = *node as usize;
            now < out[node] || now >= well[node]
        };
        let expected: Vec<u32> = (0..nodes).filter(believed).collect();
        assert_eq!(healthy_at(&scenario, millisecond), expected, "{now}");
    }
}

#[test]
fn endpoints_of_policy_local_come_and_go_with_the_rules() {
    // All pods on one node, and then also on another.
    let mut scenario = balanced(3, 33, 60);
    scenario.clusters[0].services[0].external_policy = TrafficPolicy::Local;
    scenario.clusters[0].workloads[0].replicas = 1;
    let first = healthy_at(&scenario, 1_000);
    assert_eq!(first.len(), 1);
    scenario.timeline = vec![scale(10, 3)];
    // Started within some seconds, in the rules soon after, and checked within eight seconds.
    assert_eq!(healthy_at(&scenario, 10_500), first);
    assert_eq!(healthy_at(&scenario, 30_000), [0, 1, 2]);
    scenario.timeline.push(scale(30, 1));
    assert_eq!(healthy_at(&scenario, 60_000).len(), 1);
}

#[test]
fn a_node_that_is_not_ready_stays_if_it_passes_its_checks() {
    let mut scenario = balanced(3, 33, 100);
    let fault = Fault::KubeletDown {
        cluster: ClusterId(0),
        node: 1,
    };
    scenario.timeline = vec![fault_at(5_000, fault, None)];
    at_end(&scenario, 0, |domain| {
        assert!(domain.nodes[1].heartbeat.is_lost());
        assert_eq!(healthy(domain), [0, 1, 2]);
    });
}

#[test]
fn excluded_nodes_are_no_backends() {
    for (minor, value, expected) in [
        (33, "true", vec![0, 2]),
        (33, "false", vec![0, 2]),
        (34, "true", vec![0, 2]),
        (34, "false", vec![0, 1, 2]),
    ] {
        let mut scenario = balanced(3, minor, 20);
        let label = "node.kubernetes.io/exclude-from-external-load-balancers";
        scenario.clusters[0].nodes[1]
            .labels
            .insert(label.into(), value.into());
        assert_eq!(at_end(&scenario, 0, healthy), expected, "1.{minor} {value}");
    }
}
