//! What the README shows is true: its scenarios load without a warning, its files exist, and the
//! gate calls its own test command.

use loader::{File, Severity};
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// The code blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = README.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().expect("a block ends"))
        .collect()
}

#[test]
fn its_scenarios_load_without_a_warning() {
    let blocks = blocks("yaml");
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let file = File {
            name: "scenarios/readme.yaml".to_owned(),
            text: block.to_owned(),
        };
        let loaded = loader::load(&[file], &crate::support::Project);
        let worst = loaded.diagnostics.iter().map(|found| found.severity).min();
        assert!(
            worst.is_none_or(|worst| worst == Severity::Note),
            "{:#?}\n{block}",
            loaded.diagnostics
        );
        assert!(loaded.scenario.is_some());
    }
}

#[test]
fn its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1);
    let targets: Vec<&str> = targets.filter_map(|rest| rest.split(')').next()).collect();
    assert!(targets.len() >= 4, "{targets:?}");
    for target in targets {
        assert!(root.join(target).exists(), "{target} does not exist");
    }
}

#[test]
fn the_gate_calls_its_test_command() {
    let commands: Vec<&str> = blocks("sh")[0].lines().collect();
    assert_eq!(
        commands,
        ["cargo run --release -- run", "cargo test --workspace"]
    );
    assert!(include_str!("../../.ci/run").contains("cargo test --workspace"));
}
