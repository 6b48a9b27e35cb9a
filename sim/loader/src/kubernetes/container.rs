//! Containers of a pod: their ports and what they request.
//!
//! Models: ports, requests of CPU and memory, the CPU limit (where the scenario asks for it),
//! sidecars (init containers that are restarted), probes, hooks, images.
//! Leaves out: what runs inside, volumes, identities.
//! Sources: k8s.io/api core/v1 types.go (1.36).

use super::lifecycle::{self, LIFECYCLE, PROBE};
use super::metadata::text;
use super::service::{PROTOCOLS, transport};
use crate::shape::{Field, Kind, PORT, Shape, TEXT_LIST};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{INTEGER_OR_TEXT, QUANTITY, parse_quantity};
use cloud::facts;
use cloud::scenario::{Image, Probes, PullPolicy, Resources, Transport};
use engine::Duration;

const INSIDE: &str = "what runs inside a container is described by `behavior` in the Scenario";
const STORAGE: &str = "storage is not modelled";
const IDENTITY: &str = "identities and rights do not change where requests go";
const ONLY_CPU_AND_MEMORY: Field = Field::ignored(
    "*",
    Kind::Format(&QUANTITY),
    "only CPU and memory are modelled",
);

static REQUESTS: Shape = Shape::new(
    "ResourceRequests",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)),
        Field::modelled("memory", Kind::Format(&QUANTITY)),
    ],
)
.or_else(&ONLY_CPU_AND_MEMORY);

static LIMITS: Shape = Shape::new(
    "ResourceLimits",
    &[
        Field::approximated(
            "cpu",
            Kind::Format(&QUANTITY),
            "stands in for a missing request, and limits the speed where `behavior` says `cpu: limit`",
        ),
        Field::approximated("memory", Kind::Format(&QUANTITY), "stands in for a missing request"),
    ],
)
.or_else(&ONLY_CPU_AND_MEMORY);

/// Fields of `resources`.
pub(super) static RESOURCES: Shape = Shape::new(
    "ResourceRequirements",
    &[
        Field::modelled("requests", Kind::Map(&REQUESTS)),
        Field::modelled("limits", Kind::Map(&LIMITS)),
        Field::ignored("claims", Kind::Opaque, "devices are not modelled"),
    ],
);

static ENVIRONMENT: Shape = Shape::new(
    "EnvVar",
    &[
        Field::ignored("name", Kind::Text, INSIDE).required(),
        Field::ignored("value", Kind::Text, INSIDE),
        Field::ignored("valueFrom", Kind::Opaque, INSIDE),
    ],
);

static CONTAINER_PORT: Shape = Shape::new(
    "ContainerPort",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("containerPort", PORT).required(),
        Field::modelled("protocol", PROTOCOLS),
        Field::ignored(
            "hostPort",
            Kind::Integer(0, 65_535),
            "ports of the host are not served",
        ),
        Field::ignored("hostIP", Kind::Text, "ports of the host are not served"),
    ],
);

/// Fields of a container.
pub(super) static CONTAINER: Shape = Shape::new(
    "Container",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::approximated(
            "image",
            Kind::Text,
            "another name is another revision; what runs inside is described by `behavior`",
        ),
        Field::modelled(
            "imagePullPolicy",
            Kind::OneOf(&["Always", "IfNotPresent", "Never"]),
        ),
        Field::ignored("command", TEXT_LIST, INSIDE),
        Field::ignored("args", TEXT_LIST, INSIDE),
        Field::ignored("workingDir", Kind::Text, INSIDE),
        Field::modelled("ports", Kind::List(&Kind::Map(&CONTAINER_PORT))),
        Field::ignored("env", Kind::List(&Kind::Map(&ENVIRONMENT)), INSIDE),
        Field::ignored("envFrom", Kind::Opaque, INSIDE),
        Field::modelled("resources", Kind::Map(&RESOURCES)),
        Field::ignored("resizePolicy", Kind::Opaque, "resources are not resized"),
        Field::approximated(
            "restartPolicy",
            Kind::OneOf(&["Always", "OnFailure", "Never"]),
            "tells sidecars from init containers; containers do not crash by themselves",
        ),
        Field::ignored(
            "restartPolicyRules",
            Kind::Opaque,
            "containers do not crash by themselves",
        ),
        Field::ignored("volumeMounts", Kind::Opaque, STORAGE),
        Field::ignored("volumeDevices", Kind::Opaque, STORAGE),
        Field::modelled("livenessProbe", Kind::Map(&PROBE)),
        Field::modelled("readinessProbe", Kind::Map(&PROBE)),
        Field::modelled("startupProbe", Kind::Map(&PROBE)),
        Field::modelled("lifecycle", Kind::Map(&LIFECYCLE)),
        Field::ignored("terminationMessagePath", Kind::Text, INSIDE),
        Field::ignored("terminationMessagePolicy", Kind::Text, INSIDE),
        Field::ignored("securityContext", Kind::Opaque, IDENTITY),
        Field::ignored("stdin", Kind::Bool, INSIDE),
        Field::ignored("stdinOnce", Kind::Bool, INSIDE),
        Field::ignored("tty", Kind::Bool, INSIDE),
    ],
);

