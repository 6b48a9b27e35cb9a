//! VirtualService.

use super::forms::{
    EXPORT_TO, PORT_NUMBER, STRING_MATCH, Scope, held, identity, istio_kind, labels, string,
    strings,
};
use super::route;
use crate::document::Document;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::istio::config::{
    Destination, GatewayName, Source, TcpMatch, TcpRoute, TlsMatch, TlsRoute, VirtualService,
    WeightedDestination,
};
use cloud::istio::host;

pub(super) const ANY_INTEGER: Kind = crate::shape::INTEGER;

pub(super) static DESTINATION: Shape = Shape::new(
    "Destination",
    &[
        Field::modelled("host", Kind::Text).required(),
        Field::modelled("subset", Kind::Text),
        Field::modelled("port", Kind::Map(&PORT_NUMBER)),
    ],
);
static ROUTE_DESTINATION: Shape = Shape::new(
    "RouteDestination",
    &[
        Field::modelled("destination", Kind::Map(&DESTINATION)).required(),
        Field::modelled("weight", ANY_INTEGER),
    ],
);
static TLS_MATCH: Shape = Shape::new(
    "TLSMatchAttributes",
    &[
        Field::modelled("sniHosts", TEXT_LIST).required(),
        Field::modelled("destinationSubnets", TEXT_LIST),
        Field::modelled("port", ANY_INTEGER),
        Field::modelled("sourceLabels", TEXT_MAP),
        Field::modelled("gateways", TEXT_LIST),
        Field::modelled("sourceNamespace", Kind::Text),
    ],
);
static L4_MATCH: Shape = Shape::new(
    "L4MatchAttributes",
    &[
        Field::modelled("destinationSubnets", TEXT_LIST),
        Field::modelled("port", ANY_INTEGER),
        held("sourceSubnet", Kind::Text),
        Field::modelled("sourceLabels", TEXT_MAP),
        Field::modelled("gateways", TEXT_LIST),
        Field::modelled("sourceNamespace", Kind::Text),
    ],
);
static TLS_ROUTE: Shape = Shape::new(
    "IstioTLSRoute",
    &[
        Field::modelled("match", Kind::List(&Kind::Map(&TLS_MATCH))).required(),
        Field::modelled("route", Kind::List(&Kind::Map(&ROUTE_DESTINATION))),
    ],
);
static TCP_ROUTE: Shape = Shape::new(
    "IstioTCPRoute",
    &[
        Field::modelled("match", Kind::List(&Kind::Map(&L4_MATCH))),
        Field::modelled("route", Kind::List(&Kind::Map(&ROUTE_DESTINATION))),
    ],
);
static SPEC: Shape = Shape::new(
    "VirtualServiceSpec",
    &[
        Field::modelled("hosts", TEXT_LIST),
        Field::modelled("gateways", TEXT_LIST),
        Field::modelled("http", Kind::List(&Kind::Map(&route::HTTP_ROUTE))),
        Field::modelled("tls", Kind::List(&Kind::Map(&TLS_ROUTE))),
        Field::modelled("tcp", Kind::List(&Kind::Map(&TCP_ROUTE))),
        EXPORT_TO,
    ],
);
istio_kind!(VIRTUAL_SERVICE, "VirtualService", SPEC);

// Keeps the shape of matches beside its kind, where the others stand.
pub(super) static HTTP_MATCH: Shape = Shape::new(
    "HTTPMatchRequest",
    &[
        crate::shape::Field::ignored("name", Kind::Text, "a name for people"),
        Field::modelled("uri", Kind::Map(&STRING_MATCH)),
        Field::modelled("scheme", Kind::Map(&STRING_MATCH)),
        Field::modelled("method", Kind::Map(&STRING_MATCH)),
        Field::modelled("authority", Kind::Map(&STRING_MATCH)),
        Field::modelled("headers", Kind::Keyed(&Kind::Map(&STRING_MATCH))),
        Field::modelled("port", ANY_INTEGER),
        Field::modelled("sourceLabels", TEXT_MAP),
        Field::modelled("gateways", TEXT_LIST),
        Field::modelled("queryParams", Kind::Keyed(&Kind::Map(&STRING_MATCH))),
        Field::modelled("ignoreUriCase", Kind::Bool),
        Field::modelled("withoutHeaders", Kind::Keyed(&Kind::Map(&STRING_MATCH))),
        Field::modelled("sourceNamespace", Kind::Text),
        crate::shape::Field::ignored("statPrefix", Kind::Text, "a name for statistics"),
    ],
);

