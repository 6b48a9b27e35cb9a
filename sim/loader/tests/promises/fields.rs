//! Every field of Istio's objects and of the Gateway API's is accounted for.
//!
//! `data/fields.txt` lists, for each kind, the fields that schemas of Istio 1.18 to 1.32 and of
//! the Gateway API 1.6 have, and what the ledger says of each. Where nothing below a field is
//! looked into, the field alone stands there. Fields are facts of the schemas (istio/istio
//! manifests/charts/base/files/crd-all.gen.yaml of each release and
//! tests/integration/pilot/testdata/gateway-api-crd.yaml; istio/api mesh/v1alpha1; istio/istio
//! operator/pkg/apis/types.go); what stands behind them was reviewed by hand.

use hybridsim_loader::kubernetes::kinds::{ISTIO_CONFIG_MAP, KNOWN, KnownKind};
use hybridsim_loader::shape::{Kind, Shape, Status};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

const TABLE: &str = include_str!("../data/fields.txt");

/// A kind that is read, by a line such as `Gateway networking.istio.io/v1`.
fn known(line: &str) -> Option<&'static KnownKind> {
    let (kind, versions) = line.split_once(' ').expect("a kind has versions");
    let is_it = |known: &&'static KnownKind| {
        let is_served = |version: &str| known.api_versions.contains(&version);
        known.kind == kind && versions.split(' ').any(is_served)
    };
    KNOWN.iter().chain([&ISTIO_CONFIG_MAP]).find(is_it)
}

/// The next part of a path, as `spec`, `[]` or `*`, and the rest.
fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(rest) = path.strip_prefix("[]") {
        return ("[]", rest);
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    path.split_at(end)
}

/// What is said of a path below a value of some kind: how much of the path is looked into, and
/// what becomes of it.
fn standing(path: &str, kind: &Kind, status: Status) -> Option<(usize, String)> {
    let (part, rest) = split(path);
    let below = |kind, status| {
        let (depth, said) = standing(rest, kind, status)?;
        Some((path.len() - rest.len() + depth, said))
    };
    match kind {
        Kind::Map(shape) if !part.is_empty() => {
            let named = shape.field(part);
            let field = named.or(shape.rest)?;
            below(&field.kind, field.status.within(status))
        }
        Kind::Map(_) => Some((0, "as its fields".to_owned())),
        Kind::Keyed(inner) if !part.is_empty() => below(inner, status),
        Kind::List(inner) if part == "[]" => below(inner, status),
        Kind::Either(kinds) => kinds.iter().find_map(|kind| standing(path, kind, status)),
        _ => Some((0, words(status))),
    }
}

fn words(status: Status) -> String {
    match status {
        Status::Modelled => "acts".to_owned(),
        Status::Approximated(how) => format!("acts more simply: {how}"),
        Status::Ignored(why) => format!("no effect: {why}"),
    }
}

/// Paths of all fields of a shape that hold no fields themselves.
fn leaves(shape: &Shape, (path, status): (&str, Status), found: &mut Vec<(String, String)>) {
    for field in shape.fields {
        let dot = if path.is_empty() { "" } else { "." };
        let at = format!("{path}{dot}{}", field.name);
        leaf(&field.kind, (at, field.status.within(status)), found);
    }
}

fn leaf(kind: &Kind, (path, status): (String, Status), found: &mut Vec<(String, String)>) {
    match kind {
        Kind::Map(shape) => leaves(shape, (&path, status), found),
        Kind::Keyed(inner) => leaf(inner, (path + ".*", status), found),
        Kind::List(inner) => leaf(inner, (path + "[]", status), found),
        _ => found.push((path, words(status))),
    }
}

/// What the table should say, for the kinds and fields that it has.
fn account() -> String {
    let mut told = String::new();
    let mut kind: Option<&KnownKind> = None;
    let mut seen = BTreeSet::new();
    let mut lines = TABLE.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            writeln!(told, "{line}").expect("text takes anything");
        } else if let Some(entry) = line.strip_prefix("  ") {
            let (path, _) = entry.split_once(": ").expect("a field and what is said");
            if let Some(kind) = kind {
                let found = standing(path, &Kind::Map(kind.shape), Status::Modelled);
                let (depth, said) = found.unwrap_or((path.len(), "not read".to_owned()));
                if seen.insert(path[..depth].to_owned()) {
                    writeln!(told, "  {}: {said}", &path[..depth]).expect("text takes anything");
                }
            } else {
                writeln!(told, "  {path}: not read").expect("text takes anything");
            }
        } else {
            writeln!(told, "{line}").expect("text takes anything");
            kind = known(line);
            seen.clear();
        }
        let ends = lines.peek().is_none_or(|next| !next.starts_with("  "));
        if let (true, Some(kind)) = (ends, kind) {
            let mut all = Vec::new();
            leaves(kind.shape, ("", Status::Modelled), &mut all);
            for (path, said) in all {
                let is_common = ["apiVersion", "kind", "metadata", "status"]
                    .iter()
                    .any(|common| path.starts_with(common));
                // Looked into only where the schemas do.
                let is_covered = seen.iter().any(|seen| path.starts_with(seen.as_str()));
                if !is_common && !is_covered {
                    seen.insert(path.clone());
                    writeln!(told, "  {path}: {said}").expect("text takes anything");
                }
            }
        }
    }
    told
}

#[test]
fn every_field_is_accounted_for() {
    let account = account();
    if account != TABLE {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fields.txt");
        std::fs::write(&path, &account).expect("a place for the table as it would be");
        let changed = account.lines().zip(TABLE.lines());
        let first = changed.into_iter().find(|(is, was)| is != was);
        panic!("the account differs, first at {first:#?}; see {path:?}");
    }
}
