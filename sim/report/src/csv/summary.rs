//! summary.csv: one row per quantity and what it belongs to, with its interval.

use super::{Table, maybe, name, number};
use crate::tell::{outcome, workload_path};
use cloud::summary::{Summary, Unit};
use stats::{Estimate, Method};

pub(super) const TABLE: Table = Table {
    file: "summary.csv",
    header: &[
        "of", "name", "quantity", "unit", "value", "low", "high", "samples", "method",
    ],
    rows,
    stands_empty: true,
};

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for traffic in &summary.traffic {
        let latency = &traffic.latency;
        let mut add = |quantity, unit, estimate: &Estimate| {
            rows.push(row("traffic", &traffic.name, quantity, unit, estimate));
        };
        add("availability", "share", &traffic.availability);
        add("throughput", "per second", &traffic.throughput);
        add("attempts per request", "", &traffic.attempts);
        add("latency mean", "s", &latency.mean);
        add("latency p50", "s", &latency.p50);
        add("latency p90", "s", &latency.p90);
        add("latency p95", "s", &latency.p95);
        add("latency p99", "s", &latency.p99);
        add("latency p99.9", "s", &latency.p999);
    }
    for workload in &summary.workloads {
        let path = workload_path(workload);
        let mut add = |quantity, unit, estimate: &Estimate| {
            rows.push(row("workload", &path, quantity, unit, estimate));
        };
        add("utilization", "share", &workload.utilization);
        add("wait mean", "s", &workload.wait_mean);
        add("wait p99", "s", &workload.wait_p99);
    }
    for recovery in &summary.recovery {
        if let Some(estimate) = &recovery.recovery {
            let of = format!("{} / {}", recovery.traffic, recovery.fault);
            rows.push(row("recovery", &of, "time to last failure", "s", estimate));
        }
    }
    for measure in &summary.measures {
        if let Some(estimate) = &measure.found {
            let unit = match measure.unit {
                Unit::Share => "share",
                Unit::Time => "s",
                Unit::Rate => "per second",
                Unit::Count => "",
            };
            rows.push(row("measure", &measure.statement, "found", unit, estimate));
        }
    }
    for verdict in &summary.verdicts {
        if let Some(estimate) = &verdict.found {
            let judged = outcome(verdict.outcome);
            rows.push(row(verdict.kind, &verdict.statement, judged, "", estimate));
        }
    }
    rows
}

fn row(of: &str, whose: &str, quantity: &str, unit: &str, estimate: &Estimate) -> Vec<String> {
    let measured = estimate.samples > 0;
    vec![
        of.to_owned(),
        name(whose),
        quantity.to_owned(),
        unit.to_owned(),
        if measured {
            number(estimate.value)
        } else {
            String::new()
        },
        maybe(estimate.low.filter(|_| measured)),
        maybe(estimate.high.filter(|_| measured)),
        estimate.samples.to_string(),
        method(estimate.method).to_owned(),
    ]
}

/// As in the JSON document.
fn method(method: Method) -> &'static str {
    match method {
        Method::StudentT => "student-t",
        Method::Sectioning => "sectioning",
        Method::ClopperPearson => "clopper-pearson",
        Method::Exact => "exact",
        Method::PointOnly => "point-only",
    }
}