/// Reads a checked document.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> VirtualService {
    let spec = document.spec();
    let hosts = strings(spec, "hosts");
    let gateways = scope.gateways(spec);
    check_hosts(spec, &gateways, scope);
    let is_delegate = hosts.is_empty();
    for key in ["gateways", "tls", "tcp"] {
        if is_delegate && !spec.list(key).is_empty() {
            let message = format!("a VirtualService without hosts cannot have `{key}`");
            let help = "others delegate to it: only `http` counts";
            scope.refuse(spec.span, message, help);
        }
    }
    if ["http", "tls", "tcp"]
        .iter()
        .all(|key| spec.list(key).is_empty())
    {
        let help = "give `http`, `tls` or `tcp`";
        scope.refuse(
            document.metadata.span,
            "the VirtualService has no routes",
            help,
        );
    }
    let http = route::http_routes(spec, is_delegate, scope);
    let tls = spec
        .list("tls")
        .iter()
        .map(|node| tls_route(node, &hosts, scope))
        .collect();
    let tcp = spec
        .list("tcp")
        .iter()
        .map(|node| tcp_route(node, scope))
        .collect();
    VirtualService {
        identity: identity(document),
        hosts,
        gateways: if gateways.is_empty() {
            vec![GatewayName::Mesh]
        } else {
            gateways
        },
        http,
        tls,
        tcp,
        export_to: scope.export_to(spec, false),
        is_of_gateway_api: false,
    }
}

fn check_hosts(spec: &Node, gateways: &[GatewayName], scope: &mut Scope<'_>) {
    let in_mesh = gateways.is_empty() || gateways.contains(&GatewayName::Mesh);
    let nodes = spec.list("hosts");
    for (position, node) in nodes.iter().enumerate() {
        let text = node.str().unwrap_or_default();
        scope.check_host(text, node.span);
        if in_mesh && text == "*" {
            let help = "name the hosts, or bind it to gateways alone";
            scope.refuse(node.span, "`*` cannot be routed by sidecars", help);
        }
        let earlier = nodes[..position].iter().filter_map(Node::str);
        if let Some(other) = earlier.into_iter().find(|other| host::matches(other, text)) {
            let message = format!("the hosts `{other}` and `{text}` overlap");
            scope.refuse(node.span, message, "leave one of the two");
        }
    }
}

/// Where requests or connections go.
pub(super) fn destination(node: &Node, scope: &mut Scope<'_>) -> Destination {
    let subset = string(node, "subset");
    if let Some(name) = &subset
        && !super::forms::is_label(name)
    {
        let message = format!("`{name}` cannot be the name of a subset");
        scope.refuse(node.span, message, "names are letters, digits and dashes");
    }
    Destination {
        host: scope.host(node, "host"),
        subset,
        port: scope.port(node.at(&["port", "number"])),
    }
}

/// Shares of several destinations: negative ones and a sum of zero are refused.
pub(super) fn weight(node: &Node, scope: &mut Scope<'_>) -> u32 {
    let weight = node.get("weight").and_then(Node::integer).unwrap_or(0);
    if weight < 0 {
        let span = node.get("weight").map_or(node.span, |node| node.span);
        scope.refuse(
            span,
            format!("the weight {weight} is negative"),
            "weights are 0 or more",
        );
    }
    u32::try_from(weight).unwrap_or(0)
}

