//! Changed pods: how they take the place of the others, and what users notice.

use super::control::entry;
use super::nodes::at_end;
use super::*;
use crate::domain::{Domain, Pod};
use crate::kubernetes::amount::Amount;
use crate::record::Reason;

/// A workload of one cluster whose pods change at 30 s, and change back at 90 s if wished.
fn changing(kind: WorkloadKind, replicas: u32, back: bool) -> Scenario {
    let mut scenario = entry();
    let cluster = &mut scenario.clusters[0];
    cluster.nodes = (0..4).map(|index| node(&format!("n{index}"), 0)).collect();
    let workload = &mut cluster.workloads[0];
    workload.kind = kind;
    workload.replicas = replicas;
    workload.rollout = Rollout::of(kind);
    workload.termination.pre_stop = Duration::from_secs(5);
    let behavior = workload.behavior.clone();
    let entry = |at: u64, change| TimelineEntry {
        at: Time::ZERO + Duration::from_secs(at),
        label: "change".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![change],
        },
    };
    scenario.timeline = vec![entry(30, Change::Behavior(WorkloadId(0), behavior))];
    if back {
        scenario
            .timeline
            .push(entry(90, Change::Rollback(WorkloadId(0))));
    }
    scenario.run.duration = Duration::from_secs(150);
    scenario
}

/// Pods whose end was not asked for.
fn kept<'d>(domain: &'d Domain<'_>) -> impl Iterator<Item = &'d Pod> {
    let pods = &domain.workloads[0].pods;
    pods.iter()
        .map(|&pod| &domain.pods[pod as usize])
        .filter(|pod| !pod.deleted)
}

/// Kept pods, ready ones, and those of the newest revision, every second from 30 s on.
fn course(scenario: &mut Scenario, seconds: u64) -> Vec<(usize, usize, usize)> {
    let mut seen = Vec::new();
    for second in 30..30 + seconds {
        scenario.run.duration = Duration::from_secs(second);
        seen.push(at_end(scenario, 0, |domain| {
            let newest = domain.workloads[0].controller.revisions.len() as u32 - 1;
            (
                kept(domain).count(),
                kept(domain).filter(|pod| pod.ready).count(),
                kept(domain).filter(|pod| pod.revision == newest).count(),
            )
        }));
    }
    seen
}

#[test]
fn a_rolling_update_stays_within_its_limits() {
    let mut scenario = changing(WorkloadKind::Deployment, 10, false);
    let course = course(&mut scenario, 40);
    // A quarter of ten: three more at most, two fewer at least.
    assert!(
        course
            .iter()
            .all(|&(kept, ready, _)| kept <= 13 && ready >= 8),
        "{course:?}"
    );
    assert!(
        course
            .iter()
            .any(|&(kept, ready, _)| kept == 13 && ready == 8),
        "{course:?}"
    );
    assert_eq!(course.last(), Some(&(10, 10, 10)));
}

#[test]
fn recreation_leaves_nobody_for_a_while() {
    let mut scenario = changing(WorkloadKind::Deployment, 3, false);
    scenario.clusters[0].workloads[0].rollout.strategy = Strategy::Recreate;
    let course = course(&mut scenario, 30);
    assert!(course.iter().any(|&(_, ready, _)| ready == 0), "{course:?}");
    assert!(
        course.iter().all(|&(kept, _, new)| new == 0 || new == kept),
        "never mixed"
    );
    assert_eq!(course.last(), Some(&(3, 3, 3)));
}

#[test]
fn stateful_and_daemon_sets_change_one_pod_at_a_time() {
    for kind in [WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        let mut scenario = changing(kind, 4, false);
        let course = course(&mut scenario, 90);
        assert!(
            course.iter().all(|&(_, ready, _)| ready >= 3),
            "{kind:?}: {course:?}"
        );
        assert_eq!(course.last(), Some(&(4, 4, 4)), "{kind:?}: {course:?}");
    }
}

#[test]
fn a_stateful_set_changes_its_greatest_number_first_and_keeps_its_partition() {
    let mut scenario = changing(WorkloadKind::StatefulSet, 4, false);
    scenario.clusters[0].workloads[0].rollout.strategy = Strategy::RollingUpdate {
        surge: Amount::Count(0),
        unavailable: Amount::Count(1),
        partition: 2,
    };
    scenario.run.duration = Duration::from_secs(149);
    at_end(&scenario, 0, |domain| {
        let mut pods: Vec<_> = kept(domain)
            .map(|pod| (pod.ordinal, pod.revision))
            .collect();
        pods.sort_unstable();
        assert_eq!(
            pods,
            [(Some(0), 0), (Some(1), 0), (Some(2), 1), (Some(3), 1)]
        );
    });
}

#[test]
fn a_rollback_brings_the_former_revision_back() {
    let scenario = changing(WorkloadKind::Deployment, 4, true);
    at_end(&scenario, 0, |domain| {
        let revisions: Vec<u32> = kept(domain).map(|pod| pod.revision).collect();
        assert_eq!(revisions, [0; 4]);
        assert_eq!(domain.workloads[0].controller.revisions.len(), 2);
    });
}

/// Connections refused during a rollout, of 200 each second.
fn refused(pre_stop: u64) -> u64 {
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    scenario.clusters[0].workloads[0].termination.pre_stop = Duration::from_secs(pre_stop);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(200.0));
    run(&scenario).traffic[0].failures[Reason::Refused as usize]
}

#[test]
fn only_a_hook_before_the_end_wins_the_race_against_stale_rules() {
    // Four pods go; each refuses a quarter of 200 requests/s until the rules have followed:
    // slice 1.3 to 106 ms, watch 5 ms, sync 35 ms and up to a second between two syncs.
    let lost = refused(0);
    assert!((4..250).contains(&lost), "{lost}");
    assert_eq!(refused(5), 0);
}
