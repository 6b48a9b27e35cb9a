//! Control planes: what reaches the views, and when.

use super::*;
use crate::record::{Reason, Record, ViewKind};
use crate::scenario::ProxyConfiguration;

/// One cluster of the two regions, asked directly at 20 requests per second.
pub(super) fn entry() -> Scenario {
    let mut scenario = two_regions();
    scenario.clusters.truncate(1);
    scenario.global_names.clear();
    scenario.links.truncate(1);
    let users = &mut scenario.traffic[0];
    users.arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    users.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(0),
        port: 0,
    };
    scenario
}

pub(super) fn scale(at: u64, replicas: u32) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_secs(at),
        label: "scale".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Replicas(WorkloadId(0), replicas)],
        },
    }
}

fn staleness(record: &Record, kind: ViewKind) -> (u64, Duration) {
    let mut views = record.views.iter();
    let view = views
        .find(|view| view.kind == kind)
        .expect("the view changed");
    (view.updates, view.staleness_max)
}

#[test]
fn scaling_down_loses_no_request() {
    let mut scenario = entry();
    let pre_stop = Duration::from_secs(5);
    scenario.clusters[0].workloads[0]
        .template
        .termination
        .pre_stop = pre_stop;
    scenario.timeline = vec![scale(30, 1)];
    let record = run(&scenario);
    let users = &record.traffic[0];
    assert_eq!(users.failures.iter().sum::<u64>(), 0);
    // Endpoint slice 1.3 to 106.4 ms, watch 5 ms, sync 35 ms, on both nodes, once when the pod is
    // on its way out and once when it is gone; nobody had synced lately.
    let (updates, greatest) = staleness(&record, ViewKind::KubeProxy);
    assert_eq!(updates, 4);
    let greatest = greatest.as_secs_f64() * 1e3;
    assert!((41.3..146.5).contains(&greatest), "{greatest} ms");
}

#[test]
fn scaling_up_adds_capacity_once_the_pods_have_started() {
    let mut scenario = entry();
    scenario.timeline = vec![scale(30, 4)];
    let record = run(&scenario);
    // Two pods of four workers for 100 s, two more from 30 s + 5 ms (write) + 20 ms each
    // (Deployment, ReplicaSet) + 10 ms (scheduler) + 5 ms (watch) + 2 s (start) on; the
    // ReplicaSet tries one before it creates the other, 5 ms later.
    let capacity_ms = 2 * 4 * 100_000 + 4 * (100_000 - 32_060) + 4 * (100_000 - 32_065);
    assert_eq!(record.workloads[0].capacity_ns, capacity_ms * 1_000_000);
}

/// Pods that start to go within half a second of each other, in a version of Kubernetes: the
/// updates of views and the greatest staleness, in milliseconds. They are never gone.
fn two_in_a_row(minor: u32) -> (u64, f64) {
    two_with_distance(minor, ProxyConfiguration::default().min_sync_period)
}

/// The same with another `minSyncPeriod`.
fn two_with_distance(minor: u32, least: Duration) -> (u64, f64) {
    let mut scenario = entry();
    let rules = &mut scenario.clusters[0].service_rules;
    rules.configuration.min_sync_period = least;
    scenario.clusters[0].kubernetes_minor = minor;
    let workload = &mut scenario.clusters[0].workloads[0];
    workload.replicas = 4;
    workload.template.termination.pre_stop = Duration::from_secs(500);
    workload.template.termination.grace = Duration::from_secs(500);
    scenario.timeline = vec![scale(30, 3)];
    let mut later = scale(30, 2);
    later.at += Duration::from_millis(500);
    scenario.timeline.push(later);
    let record = run(&scenario);
    let (updates, greatest) = staleness(&record, ViewKind::KubeProxy);
    (updates, greatest.as_secs_f64() * 1e3)
}

#[test]
fn syncs_keep_their_distance() {
    let (updates, greatest) = two_in_a_row(34);
    assert_eq!(updates, 4);
    // First sync done 40 ms after its slice; the next begins a second later and takes 35 ms; its
    // pod was deleted 500 ms after the other. The slice takes 1.3 to 106.4 ms.
    assert!((576.3..681.5).contains(&greatest), "{greatest} ms");
}

#[test]
fn syncs_keep_the_distance_that_an_administrator_set() {
    let (updates, greatest) = two_with_distance(34, Duration::from_secs(5));
    assert_eq!(updates, 4);
    // As above, with five seconds in the place of one.
    assert!((4_576.3..4_681.5).contains(&greatest), "{greatest} ms");
    let (updates, greatest) = two_with_distance(34, Duration::ZERO);
    assert_eq!(updates, 4);
    assert!((41.3..146.5).contains(&greatest), "{greatest} ms");
}

