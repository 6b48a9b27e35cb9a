//! Pods and pod templates: what decides where they run and which ports they serve.
//!
//! Models: requests (containers together, sidecars, the greatest init container, overhead),
//! node selectors, required node affinity and pod anti-affinity, tolerations, spreading.
//! Leaves out: preferred affinity, pod affinity, priorities, volumes, identities.
//! Sources: k8s.io/api core/v1 types.go (1.36); kubernetes.io, Resource sharing within
//! containers and Init containers, for the rule of requests.

use super::container::{CONTAINER, Container, ContainerPort, Demand, RESOURCES, amounts};
use super::lifecycle;
use super::metadata::{OBJECT_META, text, text_map};
use super::pod_dns;
use super::selector::{LABELS_ONLY, REQUIREMENT, Selector, requirement};
use crate::diagnostic::Diagnostics;
use crate::shape::{Field, INTEGER, Kind, NATURAL, Shape, TEXT_LIST, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{
    AntiAffinity, Image, LabelRequirement, Placement, PodDns, Probes, Resources, SpreadConstraint,
    TaintEffect, Termination, Toleration,
};
use engine::Duration;
use std::collections::BTreeMap;

const IDENTITY: &str = "identities and rights do not change where requests go";
const PREFERENCES: &str = "only what is required counts, preferences do not";
const NAMES: &str = "names resolve as in the cluster's own DNS";
const PRIORITIES: &str = "pods do not preempt one another";
const ONE_NAMESPACE: &str = "pods of the own namespace count";

static FIELD_REQUIREMENT: Shape = Shape::new(
    "NodeFieldRequirement",
    &[
        Field::approximated(
            "key",
            Kind::Text,
            "metadata.name counts as the label kubernetes.io/hostname",
        )
        .required(),
        Field::modelled("operator", Kind::OneOf(&["In", "NotIn"])).required(),
        Field::modelled("values", TEXT_LIST),
    ],
);
static NODE_SELECTOR_TERM: Shape = Shape::new(
    "NodeSelectorTerm",
    &[
        Field::modelled("matchExpressions", Kind::List(&Kind::Map(&REQUIREMENT))),
        Field::modelled("matchFields", Kind::List(&Kind::Map(&FIELD_REQUIREMENT))),
    ],
);
static NODE_SELECTOR: Shape = Shape::new(
    "NodeSelector",
    &[Field::modelled(
        "nodeSelectorTerms",
        Kind::List(&Kind::Map(&NODE_SELECTOR_TERM)),
    )
    .required()],
);
static NODE_AFFINITY: Shape = Shape::new(
    "NodeAffinity",
    &[
        Field::modelled(
            "requiredDuringSchedulingIgnoredDuringExecution",
            Kind::Map(&NODE_SELECTOR),
        ),
        Field::ignored(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Kind::Opaque,
            PREFERENCES,
        ),
    ],
);
static POD_AFFINITY_TERM: Shape = Shape::new(
    "PodAffinityTerm",
    &[
        Field::modelled("labelSelector", Kind::Map(&LABELS_ONLY)),
        Field::modelled("topologyKey", Kind::Text).required(),
        Field::ignored("namespaces", TEXT_LIST, ONE_NAMESPACE),
        Field::ignored("namespaceSelector", Kind::Opaque, ONE_NAMESPACE),
        Field::ignored(
            "matchLabelKeys",
            TEXT_LIST,
            "all revisions of a workload count together",
        ),
        Field::ignored(
            "mismatchLabelKeys",
            TEXT_LIST,
            "all revisions of a workload count together",
        ),
    ],
);
static POD_ANTI_AFFINITY: Shape = Shape::new(
    "PodAntiAffinity",
    &[
        Field::modelled(
            "requiredDuringSchedulingIgnoredDuringExecution",
            Kind::List(&Kind::Map(&POD_AFFINITY_TERM)),
        ),
        Field::ignored(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Kind::Opaque,
            PREFERENCES,
        ),
    ],
);
static AFFINITY: Shape = Shape::new(
    "Affinity",
    &[
        Field::modelled("nodeAffinity", Kind::Map(&NODE_AFFINITY)),
        Field::ignored(
            "podAffinity",
            Kind::Opaque,
            "pods do not attract one another",
        ),
        Field::modelled("podAntiAffinity", Kind::Map(&POD_ANTI_AFFINITY)),
    ],
);
static TOLERATION: Shape = Shape::new(
    "Toleration",
    &[
        Field::modelled("key", Kind::Text),
        Field::modelled("operator", Kind::OneOf(&["Equal", "Exists", "Lt", "Gt"])),
        Field::modelled("value", Kind::Text),
        Field::modelled(
            "effect",
            Kind::OneOf(&["NoSchedule", "PreferNoSchedule", "NoExecute", ""]),
        ),
        Field::modelled("tolerationSeconds", INTEGER),
    ],
);
static SPREAD: Shape = Shape::new(
    "TopologySpreadConstraint",
    &[
        Field::modelled("maxSkew", Kind::Integer(1, i32::MAX as i64)).required(),
        Field::modelled("topologyKey", Kind::Text).required(),
        Field::modelled(
            "whenUnsatisfiable",
            Kind::OneOf(&["DoNotSchedule", "ScheduleAnyway"]),
        )
        .required(),
        Field::modelled("labelSelector", Kind::Map(&LABELS_ONLY)),
        Field::ignored("minDomains", NATURAL, "the domains that are there count"),
        Field::ignored(
            "matchLabelKeys",
            TEXT_LIST,
            "all revisions of a workload count together",
        ),
        Field::ignored(
            "nodeAffinityPolicy",
            Kind::OneOf(&["Honor", "Ignore"]),
            "always Honor",
        ),
        Field::ignored(
            "nodeTaintsPolicy",
            Kind::OneOf(&["Honor", "Ignore"]),
            "always Ignore",
        ),
    ],
);
static OVERHEAD_REST: Field = Field::ignored("*", Kind::Opaque, "only CPU and memory are modelled");
static OVERHEAD: Shape = Shape::new(
    "Overhead",
    &[
        Field::modelled("cpu", Kind::Format(&crate::value::QUANTITY)),
        Field::modelled("memory", Kind::Format(&crate::value::QUANTITY)),
    ],
)
.or_else(&OVERHEAD_REST);

/// Fields of a pod's `spec`.
pub(super) static POD_SPEC: Shape = Shape::new(
    "PodSpec",
    &[
        Field::modelled("containers", Kind::List(&Kind::Map(&CONTAINER))).required(),
        Field::modelled("initContainers", Kind::List(&Kind::Map(&CONTAINER))),
        Field::ignored(
            "ephemeralContainers",
            Kind::Opaque,
            "they serve no requests",
        ),
        Field::ignored("volumes", Kind::Opaque, "storage is not modelled"),
        Field::ignored(
            "restartPolicy",
            Kind::OneOf(&["Always", "OnFailure", "Never"]),
            "containers do not crash by themselves",
        ),
        Field::modelled("terminationGracePeriodSeconds", NATURAL),
        Field::ignored(
            "activeDeadlineSeconds",
            INTEGER,
            "pods run until something stops them",
        ),
        pod_dns::POLICY,
        pod_dns::SETTINGS,
        Field::modelled("nodeSelector", TEXT_MAP),
        Field::modelled("nodeName", Kind::Text),
        Field::modelled("affinity", Kind::Map(&AFFINITY)),
        Field::modelled("tolerations", Kind::List(&Kind::Map(&TOLERATION))),
        Field::modelled("topologySpreadConstraints", Kind::List(&Kind::Map(&SPREAD))),
        Field::modelled("overhead", Kind::Map(&OVERHEAD)),
        Field::modelled("resources", Kind::Map(&RESOURCES)),
        Field::modelled("serviceAccountName", Kind::Text),
        Field::modelled("serviceAccount", Kind::Text),
        Field::ignored("automountServiceAccountToken", Kind::Bool, IDENTITY),
        Field::ignored("securityContext", Kind::Opaque, IDENTITY),
        Field::ignored("imagePullSecrets", Kind::Opaque, IDENTITY),
        Field::approximated(
            "hostNetwork",
            Kind::Bool,
            "the pod has an address of its own all the same, and resolves names as its node does",
        ),
        Field::ignored("hostPID", Kind::Bool, IDENTITY),
        Field::ignored("hostIPC", Kind::Bool, IDENTITY),
        Field::ignored("hostUsers", Kind::Bool, IDENTITY),
        Field::ignored("shareProcessNamespace", Kind::Bool, IDENTITY),
        Field::modelled("hostname", Kind::Text),
        Field::modelled("subdomain", Kind::Text),
        Field::ignored("setHostnameAsFQDN", Kind::Bool, NAMES),
        Field::ignored("hostnameOverride", Kind::Text, NAMES),
        Field::ignored("hostAliases", Kind::Opaque, NAMES),
        Field::ignored("enableServiceLinks", Kind::Bool, NAMES),
        Field::ignored(
            "schedulerName",
            Kind::Text,
            "all pods are placed by the default scheduler",
        ),
        Field::ignored(
            "schedulingGates",
            Kind::Opaque,
            "pods are scheduled at once",
        ),
        Field::ignored(
            "schedulingGroup",
            Kind::Opaque,
            "pods are scheduled one by one",
        ),
        Field::ignored("workloadRef", Kind::Opaque, "pods are scheduled one by one"),
        Field::ignored("priorityClassName", Kind::Text, PRIORITIES),
        Field::ignored("priority", INTEGER, PRIORITIES),
        Field::ignored("preemptionPolicy", Kind::Text, PRIORITIES),
        Field::ignored(
            "evictionResponders",
            Kind::Opaque,
            "a later release models evictions",
        ),
        Field::ignored(
            "readinessGates",
            Kind::Opaque,
            "a pod is ready after its start-up time",
        ),
        Field::ignored(
            "runtimeClassName",
            Kind::Text,
            "runtimes are not told apart",
        ),
        Field::ignored(
            "os",
            Kind::Opaque,
            "all nodes run the same operating system",
        ),
        Field::ignored("resourceClaims", Kind::Opaque, "devices are not modelled"),
    ],
);

/// Fields of a pod template.
pub(super) static POD_TEMPLATE: Shape = Shape::new(
    "PodTemplateSpec",
    &[
        Field::modelled("metadata", Kind::Map(&OBJECT_META)),
        Field::modelled("spec", Kind::Map(&POD_SPEC)).required(),
    ],
);

/// What is kept of a pod or a pod template.
#[derive(Clone, Debug)]
pub struct PodTemplate {
    /// What decides where it may run; holds its labels and requests.
    pub placement: Placement,
    /// Ports that its containers declare.
    pub ports: Vec<ContainerPort>,
    /// Sum of the containers' CPU limits; `None` if one has none.
    pub cpu_limit_milli: Option<u64>,
    /// What its first container is made from.
    pub image: Option<Image>,
    /// How it is probed: for each purpose by the first of its containers that says how.
    pub probes: Probes,
    /// How it ends: its hook is the longest of its containers'.
    pub termination: Termination,
    /// `hostNetwork`.
    pub has_host_network: bool,
    /// Whom its certificates name, where it says so.
    pub service_account: Option<String>,
    /// How it resolves names.
    pub dns: PodDns,
    /// Whether a container lacks a request of CPU or memory.
    pub lacks_requests: bool,
    /// `hostname`, where set by hand.
    pub hostname: Option<String>,
    /// `subdomain`: the headless service under whose name the pod can be found.
    pub subdomain: Option<String>,
    /// Where it is written.
    pub span: Span,
}

impl PodTemplate {
    /// Reads a checked pod (or template): its labels and its `spec`.
    pub fn read(node: &Node, diagnostics: &mut Diagnostics) -> PodTemplate {
        let empty = Node {
            span: node.span,
            value: crate::tree::Value::Mapping(Vec::new()),
        };
        let spec = node.get("spec").unwrap_or(&empty);
        let grace = natural(spec.get("terminationGracePeriodSeconds"))
            .map_or(facts::TERMINATION_GRACE_PERIOD.value, |seconds| {
                Duration::from_secs(u64::from(seconds))
            });
        for container in spec.list("containers") {
            lifecycle::check(container, grace, diagnostics);
        }
        let containers: Vec<_> = spec
            .list("containers")
            .iter()
            .map(Container::read)
            .collect();
        let init: Vec<_> = spec
            .list("initContainers")
            .iter()
            .map(Container::read)
            .collect();
        let serving = || {
            containers
                .iter()
                .chain(init.iter().filter(|container| container.restarts_always))
        };
        let whole = Demand::read(spec.get("resources"));
        PodTemplate {
            placement: placement(node, spec, requests(spec, &containers, &init), diagnostics),
            ports: serving()
                .flat_map(|container| container.ports.clone())
                .collect(),
            cpu_limit_milli: containers
                .iter()
                .map(|container| container.cpu_limit_milli)
                .sum(),
            image: containers
                .first()
                .and_then(|container| container.image.clone()),
            probes: Probes {
                startup: serving().find_map(|container| container.probes.startup),
                readiness: serving().find_map(|container| container.probes.readiness),
                liveness: serving().find_map(|container| container.probes.liveness),
            },
            termination: Termination {
                pre_stop: serving()
                    .map(|container| container.pre_stop)
                    .max()
                    .unwrap_or(Duration::ZERO),
                grace,
                ..Termination::default()
            },
            has_host_network: spec
                .get("hostNetwork")
                .and_then(Node::bool)
                .unwrap_or(false),
            service_account: ["serviceAccountName", "serviceAccount"]
                .into_iter()
                .find_map(|field| spec.get(field)?.str().map(str::to_owned)),
            dns: pod_dns::read(spec, diagnostics),
            lacks_requests: (whole.cpu_milli.is_none()
                && containers
                    .iter()
                    .any(|container| container.requests.cpu_milli.is_none()))
                || (whole.memory_bytes.is_none()
                    && containers
                        .iter()
                        .any(|container| container.requests.memory_bytes.is_none())),
            hostname: spec.get("hostname").and_then(Node::str).map(str::to_owned),
            subdomain: spec.get("subdomain").and_then(Node::str).map(str::to_owned),
            span: node.span,
        }
    }
}

/// What a pod requests: its containers and sidecars together, or any init container with the
/// sidecars started before it if that is more, and the overhead. A request of the pod as a whole
/// replaces the sum.
fn requests(spec: &Node, containers: &[Container], init: &[Container]) -> Resources {
    let mut running = Resources::default();
    let mut greatest = Resources::default();
    for container in init {
        let own = container.requests.resources();
        greatest = greater(greatest, sum(running, own));
        if container.restarts_always {
            running = sum(running, own);
        }
    }
    let all = containers.iter().fold(running, |total, container| {
        sum(total, container.requests.resources())
    });
    let most = greater(all, greatest);
    let whole = Demand::read(spec.get("resources"));
    let pod = Resources {
        cpu_milli: whole.cpu_milli.unwrap_or(most.cpu_milli),
        memory_bytes: whole.memory_bytes.unwrap_or(most.memory_bytes),
    };
    let (cpu, memory) = amounts(spec.get("overhead"));
    sum(
        pod,
        Resources {
            cpu_milli: cpu.unwrap_or(0),
            memory_bytes: memory.unwrap_or(0),
        },
    )
}

fn sum(left: Resources, right: Resources) -> Resources {
    Resources {
        cpu_milli: left.cpu_milli.saturating_add(right.cpu_milli),
        memory_bytes: left.memory_bytes.saturating_add(right.memory_bytes),
    }
}

fn greater(left: Resources, right: Resources) -> Resources {
    Resources {
        cpu_milli: left.cpu_milli.max(right.cpu_milli),
        memory_bytes: left.memory_bytes.max(right.memory_bytes),
    }
}

fn placement(
    node: &Node,
    spec: &Node,
    requests: Resources,
    diagnostics: &mut Diagnostics,
) -> Placement {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = spec.at(&["affinity", "nodeAffinity", required, "nodeSelectorTerms"]);
    let apart = spec.at(&["affinity", "podAntiAffinity", required]);
    let mut labels_of = |node: &Node| -> BTreeMap<String, String> {
        node.get("labelSelector")
            .map(|selector| Selector::read(selector).as_labels(selector, diagnostics))
            .unwrap_or_default()
    };
    Placement {
        labels: text_map(node.at(&["metadata", "labels"])),
        requests,
        node_name: spec.get("nodeName").and_then(Node::str).map(str::to_owned),
        node_selector: text_map(spec.get("nodeSelector")),
        node_affinity: terms
            .map_or(&[][..], Node::items)
            .iter()
            .map(node_term)
            .collect(),
        tolerations: spec.list("tolerations").iter().map(toleration).collect(),
        spread: spec
            .list("topologySpreadConstraints")
            .iter()
            .map(|node| spread(node, labels_of(node)))
            .collect(),
        anti_affinity: apart
            .map_or(&[][..], Node::items)
            .iter()
            .map(|node| AntiAffinity {
                topology_key: text(node, "topologyKey"),
                selector: labels_of(node),
            })
            .collect(),
    }
}

fn node_term(term: &Node) -> Vec<LabelRequirement> {
    let fields = term
        .list("matchFields")
        .iter()
        .filter_map(requirement)
        .map(|field| LabelRequirement {
            key: "kubernetes.io/hostname".to_owned(),
            ..field
        });
    term.list("matchExpressions")
        .iter()
        .filter_map(requirement)
        .chain(fields)
        .collect()
}

fn toleration(node: &Node) -> Toleration {
    let optional = |key| {
        node.get(key)
            .and_then(Node::str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let exists = text(node, "operator") == "Exists";
    Toleration {
        key: optional("key"),
        value: if exists {
            None
        } else {
            Some(text(node, "value"))
        },
        effect: optional("effect").and_then(|effect| taint_effect(&effect)),
        lasts: node
            .get("tolerationSeconds")
            .and_then(Node::integer)
            .map(|seconds| Duration::from_secs(seconds.try_into().unwrap_or(0))),
    }
}

/// Reads the effect of a taint.
pub(super) fn taint_effect(text: &str) -> Option<TaintEffect> {
    match text {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

fn spread(node: &Node, selector: BTreeMap<String, String>) -> SpreadConstraint {
    let skew = node
        .get("maxSkew")
        .and_then(Node::integer)
        .and_then(|skew| u32::try_from(skew).ok());
    SpreadConstraint {
        topology_key: text(node, "topologyKey"),
        skew_max: skew.unwrap_or(1).max(1),
        required: text(node, "whenUnsatisfiable") != "ScheduleAnyway",
        selector,
    }
}

/// Reads an integer that a check has found to be none, one, or more.
pub(super) fn natural(node: Option<&Node>) -> Option<u32> {
    node.and_then(Node::integer)
        .and_then(|number| u32::try_from(number).ok())
}
