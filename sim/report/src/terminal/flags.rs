//! Response flags of requests that did not go well, the most frequent first.

use super::{Style, table};
use crate::number::{count, share};
use crate::tell::flagged;
use cloud::summary::Summary;

const HEADER: [&str; 7] = [
    "seen at", "from", "to", "version", "status", "flags", "requests",
];
/// Rows that a terminal shows; files hold all.
const ROWS_MAX: usize = 12;

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let flagged = flagged(summary);
    if flagged.is_empty() {
        return None;
    }
    let rows = flagged.iter().take(ROWS_MAX).map(|row| {
        vec![
            row.reporter.to_owned(),
            row.source.clone(),
            row.destination.clone(),
            row.version.clone().unwrap_or_default(),
            row.status.to_string(),
            row.flags.clone(),
            format!("{} ({})", count(row.count), share(row.share)),
        ]
    });
    let remark = match flagged.len().saturating_sub(ROWS_MAX) {
        0 => "what sidecars log of requests that did not go well".to_owned(),
        more => format!(
            "what sidecars log of requests that did not go well; {more} rarer rows left out"
        ),
    };
    Some(format!(
        "{}\n{}",
        style.heading("Response flags", &remark),
        table(&HEADER, rows.collect(), 4, style)
    ))
}
