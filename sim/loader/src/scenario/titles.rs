//! How a scenario is called: by its own name, or after the files that it is made from.

use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;

pub(super) fn scenario_name(document: &Document, diagnostics: &mut Diagnostics) -> String {
    let name = &document.metadata.name;
    if name.is_empty() || plain_name(name) != *name {
        let shown: String = name.chars().take(60).collect();
        let message = match name.is_empty() {
            true => "the Scenario has no name".to_owned(),
            false => format!("`{shown}` cannot be the name of a Scenario"),
        };
        diagnostics
            .report(Code::InvalidName, document.metadata.span, message)
            .help("set `metadata.name` to lower-case letters, digits and `-`");
    }
    plain_name(name)
}

/// A name for what files hold: `bookinfo` for `samples/bookinfo.yaml`, `shop` for several files
/// that begin with `apps/shop/cart.yaml`.
pub(super) fn name_of_files(files: &[String]) -> String {
    let first = files.first().map_or("", String::as_str);
    let named = match first.rsplit_once('/') {
        Some((folder, _)) if files.len() > 1 => folder,
        _ => first,
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    plain_name(last.split('.').next().unwrap_or_default())
}

/// Letters, digits and dashes of a text.
pub(super) fn plain_name(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    match plain.trim_matches('-') {
        "" => "scenario".to_owned(),
        plain => plain.to_owned(),
    }
}
