//! Routes of the Gateway API that istiod takes for VirtualServices: those whose parent is a Service
//! or a ServiceEntry (routes of the mesh, GAMMA), or a Gateway that it serves.
//!
//! Models: HTTPRoute and GRPCRoute with their matches, weights, timeouts, retries, mirrors,
//! rewrites, redirects and headers; one VirtualService per namespace, port and host, or per
//! listener and host, with the routes of the older object first and then the most specific first.
//! At Gateways backends of other namespaces need a ReferenceGrant (`grants.rs`). A reference that
//! istiod takes for a mistake, and not for something that is not there, costs the whole route.
//! Leaves out: filters by extension.
//! Sources: istio/istio pilot/pkg/config/kube/gateway/conversion.go and route_collections.go;
//! kubernetes-sigs/gateway-api v1.6, apis/v1.
//! Validated by: the routes of Bookinfo for the Gateway API, and cases that follow from the
//! rules, in `tests/promises/istio_routes.rs`.

mod attach;
mod connections;
mod head;

pub(super) use attach::{Known, merge, report_idle};
pub(super) use connections::{ConnectionRoute, read as read_connections};

use super::api_gateway::Served;
use super::filters;
use super::forms::{Scope, duration, string};
use super::grants::Reference;
use super::parents::{self, ParentKind};
use crate::diagnostic::Code;
use crate::document::Document;
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Destination, HttpAction, HttpDestination, HttpMatch, HttpRoute, Identity, Retries, RetryOn,
    StringMatch, Target, UriMatch, ValueMatch,
};
use cloud::istio::host;
use engine::Duration;
use head::Head;
use std::collections::BTreeMap;

/// A route, before those for one host are put together.
#[derive(Clone, Debug)]
pub struct MeshRoute {
    head: Head,
    rules: Vec<Rule>,
}

/// What a route belongs to: a Service or ServiceEntry, whose clients take it, or something with
/// listeners.
#[derive(Clone, Debug)]
struct Parent {
    kind: ParentKind,
    namespace: String,
    name: String,
    port: Option<u16>,
    /// The only listener of a Gateway or ListenerSet.
    listener: Option<String>,
    span: Span,
}

/// One route for each of its matches.
#[derive(Clone, Debug)]
struct Rule {
    route: HttpRoute,
    matches: Vec<HttpMatch>,
    /// As Gateways take it, where other namespaces do not grant all that it names.
    granted: Option<HttpRoute>,
    backends: Vec<Backend>,
    /// Backends of its mirrors.
    mirrored: Vec<Backend>,
    /// Whether istiod leaves its route out because of a filter.
    is_refused: bool,
}

/// Where a backend is written, and what it names of another namespace.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    span: Span,
    away: Option<Reference>,
    /// Whether istiod leaves its route out because of it, once it may be named.
    is_refused: bool,
}

impl Backend {
    pub(super) fn of(node: &Node, own: &str, found: &Found) -> Backend {
        Backend {
            span: node.span,
            away: Reference::away(node, "Service", own),
            is_refused: matches!(found, Found::Refused),
        }
    }
}

/// Reads a checked HTTPRoute or GRPCRoute, if any of its parents is istiod's.
pub(super) fn read(
    document: &Document,
    served: &Served,
    scope: &mut Scope<'_>,
) -> Option<MeshRoute> {
    let head = Head::read(document, served, scope)?;
    let is_grpc = head.is_grpc();
    let rules = document.spec().list("rules").iter().enumerate();
    let rules = rules.map(|(position, node)| rule(node, position, &head.identity, is_grpc, scope));
    Some(MeshRoute {
        rules: rules.collect(),
        head,
    })
}

fn parent(
    node: &Node,
    route: &'static str,
    served: &Served,
    scope: &mut Scope<'_>,
) -> Option<Parent> {
    let namespace = string(node, "namespace").unwrap_or_else(|| scope.namespace.clone());
    let name = string(node, "name").unwrap_or_default();
    let kind = match ParentKind::of(node) {
        Some(ParentKind::Gateway) if served.has(&namespace, &name) => ParentKind::Gateway,
        // Gateways of other classes take these.
        Some(ParentKind::Gateway) if route == "HTTPRoute" => return None,
        Some(ParentKind::Gateway) => {
            let message =
                format!("a {route} acts on clients in the mesh, and at gateways of Istio");
            let found = scope
                .diagnostics
                .report(Code::UnsupportedValue, node.span, message);
            found.help("write an HTTPRoute for the gateway: those of other classes route HTTP");
            return None;
        }
        Some(kind) => kind,
        None => {
            let (message, help) = parents::unknown(node);
            let found = scope
                .diagnostics
                .report(Code::GatewayNotFound, node.span, message);
            found.help(help);
            return None;
        }
    };
    Some(Parent {
        kind,
        namespace,
        name,
        port: scope.port(node.get("port")),
        listener: string(node, "sectionName"),
        span: node.span,
    })
}

