//! Whatever is wrong with the input, the user is told what, where, and what to do about it: each
//! file of `tests/data/bad` has its exact messages beside it. `UPDATE_GOLDENS=1` writes them anew.

use loader::{Code, File, Library, Loaded, Severity, load, render};
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad")
}

/// What the bad scenarios name, below their own folder.
struct Folder;

impl Library for Folder {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let text = std::fs::read_to_string(folder().join(path));
        let file = |text| {
            vec![File {
                name: path.to_owned(),
                text,
            }]
        };
        text.map(file)
            .map_err(|_| "there is no such file".to_owned())
    }
}

/// Every message as the command line shows it.
fn told(loaded: &Loaded) -> String {
    let mut text = String::new();
    for found in &loaded.diagnostics {
        text += &render(found, &loaded.files, false);
        text.push('\n');
    }
    text
}

fn load_text(name: &str, text: String) -> Loaded {
    load(
        &[File {
            name: name.to_owned(),
            text,
        }],
        &Folder,
    )
}

/// The bad files, by name.
fn bad_files() -> Vec<(String, Loaded)> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(folder().join(&name)).unwrap();
            let loaded = load_text(&name, String::from_utf8_lossy(&bytes).into_owned());
            (name, loaded)
        })
        .collect()
}

#[test]
fn every_bad_file_gets_its_exact_messages() {
    let files = bad_files();
    assert!(files.len() >= 40, "{} bad files", files.len());
    let mut differ = Vec::new();
    for (name, loaded) in files {
        let path = folder().join(name.replace(".yaml", ".txt"));
        let told = told(&loaded);
        if crate::support::updating() {
            std::fs::write(&path, &told).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != told {
            differ.push(format!("{name}:\n{told}"));
        }
    }
    assert!(
        differ.is_empty(),
        "UPDATE_GOLDENS=1 if this is meant:\n{}",
        differ.join("\n")
    );
}

#[test]
fn every_problem_has_a_place_and_says_what_to_do() {
    for (name, loaded) in bad_files() {
        let found = &loaded.diagnostics;
        assert!(!found.is_empty(), "{name} is not bad");
        for problem in found {
            let shown = render(problem, &loaded.files, false);
            assert!(problem.help.is_some(), "{name}: no help in\n{shown}");
            assert!(
                !problem.message.ends_with('.'),
                "{name}: a full stop in\n{shown}"
            );
        }
        let failed = found
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        assert_eq!(
            loaded.scenario.is_none(),
            failed,
            "{name}: an error forbids to run, and nothing else does"
        );
    }
}

#[test]
fn huge_input_is_refused_in_no_time() {
    let item = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let documents = item.repeat(60_000);
    let long_line = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\n",
        "a".repeat(1 << 20)
    );
    let deep = format!("a: {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let indented: String = (0..5_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    let bytes = "x".repeat(65 << 20);
    for (what, text) in [
        ("60 000 documents", documents),
        ("100 000 levels", deep),
        ("5 000 levels of indentation", indented),
        ("65 MiB", bytes),
    ] {
        let loaded = load_text("huge.yaml", text);
        assert!(loaded.scenario.is_none(), "{what}");
        let codes: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|found| found.code.id())
            .collect();
        assert!(codes.contains(&"HS0002"), "{what}: {codes:?}");
    }
    let shown = told(&load_text("long.yaml", long_line));
    assert!(
        shown.lines().all(|line| line.len() < 400),
        "long lines are cut"
    );
}

#[test]
fn binary_garbage_is_told_as_bad_yaml() {
    let garbage: Vec<u8> = (0..4_096_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let loaded = load_text("image.png", String::from_utf8_lossy(&garbage).into_owned());
    let worst = loaded.diagnostics.iter().map(|found| found.severity).min();
    assert_eq!(worst, Some(Severity::Error));
}

#[test]
fn every_kind_of_problem_of_a_scenario_is_shown_by_some_file() {
    let shown: BTreeSet<_> = bad_files()
        .iter()
        .flat_map(|(_, loaded)| loaded.diagnostics.iter().map(|found| found.code))
        .collect();
    let of_scenarios = Code::ALL
        .iter()
        .filter(|code| code.id().starts_with("HS02"));
    let missing: Vec<_> = of_scenarios.filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
