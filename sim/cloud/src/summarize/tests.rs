//! Records by hand, summaries by hand.

use super::verdicts::judge;
use super::*;
use crate::compile;
use crate::record::{
    CallKey, CallRecord, Caller, IndicatorRecord, IndicatorStep, ProxyKey, ProxyRecord, Sketch,
    StepRecord, ViewKind, ViewRecord, WaitStep, WorkloadRecord,
};
use crate::scenario::*;
use crate::summary::Outcome;
use crate::tests::{ideal, traffic, workload};
use engine::{Distribution, Time};
use proptest::prelude::*;
use stats::{Estimate, Method};

const MILLISECOND: u64 = 1_000_000;

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// Two sources, one workload, a minute in steps of ten seconds.
fn scenario() -> Scenario {
    let work = Distribution::constant(Duration::from_millis(10));
    let mut scenario = ideal(
        vec![workload("web", 2, 4, work)],
        Arrivals::Poisson(RateProfile::Constant(1.0)),
        Duration::from_secs(60),
    );
    let mut second = traffic(Arrivals::Poisson(RateProfile::Constant(1.0)));
    scenario.traffic[0].name = "alice".into();
    second.name = "bob".into();
    scenario.traffic.push(second);
    scenario.run.series_step = Duration::from_secs(10);
    scenario.run.confidence = 0.95;
    scenario
}

/// A source that was answered after so many milliseconds each, in the first step, and failed
/// some requests in the second.
fn source(latencies_ms: &[u64], failed: u64) -> TrafficRecord {
    let mut record = traffic::together(&[]);
    record.steps = vec![StepRecord::default(); 6];
    for milliseconds in latencies_ms {
        let latency = Duration::from_millis(*milliseconds);
        record.latency.record(latency.as_nanos()).unwrap();
        record.latency_sum_ns += u128::from(latency.as_nanos());
        record.steps[0].latency.record(latency);
        record.steps[0].latency_sum_ns += u128::from(latency.as_nanos());
    }
    let succeeded = latencies_ms.len() as u64;
    record.succeeded = succeeded;
    record.failures[Reason::Timeout as usize] = failed;
    record.attempts = succeeded + 2 * failed;
    record.in_flight = 1;
    record.sent = succeeded + failed + 1;
    record.steps[0].sent = succeeded;
    record.steps[0].succeeded = succeeded;
    record.steps[0].attempts = succeeded;
    record.steps[1].sent = failed;
    record.steps[1].failed = failed;
    record.steps[1].attempts = 2 * failed;
    record
}

fn station(busy_s: u64) -> WorkloadRecord {
    let nanos = |seconds: u64| u128::from(seconds) * 1_000_000_000;
    let mut sojourn = crate::meter::histogram();
    let mut square_sum = 0;
    for milliseconds in [10, 30] {
        sojourn.record(milliseconds * MILLISECOND).unwrap();
        square_sum += u128::from(milliseconds * MILLISECOND).pow(2);
    }
    WorkloadRecord {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        arrived: 5,
        finished: 2,
        rejected: 1,
        lost: 0,
        started: 4,
        waited: 1,
        wait: None,
        wait_sum_ns: u128::from(8 * MILLISECOND),
        sojourn: Some(sojourn),
        sojourn_sum_ns: u128::from(40 * MILLISECOND),
        sojourn_square_sum_ns2: square_sum,
        in_system_ns: nanos(30),
        busy_ns: nanos(busy_s),
        capacity_ns: nanos(100),
        busy_steps_ns: vec![nanos(busy_s), 0],
        capacity_steps_ns: vec![nanos(50), nanos(50)],
        wait_steps: vec![WaitStep {
            started: 4,
            wait_sum_ns: u128::from(8 * MILLISECOND),
        }],
    }
}

fn record(replication: u32, alice: TrafficRecord, bob: TrafficRecord) -> Record {
    Record {
        replication,
        digest: u64::from(replication) + 7,
        events: 10,
        from: Time::ZERO,
        until: at(60),
        traffic: vec![alice, bob],
        workloads: vec![station(20 * (u64::from(replication) + 1))],
        sidecars: Vec::new(),
        calls: vec![],
        flags: vec![],
        views: vec![],
        proxies: vec![],
        indicators: vec![],
        canaries: vec![],
        ztunnels: vec![],
    }
}

