//! `clusters`: where they stand, which machines they have, and which manifests they are given.

use super::forms::{self, KUBERNETES_VERSION, TAINT};
use super::names::named;
use super::provisioner::{self, BOOT, MAX, MIN, PRICE, PROVISIONER, START_UP};
use super::reader::Reader;
use crate::assembly::Frame;
use crate::diagnostic::Code;
use crate::kubernetes::kube_proxy::Overrides;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{QUANTITY, parse_quantity};
use cloud::facts;
use cloud::scenario::{ClusterDns, Node as Machine, Resources, ZoneId};
use serde_json::json;
use std::collections::BTreeMap;

/// Most machines of a pool and of a cluster: Kubernetes' own limit is 5000.
const NODES_MAX: usize = 10_000;

pub(super) static CLUSTER: Shape = Shape::new(
    "Cluster",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Unique among clusters."),
        Field::modelled("region", Kind::Text)
            .doc("Where it stands: `aws/us-west-2`, or any name; decides the distance to others.")
            .default(|| json!(facts::REGION.value)),
        Field::modelled("zones", TEXT_LIST)
            .doc("Names of its zones.")
            .default(|| json!(["a", "b", "c"])),
        Field::modelled("kubernetes", Kind::Format(&KUBERNETES_VERSION))
            .doc("Version of Kubernetes, in quotes; decides defaults that changed over time.")
            .default(|| json!(format!("1.{}", facts::KUBERNETES_MINOR.value))),
        Field::modelled("nodePools", Kind::List(&Kind::Map(&MACHINE_POOL)))
            .doc("Its machines; Node objects among the manifests replace them."),
        Field::modelled("provisioner", Kind::Map(&PROVISIONER))
            .doc("What orders machines of the pools with a `max`."),
        Field::modelled("dns", Kind::Map(&super::dns::DNS)).doc("Its DNS."),
        Field::modelled("kubeProxy", Kind::Map(&super::service_rules::KUBE_PROXY))
            .doc("What its kube-proxies write."),
        Field::modelled("istio", Kind::Map(&super::mesh::ISTIO)).doc("Its service mesh."),
        Field::modelled("manifests", TEXT_LIST)
            .doc("Files and folders of manifests, relative to the scenario's own folder."),
    ],
)
.doc("A Kubernetes cluster.");

static MACHINE_POOL: Shape = Shape::new(
    "MachinePool",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("The machines are called after it."),
        Field::modelled("count", Kind::Integer(0, NODES_MAX as i64))
            .doc("How many machines.")
            .default(|| json!(facts::NODE_COUNT.value)),
        MIN,
        MAX,
        BOOT,
        START_UP,
        PRICE,
        Field::approximated(
            "cpu",
            Kind::Format(&QUANTITY),
            "all of it counts as allocatable",
        )
        .doc("CPU of one machine.")
        .default(|| json!(format!("{}m", facts::NODE_CPU_MILLI.value))),
        Field::approximated(
            "memory",
            Kind::Format(&QUANTITY),
            "all of it counts as allocatable",
        )
        .doc("Memory of one machine.")
        .default(|| json!(format!("{}Mi", facts::NODE_MEMORY_BYTES.value >> 20))),
        Field::modelled("maxPods", Kind::Integer(1, 100_000))
            .doc("Most pods on one machine.")
            .default(|| json!(facts::NODE_PODS_MAX.value)),
        Field::modelled("zones", TEXT_LIST)
            .doc("Zones that the machines are spread over; all of the cluster's by default."),
        Field::modelled("labels", TEXT_MAP).doc("Labels of every machine."),
        Field::modelled("taints", Kind::List(&Kind::Format(&TAINT)))
            .doc("Taints of every machine."),
    ],
)
.doc("Equal machines.");

/// What is said about a cluster, before its manifests are read.
#[derive(Clone, Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) frame: Frame,
    /// Files and folders, and where they are named.
    pub(crate) manifests: Vec<(String, Span)>,
    pub(crate) span: Span,
}

