//! Nodes that fall silent: when that is seen, and what becomes of their pods.

use super::control::entry;
use super::*;
use crate::domain::{Domain, Phase};
use crate::record::Reason;

/// One cluster with so many nodes and one pod on each, in Kubernetes 1.`minor`; nobody asks.
pub(super) fn fleet(nodes: u32, minor: u32, seconds: u64) -> Scenario {
    let mut scenario = entry();
    let cluster = &mut scenario.clusters[0];
    cluster.kubernetes_minor = minor;
    let names = 0..nodes;
    cluster.nodes = names.map(|index| node(&format!("n{index}"), 0)).collect();
    cluster.workloads[0].replicas = nodes;
    scenario.traffic[0].arrivals = at_milliseconds(&[0]);
    scenario.run.duration = Duration::from_secs(seconds);
    scenario
}

pub(super) fn node_down(at: u64, node: u32, lasts: Option<u64>) -> TimelineEntry {
    let fault = Fault::NodeDown {
        cluster: ClusterId(0),
        node,
        packets: Packets::Dropped,
    };
    fault_at(at * 1_000, fault, lasts.map(|seconds| seconds * 1_000))
}

/// What a look at the cluster's partition at the end of a run gives.
pub(super) fn at_end<R>(
    scenario: &Scenario,
    replication: u32,
    look: impl FnOnce(&Domain<'_>) -> R,
) -> R {
    let topology = compile(scenario);
    let seed = Seed {
        master: 1,
        replication,
    };
    let simulation = crate::simulate::replicate(&topology, seed, &Options::default());
    look(simulation.partitions().next().expect("there is a cluster"))
}

/// When endpoints were published, in seconds.
pub(super) fn published(domain: &Domain<'_>) -> Vec<f64> {
    let all = (0..domain.endpoint_log.len()).filter_map(|at| domain.endpoint_log.publication(at));
    all.map(|publication| publication.published.as_secs_f64())
        .collect()
}

/// Pods on a node that count, and whether they serve.
fn pods_of(domain: &Domain<'_>, node: u32) -> Vec<(Phase, bool)> {
    let pods = domain.pods.iter();
    pods.filter(|pod| pod.node == Some(node) && !pod.released)
        .map(|pod| (pod.phase, pod.ready))
        .collect()
}

#[test]
fn endpoints_go_at_the_grace_period_less_ten_plus_five() {
    for (minor, grace) in [(31, 40.0), (32, 50.0)] {
        let mut scenario = fleet(2, minor, 120);
        scenario.timeline = vec![node_down(50, 0, None)];
        let count = 400;
        let delays: Vec<f64> = (0..count)
            .map(|replication| at_end(&scenario, replication, |domain| published(domain)[0] - 50.0))
            .collect();
        let mean = delays.iter().sum::<f64>() / f64::from(count);
        let least = delays.iter().copied().fold(f64::MAX, f64::min);
        let greatest = delays.iter().copied().fold(0.0, f64::max);
        // Pods follow 37 ms later, and their slice 1.3 to 106.4 ms after that.
        assert!(least >= grace - 9.962 && least < grace - 8.5, "{least}");
        assert!(
            greatest < grace + 5.144 && greatest > grace + 3.5,
            "{greatest}"
        );
        // Standard error: sqrt((100 + 25) / 12 / 400) = 0.16 s.
        assert!((mean - (grace - 2.45)).abs() < 0.6, "{mean}");
    }
}

#[test]
fn pods_are_deleted_after_their_toleration() {
    let mut scenario = fleet(2, 33, 600);
    scenario.timeline = vec![node_down(50, 0, None)];
    for replication in 0..40 {
        at_end(&scenario, replication, |domain| {
            let times = published(domain);
            // Lost, and a pod elsewhere serves 2 s after the deletion at the end of 300 s, the
            // taint having come up to 1.4 s late; its kubelet notices within a second.
            assert_eq!(times.len(), 2);
            let apart = times[1] - times[0];
            assert!((301.9..304.8).contains(&apart), "{apart}");
            // Nobody can say that it has ended.
            assert_eq!(pods_of(domain, 0), [(Phase::Dead, false)]);
            assert_eq!(pods_of(domain, 1), [(Phase::Running, true); 2]);
        });
    }
}

/// How many of the nodes' pods have been deleted by the end.
fn deleted(scenario: &Scenario) -> usize {
    at_end(scenario, 0, |domain| {
        domain.pods.iter().filter(|pod| pod.deleted).count()
    })
}

#[test]
fn a_zone_is_emptied_at_its_rate() {
    // Four of twelve: found within 55 s, evicted 300 s later, ten seconds apart.
    let mut scenario = fleet(12, 33, 50 + 55 + 302 + 30);
    scenario.timeline = (0..4).map(|node| node_down(50, node, None)).collect();
    assert_eq!(deleted(&scenario), 4);
    scenario.run.duration = Duration::from_secs(50 + 40 + 300 + 29);
    assert!(deleted(&scenario) < 4, "the last is 30 s after the first");
}

#[test]
fn a_small_zone_with_most_nodes_lost_is_not_emptied() {
    let mut scenario = fleet(5, 33, 1_000);
    scenario.timeline = (0..3).map(|node| node_down(50, node, None)).collect();
    assert!(deleted(&scenario) < 3, "evictions stop once three are lost");
}

#[test]
fn a_cluster_that_is_lost_altogether_is_not_emptied() {
    let mut scenario = fleet(4, 33, 900);
    scenario.timeline = (0..4).map(|node| node_down(50, node, None)).collect();
    assert_eq!(deleted(&scenario), 0);
    // Half of it comes back: the rest has a fresh start, and goes a toleration later.
    scenario.timeline = (0..4)
        .map(|node| node_down(50, node, (node < 2).then_some(450)))
        .collect();
    scenario.run.duration = Duration::from_secs(790);
    assert_eq!(deleted(&scenario), 0);
    scenario.run.duration = Duration::from_secs(500 + 5 + 302 + 20);
    assert_eq!(deleted(&scenario), 2);
}

#[test]
fn a_node_that_returns_in_time_keeps_its_pods() {
    let mut scenario = fleet(2, 33, 600);
    scenario.timeline = vec![node_down(50, 0, Some(200))];
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods_of(domain, 0), [(Phase::Running, true)]);
        assert_eq!(domain.pods.len(), 2, "nothing was replaced");
        let times = published(domain);
        assert!((252.0..253.2).contains(&times[1]), "{times:?}");
    });
}

