//! `timeline`: operations and faults, each at its time.

use super::forms::{self, SHARE};
use super::names::{Names, named};
use super::places;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::source::Span;
use crate::tree::Node;
use crate::value::DURATION;
use cloud::scenario::{
    Action, Change, ClusterId, Fault, LinkChange, Packets, Place, TimelineEntry, UserNetwork,
};
use engine::{Duration, Time};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) static ENTRY: Shape = Shape::new(
    "TimelineEntry",
    &[
        Field::modelled("at", Kind::Format(&DURATION)).required().doc("Time since the start."),
        Field::modelled("name", Kind::Text).doc("How reports and `expect` call it."),
        Field::modelled("fault", Kind::Map(&FAULT)).doc("What goes wrong."),
        Field::modelled("apply", Kind::Text)
            .doc("A file of manifests that the API server accepts then; objects that are not in it stay as they are."),
        Field::modelled("scale", Kind::Map(&SCALE)).doc("A workload gets another number of replicas."),
        Field::modelled("cluster", Kind::Text).doc("Whose API server `apply` goes to."),
    ],
)
.doc("Something that happens at a time: one of `fault`, `apply`, `scale`.");

static SCALE: Shape = Shape::new(
    "Scale",
    &[
        WORKLOAD,
        Field::modelled("replicas", Kind::Integer(0, 1_000_000))
            .required()
            .doc("How many pods."),
        CLUSTER,
    ],
);

const WORKLOAD: Field = Field::modelled("workload", Kind::Text)
    .required()
    .doc("Which workload.");
const CLUSTER: Field = Field::modelled("cluster", Kind::Text).doc("In which cluster.");
const FOR: Field = Field::modelled("for", Kind::Format(&DURATION))
    .doc("How long it lasts; to the end by default.");
const FROM: Field = Field::modelled("from", Kind::Text)
    .required()
    .doc("One end: a cluster, a place of users, or a region.");
const TO: Field = Field::modelled("to", Kind::Text)
    .required()
    .doc("The other end.");
const PACKETS: Field = Field::modelled("packets", Kind::OneOf(&["dropped", "refused"]))
    .doc("What happens to packets sent there: no answer, or a reset.")
    .default(|| json!("dropped"));

static FAULT: Shape = Shape::choice(
    "Fault",
    &[
        Field::modelled("pod-kill", Kind::Map(&POD_KILL))
            .doc("Pods die; their controller replaces them."),
        Field::modelled("node-down", Kind::Map(&NODE_DOWN)).doc("A machine stops."),
        Field::modelled("region-down", Kind::Map(&REGION_DOWN))
            .doc("Everything in a region is out of reach."),
        Field::modelled("link-cut", Kind::Map(&LINK_CUT)).doc("Nothing passes a link."),
        Field::modelled("link-delay", Kind::Map(&LINK_DELAY)).doc("A link takes longer."),
        Field::modelled("link-loss", Kind::Map(&LINK_LOSS)).doc("A link loses packets."),
        Field::modelled("slow", Kind::Map(&SLOW)).doc("A workload's own work takes longer."),
        Field::modelled("failing", Kind::Map(&FAILING)).doc("A workload answers with errors."),
        Field::modelled("dns-down", Kind::Map(&DNS_DOWN)).doc("A cluster's DNS answers nobody."),
        Field::modelled("dns-throttled", Kind::Map(&DNS_THROTTLED))
            .doc("A cluster's DNS does its work slower."),
    ],
)
.doc("What goes wrong.");

