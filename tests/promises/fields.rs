//! Fields that the ledger says act do act, and those that it says do not do not: taken away or
//! changed one by one, they change what happens, or leave it as it was.
//!
//! The files of `tests/data/fields` are each a Scenario and objects whose fields matter to it.
//! What the ledger says stands in `sim/loader/tests/data/fields.txt`.

use crate::support::{Project, documents};
use cloud::record::Record;
use cloud::scenario::Scenario;
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::{File, Library};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const TABLE: &str = include_str!("../../sim/loader/tests/data/fields.txt");
/// Fields of which no file shows that they act.
const UNSEEN: &str = include_str!("../data/fields/unseen.txt");

const FOLDER: &str = "tests/data/fields";

/// Manifests beside the files.
struct Beside;

impl Library for Beside {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        Project.read(&format!("{FOLDER}/{path}"))
    }
}

/// What is said of fields, by kind and group.
type Table = BTreeMap<(String, String), Vec<(&'static str, &'static str)>>;

fn table() -> Table {
    let mut all = Table::new();
    let mut at = (String::new(), String::new());
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(entry) => {
                let entry = entry.split_once(": ").expect("a field and what is said");
                all.entry(at.clone()).or_default().push(entry);
            }
            None => {
                let mut words = line.split(' ');
                let kind = words.next().expect("a kind");
                let group = words.next().and_then(|version| version.split_once('/'));
                at = (
                    kind.to_owned(),
                    group.map_or("", |(group, _)| group).to_owned(),
                );
            }
        }
    }
    all
}

/// A way into a document.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Item(usize),
}

fn leaves(value: &Json, at: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                at.push(Step::Key(key.clone()));
                leaves(inner, at, found);
                at.pop();
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (position, inner) in items.iter().enumerate() {
                at.push(Step::Item(position));
                leaves(inner, at, found);
                at.pop();
            }
        }
        _ => found.push(at.clone()),
    }
}

/// The parts of a path of the table.
fn parts(path: &str) -> Vec<&str> {
    let parts = path
        .split('.')
        .flat_map(|part| match part.strip_suffix("[]") {
            Some(name) => vec![name, "[]"],
            None => vec![part],
        });
    parts.collect()
}

/// The entry of the table for a place in a document.
fn entry<'t>(
    table: &'t [(&'static str, &'static str)],
    steps: &[Step],
) -> Option<&'t (&'static str, &'static str)> {
    let is_it = |(path, _): &&(&str, &str)| {
        let parts = parts(path);
        parts.len() <= steps.len()
            && parts.iter().zip(steps).all(|(part, step)| match step {
                Step::Key(key) => *part == "*" || part == key,
                Step::Item(_) => *part == "[]",
            })
    };
    // A field by its name before any other key.
    let found = table.iter().filter(is_it);
    found.max_by_key(|(path, _)| parts(path).iter().filter(|part| **part != "*").count())
}

/// The value that holds what a way leads to.
fn holder<'v>(document: &'v mut Json, steps: &[Step]) -> &'v mut Json {
    steps.iter().fold(document, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Item(position) => &mut value[*position],
    })
}

/// What a field may say that takes one of some words.
const CHOICES: [&str; 6] = [
    "HTTP",
    "TCP",
    "MUTUAL",
    "DISABLE",
    "ALLOW_ANY",
    "MESH_EXTERNAL",
];

/// How selectors compare labels.
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// The document without a field, and with others in its place.
fn changes(document: &Json, steps: &[Step]) -> Vec<Json> {
    let (last, way) = steps.split_last().expect("a leaf is somewhere");
    let mut without = document.clone();
    match (holder(&mut without, way), last) {
        (Json::Object(map), Step::Key(key)) => drop(map.shift_remove(key)),
        (Json::Array(items), Step::Item(position)) => drop(items.remove(*position)),
        _ => unreachable!("a leaf stands in what holds it"),
    }
    let mut all = vec![without];
    let mut with = |value: Json| {
        let mut changed = document.clone();
        *holder(&mut changed, steps) = value;
        all.push(changed);
    };
    match holder(&mut document.clone(), steps) {
        Json::Bool(value) => with(json!(!*value)),
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or(0.0) as i64;
            for number in [0, number / 2, number + 1, 2 * number] {
                with(json!(number));
            }
        }
        Json::String(text) => {
            with(json!(format!("{text}-other")));
            with(json!(format!("1{text}")));
            if text.chars().all(|it| it.is_ascii_uppercase() || it == '_') {
                CHOICES.iter().for_each(|choice| with(json!(choice)));
            }
            if OPERATORS.contains(&text.as_str()) {
                OPERATORS.iter().for_each(|other| with(json!(other)));
            }
        }
        _ => {}
    }
    if let Step::Key(key) = last {
        let mut renamed = document.clone();
        if let Json::Object(map) = holder(&mut renamed, way)
            && let Some(value) = map.shift_remove(key)
        {
            map.insert(format!("{key}-other"), value);
            all.push(renamed);
        }
    }
    all
}

/// What documents say; nothing if they are refused.
fn scenario(documents: &[Json]) -> Option<Scenario> {
    let texts = documents.iter().map(Json::to_string);
    let file = File {
        name: "fields.yaml".to_owned(),
        text: texts.collect::<Vec<_>>().join("\n---\n"),
    };
    loader::load(&[file], &Beside).scenario
}

fn run(scenario: &Scenario) -> Record {
    simulate(&compile(scenario), Seed::default(), &Options::default())
}

/// Documents as they are written, and what happens.
struct Base {
    documents: Vec<Json>,
    scenario: Scenario,
    digest: u64,
    /// How much happens.
    events: u64,
}

