//! Containers that crash, hang, run out of memory, or have no image.

use super::nodes::{at_end, fleet};
use super::operations::apply;
use super::*;
use crate::domain::{Domain, Pod};
use crate::kubernetes::probe::Probe;

const CLUSTER: ClusterId = ClusterId(0);
const WEB: WorkloadId = WorkloadId(0);

/// A pod at an instant, in seconds.
fn pod_at<R>(scenario: &Scenario, pod: usize, at: f64, look: impl Fn(&Pod) -> R) -> R {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_secs_f64(at);
    at_end(&scenario, 0, |domain| look(&domain.pods[pod]))
}

#[test]
fn a_crashed_container_is_started_again_where_it_is() {
    let mut scenario = fleet(1, 33, 100);
    let crash = Fault::ContainerCrash {
        cluster: CLUSTER,
        workload: WEB,
        count: 1,
    };
    scenario.timeline = vec![
        fault_at(30_000, crash.clone(), None),
        fault_at(40_000, crash, None),
    ];
    let state = |at| pod_at(&scenario, 0, at, |pod| (pod.restarts, pod.ready));
    assert_eq!(state(29.9), (0, true));
    // Noticed within a second, started 0.3 s later, noticed within another.
    assert!(!state(31.1).1);
    assert_eq!(state(32.5), (1, true));
    // The second restart has to wait for ten seconds.
    assert_eq!(state(50.0), (2, false));
    assert_eq!(state(52.5), (2, true));
    at_end(&scenario, 0, |domain: &Domain<'_>| {
        assert_eq!(domain.pods.len(), 1)
    });
}

#[test]
fn a_slow_disk_holds_up_what_starts_on_it_and_nothing_else() {
    let mut scenario = fleet(1, 33, 100);
    let slow = Fault::NodeSlow {
        cluster: CLUSTER,
        node: 0,
        cpu_factor: 1.0,
        disk_factor: 50.0,
    };
    let crash = Fault::ContainerCrash {
        cluster: CLUSTER,
        workload: WEB,
        count: 1,
    };
    scenario.timeline = vec![
        fault_at(20_000, slow, Some(60_000)),
        fault_at(30_000, crash, None),
    ];
    let ready = |at| pod_at(&scenario, 0, at, |pod| pod.ready);
    assert!(ready(29.9));
    // Noticed within a second, started after fifty times 0.3 s, noticed within another.
    assert!(!ready(45.0));
    assert!(ready(47.1));
}

#[test]
fn short_memory_ends_in_a_crash_loop_until_it_is_mended() {
    let mut scenario = fleet(1, 33, 1_100);
    let fault = Fault::OutOfMemory {
        cluster: CLUSTER,
        workload: WEB,
        after: Duration::from_secs(5),
    };
    scenario.timeline = vec![fault_at(30_000, fault, Some(670_000))];
    let restarts = |at| pod_at(&scenario, 0, at, |pod| pod.restarts);
    // 5 s of life, 0.3 s of creation, and pauses of 0 (noticed within a second), 10, 20, 40,
    // 80, 160 and 300 s: the ends are at 35, 41.3, 56.6, 81.9, 127.2, 212.5, 377.8, 683.1 s,
    // each up to a second later.
    for (kills, end) in (1..).zip([35.0, 41.3, 56.6, 81.9, 127.2, 212.5, 377.8, 683.1]) {
        assert_eq!(restarts(end - 1.0), kills - 1, "before {end}");
        assert_eq!(restarts(end + 1.1), kills, "after {end}");
    }
    // The last pause outlasts the fault.
    let ready = |at| pod_at(&scenario, 0, at, |pod| pod.ready);
    assert!(!ready(980.0));
    assert!(ready(990.0));
    assert_eq!(restarts(1_099.0), 8);
}

#[test]
fn liveness_probes_cure_an_application_that_hangs() {
    let mut scenario = fleet(1, 33, 200);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(10.0));
    let fault = Fault::Hang {
        cluster: CLUSTER,
        workload: WEB,
        count: 1,
    };
    scenario.timeline = vec![fault_at(30_000, fault, Some(120_000))];
    // Without a probe nobody notices: users wait in vain until it ends by itself.
    assert!(pod_at(&scenario, 0, 149.0, |pod| pod.ready
        && pod.hung_by.is_some()));
    let failed = |scenario: &Scenario| run(scenario).traffic[0].failures.iter().sum::<u64>();
    let all = failed(&scenario);
    // Behind them comes what nobody waits for any more.
    assert!((1_180..1_260).contains(&all), "{all}");
    scenario.clusters[0].workloads[0].template.probes.liveness = Some(Probe::default());
    // Three probes ten seconds apart, a second of patience, thirty of grace, a restart.
    assert_eq!(
        pod_at(&scenario, 0, 30.0 + 21.0 + 30.0, |pod| pod.restarts),
        0
    );
    let cured = |pod: &Pod| pod.restarts == 1 && pod.hung_by.is_none() && pod.ready;
    assert!(pod_at(&scenario, 0, 30.0 + 31.0 + 30.0 + 2.5, cured));
    let fewer = failed(&scenario);
    assert!((490..680).contains(&fewer), "{fewer}");
}