/// What istiod says about the sum of weights. They are relative: a sum other than 100 is fine,
/// but often not what was meant.
pub(super) fn check_weights(route: &Node, scope: &mut Scope<'_>) {
    let destinations = route.list("route");
    let weights = destinations
        .iter()
        .map(|node| node.get("weight").and_then(Node::integer));
    let sum: i64 = weights
        .clone()
        .map(|weight| weight.unwrap_or(0).max(0))
        .sum();
    let is_negative = weights.clone().flatten().any(|weight| weight < 0);
    // A negative one is refused where it stands; shares would mean nothing.
    if destinations.len() < 2 || is_negative {
        return;
    }
    if sum == 0 {
        let help = "give each destination a `weight`";
        scope.refuse(route.span, "the weights of the route sum to 0", help);
    } else if sum != 100 && weights.clone().any(|weight| weight.is_some()) {
        let shares: Vec<_> = weights
            .map(|weight| {
                format!(
                    "{:.1} %",
                    weight.unwrap_or(0).max(0) as f64 * 100.0 / sum as f64
                )
            })
            .collect();
        let message = format!(
            "the weights sum to {sum}, not 100: they are relative, so the shares are {}",
            shares.join(", ")
        );
        scope
            .diagnostics
            .report(
                crate::diagnostic::Code::WeightsAreRelative,
                route.span,
                message,
            )
            .help("let them sum to 100 if they are meant as percentages");
    }
}

fn weighted(route: &Node, scope: &mut Scope<'_>) -> Vec<WeightedDestination> {
    if route.list("route").is_empty() {
        let help = "give `route` with a destination";
        scope.refuse(route.span, "the route has no destination", help);
    }
    check_weights(route, scope);
    let nodes = route.list("route").iter();
    nodes
        .filter_map(|node| {
            Some(WeightedDestination {
                destination: destination(node.get("destination")?, scope),
                weight: weight(node, scope),
            })
        })
        .collect()
}

/// Who asks.
pub(super) fn source(node: &Node, scope: &mut Scope<'_>) -> Source {
    Source {
        port: match node.get("port").and_then(Node::integer) {
            Some(0) => None,
            _ => scope.port(node.get("port")),
        },
        labels: labels(node, "sourceLabels"),
        namespace: string(node, "sourceNamespace"),
        gateways: scope.gateways(node),
    }
}

fn tls_route(node: &Node, hosts: &[String], scope: &mut Scope<'_>) -> TlsRoute {
    if node.list("match").is_empty() {
        let help = "say for which `sniHosts` it is";
        scope.refuse(node.span, "a TLS route needs a match", help);
    }
    let matches = node.list("match").iter();
    let matches = matches
        .map(|node| {
            for name in node.list("sniHosts") {
                let text = name.str().unwrap_or_default();
                scope.check_host(text, name.span);
                if !hosts.iter().any(|host| host::is_subset(text, host)) {
                    let message = format!("`{text}` is none of the hosts of the VirtualService");
                    scope.refuse(name.span, message, "add it to `hosts`");
                }
            }
            if node.list("sniHosts").is_empty() {
                scope.refuse(
                    node.span,
                    "the match names no `sniHosts`",
                    "name one at least",
                );
            }
            TlsMatch {
                sni_hosts: strings(node, "sniHosts"),
                destination_subnets: strings(node, "destinationSubnets"),
                source: source(node, scope),
            }
        })
        .collect();
    TlsRoute {
        matches,
        destinations: weighted(node, scope),
    }
}

fn tcp_route(node: &Node, scope: &mut Scope<'_>) -> TcpRoute {
    let matches = node.list("match").iter();
    let matches = matches
        .map(|node| TcpMatch {
            destination_subnets: strings(node, "destinationSubnets"),
            source_subnet: string(node, "sourceSubnet"),
            source: source(node, scope),
        })
        .collect();
    TcpRoute {
        matches,
        destinations: weighted(node, scope),
    }
}
