//! Changed pods: how they take the place of the others, and what users notice.

use super::control::entry;
use super::nodes::at_end;
use super::*;
use crate::control::progress::Verdict;
use crate::domain::{Domain, Pod};
use crate::kubernetes::amount::Amount;
use crate::kubernetes::probe::Probe;
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
    workload.template.termination.pre_stop = Duration::from_secs(5);
    workload.template.probes.readiness = Some(Probe::default());
    let mut template = Box::new(workload.template.clone());
    template.behavior.response_bytes += 1;
    let entry = |at: u64, change| TimelineEntry {
        at: Time::ZERO + Duration::from_secs(at),
        label: "change".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![change],
        },
    };
    scenario.timeline = vec![entry(30, Change::Template(WorkloadId(0), template))];
    if back {
        scenario
            .timeline
            .push(entry(90, Change::Rollback(WorkloadId(0), None)));
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

/// The template of the change at 30 s.
fn changed(scenario: &mut Scenario) -> &mut Template {
    match &mut scenario.timeline[0].action {
        Action::Apply { changes, .. } => match &mut changes[0] {
            Change::Template(_, template) => template,
            other => panic!("{other:?} is no template"),
        },
        other => panic!("{other:?} changes nothing"),
    }
}

#[test]
fn pods_that_never_get_ready_stop_their_rollout() {
    let mut scenario = changing(WorkloadKind::Deployment, 10, false);
    changed(&mut scenario).start_up = Duration::from_secs(36_000);
    let course = course(&mut scenario, 60);
    // Three above, two below ten: five new ones, and eight old ones that serve on.
    assert_eq!(course.last(), Some(&(13, 8, 5)));
}

#[test]
fn new_pods_are_placed_as_their_template_says() {
    // Four nodes of four cores, and a pod on each.
    let mut scenario = changing(WorkloadKind::Deployment, 4, true);
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .requests
        .cpu_milli = 1_000;
    let on_nodes = |scenario: &mut Scenario, at| {
        scenario.run.duration = Duration::from_secs(at);
        at_end(scenario, 0, |domain| {
            let mut on_nodes = vec![0; 4];
            for node in kept(domain).filter_map(|pod| pod.node) {
                on_nodes[node as usize] += 1;
            }
            (on_nodes, domain.workloads[0].pending.len())
        })
    };
    assert_eq!(on_nodes(&mut scenario, 29), (vec![1; 4], 0));
    // What is too large for any node stays Pending, and three old pods serve on.
    changed(&mut scenario).placement.requests.cpu_milli = 4_500;
    let (nodes, pending) = on_nodes(&mut scenario, 80);
    assert_eq!((nodes.iter().sum::<i32>(), pending), (3, 2));
    // What has to be on one node goes there, and comes back with the former revision.
    let placement = &mut changed(&mut scenario).placement;
    placement.requests.cpu_milli = 500;
    placement.node_name = Some("n2".into());
    assert_eq!(on_nodes(&mut scenario, 80), (vec![0, 0, 4, 0], 0));
    let (nodes, _) = on_nodes(&mut scenario, 149);
    assert!(
        nodes.iter().filter(|&&pods| pods > 0).count() > 2,
        "{nodes:?}"
    );
}

#[test]
fn a_rollout_that_stands_still_for_its_deadline_has_failed_and_may_yet_end() {
    let mut scenario = changing(WorkloadKind::Deployment, 10, false);
    scenario.clusters[0].workloads[0].rollout.progress_deadline = Duration::from_secs(60);
    changed(&mut scenario).start_up = Duration::from_secs(100);
    let verdict = |at: f64| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs_f64(at);
        at_end(&scenario, 0, |domain| {
            domain.workloads[0].controller.progress.verdict
        })
    };
    // The last new pod comes a few turns after 30 s; the first is ready at 130 s.
    let expected = [
        (29.0, Verdict::Complete),
        (31.0, Verdict::Progressing),
        (90.0, Verdict::Progressing),
        (91.5, Verdict::DeadlineExceeded),
        (129.0, Verdict::DeadlineExceeded),
        (132.0, Verdict::Progressing),
        (400.0, Verdict::Complete),
    ];
    for (at, expected) in expected {
        assert_eq!(verdict(at), expected, "at {at} s");
    }
}

#[test]
fn new_pods_serve_as_their_template_says() {
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    assert_eq!(run(&scenario).traffic[0].failures.iter().sum::<u64>(), 0);
    let template = changed(&mut scenario);
    // Four pods at two requests per second, which fail, and nobody may wait.
    template.behavior.service_time = milliseconds(500);
    template.behavior.error_rate = 1.0;
    template.station.discipline = Discipline::Fifo { workers: 1 };
    template.station.queue_max = Some(0);
    let failures = run(&scenario).traffic[0].failures;
    assert!(failures[Reason::Overflow as usize] > 1_000, "{failures:?}");
    let errors = failures[Reason::ServerError as usize];
    assert!((600..950).contains(&errors), "{failures:?}");
}

