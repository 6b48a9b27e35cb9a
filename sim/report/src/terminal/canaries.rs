//! How canary releases ended, and what users paid for what was learnt.

use super::{Style, table};
use crate::number::{duration_figure, number_figure, share_figure};
use crate::tell::outcomes;
use cloud::summary::{CanarySummary, Summary};

const HEADER: [&str; 6] = [
    "release",
    "ended",
    "wrong verdicts",
    "time to detect",
    "users harmed",
    "error budget",
];

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    if summary.canaries.is_empty() {
        return None;
    }
    let rows = summary.canaries.iter().map(|canary| row(canary, style));
    let remark = "per replication; harmed: failed or slow because of it";
    Some(format!(
        "{}\n{}",
        style.heading("Canary releases", remark),
        table(&HEADER, rows.collect(), 2, style)
    ))
}

fn row(canary: &CanarySummary, style: Style) -> Vec<String> {
    let cell = |figure| style.cell(figure);
    let wrong = canary.wrong.as_ref().map(share_figure).map(cell);
    let detection = canary.detection.as_ref().map(duration_figure).map(cell);
    let budget = canary.budget_spent.as_ref().map(share_figure).map(cell);
    vec![
        canary.name.clone(),
        outcomes(canary),
        wrong.unwrap_or_else(|| "truth not said".to_owned()),
        detection.unwrap_or_else(|| "never".to_owned()),
        cell(number_figure(&canary.harmed)),
        budget.unwrap_or_else(|| "no promise".to_owned()),
    ]
}