fn rule(
    node: &Node,
    position: usize,
    identity: &Identity,
    is_grpc: bool,
    scope: &mut Scope<'_>,
) -> Rule {
    let name = string(node, "name")
        .unwrap_or_else(|| format!("{}.{}.{position}", identity.namespace, identity.name));
    let said = node.list("matches").iter();
    let mut matches: Vec<HttpMatch> = said
        .map(|node| {
            if is_grpc {
                grpc_match(node)
            } else {
                http_match(node)
            }
        })
        .collect();
    if matches.is_empty() && !is_grpc {
        // The API server writes the default match down.
        matches.push(HttpMatch {
            uri: Some(UriMatch::Below(String::new())),
            ..HttpMatch::default()
        });
    }
    let mut backends = Vec::new();
    let filters = filters::read(node, scope);
    // Of an HTTPRoute istiod drops no more than the mirror.
    let mut is_refused = filters.is_refused || (is_grpc && filters.loses_mirror);
    let action = match filters.redirect {
        Some(redirect) => HttpAction::Redirect(redirect),
        None => {
            let forwarded: Vec<_> = node
                .list("backendRefs")
                .iter()
                .filter(|node| weight(node) > 0)
                .map(|node| {
                    let found = reference(node, ANSWERED, scope);
                    backends.push(Backend::of(node, &scope.namespace, &found));
                    let headers = filters::of_backend(node, scope);
                    is_refused |= headers.is_none();
                    HttpDestination {
                        target: match found {
                            Found::Host(to) => Target::Host(to),
                            Found::Nowhere | Found::Refused => Target::Broken { status: 500 },
                        },
                        weight: weight(node),
                        headers: headers.unwrap_or_default(),
                    }
                })
                .collect();
            forward(forwarded)
        }
    };
    let retries = node.get("retry").map(retries);
    let mut route = HttpRoute {
        name: Some(name),
        rewrite: filters.rewrite,
        mirrors: filters.mirrors,
        headers: filters.headers,
        answers_preflights: filters.answers_preflights,
        retries,
        ..HttpRoute::plain(Vec::new(), action)
    };
    set_timeouts(&mut route, node);
    Rule {
        route,
        matches,
        granted: None,
        backends,
        mirrored: filters.mirrored,
        is_refused,
    }
}

/// Without any weight above zero the API asks for an error.
fn forward(destinations: Vec<HttpDestination>) -> HttpAction {
    if destinations.is_empty() {
        HttpAction::Respond {
            status: 500,
            body_bytes: 0,
        }
    } else {
        HttpAction::Forward(destinations)
    }
}

fn set_timeouts(route: &mut HttpRoute, node: &Node) {
    let of = |key: &str| {
        node.get("timeouts")
            .and_then(|node| duration(node, key))
            .filter(|lasts: &Duration| !lasts.is_zero())
    };
    route.timeout = of("request");
    // That of one attempt counts for the whole where nothing is said of attempts.
    match (&mut route.retries, of("backendRequest")) {
        (_, None) => {}
        (Some(retries), lasts) => retries.per_try_timeout = lasts,
        (None, lasts) => route.timeout = lasts,
    }
}

fn retries(node: &Node) -> Retries {
    let codes = node.list("codes").iter().filter_map(Node::integer);
    let mut on = "connect-failure,refused-stream,unavailable,cancelled".to_owned();
    for code in codes {
        on.push_str(&format!(",{code}"));
    }
    let attempts = node.get("attempts").and_then(Node::integer);
    let attempts = attempts.and_then(|attempts| u32::try_from(attempts).ok());
    let attempts = attempts.unwrap_or(facts::ISTIO_RETRIES.value);
    Retries {
        attempts,
        per_try_timeout: None,
        retry_on: (attempts > 0).then(|| RetryOn::of(&on)),
        remote_localities: None,
        ignore_previous_hosts: None,
        backoff: duration(node, "backoff"),
    }
}

fn weight(node: &Node) -> u32 {
    let weight = node.get("weight").and_then(Node::integer);
    weight.map_or(1, |weight| u32::try_from(weight).unwrap_or(0))
}

/// What becomes of a mirror that leads nowhere.
pub(super) const NO_COPIES: &str =
    "no copies are sent, and a GRPCRoute is left out as a whole for it";

/// What becomes of requests to a backend that leads nowhere.
pub(super) const ANSWERED: &str = "requests that are sent there are answered with an error (500)";

/// What a reference leads to.
pub(super) enum Found {
    /// A Service or a host.
    Host(Destination),
    /// Nothing that requests could be sent to.
    Nowhere,
    /// It is a mistake, for which istiod leaves out whatever holds it.
    Refused,
}

