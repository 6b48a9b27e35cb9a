//! Gateway API: GatewayClass, Gateway, HTTPRoute, and what istiod alone reads: GRPCRoute, ReferenceGrant.
//!
//! Models: listeners with host names, routes by host, path, method and headers, weights,
//! several backends, request timeouts, attachment by name, listener, port and host name.
//! Leaves out: filters, retries, session persistence, query parameters, TLS, who may attach. For
//! what istiod takes for its own see `istio/api_gateway.rs` and `istio/mesh_route.rs`, which act on
//! more of it.
//! Sources: kubernetes-sigs/gateway-api v1.6, apis/v1 types.

use super::listener::GATEWAY_SPEC;
use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS, text};
use super::selector::Selector;
use super::workload::kind;
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::document::Document;
use crate::istio::filters::{BACKEND_FILTERS, FILTERS};
use crate::istio::parents::ParentKind;
use crate::shape::{Field, Kind, NATURAL, PORT, Shape, TEXT_LIST};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::istio::config::WAYPOINT_CLASS;
use cloud::scenario::{PathMatch, RouteMatch};
use engine::Duration;

pub(super) const ATTACHMENT: &str = "routes of every namespace may attach";
const GRANTED: &str = "istiod asks for grants; Gateways of other classes refer to everything";
const RETRIES: &str = "acts on what istiod serves; gateways of other classes do not try again";

static CLASS_SPEC: Shape = Shape::new(
    "GatewayClassSpec",
    &[
        Field::approximated(
            "controllerName",
            Kind::Text,
            "Istio's is known in a mesh; every other controller is the same proxy",
        )
        .required(),
        Field::ignored(
            "parametersRef",
            Kind::Opaque,
            "they belong to the controller",
        ),
        Field::ignored("description", Kind::Text, "text for people"),
    ],
);
kind!(GATEWAY_CLASS, "GatewayClass", CLASS_SPEC);

kind!(GATEWAY, "Gateway", GATEWAY_SPEC);

pub(super) static PARENT: Shape = Shape::new(
    "ParentReference",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("sectionName", Kind::Text),
        Field::modelled("port", PORT),
    ],
);
static PATH_MATCH: Shape = Shape::new(
    "HTTPPathMatch",
    &[
        Field::approximated(
            "type",
            Kind::OneOf(&["Exact", "PathPrefix", "RegularExpression"]),
            "a regular expression takes no requests",
        ),
        Field::modelled("value", Kind::Text),
    ],
);
static VALUE_MATCH: Shape = Shape::new(
    "HTTPHeaderMatch",
    &[
        Field::approximated(
            "type",
            Kind::OneOf(&["Exact", "RegularExpression"]),
            "a regular expression takes no requests",
        ),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("value", Kind::Text).required(),
    ],
);
static METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
static MATCH: Shape = Shape::new(
    "HTTPRouteMatch",
    &[
        Field::modelled("path", Kind::Map(&PATH_MATCH)),
        Field::modelled("headers", Kind::List(&Kind::Map(&VALUE_MATCH))),
        Field::approximated(
            "queryParams",
            Kind::List(&Kind::Map(&VALUE_MATCH)),
            "simulated requests carry no parameters, so the match takes none",
        ),
        Field::modelled("method", Kind::OneOf(METHODS)),
    ],
);
static BACKEND_REF: Shape = Shape::new(
    "HTTPBackendRef",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("port", PORT),
        Field::modelled("weight", Kind::Integer(0, 1_000_000)),
        BACKEND_FILTERS,
    ],
);
static TIMEOUTS: Shape = Shape::new(
    "HTTPRouteTimeouts",
    &[
        Field::modelled("request", Kind::Format(&DURATION)),
        Field::approximated(
            "backendRequest",
            Kind::Format(&DURATION),
            "counts as the whole request's where that is not given",
        ),
    ],
);
static RETRY: Shape = Shape::new(
    "HTTPRouteRetry",
    &[
        Field::approximated("codes", Kind::List(&CODE), RETRIES),
        Field::approximated("attempts", NATURAL, RETRIES),
        Field::approximated("backoff", Kind::Format(&DURATION), RETRIES),
    ],
);
const CODE: Kind = Kind::Integer(400, 599);
static RULE: Shape = Shape::new(
    "HTTPRouteRule",
    &[
        Field::ignored("name", Kind::Text, "text for people"),
        Field::modelled("matches", Kind::List(&Kind::Map(&MATCH))),
        FILTERS,
        Field::modelled("backendRefs", Kind::List(&Kind::Map(&BACKEND_REF))),
        Field::modelled("timeouts", Kind::Map(&TIMEOUTS)),
        Field::approximated("retry", Kind::Map(&RETRY), RETRIES),
        Field::ignored(
            "sessionPersistence",
            Kind::Opaque,
            "every request is balanced on its own",
        ),
    ],
);
static ROUTE_SPEC: Shape = Shape::new(
    "HTTPRouteSpec",
    &[
        Field::modelled("parentRefs", Kind::List(&Kind::Map(&PARENT))),
        Field::modelled("hostnames", TEXT_LIST),
        Field::modelled("rules", Kind::List(&Kind::Map(&RULE))),
        Field::ignored("useDefaultGateways", Kind::Text, ATTACHMENT),
    ],
);
kind!(HTTP_ROUTE, "HTTPRoute", ROUTE_SPEC);

