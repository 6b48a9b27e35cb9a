//! Node.
//!
//! Models: allocatable CPU, memory and pods, labels, taints, cordons; the zone by its label.
//! Leaves out: addresses, conditions, images, devices. A Node manifest is written by
//! `kubectl get nodes -o yaml`; `status.allocatable` counts, else `status.capacity`.
//! Sources: k8s.io/api core/v1 types.go (1.36).

use super::container::amounts;
use super::metadata::{API_VERSION, KIND, METADATA, Metadata, WRITTEN_BY_SERVER, text};
use super::pod::taint_effect;
use crate::document::Document;
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node as Tree;
use crate::value::{QUANTITY, parse_quantity};
use cloud::facts;
use cloud::scenario::{Resources, Taint};

static REST: Field = Field::ignored(
    "*",
    Kind::Opaque,
    "only CPU, memory and the number of pods are modelled",
);
static AMOUNTS: Shape = Shape::new(
    "NodeResources",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)),
        Field::modelled("memory", Kind::Format(&QUANTITY)),
        Field::modelled("pods", Kind::Format(&QUANTITY)),
    ],
)
.or_else(&REST);
pub(super) static TAINT: Shape = Shape::new(
    "Taint",
    &[
        Field::modelled("key", Kind::Text).required(),
        Field::modelled("value", Kind::Text),
        Field::modelled(
            "effect",
            Kind::OneOf(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        )
        .required(),
        Field::ignored("timeAdded", Kind::Text, WRITTEN_BY_SERVER),
    ],
);
static SPEC: Shape = Shape::new(
    "NodeSpec",
    &[
        Field::modelled("unschedulable", Kind::Bool),
        Field::modelled("taints", Kind::List(&Kind::Map(&TAINT))),
        Field::ignored("podCIDR", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("podCIDRs", TEXT_LIST, WRITTEN_BY_SERVER),
        Field::ignored("providerID", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("externalID", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored(
            "podPreemptionPolicy",
            Kind::Opaque,
            "pods do not preempt one another",
        ),
        Field::ignored("configSource", Kind::Opaque, WRITTEN_BY_SERVER),
    ],
);
static NODE_STATUS_REST: Field = Field::ignored(
    "*",
    Kind::Opaque,
    "every node is well at the start; faults come from the timeline",
);
static NODE_STATUS: Shape = Shape::new(
    "NodeStatus",
    &[
        Field::modelled("allocatable", Kind::Map(&AMOUNTS)),
        Field::approximated(
            "capacity",
            Kind::Map(&AMOUNTS),
            "counts where `allocatable` says nothing",
        ),
    ],
)
.or_else(&NODE_STATUS_REST);
/// Fields of a Node.
pub(super) static NODE: Shape = Shape::new(
    "Node",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("spec", Kind::Map(&SPEC)),
        Field::modelled("status", Kind::Map(&NODE_STATUS)),
    ],
);

/// A machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// How it is called, with its labels.
    pub metadata: Metadata,
    /// What pods may request from it.
    pub allocatable: Resources,
    /// Most pods it may hold.
    pub pods_max: u32,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Cordoned.
    pub unschedulable: bool,
}

/// The label of a node that names its zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The label that did so before 1.17.
const ZONE_BEFORE: &str = "failure-domain.beta.kubernetes.io/zone";

impl Node {
    /// Reads a checked document.
    pub(super) fn read(document: &Document) -> Node {
        let root = &document.root;
        let list = |key| root.at(&["status", key]);
        let (allocatable, capacity) = (list("allocatable"), list("capacity"));
        let ((cpu, memory), (cpu_all, memory_all)) = (amounts(allocatable), amounts(capacity));
        let pods = [allocatable, capacity]
            .into_iter()
            .flatten()
            .find_map(|list| {
                list.get("pods")?
                    .text()
                    .and_then(|text| parse_quantity(text).ok())
            });
        let taints = root.at(&["spec", "taints"]).map_or(&[][..], Tree::items);
        Node {
            metadata: document.metadata.clone(),
            allocatable: Resources {
                cpu_milli: cpu.or(cpu_all).unwrap_or(facts::NODE_CPU_MILLI.value),
                memory_bytes: memory
                    .or(memory_all)
                    .unwrap_or(facts::NODE_MEMORY_BYTES.value),
            },
            pods_max: pods
                .and_then(|pods| u32::try_from(pods.whole()).ok())
                .unwrap_or(facts::NODE_PODS_MAX.value),
            taints: taints.iter().filter_map(taint).collect(),
            unschedulable: root
                .at(&["spec", "unschedulable"])
                .and_then(Tree::bool)
                .unwrap_or(false),
        }
    }

    /// Its zone, where its labels name one.
    pub fn zone(&self) -> Option<&str> {
        let labels = &self.metadata.labels;
        labels
            .get(ZONE)
            .or_else(|| labels.get(ZONE_BEFORE))
            .map(String::as_str)
    }
}

/// Reads a checked taint.
pub(super) fn taint(node: &Tree) -> Option<Taint> {
    Some(Taint {
        key: text(node, "key"),
        value: text(node, "value"),
        effect: taint_effect(&text(node, "effect"))?,
    })
}
