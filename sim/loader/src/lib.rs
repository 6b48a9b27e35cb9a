//! From the text of manifests and scenarios to a validated [`cloud::scenario::Scenario`].
//!
//! The only room that knows YAML. It is handed texts, never paths, and tells every problem at
//! once: [`load`] always returns, with a list of [`Diagnostic`]s and with the [`ledger`], the
//! account of what became of every field.

pub mod assembly;
mod checks;
pub mod diagnostic;
pub mod document;
mod init;
pub mod istio;
mod json_schema;
pub mod kubernetes;
pub mod ledger;
pub mod scenario;
pub mod shape;
pub mod source;
pub mod sources;
pub mod tree;
pub mod value;

pub use diagnostic::{Code, Diagnostic, Severity, render};
pub use init::init;
pub use json_schema::json_schema;
pub use ledger::Ledger;
pub use source::File;
pub use sources::{Library, Nothing};
pub use value::parse_duration;

use cloud::scenario::Scenario;
use diagnostic::Diagnostics;
use sources::Sources;

/// What came of reading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to simulate; nothing if there are errors, or if the files say nothing to simulate.
    pub scenario: Option<Scenario>,
    /// Its variants with their names, in the order of the text.
    pub variants: Vec<(String, Scenario)>,
    /// All problems, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// What became of every field.
    pub ledger: Ledger,
    /// All texts that were read: first those handed in, then those that the Scenario names.
    /// Places of diagnostics refer to them.
    pub files: Vec<File>,
}

/// Reads manifests and scenarios. Never fails, never panics, and needs time and memory in
/// proportion to the texts.
///
/// With a Scenario among the files, that one counts, and the manifests among them belong to each
/// of its clusters. With manifests alone, a scenario is assumed: [`Scenario::assumptions`] says
/// what.
pub fn load(files: &[File], library: &dyn Library) -> Loaded {
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let mut sources = Sources::new(files, library);
    let (scenario, variants) = scenario::load(&mut sources, &mut ledger, &mut diagnostics);
    let failed = diagnostics.has_errors();
    let files = sources.into_files();
    let mut diagnostics = diagnostics.finish(&files);
    for problem in diagnostics
        .iter_mut()
        .filter(|problem| problem.help.is_none())
    {
        problem.help(format!(
            "`hybridsim check --explain {}` tells more",
            problem.code.id()
        ));
    }
    Loaded {
        scenario: scenario.filter(|_| !failed),
        variants: if failed { Vec::new() } else { variants },
        diagnostics,
        ledger,
        files,
    }
}