fn two_records() -> Vec<Record> {
    vec![
        record(0, source(&[10, 20], 2), source(&[30], 0)),
        record(1, source(&[30, 40], 0), source(&[50], 0)),
    ]
}

fn summary(scenario: &Scenario, records: &[Record]) -> Summary {
    summarize(&compile(scenario), records, &WarmUp::NONE)
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-12 * right.abs().max(1e-12)
}

#[test]
fn totals_and_means_by_hand() {
    let summary = summary(&scenario(), &two_records());
    let names: Vec<&str> = summary
        .traffic
        .iter()
        .map(|traffic| &*traffic.name)
        .collect();
    assert_eq!(names, ["alice", "bob", "all"]);
    let alice = &summary.traffic[0];
    assert_eq!(
        (alice.requests, alice.succeeded, alice.in_flight),
        (8, 4, 2)
    );
    assert_eq!(
        (alice.failures[0].reason, alice.failures[0].count),
        ("UT", 2)
    );
    assert!(close(alice.availability.value, 4.0 / 6.0));
    // 2 per minute in both replications.
    assert!(close(alice.throughput.value, 2.0 / 60.0));
    assert_eq!(alice.throughput.half_width(), Some(0.0));
    assert!(close(alice.attempts.value, (2.0 + 4.0 + 2.0) / 6.0));
    assert!(close(alice.latency.mean.value, 0.025));
    assert_eq!(alice.latency.mean.method, Method::StudentT);
    // Means 15 and 35 ms, half-width t(1; 0.975) · 10 ms · √2 / √2.
    let half_width = 12.706_204_736_174_7 * 0.010;
    assert!((alice.latency.mean.half_width().unwrap() - half_width).abs() < 1e-9);
    assert!((alice.latency.p50.value - 0.020).abs() < 2e-5);
    assert_eq!(alice.latency.p50.low, None);
    assert!((alice.latency.max - 0.040).abs() < 4e-5);
    let all = &summary.traffic[2];
    assert_eq!((all.requests, all.succeeded, all.in_flight), (12, 6, 4));
    assert!(close(all.latency.mean.value, 0.030));
}

#[test]
fn one_source_has_no_total_of_its_own() {
    let mut scenario = scenario();
    scenario.traffic.truncate(1);
    let mut records = two_records();
    records
        .iter_mut()
        .for_each(|record| record.traffic.truncate(1));
    assert_eq!(summary(&scenario, &records).traffic.len(), 1);
}

#[test]
fn series_by_hand() {
    let summary = summary(&scenario(), &two_records());
    let series = &summary.traffic[0].series;
    assert_eq!(series.len(), 6);
    assert!(close(series[0].rate, 4.0 / 2.0 / 10.0));
    assert_eq!(series[0].availability, Some(1.0));
    assert!((series[0].p50.unwrap() - 0.020).abs() < 4e-4);
    assert_eq!(series[1].availability, Some(0.0));
    assert_eq!(series[1].availability_range, Some((0.0, 0.0)));
    assert_eq!((series[1].p50, series[2].availability), (None, None));
    assert!(close(series[5].time_s, 50.0));
}

#[test]
fn workloads_by_hand() {
    let summary = summary(&scenario(), &two_records());
    let web = &summary.workloads[0];
    assert_eq!(
        (&*web.cluster, &*web.name, web.replicas),
        ("cluster", "web", 2)
    );
    // 20 and 40 of 100 worker seconds.
    assert!(close(web.utilization.value, 0.3));
    assert!(close(web.in_system.value, 0.5));
    assert!(close(web.wait_mean.value, 0.002));
    assert!(close(web.waited.value, 0.25));
    assert!(close(web.sojourn_mean.value, 0.020));
    assert!(close(web.sojourn_variance.value, 1e-4));
    assert!(close(web.rejected.value, 0.2));
    assert!(close(web.arrivals.value, 5.0 / 60.0));
    assert_eq!(web.utilization_series, [(0.0, 0.6), (10.0, 0.0)]);
}

