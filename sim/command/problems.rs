//! Telling what is wrong with the input.

use std::fmt;

use loader::{Loaded, Severity};

use super::output::Output;

/// The user's input is at fault: exit code 2. Empty if everything has been said already.
#[derive(Debug)]
pub(super) struct BadInput(pub(super) String);

impl BadInput {
    /// Every problem has been told, with its place.
    pub(super) fn told() -> Self {
        BadInput(String::new())
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Says errors and warnings on standard error; notes are for `check`.
pub(super) fn tell(loaded: &Loaded, output: &Output) {
    for diagnostic in &loaded.diagnostics {
        if diagnostic.severity != Severity::Note {
            output.tell(&loader::render(
                diagnostic,
                &loaded.files,
                output.colour_beside(),
            ));
            output.tell("");
        }
    }
}

/// How many problems of each severity there are, in words.
pub(super) fn count(loaded: &Loaded) -> String {
    let count = |severity| {
        let found = loaded
            .diagnostics
            .iter()
            .filter(|found| found.severity == severity);
        found.count()
    };
    let words = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Note), "note"),
    ];
    let words = words.map(|(count, word)| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    });
    words.join(", ")
}
