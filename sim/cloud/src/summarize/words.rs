//! Names of things and sentences about measures.

use super::Study;
use crate::scenario::{
    CanaryMeasure, ClusterId, Comparison, FlagFilter, Indicator, Measure, Quantity, Scenario,
    Service, Statistic, Workload, WorkloadId,
};
use crate::summary::Unit;
use engine::{Duration, Time};

const NANOS_PER_MINUTE: u64 = 60_000_000_000;

/// `namespace/name`: how a topology names the workload of a pod.
pub(super) fn pod_path(workload: &Workload) -> String {
    format!("{}/{}", workload.namespace, workload.name)
}

/// `namespace/name` of a service.
pub(super) fn service_path(service: &Service) -> String {
    format!("{}/{}", service.namespace, service.name)
}

/// `cluster/namespace/name`.
pub(super) fn workload_path(
    scenario: &Scenario,
    cluster: ClusterId,
    workload: WorkloadId,
) -> String {
    let cluster = &scenario.clusters[cluster.index()];
    let workload = &cluster.workloads[workload.index()];
    format!("{}/{}", cluster.name, pod_path(workload))
}

/// `p99 of browsers at most 300 ms from 2m to 5m`, and the unit of the bound.
pub(super) fn statement(
    study: &Study<'_>,
    measure: &Measure,
    comparison: Comparison,
) -> (String, Unit) {
    let (quantity, unit) = quantity(study, &measure.quantity);
    let show = |value| show(value, unit);
    let comparison = match comparison {
        Comparison::AtMost(bound) => format!("at most {}", show(bound)),
        Comparison::AtLeast(bound) => format!("at least {}", show(bound)),
        Comparison::Between(low, high) => format!("between {} and {}", show(low), show(high)),
    };
    let statement = format!("{quantity} {comparison}{}", window(measure));
    (statement, unit)
}

/// The same of a measure without a bound: `p99 of browsers from 2m to 5m`.
pub(super) fn measure(study: &Study<'_>, measure: &Measure) -> (String, Unit) {
    let (quantity, unit) = quantity(study, &measure.quantity);
    (format!("{quantity}{}", window(measure)), unit)
}

/// ` from 2m to 5m`, or nothing.
fn window(measure: &Measure) -> String {
    let ends = measure.window;
    ends.map_or_else(String::new, |(start, end)| {
        format!(" from {} to {}", clock(start), clock(end))
    })
}

/// A moment as a Scenario would say it: `2m23s`.
fn clock(time: Time) -> String {
    let (minutes, rest) = (
        time.as_nanos() / NANOS_PER_MINUTE,
        time.as_nanos() % NANOS_PER_MINUTE,
    );
    match (minutes, rest) {
        (0, rest) => Duration::from_nanos(rest).to_string(),
        (minutes, 0) => format!("{minutes}m"),
        (minutes, rest) => format!("{minutes}m{}", Duration::from_nanos(rest)),
    }
}

fn quantity(study: &Study<'_>, quantity: &Quantity) -> (String, Unit) {
    let traffic = |id| study.traffic_name(id);
    let path = |cluster, workload| workload_path(study.scenario, cluster, workload);
    match *quantity {
        Quantity::Availability(id) => (format!("availability of {}", traffic(id)), Unit::Share),
        Quantity::LatencyMean(id) => (format!("mean latency of {}", traffic(id)), Unit::Time),
        Quantity::LatencyQuantile(id, p) => (
            format!("p{} of {}", number(100.0 * p), traffic(id)),
            Unit::Time,
        ),
        Quantity::Throughput(id) => (format!("throughput of {}", traffic(id)), Unit::Rate),
        Quantity::Attempts(id) => (
            format!("attempts per request of {}", traffic(id)),
            Unit::Count,
        ),
        Quantity::Utilization(cluster, workload) => (
            format!("utilization of {}", path(cluster, workload)),
            Unit::Share,
        ),
        Quantity::WaitMean(cluster, workload) => (
            format!("mean wait at {}", path(cluster, workload)),
            Unit::Time,
        ),
        Quantity::Recovery(id, entry) => {
            let label = study
                .scenario
                .timeline
                .get(entry as usize)
                .map(|entry| &*entry.label);
            let fault = label.unwrap_or("a fault");
            (
                format!("recovery of {} from {fault}", traffic(Some(id))),
                Unit::Time,
            )
        }
        Quantity::Canary(entry, measure) => canary(study.scenario, entry, measure),
        Quantity::Indicator(cluster, indicator, statistic) => (
            self::indicator(study.scenario, cluster, indicator, statistic),
            Unit::Time,
        ),
        Quantity::Flagged(filter) => (flagged(study.scenario, filter), Unit::Share),
    }
}

