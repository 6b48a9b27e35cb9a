//! `sites` and `machines`: what stands outside of clusters and is asked from inside, or asks.

use super::behavior::{
    ASYNCHRONOUS, CALLS, CPU_FIELD, ERROR_RATE, QUEUE, RESPONSE_SIZE, SERVICE_TIME, WORKERS_FIELD,
};
use super::clusters::ClusterPlan;
use super::forms;
use super::names::named;
use super::reader::Reader;
use crate::assembly::MachineFrame;
use crate::diagnostic::Code;
use crate::shape::{Field, Format, Kind, Shape, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{MachineProxy, Site, SiteId};
use serde_json::json;
use std::net::Ipv4Addr;

pub(super) static SITE: Shape = Shape::new(
    "Site",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Unique among sites; links and faults call it so."),
        Field::modelled("region", Kind::Text)
            .doc("Where it lies, as of a cluster; decides the distance.")
            .default(|| json!(facts::REGION.value)),
    ],
)
.doc("A place outside of the clusters where machines stand.");

static ADDRESS: Format = Format {
    name: "an IPv4 address",
    examples: "`10.20.0.11`",
    pattern: r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$",
    check: |text| {
        let parsed: Result<Ipv4Addr, _> = text.parse();
        parsed.map(drop).map_err(|_| "it is none".to_owned())
    },
};

pub(super) static MACHINES: Shape = Shape::new(
    "Machines",
    &[
        Field::modelled("site", Kind::Text)
            .required()
            .doc("Where they stand."),
        Field::modelled("address", Kind::Format(&ADDRESS))
            .required()
            .doc("Address of the first; the others follow it one by one."),
        Field::modelled("count", Kind::Integer(1, 10_000))
            .doc("How many.")
            .default(|| json!(1)),
        Field::modelled("cluster", Kind::Text)
            .doc("The cluster that they have to do with; the only one by default."),
        Field::modelled("namespace", Kind::Text)
            .doc("The namespace that they belong to in the mesh.")
            .default(|| json!("default")),
        Field::modelled("labels", TEXT_MAP).doc("Labels that their proxy brings along."),
        Field::modelled("serviceAccount", Kind::Text)
            .doc("Whom the certificates of their proxy name.")
            .default(|| json!(facts::SERVICE_ACCOUNT.value)),
        Field::modelled("host", Kind::Text)
            .doc("A name that name servers outside of clusters answer with their addresses."),
        Field::modelled("ports", Kind::List(&Kind::Integer(1, 65_535)))
            .doc("Where they are asked by their `host`, unless a ServiceEntry says it; where it is given they refuse connections to other ports.")
            .default(|| json!([80])),
        Field::modelled("proxy", Kind::Map(&PROXY))
            .doc("Istio's proxy on them; they have none by default."),
        SERVICE_TIME,
        WORKERS_FIELD,
        CPU_FIELD,
        QUEUE,
        CALLS,
        ERROR_RATE,
        RESPONSE_SIZE,
        ASYNCHRONOUS,
    ],
)
.doc("Equal machines of a site: a legacy service, a database, a service of somebody else.");

static PROXY: Shape = Shape::new(
    "MachineProxy",
    &[
        Field::modelled("workloadGroup", Kind::Text).doc(
            "The WorkloadGroup of their namespace that they register with; without it only a WorkloadEntry tells of them.",
        ),
        Field::modelled("joined", Kind::Bool)
            .doc("Whether it runs from the start, rather than from a `join` on the timeline on.")
            .default(|| json!(true)),
    ],
)
.doc("Istio's proxy on machines.");

/// Sites, the same for every cluster.
pub(super) fn sites(spec: &Node, reader: &mut Reader<'_>) -> Vec<Site> {
    let mut places = Vec::new();
    let mut sites = Vec::new();
    for node in spec.list("sites") {
        let Some((name, span)) = named(node, "name") else {
            continue;
        };
        let region = match named(node, "region") {
            Some((region, span)) => {
                super::traffic::note_unknown_region(region, span, reader);
                region.to_owned()
            }
            None => reader.fact(&facts::REGION).to_owned(),
        };
        places.push((name, span));
        sites.push(Site {
            name: name.to_owned(),
            region,
        });
    }
    reader.unique("sites", places.into_iter());
    sites
}

