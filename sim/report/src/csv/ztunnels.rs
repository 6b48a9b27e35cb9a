//! ztunnels.csv: one row per node whose ztunnel was at work, each estimate with its interval.

use super::{Table, estimates, name};
use cloud::summary::ZtunnelSummary;

pub(super) const TABLE: Table = Table {
    file: "ztunnels.csv",
    header: &[
        "cluster",
        "node",
        "utilization",
        "utilization_low",
        "utilization_high",
        "wait_mean_s",
        "wait_mean_low_s",
        "wait_mean_high_s",
        "wait_p99_s",
        "wait_p99_low_s",
        "wait_p99_high_s",
        "opened_per_s",
        "opened_low_per_s",
        "opened_high_per_s",
        "taken_per_s",
        "taken_low_per_s",
        "taken_high_per_s",
        "tunnels_per_s",
        "tunnels_low_per_s",
        "tunnels_high_per_s",
    ],
    rows: |summary| summary.ztunnels.iter().map(row).collect(),
    stands_empty: false,
};

fn row(ztunnel: &ZtunnelSummary) -> Vec<String> {
    let mut row = vec![name(&ztunnel.cluster), name(&ztunnel.node)];
    row.extend(estimates(&[
        &ztunnel.utilization,
        &ztunnel.wait_mean,
        &ztunnel.wait_p99,
        &ztunnel.opened,
        &ztunnel.taken,
        &ztunnel.tunnels,
    ]));
    row
}
