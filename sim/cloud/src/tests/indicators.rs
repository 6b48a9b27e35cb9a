//! Kubernetes' service-level indicators, counted on small clusters.

use super::control::{entry, scale};
use super::nodes::fleet;
use super::*;
use crate::record::{IndicatorRecord, Record, ViewKind};

/// What was counted of an indicator, over all that it covers.
fn counted(record: &Record, indicator: Indicator) -> Vec<&IndicatorRecord> {
    let all = record.indicators.iter();
    all.filter(|counted| indicator.covers(counted.indicator))
        .collect()
}

#[test]
fn network_programming_is_counted_for_each_change_and_node() {
    let mut scenario = entry();
    scenario.clusters[0].services.push(service("other", 0));
    scenario.timeline = vec![scale(30, 1)];
    let record = run(&scenario);
    let all = counted(&record, Indicator::NetworkProgramming(None));
    let services: Vec<_> = all.iter().map(|counted| counted.indicator).collect();
    let of = |service| Indicator::NetworkProgramming(Some(ServiceId(service)));
    assert_eq!(services, [of(0), of(1)]);
    let mut sum_ns = 0;
    for service in all {
        // Two nodes each, by the moment of the change: the pod is on its way out, then gone.
        assert_eq!(service.steps.len(), 1);
        assert_eq!(service.steps[0].step, 30);
        assert_eq!(service.steps[0].latency.count(), 4);
        sum_ns += service.steps[0].latency_sum_ns;
    }
    let mut views = record.views.iter();
    let view = views.find(|view| view.kind == ViewKind::KubeProxy).unwrap();
    assert_eq!((view.updates, view.staleness_sum_ns), (8, sum_ns));
}

#[test]
fn what_changed_in_the_warm_up_is_not_counted() {
    let mut scenario = entry();
    scenario.timeline = vec![scale(30, 1)];
    let seed = Seed {
        master: 1,
        replication: 0,
    };
    let options = Options {
        warm_up: Duration::from_secs(31),
        ..Options::default()
    };
    let record = simulate(&compile(&scenario), seed, &options);
    assert!(record.indicators.is_empty());
}

/// Start-up latencies of the first workload's pods over replications, in seconds.
fn start_ups(scenario: &Scenario, replications: u32) -> Vec<(u64, f64)> {
    (0..replications)
        .map(|replication| {
            let seed = Seed {
                master: 1,
                replication,
            };
            let record = simulate(&compile(scenario), seed, &Options::default());
            let of_web = Indicator::PodStartup(Some(WorkloadId(0)));
            let counted = counted(&record, of_web);
            let steps = counted.iter().flat_map(|counted| &counted.steps);
            steps.fold((0, 0.0), |(count, sum), step| {
                let seconds = step.latency_sum_ns as f64 * 1e-9;
                (count + step.latency.count(), sum + seconds)
            })
        })
        .collect()
}

#[test]
fn a_pod_has_started_when_that_is_seen() {
    let mut scenario = fleet(2, 33, 60);
    // What the application needs beyond its container counts as init.
    scenario.clusters[0].workloads[0].template.start_up = Duration::from_secs(20);
    scenario.timeline = vec![scale(30, 3)];
    let all = start_ups(&scenario, 400);
    assert!(all.iter().all(|(count, _)| *count == 1));
    let seconds: Vec<f64> = all.iter().map(|(_, seconds)| *seconds).collect();
    let least = seconds.iter().copied().fold(f64::MAX, f64::min);
    let greatest = seconds.iter().copied().fold(0.0, f64::max);
    let mean = seconds.iter().sum::<f64>() / 400.0;
    // Scheduler 10 ms, watch 5 ms, sandbox and container 1 s, up to 1 s until the kubelet looks,
    // a write and a watch of 5 ms each.
    assert!((1.025..1.04).contains(&least), "{least}");
    assert!((2.01..2.025001).contains(&greatest), "{greatest}");
    // Standard error: 1 / sqrt(12 * 400) = 0.015 s.
    assert!((mean - 1.525).abs() < 0.06, "{mean}");
}

#[test]
fn pods_that_wait_for_room_are_not_counted() {
    let mut scenario = fleet(1, 33, 60);
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .requests
        .cpu_milli = 1_500;
    // There is room for two; the third comes when one of them has gone.
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        count: 1,
    };
    scenario.timeline = vec![scale(20, 3), fault_at(30_000, kill, None)];
    let counted: Vec<u64> = start_ups(&scenario, 10)
        .iter()
        .map(|(count, _)| *count)
        .collect();
    assert_eq!(counted, [1; 10]);
}

#[test]
fn calls_take_as_long_as_the_server_is_slow() {
    let mut scenario = fleet(2, 33, 100);
    let kill = |at: u64| {
        let fault = Fault::PodKill {
            cluster: ClusterId(0),
            workload: WorkloadId(0),
            count: 1,
        };
        fault_at(at * 1_000, fault, None)
    };
    let slow = Fault::ApiServerSlow {
        cluster: ClusterId(0),
        factor: 100.0,
    };
    scenario.timeline = vec![kill(10), fault_at(40_000, slow, None), kill(50)];
    let record = run(&scenario);
    let calls = counted(&record, Indicator::ApiMutating);
    assert_eq!(calls.len(), 1);
    let (mut before, mut after) = (0, 0);
    for step in &calls[0].steps {
        let count = step.latency.count();
        let each_ms = if step.step < 40 { 5 } else { 500 };
        assert_eq!(
            step.latency_sum_ns,
            u128::from(count * each_ms) * 1_000_000,
            "at {} s",
            step.step
        );
        if step.step < 40 {
            before += count;
        } else {
            after += count;
        }
    }
    // The same is written for each pod that dies.
    assert!(before > 0);
    assert_eq!(before, after);
}

#[test]
fn calls_wait_for_a_leader_of_etcd() {
    let mut scenario = fleet(2, 33, 60);
    let etcd = Fault::EtcdDown {
        cluster: ClusterId(0),
        count: 1,
    };
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        count: 1,
    };
    scenario.timeline = vec![fault_at(10_000, etcd, None), fault_at(10_000, kill, None)];
    let greatest = |replication| {
        let seed = Seed {
            master: 1,
            replication,
        };
        let record = simulate(&compile(&scenario), seed, &Options::default());
        let calls = counted(&record, Indicator::ApiMutating);
        let first = &calls[0].steps[0];
        assert_eq!(first.step, 10);
        first.latency.quantile_ns(1.0).unwrap()
    };
    let stalled = (0..60).map(greatest).filter(|&nanos| nanos > 10_000_000);
    let stalled: Vec<_> = stalled.collect();
    // One member in three led; electing another takes one to two seconds.
    assert!((10..30).contains(&stalled.len()), "{} of 60", stalled.len());
    assert!(
        stalled
            .iter()
            .all(|nanos| (990_000_000..2_050_000_000).contains(nanos)),
        "{stalled:?}"
    );
}
