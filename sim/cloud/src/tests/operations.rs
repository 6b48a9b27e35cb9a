//! What operators do to machines and pods, and when it takes effect.

use super::nodes::{at_end, fleet};
use super::outages::api_down;
use super::*;
use crate::domain::Domain;
use crate::kubernetes::amount::Amount;

pub(super) fn apply(at: u64, change: Change) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_secs(at),
        label: "change".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![change],
        },
    }
}

pub(super) fn drain(at: u64, node: u32) -> TimelineEntry {
    apply(at, Change::Drain(draining(node)))
}

fn draining(node: u32) -> Drain {
    Drain {
        node,
        grace: None,
        bare: BarePods::Refuse,
        timeout: None,
    }
}

/// At least so many pods of the first workload have to stay.
pub(super) fn budget(available: u32) -> DisruptionBudget {
    DisruptionBudget {
        namespace: "default".into(),
        name: "budget".into(),
        workloads: vec![WorkloadId(0)],
        demand: Demand::MinAvailable(Amount::Count(available)),
        unhealthy: Unhealthy::IfHealthyBudget,
    }
}

/// Pods whose end was asked for, so many milliseconds after the start.
fn deleted(scenario: &Scenario, at: u64) -> usize {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_millis(at);
    at_end(&scenario, 0, |domain| {
        domain.pods.iter().filter(|pod| pod.deleted).count()
    })
}

/// How many ready pods there are on each node.
fn spread(domain: &Domain<'_>) -> Vec<usize> {
    let ready = |node: u32| {
        let pods = domain.pods.iter();
        pods.filter(move |pod| pod.node == Some(node) && pod.ready)
            .count()
    };
    (0..domain.nodes.len() as u32).map(ready).collect()
}

#[test]
fn a_cordoned_node_keeps_its_pods_and_takes_no_others() {
    let mut scenario = fleet(2, 33, 60);
    scenario.timeline = vec![
        apply(10, Change::Cordon(0)),
        apply(20, Change::Replicas(WorkloadId(0), 4)),
    ];
    at_end(&scenario, 0, |domain| assert_eq!(spread(domain), [1, 3]));
    // Pods that fit nowhere else wait until the cordon is gone.
    scenario.timeline = vec![
        apply(10, Change::Cordon(0)),
        apply(10, Change::Cordon(1)),
        apply(20, Change::Replicas(WorkloadId(0), 4)),
        apply(50, Change::Uncordon(1)),
    ];
    at_end(&scenario, 0, |domain| assert_eq!(spread(domain), [1, 3]));
    scenario.run.duration = Duration::from_secs(49);
    at_end(&scenario, 0, |domain| {
        assert_eq!(spread(domain), [1, 1]);
        assert_eq!(domain.workloads[0].pending.len(), 2);
    });
}

#[test]
fn a_drained_node_is_empty_and_its_pods_run_elsewhere() {
    let mut scenario = fleet(3, 33, 60);
    scenario.timeline = vec![drain(20, 0)];
    assert_eq!(deleted(&scenario, 20_000), 0);
    assert_eq!(deleted(&scenario, 20_200), 1);
    at_end(&scenario, 0, |domain| {
        let spread = spread(domain);
        assert_eq!((spread[0], spread[1] + spread[2]), (0, 3));
        assert!(domain.nodes[0].cordoned && domain.nodes[0].pods.is_empty());
    });
}

#[test]
fn a_drain_asks_again_every_five_seconds_for_what_a_budget_forbids() {
    let mut scenario = fleet(3, 33, 60);
    scenario.timeline = vec![drain(20, 0), drain(20, 1)];
    scenario.clusters[0].budgets = vec![budget(2)];
    // One may go at once; its successor serves within four seconds.
    assert_eq!(deleted(&scenario, 20_200), 1);
    assert_eq!(deleted(&scenario, 24_900), 1);
    assert_eq!(deleted(&scenario, 25_200), 2);
    scenario.clusters[0].budgets.clear();
    assert_eq!(deleted(&scenario, 20_200), 2);
    scenario.clusters[0].budgets = vec![budget(3)];
    assert_eq!(deleted(&scenario, 60_000), 0);
    // Two budgets over one pod are an error, whatever they allow.
    scenario.clusters[0].budgets = vec![budget(1), budget(1)];
    assert_eq!(deleted(&scenario, 60_000), 0);
}