#[test]
fn nothing_observed_is_said_so() {
    let records = [
        record(0, source(&[], 0), source(&[], 0)),
        record(1, source(&[], 0), source(&[], 0)),
    ];
    let summary = summary(&scenario(), &records);
    let alice = &summary.traffic[0];
    assert_eq!(alice.latency.mean, Estimate::nothing());
    assert_eq!(alice.latency.p99, Estimate::nothing());
    assert!(alice.percentile_curve.is_empty());
    assert_eq!(alice.availability.samples, 0);
}

#[test]
fn calls_and_views_are_added_over_replications() {
    let key = CallKey {
        caller: Caller::Traffic(TrafficId(0)),
        caller_zone: None,
        service: Some((ClusterId(0), 0)),
        answered: Some((WorkloadId(0), 0)),
    };
    let lost = CallKey {
        service: None,
        answered: None,
        ..key
    };
    let call = |key, succeeded: u64| CallRecord {
        key,
        attempts: 3,
        succeeded,
        failures: Default::default(),
        latency_sum_ns: u128::from(succeeded * 10 * MILLISECOND),
        latency: Sketch::default(),
    };
    let view = |seconds: u64| ViewRecord {
        kind: ViewKind::KubeProxy,
        partition: 0,
        updates: 1,
        staleness_sum_ns: u128::from(seconds) * 1_000_000_000,
        staleness_max: Duration::from_secs(seconds),
    };
    let mut records = two_records();
    records[0].calls = vec![call(lost, 0), call(key, 3)];
    records[1].calls = vec![call(key, 1)];
    records[0].views = vec![view(1)];
    records[1].views = vec![view(3)];
    let summary = summary(&scenario(), &records);
    let told: Vec<(&str, u64, u64)> = summary
        .calls
        .iter()
        .map(|call| (&*call.destination, call.attempts, call.succeeded))
        .collect();
    assert_eq!(
        told,
        [("name not resolved", 3, 0), ("cluster/default/web", 6, 4)]
    );
    assert!(close(summary.calls[1].latency_mean, 0.010));
    assert_eq!(summary.views[0].place, "cluster");
    assert!(close(summary.views[0].staleness_mean, 2.0));
    assert!(close(summary.views[0].staleness_max, 3.0));
}

fn fault(start_s: u64, lasts: Option<u64>) -> TimelineEntry {
    TimelineEntry {
        at: at(start_s),
        label: format!("fault at {start_s}"),
        action: Action::Fault {
            fault: Fault::Failing {
                cluster: ClusterId(0),
                workload: WorkloadId(0),
                error_rate: 1.0,
            },
            lasts: lasts.map(Duration::from_secs),
        },
    }
}

/// Recovery of alice from the first fault when her requests failed in these stretches.
fn recovery(timeline: Vec<TimelineEntry>, failing: &[(u64, u64)]) -> Vec<f64> {
    let mut scenario = scenario();
    scenario.timeline = timeline;
    let mut record = record(0, source(&[10], 1), source(&[10], 0));
    record.traffic[0].failing = failing
        .iter()
        .map(|&(first, last)| (at(first), at(last)))
        .collect();
    summary(&scenario, &[record]).recovery[0].values.clone()
}

#[test]
fn a_fault_is_charged_with_the_first_stretch_it_can_have_caused() {
    // Requests on their way when it struck began before it.
    assert_eq!(
        recovery(vec![fault(10, Some(20))], &[(9, 14), (29, 31)]),
        [4.0]
    );
    // What ended before it is not its doing; nor what begins long after it is lifted.
    assert!(recovery(vec![fault(10, Some(5))], &[(1, 9), (40, 41)]).is_empty());
    // A fault that stays may be felt late.
    assert_eq!(recovery(vec![fault(10, None)], &[(40, 45)]), [35.0]);
    // What begins after the next fault is that one's doing.
    assert!(recovery(vec![fault(10, None), fault(30, None)], &[(40, 45)]).is_empty());
}

