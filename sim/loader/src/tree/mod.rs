//! YAML as a tree in which every key and every value knows its place.
//!
//! Models: YAML 1.2 syntax with the meaning that Kubernetes gives to plain scalars (YAML 1.1
//! booleans and octal numbers), merge keys, anchors and aliases.
//! Leaves out: tags other than those of the core schema; timestamps, which stay strings.
//! Sources: yaml.org/spec/1.2.2; the scalar rules of sigs.k8s.io/yaml (goyaml.v2, resolve.go).
//! Validated by the tests of its files and by property tests over mutated texts.

mod compose;
mod documents;
mod resolve;

pub use compose::{Budget, parse};
pub use resolve::{ScalarKind, resolve};

use crate::source::Span;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar: its text after unquoting, and what Kubernetes takes it for.
    Scalar(String, ScalarKind),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the text; keys are unique.
    Mapping(Vec<Entry>),
}

/// An entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of a key; `None` if there is no such key, if it holds null, or if this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key, under the conditions of [`Node::get`].
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key && !entry.value.is_null())
    }

    /// The value at the end of a chain of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping; of anything else, none.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; of anything else, none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The items of the sequence under a key; none if there is none.
    pub fn list(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    /// The text of a string.
    pub fn str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, ScalarKind::String) => Some(text),
            _ => None,
        }
    }

    /// The text of any scalar but null, as it is written (without quotes).
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(_, ScalarKind::Null) => None,
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// A boolean.
    pub fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Scalar(_, ScalarKind::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// An integer.
    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Scalar(_, ScalarKind::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// An integer or a float.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Scalar(_, ScalarKind::Integer(value)) => Some(value as f64),
            Value::Scalar(_, ScalarKind::Float(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(_, ScalarKind::Null))
    }

    /// What it is, in the words of a message.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_, ScalarKind::Null) => "null",
            Value::Scalar(_, ScalarKind::Bool(_)) => "a boolean",
            Value::Scalar(_, ScalarKind::Integer(_)) => "an integer",
            Value::Scalar(_, ScalarKind::Float(_)) => "a number",
            Value::Scalar(_, ScalarKind::String) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a map",
        }
    }
}
