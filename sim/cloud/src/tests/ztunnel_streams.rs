//! What ztunnels know of istiod, and who gets through where they know nothing.

use super::ambient::ambient;
use super::network::run_without_jitter;
use super::nodes::at_end;
use super::*;
use crate::istio::push::Push;
use crate::path::ztunnel;
use crate::record::{Reason, Record};
use crate::scenario::{Component, TimelineEntry};

const CLUSTER: ClusterId = ClusterId(0);

fn down(component: Component, from: u64, until: u64) -> TimelineEntry {
    let cluster = CLUSTER;
    let fault = Fault::ComponentDown { cluster, component };
    fault_at(from, fault, Some(until - from))
}

/// A client on the first node and a server on the second, and requests at these instants.
fn asking(instants: &[u64]) -> Scenario {
    let mut scenario = ambient(true, true);
    scenario.traffic[0].arrivals = at_milliseconds(instants);
    scenario.run.duration = Duration::from_secs(200);
    scenario
}

/// Requests that succeeded, that were refused and whose connection broke.
fn told(record: &Record) -> [u64; 3] {
    let users = &record.traffic[0];
    let failed = [Reason::Refused, Reason::Reset].map(|reason| users.failures[reason as usize]);
    assert_eq!(users.succeeded + failed[0] + failed[1], users.sent);
    [users.succeeded, failed[0], failed[1]]
}

/// A pod of the client is gone, and another one is made.
fn client_replaced(at: u64) -> TimelineEntry {
    let fault = Fault::PodKill {
        cluster: CLUSTER,
        workload: WorkloadId(0),
        count: 1,
    };
    fault_at(at, fault, None)
}

#[test]
fn a_ztunnel_that_starts_without_istiod_takes_nothing_until_it_is_back() {
    // Its pauses are not longer than 15 s.
    let instants = [1_000, 10_000, 90_000, 99_000, 116_000];
    for node in [0, 1] {
        let mut scenario = asking(&instants);
        scenario.timeline = vec![
            down(Component::Istiod, 2_000, 100_000),
            down(Component::Ztunnel(node), 3_000, 5_000),
        ];
        let told = told(&run_without_jitter(&scenario));
        // Nobody listens for the client; the server's address answers nobody's tunnel.
        let expected = if node == 0 { [2, 3, 0] } else { [2, 0, 3] };
        assert_eq!(told, expected, "{node}");
    }
}

#[test]
fn a_ztunnel_that_starts_beside_istiod_is_told_at_once() {
    for node in [0, 1] {
        // 500 microseconds of work for all that there is, and the time of a watch.
        let mut scenario = asking(&[1_000, 5_200]);
        scenario.timeline = vec![down(Component::Ztunnel(node), 3_000, 5_000)];
        assert_eq!(told(&run_without_jitter(&scenario)), [2, 0, 0], "{node}");
    }
}

#[test]
fn a_machine_takes_its_ztunnel_with_it() {
    let mut scenario = asking(&[1_000, 90_000, 116_000]);
    let off = Fault::NodeDown {
        cluster: CLUSTER,
        node: 0,
        packets: crate::scenario::Packets::Dropped,
    };
    scenario.timeline = vec![
        down(Component::Istiod, 2_000, 100_000),
        fault_at(3_000, off, Some(5_000)),
    ];
    assert_eq!(told(&run_without_jitter(&scenario)), [2, 1, 0]);
}

#[test]
fn connections_of_a_pod_that_is_nobody_yet_wait_for_five_seconds() {
    // The ztunnel tries after 10 ms, 20 ms and so on from 8 s on: at 13.11 s in vain, and at
    // 18.23 s istiod is back.
    for (asked, succeeded) in [(13_000, 0), (13_500, 1)] {
        let mut scenario = asking(&[asked]);
        scenario.timeline = vec![
            down(Component::Istiod, 8_000, 14_000),
            client_replaced(9_000),
        ];
        let record = run_without_jitter(&scenario);
        assert_eq!(told(&record), [succeeded, 0, 1 - succeeded]);
        let latency = record.traffic[0].latency_sum_ns;
        if succeeded == 1 {
            assert!(
                (4_730_000_000..4_800_000_000).contains(&latency),
                "{latency}"
            );
        }
    }
}

#[test]
fn pods_that_start_without_istiod_reach_nobody_until_it_is_back() {
    let mut scenario = asking(&[1_000, 60_000, 116_000]);
    scenario.timeline = vec![
        down(Component::Istiod, 8_000, 100_000),
        client_replaced(9_000),
    ];
    assert_eq!(told(&run_without_jitter(&scenario)), [2, 0, 1]);
    // A frozen istiod tells nobody either, and streams outlive a while of it.
    for until in [30_000, 100_000] {
        let frozen = Fault::Frozen {
            cluster: CLUSTER,
            component: Component::Istiod,
        };
        scenario.timeline[0] = fault_at(8_000, frozen, Some(until - 8_000));
        scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 20_000, until + 16_000]);
        assert_eq!(told(&run_without_jitter(&scenario)), [2, 0, 1], "{until}");
    }
}

#[test]
fn ztunnels_lose_istiod_and_hear_of_everything_when_they_have_it_back() {
    // A pod of the server is gone while istiod is away.
    let mut scenario = asking(&[1_000]);
    let kill = Fault::PodKill {
        cluster: CLUSTER,
        workload: WorkloadId(1),
        count: 1,
    };
    scenario.timeline = vec![
        down(Component::Istiod, 8_000, 100_000),
        fault_at(9_000, kill, None),
    ];
    let is_behind = |seconds| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs(seconds);
        at_end(&scenario, 0, |domain| {
            let behind = |node: usize| {
                let ztunnel = domain.nodes[node].ztunnel.as_ref().unwrap();
                ztunnel.view.position() < domain.endpoint_log.len()
            };
            [behind(0), behind(1)]
        })
    };
    assert_eq!(is_behind(99), [true, true]);
    assert_eq!(is_behind(116), [false, false]);
    assert_eq!(ztunnel::node_of(ztunnel::number_of(1)), Some(1));
}

#[test]
fn a_ztunnel_that_comes_back_is_sent_what_it_lacks_since_1_31() {
    let resent = |minor: u32, timeline: Vec<TimelineEntry>| {
        let mut scenario = asking(&[1_000]);
        let mesh = scenario.clusters[0].mesh.as_mut().expect("a mesh");
        mesh.istio_minor = minor;
        scenario.timeline = timeline;
        scenario.run.duration = Duration::from_secs(10);
        at_end(&scenario, 0, |domain| {
            let volume = domain.volume_for_ztunnel(1, &Push::forced(Time::ZERO));
            (volume.resources as usize, domain.services.len())
        })
    };
    let (all, services) = resent(30, Vec::new());
    assert_eq!(all, services);
    assert_eq!(resent(31, Vec::new()).0, 0);
    // One that has started anew has nothing.
    let anew = vec![down(Component::Ztunnel(1), 5_000, 60_000)];
    assert_eq!(resent(31, anew).0, services);
}
