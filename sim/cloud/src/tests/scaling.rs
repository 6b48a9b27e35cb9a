//! Autoscaling in time: what a step of load sets going, and when.

use super::control::entry;
use super::nodes::at_end;
use super::{fault_at, ideal, milliseconds, workload};
use crate::kubernetes::autoscaling::Settings;
use crate::scenario::*;
use crate::{Options, compile, simulate};
use engine::{Duration, Seed, Time};

/// Two pods of one worker each, a tenth of a second for each request and a whole core
/// requested; an autoscaler that aims at half of it.
pub(crate) fn scaled(points: Vec<(Time, f64)>, duration: Duration) -> Scenario {
    let mut web = workload("web", 2, 1, milliseconds(100));
    web.template.placement.requests.cpu_milli = 1_000;
    let arrivals = Arrivals::Constant(RateProfile::Piecewise(points));
    let mut scenario = ideal(vec![web], arrivals, duration);
    scenario.clusters[0].services[0].balance = Balance::RoundRobin;
    scenario.clusters[0].autoscalers = vec![Autoscaler {
        namespace: "default".into(),
        name: "web".into(),
        workload: WorkloadId(0),
        replicas_min: 2,
        replicas_max: 6,
        metrics: vec![Metric::CpuUtilization(50)],
        behavior: None,
    }];
    scenario
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// Pods that served throughout each second, in one replication.
fn pods_over_time(scenario: &Scenario, replication: u32) -> Vec<u64> {
    let seed = Seed {
        master: 1,
        replication,
    };
    let record = simulate(&compile(scenario), seed, &Options::default());
    let steps = record.workloads[0].capacity_steps_ns.iter();
    steps
        .map(|step| step / 1_000_000_000)
        .map(|pods| pods as u64)
        .collect()
}

#[test]
fn a_step_of_load_is_seen_within_a_minute() {
    // Ten a second are half a core for each of two pods; twenty need four.
    let points = vec![(at(0), 10.0), (at(100), 10.0), (at(100), 20.0)];
    let scenario = scaled(points, Duration::from_secs(200));
    for replication in 0..20 {
        let pods = pods_over_time(&scenario, replication);
        let first = pods.iter().position(|&pods| pods > 2).expect("it scales");
        // Two seconds of the step must be in a sample, which is up to two readings of 15 s;
        // then up to 10 s for the kubelet, 15 s for the sync, and 2 s for the pod to start.
        assert!((104..=145).contains(&first), "first new pod at {first} s");
        assert_eq!(pods[99], 2);
        let last = pods
            .iter()
            .rposition(|&pods| pods < 4)
            .expect("it began with two");
        assert!((104..=160).contains(&last), "three pods still at {last} s");
        // Four are enough. A sample that still holds the time of too few may ask for a fifth,
        // which stays for five minutes.
        assert!((4..=5).contains(&pods[199]), "{} pods", pods[199]);
    }
}

#[test]
fn replicas_fall_five_minutes_after_the_load() {
    let points = vec![(at(0), 20.0), (at(100), 20.0), (at(100), 10.0)];
    let mut scenario = scaled(points, Duration::from_secs(500));
    scenario.clusters[0].workloads[0].replicas = 4;
    let window = Settings::of(33).downscale_stabilization.as_secs_f64() as usize;
    for replication in 0..10 {
        let pods = pods_over_time(&scenario, replication);
        let fall = pods
            .iter()
            .rposition(|&pods| pods >= 4)
            .expect("four at first");
        // Four pods were last wanted by the sync that saw the last sample before the step or
        // one with little of the fall in it.
        assert!(
            (100 + window - 15..=100 + window + 60).contains(&fall),
            "{fall}"
        );
        assert_eq!(pods[480], 2);
    }
}

#[test]
fn no_metric_and_no_request_leave_the_replicas_alone() {
    let points = vec![(at(0), 19.0)];
    let mut scenario = scaled(points, Duration::from_secs(120));
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .requests
        .cpu_milli = 0;
    assert!(pods_over_time(&scenario, 0).iter().all(|&pods| pods == 2));
    // By the rate of requests instead: 19 a second at five for each pod.
    scenario.clusters[0].autoscalers[0].metrics = vec![Metric::RequestsAverage(5.0)];
    let pods = pods_over_time(&scenario, 0)[119];
    assert!((4..=5).contains(&pods), "{pods} pods");
}

/// The same in a cluster with a network and a control plane that can fail.
fn in_a_cluster(points: Vec<(Time, f64)>, duration: Duration) -> Scenario {
    let mut scenario = entry();
    let described = scaled(points, duration);
    let [theirs] = &described.clusters[..] else {
        unreachable!("it has one cluster")
    };
    let cluster = &mut scenario.clusters[0];
    cluster.workloads = theirs.workloads.clone();
    cluster.autoscalers = theirs.autoscalers.clone();
    scenario.traffic[0].arrivals = described.traffic[0].arrivals.clone();
    scenario.run = described.run;
    scenario
}

fn api_down(at: u64, lasts: u64) -> TimelineEntry {
    let fault = Fault::ApiServerDown {
        cluster: ClusterId(0),
        count: 3,
    };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

fn controllers_down(at: u64, lasts: u64) -> TimelineEntry {
    let fault = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::ControllerManager,
    };
    fault_at(at * 1_000, fault, Some(lasts * 1_000))
}

/// The second at which there are first more than two pods.
fn first_rise(scenario: &Scenario, replication: u32) -> usize {
    let pods = pods_over_time(scenario, replication);
    pods.iter().position(|&pods| pods > 2).expect("it scales")
}

#[test]
fn nothing_is_scaled_while_the_api_server_is_down() {
    let points = vec![(at(0), 10.0), (at(100), 10.0), (at(100), 20.0)];
    let mut scenario = in_a_cluster(points, Duration::from_secs(450));
    scenario.timeline = vec![api_down(95, 300)];
    for replication in 0..8 {
        let wanted = wanted_more_ms(&scenario, replication);
        // A new leader after 2 to 6.4 s and a sync within 15 s, which reads and writes.
        assert!((397_000..416_420).contains(&wanted), "{wanted}");
    }
}

#[test]
fn nothing_is_scaled_without_a_controller_manager() {
    let points = vec![(at(0), 10.0), (at(100), 10.0), (at(100), 20.0)];
    let mut scenario = in_a_cluster(points, Duration::from_secs(300));
    scenario.timeline = vec![controllers_down(95, 100)];
    for replication in 0..20 {
        let rise = first_rise(&scenario, replication);
        // Its lease and its start take 17 to 26 s.
        assert!((214..=239).contains(&rise), "{rise}");
    }
}

#[test]
fn a_new_controller_manager_has_forgotten_what_it_recommended() {
    let points = vec![(at(0), 20.0), (at(100), 20.0), (at(100), 10.0)];
    let mut scenario = in_a_cluster(points, Duration::from_secs(700));
    scenario.clusters[0].workloads[0].replicas = 4;
    scenario.timeline = vec![controllers_down(250, 10)];
    for replication in 0..10 {
        let pods = pods_over_time(&scenario, replication);
        let fall = pods.iter().rposition(|&pods| pods >= 4).unwrap();
        // It begins 17 to 26 s after the end, at a sync within 15 s: what is wanted then holds
        // for 300 s, and the next sync that may is the one after.
        assert!((592..=618).contains(&fall), "{fall}");
        assert_eq!(pods[650], 2);
    }
}

/// When more than two replicas are wanted first, in milliseconds.
fn wanted_more_ms(scenario: &Scenario, replication: u32) -> u64 {
    let until = scenario.run.duration.as_nanos() / 1_000_000;
    let (mut low, mut high) = (100_000, until);
    while high - low > 1 {
        let middle = (low + high) / 2;
        let mut until = scenario.clone();
        until.run.duration = Duration::from_millis(middle);
        if at_end(&until, replication, |domain| {
            domain.workloads[0].replicas > 2
        }) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[test]
fn a_slow_api_server_delays_the_scale_by_two_reads_and_a_write() {
    let points = vec![(at(0), 10.0), (at(100), 10.0), (at(100), 20.0)];
    let mut scenario = in_a_cluster(points, Duration::from_secs(200));
    let usual = wanted_more_ms(&scenario, 0);
    let slow = Fault::ApiServerSlow {
        cluster: ClusterId(0),
        factor: 101.0,
    };
    scenario.timeline = vec![fault_at(90_000, slow, None)];
    // A hundred times 3 + 3 + 5 ms more.
    assert_eq!(wanted_more_ms(&scenario, 0), usual + 1_100);
}
