//! Faults of the timeline: what goes wrong, where, and for how long.

use super::forms::{self, SHARE};
use super::names::{Names, named};
use super::places;
use super::reader::Reader;
use super::timeline::{CLUSTER, WORKLOAD};
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::tree::{Entry, Node};
use crate::value::DURATION;
use cloud::facts;
use cloud::scenario::{
    Action, ClusterId, Component, Fault, LinkChange, Packets, Place, UserNetwork, ZoneId,
};
use engine::Duration;
use serde_json::json;

const FOR: Field = Field::modelled("for", Kind::Format(&DURATION))
    .doc("How long it lasts; to the end by default.");
const FROM: Field = Field::modelled("from", Kind::Text)
    .required()
    .doc("One end: a cluster, a place of users, a site, or a region.");
const TO: Field = Field::modelled("to", Kind::Text)
    .required()
    .doc("The other end.");
const PACKETS: Field = Field::modelled("packets", Kind::OneOf(&["dropped", "refused"]))
    .doc("What happens to packets sent there: no answer, or a reset.")
    .default(|| json!("dropped"));

pub(super) static FAULT: Shape = Shape::choice(
    "Fault",
    &[
        Field::modelled("pod-kill", Kind::Map(&POD_KILL))
            .doc("Pods die; their controller replaces them."),
        Field::modelled("container-crash", Kind::Map(&POD_KILL))
            .doc("Containers of pods end; their kubelets start them again."),
        Field::modelled("oom-loop", Kind::Map(&OOM_LOOP))
            .doc("Containers of a workload run out of memory, again and again."),
        Field::modelled("hang", Kind::Map(&HANG))
            .doc("Applications of pods stop to answer, until their containers are started again."),
        Field::modelled("node-down", Kind::Map(&NODE_DOWN))
            .doc("A machine stops: a node of a cluster, or a machine of a site by its workload's name and its number from 1, as `orders-vm-1`."),
        Field::modelled("node-partition", Kind::Map(&OF_NODE))
            .doc("A machine reaches nothing and nothing reaches it; its containers run on."),
        Field::modelled("node-slow", Kind::Map(&NODE_SLOW)).doc("A machine's CPU or disk is slow."),
        Field::modelled("kubelet-down", Kind::Map(&OF_NODE))
            .doc("A machine's kubelet stands still; its containers run on."),
        Field::modelled("ztunnel-down", Kind::Map(&OF_NODE))
            .doc("A machine's ztunnel is away: connections of its pods of the ambient mesh break, and new ones are refused."),
        Field::modelled("image-registry-down", Kind::Map(&OF_CLUSTER))
            .doc("No image can be pulled."),
        Field::modelled("zone-down", Kind::Map(&ZONE_DOWN)).doc("All machines of a zone stop."),
        Field::modelled("api-server-down", Kind::Map(&API_SERVER_DOWN))
            .doc("API servers of a cluster are down."),
        Field::modelled("api-server-slow", Kind::Map(&API_SERVER_SLOW))
            .doc("A cluster's API servers answer slowly."),
        Field::modelled("etcd-quorum-loss", Kind::Map(&OF_CLUSTER))
            .doc("A cluster's etcd loses its majority: nothing can be written."),
        Field::modelled("controller-manager-down", Kind::Map(&OF_CLUSTER))
            .doc("No controller runs."),
        Field::modelled("scheduler-down", Kind::Map(&OF_CLUSTER)).doc("Nobody places pods."),
        Field::modelled("istiod-down", Kind::Map(&OF_CLUSTER))
            .doc("istiod of a cluster is down: proxies keep what they were told, and pods that want a sidecar are refused."),
        Field::modelled("istiod-slow", Kind::Map(&ISTIOD_SLOW))
            .doc("istiod of a cluster takes longer to tell proxies."),
        Field::modelled("frozen", Kind::Map(&FROZEN))
            .doc("The clock of a part stands still: it does nothing, and knows nothing of it."),
        Field::modelled("region-down", Kind::Map(&REGION_DOWN))
            .doc("Everything in a region is out of reach."),
        Field::modelled("link-cut", Kind::Map(&LINK_CUT)).doc("Nothing passes a link."),
        Field::modelled("link-delay", Kind::Map(&LINK_DELAY)).doc("A link takes longer."),
        Field::modelled("link-loss", Kind::Map(&LINK_LOSS)).doc("A link loses packets."),
        Field::modelled("slow", Kind::Map(&SLOW)).doc("A workload's own work takes longer."),
        Field::modelled("failing", Kind::Map(&FAILING)).doc("A workload answers with errors."),
        Field::modelled("dns-down", Kind::Map(&OF_CLUSTER)).doc("A cluster's DNS answers nobody."),
        Field::modelled("dns-throttled", Kind::Map(&DNS_THROTTLED))
            .doc("A cluster's DNS does its work slower."),
    ],
)
.doc("What goes wrong.");

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
const COUNT: Field = Field::modelled("count", Kind::Integer(1, 1_000_000))
    .doc("How many of its pods, drawn at random.")
    .default(|| json!(1));