#[test]
fn a_changed_strategy_holds_for_the_next_rollout() {
    let mut scenario = changing(WorkloadKind::Deployment, 3, false);
    let rollout = Rollout {
        strategy: Strategy::Recreate,
        ..Rollout::of(WorkloadKind::Deployment)
    };
    if let Action::Apply { changes, .. } = &mut scenario.timeline[0].action {
        changes.insert(0, Change::Rollout(WorkloadId(0), rollout));
    }
    let course = course(&mut scenario, 30);
    assert!(course.iter().any(|&(_, ready, _)| ready == 0), "{course:?}");
    assert_eq!(course.last(), Some(&(3, 3, 3)));
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
    scenario.clusters[0].workloads[0]
        .template
        .termination
        .pre_stop = Duration::from_secs(pre_stop);
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

#[test]
fn a_pod_without_a_readiness_probe_is_asked_before_it_serves() {
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(200.0));
    let template = changed(&mut scenario);
    template.start_up = Duration::from_secs(11);
    let waits =
        |record: &crate::record::Record| record.traffic[0].failures[Reason::Refused as usize];
    assert_eq!(waits(&run(&scenario)), 0);
    changed(&mut scenario).probes.readiness = None;
    // Its container runs a second after it was bound, and counts as ready a relist later; for
    // nine seconds or so it is in the rules and does not listen.
    let refused = waits(&run(&scenario));
    assert!(refused > 1_000, "{refused}");
}

/// A change of the only workload at a second.
fn change_at(second: u64, change: Change) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_secs(second),
        label: "change".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![change],
        },
    }
}

#[test]
fn an_operator_waits_for_a_slow_api_server_as_everybody_does() {
    let at = |milliseconds| Time::ZERO + Duration::from_millis(milliseconds);
    let wanted = |timeline: &[TimelineEntry], until: u64| {
        let mut scenario = changing(WorkloadKind::Deployment, 2, false);
        scenario.timeline = timeline.to_vec();
        scenario.run.duration = Duration::from_millis(until);
        at_end(&scenario, 0, |domain| domain.workloads[0].replicas)
    };
    let change = change_at(10, Change::Replicas(WorkloadId(0), 7));
    let slow = Fault::ApiServerSlow {
        cluster: ClusterId(0),
        factor: 100.0,
    };
    let usual = [change.clone()];
    assert_eq!(
        (wanted(&usual, 10_004) == 7, wanted(&usual, 10_006)),
        (false, 7)
    );
    // A hundred times 5 ms, if the server is slow when it is asked.
    let mut slowed = [fault_at(9_000, slow, Some(1_100)), change];
    assert_eq!(
        (wanted(&slowed, 10_499) == 7, wanted(&slowed, 10_501)),
        (false, 7)
    );
    slowed[1].at = at(10_100);
    assert_eq!(
        (wanted(&slowed, 10_104) == 7, wanted(&slowed, 10_106)),
        (false, 7)
    );
}

/// Revisions of the pods that are kept at a second, ascending.
fn revisions_at(scenario: &mut Scenario, second: u64) -> Vec<u32> {
    scenario.run.duration = Duration::from_secs(second);
    at_end(scenario, 0, |domain| {
        let mut revisions: Vec<u32> = kept(domain).map(|pod| pod.revision).collect();
        revisions.sort_unstable();
        revisions
    })
}

#[test]
fn a_revision_that_is_not_kept_cannot_be_gone_back_to() {
    for kind in [WorkloadKind::Deployment, WorkloadKind::DaemonSet] {
        for (history_max, expected) in [(0, 1), (1, 0)] {
            let mut scenario = changing(kind, 4, false);
            scenario.clusters[0].workloads[0].rollout.history_max = history_max;
            scenario
                .timeline
                .push(change_at(120, Change::Rollback(WorkloadId(0), None)));
            let revisions = revisions_at(&mut scenario, 200);
            assert_eq!(revisions, [expected; 4], "{kind:?} keeps {history_max}");
        }
    }
}

#[test]
fn a_number_leads_back_to_any_revision_that_is_kept() {
    // Revisions 1, 2 and 3; going back to the first makes it the fourth.
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    let mut third = scenario.clusters[0].workloads[0].template.clone();
    third.behavior.response_bytes += 2;
    let third = Change::Template(WorkloadId(0), Box::new(third));
    let back = |number| Change::Rollback(WorkloadId(0), Some(number));
    scenario.timeline.extend([
        change_at(60, third),
        change_at(90, back(1)),
        change_at(120, back(1)),
        change_at(150, back(4)),
    ]);
    assert_eq!(revisions_at(&mut scenario, 89), [2; 4]);
    assert_eq!(revisions_at(&mut scenario, 119), [0; 4]);
    // There is no first any more, and the fourth is there already.
    assert_eq!(revisions_at(&mut scenario, 200), [0; 4]);
    // Of the former ones only the second is kept.
    scenario.clusters[0].workloads[0].rollout.history_max = 1;
    assert_eq!(revisions_at(&mut scenario, 119), [2; 4]);
}

