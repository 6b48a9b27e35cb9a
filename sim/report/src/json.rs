//! One versioned JSON document that holds everything a study found and what it stands on.

use crate::Extras;
use crate::extras::{Input, Tool};
use cloud::summary::Summary;
use serde::Serialize;
use serde_json::Value;

/// Name of the document's shape. A change that breaks readers changes its last part.
pub const SCHEMA: &str = "hybridsim.report/v1";

/// The document: where it comes from, then the summary's own fields, then the ledger.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tool: &'a Tool,
    command: &'a Option<String>,
    inputs: &'a [Input],
    #[serde(flatten)]
    summary: &'a Summary,
    ledger: &'a Value,
}

/// The document as text, ending with a line break.
///
/// Keys stand in a fixed order; numbers have the fewest digits that bring the same number back;
/// what is unknown is `null`, never not-a-number. An estimate from `samples: 0` was not
/// measured: its value means nothing.
pub fn json(summary: &Summary, extras: &Extras) -> String {
    let document = Document {
        schema: SCHEMA,
        tool: &extras.tool,
        command: &extras.command,
        inputs: &extras.inputs,
        summary,
        ledger: &extras.ledger,
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("keys are strings, and writing to memory cannot fail");
    text.push('\n');
    text
}