/// One pod whose image its node has, and another on a new node from 10 s on.
fn pulling(policy: PullPolicy) -> Scenario {
    let mut scenario = fleet(2, 33, 300);
    let workload = &mut scenario.clusters[0].workloads[0];
    workload.replicas = 1;
    workload.template.image = Some(Image {
        name: "shop/web:1".into(),
        bytes: 100_000_000,
        policy,
    });
    scenario.timeline = vec![apply(10, Change::Replicas(WEB, 2))];
    scenario
}

fn registry_down(at: u64, lasts: u64) -> TimelineEntry {
    let fault = Fault::RegistryDown { cluster: CLUSTER };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

#[test]
fn a_new_image_takes_its_time() {
    let mut scenario = pulling(PullPolicy::IfNotPresent);
    // Two seconds of start-up, half a second of talk, 100 MB at 50 MB/s; within a second noticed.
    let ready = |scenario: &Scenario, at| pod_at(scenario, 1, at, |pod| pod.ready);
    assert!(!ready(&scenario, 10.0 + 4.5));
    assert!(ready(&scenario, 10.0 + 4.5 + 1.3));
    let slow = Fault::NodeSlow {
        cluster: CLUSTER,
        node: 1,
        cpu_factor: 1.0,
        disk_factor: 4.0,
    };
    scenario.timeline.insert(0, fault_at(5_000, slow, None));
    // Sandbox and container take 3 s more, the pull 6 s.
    assert!(!ready(&scenario, 10.0 + 13.5));
    assert!(ready(&scenario, 10.0 + 13.5 + 1.3));
    let image = &mut scenario.clusters[0].workloads[0].template.image;
    image.as_mut().unwrap().policy = PullPolicy::Never;
    assert!(!ready(&scenario, 299.0));
}

#[test]
fn without_a_registry_new_nodes_wait_and_old_ones_restart() {
    let mut scenario = pulling(PullPolicy::IfNotPresent);
    scenario.timeline.insert(0, registry_down(5, 95));
    // Tries end at 12.3, 22.8, 43.3 and 83.8 s; the one at 163.8 s takes 2.5 s.
    let state = |at| pod_at(&scenario, 1, at, |pod| (pod.pull_failed, pod.ready));
    assert_eq!(state(12.2), (false, false));
    assert_eq!(state(12.6), (true, false));
    assert_eq!(state(165.5), (true, false));
    assert_eq!(state(168.0), (false, true));
    // A restart needs no registry if the image is there, unless it is always asked.
    for (policy, ready) in [
        (PullPolicy::IfNotPresent, true),
        (PullPolicy::Always, false),
    ] {
        let mut scenario = pulling(policy);
        let crash = Fault::ContainerCrash {
            cluster: CLUSTER,
            workload: WEB,
            count: 1,
        };
        scenario.timeline = vec![registry_down(5, 95), fault_at(20_000, crash, None)];
        assert_eq!(
            pod_at(&scenario, 0, 30.0, |pod| pod.ready),
            ready,
            "{policy:?}"
        );
        assert!(pod_at(&scenario, 0, 299.0, |pod| pod.ready));
    }
}

#[test]
fn a_kubelet_pulls_one_image_after_the_other() {
    let mut scenario = pulling(PullPolicy::IfNotPresent);
    scenario.clusters[0].nodes.truncate(2);
    let mut other = scenario.clusters[0].workloads[0].clone();
    other.name = "other".into();
    other.replicas = 0;
    other.template.placement.node_selector =
        [("kubernetes.io/hostname".into(), "n1".into())].into();
    other.template.image.as_mut().unwrap().name = "shop/other:1".into();
    scenario.clusters[0].workloads.push(other);
    scenario
        .timeline
        .push(apply(10, Change::Replicas(WorkloadId(1), 1)));
    let ready = |pod, at| pod_at(&scenario, pod, at, |pod: &Pod| pod.ready);
    assert!(ready(1, 10.0 + 4.5 + 1.3) != ready(2, 10.0 + 4.5 + 1.3));
    assert!(ready(1, 10.0 + 7.0 + 1.3) && ready(2, 10.0 + 7.0 + 1.3));
}
