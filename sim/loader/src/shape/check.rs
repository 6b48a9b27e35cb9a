//! Checks a tree against a shape and writes its account.

use super::{Kind, Shape, Status, nearest};
use crate::diagnostic::{Code, Diagnostics};
use crate::ledger::{LedgerEntry, Standing};
use crate::source::Span;
use crate::tree::{Node, ScalarKind, Value, resolve};
use std::collections::BTreeMap;

/// The account of one document while it is written.
#[derive(Debug, Default)]
pub struct Account {
    entries: BTreeMap<String, LedgerEntry>,
}

impl Account {
    /// Enters a field.
    pub fn enter(&mut self, path: &str, standing: Standing, note: &str, line: u32) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.count += 1;
            return;
        }
        let entry = LedgerEntry {
            path: path.to_owned(),
            standing,
            note: note.to_owned(),
            count: 1,
            line,
        };
        self.entries.insert(path.to_owned(), entry);
    }

    /// All entries, sorted by path.
    pub fn finish(self) -> Vec<LedgerEntry> {
        self.entries.into_values().collect()
    }
}

/// Checks `node` against `shape`: wrong types and values and missing fields are errors,
/// unknown fields are warnings, and every leaf is entered into the account.
pub fn check(
    node: &Node,
    shape: &'static Shape,
    account: &mut Account,
    diagnostics: &mut Diagnostics,
) {
    let mut checker = Checker {
        account,
        diagnostics,
        path: String::new(),
    };
    checker.map(node, shape, Status::Modelled, node.span);
}

struct Checker<'a> {
    account: &'a mut Account,
    diagnostics: &'a mut Diagnostics,
    path: String,
}