/// Name, description and place of the machines.
pub(super) fn entries(spec: &Node) -> impl Iterator<Item = (&str, &Node, Span)> {
    let all = spec.get("machines").map_or(&[][..], Node::entries);
    all.iter()
        .map(|entry| (entry.key.as_str(), &entry.value, entry.key_span))
}

/// Gives each cluster the sites and its machines.
pub(super) fn add(spec: &Node, plans: &mut [ClusterPlan], reader: &mut Reader<'_>) {
    let sites = sites(spec, reader);
    for plan in plans.iter_mut() {
        plan.frame.sites.clone_from(&sites);
    }
    let mut taken: Vec<(Ipv4Addr, u32, &str)> = Vec::new();
    for (name, node, span) in entries(spec) {
        super::workloads::check_name(name, span, reader);
        let Some(position) = cluster_of(node, span, plans, reader) else {
            continue;
        };
        let Some(machines) = machines(name, node, span, &sites, reader) else {
            continue;
        };
        let first = u32::from(machines.address);
        let overlaps = |(other, count, _): &&(Ipv4Addr, u32, &str)| {
            let other = u32::from(*other);
            first < other.saturating_add(*count) && other < first.saturating_add(machines.count)
        };
        if let Some((_, _, other)) = taken.iter().find(overlaps) {
            let message = format!("`{name}` and `{other}` share addresses");
            reader
                .diagnostics
                .report(Code::Conflict, span, message)
                .help("each machine has an address of its own, counted on from `address`");
        }
        taken.push((machines.address, machines.count, name));
        let plan = &mut plans[position];
        if machines.proxy.is_some() && plan.frame.mesh.is_none() {
            let message = format!("`{name}` has a proxy, and its cluster no mesh to join");
            reader
                .diagnostics
                .report(Code::Conflict, span, message)
                .help("give the cluster `istio: {}`, or leave `proxy` out");
            continue;
        }
        plan.frame.machines.push(machines);
    }
}

fn cluster_of(
    node: &Node,
    span: Span,
    plans: &[ClusterPlan],
    reader: &mut Reader<'_>,
) -> Option<usize> {
    let Some((name, at)) = named(node, "cluster") else {
        if plans.len() == 1 {
            return Some(0);
        }
        let message = "which cluster the machines have to do with is not said";
        reader
            .diagnostics
            .report(Code::AmbiguousName, span, message)
            .help("add `cluster:`");
        return None;
    };
    let position = plans.iter().position(|plan| plan.frame.name == name);
    if position.is_none() {
        let message = format!("there is no cluster `{name}`");
        let known = plans.iter().map(|plan| plan.frame.name.as_str());
        reader.unknown(Code::UnknownCluster, at, message, known);
    }
    position
}

fn machines(
    name: &str,
    node: &Node,
    span: Span,
    sites: &[Site],
    reader: &mut Reader<'_>,
) -> Option<MachineFrame> {
    let (site, at) = named(node, "site")?;
    let Some(position) = sites.iter().position(|known| known.name == site) else {
        let message = format!("there is no site `{site}`");
        let known = sites.iter().map(|site| site.name.as_str());
        reader.unknown(Code::UnknownPlace, at, message, known);
        return None;
    };
    let namespace = forms::text(node, "namespace").unwrap_or("default");
    let ports = node.list("ports").iter().filter_map(Node::integer);
    let ports: Vec<u16> = ports.filter_map(|port| u16::try_from(port).ok()).collect();
    let proxy = node.get("proxy").map(|proxy| MachineProxy {
        group: forms::text(proxy, "workloadGroup")
            .map(|group| (namespace.to_owned(), group.to_owned())),
        runs_at_start: proxy.get("joined").and_then(Node::bool).unwrap_or(true),
    });
    Some(MachineFrame {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        site: SiteId::from(position),
        address: forms::text(node, "address")?.parse().ok()?,
        count: forms::count(node, "count").unwrap_or(1),
        labels: crate::kubernetes::metadata::text_map(node.get("labels")),
        service_account: forms::text(node, "serviceAccount").map(str::to_owned),
        host: forms::text(node, "host").map(str::to_lowercase),
        names_ports: !ports.is_empty(),
        ports: if ports.is_empty() { vec![80] } else { ports },
        proxy,
        span,
    })
}
