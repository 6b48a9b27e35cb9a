//! What a sidecar does not know yet: lines of its tables that would go, come or mean something
//! else if it were told everything that the API server holds.

use super::{Part, Row};
use crate::columns::Table;
use cloud::snapshot::ProxySnapshot;
use serde_json::{Map, Value, json};

/// How a line differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The sidecar has it, and should not.
    Removed,
    /// It should have it, and has not.
    Added,
    /// It has it, with other settings than are held.
    Changed,
}

impl Kind {
    fn sign(self) -> &'static str {
        match self {
            Kind::Removed => "-",
            Kind::Added => "+",
            Kind::Changed => "~",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Removed => "removed",
            Kind::Added => "added",
            Kind::Changed => "changed",
        }
    }
}

/// Lines of a table that differ: those that are told, then those that come.
fn lines(proxy: &ProxySnapshot, part: Part) -> Vec<(Kind, Row)> {
    let told = part.rows(&proxy.told);
    let mut held = part.rows(&proxy.held);
    let mut lines = Vec::new();
    let mut unmatched = Vec::new();
    for row in told {
        match held.iter().position(|it| *it == row) {
            Some(place) => drop(held.remove(place)),
            None => unmatched.push(row),
        }
    }
    for row in unmatched {
        let same = held.iter().position(|it| it.cells == row.cells);
        let kind = match same {
            Some(place) => {
                held.remove(place);
                Kind::Changed
            }
            None => Kind::Removed,
        };
        lines.push((kind, row));
    }
    lines.extend(held.into_iter().map(|row| (Kind::Added, row)));
    lines
}

/// Prints the lines that differ, table by table; `None` if nothing does.
pub fn difference(proxy: &ProxySnapshot) -> Option<String> {
    let mut text = String::new();
    for part in Part::ALL {
        let lines = lines(proxy, part);
        if lines.is_empty() {
            continue;
        }
        let mut table = Table::new(part.spacing(), part.headings());
        let signs: Vec<&str> = lines.iter().map(|(kind, _)| kind.sign()).collect();
        for (_, row) in lines {
            table.add(row.cells);
        }
        let signs = [" "].into_iter().chain(signs);
        text += &format!("{}\n", part.name());
        for (sign, line) in signs.zip(table.print().lines()) {
            text += &format!("{sign} {line}\n");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The same as one JSON document.
pub fn difference_document(proxy: &ProxySnapshot) -> Value {
    let mut parts = Map::new();
    for part in Part::ALL {
        let lines = lines(proxy, part);
        let of = |wanted: Kind| -> Vec<Value> {
            let rows = lines.iter().filter(|(kind, _)| *kind == wanted);
            rows.map(|(_, row)| {
                let pairs = part.headings().iter().zip(&row.cells);
                pairs
                    .map(|(heading, cell)| (heading.to_lowercase().replace(' ', "_"), cell.clone()))
                    .map(|(heading, cell)| (heading, Value::String(cell)))
                    .collect::<Map<String, Value>>()
                    .into()
            })
            .collect()
        };
        let kinds = [Kind::Removed, Kind::Added, Kind::Changed];
        let kinds = kinds.map(|kind| (kind.name().to_owned(), Value::Array(of(kind))));
        parts.insert(part.name().to_owned(), Value::Object(Map::from_iter(kinds)));
    }
    json!({
        "told_of_s": proxy.told_of.as_secs_f64(),
        "newest_s": proxy.newest.as_secs_f64(),
        "difference": parts,
    })
}
