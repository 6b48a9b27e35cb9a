//! workloads.csv and sidecars.csv: one row per workload, each estimate with its interval.

use super::{Table, estimates, name};
use cloud::summary::WorkloadSummary;

pub(super) const TABLE: Table = Table {
    file: "workloads.csv",
    header: HEADER,
    rows: |summary| summary.workloads.iter().map(row).collect(),
    stands_empty: true,
};

/// The same of sidecars, by the workloads that they stand beside.
pub(super) const SIDECARS: Table = Table {
    file: "sidecars.csv",
    rows: |summary| summary.sidecars.iter().map(row).collect(),
    stands_empty: false,
    ..TABLE
};

const HEADER: &[&str] = &[
    "cluster",
    "namespace",
    "workload",
    "version",
    "pods",
    "pending",
    "utilization",
    "utilization_low",
    "utilization_high",
    "in_system",
    "in_system_low",
    "in_system_high",
    "wait_mean_s",
    "wait_mean_low_s",
    "wait_mean_high_s",
    "wait_p95_s",
    "wait_p95_low_s",
    "wait_p95_high_s",
    "wait_p99_s",
    "wait_p99_low_s",
    "wait_p99_high_s",
    "waited",
    "waited_low",
    "waited_high",
    "sojourn_mean_s",
    "sojourn_mean_low_s",
    "sojourn_mean_high_s",
    "sojourn_p99_s",
    "sojourn_p99_low_s",
    "sojourn_p99_high_s",
    "sojourn_variance_s2",
    "sojourn_variance_low_s2",
    "sojourn_variance_high_s2",
    "arrivals_per_s",
    "arrivals_low_per_s",
    "arrivals_high_per_s",
    "rejected",
    "rejected_low",
    "rejected_high",
];

fn row(workload: &WorkloadSummary) -> Vec<String> {
    let mut row = vec![
        name(&workload.cluster),
        name(&workload.namespace),
        name(&workload.name),
        name(workload.version.as_deref().unwrap_or_default()),
        workload.replicas.to_string(),
        workload.pending.to_string(),
    ];
    row.extend(estimates(&[
        &workload.utilization,
        &workload.in_system,
        &workload.wait_mean,
        &workload.wait_p95,
        &workload.wait_p99,
        &workload.waited,
        &workload.sojourn_mean,
        &workload.sojourn_p99,
        &workload.sojourn_variance,
        &workload.arrivals,
        &workload.rejected,
    ]));
    row
}
