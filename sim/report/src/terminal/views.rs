//! How stale the views were that requests met.

use super::{Style, table};
use crate::number::{count, duration};
use cloud::summary::Summary;

const HEADER: [&str; 5] = ["view", "where", "updates", "stale for", "at most"];

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let rows: Vec<Vec<String>> = summary
        .views
        .iter()
        .filter(|view| view.updates > 0)
        .map(|view| {
            vec![
                view.kind.to_owned(),
                view.place.clone(),
                count(view.updates),
                duration(view.staleness_mean),
                duration(view.staleness_max),
            ]
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let remark = "from a change to its being applied, over all updates seen";
    Some(format!(
        "{}\n{}",
        style.heading("Staleness", remark),
        table(&HEADER, rows, 2, style)
    ))
}