impl Base {
    fn new(documents: Vec<Json>) -> Base {
        let scenario = scenario(&documents).expect("the file is valid");
        let Record { digest, events, .. } = run(&scenario);
        Base {
            documents,
            scenario,
            digest,
            events,
        }
    }
}

/// The documents as they are, and with what DestinationRules of one bare subset say of the whole
/// host said of its port 80, of the subset, and of that port of the subset instead.
fn placed(documents: Vec<Json>) -> Vec<Vec<Json>> {
    let is_to_move = |document: &&Json| {
        let subsets = document["spec"]["subsets"].as_array();
        document["spec"]["trafficPolicy"].is_object()
            && subsets.is_some_and(|subsets| subsets.len() == 1)
    };
    if !documents.iter().any(|document| is_to_move(&document)) {
        return vec![documents];
    }
    let moved = |(of_port, of_subset): (bool, bool)| {
        let moved = documents.iter().map(|document| {
            let mut document = document.clone();
            if !is_to_move(&&document) {
                return document;
            }
            let spec = document["spec"].as_object_mut();
            let policy = spec.and_then(|spec| spec.shift_remove("trafficPolicy"));
            let mut policy = policy.expect("it has one");
            // Ports have no budget for retries.
            if of_port && policy.get("retryBudget").is_none() {
                policy["port"] = json!({"number": 80});
                policy = json!({"portLevelSettings": [policy]});
            }
            let holder = match of_subset {
                true => &mut document["spec"]["subsets"][0],
                false => &mut document["spec"],
            };
            holder["trafficPolicy"] = policy;
            document
        });
        moved.collect()
    };
    let places = [(false, false), (true, false), (false, true), (true, true)];
    places.map(moved).into()
}

/// A field that the table knows, in a file.
struct Case<'f> {
    file: &'f str,
    kind: String,
    path: &'static str,
    said: &'static str,
    base: Arc<Base>,
    position: usize,
    steps: Vec<Step>,
}

impl Case<'_> {
    /// Whether anything else happens if it is taken away or changed.
    fn differs(&self) -> bool {
        let mut documents = self.base.documents.clone();
        let changes = changes(&documents[self.position], &self.steps);
        changes.into_iter().any(|changed| {
            documents[self.position] = changed;
            let scenario = scenario(&documents);
            // What says the same does the same.
            let other = scenario.filter(|it| *it != self.base.scenario);
            other.is_some_and(|other| run(&other).digest != self.base.digest)
        })
    }
}

/// All fields of documents that the table knows.
fn cases<'f>(file: &'f str, documents: Vec<Json>, table: &Table, cases: &mut Vec<Case<'f>>) {
    let base = Arc::new(Base::new(documents));
    for (position, document) in base.documents.iter().enumerate() {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let version = text("apiVersion");
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let written = text("kind");
        // MeshConfig stands in the table as a ConfigMap holds it.
        let mesh = ["data", "mesh"].map(|name| Step::Key(name.to_owned()));
        let mut found = Vec::new();
        leaves(document, &mut Vec::new(), &mut found);
        for steps in found {
            let of_mesh = matches!(steps.get(1), Some(Step::Key(key)) if key == "meshConfig");
            let (kind, named) = match of_mesh {
                true => (
                    ("ConfigMap".to_owned(), String::new()),
                    [&mesh, &steps[2..]].concat(),
                ),
                false => ((written.clone(), group.to_owned()), steps.clone()),
            };
            let known = table.get(&kind).and_then(|known| entry(known, &named));
            // Of what is described elsewhere nothing is said here.
            let known = known.filter(|(_, said)| *said != "as its fields");
            let Some((path, said)) = known else {
                continue;
            };
            cases.push(Case {
                file,
                kind: kind.0,
                path,
                said,
                base: base.clone(),
                position,
                steps,
            });
        }
    }
}

#[test]
fn fields_do_what_the_ledger_says() {
    let table = table();
    let files = Project.read(FOLDER).expect("the folder is there");
    let mut all = Vec::new();
    for file in &files {
        let loaded = loader::load(std::slice::from_ref(file), &Project);
        let says = &loaded.diagnostics;
        assert!(loaded.scenario.is_some(), "{}: {says:#?}", file.name);
        for documents in placed(documents(&file.text)) {
            cases(&file.name, documents, &table, &mut all);
        }
    }
    // That a field acts is shown once, where the least happens; that it does not, everywhere.
    all.sort_by_key(|case| case.base.events);
    let mut of_field: BTreeMap<(String, &str), Vec<Case<'_>>> = BTreeMap::new();
    for case in all {
        let field = format!("{} {}", case.kind, case.path);
        of_field.entry((field, case.said)).or_default().push(case);
    }
    let acts = |said: &str| said.starts_with("acts");
    let differing: Vec<(&(String, &str), Vec<&Case<'_>>)> = of_field
        .par_iter()
        .map(|(field, cases)| {
            let differing = cases.iter().filter(|case| case.differs());
            let enough = if acts(field.1) { 1 } else { cases.len() };
            (field, differing.take(enough).collect())
        })
        .collect();
    let mut wrong = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for ((field, said), cases) in differing {
        for Case { file, .. } in cases {
            if acts(said) {
                seen.insert(field.clone());
            } else {
                wrong.insert(format!("{file}: {field} acts, and the ledger says: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let all = table.iter().flat_map(|((kind, _), entries)| {
        let acting = entries.iter().filter(|(_, said)| acts(said));
        acting.map(move |(path, _)| format!("{kind} {path}"))
    });
    let unseen: Vec<String> = all.filter(|field| !seen.contains(field)).collect();
    let expected: Vec<&str> = UNSEEN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    if unseen != expected {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unseen.txt");
        std::fs::write(&path, unseen.join("\n") + "\n").expect("a place for the list");
        panic!("other fields are not seen to act than expected; see {path:?}");
    }
}
