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