#[test]
fn the_kubelet_of_a_rebooted_machine_hears_of_new_pods_at_once() {
    let mut scenario = fleet(2, 33, 265);
    let scaled = Action::Apply {
        cluster: ClusterId(0),
        changes: vec![Change::Replicas(WorkloadId(0), 8)],
    };
    scenario.timeline = vec![
        node_down(50, 0, Some(200)),
        TimelineEntry {
            at: Time::ZERO + Duration::from_secs(255),
            label: "scale".into(),
            action: scaled,
        },
    ];
    for replication in 0..5 {
        at_end(&scenario, replication, |domain| {
            let (first, second) = (pods_of(domain, 0), pods_of(domain, 1));
            assert_eq!(first.len() + second.len(), 8);
            assert!(first.len() >= 3, "{first:?}");
            assert_eq!(first, vec![(Phase::Running, true); first.len()]);
        });
    }
}

#[test]
fn containers_serve_on_without_their_kubelet() {
    let mut scenario = fleet(2, 33, 300);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    let fault = Fault::KubeletDown {
        cluster: ClusterId(0),
        node: 0,
    };
    scenario.timeline = vec![fault_at(50_000, fault, Some(150_000))];
    let record = run(&scenario);
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 0);
    at_end(&scenario, 0, |domain| {
        let times = published(domain);
        assert_eq!(times.len(), 2, "out, and in again: {times:?}");
        assert!((90.0..105.2).contains(&times[0]), "{times:?}");
        // The kubelet says within ten seconds how its pods are.
        assert!((200.0..210.2).contains(&times[1]), "{times:?}");
        assert_eq!(domain.pods[0].restarts, 0);
    });
}

#[test]
fn a_node_that_is_cut_off_runs_on() {
    let mut scenario = fleet(2, 33, 700);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    let fault = |lasts| {
        let fault = Fault::NodePartition {
            cluster: ClusterId(0),
            node: 0,
        };
        vec![fault_at(50_000, fault, Some(lasts))]
    };
    scenario.timeline = fault(100_000);
    let record = run(&scenario);
    assert!(record.traffic[0].failures[Reason::Timeout as usize] > 0);
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods_of(domain, 0), [(Phase::Running, true)]);
        assert_eq!(domain.pods[0].restarts, 0, "it never stopped");
    });
    // Deleted meanwhile: it ends when its kubelet hears of it.
    scenario.timeline = fault(500_000);
    scenario.run.duration = Duration::from_secs(549);
    let phase = |scenario: &Scenario| at_end(scenario, 0, |domain| domain.pods[0].phase);
    assert_eq!(phase(&scenario), Phase::Running);
    scenario.run.duration = Duration::from_secs(562);
    assert_eq!(phase(&scenario), Phase::Dead);
}