static POD_KILL: Shape = Shape::new("PodKill", &[WORKLOAD, COUNT, CLUSTER]);
static HANG: Shape = Shape::new("Hang", &[WORKLOAD, COUNT, CLUSTER, FOR]);
static OOM_LOOP: Shape = Shape::new(
    "OomLoop",
    &[
        WORKLOAD,
        Field::modelled("after", Kind::Format(&DURATION))
            .required()
            .doc("How long after its start a container has used up its memory."),
        CLUSTER,
        FOR,
    ],
);
static NODE_DOWN: Shape = Shape::new("NodeDown", &[NODE, CLUSTER, FOR, PACKETS]);
/// A factor that slows something down.
const FACTOR: Kind = Kind::Number(1.0, 1e9);
pub(super) const NODE: Field = Field::modelled("node", Kind::Text)
    .required()
    .doc("Which machine.");
static OF_NODE: Shape = Shape::new("FaultOfNode", &[NODE, CLUSTER, FOR]);
static OF_CLUSTER: Shape = Shape::new("FaultOfCluster", &[CLUSTER, FOR]);
static NODE_SLOW: Shape = Shape::new(
    "NodeSlow",
    &[
        NODE,
        Field::modelled("cpu", FACTOR)
            .doc("The work of its pods takes so many times as long.")
            .default(|| json!(1)),
        Field::modelled("disk", FACTOR)
            .doc("Starting containers takes so many times as long.")
            .default(|| json!(1)),
        CLUSTER,
        FOR,
    ],
);
static ZONE_DOWN: Shape = Shape::new(
    "ZoneDown",
    &[
        Field::modelled("zone", Kind::Text)
            .required()
            .doc("Which zone."),
        CLUSTER,
        FOR,
        PACKETS,
    ],
);
static API_SERVER_DOWN: Shape = Shape::new(
    "ApiServerDown",
    &[
        Field::modelled("count", Kind::Integer(1, 100)).doc("How many of them; all by default."),
        CLUSTER,
        FOR,
    ],
);
static API_SERVER_SLOW: Shape = Shape::new(
    "ApiServerSlow",
    &[
        Field::modelled("factor", FACTOR)
            .required()
            .doc("Requests take so many times as long."),
        CLUSTER,
        FOR,
    ],
);
static ISTIOD_SLOW: Shape = Shape::new(
    "IstiodSlow",
    &[
        Field::modelled("factor", FACTOR)
            .required()
            .doc("What it generates for a proxy takes so many times as long."),
        CLUSTER,
        FOR,
    ],
);
static FROZEN: Shape = Shape::new(
    "Frozen",
    &[
        Field::modelled("component", Kind::OneOf(COMPONENTS))
            .required()
            .doc("Which part."),
        Field::modelled("node", Kind::Text).doc("Of which machine: of a kubelet or a kube-proxy."),
        CLUSTER,
        FOR,
    ],
);
const COMPONENTS: &[&str] = &[
    "controller-manager",
    "scheduler",
    "kubelet",
    "kube-proxy",
    "istiod",
];

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

