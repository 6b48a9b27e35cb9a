//! Variants: patches of a Scenario that are compared with it.

use super::reader::Reader;
use super::titles::plain_name;
use super::{SCENARIO, forms, merge};
use crate::diagnostic::{Code, Diagnostics};
use crate::shape::{Account, check};
use crate::tree::{Entry, Node, Value};

/// Name and patch of each variant, in the order of the text.
pub(super) fn patches<'n>(
    spec: &'n Node,
    diagnostics: &mut Diagnostics,
) -> Vec<(String, &'n Node)> {
    let mut variants: Vec<(String, &Node)> = Vec::new();
    for node in spec.list("variants") {
        let (Some(name), Some(patch)) = (node.get("name"), node.get("patch")) else {
            continue;
        };
        let Some(text) = name.str() else {
            continue;
        };
        if plain_name(text) != text {
            let message = format!("`{text}` cannot be the name of a variant");
            diagnostics
                .report(Code::InvalidName, name.span, message)
                .help("use lower-case letters, digits and `-`");
        }
        if variants.iter().any(|(known, _)| known == text) {
            let message = format!("two variants are called `{text}`");
            diagnostics
                .report(Code::DuplicateName, name.span, message)
                .help("give each a name of its own");
            continue;
        }
        variants.push((text.to_owned(), patch));
    }
    variants
}

/// A patched `spec`, checked like the one that it comes from.
pub(super) fn patched(
    root: &Node,
    spec: &Node,
    patch: &Node,
    diagnostics: &mut Diagnostics,
) -> Node {
    let patched = merge::merge_patch(spec, patch);
    let mut whole = Node {
        span: root.span,
        value: Value::Mapping(
            root.entries()
                .iter()
                .filter(|entry| entry.key != "spec")
                .cloned()
                .collect(),
        ),
    };
    if let (Value::Mapping(entries), Some(entry)) = (&mut whole.value, root.entry("spec")) {
        entries.push(Entry {
            key: entry.key.clone(),
            key_span: entry.key_span,
            value: patched.clone(),
        });
    }
    check(&whole, &SCENARIO, &mut Account::default(), diagnostics);
    patched
}

/// Reports expectations of variants that are not there.
pub(super) fn check_variants(spec: &Node, diagnostics: &mut Diagnostics) {
    let known: Vec<&str> = spec
        .list("variants")
        .iter()
        .filter_map(|node| forms::text(node, "name"))
        .collect();
    let mut reader = Reader::new(diagnostics);
    for node in spec.list("expect") {
        let Some(at) = node.get("variant") else {
            continue;
        };
        let name = at.str().unwrap_or_default();
        if !known.contains(&name) {
            let message = format!("there is no variant `{name}`");
            reader.unknown(
                Code::UnknownVariant,
                at.span,
                message,
                known.iter().copied(),
            );
        }
    }
}
