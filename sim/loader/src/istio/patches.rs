//! EnvoyFilters that change what istiod writes, as far as that is simulated: limits and the
//! connect timeout of clusters, how long streams may take, and routes (`route_patches.rs`).
//!
//! Models: `MERGE` and `MERGE_AND_REPLACE_LIST` of CLUSTER, `MERGE` of the HTTP connection manager
//! in all listeners of a context. A MERGE adds to lists: thresholds that it adds to those that
//! istiod has written are never looked at, since Envoy takes the first for a priority; that is told.
//! Leaves out: patches of single listeners and of everything else, which is told; how long a request
//! may take to come, since requests come in one piece.
//! Sources: istio/istio pilot/pkg/networking/core/envoyfilter, pkg/proto/merge;
//! envoyproxy/envoy api/envoy/config/cluster/v3/circuit_breaker.proto.
//! Validated by: manifests, and requests under them.

use super::forms::{Scope, count, duration, string};
use crate::diagnostic::Code;
use crate::tree::Node;
use cloud::istio::config::{
    ClusterMatch, ClusterPatch, EnvoyPatch, PatchChange, PatchContext, PatchedLimits, StreamLimits,
};

/// What is read of a patch.
pub(super) struct Read {
    /// What acts of it.
    pub(super) patch: Option<EnvoyPatch>,
    /// Whether that is all that it says.
    pub(super) is_all: bool,
}

/// Names of Envoy's HTTP connection manager.
const MANAGERS: [&str; 2] = [
    "envoy.filters.network.http_connection_manager",
    "envoy.http_connection_manager",
];

/// A field by its name in Envoy's files, or as JSON writes it.
pub(super) fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    node.get(name).or_else(|| node.get(&written_in_json(name)))
}

fn written_in_json(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let (head, tail) = part.split_at(1.min(part.len()));
        all + &head.to_uppercase() + tail
    })
}

/// Whether a node says nothing but these.
pub(super) fn says_only(node: &Node, names: &[&str]) -> bool {
    let is_known = |key: &str| {
        let mut names = names.iter();
        names.any(|name| *name == key || written_in_json(name) == key)
    };
    node.entries().iter().all(|entry| is_known(&entry.key))
}

pub(super) fn timeout(node: &Node, name: &str) -> Option<engine::Duration> {
    duration(node, name).or_else(|| duration(node, &written_in_json(name)))
}

pub(super) fn context(node: &Node) -> Option<PatchContext> {
    Some(match node.at(&["match", "context"]).and_then(Node::str) {
        None | Some("ANY") => PatchContext::Any,
        Some("SIDECAR_INBOUND") => PatchContext::SidecarInbound,
        Some("SIDECAR_OUTBOUND") => PatchContext::SidecarOutbound,
        Some("GATEWAY") => PatchContext::Gateway,
        Some(_) => return None,
    })
}

/// A patch of clusters; `None` if nothing of it is simulated.
pub(super) fn clusters(node: &Node, scope: &mut Scope<'_>) -> Option<Read> {
    let operation = node.at(&["patch", "operation"]).and_then(Node::str)?;
    let replaces = match operation {
        "MERGE" => false,
        "MERGE_AND_REPLACE_LIST" => true,
        _ => return None,
    };
    let value = node.at(&["patch", "value"])?;
    let context = context(node)?;
    let matches = match node.at(&["match", "cluster"]) {
        None => ClusterMatch::default(),
        Some(said) => ClusterMatch {
            name: string(said, "name").filter(|name| !name.is_empty()),
            service: string(said, "service").filter(|service| !service.is_empty()),
            port: count(said, "portNumber").and_then(|port| u16::try_from(port).ok()),
            subset: string(said, "subset").filter(|subset| !subset.is_empty()),
        },
    };
    let breakers = field(value, "circuit_breakers");
    if !replaces && breakers.is_some() {
        let message =
            "MERGE adds thresholds behind those that istiod writes, and Envoy takes the first";
        scope
            .diagnostics
            .report(Code::PatchWithoutEffect, node.span, message)
            .help("set them in the `connectionPool` of a DestinationRule, or use MERGE_AND_REPLACE_LIST of Istio 1.31");
    }
    let limits = breakers.filter(|_| replaces).and_then(limits);
    let connect_timeout = timeout(value, "connect_timeout");
    let change = ClusterPatch {
        connect_timeout,
        limits,
    };
    if change == ClusterPatch::default() && breakers.is_none() {
        return None;
    }
    Some(Read {
        patch: (change != ClusterPatch::default()).then_some(EnvoyPatch {
            context,
            change: PatchChange::Clusters(matches, change),
        }),
        is_all: says_only(value, &["connect_timeout", "circuit_breakers", "name"]),
    })
}

/// The first thresholds for requests of the usual priority.
fn limits(breakers: &Node) -> Option<PatchedLimits> {
    let mut thresholds = breakers.list("thresholds").iter();
    let is_usual = |node: &&Node| {
        let priority = node.get("priority").and_then(Node::str);
        matches!(priority, None | Some("DEFAULT"))
    };
    let first = thresholds.find(is_usual)?;
    let limit = |name: &str| count(first, name).or_else(|| count(first, &written_in_json(name)));
    Some(PatchedLimits {
        connections: limit("max_connections"),
        pending: limit("max_pending_requests"),
        requests: limit("max_requests"),
        retries: limit("max_retries"),
    })
}

/// A patch of the HTTP connection manager; `None` if nothing of it is simulated.
pub(super) fn streams(node: &Node, scope: &mut Scope<'_>) -> Option<Read> {
    let merges = node.at(&["patch", "operation"]).and_then(Node::str) == Some("MERGE");
    let listener = node.at(&["match", "listener"]);
    let filter = listener.and_then(|it| it.at(&["filterChain", "filter", "name"]));
    let is_manager = filter
        .and_then(Node::str)
        .is_some_and(|name| MANAGERS.contains(&name));
    let chain = listener.and_then(|it| it.get("filterChain"));
    let is_any = listener.is_some_and(|it| says_only(it, &["filter_chain"]))
        && chain.is_some_and(|it| says_only(it, &["filter"]));
    if !merges || !is_manager || !is_any {
        return None;
    }
    let said = field(node.at(&["patch", "value"])?, "typed_config")?;
    let common = field(said, "common_http_protocol_options");
    let limits = StreamLimits {
        idle: timeout(said, "stream_idle_timeout"),
        lasting: common.and_then(|common| timeout(common, "max_stream_duration")),
    };
    let until_it_is_there = ["request_timeout", "request_headers_timeout"];
    let mut without_effect = until_it_is_there.iter();
    let says_something = limits != StreamLimits::default();
    if !says_something && !without_effect.any(|name| field(said, name).is_some()) {
        return None;
    }
    let known = [
        "@type",
        "stream_idle_timeout",
        "common_http_protocol_options",
        "request_timeout",
        "request_headers_timeout",
    ];
    let context = context(node)?;
    if context == PatchContext::SidecarInbound && limits.lasting.is_some() {
        let message = "routes that istiod writes for what sidecars take in say that streams may last, \
                       which counts before `max_stream_duration` of their listener";
        scope
            .diagnostics
            .report(Code::PatchWithoutEffect, node.span, message)
            .help(
                "merge `route.max_stream_duration` into HTTP_ROUTE of the context SIDECAR_INBOUND",
            );
    }
    Some(Read {
        patch: says_something.then_some(EnvoyPatch {
            context,
            change: PatchChange::Streams(limits),
        }),
        is_all: says_only(said, &known)
            && common.is_none_or(|common| says_only(common, &["max_stream_duration"])),
    })
}
