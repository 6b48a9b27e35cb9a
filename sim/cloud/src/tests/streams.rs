//! Streams of proxies to istiod: a herd that comes back, ages, and nodes that are cut off.

use super::mesh::versions;
use super::nodes::at_end;
use super::*;
use crate::domain::Domain;
use crate::scenario::Component;

/// So many proxies at an instant in milliseconds, after a fault.
fn fleet(pods: u32, milliseconds: u64, timeline: Vec<TimelineEntry>) -> Scenario {
    let mut scenario = versions(Vec::new(), 1);
    scenario.clusters[0].workloads[0].replicas = pods;
    scenario.run.duration = Duration::from_millis(milliseconds);
    scenario.timeline = timeline;
    scenario
}

fn istiod_down(lasts: u64) -> Vec<TimelineEntry> {
    let down = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Istiod,
    };
    vec![fault_at(2_000, down, Some(lasts))]
}

/// Streams that are open at the end of a scenario, of pods on a node or on all.
fn open(scenario: &Scenario, node: Option<u32>) -> usize {
    at_end(scenario, 0, |domain: &Domain<'_>| {
        let pods = domain.pods.iter();
        let pods = pods.filter(|pod| node.is_none_or(|node| pod.node == Some(node)));
        let proxies = pods.filter_map(|pod| pod.sidecar.as_ref());
        proxies.filter(|it| it.subscription.is_open()).count()
    })
}

#[test]
fn a_herd_comes_back_at_the_rate_of_its_istiod() {
    // 202 proxies, whose pauses after a second are at most a second; four processors take 15 + 5
    // x 4 streams a second, the first at once, and who would wait for longer than a second comes
    // again later.
    let after =
        |milliseconds: u64| open(&fleet(200, 3_000 + milliseconds, istiod_down(1_000)), None);
    assert_eq!(after(0), 0);
    let counts = [1_000, 2_000, 3_000].map(after);
    for (second, count) in (1..).zip(counts) {
        assert!(count <= 35 * second + 1, "{counts:?}");
    }
    assert!(counts[0] > 17, "{counts:?}");
    assert!(after(4_500) < 202, "202 tokens take 5.7 s");
    assert_eq!(after(90_000), 202);
}

#[test]
fn streams_end_of_age_and_come_back() {
    let ended = |minutes: u64| {
        let scenario = fleet(40, minutes * 60_000, Vec::new());
        at_end(&scenario, 0, |domain: &Domain<'_>| {
            let proxies = domain.pods.iter().filter_map(|pod| pod.sidecar.as_ref());
            proxies.filter(|it| it.subscription.number > 1).count()
        })
    };
    // Of any age at the start, each has 30 min and up to a tenth more, and 10 s to go.
    let half = ended(15);
    assert!((12..30).contains(&half), "{half} of 42");
    assert_eq!(ended(34), 42);
    assert!(open(&fleet(40, 34 * 60_000, Vec::new()), None) >= 40);
}

#[test]
fn a_node_that_is_cut_off_loses_its_streams_in_silence() {
    let cut = |lasts: u64| {
        let cut = Fault::NodePartition {
            cluster: ClusterId(0),
            node: 0,
        };
        vec![fault_at(2_000, cut, Some(lasts))]
    };
    let there = open(&fleet(10, 1_500, Vec::new()), Some(0));
    assert!(there > 0);
    // Back before keep-alives are missed for 40 s it goes on; later it has to begin anew, after a
    // pause that has grown.
    assert_eq!(open(&fleet(10, 32_001, cut(30_000)), Some(0)), there);
    assert!(open(&fleet(10, 62_001, cut(60_000)), Some(0)) < there);
    assert_eq!(open(&fleet(10, 95_000, cut(60_000)), Some(0)), there);
}