static POD_KILL: Shape = Shape::new(
    "PodKill",
    &[
        WORKLOAD,
        Field::modelled("count", Kind::Integer(1, 1_000_000))
            .doc("How many of its pods, drawn at random.")
            .default(|| json!(1)),
        CLUSTER,
    ],
);
static NODE_DOWN: Shape = Shape::new(
    "NodeDown",
    &[
        Field::modelled("node", Kind::Text)
            .required()
            .doc("Which machine."),
        CLUSTER,
        FOR,
        PACKETS,
    ],
);
static REGION_DOWN: Shape = Shape::new(
    "RegionDown",
    &[
        Field::modelled("region", Kind::Text)
            .required()
            .doc("Which region."),
        FOR,
        PACKETS,
    ],
);
static LINK_CUT: Shape = Shape::new("LinkCut", &[FROM, TO, FOR]);
static LINK_DELAY: Shape = Shape::new(
    "LinkDelay",
    &[
        FROM,
        TO,
        Field::modelled("delay", Kind::Format(&DURATION))
            .required()
            .doc("What comes on top of each one-way trip."),
        FOR,
    ],
);
static LINK_LOSS: Shape = Shape::new(
    "LinkLoss",
    &[
        FROM,
        TO,
        Field::modelled("loss", Kind::Format(&SHARE))
            .required()
            .doc("Share of packets lost, on top of the link's own."),
        FOR,
    ],
);
static SLOW: Shape = Shape::new(
    "Slow",
    &[
        WORKLOAD,
        Field::modelled("factor", Kind::Number(1e-6, 1e9))
            .required()
            .doc("Service times are multiplied by it."),
        FOR,
        CLUSTER,
    ],
);
static FAILING: Shape = Shape::new(
    "Failing",
    &[
        WORKLOAD,
        Field::modelled("errorRate", Kind::Format(&SHARE))
            .required()
            .doc("Share of requests that end in an error."),
        FOR,
        CLUSTER,
    ],
);

static DNS_DOWN: Shape = Shape::new("DnsDown", &[FOR, CLUSTER]);
static DNS_THROTTLED: Shape = Shape::new(
    "DnsThrottled",
    &[
        Field::modelled("capacity", Kind::Format(&SHARE))
            .required()
            .doc("Share of its capacity that is left."),
        FOR,
        CLUSTER,
    ],
);

/// An entry with its place, its name, and its position as written.
pub(super) struct Said {
    pub(super) entry: TimelineEntry,
    pub(super) span: Span,
    pub(super) name: Option<String>,
    pub(super) written: usize,
}

/// What each `apply` changes, by its position in the text.
pub(super) type Applied = BTreeMap<usize, (ClusterId, Vec<Change>)>;

/// Reads the timeline, sorted by time; entries at one time stay in the order of the text.
pub(super) fn read(
    spec: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    applied: &Applied,
    reader: &mut Reader<'_>,
) -> Vec<Said> {
    let mut entries: Vec<_> = spec
        .list("timeline")
        .iter()
        .enumerate()
        .filter_map(|(written, node)| {
            let at = Time::ZERO.saturating_add(forms::duration(node, "at")?);
            only_one(node, reader)?;
            let (label, action) = if let Some(fault) = node.get("fault") {
                read_fault(fault, names, users, reader)?
            } else if let Some(scale) = node.get("scale") {
                read_scale(scale, names, reader)?
            } else {
                let (cluster, changes) = applied.get(&written)?.clone();
                let label = format!("apply {}", forms::text(node, "apply")?);
                (label, Action::Apply { cluster, changes })
            };
            let name = forms::text(node, "name").map(str::to_owned);
            let label = name.clone().unwrap_or(label);
            Some(Said {
                entry: TimelineEntry { at, label, action },
                span: node.span,
                name,
                written,
            })
        })
        .collect();
    entries.sort_by_key(|said| said.entry.at);
    entries
}

fn only_one(node: &Node, reader: &mut Reader<'_>) -> Option<()> {
    let given: Vec<_> = ["fault", "apply", "scale"]
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
    reader
        .diagnostics
        .report(Code::NotExactlyOne, node.span, message)
        .help("give one of `fault`, `apply`, `scale`; further entries may have the same time");
    None
}