/// `requests from east/shop/web to east/shop/api with RL`.
fn flagged(scenario: &Scenario, filter: FlagFilter) -> String {
    let source = filter
        .source
        .map(|(cluster, workload)| format!(" from {}", workload_path(scenario, cluster, workload)));
    let service = filter.service.map(|(cluster, service)| {
        let described = &scenario.clusters[cluster.index()];
        let service = service_path(&described.services[service.index()]);
        format!(" to {}/{service}", described.name)
    });
    let (source, service) = (source.unwrap_or_default(), service.unwrap_or_default());
    format!("requests{source}{service} with {}", filter.flag.letters())
}

/// `time to detect: canary web`.
fn canary(scenario: &Scenario, entry: u32, measure: CanaryMeasure) -> (String, Unit) {
    let (what, unit) = match measure {
        CanaryMeasure::Promoted => ("share promoted", Unit::Share),
        CanaryMeasure::RolledBack => ("share rolled back", Unit::Share),
        CanaryMeasure::Undecided => ("share undecided", Unit::Share),
        CanaryMeasure::WrongVerdicts => ("share of wrong verdicts", Unit::Share),
        CanaryMeasure::TimeToDetect => ("time to detect", Unit::Time),
        CanaryMeasure::UsersHarmed => ("users harmed", Unit::Count),
        CanaryMeasure::ErrorBudgetSpent => ("error budget spent", Unit::Share),
    };
    let entry = scenario.timeline.get(entry as usize);
    let label = entry.map_or("a canary", |entry| &entry.label);
    (format!("{what}: {label}"), unit)
}

/// `p99 of network programming latency of east/default/web`.
fn indicator(
    scenario: &Scenario,
    cluster: Option<ClusterId>,
    indicator: Indicator,
    statistic: Statistic,
) -> String {
    let statistic = match statistic {
        Statistic::Mean => "mean".to_owned(),
        Statistic::Quantile(p) => format!("p{}", number(100.0 * p)),
    };
    let what = match indicator {
        Indicator::NetworkProgramming(_) => "network programming latency",
        Indicator::PodStartup(_) => "pod start-up latency",
        Indicator::ApiMutating => "latency of mutating API calls",
        Indicator::ApiRead => "latency of reading API calls",
    };
    let place = cluster.map(|id| {
        let described = &scenario.clusters[id.index()];
        match indicator {
            Indicator::NetworkProgramming(Some(service)) => {
                let service = service_path(&described.services[service.index()]);
                format!(" of {}/{service}", described.name)
            }
            Indicator::PodStartup(Some(workload)) => {
                format!(" of {}", workload_path(scenario, id, workload))
            }
            _ => format!(" in {}", described.name),
        }
    });
    format!("{statistic} of {what}{}", place.unwrap_or_default())
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => percent(value),
        Unit::Rate => format!("{}/s", number(value)),
        Unit::Count => number(value),
        Unit::Time if value == 0.0 || value >= 1.0 => format!("{} s", number(value)),
        Unit::Time if value >= 1e-3 => format!("{} ms", number(1e3 * value)),
        Unit::Time => format!("{} µs", number(1e6 * value)),
    }
}

/// A share in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share))
}

/// Up to six decimals, without the zeros that end them.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_for_people() {
        for (value, unit, expected) in [
            (0.07, Unit::Share, "7 %"),
            (0.99999, Unit::Share, "99.999 %"),
            (0.3, Unit::Time, "300 ms"),
            (0.0, Unit::Time, "0 s"),
            (120.0, Unit::Time, "120 s"),
            (250e-6, Unit::Time, "250 µs"),
            (100.0, Unit::Rate, "100/s"),
            (1.1, Unit::Count, "1.1"),
        ] {
            assert_eq!(show(value, unit), expected);
        }
    }
}
