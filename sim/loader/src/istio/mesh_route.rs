//! Routes of the Gateway API that istiod takes for VirtualServices: those whose parent is a Service
//! or a ServiceEntry (routes of the mesh, GAMMA), or a Gateway that it serves.
//!
//! Models: HTTPRoute and GRPCRoute with their matches, weights, timeouts, retries, mirrors,
//! rewrites, redirects and headers; one VirtualService per namespace, port and host, or per
//! listener and host, with the routes of the older object first and then the most specific first.
//! Leaves out: ReferenceGrants, which the mesh does not ask for, and which Gateways are taken to
//! have; filters by extension.
//! Sources: istio/istio pilot/pkg/config/kube/gateway/conversion.go and route_collections.go;
//! kubernetes-sigs/gateway-api v1.6, apis/v1.
//! Validated by: the routes of Bookinfo for the Gateway API, and cases that follow from the
//! rules, in `tests/istio_routes.rs`.

use super::api_gateway::{ApiGateway, Attaching, Denied, GENERATED, Namespaces, Served};
use super::filters;
use super::forms::{Scope, duration, identity, string, strings};
use super::objects::Written;
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::document::Document;
use crate::kubernetes::service::Service;
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Destination, ExportTo, GatewayName, HttpAction, HttpDestination, HttpMatch, HttpRoute,
    Identity, Object, Retries, RetryOn, Source, StringMatch, Target, UriMatch, ValueMatch,
    VirtualService,
};
use cloud::istio::host;
use engine::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A route, before those for one host are put together.
#[derive(Clone, Debug)]
pub struct MeshRoute {
    identity: Identity,
    kind: &'static str,
    span: Span,
    root: Node,
    parents: Vec<Parent>,
    /// Host names that it takes at Gateways; none takes all.
    hostnames: Vec<String>,
    rules: Vec<Rule>,
}

/// What a route belongs to: a Service or ServiceEntry, whose clients take it, or a Gateway.
#[derive(Clone, Debug)]
struct Parent {
    kind: ParentKind,
    namespace: String,
    name: String,
    port: Option<u16>,
    /// The only listener of a Gateway.
    listener: Option<String>,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParentKind {
    Service,
    ServiceEntry,
    Gateway,
}

/// One route for each of its matches.
#[derive(Clone, Debug)]
struct Rule {
    route: HttpRoute,
    matches: Vec<HttpMatch>,
    /// Where each of its backends is written.
    backends: Vec<Span>,
    /// Whether istiod leaves it out.
    is_broken: bool,
}

/// What routes may refer to.
pub(crate) struct Known<'a> {
    services: BTreeSet<(&'a str, &'a str)>,
    domain: &'a str,
    gateways: &'a [ApiGateway],
    namespaces: &'a Namespaces,
}

impl<'a> Known<'a> {
    pub(crate) fn of(
        services: &'a [Service],
        gateways: &'a [ApiGateway],
        namespaces: &'a Namespaces,
    ) -> Known<'a> {
        let names = services.iter().map(|service| {
            let metadata = &service.metadata;
            (metadata.namespace.as_str(), metadata.name.as_str())
        });
        Known {
            services: names.collect(),
            domain: facts::MESH_TRUST_DOMAIN.value,
            gateways,
            namespaces,
        }
    }

    /// Manifests of routes alone refer to services that are somewhere else.
    fn has(&self, namespace: &str, name: &str) -> bool {
        self.services.is_empty() || self.services.contains(&(namespace, name))
    }

    fn has_host(&self, wanted: &str) -> bool {
        self.services.is_empty()
            || self
                .services
                .iter()
                .any(|(namespace, name)| host::service(name, namespace, self.domain) == wanted)
    }
}

/// Reads a checked HTTPRoute or GRPCRoute, if any of its parents is istiod's.
pub(super) fn read(
    document: &Document,
    served: &Served,
    scope: &mut Scope<'_>,
) -> Option<MeshRoute> {
    let spec = document.spec();
    let is_grpc = document.kind.kind == "GRPCRoute";
    let parents: Vec<Parent> = spec
        .list("parentRefs")
        .iter()
        .filter_map(|node| parent(node, is_grpc, served, scope))
        .collect();
    if parents.is_empty() {
        return None;
    }
    let identity = identity(document);
    let rules = spec.list("rules").iter().enumerate();
    let rules = rules.map(|(position, node)| rule(node, position, &identity, is_grpc, scope));
    Some(MeshRoute {
        rules: rules.collect(),
        identity,
        kind: document.kind.kind,
        span: document.metadata.span,
        root: document.root.clone(),
        parents,
        hostnames: strings(spec, "hostnames")
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
    })
}

