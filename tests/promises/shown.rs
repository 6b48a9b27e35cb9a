//! Every fault and operation that the loader knows is shown by a scenario that ships, where
//! `scenarios/kubernetes/README.md` says, and every scenario beside that table stands in it, as
//! do those of meshes in theirs.

use std::collections::{BTreeMap, BTreeSet};

const KUBERNETES: (&str, &str) = (
    "kubernetes",
    include_str!("../../scenarios/kubernetes/README.md"),
);
const MESH: (&str, &str) = ("mesh", include_str!("../../scenarios/mesh/README.md"));

/// What the schema of the Scenario kind offers under a type.
fn keys(of: &str) -> BTreeSet<String> {
    let schema = loader::json_schema();
    let properties = schema["$defs"][of]["properties"].as_object();
    properties
        .expect("a type of maps")
        .keys()
        .cloned()
        .collect()
}

/// Faults and operations that may stand on a timeline.
fn known() -> BTreeSet<String> {
    let about = ["at", "name", "cluster", "fault"];
    let operations = keys("TimelineEntry").into_iter();
    let operations = operations.filter(|key| !about.contains(&key.as_str()));
    keys("Fault").into_iter().chain(operations).collect()
}

/// What stands between backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of a folder's tables: what is shown, and by which scenarios, as they are called here.
fn rows((folder, table): (&str, &'static str)) -> Vec<(&'static str, Vec<String>)> {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let by = code(cells[cells.len() - 1]);
        let by = by.map(|name| match name.strip_prefix("../") {
            Some(above) => format!("scenarios/{above}.yaml"),
            None => format!("scenarios/{folder}/{name}.yaml"),
        });
        (cells[0], by.collect())
    });
    rows.filter(|(_, by): &(_, Vec<_>)| !by.is_empty())
        .collect()
}

/// The text of each scenario that ships, by the name of its file.
fn shipped() -> BTreeMap<String, String> {
    let files = crate::support::shipped().into_iter();
    files.map(|file| (file.name, file.text)).collect()
}

/// Whether something happens on the timeline of a scenario or of one of its variants.
fn happens(text: &str, what: &str) -> bool {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let [own_line, first, later] = [
        format!("{what}:"),
        format!("{{{what}: "),
        format!(" {what}: "),
    ];
    code.into_iter().any(|line| {
        line.trim_start().starts_with(&own_line)
            || line.contains("at: ") && (line.contains(&first) || line.contains(&later))
    })
}

#[test]
fn every_fault_and_operation_is_shown_where_the_table_says() {
    let (known, shipped) = (known(), shipped());
    let mut shown = BTreeSet::new();
    for (what, by) in rows(KUBERNETES) {
        let Some(what) = code(what).next().filter(|what| known.contains(*what)) else {
            continue;
        };
        for scenario in by {
            let text = shipped.get(&scenario);
            let text = text.unwrap_or_else(|| panic!("{what}: there is no {scenario}"));
            assert!(happens(text, what), "{scenario} shows no `{what}`");
        }
        shown.insert(what.to_owned());
    }
    assert_eq!(shown, known, "the table, and what can happen");
}

#[test]
fn every_scenario_of_kubernetes_and_of_a_mesh_stands_in_its_table() {
    for table in [KUBERNETES, MESH] {
        every_scenario_stands_in(table);
    }
}

fn every_scenario_stands_in(table: (&str, &'static str)) {
    let shipped = shipped();
    let here = shipped.keys();
    let folder = format!("scenarios/{}/", table.0);
    let here: BTreeSet<&str> = here
        .map(String::as_str)
        .filter(|name| name.starts_with(&folder))
        .collect();
    let rows = rows(table);
    let named: BTreeSet<&str> = rows
        .iter()
        .flat_map(|(_, by)| by)
        .map(String::as_str)
        .collect();
    let missing: Vec<_> = here.difference(&named).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let dead: Vec<_> = named
        .iter()
        .filter(|name| !shipped.contains_key(**name))
        .collect();
    assert!(dead.is_empty(), "in the table and not there: {dead:?}");
}