static METHOD_MATCH: Shape = Shape::new(
    "GRPCMethodMatch",
    &[
        Field::modelled("type", Kind::OneOf(&["Exact", "RegularExpression"])),
        Field::modelled("service", Kind::Text),
        Field::modelled("method", Kind::Text),
    ],
);
static GRPC_MATCH: Shape = Shape::new(
    "GRPCRouteMatch",
    &[
        Field::modelled("method", Kind::Map(&METHOD_MATCH)),
        Field::modelled("headers", Kind::List(&Kind::Map(&VALUE_MATCH))),
    ],
);
static GRPC_RULE: Shape = Shape::new(
    "GRPCRouteRule",
    &[
        Field::ignored("name", Kind::Text, "text for people"),
        Field::modelled("matches", Kind::List(&Kind::Map(&GRPC_MATCH))),
        FILTERS,
        Field::modelled("backendRefs", Kind::List(&Kind::Map(&BACKEND_REF))),
        Field::ignored(
            "sessionPersistence",
            Kind::Opaque,
            "every request is balanced on its own",
        ),
    ],
);
static GRPC_ROUTE_SPEC: Shape = Shape::new(
    "GRPCRouteSpec",
    &[
        Field::approximated(
            "parentRefs",
            Kind::List(&Kind::Map(&PARENT)),
            "Services, ServiceEntries and Gateways of Istio; other Gateways route HTTP only",
        ),
        Field::modelled("hostnames", TEXT_LIST),
        Field::modelled("rules", Kind::List(&Kind::Map(&GRPC_RULE))),
        Field::ignored("useDefaultGateways", Kind::Text, ATTACHMENT),
    ],
);
kind!(GRPC_ROUTE, "GRPCRoute", GRPC_ROUTE_SPEC);

static GRANTED_FROM: Shape = Shape::new(
    "ReferenceGrantFrom",
    &[
        Field::approximated("group", Kind::Text, GRANTED).required(),
        Field::approximated("kind", Kind::Text, GRANTED).required(),
        Field::approximated("namespace", Kind::Text, GRANTED).required(),
    ],
);
static GRANTED_TO: Shape = Shape::new(
    "ReferenceGrantTo",
    &[
        Field::approximated("group", Kind::Text, GRANTED).required(),
        Field::approximated("kind", Kind::Text, GRANTED).required(),
        Field::approximated("name", Kind::Text, GRANTED),
    ],
);
static GRANT_SPEC: Shape = Shape::new(
    "ReferenceGrantSpec",
    &[
        Field::approximated("from", Kind::List(&Kind::Map(&GRANTED_FROM)), GRANTED).required(),
        Field::approximated("to", Kind::List(&Kind::Map(&GRANTED_TO)), GRANTED).required(),
    ],
);
kind!(REFERENCE_GRANT, "ReferenceGrant", GRANT_SPEC);

/// A Gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// How it is called.
    pub metadata: Metadata,
    /// Its class.
    pub class: String,
    /// What it listens on.
    pub listeners: Vec<Listener>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Port.
    pub port: u16,
    /// Host name that it takes, perhaps with a wildcard; `None` takes all.
    pub hostname: Option<String>,
    /// Whether it speaks HTTP.
    pub http: bool,
    /// Whether it speaks HBONE, as waypoints do.
    pub hbone: bool,
    /// Whose routes, or services, may attach.
    pub admits: Admits,
    /// Where it is written.
    pub span: Span,
}

/// Namespaces that a listener of a Gateway admits.
#[derive(Clone, Debug)]
pub enum Admits {
    /// Its own.
    Same,
    /// All.
    All,
    /// Those with these labels.
    Labelled(Selector),
}

