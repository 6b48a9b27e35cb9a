//! Every scenario that ships runs as it stands, keeps what it expects of itself, and has the
//! digest that is written down in `tests/data/digests.txt` (`UPDATE_GOLDENS=1` writes it anew).

use cloud::scenario::Scenario;
use cloud::summary::Outcome;
use hybridsim::study::{self, StudyOptions, Unwatched};
use std::fmt::Write as _;
use std::path::Path;

/// Shipped scenarios and their variants, by name.
fn shipped() -> Vec<(String, Scenario)> {
    let mut scenarios = Vec::new();
    for file in crate::support::shipped() {
        let name = file
            .name
            .trim_start_matches("scenarios/")
            .trim_end_matches(".yaml")
            .to_owned();
        let loaded = loader::load(&[file], &crate::support::Project);
        let scenario = loaded
            .scenario
            .unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        let variants = loaded.variants.into_iter();
        let variants = variants.map(|(variant, scenario)| (format!("{name}, {variant}"), scenario));
        scenarios.push((name.clone(), scenario));
        scenarios.extend(variants);
    }
    scenarios
}

#[test]
fn every_scenario_keeps_its_expectations_and_its_digest() {
    let (mut digests, mut broken) = (String::new(), String::new());
    for (name, scenario) in shipped() {
        let study = study::run(&scenario, &StudyOptions::default(), &Unwatched)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let summary = study.summary;
        assert!(scenario.question.is_some(), "{name} asks nothing");
        for verdict in &summary.verdicts {
            if verdict.kind == "expectation" && verdict.outcome != Outcome::Met {
                let (statement, found) = (&verdict.statement, &verdict.found);
                writeln!(broken, "{name}: {statement}: {found:?}").expect("a string grows");
            }
        }
        writeln!(digests, "{} {name}", summary.digest).expect("a string grows");
    }
    assert!(
        broken.is_empty(),
        "expectations that do not hold:\n{broken}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/digests.txt");
    if crate::support::updating() {
        std::fs::write(&path, &digests).expect("the goldens can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(digests, golden, "UPDATE_GOLDENS=1 if this is meant");
}

#[test]
fn the_gallery_shows_what_runs_today() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(root.join("tests/data/digests.txt")).expect("goldens");
    let mut seen = 0;
    let mut folders = vec![root.join("reports")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder of the gallery");
        let entries = entries.map(|entry| entry.expect("an entry of the gallery").path());
        folders.extend(entries.filter(|path| path.is_dir()));
        let Ok(report) = std::fs::read_to_string(folder.join("report.json")) else {
            continue;
        };
        let report: serde_json::Value = serde_json::from_str(&report).expect("a JSON document");
        let digest = report["digest"].as_str().expect("a digest");
        let name = folder
            .strip_prefix(root.join("reports"))
            .ok()
            .and_then(|name| name.to_str())
            .expect("a plain name");
        assert!(
            golden
                .lines()
                .any(|line| line == format!("{digest} {name}")),
            "reports/{name} is out of date: write it anew with `run {name} --out reports/{name}`"
        );
        seen += 1;
    }
    assert!(seen >= 4, "{seen} reports");
}
