//! Operations of the timeline: what an operator does to workloads, machines and pods.

use super::canary;
use super::faults::{NODE, the_node};
use super::forms;
use super::names::{Names, named};
use super::reader::Reader;
use super::timeline::{CLUSTER, WORKLOAD};
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::tree::{Entry, Node};
use crate::value::DURATION;
use cloud::scenario::{
    Action, BarePods, Change, ClusterId, Drain, PodChoice, WorkloadId, WorkloadKind,
};
use engine::Duration;
use serde_json::json;

pub(super) static SCALE: Shape = Shape::new(
    "Scale",
    &[
        WORKLOAD,
        Field::modelled("replicas", Kind::Integer(0, 1_000_000))
            .required()
            .doc("How many pods."),
        CLUSTER,
    ],
);
pub(super) static ROLLBACK: Shape = Shape::new(
    "Rollback",
    &[
        WORKLOAD,
        Field::modelled("toRevision", Kind::Integer(1, 1_000_000))
            .doc("The revision of this number, as `kubectl rollout history` counts them from 1; the one before by default."),
        CLUSTER,
    ],
);
pub(super) static JOIN: Shape = Shape::new("Join", &[WORKLOAD, CLUSTER]);
pub(super) static OF_NODE: Shape = Shape::new("OperationOnNode", &[NODE, CLUSTER]);
pub(super) static DRAIN: Shape = Shape::new(
    "Drain",
    &[
        NODE,
        Field::modelled("gracePeriod", Kind::Format(&DURATION))
            .doc("How long each pod may take to stop; its own period by default."),
        Field::modelled("force", Kind::Bool)
            .doc("Pods that nobody replaces are evicted too; without it a node with such pods keeps all.")
            .default(|| json!(false)),
        Field::modelled("timeout", Kind::Format(&DURATION))
            .doc("When the operator gives up; never by default."),
        CLUSTER,
    ],
);
pub(super) static DELETE_POD: Shape = Shape::new(
    "DeletePod",
    &[
        WORKLOAD,
        Field::modelled("count", Kind::Integer(1, 1_000_000))
            .doc("How many of its running pods, drawn at random; 1 by default."),
        Field::modelled("ordinal", Kind::Integer(0, 1_000_000))
            .doc("The pod of a StatefulSet with this number."),
        CLUSTER,
    ],
);

/// Reads one operation: how the report calls it, and what the API server is asked for.
pub(super) fn read(
    entry: &Entry,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<(String, Action)> {
    let (kind, body) = (entry.key.as_str(), &entry.value);
    let (cluster, change) = match kind {
        "scale" => {
            let (cluster, workload) = names.the_workload(body, reader)?;
            let replicas = forms::count(body, "replicas")?;
            (cluster, Change::Replicas(workload, replicas))
        }
        "rollback" => {
            let (cluster, workload) = names.the_workload(body, reader)?;
            (
                cluster,
                Change::Rollback(workload, forms::count(body, "toRevision")),
            )
        }
        "join" => {
            let at = names.the_workload(body, reader)?;
            (at.0, join(body, at, names, reader)?)
        }
        "delete-pod" => {
            let at = names.the_workload(body, reader)?;
            (
                at.0,
                Change::DeletePods(at.1, pods(body, at, names, reader)?),
            )
        }
        "canary" => canary::read(body, names, reader)?,
        _ => on_node(entry, names, reader)?,
    };
    let changes = vec![change];
    Some((label(kind, body), Action::Apply { cluster, changes }))
}

/// Machines get their proxy; who has none to get, or has it already, is reported.
fn join(
    body: &Node,
    (cluster, workload): (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Change> {
    let of = names.clusters[cluster.index()];
    let proxy = of.machines_of(workload).map(|machines| &machines.proxy);
    let (message, help) = match proxy {
        Some(Some(proxy)) if !proxy.runs_at_start => return Some(Change::Join(workload)),
        Some(Some(_)) => (
            "has its proxy from the start",
            "write `joined: false` at its `proxy`",
        ),
        Some(None) => (
            "has no proxy that could join",
            "give it `proxy: {joined: false}`",
        ),
        None => (
            "is no machine of a site",
            "pods join a mesh by the labels of their namespace",
        ),
    };
    let (name, span) = named(body, "workload")?;
    reader
        .diagnostics
        .report(Code::Conflict, span, format!("`{name}` {message}"))
        .help(help);
    None
}

/// What is done to a machine.
fn on_node(
    entry: &Entry,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<(ClusterId, Change)> {
    let (kind, body) = (entry.key.as_str(), &entry.value);
    if names.ideal {
        let message = format!("`network: ideal` has no machines to {kind}");
        reader
            .diagnostics
            .report(Code::IdealNetwork, entry.key_span, message)
            .help("leave `network` out, or use `delete-pod`");
        return None;
    }
    let (cluster, node) = the_node(body, names, reader)?;
    let change = match kind {
        "cordon" => Change::Cordon(node),
        "uncordon" => Change::Uncordon(node),
        "out-of-service" => Change::OutOfService(node),
        "in-service" => Change::InService(node),
        _ => Change::Drain(Drain {
            node,
            grace: forms::duration(body, "gracePeriod"),
            bare: match body.get("force").and_then(Node::bool) {
                Some(true) => BarePods::Evict,
                _ => BarePods::Refuse,
            },
            timeout: timeout(body, reader),
        }),
    };
    Some((cluster, change))
}

/// When a drain gives up; one that gives up before it begins is reported.
fn timeout(body: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let timeout = forms::duration(body, "timeout")?;
    if timeout == Duration::ZERO {
        let span = body.get("timeout").map_or(body.span, |node| node.span);
        reader
            .diagnostics
            .report(Code::OutOfRange, span, "a drain must be given some time")
            .help("leave `timeout` out, and it never gives up");
    }
    Some(timeout)
}

/// Which pods are deleted; a choice that the workload does not offer is reported.
fn pods(
    body: &Node,
    (cluster, workload): (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<PodChoice> {
    let Some((ordinal, written)) = forms::count(body, "ordinal").zip(body.get("ordinal")) else {
        return Some(PodChoice::Drawn(forms::count(body, "count").unwrap_or(1)));
    };
    if let Some(count) = body.get("count") {
        let message = "a pod with an `ordinal` is one, so there is no `count`";
        reader
            .diagnostics
            .report(Code::Conflict, count.span, message)
            .help("remove one of the two");
        return None;
    }
    let of = &names.clusters[cluster.index()].workloads[workload.index()];
    if of.kind != WorkloadKind::StatefulSet {
        let message = format!("`{}` is no StatefulSet: its pods have no numbers", of.name);
        reader
            .diagnostics
            .report(Code::Conflict, written.span, message)
            .help("use `count`: such pods are drawn at random");
        return None;
    }
    Some(PodChoice::Ordinal(ordinal))
}

/// An operation in a line: `drain node-1, giving up after 5m`.
fn label(kind: &str, body: &Node) -> String {
    let said = |key| forms::text(body, key);
    let what = named(body, "workload").or(named(body, "node"));
    let what = what.or(named(body, "route"));
    let mut label = format!("{kind} {}", what.map_or("", |(name, _)| name));
    let parts = [
        ("replicas", " to "),
        ("count", ", pods: "),
        ("ordinal", ", number "),
        ("toRevision", " to revision "),
        ("gracePeriod", " within "),
        ("timeout", ", giving up after "),
    ];
    for (key, words) in parts {
        if let Some(text) = said(key) {
            label += words;
            label += text;
        }
    }
    if body.get("force").and_then(Node::bool) == Some(true) {
        label += " by force";
    }
    label
}