impl Admits {
    fn read(listener: &Node) -> Admits {
        let namespaces = listener.at(&["allowedRoutes", "namespaces"]);
        let from = namespaces
            .and_then(|node| node.get("from"))
            .and_then(Node::str);
        match from {
            Some("All") => Admits::All,
            Some("Selector") => match namespaces.and_then(|node| node.get("selector")) {
                Some(selector) => Admits::Labelled(Selector::read(selector)),
                None => Admits::All,
            },
            _ => Admits::Same,
        }
    }
}

impl Gateway {
    /// Whether it is a waypoint of Istio's ambient mesh.
    pub fn is_waypoint(&self) -> bool {
        self.class == WAYPOINT_CLASS
    }

    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> Gateway {
        let listener = |node: &Node| {
            Some(Listener {
                name: text(node, "name"),
                port: u16::try_from(node.get("port")?.integer()?).ok()?,
                hostname: lower(node.get("hostname")),
                http: matches!(text(node, "protocol").as_str(), "HTTP" | "HTTPS"),
                hbone: text(node, "protocol") == "HBONE",
                admits: Admits::read(node),
                span: node.span,
            })
        };
        let spec = document.root.get("spec");
        let class = spec
            .and_then(|spec| spec.get("gatewayClassName"))
            .and_then(Node::str);
        Gateway {
            metadata: document.metadata.clone(),
            class: class.unwrap_or_default().to_owned(),
            listeners: limited(spec, "listeners", 64, diagnostics)
                .iter()
                .filter_map(listener)
                .collect(),
        }
    }
}

/// The items of a list, of which the API allows so many.
fn limited<'a>(
    node: Option<&'a Node>,
    key: &str,
    most: usize,
    diagnostics: &mut Diagnostics,
) -> &'a [Node] {
    let Some(list) = node.and_then(|node| node.get(key)) else {
        return &[];
    };
    let items = list.items();
    if items.len() > most {
        let message = format!(
            "`{key}` holds {} items; at most {most} are allowed",
            items.len()
        );
        diagnostics.report(Code::OutOfRange, list.span, message);
    }
    &items[..items.len().min(most)]
}

/// A host name in lower case; an empty one counts as none.
fn lower(node: Option<&Node>) -> Option<String> {
    node.and_then(Node::str)
        .filter(|host| !host.is_empty())
        .map(str::to_ascii_lowercase)
}

/// An HTTPRoute.
#[derive(Clone, Debug)]
pub struct HttpRoute {
    /// How it is called.
    pub metadata: Metadata,
    /// Gateways that it wants to attach to.
    pub parents: Vec<Parent>,
    /// Host names that it takes; none takes all.
    pub hostnames: Vec<String>,
    /// Rules in their order.
    pub rules: Vec<Rule>,
    /// When it was created, where `kubectl get` says so: older routes win.
    pub created: Option<String>,
}

/// What an HTTPRoute wants to attach to.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Namespace of the gateway.
    pub namespace: String,
    /// Name of the gateway.
    pub name: String,
    /// Only this listener.
    pub listener: Option<String>,
    /// Only listeners on this port.
    pub port: Option<u16>,
    /// Whether it is a Gateway; a mesh's routes attach to Services.
    pub is_gateway: bool,
    /// Where it is written.
    pub span: Span,
}

/// A rule of an HTTPRoute.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it takes: any of these; hosts are left empty.
    pub matches: Vec<RouteMatch>,
    /// Where requests go.
    pub backends: Vec<Backend>,
    /// Time for the whole request.
    pub timeout: Option<Duration>,
}

/// A backend of a rule.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Namespace and name of the service; `None` if it is no service.
    pub service: Option<(String, String)>,
    /// Port.
    pub port: Option<u16>,
    /// Weight.
    pub weight: u32,
    /// Where it is written.
    pub span: Span,
}

impl HttpRoute {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> HttpRoute {
        let root = &document.root;
        let namespace = &document.metadata.namespace;
        let spec = root.get("spec");
        let hosts = limited(spec, "hostnames", 16, diagnostics).iter();
        let hostnames = hosts.filter_map(|host| lower(Some(host))).collect();
        let parents = limited(spec, "parentRefs", 32, diagnostics).iter();
        let parents = parents.map(|node| parent(node, namespace)).collect();
        let rules = limited(spec, "rules", 16, diagnostics).iter();
        HttpRoute {
            metadata: document.metadata.clone(),
            parents,
            hostnames,
            rules: rules
                .map(|node| rule(node, namespace, diagnostics))
                .collect(),
            created: root
                .at(&["metadata", "creationTimestamp"])
                .and_then(Node::str)
                .map(str::to_owned),
        }
    }
}