#[test]
fn what_cannot_be_told_about_a_recovery_is_counted() {
    let mut scenario = scenario();
    scenario.timeline = vec![fault(20, None)];
    scenario.objectives = [TrafficId(0), TrafficId(1)]
        .map(|traffic| Objective {
            measure: Measure {
                quantity: Quantity::Recovery(traffic, 0),
                window: None,
            },
            comparison: Comparison::AtMost(10.0),
        })
        .to_vec();
    let mut records = two_records();
    for record in &mut records {
        // Alice's requests failed long before the fault, and bob's do not stop failing.
        record.traffic[0].failing = vec![(at(2), at(30))];
        record.traffic[1].failing = vec![(at(20), at(58))];
    }
    let told = summary(&scenario, &records);
    let (alice, bob) = (&told.recovery[0], &told.recovery[1]);
    assert_eq!((alice.felt, alice.unclear, alice.recovery), (0, 2, None));
    assert_eq!(
        (bob.felt, bob.unfinished, bob.range),
        (2, 2, Some((38.0, 38.0)))
    );
    assert_eq!(bob.recovery.unwrap().high, None);
    assert_eq!(told.verdicts[0].outcome, Outcome::Undecided);
    assert_eq!(told.verdicts[1].outcome, Outcome::Missed);
    // A request may take that long: then it is the fault's doing.
    scenario.traffic[0].timeout = Some(Duration::from_secs(18));
    assert_eq!(
        summary(&scenario, &records).recovery[0].values,
        [10.0, 10.0]
    );
}

#[test]
fn recovery_over_replications() {
    let mut scenario = scenario();
    scenario.timeline = vec![fault(10, None)];
    let mut records = two_records();
    records.push(record(2, source(&[10], 0), source(&[10], 0)));
    records[0].traffic[0].failing = vec![(at(11), at(18))];
    records[1].traffic[0].failing = vec![(at(11), at(14))];
    scenario.objectives = vec![Objective {
        measure: Measure {
            quantity: Quantity::Recovery(TrafficId(1), 0),
            window: None,
        },
        comparison: Comparison::AtMost(1.0),
    }];
    let summary = summary(&scenario, &records);
    let alice = &summary.recovery[0];
    assert_eq!((alice.felt, alice.range), (2, Some((4.0, 8.0))));
    assert_eq!(alice.values, [4.0, 8.0]);
    assert!(close(alice.recovery.unwrap().value, 6.0));
    // Nobody of bob's felt it: recovered at once.
    assert_eq!(summary.recovery[1].recovery, None);
    assert_eq!(summary.verdicts[0].outcome, Outcome::Met);
    assert_eq!(
        summary.verdicts[0].statement,
        "recovery of bob from fault at 10 at most 1 s"
    );
    assert!(close(summary.marks[0].start_s, 10.0) && summary.marks[0].end_s.is_none());
}

#[test]
fn verdicts_have_three_values() {
    use Comparison::{AtLeast, AtMost, Between};
    let between = |low, high| Estimate {
        value: (low + high) / 2.0,
        low: Some(low),
        high: Some(high),
        samples: 10,
        method: Method::StudentT,
    };
    for (low, high, comparison, outcome) in [
        (1.0, 2.0, AtMost(2.0), Outcome::Met),
        (1.0, 2.0, AtMost(1.5), Outcome::Undecided),
        (1.0, 2.0, AtMost(0.9), Outcome::Missed),
        (1.0, 2.0, AtLeast(1.0), Outcome::Met),
        (1.0, 2.0, AtLeast(1.5), Outcome::Undecided),
        (1.0, 2.0, AtLeast(2.1), Outcome::Missed),
        (1.0, 2.0, Between(0.5, 2.5), Outcome::Met),
        (1.0, 2.0, Between(1.5, 2.5), Outcome::Undecided),
        (1.0, 2.0, Between(1.2, 1.8), Outcome::Undecided),
        (1.0, 2.0, Between(2.5, 3.0), Outcome::Missed),
        (1.0, 2.0, Between(0.1, 0.9), Outcome::Missed),
    ] {
        assert_eq!(
            judge(Some(&between(low, high)), comparison),
            outcome,
            "{low} {comparison:?}"
        );
    }
    assert_eq!(judge(None, AtMost(1.0)), Outcome::Undecided);
    let longer = Estimate {
        high: None,
        ..between(1.0, 2.0)
    };
    assert_eq!(judge(Some(&longer), AtMost(0.9)), Outcome::Missed);
    assert_eq!(judge(Some(&longer), AtMost(9.0)), Outcome::Undecided);
    assert_eq!(judge(Some(&longer), AtLeast(1.0)), Outcome::Met);
    assert_eq!(
        judge(Some(&Estimate::point(0.5)), AtMost(1.0)),
        Outcome::Undecided
    );
}

