//! `hybridsim check`: every problem at once, and the ledger.

use std::fmt::Write as _;

use loader::ledger::{DocumentLedger, Ledger, Standing};
use loader::{Code, Loaded, Severity};
use serde_json::json;

use super::End;
use super::files::{self, DEFAULT_SCENARIO};
use super::output::Output;
use super::problems::{self, BadInput};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario, manifests, folders of manifests, or the name of a shipped scenario
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    files: Vec<String>,
    /// Say more about a diagnostic's code, as HS0001
    #[arg(long, value_name = "CODE", conflicts_with = "files")]
    explain: Option<String>,
    /// Print every field of the ledger, not only those that are not modelled
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    if let Some(code) = &arguments.explain {
        return explain(code, output);
    }
    let input = files::read(&arguments.files, DEFAULT_SCENARIO)?;
    let loaded = loader::load(&input.files, input.library.as_ref());
    if output.json() {
        output.print_json(&json!({
            "schema": "hybridsim.check/v1",
            "diagnostics": loaded.diagnostics,
            "ledger": loaded.ledger,
        }))?;
    } else {
        output.print(&told(&loaded, arguments.all, output))?;
    }
    let has_error = loaded
        .diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    Ok(if has_error { End::BadInput } else { End::Fine })
}

fn explain(text: &str, output: &Output) -> anyhow::Result<End> {
    let Some(code) = Code::from_id(text) else {
        return Err(BadInput(format!("{text} is no code: they go from HS0001 on")).into());
    };
    if output.json() {
        output.print_json(&json!({
            "code": code.id(),
            "severity": code.severity(),
            "title": code.title(),
            "explanation": code.explanation(),
        }))?;
    } else {
        let severity = code.severity().name();
        let (id, title, explanation) = (code.id(), code.title(), code.explanation());
        output.print(&format!("{id} ({severity}): {title}\n\n{explanation}"))?;
    }
    Ok(End::Fine)
}

fn told(loaded: &Loaded, all: bool, output: &Output) -> String {
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        text += &loader::render(diagnostic, &loaded.files, output.colour());
        text += "\n\n";
    }
    for document in &loaded.ledger.documents {
        document_account(document, all, &mut text);
    }
    text += &total(&loaded.ledger);
    let counted = problems::count(loaded);
    text + &format!("\n{counted}; `hybridsim check --explain CODE` says more about one\n")
}

/// The account of one document: a line of counts, then the fields that want one.
fn document_account(document: &DocumentLedger, all: bool, text: &mut String) {
    let count = |standing| {
        let entries = document
            .entries
            .iter()
            .filter(|entry| entry.standing == standing);
        entries.map(|entry| entry.count).sum::<u32>()
    };
    let name = match &document.namespace {
        Some(namespace) => format!("{namespace}/{}", document.name),
        None => document.name.clone(),
    };
    let line = format!(
        "{}:{}  {} {name}: {} modelled, {} approximated, {} ignored, {} unknown\n",
        document.file,
        document.line,
        document.kind,
        count(Standing::Modelled),
        count(Standing::Approximated),
        count(Standing::Ignored),
        count(Standing::Unknown),
    );
    text.push_str(&line);
    for entry in &document.entries {
        if !all && entry.standing == Standing::Modelled {
            continue;
        }
        let path = if entry.path.is_empty() {
            "(whole document)"
        } else {
            &entry.path
        };
        let note = if entry.note.is_empty() { "" } else { ": " };
        writeln!(
            text,
            "    {:12} {path}{note}{}",
            standing(entry.standing),
            entry.note
        )
        .expect("a string takes any text");
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Modelled => "modelled",
        Standing::Approximated => "approximated",
        Standing::Ignored => "ignored",
        Standing::Unknown => "unknown",
    }
}

fn total(ledger: &Ledger) -> String {
    let [modelled, approximated, ignored, unknown] = ledger.counts();
    format!(
        "{} documents: {modelled} fields modelled, {approximated} approximated, \
         {ignored} ignored, {unknown} unknown",
        ledger.documents.len()
    )
}