fn read_scale(node: &Node, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<(String, Action)> {
    let (cluster, workload) = names.the_workload(node, reader)?;
    let replicas = forms::count(node, "replicas")?;
    let label = format!("scale {} to {replicas}", forms::text(node, "workload")?);
    let changes = vec![Change::Replicas(workload, replicas)];
    Some((label, Action::Apply { cluster, changes }))
}

fn read_fault(
    node: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Option<(String, Action)> {
    let entry = node.entries().first()?;
    let (kind, body) = (entry.key.as_str(), &entry.value);
    if names.ideal && !["pod-kill", "slow", "failing"].contains(&kind) {
        let message = format!("`network: ideal` has no `{kind}`");
        reader
            .diagnostics
            .report(Code::IdealNetwork, entry.key_span, message)
            .help("without a network nothing is far or out of reach: use `pod-kill`, `slow` or `failing`");
        return None;
    }
    let fault = match kind {
        "pod-kill" => {
            let (cluster, workload) = names.the_workload(body, reader)?;
            let count = forms::count(body, "count").unwrap_or(1);
            Fault::PodKill {
                cluster,
                workload,
                count,
            }
        }
        "node-down" => node_down(body, names, reader)?,
        "region-down" => {
            let (region, span) = named(body, "region")?;
            Fault::RegionDown {
                region: places::region(region, span, names, users, reader)?,
                packets: packets(body),
            }
        }
        "slow" => {
            let (cluster, workload) = names.the_workload(body, reader)?;
            let factor = body.get("factor")?.number()?;
            Fault::Slow {
                cluster,
                workload,
                factor,
            }
        }
        "failing" => {
            let (cluster, workload) = names.the_workload(body, reader)?;
            let error_rate = forms::read(body.get("errorRate"), forms::parse_share)?;
            Fault::Failing {
                cluster,
                workload,
                error_rate,
            }
        }
        "dns-down" => Fault::DnsThrottled {
            cluster: names.the_cluster(body, entry.key_span, reader)?,
            capacity: 0.0,
        },
        "dns-throttled" => Fault::DnsThrottled {
            cluster: names.the_cluster(body, entry.key_span, reader)?,
            capacity: forms::read(body.get("capacity"), forms::parse_share)?,
        },
        _ => link_fault(kind, body, names, users, reader)?,
    };
    let lasts = forms::duration(body, "for");
    if lasts == Some(Duration::ZERO) {
        let span = body.get("for").map_or(body.span, |node| node.span);
        reader
            .diagnostics
            .report(Code::OutOfRange, span, "a fault must last some time")
            .help("leave `for` out and it lasts to the end");
    }
    Some((label(kind, body), Action::Fault { fault, lasts }))
}

fn node_down(body: &Node, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<Fault> {
    let (name, span) = named(body, "node")?;
    let cluster = names.the_cluster(body, span, reader)?;
    let nodes = &names.clusters[cluster.index()].nodes;
    let Some(position) = nodes.iter().position(|node| node.name == name) else {
        let of = names.clusters[cluster.index()];
        let message = format!("there is no node `{name}`{}", names.within(of));
        let known = nodes.iter().map(|node| node.name.as_str());
        reader.unknown(Code::UnknownNode, span, message, known);
        return None;
    };
    Some(Fault::NodeDown {
        cluster,
        node: u32::try_from(position).ok()?,
        packets: packets(body),
    })
}

fn link_fault(
    kind: &str,
    body: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Option<Fault> {
    let from: Option<Place> = places::end(body, "from", names, users, reader);
    let to = places::end(body, "to", names, users, reader);
    let change = match kind {
        "link-cut" => LinkChange::Cut,
        "link-delay" => LinkChange::Delay(forms::duration(body, "delay")?),
        "link-loss" => LinkChange::Loss(forms::read(body.get("loss"), forms::parse_share)?),
        _ => return None,
    };
    Some(Fault::Link {
        from: from?,
        to: to?,
        change,
    })
}

fn packets(node: &Node) -> Packets {
    match forms::text(node, "packets") {
        Some("refused") => Packets::Refused,
        _ => Packets::Dropped,
    }
}

/// A fault in a line: `region-down aws/us-west-2 for 10m`.
fn label(kind: &str, body: &Node) -> String {
    let mut words = vec![kind.to_owned()];
    let texts = [
        "region",
        "node",
        "workload",
        "from",
        "to",
        "delay",
        "loss",
        "errorRate",
        "capacity",
    ];
    for key in texts {
        if let Some(text) = forms::text(body, key) {
            words.push(match key {
                "to" => format!("to {text}"),
                "delay" | "loss" | "errorRate" => format!("by {text}"),
                "capacity" => format!("to {text}"),
                _ => text.to_owned(),
            });
        }
    }
    if let Some(factor) = forms::text(body, "factor") {
        words.push(format!("by a factor of {factor}"));
    }
    if let Some(count) = forms::text(body, "count") {
        words.push(format!("({count} pods)"));
    }
    if let Some(lasts) = forms::text(body, "for") {
        words.push(format!("for {lasts}"));
    }
    words.join(" ")
}