/// The Service or host that a reference names; `nowhere` says what becomes of what is sent there if
/// it leads nowhere.
pub(super) fn reference(node: &Node, nowhere: &str, scope: &mut Scope<'_>) -> Found {
    let group = string(node, "group").unwrap_or_default();
    let kind = string(node, "kind").unwrap_or_else(|| "Service".to_owned());
    let name = string(node, "name").unwrap_or_default();
    let namespace = string(node, "namespace");
    let host = match (group.as_str(), kind.as_str()) {
        ("" | "core", "Service") if name.contains('.') => {
            let message = format!("`{name}` is the name of no Service: it has a dot");
            return refused(
                node,
                &message,
                "say `name` and `namespace` of the Service",
                scope,
            );
        }
        ("" | "core", "Service") | ("multicluster.x-k8s.io", "ServiceImport") => {
            let namespace = namespace.unwrap_or_else(|| scope.namespace.clone());
            host::service(&name, &namespace, facts::MESH_TRUST_DOMAIN.value)
        }
        ("networking.istio.io", "Hostname") if namespace.is_some() => {
            let message = format!("the host `{name}` has no namespace");
            return refused(node, &message, "leave `namespace` out", scope);
        }
        ("networking.istio.io", "Hostname") => name,
        _ => {
            let message = format!("the backend is a {kind}, which is no Service");
            scope
                .diagnostics
                .report(Code::BackendNotFound, node.span, message)
                .help(nowhere);
            return Found::Nowhere;
        }
    };
    let Some(port) = scope.port(node.get("port")) else {
        return refused(node, "the backend names no port", "give its `port`", scope);
    };
    Found::Host(Destination {
        host,
        subset: None,
        port: Some(port),
    })
}

/// Tells of a mistake in a reference, and what to do about it.
fn refused(node: &Node, message: &str, remedy: &str, scope: &mut Scope<'_>) -> Found {
    let found = scope
        .diagnostics
        .report(Code::BackendNotFound, node.span, message);
    found.help(format!("{LEFT_OUT}: {remedy}"));
    Found::Refused
}

/// What becomes of a route with a mistake.
pub(super) const LEFT_OUT: &str = "istiod leaves the whole route out";

fn value_match(node: &Node) -> Option<(String, ValueMatch)> {
    let value = string(node, "value").unwrap_or_default();
    let matched = match node.get("type").and_then(Node::str) {
        Some("RegularExpression") => StringMatch::Regex(value),
        _ => StringMatch::Exact(value),
    };
    Some((string(node, "name")?, ValueMatch::Is(matched)))
}

fn values(node: &Node, key: &str) -> BTreeMap<String, ValueMatch> {
    node.list(key).iter().filter_map(value_match).collect()
}

fn headers(node: &Node) -> BTreeMap<String, ValueMatch> {
    let headers = values(node, "headers").into_iter();
    headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}

fn http_match(node: &Node) -> HttpMatch {
    let path = node.get("path");
    let value = path.and_then(|path| string(path, "value"));
    let value = value.unwrap_or_else(|| "/".to_owned());
    let kind = path.and_then(|path| path.get("type")).and_then(Node::str);
    HttpMatch {
        uri: Some(match kind {
            Some("Exact") => UriMatch::Text(StringMatch::Exact(value)),
            Some("RegularExpression") => UriMatch::Text(StringMatch::Regex(value)),
            _ => UriMatch::Below(value.trim_end_matches('/').to_owned()),
        }),
        method: string(node, "method").map(StringMatch::Exact),
        headers: headers(node),
        query: values(node, "queryParams"),
        ..HttpMatch::default()
    }
}

/// gRPC's method is a path: `/service/method`.
fn grpc_match(node: &Node) -> HttpMatch {
    let uri = node.get("method").and_then(|node| {
        let (service, method) = (string(node, "service"), string(node, "method"));
        let is_regex = node.get("type").and_then(Node::str) == Some("RegularExpression");
        Some(match (service, method, is_regex) {
            (None, None, _) => return None,
            (Some(service), None, false) => StringMatch::Prefix(format!("/{service}/")),
            (Some(service), None, true) => StringMatch::Regex(format!("/{service}/.+")),
            (None, Some(method), _) => StringMatch::Regex(format!("/[^/]+/{method}")),
            (Some(service), Some(method), false) => {
                StringMatch::Exact(format!("/{service}/{method}"))
            }
            (Some(service), Some(method), true) => {
                StringMatch::Regex(format!("/{service}/{method}"))
            }
        })
    });
    HttpMatch {
        uri: uri.map(UriMatch::Text),
        headers: headers(node),
        ..HttpMatch::default()
    }
}