#[test]
fn a_slow_node_serves_slowly() {
    let mut scenario = entry();
    scenario.clusters[0].workloads[0]
        .template
        .behavior
        .service_time = milliseconds(10);
    let plain = run(&scenario).traffic[0].latency_sum_ns;
    let slow = |node| Fault::NodeSlow {
        cluster: ClusterId(0),
        node,
        cpu_factor: 3.0,
        disk_factor: 1.0,
    };
    scenario.timeline = vec![fault_at(0, slow(0), None), fault_at(0, slow(1), None)];
    let record = run(&scenario);
    let more = record.traffic[0].latency_sum_ns - plain;
    let requests = record.traffic[0].succeeded as f64;
    let each = more as f64 / requests / 1e6;
    assert!((each - 20.0).abs() < 0.5, "{each} ms more");
}

/// What an operator does to a node at a second.
fn operated(second: u64, change: Change) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_secs(second),
        label: "operated".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![change],
        },
    }
}

#[test]
fn a_node_out_of_service_gives_up_its_pods_at_the_next_pass() {
    let mut scenario = fleet(2, 33, 200);
    scenario.clusters[0].workloads[0].kind = WorkloadKind::StatefulSet;
    let down = node_down(50, 0, None);
    // Without the taint nobody ever replaces the pod of a dead machine.
    scenario.timeline = vec![down.clone()];
    scenario.run.duration = Duration::from_secs(1_000);
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods_of(domain, 0), [(Phase::Dead, false)]);
        assert_eq!(pods_of(domain, 1).len(), 1);
    });
    scenario.timeline = vec![down, operated(120, Change::OutOfService(0))];
    let is_left = |seconds: f64, replication| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs_f64(seconds);
        at_end(&scenario, replication, |domain| {
            let left = pods_of(domain, 0).len();
            (left, pods_of(domain, 1).len())
        })
    };
    for replication in 0..20 {
        // Written within some milliseconds, deleted 58 ms later, removed within 20 s; another
        // comes on the node that is left.
        assert_eq!(is_left(120.05, replication).0, 1);
        assert_eq!(is_left(140.2, replication).0, 0);
        assert_eq!(is_left(145.0, replication), (0, 2));
    }
    let left_at_half: usize = (0..40).map(|at| is_left(130.1, at).0).sum();
    assert!((8..=32).contains(&left_at_half), "uniform: {left_at_half}");
}

#[test]
fn a_node_out_of_service_that_lives_ends_its_pods_itself() {
    let mut scenario = fleet(2, 33, 100);
    let tainted = operated(20, Change::OutOfService(0));
    scenario.timeline = vec![tainted, operated(60, Change::InService(0))];
    scenario.run.duration = Duration::from_secs(59);
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods_of(domain, 0), []);
        assert_eq!(pods_of(domain, 1), [(Phase::Running, true); 2]);
    });
    // Pods that tolerate it stay.
    let placement = &mut scenario.clusters[0].workloads[0].template.placement;
    placement.tolerations = vec![Toleration {
        key: Some("node.kubernetes.io/out-of-service".to_owned()),
        value: None,
        effect: None,
        lasts: None,
    }];
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods_of(domain, 0), [(Phase::Running, true)]);
    });
}

#[test]
fn what_is_removed_by_force_runs_on_until_its_kubelet_is_heard() {
    let mut scenario = fleet(2, 33, 179);
    let fault = Fault::NodePartition {
        cluster: ClusterId(0),
        node: 0,
    };
    scenario.timeline = vec![
        fault_at(50_000, fault, Some(130_000)),
        operated(120, Change::OutOfService(0)),
    ];
    at_end(&scenario, 0, |domain| {
        assert!(domain.pods[0].released);
        assert_eq!(domain.pods[0].phase, Phase::Running);
    });
    scenario.run.duration = Duration::from_secs(191);
    at_end(&scenario, 0, |domain| {
        assert_eq!(domain.pods[0].phase, Phase::Dead);
    });
}
