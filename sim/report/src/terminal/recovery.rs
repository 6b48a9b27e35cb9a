//! When each fault was over, for each group of users.

use super::{Style, table};
use crate::number::{count, duration, duration_figure};
use cloud::summary::{RecoverySummary, Summary};

const HEADER: [&str; 5] = ["fault", "users", "felt in", "last failure after", "range"];

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    if summary.recovery.is_empty() {
        return None;
    }
    let rows = summary
        .recovery
        .iter()
        .map(|recovery| row(recovery, summary.replications, style))
        .collect();
    Some(format!(
        "{}\n{}",
        style.heading("When it was over", "seconds from the start of each fault"),
        table(&HEADER, rows, 2, style)
    ))
}

fn row(recovery: &RecoverySummary, replications: u32, style: Style) -> Vec<String> {
    let felt = format!("{} of {}", count(recovery.felt.into()), replications);
    let (after, range) = match (&recovery.recovery, recovery.range) {
        (Some(estimate), Some((low, high))) => (
            style.cell(duration_figure(estimate)),
            match recovery.unfinished {
                0 => format!("{} to {}", duration(low), duration(high)),
                _ => format!("{} to after the end", duration(low)),
            },
        ),
        _ if recovery.unclear > 0 => ("failing anyway".to_owned(), String::new()),
        _ => ("not felt".to_owned(), String::new()),
    };
    vec![
        recovery.fault.clone(),
        recovery.traffic.clone(),
        felt,
        after,
        range,
    ]
}