#[test]
fn a_drain_gives_up_after_its_timeout() {
    let mut scenario = fleet(2, 33, 100);
    scenario.clusters[0].budgets = vec![budget(2)];
    let timeout = |seconds| {
        let timeout = Some(Duration::from_secs(seconds));
        Change::Drain(Drain {
            timeout,
            ..draining(0)
        })
    };
    // A third pod at 50 s lets the first go.
    for (seconds, expected) in [(20, 0), (60, 1)] {
        scenario.timeline = vec![
            apply(20, timeout(seconds)),
            apply(50, Change::Replicas(WorkloadId(0), 3)),
        ];
        assert_eq!(deleted(&scenario, 100_000), expected);
    }
}

#[test]
fn a_budget_counts_what_is_evicted_only_until_it_is_replaced() {
    let mut scenario = fleet(2, 33, 100);
    let pod = scenario.clusters[0].workloads[0].clone();
    scenario.clusters[0].nodes.truncate(1);
    scenario.clusters[0].nodes.push(node("other", 0));
    scenario.clusters[0].workloads[0] = Workload { replicas: 6, ..pod };
    scenario.clusters[0].budgets = vec![DisruptionBudget {
        demand: Demand::MaxUnavailable(Amount::Percent(20)),
        ..budget(0)
    }];
    scenario.timeline = vec![drain(20, 0)];
    // A fifth of six, rounded up, is two at a time; three are on the node.
    assert_eq!(deleted(&scenario, 20_200), 2);
    assert_eq!(deleted(&scenario, 25_200), 3);
}

#[test]
fn pods_of_daemon_sets_stay_and_bare_pods_need_force() {
    let mut scenario = fleet(2, 33, 60);
    scenario.timeline = vec![drain(20, 0)];
    scenario.clusters[0].workloads[0].kind = WorkloadKind::DaemonSet;
    assert_eq!(deleted(&scenario, 60_000), 0);
    scenario.clusters[0].workloads[0].kind = WorkloadKind::Pod;
    assert_eq!(deleted(&scenario, 60_000), 0);
    at_end(&scenario, 0, |domain| assert!(domain.nodes[0].cordoned));
    let forced = Drain {
        bare: BarePods::Evict,
        ..draining(0)
    };
    scenario.timeline = vec![apply(20, Change::Drain(forced))];
    at_end(&scenario, 0, |domain| assert_eq!(spread(domain), [0, 1]));
}

#[test]
fn a_drain_may_shorten_the_grace_period() {
    let mut scenario = fleet(2, 33, 60);
    let termination = &mut scenario.clusters[0].workloads[0].template.termination;
    termination.pre_stop = Duration::from_secs(20);
    let gone = |scenario: &Scenario, at: u64| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs(at);
        at_end(&scenario, 0, |domain| {
            domain.pods.iter().any(|pod| pod.released)
        })
    };
    scenario.timeline = vec![drain(20, 0)];
    assert_eq!((gone(&scenario, 39), gone(&scenario, 42)), (false, true));
    let hasty = Drain {
        grace: Some(Duration::from_secs(5)),
        ..draining(0)
    };
    scenario.timeline = vec![apply(20, Change::Drain(hasty))];
    assert_eq!((gone(&scenario, 24), gone(&scenario, 27)), (false, true));
}

#[test]
fn operators_wait_for_the_api_server() {
    let mut scenario = fleet(3, 33, 100);
    scenario.timeline = vec![api_down(10, 50, 3), drain(20, 0)];
    assert_eq!(deleted(&scenario, 59_900), 0);
    assert_eq!(deleted(&scenario, 60_200), 1);
}

#[test]
fn deleted_pods_are_replaced_under_their_number() {
    let mut scenario = fleet(3, 33, 100);
    let workload = &mut scenario.clusters[0].workloads[0];
    workload.kind = WorkloadKind::StatefulSet;
    let choice = PodChoice::Ordinal(1);
    scenario.timeline = vec![apply(20, Change::DeletePods(WorkloadId(0), choice))];
    at_end(&scenario, 0, |domain| {
        assert!(domain.pods[1].released);
        assert_eq!(domain.pods.len(), 4);
        assert_eq!(domain.pods[3].ordinal, Some(1));
        assert!(domain.pods[3].ready);
    });
    scenario.clusters[0].workloads[0].kind = WorkloadKind::Deployment;
    let choice = PodChoice::Drawn(2);
    scenario.timeline = vec![apply(20, Change::DeletePods(WorkloadId(0), choice))];
    assert_eq!(deleted(&scenario, 100_000), 2);
    at_end(&scenario, 0, |domain| {
        assert_eq!(spread(domain).iter().sum::<usize>(), 3);
    });
}
