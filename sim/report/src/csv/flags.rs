//! flags.csv: what sidecars logged, per side, source, destination, version, status and flags.

use super::{Table, name, number};
use cloud::summary::Summary;

pub(super) const TABLE: Table = Table {
    file: "flags.csv",
    header: &[
        "reporter",
        "source",
        "destination",
        "version",
        "status",
        "flags",
        "requests",
        "share",
    ],
    rows,
    stands_empty: false,
};

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    let rows = summary.flags.iter().map(|row| {
        // No flag is a dash, which no spreadsheet takes for a formula by itself.
        vec![
            row.reporter.to_owned(),
            name(&row.source),
            name(&row.destination),
            name(row.version.as_deref().unwrap_or_default()),
            row.status.to_string(),
            row.flags.clone(),
            row.count.to_string(),
            number(row.share),
        ]
    });
    rows.collect()
}