/// What a `targetPort` or a backend's port may be.
pub(super) const PORT_REFERENCE: Kind = INTEGER_OR_TEXT;

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Name.
    pub name: Option<String>,
    /// Number.
    pub number: u16,
    /// What its requests come over.
    pub transport: Transport,
    /// Where the number is written.
    pub span: Span,
}

/// What is kept of a container.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub ports: Vec<ContainerPort>,
    pub requests: Demand,
    pub cpu_limit_milli: Option<u64>,
    pub image: Option<Image>,
    pub probes: Probes,
    pub pre_stop: Duration,
    pub restarts_always: bool,
}

impl Container {
    /// Reads a checked container.
    pub(super) fn read(node: &Node) -> Container {
        Container {
            ports: node.list("ports").iter().filter_map(port).collect(),
            requests: Demand::read(node.get("resources")),
            cpu_limit_milli: amounts(node.at(&["resources", "limits"])).0,
            image: image(node),
            probes: Probes {
                startup: node.get("startupProbe").map(lifecycle::probe),
                readiness: node.get("readinessProbe").map(lifecycle::probe),
                liveness: node.get("livenessProbe").map(lifecycle::probe),
            },
            pre_stop: lifecycle::pre_stop(node),
            restarts_always: text(node, "restartPolicy") == "Always",
        }
    }
}

/// What a container is made from: by default the registry is asked for what has no fixed tag.
fn image(node: &Node) -> Option<Image> {
    let name = node.get("image").and_then(Node::str)?.to_owned();
    let tagged = name.rsplit('/').next().unwrap_or_default();
    let moves = !tagged.contains([':', '@']) || tagged.ends_with(":latest");
    let policy = match node.get("imagePullPolicy").and_then(Node::str) {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        None if moves => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    };
    let bytes = facts::IMAGE_BYTES.value;
    Some(Image {
        name,
        bytes,
        policy,
    })
}

fn port(node: &Node) -> Option<ContainerPort> {
    let number = node.get("containerPort")?;
    Some(ContainerPort {
        name: node.get("name").and_then(Node::str).map(str::to_owned),
        number: u16::try_from(number.integer()?).ok()?,
        transport: transport(node),
        span: number.span,
    })
}

/// What is requested, where it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    pub cpu_milli: Option<u64>,
    pub memory_bytes: Option<u64>,
}

impl Demand {
    /// Reads checked `resources`; a limit stands in for a missing request, as the API server
    /// has it.
    pub(super) fn read(resources: Option<&Node>) -> Demand {
        let of = |key| amounts(resources.and_then(|resources| resources.get(key)));
        let ((cpu, memory), (cpu_limit, memory_limit)) = (of("requests"), of("limits"));
        Demand {
            cpu_milli: cpu.or(cpu_limit),
            memory_bytes: memory.or(memory_limit),
        }
    }

    /// Nothing where nothing is said.
    pub(super) fn resources(self) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli.unwrap_or(0),
            memory_bytes: self.memory_bytes.unwrap_or(0),
        }
    }
}

/// CPU in thousandths and memory in bytes of a checked resource list.
pub(super) fn amounts(list: Option<&Node>) -> (Option<u64>, Option<u64>) {
    let quantity = |key| {
        list.and_then(|list| list.get(key))
            .and_then(Node::text)
            .and_then(|text| parse_quantity(text).ok())
    };
    (
        quantity("cpu").map(|cpu| cpu.milli()),
        quantity("memory").map(|memory| memory.whole()),
    )
}