fn parent(node: &Node, is_grpc: bool, served: &Served, scope: &mut Scope<'_>) -> Option<Parent> {
    let namespace = string(node, "namespace").unwrap_or_else(|| scope.namespace.clone());
    let name = string(node, "name").unwrap_or_default();
    let kind = match string(node, "kind").as_deref() {
        Some("Service") => ParentKind::Service,
        Some("ServiceEntry") => ParentKind::ServiceEntry,
        None | Some("Gateway") if served.has(&namespace, &name) => ParentKind::Gateway,
        _ if is_grpc => {
            let message = "a GRPCRoute acts on clients in the mesh, and at gateways of Istio";
            let found = scope
                .diagnostics
                .report(Code::UnsupportedValue, node.span, message);
            found.help("write an HTTPRoute for the gateway: those of other classes route HTTP");
            return None;
        }
        _ => return None,
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
    let mut is_broken = filters.is_refused;
    let action = match filters.redirect {
        Some(redirect) => HttpAction::Redirect(redirect),
        None => {
            let forwarded: Vec<_> = node
                .list("backendRefs")
                .iter()
                .filter(|node| weight(node) > 0)
                .filter_map(|node| {
                    let destination = backend(node, scope);
                    is_broken |= destination.is_none();
                    backends.push(node.span);
                    destination
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
        backends,
        is_broken,
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

/// A backend; nothing if its rule cannot be used for it.
fn backend(node: &Node, scope: &mut Scope<'_>) -> Option<HttpDestination> {
    let destination = reference(node, scope)?;
    let filters = filters::read(node, scope);
    Some(HttpDestination {
        target: destination.map_or(Target::Broken { status: 500 }, Target::Host),
        weight: weight(node),
        headers: filters.headers,
    })
}

/// The Service or host that a reference names: `None` if it makes the whole rule invalid,
/// `Some(None)` if it leads nowhere.
pub(super) fn reference(node: &Node, scope: &mut Scope<'_>) -> Option<Option<Destination>> {
    let group = string(node, "group").unwrap_or_default();
    let kind = string(node, "kind").unwrap_or_else(|| "Service".to_owned());
    let name = string(node, "name").unwrap_or_default();
    let own = scope.namespace.clone();
    let host = match (group.as_str(), kind.as_str()) {
        ("" | "core", "Service") | ("multicluster.x-k8s.io", "ServiceImport") => {
            let namespace = string(node, "namespace").unwrap_or(own);
            host::service(&name, &namespace, facts::MESH_TRUST_DOMAIN.value)
        }
        ("networking.istio.io", "Hostname") => name,
        _ => {
            let message = format!("the backend is a {kind}, which is no Service");
            scope
                .diagnostics
                .report(Code::BackendNotFound, node.span, message)
                .help("requests that are sent there are answered with an error (500)");
            return Some(None);
        }
    };
    let Some(port) = scope.port(node.get("port")) else {
        scope
            .diagnostics
            .report(
                Code::BackendNotFound,
                node.span,
                "the backend names no port",
            )
            .help("istiod leaves the whole rule out; a Service needs its `port`");
        return None;
    };
    Some(Some(Destination {
        host,
        subset: None,
        port: Some(port),
    }))
}

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

/// What shares a VirtualService: the namespace of routes of the mesh or the Gateway of Istio, the
/// port, and the host.
type Place = (String, Option<u16>, String);

/// More routes of VirtualServices are refused: they grow with the product of listeners, host
/// names and matches.
const ROUTES_MAX: usize = 500_000;

/// Puts routes for one host together: each namespace, port and host has one VirtualService, and
/// so has each listener and host.
pub(super) fn merge(
    mut routes: Vec<MeshRoute>,
    entries: &[Written],
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Written> {
    routes.sort_by_cached_key(|route| {
        let identity = &route.identity;
        (
            identity.created,
            identity.namespace.clone(),
            identity.name.clone(),
        )
    });
    for route in &mut routes {
        route.check(known, diagnostics);
    }
    let mut left = ROUTES_MAX;
    let mut busy = BTreeSet::new();
    let mut merged: BTreeMap<Place, (VirtualService, &MeshRoute)> = BTreeMap::new();
    for route in &routes {
        let mut count = 0;
        for parent in &route.parents {
            let port = match parent.kind {
                ParentKind::Gateway => None,
                _ => parent.port,
            };
            let http = route.at(port);
            for (gateway, host) in places(route, parent, entries, known, &mut busy, diagnostics) {
                left = left.saturating_sub(http.len());
                if left == 0 {
                    let message = format!("routes at gateways are more than {ROUTES_MAX}");
                    diagnostics.report(Code::OverBudget, route.span, message);
                    return Vec::new();
                }
                if http.is_empty() {
                    continue;
                }
                let owner = match &gateway {
                    GatewayName::Mesh => route.identity.namespace.clone(),
                    GatewayName::Object { namespace, name } => format!("{namespace}/{name}"),
                };
                let (service, _) = merged
                    .entry((owner, port, host.clone()))
                    .or_insert_with(|| {
                        count += 1;
                        (route.virtual_service(count - 1, gateway, host), route)
                    });
                service.http.extend(http.iter().cloned());
            }
        }
    }
    report_idle(known, &busy, diagnostics);
    let written = merged.into_values().map(|(mut service, route)| {
        service
            .http
            .sort_by_cached_key(|route| rank(&route.matches));
        Written {
            object: Object::from(service),
            span: route.span,
            root: route.root.clone(),
        }
    });
    written.collect()
}

/// Where requests take a route because of a parent: a gateway or the mesh, and a host. Marks
/// listeners that have routes, by the positions of their Gateway and their own.
fn places(
    route: &MeshRoute,
    parent: &Parent,
    entries: &[Written],
    known: &Known<'_>,
    busy: &mut BTreeSet<(usize, usize)>,
    diagnostics: &mut Diagnostics,
) -> Vec<(GatewayName, String)> {
    if parent.kind != ParentKind::Gateway {
        let hosts = hosts(parent, entries, known, diagnostics).into_iter();
        return hosts.map(|host| (GatewayName::Mesh, host)).collect();
    }
    let mut gateways = known.gateways.iter().enumerate();
    let found = gateways.find(|(_, it)| {
        (&it.metadata.namespace, &it.metadata.name) == (&parent.namespace, &parent.name)
    });
    let Some((number, gateway)) = found else {
        return Vec::new(); // Its document has problems of its own.
    };
    let attaching = Attaching {
        namespace: &route.identity.namespace,
        kind: route.kind,
        hostnames: &route.hostnames,
        listener: parent.listener.as_deref(),
        port: parent.port,
    };
    let taken = match gateway.attach(&attaching, known.namespaces) {
        Ok(taken) => taken,
        Err(denied) => {
            report_denied(denied, route, parent, diagnostics);
            return Vec::new();
        }
    };
    let mut places = Vec::new();
    for (position, hosts) in taken {
        busy.insert((number, position));
        let name = gateway.generated(&gateway.listeners()[position]);
        places.extend(hosts.into_iter().map(|host| (name.clone(), host)));
    }
    places
}

fn report_denied(
    denied: Denied,
    route: &MeshRoute,
    parent: &Parent,
    diagnostics: &mut Diagnostics,
) {
    let (message, help) = match denied {
        Denied::NoneFits => (
            format!(
                "no listener of the gateway `{}` takes this route",
                parent.name
            ),
            "compare `sectionName`, `port` and host names with those of its listeners",
        ),
        Denied::Namespace => (
            format!(
                "the gateway `{}` takes no routes of the namespace `{}`",
                parent.name, route.identity.namespace
            ),
            "set `allowedRoutes: {namespaces: {from: All}}` on its listener: without it, its own namespace alone may attach",
        ),
    };
    diagnostics
        .report(Code::GatewayNotFound, parent.span, message)
        .help(help);
}

fn report_idle(known: &Known<'_>, busy: &BTreeSet<(usize, usize)>, diagnostics: &mut Diagnostics) {
    for (number, gateway) in known.gateways.iter().enumerate() {
        for (position, listener) in gateway.listeners().iter().enumerate() {
            if listener.carries_requests() && !busy.contains(&(number, position)) {
                let message = format!(
                    "no route attaches to the listener `{}` of `{}`",
                    listener.name, gateway.metadata.name
                );
                diagnostics.report(Code::GatewayWithoutRoutes, listener.span, message);
            }
        }
    }
}

/// Hosts of a parent; reports one that is not there.
fn hosts(
    parent: &Parent,
    entries: &[Written],
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<String> {
    let Parent {
        namespace, name, ..
    } = parent;
    let is_entry = parent.kind == ParentKind::ServiceEntry;
    let found = if is_entry {
        entries.iter().find_map(|written| match &written.object {
            Object::ServiceEntry(entry)
                if (&entry.identity.namespace, &entry.identity.name) == (namespace, name) =>
            {
                Some(entry.hosts.clone())
            }
            _ => None,
        })
    } else {
        known
            .has(namespace, name)
            .then(|| vec![host::service(name, namespace, known.domain)])
    };
    found.unwrap_or_else(|| {
        let kind = if is_entry { "ServiceEntry" } else { "Service" };
        let message =
            format!("there is no {kind} `{namespace}/{name}`, so the route takes nothing");
        let found = diagnostics.report(Code::GatewayNotFound, parent.span, message);
        let same = known.services.iter().find(|(_, other)| other == name);
        if let Some((other, _)) = same {
            found.help(format!("set `namespace: {other}`"));
        }
        Vec::new()
    })
}

/// Sorts before less specific matches; what has none comes last.
fn rank(matches: &[HttpMatch]) -> impl Ord + use<> {
    matches
        .first()
        .map_or((true, 0, Reverse(0), false, Reverse((0, 0))), |it| {
            let (kind, length) = match &it.uri {
                Some(UriMatch::Text(StringMatch::Exact(path))) => (0, path.len()),
                Some(UriMatch::Below(path)) => (1, path.len().max(1)),
                Some(UriMatch::Text(StringMatch::Prefix(path))) => (1, path.len()),
                Some(UriMatch::Text(StringMatch::Regex(path))) => (2, path.len()),
                None => (3, 0),
            };
            let conditions = (it.headers.len(), it.query.len());
            (
                false,
                kind,
                Reverse(length),
                it.method.is_none(),
                Reverse(conditions),
            )
        })
}

impl MeshRoute {
    fn virtual_service(&self, number: u32, gateway: GatewayName, host: String) -> VirtualService {
        let Identity {
            namespace,
            name,
            created,
        } = &self.identity;
        VirtualService {
            identity: Identity {
                namespace: namespace.clone(),
                name: format!("{name}-{number}-{GENERATED}"),
                created: *created,
            },
            hosts: vec![host],
            gateways: vec![gateway],
            http: Vec::new(),
            tls: Vec::new(),
            tcp: Vec::new(),
            export_to: ExportTo::Default,
            is_of_gateway_api: true,
        }
    }

    /// Its routes for a port, one for each match.
    fn at(&self, port: Option<u16>) -> Vec<HttpRoute> {
        let mut routes = Vec::new();
        for rule in self.rules.iter().filter(|rule| !rule.is_broken) {
            let mut matches: Vec<Vec<HttpMatch>> =
                rule.matches.iter().map(|it| vec![it.clone()]).collect();
            if matches.is_empty() {
                let everything = port.map(|_| HttpMatch::default());
                matches.push(everything.into_iter().collect());
            }
            routes.extend(matches.into_iter().map(|mut matches| {
                for it in &mut matches {
                    it.source = Source {
                        port,
                        ..Source::default()
                    };
                }
                HttpRoute {
                    matches,
                    ..rule.route.clone()
                }
            }));
        }
        routes
    }

    /// Services that are not there answer nothing: their share of requests gets 500.
    fn check(&mut self, known: &Known<'_>, diagnostics: &mut Diagnostics) {
        for rule in &mut self.rules {
            let HttpAction::Forward(destinations) = &mut rule.route.action else {
                continue;
            };
            for (destination, span) in destinations.iter_mut().zip(&rule.backends) {
                let Target::Host(Destination { host, .. }) = &destination.target else {
                    continue;
                };
                // Hosts of ServiceEntries are told by the check of references.
                if host.ends_with(known.domain) && !known.has_host(host) {
                    let message = format!("the backend `{host}` does not exist");
                    diagnostics
                        .report(Code::BackendNotFound, *span, message)
                        .severity(Severity::Warning)
                        .help("requests that are sent there are answered with an error (500)");
                    destination.target = Target::Broken { status: 500 };
                }
            }
        }
    }
}
