//! Deployment, ReplicaSet, StatefulSet, DaemonSet and bare Pod.
//!
//! Models: replicas, selector, template, the names of a StatefulSet's pods.
//! Leaves out: how rollouts go about it (`rollout.rs`), volumes.
//! Sources: k8s.io/api apps/v1 types.go (1.36).

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS};
use super::pod::{POD_SPEC, POD_TEMPLATE, PodTemplate, natural};
use super::rollout::{self, MIN_READY, PAUSED, POD_MANAGEMENT, PROGRESS_DEADLINE, REVISIONS};
use super::selector::{LABEL_SELECTOR, Selector};
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Kind, NATURAL, Shape};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{Rollout, WorkloadKind};

const REPLICAS: Field = Field::modelled("replicas", NATURAL);
const SELECTOR: Field = Field::modelled("selector", Kind::Map(&LABEL_SELECTOR)).required();
const TEMPLATE: Field = Field::modelled("template", Kind::Map(&POD_TEMPLATE)).required();

static DEPLOYMENT_SPEC: Shape = Shape::new(
    "DeploymentSpec",
    &[
        REPLICAS,
        SELECTOR,
        TEMPLATE,
        Field::modelled("strategy", Kind::Map(&rollout::DEPLOYMENT_STRATEGY)),
        MIN_READY,
        REVISIONS,
        PAUSED,
        PROGRESS_DEADLINE,
    ],
);
static REPLICA_SET_SPEC: Shape =
    Shape::new("ReplicaSetSpec", &[REPLICAS, SELECTOR, TEMPLATE, MIN_READY]);
static STATEFUL_SET_SPEC: Shape = Shape::new(
    "StatefulSetSpec",
    &[
        REPLICAS,
        SELECTOR,
        TEMPLATE,
        Field::modelled("serviceName", Kind::Text),
        Field::ignored(
            "volumeClaimTemplates",
            Kind::Opaque,
            "storage is not modelled",
        ),
        Field::ignored(
            "persistentVolumeClaimRetentionPolicy",
            Kind::Opaque,
            "storage is not modelled",
        ),
        POD_MANAGEMENT,
        Field::modelled("updateStrategy", Kind::Map(&rollout::STATEFUL_SET_STRATEGY)),
        MIN_READY,
        REVISIONS,
        Field::modelled("ordinals", Kind::Map(&ORDINALS)),
    ],
);
static ORDINALS: Shape = Shape::new("StatefulSetOrdinals", &[Field::modelled("start", NATURAL)]);
static DAEMON_SET_SPEC: Shape = Shape::new(
    "DaemonSetSpec",
    &[
        SELECTOR,
        TEMPLATE,
        Field::modelled("updateStrategy", Kind::Map(&rollout::DAEMON_SET_STRATEGY)),
        MIN_READY,
        REVISIONS,
    ],
);

/// The shape of a kind with its own `spec`.
macro_rules! kind {
    ($name:ident, $title:literal, $spec:ident) => {
        #[doc = concat!("Fields of a ", $title, ".")]
        pub(super) static $name: Shape = Shape::new(
            $title,
            &[
                API_VERSION,
                KIND,
                METADATA,
                Field::modelled("spec", Kind::Map(&$spec)).required(),
                STATUS,
            ],
        );
    };
}
pub(super) use kind;

kind!(DEPLOYMENT, "Deployment", DEPLOYMENT_SPEC);
kind!(REPLICA_SET, "ReplicaSet", REPLICA_SET_SPEC);
kind!(STATEFUL_SET, "StatefulSet", STATEFUL_SET_SPEC);
kind!(DAEMON_SET, "DaemonSet", DAEMON_SET_SPEC);
kind!(POD, "Pod", POD_SPEC);

/// A set of equal pods.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How it is called.
    pub metadata: Metadata,
    /// What keeps its pods.
    pub kind: WorkloadKind,
    /// How many pods are wanted.
    pub replicas: u32,
    /// What its pods look like.
    pub template: PodTemplate,
    /// How changed pods take the place of the others.
    pub rollout: Rollout,
    /// The headless service under whose name each pod of a StatefulSet can be found.
    pub service_name: Option<String>,
    /// Number of a StatefulSet's first pod.
    pub first_ordinal: u32,
}

impl Workload {
    /// Reads a checked document of one of the kinds.
    pub(super) fn read(
        document: &Document,
        kind: WorkloadKind,
        diagnostics: &mut Diagnostics,
    ) -> Workload {
        let root = &document.root;
        let spec = root.get("spec");
        let of = |key: &str| spec.and_then(|spec| spec.get(key));
        let template = match kind {
            WorkloadKind::Pod => PodTemplate::read(root, diagnostics),
            _ => PodTemplate::read(of("template").unwrap_or(root), diagnostics),
        };
        if let Some(selector) = of("selector") {
            check_selector(selector, &template, diagnostics);
        }
        if template.lacks_requests {
            report_requests(&document.metadata, diagnostics);
        }
        Workload {
            metadata: document.metadata.clone(),
            kind,
            replicas: match kind {
                WorkloadKind::Pod | WorkloadKind::DaemonSet => 1,
                _ => natural(of("replicas")).unwrap_or(facts::REPLICAS.value),
            },
            template,
            rollout: rollout::read(spec, kind, diagnostics),
            service_name: of("serviceName").and_then(Node::str).map(str::to_owned),
            first_ordinal: natural(spec.and_then(|spec| spec.at(&["ordinals", "start"])))
                .unwrap_or(0),
        }
    }
}

/// The API server rejects a workload whose selector is empty or does not match its own template.
fn check_selector(node: &Node, template: &PodTemplate, diagnostics: &mut Diagnostics) {
    let selector = Selector::read(node);
    let empty = selector.labels.is_empty() && selector.requirements.is_empty();
    if !empty && selector.matches(&template.placement.labels) {
        return;
    }
    let wanted: Vec<_> = selector
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let message = if empty {
        "the selector is empty".to_owned()
    } else {
        format!(
            "the selector ({}) does not match the labels of the template",
            wanted.join(", ")
        )
    };
    diagnostics
        .report(
            Code::SelectorMismatch,
            place_of_mismatch(node, template),
            message,
        )
        .help(format!(
            "give `spec.template.metadata.labels` every label of the selector; they are on line {}",
            template.span.line
        ));
}

/// The first label that the template lacks, or the selector as a whole.
fn place_of_mismatch(node: &Node, template: &PodTemplate) -> Span {
    let labels = node.get("matchLabels").map_or(&[][..], Node::entries);
    labels
        .iter()
        .find(|entry| {
            template
                .placement
                .labels
                .get(&entry.key)
                .map(String::as_str)
                != entry.value.str()
        })
        .map_or(node.span, |entry| entry.key_span.until(entry.value.span))
}

fn report_requests(metadata: &Metadata, diagnostics: &mut Diagnostics) {
    let message = format!(
        "`{}` does not request CPU and memory for every container",
        metadata.name
    );
    diagnostics
        .report(Code::NoRequests, metadata.span, message)
        .help("set `resources.requests`, or pods are placed as if they needed nothing");
}
