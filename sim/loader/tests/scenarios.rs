//! The shipped scenarios load without errors, whatever the order of what they hold.

use hybridsim_loader::{File, Library, Loaded, Severity, load, render};
use std::path::Path;

/// Reads from the folder of the project.
struct Folder;

impl Library for Folder {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let whole = root.join(path);
        let mut names = Vec::new();
        if whole.is_dir() {
            for entry in std::fs::read_dir(&whole).map_err(|error| error.to_string())? {
                let name = entry.map_err(|error| error.to_string())?.file_name();
                let name = name.to_string_lossy().into_owned();
                if name.ends_with(".yaml") {
                    names.push(format!("{path}/{name}"));
                }
            }
            names.sort();
        } else {
            names.push(path.to_owned());
        }
        names
            .into_iter()
            .map(|name| {
                let text = std::fs::read_to_string(root.join(&name));
                text.map(|text| File { name, text })
                    .map_err(|error| error.to_string())
            })
            .collect()
    }
}

fn load_file(name: &str) -> Loaded {
    let files = Folder.read(name).unwrap();
    load(&files, &Folder)
}

/// Errors and warnings as text.
fn told(loaded: &Loaded, worst: Severity) -> String {
    let found = loaded.diagnostics.iter();
    found
        .filter(|found| found.severity <= worst)
        .map(|found| render(found, &loaded.files, false))
        .collect()
}

fn shipped() -> Vec<String> {
    let files = Folder.read("scenarios").unwrap();
    assert!(files.len() > 3, "the folder is found");
    files.into_iter().map(|file| file.name).collect()
}

#[test]
fn every_shipped_scenario_loads_without_errors_and_warnings() {
    let mut problems = String::new();
    for name in shipped() {
        let loaded = load_file(&name);
        problems += &told(&loaded, Severity::Warning);
        if loaded.scenario.is_none() {
            problems += &format!("{name} yields no scenario\n");
        }
    }
    assert_eq!(problems, "");
}