impl Checker<'_> {
    /// Runs `inner` with a longer path.
    fn below(&mut self, part: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() && part != "[]" {
            self.path.push('.');
        }
        self.path.push_str(part);
        inner(self);
        self.path.truncate(length);
    }

    fn enter(&mut self, status: Status, line: u32) {
        let (standing, note) = match status {
            Status::Modelled => (Standing::Modelled, ""),
            Status::Approximated(how) => (Standing::Approximated, how),
            Status::Ignored(why) => (Standing::Ignored, why),
        };
        self.account.enter(&self.path, standing, note, line);
    }

    /// `blame` is where a missing field is reported: the key that holds the map.
    fn map(&mut self, node: &Node, shape: &'static Shape, status: Status, blame: Span) {
        let Value::Mapping(entries) = &node.value else {
            self.wrong_type(node, "a map");
            return;
        };
        for entry in entries {
            let (part, field) = match shape.field(&entry.key) {
                Some(field) => (field.name, Some(field)),
                None => ("*", shape.rest),
            };
            match field {
                Some(field) => self.below(part, |checker| {
                    let status = field.status.within(status);
                    checker.value(&entry.value, &field.kind, status, entry.key_span);
                }),
                None => self.unknown(&entry.key, entry.key_span, shape),
            }
        }
        for field in shape.fields.iter().filter(|field| field.required) {
            if node.get(field.name).is_none() {
                let message = format!("{} lacks `{}`", self.place(), field.name);
                let found = self.diagnostics.report(Code::MissingField, blame, message);
                if !field.doc.is_empty() {
                    found.help(format!(
                        "add `{}`: {}",
                        field.name,
                        field.doc.trim_end_matches('.')
                    ));
                }
            }
        }
        if shape.exactly_one {
            self.exactly_one(node, shape, blame);
        }
    }

    fn exactly_one(&mut self, node: &Node, shape: &'static Shape, blame: Span) {
        let given = node
            .entries()
            .iter()
            .filter(|entry| shape.field(&entry.key).is_some())
            .count();
        if given != 1 {
            let message = format!("{} must hold exactly one key, not {given}", self.place());
            let names: Vec<_> = shape
                .fields
                .iter()
                .map(|field| format!("`{}`", field.name))
                .collect();
            self.diagnostics
                .report(Code::NotExactlyOne, blame, message)
                .help(format!("give one of {}", names.join(", ")));
        }
    }

    fn unknown(&mut self, key: &str, span: Span, shape: &'static Shape) {
        let name: String = key.chars().take(60).collect();
        let message = format!("{} has no field `{name}`", self.place());
        let found = self.diagnostics.report(Code::UnknownField, span, message);
        match nearest(key, shape.fields.iter().map(|field| field.name)) {
            Some(known) => found.help(format!("did you mean `{known}`?")),
            None => found.help("it has no effect; remove it, or move it to where it belongs"),
        };
        self.below(&name, |checker| {
            checker
                .account
                .enter(&checker.path, Standing::Unknown, "", span.line);
        });
    }

    fn place(&self) -> String {
        if self.path.is_empty() {
            "the document".to_owned()
        } else {
            format!("`{}`", self.path)
        }
    }

    fn value(&mut self, node: &Node, kind: &'static Kind, status: Status, blame: Span) {
        let line = blame.line;
        if node.is_null() {
            // An absent value: the product takes its default.
            self.enter(status, line);
            return;
        }
        match kind {
            Kind::Map(shape) => {
                if node.entries().is_empty() {
                    self.enter(status, line);
                }
                self.map(node, shape, status, blame);
            }
            Kind::Keyed(inner) => self.keyed(node, inner, status, line),
            Kind::List(inner) => self.list(node, inner, status, line),
            Kind::Either(kinds) => match kinds.iter().find(|kind| takes_form(kind, node)) {
                Some(kind) => self.value(node, kind, status, blame),
                None => {
                    self.enter(status, line);
                    let wanted: Vec<_> = kinds.iter().map(describe).collect();
                    self.wrong_type(node, &wanted.join(" or "));
                }
            },
            Kind::Opaque => self.enter(status, line),
            scalar => {
                self.enter(status, line);
                self.scalar(node, scalar);
            }
        }
    }

    fn keyed(&mut self, node: &Node, inner: &'static Kind, status: Status, line: u32) {
        let Value::Mapping(entries) = &node.value else {
            self.enter(status, line);
            self.wrong_type(node, "a map");
            return;
        };
        if entries.is_empty() {
            self.enter(status, line);
        }
        for entry in entries {
            self.below("*", |checker| {
                checker.value(&entry.value, inner, status, entry.key_span)
            });
        }
    }

    fn list(&mut self, node: &Node, inner: &'static Kind, status: Status, line: u32) {
        let Value::Sequence(items) = &node.value else {
            self.enter(status, line);
            self.wrong_type(node, "a list");
            return;
        };
        if items.is_empty() {
            self.enter(status, line);
        }
        for item in items {
            self.below("[]", |checker| {
                checker.value(item, inner, status, item.span)
            });
        }
    }

    fn scalar(&mut self, node: &Node, kind: &Kind) {
        let Value::Scalar(text, scalar) = &node.value else {
            self.wrong_type(node, &describe(kind));
            return;
        };
        match (kind, scalar) {
            (Kind::Text, ScalarKind::String) | (Kind::Bool, ScalarKind::Bool(_)) => {}
            (Kind::Word, ScalarKind::String | ScalarKind::Integer(_) | ScalarKind::Float(_)) => {}
            (Kind::Integer(least, greatest), ScalarKind::Integer(value)) => {
                if !(least..=greatest).contains(&value) {
                    self.out_of_range(node, text, range(least, greatest, &i64::MIN, &i64::MAX));
                }
            }
            (Kind::Number(least, greatest), ScalarKind::Integer(_) | ScalarKind::Float(_)) => {
                let value = node.number().unwrap_or(f64::NAN);
                if !(*least..=*greatest).contains(&value) || !value.is_finite() {
                    let (lowest, highest) = (f64::NEG_INFINITY, f64::INFINITY);
                    self.out_of_range(node, text, range(least, greatest, &lowest, &highest));
                }
            }
            (Kind::OneOf(values), ScalarKind::String) => self.one_of(node, text, values),
            (
                Kind::Format(format),
                ScalarKind::String | ScalarKind::Integer(_) | ScalarKind::Float(_),
            ) => {
                if let Err(reason) = (format.check)(text) {
                    let shown: String = text.chars().take(60).collect();
                    let message = format!(
                        "{} takes {}, and `{shown}` is none: {reason}",
                        self.place(),
                        format.name
                    );
                    self.diagnostics
                        .report(Code::WrongValue, node.span, message)
                        .help(format!("examples: {}", format.examples));
                }
            }
            _ => self.wrong_type(node, &describe(kind)),
        }
    }

    fn one_of(&mut self, node: &Node, text: &str, values: &[&'static str]) {
        if values.contains(&text) {
            return;
        }
        let shown: String = text.chars().take(60).collect();
        let message = format!("{} cannot be `{shown}`", self.place());
        let help = match nearest(text, values.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("it takes {}", quoted(values)),
        };
        self.diagnostics
            .report(Code::WrongValue, node.span, message)
            .help(help);
    }

    fn out_of_range(&mut self, node: &Node, text: &str, range: String) {
        let message = format!("{} cannot be {text}: it takes {range}", self.place());
        self.diagnostics
            .report(Code::OutOfRange, node.span, message);
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let message = format!("{} takes {wanted}, not {}", self.place(), node.describe());
        let found = self.diagnostics.report(Code::WrongType, node.span, message);
        let Value::Scalar(text, kind) = &node.value else {
            return;
        };
        let shown: String = text.chars().take(60).collect();
        if wanted.contains("string") {
            found.help(format!("put it in quotes: \"{shown}\""));
        } else if *kind == ScalarKind::String
            && !matches!(resolve(text), ScalarKind::String | ScalarKind::Null)
        {
            found.help(format!("without quotes it is one: {shown}"));
        }
    }
}

