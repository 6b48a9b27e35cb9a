//! What `BEHAVIOURS.md` says is so: every test, scenario and fact that it names exists, and every
//! scenario of Kubernetes that ships stands in it.

use std::collections::BTreeSet;
use std::path::Path;

const BEHAVIOURS: &str = include_str!("../../BEHAVIOURS.md");

/// A line of one of the tables.
struct Row {
    behaviour: &'static str,
    versions: &'static str,
    source: &'static str,
    facts: Vec<&'static str>,
    held_by: Vec<&'static str>,
}

/// What stands between backticks.
fn code(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows() -> Vec<Row> {
    let lines = BEHAVIOURS.lines();
    let lines = lines.filter(|line| line.starts_with("| ") && !line.starts_with("| behaviour |"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [behaviour, versions, source, facts, held_by] = cells[..] else {
                panic!("a row has five cells: {line}");
            };
            Row {
                behaviour,
                versions,
                source,
                facts: code(facts),
                held_by: code(held_by),
            }
        })
        .collect()
}

/// Whether a file has a test, or, without one, exists.
fn exists(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (file, test) = name
        .split_once("::")
        .map_or((name, None), |(file, test)| (file, Some(test)));
    let Ok(text) = std::fs::read_to_string(root.join(file)) else {
        return false;
    };
    match test {
        Some(test) => text.contains(&format!("fn {test}(")),
        None => file.starts_with("scenarios/") && text.contains("\n  expect:"),
    }
}

/// Whether a fact has this identifier, or begins with what stands before the star.
fn is_fact(known: &BTreeSet<&str>, id: &str) -> bool {
    match id.strip_suffix('*') {
        Some(start) => known.iter().any(|known| known.starts_with(start)),
        None => known.contains(id),
    }
}

#[test]
fn every_row_is_known_from_somewhere_and_held_by_something_that_exists() {
    let rows = rows();
    assert!(rows.len() > 40, "{} rows", rows.len());
    let facts = cloud::facts::all();
    let known: BTreeSet<&str> = facts.iter().map(|fact| fact.id).collect();
    let mut dead = Vec::new();
    for row in &rows {
        if row.versions.is_empty() || row.source.is_empty() || row.held_by.is_empty() {
            dead.push(row.behaviour.to_owned());
        }
        let facts = row.facts.iter().filter(|id| !is_fact(&known, id));
        let held_by = row.held_by.iter().filter(|name| !exists(name));
        dead.extend(
            facts
                .chain(held_by)
                .map(|name| format!("{}: {name}", row.behaviour)),
        );
    }
    assert_eq!(dead, [""; 0], "what BEHAVIOURS.md names and is not there");
}

#[test]
fn every_scenario_of_kubernetes_stands_in_a_row() {
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| row.held_by.clone()).collect();
    let shipped = crate::support::shipped();
    let missing: Vec<&str> = shipped
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| name.starts_with("scenarios/kubernetes/") && !named.contains(name))
        .collect();
    assert_eq!(missing, [""; 0], "scenarios without a behaviour");
}
