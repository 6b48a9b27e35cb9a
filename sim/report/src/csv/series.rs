//! series.csv: what each traffic source saw over time.

use super::{Table, maybe, name, number};
use cloud::summary::Summary;

pub(super) const TABLE: Table = Table {
    file: "series.csv",
    header: &[
        "traffic",
        "time_s",
        "rate_per_s",
        "availability",
        "availability_least",
        "availability_greatest",
        "latency_p50_s",
        "latency_p99_s",
    ],
    rows,
    stands_empty: true,
};

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for traffic in &summary.traffic {
        for point in &traffic.series {
            rows.push(vec![
                name(&traffic.name),
                number(point.time_s),
                number(point.rate),
                maybe(point.availability),
                maybe(point.availability_range.map(|(least, _)| least)),
                maybe(point.availability_range.map(|(_, greatest)| greatest)),
                maybe(point.p50),
                maybe(point.p99),
            ]);
        }
    }
    rows
}
