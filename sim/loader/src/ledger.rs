//! The account of every field of every document: modelled, approximated, ignored or unknown.

use serde::Serialize;

/// The account of all documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// One account per document, in the order of files and lines; items of a `List` count as
    /// documents.
    pub documents: Vec<DocumentLedger>,
}

/// The account of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentLedger {
    /// Name of its file.
    pub file: String,
    /// Line on which it starts.
    pub line: u32,
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its fields, sorted by path.
    pub entries: Vec<LedgerEntry>,
}

/// The account of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// Where the field is, as `spec.ports[].port`; `*` stands for any key of a free map, and the
    /// empty path for the whole document.
    pub path: String,
    /// What becomes of it.
    pub standing: Standing,
    /// How it is approximated or why it is ignored.
    pub note: String,
    /// How often it is there.
    pub count: u32,
    /// Line of the first one.
    pub line: u32,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It acts as it does in the product.
    Modelled,
    /// It acts in a simpler way.
    Approximated,
    /// It has no influence.
    Ignored,
    /// The kind has no such field.
    Unknown,
}

impl Ledger {
    /// How many fields have each standing: modelled, approximated, ignored, unknown.
    pub fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        for entry in self.documents.iter().flat_map(|document| &document.entries) {
            counts[entry.standing as usize] += u64::from(entry.count);
        }
        counts
    }
}
