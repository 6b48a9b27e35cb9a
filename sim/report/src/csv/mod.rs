//! Results as comma-separated tables: one row per thing, units in the names of columns, empty
//! fields where nothing is known.

mod calls;
mod canaries;
mod flags;
mod series;
mod staleness;
mod summary;
mod workloads;
mod ztunnels;

use cloud::summary::Summary;
use stats::Estimate;

/// A table: its file name, its columns and its rows.
struct Table {
    file: &'static str,
    header: &'static [&'static str],
    rows: fn(&Summary) -> Vec<Vec<String>>,
    /// Whether it is written where there is nothing to say.
    stands_empty: bool,
}

/// The tables. Another one is another file and one line here.
const TABLES: [&Table; 9] = [
    &summary::TABLE,
    &series::TABLE,
    &calls::TABLE,
    &flags::TABLE,
    &workloads::TABLE,
    &workloads::SIDECARS,
    &ztunnels::TABLE,
    &canaries::TABLE,
    &staleness::TABLE,
];

/// All tables as (file name, text).
///
/// Shares are between 0 and 1, times in seconds and rates per second, with the digits that
/// bring the same number back. A text field that a spreadsheet would take for a formula is
/// preceded by an apostrophe.
pub fn csv(summary: &Summary) -> Vec<(&'static str, String)> {
    TABLES
        .iter()
        .map(|table| (table, (table.rows)(summary)))
        .filter(|(table, rows)| table.stands_empty || !rows.is_empty())
        .map(|(table, rows)| (table.file, text(table, rows)))
        .collect()
}

fn text(table: &Table, rows: Vec<Vec<String>>) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let header = table.header.iter().map(|&name| name.to_owned()).collect();
    for row in std::iter::once(header).chain(rows) {
        writer
            .write_record(row)
            .expect("a vector takes every record, and all rows have the header's length");
    }
    let bytes = writer.into_inner().expect("a vector takes all bytes");
    String::from_utf8(bytes).expect("fields and separators are text")
}

/// A name as a field.
fn name(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Estimates as fields, each with its interval; empty ones where nothing was seen.
fn estimates(all: &[&Estimate]) -> Vec<String> {
    let fields = |estimate: &&Estimate| match estimate.samples {
        0 => Default::default(),
        _ => [
            number(estimate.value),
            maybe(estimate.low),
            maybe(estimate.high),
        ],
    };
    all.iter().flat_map(fields).collect()
}

/// A number as a field, in the shortest form that brings it back.
fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        String::new()
    }
}

/// A number that may be unknown.
fn maybe(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}