/// The clusters of a Scenario, sorted by name: at least one.
pub(super) fn read(spec: &Node, ideal: bool, reader: &mut Reader<'_>) -> Vec<ClusterPlan> {
    let shared = paths(spec);
    let mut plans: Vec<_> = spec
        .list("clusters")
        .iter()
        .map(|node| cluster(node, &shared, ideal, reader))
        .collect();
    if plans.is_empty() {
        let mut plan = the_default(ideal, spec.span, reader);
        plan.manifests = shared;
        plans.push(plan);
    }
    plans.sort_by(|left, right| left.frame.name.cmp(&right.frame.name));
    reader.unique(
        "clusters",
        plans
            .iter()
            .map(|plan| (plan.frame.name.as_str(), plan.span)),
    );
    plans
}

/// The cluster of somebody who did not say anything about clusters.
pub(crate) fn the_default(ideal: bool, span: Span, reader: &mut Reader<'_>) -> ClusterPlan {
    let zones = default_zones();
    let frame = Frame {
        name: "cluster".to_owned(),
        region: reader.fact(&facts::REGION).to_owned(),
        kubernetes_minor: reader.fact(&facts::KUBERNETES_MINOR),
        nodes: default_nodes(&zones, ideal, reader),
        zones,
        provisioner: None,
        dns: ClusterDns::default(),
        kube_proxy: Overrides::default(),
        mesh: None,
        sites: Vec::new(),
        machines: Vec::new(),
    };
    ClusterPlan {
        frame,
        manifests: Vec::new(),
        span,
    }
}

/// Paths under `manifests` and where they are written.
fn paths(node: &Node) -> Vec<(String, Span)> {
    node.list("manifests")
        .iter()
        .filter_map(|path| Some((path.str()?.to_owned(), path.span)))
        .collect()
}

fn cluster(
    node: &Node,
    shared: &[(String, Span)],
    ideal: bool,
    reader: &mut Reader<'_>,
) -> ClusterPlan {
    let region = match named(node, "region") {
        Some((region, span)) => {
            super::traffic::note_unknown_region(region, span, reader);
            region.to_owned()
        }
        None => reader.fact(&facts::REGION).to_owned(),
    };
    let minor = forms::read(node.get("kubernetes"), forms::parse_kubernetes_minor)
        .unwrap_or_else(|| reader.fact(&facts::KUBERNETES_MINOR));
    check_version(minor, node, reader);
    let mut zones: Vec<String> = strings(node, "zones");
    if zones.is_empty() {
        zones = default_zones();
    }
    reader.unique("zones", zones.iter().map(|zone| (zone.as_str(), node.span)));
    // The machines of a pool stand together, in the order of the pools' names.
    let mut pools: Vec<&Node> = node.list("nodePools").iter().collect();
    pools.sort_by_key(|pool| forms::text(pool, "name"));
    let mut nodes: Vec<Machine> = Vec::new();
    let mut ranges = Vec::new();
    for pool in pools {
        let first = nodes.len() as u32;
        nodes.extend(machines(pool, &zones, reader));
        ranges.push((pool, first..nodes.len() as u32));
        if nodes.len() > NODES_MAX {
            nodes.truncate(NODES_MAX);
            let message = format!("a cluster has at most {NODES_MAX} nodes");
            reader
                .diagnostics
                .report(Code::OverBudget, pool.span, message)
                .help("lower the `count` of its pools");
            break;
        }
    }
    let provisioner = provisioner::read(node, &ranges, reader);
    reader.unique(
        "nodes",
        nodes
            .iter()
            .map(|machine| (machine.name.as_str(), node.span)),
    );
    if nodes.is_empty() && node.get("nodePools").is_none() {
        nodes = default_nodes(&zones, ideal, reader);
    }
    let dns = super::dns::read(node.get("dns"), reader);
    let kube_proxy = super::service_rules::read(node.get("kubeProxy"));
    let mesh = super::mesh::read(node.get("istio"), reader).filter(|_| !ideal);
    let frame = Frame {
        name: forms::text(node, "name").unwrap_or_default().to_owned(),
        region,
        kubernetes_minor: minor,
        nodes,
        zones,
        provisioner,
        dns,
        kube_proxy,
        mesh,
        sites: Vec::new(),
        machines: Vec::new(),
    };
    ClusterPlan {
        frame,
        manifests: shared.iter().cloned().chain(paths(node)).collect(),
        span: node.get("name").map_or(node.span, |name| name.span),
    }
}

/// Versions whose changes are modelled.
const KUBERNETES_MINORS: std::ops::RangeInclusive<u32> = 28..=36;

