//! What the control plane does while it cannot be reached, and when it is back.

use super::nodes::{at_end, fleet, node_down, published};
use super::operations::{apply, budget, drain};
use super::*;
use crate::domain::{Domain, Phase};

const CLUSTER: ClusterId = ClusterId(0);

pub(super) fn api_down(at: u64, lasts: u64, count: u32) -> TimelineEntry {
    let fault = Fault::ApiServerDown {
        cluster: CLUSTER,
        count,
    };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

fn pod_kill(at: u64) -> TimelineEntry {
    let fault = Fault::PodKill {
        cluster: CLUSTER,
        workload: WorkloadId(0),
        count: 1,
    };
    fault_at(at * 1_000, fault, None)
}

fn down(component: Component, at: u64, lasts: u64) -> TimelineEntry {
    let cluster = CLUSTER;
    let fault = Fault::ComponentDown { cluster, component };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

fn frozen(component: Component, at: u64, lasts: u64) -> TimelineEntry {
    let cluster = CLUSTER;
    let fault = Fault::Frozen { cluster, component };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

/// Endpoints' publications, over several replications.
fn publications(scenario: &Scenario) -> Vec<Vec<f64>> {
    (0..20)
        .map(|replication| at_end(scenario, replication, published))
        .collect()
}

fn ready(domain: &Domain<'_>) -> usize {
    domain.pods.iter().filter(|pod| pod.ready).count()
}

#[test]
fn rules_and_deployments_stand_still_and_catch_up() {
    let mut scenario = fleet(2, 33, 800);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    scenario.timeline = vec![api_down(10, 600, 3), pod_kill(20)];
    let record = run(&scenario);
    let users = &record.traffic[0];
    // A dead pod keeps its half of new connections through the whole outage.
    let failed = users.failures.iter().sum::<u64>();
    assert!((5_400..6_900).contains(&failed), "{failed} of 11,800");
    let last = users.failing.last().unwrap().1.as_secs_f64();
    // A new leader within 6.4 s; watches of nodes within a minute.
    assert!((610.0..671.5).contains(&last), "{last}");
    for times in publications(&scenario) {
        assert!(
            times[0] >= 610.0 + 2.0 && times[0] < 610.0 + 4.4 + 2.2,
            "{times:?}"
        );
    }
    at_end(&scenario, 0, |domain| assert_eq!(ready(domain), 2));
    scenario.run.duration = Duration::from_secs(605);
    at_end(&scenario, 0, |domain| assert_eq!(domain.pods.len(), 2));
}

#[test]
fn a_leader_survives_an_outage_shorter_than_its_deadline() {
    let mut scenario = fleet(2, 33, 100);
    scenario.timeline = vec![api_down(10, 9, 3), pod_kill(15)];
    for times in publications(&scenario) {
        // Its watch is back after pauses of 0.8, 1.6, 3.2 and 6.4 s, each up to twice as long.
        assert!(times[0] >= 19.0 && times[0] < 19.0 + 12.9, "{times:?}");
    }
}

#[test]
fn a_node_that_dies_in_an_outage_is_found_a_grace_period_after_it() {
    let mut scenario = fleet(2, 33, 500);
    scenario.timeline = vec![api_down(10, 300, 3), node_down(100, 0, None)];
    for times in publications(&scenario) {
        // The new leader begins 2 to 6.4 s after, and everybody has its 50 s from then on.
        assert!(
            times[0] >= 310.0 + 52.0 && times[0] < 310.0 + 56.6,
            "{times:?}"
        );
    }
}

#[test]
fn kubelets_that_could_not_renew_are_not_lost() {
    let mut scenario = fleet(3, 33, 900);
    scenario.timeline = vec![api_down(10, 600, 3)];
    at_end(&scenario, 0, |domain| {
        assert_eq!(published(domain), []);
        assert_eq!(ready(domain), 3);
    });
}

#[test]
fn one_api_server_of_three_is_hardly_missed() {
    let mut scenario = fleet(2, 33, 200);
    scenario.timeline = vec![api_down(10, 150, 1), pod_kill(50)];
    for times in publications(&scenario) {
        assert!(times[0] < 50.2, "{times:?}");
    }
    // Lost together with its machine, one leader in three is replaced within 24 + 2 s.
    scenario.timeline = vec![api_down(10, 150, 1), pod_kill(11)];
    let late = publications(&scenario);
    let late = late.iter().filter(|times| times[0] > 11.2 + 1.8);
    let late: Vec<_> = late.collect();
    assert!((2..14).contains(&late.len()), "{late:?}");
    assert!(late.iter().all(|times| times[0] < 10.0 + 26.0), "{late:?}");
}

#[test]
fn without_quorum_nothing_is_written() {
    let etcd = |count| Fault::EtcdDown {
        cluster: CLUSTER,
        count,
    };
    let mut scenario = fleet(2, 33, 400);
    scenario.timeline = vec![fault_at(10_000, etcd(2), Some(200_000)), pod_kill(20)];
    for times in publications(&scenario) {
        // An election of etcd, and a new leader of the controllers.
        assert!(times[0] >= 212.0 && times[0] < 216.7, "{times:?}");
    }
    scenario.timeline = vec![fault_at(10_000, etcd(1), Some(200_000)), pod_kill(20)];
    for times in publications(&scenario) {
        assert!(times[0] < 20.2, "one of three is no matter: {times:?}");
    }
    // In the moment of its loss writes may stall, for one to two seconds if it led.
    scenario.timeline = vec![fault_at(10_000, etcd(1), Some(200_000)), pod_kill(10)];
    let stalled = publications(&scenario);
    let stalled = stalled.iter().filter(|times| times[0] > 11.0);
    let stalled: Vec<_> = stalled.collect();
    assert!((2..14).contains(&stalled.len()), "{stalled:?}");
    assert!(stalled.iter().all(|times| times[0] < 12.2), "{stalled:?}");
}

#[test]
fn without_controllers_nothing_is_replaced() {
    let mut scenario = fleet(2, 33, 300);
    scenario.timeline = vec![down(Component::ControllerManager, 10, 100), pod_kill(20)];
    for times in publications(&scenario) {
        // Its start, and a lease that was last renewed by another process.
        assert!(
            times[0] >= 110.0 + 17.0 && times[0] < 110.0 + 26.0,
            "{times:?}"
        );
    }
}

#[test]
fn without_a_scheduler_pods_wait() {
    let mut scenario = fleet(2, 33, 100);
    scenario.timeline = vec![down(Component::Scheduler, 10, 100), pod_kill(20)];
    at_end(&scenario, 0, |domain| {
        assert_eq!(domain.workloads[0].pending.len(), 1);
        assert_eq!(ready(domain), 1);
    });
    scenario.run.duration = Duration::from_secs(200);
    at_end(&scenario, 0, |domain| {
        assert_eq!(domain.workloads[0].pending.len(), 0);
        assert_eq!(ready(domain), 2);
    });
}

#[test]
fn a_frozen_controller_acts_when_it_thaws() {
    let mut scenario = fleet(2, 33, 200);
    scenario.timeline = vec![frozen(Component::ControllerManager, 10, 100), pod_kill(20)];
    for times in publications(&scenario) {
        assert!(times[0] >= 110.0 && times[0] < 110.2, "{times:?}");
    }
}

#[test]
fn kubelets_restart_containers_and_say_so_later() {
    let mut scenario = fleet(1, 33, 200);
    let crash = Fault::ContainerCrash {
        cluster: CLUSTER,
        workload: WorkloadId(0),
        count: 1,
    };
    scenario.timeline = vec![api_down(10, 300, 3), fault_at(60_000, crash, None)];
    at_end(&scenario, 0, |domain| {
        let pod = &domain.pods[0];
        assert_eq!((pod.restarts, pod.phase), (1, Phase::Running));
        // Nobody could be told that it was not ready for a moment.
        assert!(pod.ready && published(domain).is_empty());
    });
    scenario.run.duration = Duration::from_secs(400);
    at_end(&scenario, 0, |domain| assert_eq!(ready(domain), 1));
}

#[test]
fn a_rollout_stands_still_where_it_is() {
    let mut scenario = fleet(4, 33, 40);
    let mut template = Box::new(scenario.clusters[0].workloads[0].template.clone());
    template.behavior.response_bytes += 1;
    let change = Change::Template(WorkloadId(0), template);
    scenario.timeline = vec![apply(30, change), api_down(31, 150, 3)];
    let pods = |scenario: &Scenario| {
        at_end(scenario, 0, |domain| {
            let kept = domain.pods.iter().filter(|pod| !pod.deleted);
            let new = kept.clone().filter(|pod| pod.revision == 1);
            (kept.count(), new.count())
        })
    };
    let begun = pods(&scenario);
    assert!(begun.1 > 0 && begun.1 < 4, "{begun:?}");
    scenario.run.duration = Duration::from_secs(180);
    assert_eq!(pods(&scenario), begun);
    scenario.run.duration = Duration::from_secs(400);
    assert_eq!(pods(&scenario), (4, 4));
}

#[test]
fn budgets_are_not_counted_without_their_controller() {
    let mut scenario = fleet(3, 33, 99);
    scenario.clusters[0].budgets = vec![budget(2)];
    let stop = down(Component::ControllerManager, 10, 90);
    scenario.timeline = vec![stop, drain(20, 0), drain(20, 1)];
    // What was allowed before is used up, and nobody replaces what has gone.
    let deleted = |scenario: &Scenario| {
        at_end(scenario, 0, |domain| {
            domain.pods.iter().filter(|pod| pod.deleted).count()
        })
    };
    assert_eq!(deleted(&scenario), 1);
    scenario.run.duration = Duration::from_secs(150);
    assert_eq!(deleted(&scenario), 2);
}

#[test]
fn names_are_answered_without_an_api_server() {
    let mut scenario = super::network::pair();
    scenario.run.duration = Duration::from_secs(120);
    scenario.clusters[0].dns.ttl = Duration::ZERO;
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(5.0));
    scenario.timeline = vec![api_down(10, 100, 3)];
    let record = run(&scenario);
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 0);
    assert!(record.traffic[0].succeeded > 500);
}

#[test]
fn a_dns_that_starts_in_an_outage_knows_no_names_until_it_has_its_lists() {
    for (down_for, failed) in [(100, 2), (1, 0)] {
        let mut scenario = super::network::pair();
        scenario.run.duration = Duration::from_secs(200);
        scenario.clusters[0].dns.ttl = Duration::ZERO;
        // The last one more than a minute after the API servers are back.
        scenario.traffic[0].arrivals = at_milliseconds(&[15_000, 30_000, 109_000, 171_000]);
        let restart = Fault::DnsThrottled {
            cluster: CLUSTER,
            capacity: 0.0,
        };
        let restart = fault_at(20_000, restart, Some(5_000));
        scenario.timeline = vec![api_down(10, down_for, 3), restart];
        let users = &run(&scenario).traffic[0];
        assert_eq!(users.failures.iter().sum::<u64>(), failed, "{down_for} s");
        assert_eq!(users.succeeded, 4 - failed);
    }
}

/// Whether a node's rules are as published.
fn is_behind(domain: &Domain<'_>, node: usize) -> bool {
    domain.nodes[node].view.position() < domain.endpoint_log.len()
}

#[test]
fn a_kube_proxy_that_stands_keeps_its_rules() {
    for stop in [down, frozen] {
        let mut scenario = fleet(2, 33, 100);
        scenario.timeline = vec![stop(Component::KubeProxy(0), 10, 100), pod_kill(20)];
        at_end(&scenario, 0, |domain| {
            assert!(is_behind(domain, 0));
            assert!(!is_behind(domain, 1));
        });
        scenario.run.duration = Duration::from_secs(112);
        at_end(&scenario, 0, |domain| assert!(!is_behind(domain, 0)));
    }
}

#[test]
fn a_kube_proxy_restarted_in_an_outage_waits_for_its_lists() {
    let mut scenario = fleet(2, 33, 90);
    let restart = down(Component::KubeProxy(0), 30, 5);
    scenario.timeline = vec![pod_kill(29), api_down(30, 70, 3), restart];
    at_end(&scenario, 0, |domain| {
        assert!(!domain.nodes[0].kube_proxy.has_lists());
    });
    scenario.run.duration = Duration::from_secs(170);
    at_end(&scenario, 0, |domain| {
        assert!(domain.nodes[0].kube_proxy.has_lists());
        assert!(!is_behind(domain, 0));
    });
}