/// What is found for a quantity of alice, and its statement.
fn found(quantity: Quantity, window: Option<(u64, u64)>) -> (Option<f64>, String) {
    let mut scenario = scenario();
    scenario.expectations = vec![Expectation {
        because: None,
        measure: Measure {
            quantity,
            window: window.map(|(start, end)| (at(start), at(end))),
        },
        comparison: Comparison::AtMost(1.0),
    }];
    let verdict = summary(&scenario, &two_records()).verdicts.remove(0);
    (verdict.found.map(|found| found.value), verdict.statement)
}

#[test]
fn measures_in_a_window_come_from_whole_steps() {
    let alice = Some(TrafficId(0));
    let value = |quantity, window| found(quantity, Some(window)).0;
    assert_eq!(value(Quantity::Availability(alice), (0, 10)), Some(1.0));
    assert_eq!(value(Quantity::Availability(alice), (10, 20)), Some(0.0));
    assert_eq!(value(Quantity::Availability(alice), (1, 19)), None);
    assert!(close(
        value(Quantity::Availability(None), (0, 60)).unwrap(),
        0.75
    ));
    assert!(close(
        value(Quantity::LatencyMean(alice), (0, 10)).unwrap(),
        0.025
    ));
    assert!(close(
        value(Quantity::Throughput(alice), (0, 20)).unwrap(),
        0.1
    ));
    assert_eq!(value(Quantity::Attempts(alice), (10, 20)), Some(2.0));
    let p50 = value(Quantity::LatencyQuantile(alice, 0.5), (0, 20)).unwrap();
    assert!((p50 - 0.020).abs() < 4e-4);
    let (cluster, workload) = (ClusterId(0), WorkloadId(0));
    assert!(close(
        value(Quantity::Utilization(cluster, workload), (0, 10)).unwrap(),
        0.6
    ));
    assert!(close(
        value(Quantity::WaitMean(cluster, workload), (0, 20)).unwrap(),
        0.002
    ));
    assert_eq!(value(Quantity::WaitMean(cluster, workload), (10, 20)), None);
    // The run ends after a minute.
    assert!(close(
        value(Quantity::Throughput(alice), (0, 120)).unwrap(),
        2.0 / 60.0
    ));
    assert_eq!(value(Quantity::Throughput(alice), (60, 120)), None);
    assert!(close(
        found(Quantity::WaitMean(cluster, workload), None)
            .0
            .unwrap(),
        0.002
    ));
}

/// Network programming latencies of two services, in tenths of a second, by step.
fn indicators(latencies: &[(u32, usize, &[u64])]) -> Vec<IndicatorRecord> {
    let all = latencies.iter();
    all.map(|&(service, step, tenths)| {
        let mut counted = IndicatorStep {
            step,
            ..IndicatorStep::default()
        };
        for tenth in tenths {
            let latency = Duration::from_millis(100 * tenth);
            counted.latency.record(latency);
            counted.latency_sum_ns += u128::from(latency.as_nanos());
        }
        IndicatorRecord {
            cluster: ClusterId(0),
            indicator: Indicator::NetworkProgramming(Some(ServiceId(service))),
            steps: vec![counted],
        }
    })
    .collect()
}

