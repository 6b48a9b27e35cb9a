//! `dns` of a cluster: CoreDNS, and how programs ask it.

use super::forms;
use super::reader::Reader;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use crate::value::{DURATION, QUANTITY, parse_quantity};
use cloud::facts;
use cloud::scenario::{ClusterDns, NameForm};
use serde_json::json;

/// How a name may be written, with what that stands for.
const NAMES: [(&str, NameForm); 5] = [
    ("short", NameForm::Short),
    ("namespaced", NameForm::Namespaced),
    ("svc", NameForm::Svc),
    ("full", NameForm::Full),
    ("absolute", NameForm::Absolute),
];

pub(super) static DNS: Shape = Shape::new(
    "ClusterDns",
    &[
        Field::modelled("replicas", Kind::Integer(1, 1_000))
            .doc("How many instances of CoreDNS.")
            .default(|| json!(facts::COREDNS_REPLICAS.value)),
        Field::modelled("cpu", Kind::Format(&QUANTITY))
            .doc("CPU of one instance: what bounds its questions per second.")
            .default(|| json!(format!("{}m", facts::COREDNS_CPU_MILLI.value))),
        Field::modelled("memory", Kind::Format(&QUANTITY))
            .doc("Memory limit of one instance; above it, it is killed and starts again.")
            .default(|| json!(format!("{}Mi", facts::COREDNS_MEMORY_BYTES.value >> 20))),
        Field::modelled("ttl", Kind::Format(&DURATION))
            .doc("How long programs use an answer; `0s` where they ask for every connection.")
            .default(|| json!(format!("{}s", facts::CLUSTER_DNS_TTL.value.as_secs_f64()))),
        Field::modelled(
            "names",
            Kind::OneOf(&["short", "namespaced", "svc", "full", "absolute"]),
        )
        .doc("How programs write a service: `web`, `web.shop`, `web.shop.svc`, `web.shop.svc.cluster.local`, or the last with a dot at its end. Decides how many names a lookup asks for.")
        .default(|| json!("short")),
        Field::modelled("nodeDomains", Kind::Integer(0, 6))
            .doc("Domains of the nodes' own in the search list of pods.")
            .default(|| json!(0)),
    ],
)
.doc("The cluster's DNS, and how programs use it.");

/// Reads `dns`, or takes what holds without it.
pub(super) fn read(node: Option<&Node>, reader: &mut Reader<'_>) -> ClusterDns {
    let count = |key| node.and_then(|node| forms::count(node, key));
    let quantity = |key| forms::read(node.and_then(|node| node.get(key)), parse_quantity);
    let named = node.and_then(|node| forms::text(node, "names"));
    let form = NAMES.iter().find(|(name, _)| Some(*name) == named);
    ClusterDns {
        replicas: count("replicas").unwrap_or_else(|| reader.fact(&facts::COREDNS_REPLICAS)),
        cpu_milli: quantity("cpu").map_or_else(
            || reader.fact(&facts::COREDNS_CPU_MILLI),
            |cpu| cpu.milli().max(1),
        ),
        memory_bytes: quantity("memory").map_or_else(
            || reader.fact(&facts::COREDNS_MEMORY_BYTES),
            |memory| memory.whole(),
        ),
        ttl: node
            .and_then(|node| forms::duration(node, "ttl"))
            .unwrap_or_else(|| reader.fact(&facts::CLUSTER_DNS_TTL)),
        names: form.map(|(_, form)| *form).unwrap_or_default(),
        node_domains: count("nodeDomains").unwrap_or(0),
    }
}
