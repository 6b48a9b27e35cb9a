//! What a report tells beside the summary: handed over by whoever read the files.

use serde::Serialize;
use serde_json::Value;

/// Where a study comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Extras {
    /// The program.
    pub tool: Tool,
    /// The command that gives the same bytes again.
    pub command: Option<String>,
    /// The files read, in order.
    pub inputs: Vec<Input>,
    /// The account of every field, as the loader serialises it: `{documents: [{file, line,
    /// api_version, kind, namespace, name, entries: [{path, standing, note, count, line}]}]}`;
    /// `Value::Null` if there is none.
    pub ledger: Value,
}

/// The program.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A file that was read.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Hexadecimal hash of its bytes.
    pub hash: String,
}
