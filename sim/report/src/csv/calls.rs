//! calls.csv: hops per source, destination, version and pair of zones.

use super::{Table, maybe, name};
use cloud::summary::Summary;

pub(super) const TABLE: Table = Table {
    file: "calls.csv",
    header: &[
        "source",
        "source_zone",
        "destination",
        "version",
        "destination_zone",
        "attempts",
        "succeeded",
        "failures",
        "latency_mean_s",
        "latency_p99_s",
    ],
    rows,
    stands_empty: true,
};

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    summary
        .calls
        .iter()
        .map(|call| {
            let failures = call.failures.iter();
            let failures = failures.map(|failure| format!("{}:{}", failure.reason, failure.count));
            let answered = |seconds| maybe((call.succeeded > 0).then_some(seconds));
            vec![
                name(&call.source),
                name(&call.source_zone),
                name(&call.destination),
                name(call.version.as_deref().unwrap_or_default()),
                name(&call.destination_zone),
                call.attempts.to_string(),
                call.succeeded.to_string(),
                failures.collect::<Vec<_>>().join(" "),
                answered(call.latency_mean),
                answered(call.latency_p99),
            ]
        })
        .collect()
}
