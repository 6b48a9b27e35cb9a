//! Whatever the texts, loading them ends without a panic, and every problem can be shown.
//!
//! A line `%%%` ends a text: the first is handed to the loader, the others are what it finds
//! behind any path that a Scenario names, in turn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loader::{File, Library, load, render};
use std::cell::Cell;

struct Texts<'a> {
    texts: Vec<&'a str>,
    next: Cell<usize>,
}

impl Library for Texts<'_> {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let position = self.next.get();
        self.next.set(position + 1);
        let text = self.texts.get(position).ok_or("there are no more texts")?;
        Ok(vec![File { name: path.to_owned(), text: (*text).to_owned() }])
    }
}

fuzz_target!(|text: &str| {
    let mut texts = text.split("\n%%%\n");
    let first = texts.next().unwrap_or_default();
    let library = Texts { texts: texts.collect(), next: Cell::new(0) };
    let files = [File { name: "fuzz.yaml".to_owned(), text: first.to_owned() }];
    let loaded = load(&files, &library);
    for problem in &loaded.diagnostics {
        assert!(!render(problem, &loaded.files, true).is_empty());
    }
    for scenario in loaded.scenario.iter().chain(loaded.variants.iter().map(|(_, variant)| variant)) {
        scenario.assert_valid();
    }
    let failed = loaded.diagnostics.iter().any(|problem| problem.severity == loader::Severity::Error);
    assert_eq!(loaded.scenario.is_none(), failed, "errors and only errors forbid to run");
});
