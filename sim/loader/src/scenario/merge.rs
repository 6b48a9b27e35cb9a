//! JSON merge patches (RFC 7396) on trees, which keep the places of what they bring.

use crate::tree::{Entry, Node, Value};

/// `base` changed by `patch`: maps are merged, null removes, anything else replaces.
pub(crate) fn merge_patch(base: &Node, patch: &Node) -> Node {
    let Value::Mapping(changes) = &patch.value else {
        return patch.clone();
    };
    let mut entries: Vec<Entry> = base.entries().to_vec();
    for change in changes {
        let known = entries.iter().position(|entry| entry.key == change.key);
        match (known, change.value.is_null()) {
            (Some(position), true) => {
                entries.remove(position);
            }
            (None, true) => {}
            (Some(position), false) => {
                let entry = &mut entries[position];
                entry.value = merge_patch(&entry.value, &change.value);
                entry.key_span = change.key_span;
            }
            (None, false) => {
                let mut added = change.clone();
                added.value = merge_patch(&empty(&change.value), &change.value);
                entries.push(added);
            }
        }
    }
    Node {
        span: base.span,
        value: Value::Mapping(entries),
    }
}

/// A map without entries at the place of a node.
fn empty(at: &Node) -> Node {
    Node {
        span: at.span,
        value: Value::Mapping(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::tree::{Budget, parse};

    fn tree(text: &str) -> Node {
        parse(text, 0, Budget::default(), &mut Diagnostics::default()).remove(0)
    }

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar(text, _) => text.clone(),
            Value::Sequence(items) => {
                let items: Vec<_> = items.iter().map(show).collect();
                format!("[{}]", items.join(","))
            }
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}:{}", entry.key, show(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    #[test]
    fn patches_merge_as_the_examples_of_the_rfc_do() {
        let cases = [
            ("{a: b}", "{a: c}", "{a:c}"),
            ("{a: b}", "{b: c}", "{a:b,b:c}"),
            ("{a: b}", "{a: null}", "{}"),
            ("{a: b, b: c}", "{a: null}", "{b:c}"),
            ("{a: [b]}", "{a: c}", "{a:c}"),
            ("{a: c}", "{a: [b]}", "{a:[b]}"),
            ("{a: {b: c}}", "{a: {b: d, c: null}}", "{a:{b:d}}"),
            ("{a: [{b: c}]}", "{a: [1]}", "{a:[1]}"),
            ("{e: null}", "{a: 1}", "{e:,a:1}"),
            ("{}", "{a: {bb: {ccc: null}}}", "{a:{bb:{}}}"),
        ];
        for (base, patch, expected) in cases {
            assert_eq!(
                show(&merge_patch(&tree(base), &tree(patch))).replace("null", ""),
                expected
            );
        }
    }
}
