//! `workloads`: services that are declared inline, without a manifest.

use super::behavior::{
    ASYNCHRONOUS, CALLS, CPU_FIELD, ERROR_RATE, QUEUE, RESPONSE_SIZE, SERVICE_TIME, WORKERS_FIELD,
};
use super::clusters::ClusterPlan;
use super::forms;
use super::reader::Reader;
use crate::assembly::Inline;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use crate::value::{DURATION, QUANTITY, parse_quantity};
use cloud::facts;
use cloud::scenario::{Balance, Resources, ServiceKind};
use serde_json::json;

pub(super) static WORKLOAD: Shape = Shape::new(
    "Workload",
    &[
        Field::modelled("replicas", Kind::Integer(0, 1_000_000))
            .doc("How many pods.")
            .default(|| json!(facts::REPLICAS.value)),
        SERVICE_TIME,
        WORKERS_FIELD,
        CPU_FIELD,
        QUEUE,
        Field::modelled(
            "balance",
            Kind::Either(&[
                Kind::OneOf(&["random", "round-robin", "least-request", "shortest-queue"]),
                Kind::Map(&BALANCE),
            ]),
        )
        .doc("How requests are spread over the pods under `network: ideal`; kube-proxy draws at random.")
        .default(|| json!("random")),
        CALLS,
        ERROR_RATE,
        RESPONSE_SIZE,
        ASYNCHRONOUS,
        Field::modelled("startUp", Kind::Format(&DURATION))
            .doc("From being bound to a node to being ready.")
            .default(|| json!(forms::show_duration(facts::POD_START_UP.value))),
        Field::modelled("requests", Kind::Map(&REQUESTS))
            .doc("What each pod requests from its node; nothing by default."),
        Field::modelled("cluster", Kind::Text).doc("In which cluster; in every one by default."),
    ],
)
.doc("Equal pods behind a service of the same name, on port 80 in namespace `default`.");

static BALANCE: Shape = Shape::choice(
    "Balance",
    &[Field::modelled("least-request", Kind::Map(&LEAST_REQUEST))
        .doc("The least loaded of some pods that are drawn at random.")],
)
.doc("A way to spread requests that has parameters.");

static LEAST_REQUEST: Shape = Shape::new(
    "LeastRequest",
    &[Field::modelled("choices", Kind::Integer(2, 1_000_000))
        .required()
        .doc("How many pods are drawn, with replacement.")
        .default(|| json!(facts::LEAST_REQUEST_CHOICES.value))],
);

static REQUESTS: Shape = Shape::new(
    "WorkloadRequests",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)).doc("CPU."),
        Field::modelled("memory", Kind::Format(&QUANTITY)).doc("Memory."),
    ],
);

/// The inline workloads of one cluster, by name.
pub(super) fn of_cluster(
    spec: &Node,
    plan: &ClusterPlan,
    ideal: bool,
    reader: &mut Reader<'_>,
) -> Vec<Inline> {
    let mut inline: Vec<_> = entries(spec)
        .filter(|(_, node, _)| {
            forms::text(node, "cluster").is_none_or(|name| name == plan.frame.name)
        })
        .map(|(name, node, span)| {
            check_name(name, span, reader);
            let requests = node.get("requests");
            let quantity = |key| forms::read(requests?.get(key), parse_quantity);
            Inline {
                name: name.to_owned(),
                replicas: forms::count(node, "replicas")
                    .unwrap_or_else(|| reader.fact(&facts::REPLICAS)),
                requests: Resources {
                    cpu_milli: quantity("cpu").map_or(0, |cpu| cpu.milli()),
                    memory_bytes: quantity("memory").map_or(0, |memory| memory.whole()),
                },
                balance: balance(node, reader),
                service: if ideal {
                    ServiceKind::ClusterIp
                } else {
                    ServiceKind::LoadBalancer
                },
                span,
            }
        })
        .collect();
    inline.sort_by(|left, right| left.name.cmp(&right.name));
    inline
}

/// Name, description and place of each inline workload.
pub(super) fn entries(spec: &Node) -> impl Iterator<Item = (&str, &Node, crate::source::Span)> {
    let all = spec.get("workloads").map_or(&[][..], Node::entries);
    all.iter()
        .map(|entry| (entry.key.as_str(), &entry.value, entry.key_span))
}

/// Reports inline workloads that are to be in a cluster that is not there.
pub(super) fn check_clusters(spec: &Node, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for (_, node, _) in entries(spec) {
        let Some(at) = node.get("cluster") else {
            continue;
        };
        let name = at.str().unwrap_or_default();
        if !plans.iter().any(|plan| plan.frame.name == name) {
            let message = format!("there is no cluster `{name}`");
            let known = plans.iter().map(|plan| plan.frame.name.as_str());
            reader.unknown(Code::UnknownCluster, at.span, message, known);
        }
    }
}

pub(super) fn check_name(name: &str, span: crate::source::Span, reader: &mut Reader<'_>) {
    let plain = name
        .bytes()
        .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-');
    if !plain || name.is_empty() || name.len() > 63 || name.starts_with('-') || name.ends_with('-')
    {
        let shown: String = name.chars().take(60).collect();
        let message = format!("`{shown}` cannot be the name of a workload");
        reader
            .diagnostics
            .report(Code::InvalidName, span, message)
            .help("use at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends");
    }
}

fn balance(node: &Node, reader: &mut Reader<'_>) -> Balance {
    let parameters = node
        .get("balance")
        .and_then(|node| node.get("least-request"));
    if let Some(choices) = parameters.and_then(|node| forms::count(node, "choices")) {
        return Balance::LeastRequest { choices };
    }
    match forms::text(node, "balance") {
        Some("round-robin") => Balance::RoundRobin,
        Some("least-request") => Balance::LeastRequest {
            choices: reader.fact(&facts::LEAST_REQUEST_CHOICES),
        },
        Some("shortest-queue") => Balance::ShortestQueue,
        _ => Balance::Random,
    }
}
