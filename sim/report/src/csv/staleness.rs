//! staleness.csv: how far Istio's proxies were behind, one row per workload.

use super::{Table, maybe, name, number};
use cloud::summary::{ProxySummary, Summary};

pub(super) const TABLE: Table = Table {
    file: "staleness.csv",
    header: &[
        "cluster",
        "namespace",
        "workload",
        "kind",
        "proxies",
        "updates",
        "updates_low",
        "updates_high",
        "behind",
        "behind_low",
        "behind_high",
        "behind_least",
        "behind_p10",
        "behind_median",
        "behind_p90",
        "behind_greatest",
        "lag_mean_s",
        "lag_mean_low_s",
        "lag_mean_high_s",
        "lag_max_s",
        "stalest",
        "stalest_replication",
        "stalest_behind",
        "stalest_lag_max_s",
    ],
    rows,
    stands_empty: false,
};

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    summary.proxies.iter().map(row).collect()
}

fn row(proxies: &ProxySummary) -> Vec<String> {
    let mut row = vec![
        name(&proxies.cluster),
        name(&proxies.namespace),
        name(&proxies.name),
        proxies.kind.to_owned(),
        number(proxies.proxies),
    ];
    let spread = proxies.spread;
    let spread = [
        spread.least,
        spread.p10,
        spread.median,
        spread.p90,
        spread.greatest,
    ];
    for (estimate, after) in [
        (&proxies.updates, &[][..]),
        (&proxies.behind, &spread),
        (&proxies.lag_mean, &[proxies.lag_max]),
    ] {
        row.extend([
            number(estimate.value),
            maybe(estimate.low),
            maybe(estimate.high),
        ]);
        row.extend(after.iter().map(|value| number(*value)));
    }
    row.extend([
        name(&proxies.stalest.name),
        proxies.stalest.replication.to_string(),
        number(proxies.stalest.behind),
        number(proxies.stalest.lag_max),
    ]);
    row
}
