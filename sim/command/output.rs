//! The two streams: documents on standard output, words to a person on standard error.

use std::io::{self, IsTerminal, Write};

use report::Style;
use serde::Serialize;

/// Where to print, and how.
pub(super) struct Output {
    json: bool,
    plain: bool,
    width: usize,
}

/// Columns where no terminal says how wide it is.
const WIDTH_ELSEWHERE: usize = 100;

impl Output {
    pub(super) fn new(json: bool) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the user's wish, which moves no result"
        )]
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (_, columns) = console::Term::stdout().size();
        let terminal = io::stdout().is_terminal();
        Output {
            json,
            plain,
            width: if terminal {
                usize::from(columns).clamp(60, 160)
            } else {
                WIDTH_ELSEWHERE
            },
        }
    }

    /// Whether one JSON document is wanted instead of text.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether text on standard output may be coloured.
    pub(super) fn colour(&self) -> bool {
        !self.plain && io::stdout().is_terminal()
    }

    /// Whether text on standard error may be coloured.
    pub(super) fn colour_beside(&self) -> bool {
        !self.plain && self.watched()
    }

    /// How to write a report on standard output.
    pub(super) fn style(&self) -> Style {
        Style {
            width: self.width,
            colour: self.colour(),
        }
    }

    /// Whether a person sees standard error as it is written.
    pub(super) fn watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Prints a document on standard output, with a line end.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }

    /// Prints a value as a JSON document on standard output.
    pub(super) fn print_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.print(&serde_json::to_string_pretty(value)?)?)
    }

    /// Says something to the person, on standard error. A closed stream is nobody's concern.
    pub(super) fn tell(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
    }
}

/// Whether whoever read standard output has stopped reading, as `head` does.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