/// Whether a value has the form (scalar, list, map) that a kind takes; a scalar also must be of
/// the kind's type, so that alternatives can differ in it.
fn takes_form(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.value) {
        (Kind::Opaque, _) => true,
        (Kind::Either(kinds), _) => kinds.iter().any(|kind| takes_form(kind, node)),
        (Kind::Map(_) | Kind::Keyed(_), value) => matches!(value, Value::Mapping(_)),
        (Kind::List(_), value) => matches!(value, Value::Sequence(_)),
        (Kind::Bool, Value::Scalar(_, scalar)) => matches!(scalar, ScalarKind::Bool(_)),
        (Kind::Integer(..), Value::Scalar(_, scalar)) => matches!(scalar, ScalarKind::Integer(_)),
        (Kind::Number(..), Value::Scalar(..)) => node.number().is_some(),
        (Kind::Text | Kind::OneOf(_), Value::Scalar(_, scalar)) => {
            matches!(scalar, ScalarKind::String)
        }
        (Kind::Word | Kind::Format(_), Value::Scalar(_, scalar)) => {
            !matches!(scalar, ScalarKind::Bool(_))
        }
        (_, Value::Sequence(_) | Value::Mapping(_)) => false,
    }
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Word => "a string".to_owned(),
        Kind::Bool => "a boolean".to_owned(),
        Kind::Integer(..) => "an integer".to_owned(),
        Kind::Number(..) => "a number".to_owned(),
        Kind::OneOf(values) => format!("a string ({})", quoted(values)),
        Kind::Format(format) => format!("{} such as {}", format.name, format.examples),
        Kind::Map(_) | Kind::Keyed(_) => "a map".to_owned(),
        Kind::List(_) => "a list".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(describe).collect::<Vec<_>>().join(" or "),
        Kind::Opaque => "anything".to_owned(),
    }
}