#[test]
fn indicators_by_hand() {
    let mut records = two_records();
    records[0].indicators = indicators(&[(0, 0, &[1, 2, 3]), (1, 3, &[9])]);
    records[1].indicators = indicators(&[(0, 0, &[4]), (1, 3, &[9, 9])]);
    let programming = |service: Option<u32>, statistic| {
        let indicator = Indicator::NetworkProgramming(service.map(ServiceId));
        Quantity::Indicator(None, indicator, statistic)
    };
    let half = Statistic::Quantile(0.5);
    let mut scenario = scenario();
    let ask = |quantity, window: Option<(u64, u64)>| Measure {
        quantity,
        window: window.map(|(start, end)| (at(start), at(end))),
    };
    scenario.measures = vec![
        ask(programming(None, Statistic::Mean), None),
        ask(programming(Some(0), Statistic::Mean), None),
        ask(programming(Some(0), half), None),
        ask(programming(None, half), Some((30, 60))),
        ask(programming(Some(0), half), Some((30, 60))),
        ask(Quantity::Indicator(None, Indicator::ApiRead, half), None),
        ask(
            Quantity::Indicator(Some(ClusterId(0)), Indicator::ApiMutating, half),
            None,
        ),
    ];
    let measures = summary(&scenario, &records).measures;
    let told: Vec<_> = measures.iter().map(|measure| &*measure.statement).collect();
    assert_eq!(
        told,
        [
            "mean of network programming latency",
            "mean of network programming latency",
            "p50 of network programming latency",
            "p50 of network programming latency from 30s to 1m",
            "p50 of network programming latency from 30s to 1m",
            "p50 of latency of reading API calls",
            "p50 of latency of mutating API calls in cluster",
        ]
    );
    let found = |position: usize| measures[position].found.map(|found| found.value);
    // 0.1 + 0.2 + 0.3 + 0.9 and 0.4 + 0.9 + 0.9 s, four and three of them.
    assert!(close(found(0).unwrap(), 3.7 / 7.0));
    assert!(close(found(1).unwrap(), 1.0 / 4.0));
    let near = |value: Option<f64>, wanted: f64| (value.unwrap() / wanted - 1.0).abs() < 0.016;
    assert!(near(found(2), 0.2));
    assert!(near(found(3), 0.9));
    assert_eq!([found(4), found(5), found(6)], [None; 3]);
    // Ratios of sums: 0.6 of 3 and 0.4 of 1 around 0.25, residuals -0.15 and 0.15; with one
    // degree of freedom, t · 0.15 / 2.
    let half_width = 12.706_204_736_174_7 * 0.15 / 2.0;
    let mean = measures[1].found.unwrap();
    assert_eq!(mean.method, Method::StudentT);
    assert!((mean.half_width().unwrap() - half_width).abs() < 1e-9);
}

#[test]
fn statements_read_as_sentences() {
    let statement = |quantity, window| found(quantity, window).1;
    assert_eq!(
        statement(
            Quantity::LatencyQuantile(Some(TrafficId(0)), 0.999),
            Some((120, 300))
        ),
        "p99.9 of alice at most 1 s from 2m to 5m"
    );
    assert_eq!(
        statement(Quantity::Availability(None), None),
        "availability of all traffic at most 100 %"
    );
    assert_eq!(
        statement(Quantity::Utilization(ClusterId(0), WorkloadId(0)), None),
        "utilization of cluster/default/web at most 100 %"
    );
}

#[test]
fn the_percentile_curve_stops_where_requests_end() {
    let latencies: Vec<u64> = (1..=1000).collect();
    let records = [
        record(0, source(&latencies, 0), source(&[], 0)),
        record(1, source(&latencies, 0), source(&[], 0)),
    ];
    let summary = summary(&scenario(), &records);
    let curve = &summary.traffic[0].percentile_curve;
    assert_eq!(curve.first().map(|point| point.probability), Some(0.1));
    // 2000 requests: two in a thousand lie beyond 99.9 %, one beyond 99.95 %.
    assert_eq!(curve.last().map(|point| point.probability), Some(0.9995));
    assert!(curve.is_sorted_by_key(|point| point.latency));
    assert!(curve[0].interval.is_some());
    assert!(curve.last().unwrap().interval.is_none());
}

