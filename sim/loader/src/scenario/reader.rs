//! What every part of a Scenario is read with: problems, assumptions, and the facts leaned on.

use crate::diagnostic::{Code, Diagnostics};
use crate::shape::nearest;
use crate::source::Span;
use cloud::facts::Fact;
use std::collections::BTreeSet;

/// Collects what reading brings up besides the values themselves.
pub(crate) struct Reader<'a> {
    /// Problems.
    pub(crate) diagnostics: &'a mut Diagnostics,
    /// What was assumed, in sentences, in the order in which it came up.
    pub(crate) assumptions: Vec<String>,
    facts: BTreeSet<&'static str>,
    /// How many unknown names may still be compared with all known ones.
    suggestions_left: u32,
}

/// More unknown names than this have one cause, which no single suggestion tells.
const SUGGESTIONS_MAX: u32 = 200;

impl<'a> Reader<'a> {
    /// Nothing read yet.
    pub(crate) fn new(diagnostics: &'a mut Diagnostics) -> Self {
        Reader {
            diagnostics,
            assumptions: Vec::new(),
            facts: BTreeSet::new(),
            suggestions_left: SUGGESTIONS_MAX,
        }
    }

    /// The value of a fact, which from now on counts as leaned on.
    pub(crate) fn fact<T: Copy>(&mut self, fact: &Fact<T>) -> T {
        self.facts.insert(fact.id);
        fact.value
    }

    /// Identifiers of the facts leaned on, ascending.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &'static str> {
        self.facts.iter().copied()
    }

    /// States an assumption, once.
    pub(crate) fn assume(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !self.assumptions.contains(&sentence) {
            self.assumptions.push(sentence);
        }
    }

    /// Reports a name that stands for nothing, with the nearest of those that would do.
    pub(crate) fn unknown<'n>(
        &mut self,
        code: Code,
        span: Span,
        message: String,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        if self.suggestions_left == 0 {
            let help = "many names are unknown: are all manifests there?";
            self.diagnostics.report(code, span, message).help(help);
            return;
        }
        self.suggestions_left -= 1;
        let name = message.split('`').nth(1).unwrap_or_default().to_owned();
        let help = match nearest(&name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match list(known) {
                Some(names) => format!("there are {names}"),
                None => "there is none at all".to_owned(),
            },
        };
        self.diagnostics.report(code, span, message).help(help);
    }

    /// Reports names that are given twice. `named` yields names with their places, in any order.
    pub(crate) fn unique<'n>(&mut self, what: &str, named: impl Iterator<Item = (&'n str, Span)>) {
        let mut seen = BTreeSet::new();
        for (name, span) in named {
            if !seen.insert(name) {
                let message = format!("two {what} are called `{name}`");
                self.diagnostics
                    .report(Code::DuplicateName, span, message)
                    .help("give each a name of its own");
            }
        }
    }
}

/// The first names as text, sorted; `None` if there are none.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    const SHOWN_MAX: usize = 8;
    let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(SHOWN_MAX);
    match (shown.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(shown.join(", ")),
        (false, more) => Some(format!("{} and {more} more", shown.join(", "))),
    }
}