fn parent(node: &Node, namespace: &str) -> Parent {
    let optional = |key| node.get(key).and_then(Node::str).map(str::to_owned);
    Parent {
        namespace: optional("namespace").unwrap_or_else(|| namespace.to_owned()),
        name: text(node, "name"),
        listener: optional("sectionName"),
        port: port(node),
        is_gateway: ParentKind::of(node) == Some(ParentKind::Gateway),
        span: node.span,
    }
}

fn port(node: &Node) -> Option<u16> {
    u16::try_from(node.get("port")?.integer()?).ok()
}

fn rule(node: &Node, namespace: &str, diagnostics: &mut Diagnostics) -> Rule {
    let given = limited(Some(node), "matches", 64, diagnostics);
    let mut matches: Vec<_> = given
        .iter()
        .filter_map(|node| route_match(node, diagnostics))
        .collect();
    if given.is_empty() {
        matches.push(RouteMatch::default());
    }
    report_redirect(node, diagnostics);
    let duration = |key| {
        let text = node.at(&["timeouts", key])?.text()?;
        // Zero switches the timeout off.
        parse_duration(text)
            .ok()
            .filter(|duration| !duration.is_zero())
    };
    Rule {
        matches,
        backends: limited(Some(node), "backendRefs", 16, diagnostics)
            .iter()
            .map(|node| backend(node, namespace))
            .collect(),
        timeout: duration("request").or_else(|| duration("backendRequest")),
    }
}

fn report_redirect(rule: &Node, diagnostics: &mut Diagnostics) {
    let redirects = |filter: &&Node| text(filter, "type") == "RequestRedirect";
    if let Some(filter) = rule.list("filters").iter().find(redirects) {
        diagnostics
            .report(
                Code::UnsupportedValue,
                filter.span,
                "redirects are not modelled: the rule answers with 500",
            )
            .severity(Severity::Warning)
            .help("let the traffic of the scenario ask for the place that the redirect leads to");
    }
}

fn backend(node: &Node, namespace: &str) -> Backend {
    let optional = |key| {
        node.get(key)
            .and_then(Node::str)
            .filter(|text| !text.is_empty())
    };
    let is_service =
        optional("group").is_none() && optional("kind").is_none_or(|kind| kind == "Service");
    let service = (
        optional("namespace").unwrap_or(namespace).to_owned(),
        text(node, "name"),
    );
    let weight = node
        .get("weight")
        .and_then(Node::integer)
        .and_then(|weight| u32::try_from(weight).ok());
    Backend {
        service: is_service.then_some(service),
        port: port(node),
        weight: weight.unwrap_or(1),
        span: node.span,
    }
}

/// A match; `None` if no simulated request can meet it.
fn route_match(node: &Node, diagnostics: &mut Diagnostics) -> Option<RouteMatch> {
    if !node.list("queryParams").is_empty() {
        report_unmet(node.span, "requests carry no query parameters", diagnostics);
        return None;
    }
    let expression = |node: &Node| text(node, "type") == "RegularExpression";
    let headers = limited(Some(node), "headers", 16, diagnostics);
    if node.get("path").is_some_and(expression) || headers.iter().any(expression) {
        report_unmet(
            node.span,
            "regular expressions are not evaluated",
            diagnostics,
        );
        return None;
    }
    let path = node.get("path").map_or(PathMatch::Any, |path| {
        let value = path
            .get("value")
            .and_then(Node::str)
            .unwrap_or("/")
            .to_owned();
        match text(path, "type").as_str() {
            "Exact" => PathMatch::Exact(value),
            _ => prefix(&value),
        }
    });
    let mut headers: Vec<_> = headers
        .iter()
        .map(|header| {
            (
                text(header, "name").to_ascii_lowercase(),
                text(header, "value"),
            )
        })
        .collect();
    // Of several conditions on one header the first counts.
    headers.sort_by(|left, right| left.0.cmp(&right.0));
    headers.dedup_by(|later, first| later.0 == first.0);
    Some(RouteMatch {
        hosts: Vec::new(),
        path,
        headers,
        method: node.get("method").and_then(Node::str).map(str::to_owned),
    })
}

fn report_unmet(span: Span, why: &str, diagnostics: &mut Diagnostics) {
    let message = format!("no request can meet this match: {why}");
    diagnostics
        .report(Code::UnsupportedValue, span, message)
        .severity(Severity::Warning);
}

/// A prefix without its final slash, which changes nothing; the root takes every path.
pub fn prefix(path: &str) -> PathMatch {
    match path.trim_end_matches('/') {
        "" => PathMatch::Any,
        path => PathMatch::Prefix(path.to_owned()),
    }
}