pub(super) fn read(
    node: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Option<(String, Action)> {
    let entry = node.entries().first()?;
    let (kind, body) = (entry.key.as_str(), &entry.value);
    if names.ideal && !OF_PODS.contains(&kind) {
        let message = format!("`network: ideal` has no `{kind}`");
        let known: Vec<_> = OF_PODS.iter().map(|kind| format!("`{kind}`")).collect();
        reader
            .diagnostics
            .report(Code::IdealNetwork, entry.key_span, message)
            .help(format!(
                "without a network nothing is far or out of reach: use {}",
                known.join(", ")
            ));
        return None;
    }
    let fault = match kind {
        "region-down" => {
            let (region, span) = named(body, "region")?;
            Fault::RegionDown {
                region: places::region(region, span, names, users, reader)?,
                packets: packets(body),
            }
        }
        kind if OF_PODS.contains(&kind) => pod_fault(kind, body, names, reader)?,
        "link-cut" | "link-delay" | "link-loss" => link_fault(kind, body, names, users, reader)?,
        "node-down" | "node-partition" | "node-slow" | "kubelet-down" | "ztunnel-down" => {
            match machine(kind, body, names, reader) {
                Some(fault) => fault?,
                None => node_fault(kind, body, names, reader)?,
            }
        }
        _ => cluster_fault(kind, entry, names, reader)?,
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

/// Faults of a workload's pods, which need no network.
const OF_PODS: [&str; 6] = [
    "pod-kill",
    "container-crash",
    "oom-loop",
    "hang",
    "slow",
    "failing",
];

fn pod_fault(kind: &str, body: &Node, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<Fault> {
    let (cluster, workload) = names.the_workload(body, reader)?;
    let count = forms::count(body, "count").unwrap_or(1);
    Some(match kind {
        "container-crash" => Fault::ContainerCrash {
            cluster,
            workload,
            count,
        },
        "hang" => Fault::Hang {
            cluster,
            workload,
            count,
        },
        "oom-loop" => Fault::OutOfMemory {
            cluster,
            workload,
            after: memory_lasts(body, reader)?,
        },
        "slow" => Fault::Slow {
            cluster,
            workload,
            factor: body.get("factor")?.number()?,
        },
        "failing" => Fault::Failing {
            cluster,
            workload,
            error_rate: forms::read(body.get("errorRate"), forms::parse_share)?,
        },
        _ => Fault::PodKill {
            cluster,
            workload,
            count,
        },
    })
}

/// How long a container's memory lasts; one that has none is reported.
fn memory_lasts(body: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let after = forms::duration(body, "after")?;
    if after == Duration::ZERO {
        let span = body.get("after").map_or(body.span, |node| node.span);
        let message = "a container without any memory does not start";
        reader
            .diagnostics
            .report(Code::OutOfRange, span, message)
            .help("say how long it runs before it is killed, as `after: 30s`");
    }
    Some(after)
}

/// The machine under the key `node`; one that does not exist is reported.
pub(super) fn the_node(
    body: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<(ClusterId, u32)> {
    let (name, span) = named(body, "node")?;
    let cluster = names.the_cluster(body, span, reader)?;
    let of = names.clusters[cluster.index()];
    let position = of.nodes.iter().position(|node| node.name == name);
    if position.is_none() {
        let message = format!("there is no node `{name}`{}", names.within(of));
        let known = of.nodes.iter().map(|node| node.name.as_str());
        reader.unknown(Code::UnknownNode, span, message, known);
    }
    Some((cluster, u32::try_from(position?).ok()?))
}

fn node_fault(
    kind: &str,
    body: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Fault> {
    let (cluster, node) = the_node(body, names, reader)?;
    let factor = |key| body.get(key).and_then(Node::number);
    Some(match kind {
        "node-partition" => Fault::NodePartition { cluster, node },
        "kubelet-down" => Fault::KubeletDown { cluster, node },
        "ztunnel-down" => {
            let of = names.clusters[cluster.index()];
            if of.ztunnel.is_none() {
                let message = format!("there are no ztunnels{}", names.within(of));
                reader
                    .diagnostics
                    .report(Code::Conflict, body.span, message)
                    .help("let a namespace be part of the ambient mesh: `ambientNamespaces`");
                return None;
            }
            Fault::ComponentDown {
                cluster,
                component: Component::Ztunnel(node),
            }
        }
        "node-slow" => {
            if factor("cpu").is_none() && factor("disk").is_none() {
                let message = "neither `cpu` nor `disk` says what is slow";
                reader
                    .diagnostics
                    .report(Code::MissingField, body.span, message)
                    .help("add `cpu: 4`, and the work of its pods takes four times as long");
            }
            Fault::NodeSlow {
                cluster,
                node,
                cpu_factor: factor("cpu").unwrap_or(1.0),
                disk_factor: factor("disk").unwrap_or(1.0),
            }
        }
        _ => Fault::NodeDown {
            cluster,
            node,
            packets: packets(body),
        },
    })
}

/// The fault of a machine of a site, if `node` names one; of these only the power can be lost.
fn machine(
    kind: &str,
    body: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Option<Fault>> {
    let (name, span) = named(body, "node")?;
    let (cluster, workload, number) = names.machine(name)?;
    if kind != "node-down" {
        let message = format!("`{name}` is a machine of a site, which knows no `{kind}`");
        reader
            .diagnostics
            .report(Code::Conflict, span, message)
            .help("use `node-down`, `link-cut` to its site, or `hang` and `slow` for its workload");
        return Some(None);
    }
    Some(Some(Fault::MachineDown {
        cluster,
        workload,
        number,
        packets: packets(body),
    }))
}

/// A fault of a zone or of a cluster's control plane.
fn cluster_fault(
    kind: &str,
    entry: &Entry,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Fault> {
    let body = &entry.value;
    if kind == "frozen" {
        return frozen(entry, names, reader);
    }
    let cluster = names.the_cluster(body, entry.key_span, reader)?;
    let down = |component| Fault::ComponentDown { cluster, component };
    Some(match kind {
        "zone-down" => Fault::ZoneDown {
            cluster,
            zone: the_zone(body, cluster, names, reader)?,
            packets: packets(body),
        },
        "api-server-down" => Fault::ApiServerDown {
            cluster,
            count: api_servers(body, reader),
        },
        "dns-down" => Fault::DnsThrottled {
            cluster,
            capacity: 0.0,
        },
        "dns-throttled" => Fault::DnsThrottled {
            cluster,
            capacity: forms::read(body.get("capacity"), forms::parse_share)?,
        },
        "image-registry-down" => Fault::RegistryDown { cluster },
        "api-server-slow" => Fault::ApiServerSlow {
            cluster,
            factor: body.get("factor")?.number()?,
        },
        // The fewest that leave no majority.
        "etcd-quorum-loss" => Fault::EtcdDown {
            cluster,
            count: reader.fact(&facts::CONTROL_PLANE_MEMBERS).div_ceil(2),
        },
        "controller-manager-down" => down(Component::ControllerManager),
        "scheduler-down" => down(Component::Scheduler),
        "istiod-down" | "istiod-slow" => {
            has_istiod(cluster, entry, names, reader)?;
            match kind {
                "istiod-slow" => Fault::IstiodSlow {
                    cluster,
                    factor: body.get("factor")?.number()?,
                },
                _ => down(Component::Istiod),
            }
        }
        _ => return None,
    })
}

/// A cluster without istiod is reported.
fn has_istiod(
    cluster: ClusterId,
    entry: &Entry,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<()> {
    let of = names.clusters[cluster.index()];
    if of.mesh.is_none() {
        let message = format!("there is no istiod{}", names.within(of));
        reader
            .diagnostics
            .report(Code::Conflict, entry.key_span, message)
            .help("give the cluster `istio: {version: …}`");
        return None;
    }
    Some(())
}

fn the_zone(
    body: &Node,
    cluster: ClusterId,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<ZoneId> {
    let (name, span) = named(body, "zone")?;
    let of = names.clusters[cluster.index()];
    let position = of.zones.iter().position(|zone| zone == name);
    if position.is_none() {
        let message = format!("there is no zone `{name}`{}", names.within(of));
        let known = of.zones.iter().map(String::as_str);
        reader.unknown(Code::UnknownPlace, span, message, known);
    }
    position.map(ZoneId::from)
}

/// How many API servers are down; more than there are is reported.
fn api_servers(body: &Node, reader: &mut Reader<'_>) -> u32 {
    let all = reader.fact(&facts::CONTROL_PLANE_MEMBERS);
    let Some(count) = forms::count(body, "count") else {
        return all;
    };
    if count > all {
        let span = body.get("count").map_or(body.span, |node| node.span);
        let message = format!("a cluster has {all} API servers, not {count}");
        reader
            .diagnostics
            .report(Code::OutOfRange, span, message)
            .help("leave `count` out, and all are down");
    }
    count.min(all)
}

fn frozen(entry: &Entry, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<Fault> {
    let body = &entry.value;
    let (name, span) = named(body, "component")?;
    let on_node: Option<fn(u32) -> Component> = match name {
        "kubelet" => Some(Component::Kubelet),
        "kube-proxy" => Some(Component::KubeProxy),
        _ => None,
    };
    let node = body.get("node");
    if let Some(component) = on_node {
        if node.is_none() {
            let message = format!("which node's `{name}` is frozen is not said");
            reader
                .diagnostics
                .report(Code::MissingField, span, message)
                .help("add `node:`; for several nodes write several entries");
        }
        let (cluster, node) = the_node(body, names, reader)?;
        return Some(Fault::Frozen {
            cluster,
            component: component(node),
        });
    }
    if let Some(node) = node {
        let message = format!("`{name}` runs once for the cluster, not on each node");
        reader
            .diagnostics
            .report(Code::Conflict, node.span, message)
            .help("remove `node`");
    }
    let component = match name {
        "controller-manager" => Component::ControllerManager,
        "scheduler" => Component::Scheduler,
        "istiod" => Component::Istiod,
        _ => return None,
    };
    let cluster = names.the_cluster(body, entry.key_span, reader)?;
    if component == Component::Istiod {
        has_istiod(cluster, entry, names, reader)?;
    }
    Some(Fault::Frozen { cluster, component })
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
        "zone",
        "component",
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
                "to" | "capacity" => format!("to {text}"),
                "delay" | "loss" | "errorRate" => format!("by {text}"),
                _ => text.to_owned(),
            });
        }
    }
    if let Some(factor) = forms::text(body, "factor") {
        words.push(format!("by a factor of {factor}"));
    }
    for key in ["cpu", "disk"] {
        if let Some(factor) = forms::text(body, key) {
            words.push(format!("({key} by a factor of {factor})"));
        }
    }
    if let Some(count) = forms::text(body, "count") {
        let what = match kind {
            "api-server-down" => "servers",
            _ => "pods",
        };
        words.push(format!("({count} {what})"));
    }
    if let Some(after) = forms::text(body, "after") {
        words.push(format!("after {after}"));
    }
    if let Some(lasts) = forms::text(body, "for") {
        words.push(format!("for {lasts}"));
    }
    words.join(" ")
}
