//! What is wrong with the input, where, and what to do about it.

mod code;
mod render;

pub use code::Code;
pub use render::render;

use crate::source::{File, Span};
use serde::{Serialize, Serializer};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be simulated.
    Error,
    /// It can, but likely not what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code.
    #[serde(serialize_with = "serialize_code")]
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Name of the file; empty if no file is to blame.
    pub file: String,
    /// Line, from 1; 0 if no file is to blame.
    pub line: u32,
    /// Column in characters, from 1; 0 if no file is to blame.
    pub column: u32,
    /// What to do about it.
    pub help: Option<String>,
    /// The place, in bytes.
    pub span: Option<Span>,
}

fn serialize_code<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.id())
}

impl Diagnostic {
    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Changes how bad it is, where it depends on more than the code.
    pub fn severity(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }
}

/// More problems than a person reads; the rest is counted, not kept.
const KEPT_MAX: usize = 5_000;

/// Collects problems while reading.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    /// Where those go that are too many.
    dropped: Vec<Diagnostic>,
    dropped_count: usize,
    dropped_error: bool,
}

impl Diagnostics {
    /// Adds a problem with the severity of its code; refine the result with
    /// [`Diagnostic::help`] and [`Diagnostic::severity`].
    pub fn report(
        &mut self,
        code: Code,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let span = span.into();
        let diagnostic = Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            file: String::new(),
            line: span.map_or(0, |span| span.line),
            column: span.map_or(0, |span| span.column),
            help: None,
            span,
        };
        if self.found.len() < KEPT_MAX {
            self.found.push(diagnostic);
            return self.found.last_mut().expect("one was pushed");
        }
        self.dropped_count += 1;
        self.dropped_error |= diagnostic.severity == Severity::Error;
        self.dropped.clear();
        self.dropped.push(diagnostic);
        &mut self.dropped[0]
    }

    /// Moves all problems found since there were `known` to one place.
    pub(crate) fn move_to(&mut self, known: usize, span: Span) {
        for problem in self.found.iter_mut().skip(known) {
            problem.span = Some(span);
            problem.line = span.line;
            problem.column = span.column;
        }
    }

    /// How many problems were kept so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Adds to the messages of the problems after the first `known`; those that were among the
    /// first already are dropped.
    pub(crate) fn annotate_new(&mut self, known: usize, note: &str) {
        let new = self.found.split_off(known);
        for mut problem in new {
            if !self.found[..known].contains(&problem) {
                problem.message.push_str(note);
                self.found.push(problem);
            }
        }
    }

    /// Whether anything found so far forbids a simulation.
    pub fn has_errors(&self) -> bool {
        self.dropped_error
            || self
                .found
                .iter()
                .any(|found| found.severity == Severity::Error)
    }

    /// All problems in the order of files and places, those without a place last.
    pub fn finish(mut self, files: &[File]) -> Vec<Diagnostic> {
        if self.dropped_count > 0 {
            let severity = if self.dropped_error {
                Severity::Error
            } else {
                Severity::Note
            };
            let message = format!("{} more problems are not shown", self.dropped_count);
            self.found.push(Diagnostic {
                code: Code::TooManyProblems,
                severity,
                message,
                file: String::new(),
                line: 0,
                column: 0,
                help: Some("fix those that are shown first".to_owned()),
                span: None,
            });
        }
        for found in &mut self.found {
            if let Some(file) = found.span.and_then(|span| files.get(span.file as usize)) {
                found.file.clone_from(&file.name);
            }
        }
        self.found
            .sort_by(|left, right| order(left).cmp(&order(right)));
        self.found.dedup();
        self.found
    }
}

fn order(diagnostic: &Diagnostic) -> impl Ord + '_ {
    let Diagnostic {
        code,
        severity,
        message,
        file,
        span,
        ..
    } = diagnostic;
    (
        span.is_none(),
        file,
        span.map(|span| (span.file, span.start)),
        severity,
        code,
        message,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_out_in_the_order_of_places() {
        let at = |start, line| Span {
            file: 0,
            start,
            end: start + 1,
            line,
            column: 1,
        };
        let mut diagnostics = Diagnostics::default();
        diagnostics.report(Code::UnknownField, None, "nowhere");
        diagnostics.report(Code::UnknownField, at(9, 2), "second");
        diagnostics
            .report(Code::Syntax, at(1, 1), "first")
            .help("do");
        diagnostics.report(Code::UnknownField, at(9, 2), "second");
        assert!(diagnostics.has_errors());
        let files = [File {
            name: "a.yaml".to_owned(),
            text: String::new(),
        }];
        let found = diagnostics.finish(&files);
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.message.as_str(), found.file.as_str()))
            .collect();
        assert_eq!(
            told,
            [("first", "a.yaml"), ("second", "a.yaml"), ("nowhere", "")]
        );
        let json = serde_json::to_value(&found[0]).unwrap();
        assert_eq!(json["code"], "HS0001");
        assert_eq!(json["severity"], "error");
    }

    #[test]
    fn a_flood_is_counted_and_keeps_its_severity() {
        let mut diagnostics = Diagnostics::default();
        for _ in 0..KEPT_MAX {
            diagnostics.report(Code::UnknownField, None, "field");
        }
        assert!(!diagnostics.has_errors());
        diagnostics.report(Code::Syntax, None, "late");
        assert!(diagnostics.has_errors());
        let found = diagnostics.finish(&[]);
        assert!(
            found
                .iter()
                .any(|found| found.code == Code::TooManyProblems)
        );
    }
}