#[test]
fn precision_is_judged_for_every_source() {
    let mut scenario = scenario();
    assert_eq!(summary(&scenario, &two_records()).precision_reached, None);
    scenario.run.replications.precision = Some(0.05);
    assert_eq!(
        summary(&scenario, &two_records()).precision_reached,
        Some(false)
    );
    // Means 15 and 35 ms: t(1; 0.975) · 10 ms of 25 ms is 5.08, to be 1/21 it takes
    // 2 · (5.08 · 21)² replications.
    let told = summary(&scenario, &two_records()).assumptions;
    let ratio: f64 = 12.706_204_736_174_7 * 0.4 * 21.0;
    let needed = 2.0 * ratio * ratio;
    let expected = format!(
        "2 replications do not tell mean latencies to 5 %: it would take about {}.",
        needed.ceil()
    );
    assert_eq!(told, [expected]);
    let steady = [
        record(0, source(&[10], 0), source(&[20], 0)),
        record(1, source(&[10], 0), source(&[20], 0)),
    ];
    assert_eq!(summary(&scenario, &steady).precision_reached, Some(true));
}

proptest! {
    #[test]
    fn the_order_of_records_never_shows(
        runs in prop::collection::vec(
            (prop::collection::vec(1_u64..500, 0..30), 0_u64..5), 2..6),
        seed in 0_usize..100,
    ) {
        let records: Vec<Record> = runs
            .iter()
            .enumerate()
            .map(|(index, (latencies, failed))| {
                record(index as u32, source(latencies, *failed), source(&[7], 0))
            })
            .collect();
        let mut shuffled = records.clone();
        shuffled.rotate_left(seed % runs.len());
        shuffled.swap(0, runs.len() - 1);
        let one = summary(&scenario(), &records);
        let other = summary(&scenario(), &shuffled);
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        prop_assert_eq!(one.traffic[0].succeeded,
            runs.iter().map(|(latencies, _)| latencies.len() as u64).sum::<u64>());
    }
}

#[test]
fn proxies_are_told_of_by_workload_with_the_stalest_by_name() {
    let proxy = |number: u32, behind: u64, updates: u64| ProxyRecord {
        cluster: ClusterId(0),
        proxy: ProxyKey::OfPod {
            workload: WorkloadId(0),
            revision: 0,
            number,
        },
        acted: Duration::from_secs(60),
        behind: Duration::from_secs(behind),
        // One stretch that ends with the greatest lag.
        lag_twice_ns2: u128::from(behind * 1_000_000_000).pow(2),
        lag_max: Duration::from_secs(behind),
        updates,
    };
    let mut records = two_records();
    records[0].proxies = vec![proxy(0, 6, 2), proxy(1, 12, 1)];
    records[1].proxies = vec![proxy(0, 24, 1), proxy(1, 6, 4)];
    let summary = summary(&scenario(), &records);
    let [web] = &summary.proxies[..] else {
        panic!("one workload: {:?}", summary.proxies);
    };
    assert_eq!((&*web.cluster, &*web.name), ("cluster", "web"));
    assert!(close(web.proxies, 2.0));
    assert!(close(web.updates.value, 2.0));
    // 48 s of 240, with an interval from 18 of 120 and 30 of 120.
    assert!(close(web.behind.value, 0.2));
    assert_eq!(web.behind.samples, 2);
    // Halves of the squares: 18 + 72 + 288 + 18.
    assert!(close(web.lag_mean.value, 396.0 / 240.0));
    assert!(close(web.lag_max, 24.0));
    assert!(close(web.spread.least, 0.1) && close(web.spread.greatest, 0.4));
    assert!(close(web.spread.median, 0.15));
    let stalest = &web.stalest;
    assert_eq!(stalest.replication, 1);
    assert!(stalest.name.starts_with("web"), "{}", stalest.name);
    assert!(close(stalest.behind, 0.4) && close(stalest.lag_max, 24.0));
}
