//! From the text of manifests and scenarios to a validated [`cloud::scenario::Scenario`].
//!
//! The only room that knows YAML. It is handed texts, never paths, and tells every problem at
//! once: [`load`] always returns, with a list of [`Diagnostic`]s and with the [`ledger`], the
//! account of what became of every field.

pub mod assembly;
pub mod diagnostic;
pub mod document;
pub mod kubernetes;
pub mod ledger;
pub mod shape;
pub mod source;
pub mod tree;
pub mod value;

pub use diagnostic::{Code, Diagnostic, Severity, render};
pub use ledger::Ledger;
pub use source::File;

use cloud::scenario::Scenario;
use diagnostic::Diagnostics;

/// What came of reading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to simulate; nothing if there are errors, or if the files say nothing to simulate.
    pub scenario: Option<Scenario>,
    /// All problems, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// What became of every field.
    pub ledger: Ledger,
}

/// Reads manifests and scenarios. Never fails, never panics, and needs time and memory in
/// proportion to the texts.
pub fn load(files: &[File]) -> Loaded {
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    document::read(files, &mut ledger, &mut diagnostics);
    Loaded {
        scenario: None,
        diagnostics: diagnostics.finish(files),
        ledger,
    }
}