#[test]
fn pods_that_look_as_before_are_of_the_revision_before() {
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    let first = scenario.clusters[0].workloads[0].template.clone();
    let first = Change::Template(WorkloadId(0), Box::new(first));
    scenario.timeline.push(change_at(90, first));
    assert_eq!(revisions_at(&mut scenario, 89), [1; 4]);
    assert_eq!(revisions_at(&mut scenario, 150), [0; 4]);
}

#[test]
fn a_paused_deployment_is_scaled_and_not_rolled_out() {
    let mut scenario = changing(WorkloadKind::Deployment, 4, false);
    let rollout = |paused| Rollout {
        paused,
        progress_deadline: Duration::from_secs(30),
        ..Rollout::of(WorkloadKind::Deployment)
    };
    scenario.timeline.splice(
        0..0,
        [change_at(20, Change::Rollout(WorkloadId(0), rollout(true)))],
    );
    scenario.timeline.extend([
        change_at(60, Change::Replicas(WorkloadId(0), 8)),
        change_at(80, Change::Rollback(WorkloadId(0), None)),
        change_at(120, Change::Rollout(WorkloadId(0), rollout(false))),
    ]);
    assert_eq!(revisions_at(&mut scenario, 59), [0; 4]);
    assert_eq!(revisions_at(&mut scenario, 119), [0; 8]);
    at_end(&scenario, 0, |domain| {
        let progress = domain.workloads[0].controller.progress;
        assert_eq!(progress.verdict, Verdict::Progressing, "nobody counts");
    });
    assert_eq!(revisions_at(&mut scenario, 180), [1; 8]);
}

#[test]
fn a_rollout_that_is_paused_on_its_way_is_scaled_in_proportion() {
    // Pods that never get ready stop it at eight old ones and five new ones.
    let mut scenario = changing(WorkloadKind::Deployment, 10, false);
    changed(&mut scenario).start_up = Duration::from_secs(36_000);
    let paused = Rollout {
        paused: true,
        ..Rollout::of(WorkloadKind::Deployment)
    };
    scenario.timeline.extend([
        change_at(60, Change::Rollout(WorkloadId(0), paused)),
        change_at(70, Change::Replicas(WorkloadId(0), 20)),
    ]);
    let counts = |revisions: Vec<u32>| {
        let new = revisions.iter().filter(|&&revision| revision == 1).count();
        (revisions.len() - new, new)
    };
    assert_eq!(counts(revisions_at(&mut scenario, 69)), (8, 5));
    // 25 may be there: 8 of 13 are 15 of them, 5 of 13 the other 10.
    assert_eq!(counts(revisions_at(&mut scenario, 119)), (15, 10));
}

#[test]
fn a_stateful_set_changes_several_pods_at_once_from_1_35() {
    for (minor, least) in [(34, 3), (35, 2)] {
        let mut scenario = changing(WorkloadKind::StatefulSet, 4, false);
        let cluster = &mut scenario.clusters[0];
        cluster.kubernetes_minor = minor;
        cluster.workloads[0].rollout.strategy = Strategy::RollingUpdate {
            surge: Amount::Count(0),
            unavailable: Amount::Percent(60),
            partition: 0,
        };
        let course = course(&mut scenario, 90);
        let fewest = course.iter().map(|&(_, ready, _)| ready).min();
        assert_eq!(fewest, Some(least), "1.{minor}: {course:?}");
        assert_eq!(course.last(), Some(&(4, 4, 4)), "1.{minor}");
    }
}

#[test]
fn sets_wait_until_a_changed_pod_has_been_ready_for_long_enough() {
    for kind in [WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        let mut scenario = changing(kind, 4, false);
        scenario.clusters[0].workloads[0].rollout.min_ready = Duration::from_secs(20);
        let course = course(&mut scenario, 150);
        let seconds: Vec<usize> = (1..=4)
            .map(|count| {
                let mut rolling = course.iter().skip(2);
                let second = rolling.position(|&(.., new)| new == count);
                second.expect("all pods change")
            })
            .collect();
        for pair in seconds.windows(2) {
            // The hook of 5 s, a start and a probe of up to 15 s, and the wait.
            assert!(
                (25..=40).contains(&(pair[1] - pair[0])),
                "{kind:?}: {seconds:?}"
            );
        }
    }
}