fn check_version(minor: u32, node: &Node, reader: &mut Reader<'_>) {
    if KUBERNETES_MINORS.contains(&minor) {
        return;
    }
    let (oldest, newest) = (KUBERNETES_MINORS.start(), KUBERNETES_MINORS.end());
    let nearest = minor.clamp(*oldest, *newest);
    let message = format!("what is special about Kubernetes 1.{minor} is not known");
    let span = node.get("kubernetes").map_or(node.span, |node| node.span);
    reader
        .diagnostics
        .report(Code::UnknownVersion, span, message)
        .help(format!(
            "1.{oldest} to 1.{newest} are known; it is taken to behave as 1.{nearest}"
        ));
}

fn default_zones() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}

/// Machines of a cluster that describes none; an ideal network needs none.
fn default_nodes(zones: &[String], ideal: bool, reader: &mut Reader<'_>) -> Vec<Machine> {
    if ideal {
        return Vec::new();
    }
    let resources = Resources {
        cpu_milli: reader.fact(&facts::NODE_CPU_MILLI),
        memory_bytes: reader.fact(&facts::NODE_MEMORY_BYTES),
    };
    let (count, pods_max) = (
        reader.fact(&facts::NODE_COUNT),
        reader.fact(&facts::NODE_PODS_MAX),
    );
    let pool = Pool {
        name: "node",
        count,
        resources,
        pods_max,
        zones: (0..zones.len()).map(ZoneId::from).collect(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
    };
    pool.machines()
}

/// Equal machines, spread over zones in turn.
struct Pool<'a> {
    name: &'a str,
    count: u32,
    resources: Resources,
    pods_max: u32,
    zones: Vec<ZoneId>,
    labels: BTreeMap<String, String>,
    taints: Vec<cloud::scenario::Taint>,
}

impl Pool<'_> {
    fn machines(&self) -> Vec<Machine> {
        // Numbers of equal length, so that the order by name is the order of numbers.
        let width = self.count.to_string().len();
        (0..self.count)
            .map(|number| Machine {
                name: format!("{}-{:0width$}", self.name, number + 1),
                zone: self.zones[number as usize % self.zones.len()],
                allocatable: self.resources,
                pods_max: self.pods_max,
                labels: self.labels.clone(),
                taints: self.taints.clone(),
                unschedulable: false,
            })
            .collect()
    }
}

fn machines(node: &Node, zones: &[String], reader: &mut Reader<'_>) -> Vec<Machine> {
    let mut chosen = Vec::new();
    for zone in node.list("zones") {
        let name = zone.str().unwrap_or_default();
        match zones.iter().position(|known| known == name) {
            Some(position) => chosen.push(ZoneId::from(position)),
            None => {
                let message = format!("the cluster has no zone `{name}`");
                let known = zones.iter().map(String::as_str);
                reader.unknown(Code::UnknownPlace, zone.span, message, known);
            }
        }
    }
    if chosen.is_empty() {
        chosen = (0..zones.len()).map(ZoneId::from).collect();
    }
    let cpu_milli = forms::read(node.get("cpu"), parse_quantity)
        .map_or_else(|| reader.fact(&facts::NODE_CPU_MILLI), |cpu| cpu.milli());
    let memory_bytes = forms::read(node.get("memory"), parse_quantity).map_or_else(
        || reader.fact(&facts::NODE_MEMORY_BYTES),
        |memory| memory.whole(),
    );
    let taints = node.list("taints").iter();
    let pool = Pool {
        name: forms::text(node, "name").unwrap_or("node"),
        count: provisioner::counts(node, reader).1,
        resources: Resources {
            cpu_milli,
            memory_bytes,
        },
        pods_max: forms::count(node, "maxPods")
            .unwrap_or_else(|| reader.fact(&facts::NODE_PODS_MAX)),
        zones: chosen,
        labels: crate::kubernetes::metadata::text_map(node.get("labels")),
        taints: taints
            .filter_map(|taint| forms::read(Some(taint), forms::parse_taint))
            .collect(),
    };
    pool.machines()
}

/// The strings of a list under a key.
pub(super) fn strings(node: &Node, key: &str) -> Vec<String> {
    node.list(key)
        .iter()
        .filter_map(|item| item.str().map(str::to_owned))
        .collect()
}
