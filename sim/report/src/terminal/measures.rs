//! What a scenario asks for besides what every report tells.

use super::{Style, table};
use crate::number::found;
use cloud::summary::Summary;

const HEADER: [&str; 2] = ["measure", "found"];

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    if summary.measures.is_empty() {
        return None;
    }
    let rows = summary.measures.iter().map(|measure| {
        vec![
            measure.statement.clone(),
            found(measure.found.as_ref(), measure.unit),
        ]
    });
    Some(format!(
        "{}\n{}",
        style.heading("Measures", ""),
        table(&HEADER, rows.collect(), 1, style)
    ))
}
