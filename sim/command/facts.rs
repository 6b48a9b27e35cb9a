//! `hybridsim facts`: every default number with its evidence.

use cloud::facts::{FactRow, all};
use serde_json::json;

use super::{End, output::Output};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only facts whose identifier, product or citation contains this text
    filter: Option<String>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let filter = arguments.filter.as_deref().unwrap_or("").to_lowercase();
    let rows: Vec<FactRow> = all()
        .into_iter()
        .filter(|row| contains(row, &filter))
        .collect();
    if output.json() {
        output.print_json(&rows.iter().map(to_json).collect::<Vec<_>>())?;
    } else if rows.is_empty() {
        output.tell(&format!("no fact mentions {filter:?}"));
    } else {
        output.print(&rows.iter().map(to_text).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if rows.is_empty() {
        End::BadInput
    } else {
        End::Fine
    })
}

fn contains(row: &FactRow, filter: &str) -> bool {
    [row.id, row.product, row.citation, row.grade.name()]
        .iter()
        .any(|text| text.to_lowercase().contains(filter))
}

fn to_text(row: &FactRow) -> String {
    format!(
        "{} = {}\n    {} ({}), {}: {}\n",
        row.id,
        row.value,
        row.product,
        row.versions,
        row.grade.name(),
        row.citation
    )
}

fn to_json(row: &FactRow) -> serde_json::Value {
    json!({
        "id": row.id,
        "value": row.value,
        "product": row.product,
        "versions": row.versions,
        "grade": row.grade.name(),
        "citation": row.citation,
    })
}