fn quoted(values: &[&str]) -> String {
    values
        .iter()
        .map(|value| format!("`{value}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn range<T: PartialEq + std::fmt::Display>(
    least: &T,
    greatest: &T,
    lowest: &T,
    highest: &T,
) -> String {
    match (least == lowest, greatest == highest) {
        (true, _) => format!("at most {greatest}"),
        (false, true) => format!("at least {least}"),
        (false, false) => format!("{least} to {greatest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Field, Format, NATURAL, TEXT_MAP};
    use crate::source::File;
    use crate::tree::{Budget, parse};

    static EVEN: Format = Format {
        name: "an even number",
        examples: "`2`",
        pattern: "^[0-9]*[02468]$",
        check: |text| {
            text.ends_with(['0', '2', '4', '6', '8'])
                .then_some(())
                .ok_or("it is odd".to_owned())
        },
    };
    static CHOICE: Shape = Shape::choice(
        "Choice",
        &[Field::modelled("a", NATURAL), Field::modelled("b", NATURAL)],
    );
    static LEAF: Shape = Shape::new(
        "Leaf",
        &[
            Field::modelled("name", Kind::Text).required(),
            Field::approximated("mode", Kind::OneOf(&["Fast", "Slow"]), "as fast"),
            Field::ignored("even", Kind::Format(&EVEN), "numbers do not count"),
            Field::modelled("next", Kind::List(&Kind::Map(&LEAF))),
            Field::modelled("pick", Kind::Either(&[NATURAL, Kind::Map(&CHOICE)])),
            Field::modelled("labels", TEXT_MAP),
            Field::ignored("unused", Kind::Map(&LEAF), "nobody looks"),
        ],
    );

    fn told(text: &str) -> (Vec<String>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let nodes = parse(text, 0, Budget::default(), &mut diagnostics);
        let mut account = Account::default();
        check(&nodes[0], &LEAF, &mut account, &mut diagnostics);
        let files = [File {
            name: "f".to_owned(),
            text: text.to_owned(),
        }];
        let show = |found: &crate::Diagnostic| {
            format!(
                "{}:{} {} / {}",
                found.line,
                found.column,
                found.message,
                found.help.as_deref().unwrap_or("-")
            )
        };
        let found = diagnostics.finish(&files).iter().map(show).collect();
        let entries = account.finish();
        (
            found,
            entries
                .iter()
                .map(|entry| format!("{} {:?} {}", entry.path, entry.standing, entry.count))
                .collect(),
        )
    }

    #[test]
    fn every_leaf_is_entered_and_nothing_is_told_of_a_good_tree() {
        let (found, entries) = told(
            "name: x\nlabels: {a: b, c: d}\nnext: [{name: v, mode: Slow}, {name: w, even: 4, pick: {a: 1}}]\npick: 3\n",
        );
        assert_eq!(found, [""; 0]);
        assert_eq!(
            entries,
            [
                "labels.* Modelled 2",
                "name Modelled 1",
                "next[].even Ignored 1",
                "next[].mode Approximated 1",
                "next[].name Modelled 2",
                "next[].pick.a Modelled 1",
                "pick Modelled 1",
            ]
        );
    }

    #[test]
    fn what_is_below_an_ignored_field_is_ignored() {
        let (found, entries) = told("name: x\nunused: {name: v, mode: Fast, labels: {a: b}}\n");
        assert_eq!(found, [""; 0]);
        let expected = [
            "name Modelled 1",
            "unused.labels.* Ignored 1",
            "unused.mode Ignored 1",
            "unused.name Ignored 1",
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn all_problems_are_told_with_places_and_help() {
        let (found, entries) = told(
            "nam: x\nlabels: {a: yes}\nmode: Slo\neven: 3\nnext:\n- name: 1.10\n  pick: {a: 1, b: 2}\n- name: [x]\n  pick: -1\npick: \"3\"\n",
        );
        assert_eq!(
            found,
            [
                "1:1 the document lacks `name` / -",
                "1:1 the document has no field `nam` / did you mean `name`?",
                "2:13 `labels.*` takes a string, not a boolean / put it in quotes: \"yes\"",
                "3:7 `mode` cannot be `Slo` / did you mean `Slow`?",
                "4:7 `even` takes an even number, and `3` is none: it is odd / examples: `2`",
                "6:9 `next[].name` takes a string, not a number / put it in quotes: \"1.10\"",
                "7:3 `next[].pick` must hold exactly one key, not 2 / give one of `a`, `b`",
                "8:9 `next[].name` takes a string, not a list / -",
                "9:9 `next[].pick` cannot be -1: it takes 0 to 2147483647 / -",
                "10:7 `pick` takes an integer or a map, not a string / without quotes it is one: 3",
            ]
        );
        assert!(entries.contains(&"nam Unknown 1".to_owned()));
    }
}
