//! `timeline`: operations and faults, each at its time.

use super::canary;
use super::faults;
use super::forms;
use super::names::Names;
use super::operations;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::source::Span;
use crate::tree::{Entry, Node};
use crate::value::DURATION;
use cloud::scenario::{Action, Change, ClusterId, TimelineEntry, UserNetwork};
use engine::Time;
use std::collections::BTreeMap;

/// What can happen, each by the key that says so.
const ACTIONS: [&str; 12] = [
    "fault",
    "apply",
    "scale",
    "rollback",
    "cordon",
    "uncordon",
    "out-of-service",
    "in-service",
    "drain",
    "delete-pod",
    "join",
    "canary",
];

pub(super) static ENTRY: Shape = Shape::new(
    "TimelineEntry",
    &[
        Field::modelled("at", Kind::Format(&DURATION)).required().doc("Time since the start."),
        Field::modelled("name", Kind::Text).doc("How reports and `expect` call it."),
        Field::modelled("fault", Kind::Map(&faults::FAULT)).doc("What goes wrong."),
        Field::modelled("apply", Kind::Text)
            .doc("A file of manifests that the API server accepts then; objects that are not in it stay as they are."),
        Field::modelled("scale", Kind::Map(&operations::SCALE))
            .doc("A workload gets another number of replicas."),
        Field::modelled("rollback", Kind::Map(&operations::ROLLBACK))
            .doc("A workload's pods shall look again as before the last change of them, or as in an earlier revision that is kept."),
        Field::modelled("cordon", Kind::Map(&operations::OF_NODE)).doc("A machine takes no new pods."),
        Field::modelled("uncordon", Kind::Map(&operations::OF_NODE))
            .doc("It takes new pods again."),
        Field::modelled("out-of-service", Kind::Map(&operations::OF_NODE))
            .doc("A machine will not come back: it gets the taint `node.kubernetes.io/out-of-service`, by which its pods are deleted, and removed by force once it is lost."),
        Field::modelled("in-service", Kind::Map(&operations::OF_NODE))
            .doc("That taint is taken away."),
        Field::modelled("drain", Kind::Map(&operations::DRAIN))
            .doc("A machine takes no new pods, and all but those of DaemonSets are evicted, as budgets allow."),
        Field::modelled("delete-pod", Kind::Map(&operations::DELETE_POD))
            .doc("Pods are deleted, whatever budgets say; their controller replaces them."),
        Field::modelled("join", Kind::Map(&operations::JOIN))
            .doc("Machines of a site get Istio's proxy, and belong to the mesh from then on."),
        Field::modelled("canary", Kind::Map(&canary::CANARY))
            .doc("A new version gets its share of a route step by step, is judged, and is promoted or rolled back."),
        Field::modelled("cluster", Kind::Text).doc("Whose API server `apply` goes to."),
    ],
)
.doc("Something that happens at a time: a `fault`, an `apply`, or another operation.");

pub(super) const WORKLOAD: Field = Field::modelled("workload", Kind::Text)
    .required()
    .doc("Which workload.");
pub(super) const CLUSTER: Field = Field::modelled("cluster", Kind::Text).doc("In which cluster.");
/// An entry with its place, its name, and its position as written.
pub(super) struct Said {
    pub(super) entry: TimelineEntry,
    pub(super) span: Span,
    pub(super) name: Option<String>,
    pub(super) written: usize,
}

/// What each `apply` changes, by its position in the text.
pub(super) type Applied = BTreeMap<usize, (ClusterId, Vec<Change>)>;

/// What is written of a timeline.
#[derive(Default)]
pub(super) struct Timeline {
    /// Its entries, sorted by time; those at one time stay in the order of the text.
    pub(super) said: Vec<Said>,
    /// When entries happen that are in error otherwise.
    pub(super) unread: Vec<(Time, Span)>,
}

/// Reads the timeline.
pub(super) fn read(
    spec: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    applied: &Applied,
    reader: &mut Reader<'_>,
) -> Timeline {
    let mut timeline = Timeline::default();
    for (written, node) in spec.list("timeline").iter().enumerate() {
        let Some(at) = forms::duration(node, "at") else {
            continue;
        };
        let at = Time::ZERO.saturating_add(at);
        match happening(node, written, names, users, applied, reader) {
            Some((label, action)) => {
                let name = forms::text(node, "name").map(str::to_owned);
                let label = name.clone().unwrap_or(label);
                timeline.said.push(Said {
                    entry: TimelineEntry { at, label, action },
                    span: node.span,
                    name,
                    written,
                });
            }
            None => timeline.unread.push((at, node.span)),
        }
    }
    timeline.said.sort_by_key(|said| said.entry.at);
    timeline
}

/// What happens by an entry, and what that is called.
fn happening(
    node: &Node,
    written: usize,
    names: &Names<'_>,
    users: &[UserNetwork],
    applied: &Applied,
    reader: &mut Reader<'_>,
) -> Option<(String, Action)> {
    only_one(node, reader)?;
    if let Some(fault) = node.get("fault") {
        return faults::read(fault, names, users, reader);
    }
    if let Some(operation) = operation(node) {
        return operations::read(operation, names, reader);
    }
    let (cluster, changes) = applied.get(&written)?.clone();
    let label = format!("apply {}", forms::text(node, "apply")?);
    Some((label, Action::Apply { cluster, changes }))
}

/// What an operator does, unless it is an `apply`.
fn operation(node: &Node) -> Option<&Entry> {
    let mut entries = node.entries().iter();
    entries.find(|entry| {
        let key = entry.key.as_str();
        ACTIONS.contains(&key) && !["fault", "apply"].contains(&key)
    })
}

fn only_one(node: &Node, reader: &mut Reader<'_>) -> Option<()> {
    let given: Vec<_> = ACTIONS
        .into_iter()
        .filter(|key| node.get(key).is_some())
        .collect();
    if given.len() == 1 {
        return Some(());
    }
    let message = match given.len() {
        0 => "nothing happens at this time".to_owned(),
        _ => format!("{} cannot share an entry", given.join(" and ")),
    };
    let known = ACTIONS.map(|key| format!("`{key}`")).join(", ");
    reader
        .diagnostics
        .report(Code::NotExactlyOne, node.span, message)
        .help(format!(
            "give one of {known}; further entries may have the same time"
        ));
    None
}