#[test]
fn syncs_had_a_burst_of_two() {
    let (updates, greatest) = two_in_a_row(33);
    assert_eq!(updates, 4);
    // Unless the slice loses its race and comes a second later, which it does not here.
    assert!((41.3..146.5).contains(&greatest), "{greatest} ms");
}

#[test]
fn the_load_balancer_finds_a_dead_node() {
    let mut scenario = entry();
    // All endpoints on the node that stays: only the entry is lost.
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .node_name = Some("n1".into());
    let down = Fault::NodeDown {
        cluster: ClusterId(0),
        node: 1,
        packets: Packets::Dropped,
    };
    scenario.timeline = vec![fault_at(30_000, down, None)];
    let record = run(&scenario);
    let users = &record.traffic[0];
    let (first, last) = users.failing[0];
    assert!((29.8..31.0).contains(&first.as_secs_f64()), "{first}");
    // Three checks 8 s apart and the timeout of the last: 17 to 25 s.
    assert!((46.0..55.1).contains(&last.as_secs_f64()), "{last}");
    // Half of the connections went that way.
    let failed: u64 = users.failures.iter().sum();
    assert!((130..300).contains(&failed), "{failed}");
}

#[test]
fn a_policy_of_local_nodes_is_known_to_the_load_balancer() {
    let mut scenario = entry();
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .node_name = Some("n1".into());
    scenario.clusters[0].services[0].external_policy = TrafficPolicy::Local;
    let record = run(&scenario);
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 0);
    // A NodePort has nobody who would know: half of the connections are dropped.
    scenario.clusters[0].services[0].kind = ServiceKind::NodePort;
    let record = run(&scenario);
    let dropped = record.traffic[0].failures[Reason::Timeout as usize];
    assert!((900..1_100).contains(&dropped), "{dropped}");
}

#[test]
fn data_sent_over_a_cut_link_arrive_when_it_is_back() {
    let mut scenario = entry();
    scenario.clusters[0].workloads[0]
        .template
        .behavior
        .service_time = milliseconds(100);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000]);
    scenario.traffic[0].timeout = None;
    let cut = Fault::Link {
        from: Place::Users(UserNetworkId(0)),
        to: Place::Cluster(ClusterId(0)),
        change: LinkChange::Cut,
    };
    // The response would leave at about 1130 ms; it is tried again after 200 and 600 ms.
    scenario.timeline = vec![fault_at(1_100, cut, Some(300))];
    let record = run(&scenario);
    let users = &record.traffic[0];
    assert_eq!(users.succeeded, 1);
    let latency = users.latency_sum_ns as f64 / 1e6;
    assert!((740.0..745.0).contains(&latency), "{latency} ms");
}

#[test]
fn a_node_that_returns_starts_its_pods_again() {
    let mut scenario = entry();
    let down = Fault::NodeDown {
        cluster: ClusterId(0),
        node: 0,
        packets: Packets::Refused,
    };
    scenario.run.duration = Duration::from_secs(60);
    scenario.timeline = vec![fault_at(10_000, down, Some(5_000))];
    let record = run(&scenario);
    let users = &record.traffic[0];
    assert!(users.failures[Reason::Refused as usize] > 0);
    let last = users.failing.last().unwrap().1;
    // Back at 15 s, known not to be ready by then, serving at 17 s.
    assert!(last < Time::ZERO + Duration::from_secs(17), "{last}");
    let capacity_ms = 2 * 4 * 60_000 - 4 * 7_000;
    assert_eq!(record.workloads[0].capacity_ns, capacity_ms * 1_000_000);
}

#[test]
fn an_evicted_pod_runs_elsewhere() {
    let mut scenario = entry();
    scenario.run.duration = Duration::from_secs(500);
    let down = Fault::NodeDown {
        cluster: ClusterId(0),
        node: 0,
        packets: Packets::Dropped,
    };
    scenario.timeline = vec![fault_at(10_000, down, None)];
    let topology = compile(&scenario);
    let simulation = crate::simulate::replicate(&topology, Seed::default(), &Options::default());
    let domain = simulation.partitions().next().unwrap();
    let running: Vec<_> = domain
        .pods
        .iter()
        .filter(|pod| pod.phase == crate::domain::Phase::Running)
        .map(|pod| pod.node)
        .collect();
    assert_eq!(running, [Some(1), Some(1)]);
}
