//! Sidecar.

use super::forms::{LABELS, Scope, held, identity, istio_kind, labels, protocol, string, strings};
use super::gateway::{SERVER_TLS, server_tls};
use super::pool::{INBOUND_POOL, connection_pool};
use super::virtual_service::{DESTINATION, destination};
use crate::diagnostic::Code;
use crate::document::Document;
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    CaptureMode, EgressListener, IngressListener, OutboundMode, OutboundPolicy, ServerHost, Sidecar,
};
use cloud::istio::protocol::Protocol;
use cloud::istio::version::Version;
use std::collections::BTreeSet;

const ELSEWHERE: &str =
    "where containers name their ports, nobody listens at others; a socket always has somebody";
const SOCKETS: &str = "addresses act, sockets do not";
const NOT_CAPTURED: &str =
    "`NONE` keeps what services are asked for from the listener; nobody asks it by itself";
const CAPTURE: Kind = Kind::OneOf(&["DEFAULT", "IPTABLES", "NONE"]);

const NUMBER: Field = Field::modelled("number", crate::shape::INTEGER);
const NAME: Field = Field::ignored("name", Kind::Text, "a name for people");
const TARGET: Field = Field::ignored("targetPort", crate::shape::INTEGER, "Istio does not use it");
static PORT: Shape = Shape::new(
    "SidecarPort",
    &[
        NUMBER,
        Field::modelled("protocol", Kind::Text),
        NAME,
        TARGET,
    ],
);
static EGRESS_PORT: Shape = Shape::new(
    "SidecarEgressPort",
    &[
        NUMBER,
        Field::modelled("protocol", Kind::Text),
        NAME,
        TARGET,
    ],
);
static INGRESS: Shape = Shape::new(
    "IstioIngressListener",
    &[
        Field::modelled("port", Kind::Map(&PORT)).required(),
        held("bind", Kind::Text),
        held("captureMode", CAPTURE),
        Field::approximated("defaultEndpoint", Kind::Text, ELSEWHERE),
        held("tls", Kind::Map(&SERVER_TLS)),
        Field::modelled("connectionPool", Kind::Map(&INBOUND_POOL)),
    ],
);
static EGRESS: Shape = Shape::new(
    "IstioEgressListener",
    &[
        Field::modelled("port", Kind::Map(&EGRESS_PORT)),
        Field::approximated("bind", Kind::Text, SOCKETS),
        Field::approximated("captureMode", CAPTURE, NOT_CAPTURED),
        Field::modelled("hosts", TEXT_LIST).required(),
    ],
);
static OUTBOUND: Shape = Shape::new(
    "OutboundTrafficPolicy",
    &[
        Field::modelled("mode", Kind::OneOf(&["REGISTRY_ONLY", "ALLOW_ANY"])),
        held("egressProxy", Kind::Map(&DESTINATION)),
    ],
);
static SPEC: Shape = Shape::new(
    "SidecarSpec",
    &[
        Field::modelled("workloadSelector", Kind::Map(&LABELS)),
        Field::modelled("ingress", Kind::List(&Kind::Map(&INGRESS))),
        Field::modelled("egress", Kind::List(&Kind::Map(&EGRESS))),
        Field::modelled("inboundConnectionPool", Kind::Map(&INBOUND_POOL)),
        Field::modelled("outboundTrafficPolicy", Kind::Map(&OUTBOUND)),
    ],
);
istio_kind!(SIDECAR, "Sidecar", SPEC);

/// Reads a checked document.
pub(super) fn read(document: &Document, version: Version, scope: &mut Scope<'_>) -> Sidecar {
    let spec = document.spec();
    let says = [
        "ingress",
        "egress",
        "outboundTrafficPolicy",
        "inboundConnectionPool",
    ];
    if says.iter().all(|key| spec.get(key).is_none()) {
        let help = "give `ingress`, `egress`, `outboundTrafficPolicy` or `inboundConnectionPool`";
        scope.refuse(document.metadata.span, "the Sidecar says nothing", help);
    }
    let selector = spec
        .get("workloadSelector")
        .map(|node| labels(node, "labels"));
    if selector.as_ref().is_some_and(|labels| labels.is_empty()) {
        let message = "the `workloadSelector` has no labels, so it is for the whole namespace";
        scope.warn(document.metadata.span, message, "remove it, or give labels");
    }
    let mut ports = BTreeSet::new();
    let mut ingress = Vec::new();
    for node in spec.list("ingress") {
        let Some(listener) = ingress_listener(node, scope) else {
            continue;
        };
        if !ports.insert(listener.port) {
            let message = format!("two ingress listeners have the port {}", listener.port);
            scope.refuse(node.span, message, "remove one of the two");
        }
        ingress.push(listener);
    }
    Sidecar {
        identity: identity(document),
        selector,
        ingress,
        egress: egress(spec, version, scope),
        inbound_pool: spec
            .get("inboundConnectionPool")
            .map(|node| connection_pool(node, scope)),
        outbound: spec
            .get("outboundTrafficPolicy")
            .map(|node| OutboundPolicy {
                // Protobuf's zero value counts where the policy does not say.
                mode: match node.get("mode").and_then(Node::str) {
                    Some("ALLOW_ANY") => OutboundMode::AllowAny,
                    _ => OutboundMode::RegistryOnly,
                },
                egress_proxy: node.get("egressProxy").map(|node| destination(node, scope)),
            }),
    }
}

fn capture(node: &Node) -> CaptureMode {
    match node.get("captureMode").and_then(Node::str) {
        Some("IPTABLES") => CaptureMode::Iptables,
        Some("NONE") => CaptureMode::None,
        _ => CaptureMode::Default,
    }
}

fn ingress_listener(node: &Node, scope: &mut Scope<'_>) -> Option<IngressListener> {
    let port = node.get("port")?;
    let carried = protocol(port, "protocol").unwrap_or(Protocol::Sniffed);
    if node.get("tls").is_some() && !carried.is_tls() {
        let message = "a listener that is neither HTTPS nor TLS cannot have `tls`";
        scope.refuse(
            node.span,
            message,
            "set the protocol of the port to HTTPS or TLS",
        );
    }
    Some(IngressListener {
        port: scope.port(port.get("number"))?,
        protocol: carried,
        name: string(port, "name").unwrap_or_default(),
        capture: capture(node),
        default_endpoint: default_endpoint(node, scope),
        tls: node.get("tls").map(|node| server_tls(node, scope)),
        pool: node
            .get("connectionPool")
            .map(|node| connection_pool(node, scope)),
    })
}

/// Where the application listens, in a form that Istio takes.
fn default_endpoint(node: &Node, scope: &mut Scope<'_>) -> Option<String> {
    let node = node.get("defaultEndpoint")?;
    let text = node.str()?;
    let is_socket =
        |path: &str| path.starts_with('@') || path.starts_with('/') && !path.ends_with('/');
    let is_valid = match (text.strip_prefix("unix://"), text.rsplit_once(':')) {
        (Some(path), _) => is_socket(path),
        (None, Some((address, port))) => {
            ["", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"].contains(&address)
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        }
        (None, None) => false,
    };
    if !is_valid {
        let message = format!("`{text}` is no place at which an application listens");
        let help = "127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, [::]:8080 or unix:///path";
        scope.refuse(node.span, message, help);
        return None;
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// What stands before hosts that a listener leaves out.
const LEFT_OUT: char = '~';

/// Hosts that a listener leaves out. Releases that know nothing of that take the mark for a
/// namespace, which there is none of.
fn left_out(node: &Node, version: Version, scope: &mut Scope<'_>) -> Vec<ServerHost> {
    let hosts = node.list("hosts").iter();
    let marked = hosts.filter_map(|node| Some((node, node.str()?.strip_prefix(LEFT_OUT)?)));
    let marked: Vec<_> = marked.collect();
    let is_alone = marked.len() == node.list("hosts").len();
    if version.leaves_hosts_out() {
        return marked
            .iter()
            .map(|(_, host)| ServerHost::of(host))
            .collect();
    }
    for (node, host) in marked {
        // `~/*` by itself is how those releases say that nothing is known.
        if !is_alone || !host.starts_with('/') {
            let minor = version.minor();
            let message = format!("istiod 1.{minor} leaves no hosts out of a Sidecar");
            let since = facts::ISTIO_SIDECAR_EXCLUSION_FROM_MINOR.value;
            let help =
                format!("use Istio 1.{since} or later, or name the hosts that are to be known");
            let found = scope
                .diagnostics
                .report(Code::NotReadByRelease, node.span, message);
            found.help(help);
        }
    }
    Vec::new()
}

fn egress(spec: &Node, version: Version, scope: &mut Scope<'_>) -> Vec<EgressListener> {
    let nodes = spec.list("egress");
    let mut listeners = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        let port = node.get("port");
        if port.is_none() && position + 1 < nodes.len() {
            let message = "an egress listener without a port must be the last one";
            scope.refuse(node.span, message, "move it to the end");
        }
        for host in node.list("hosts") {
            let text = host.str().unwrap_or_default();
            match text.split_once('/') {
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                    scope.check_host(name, host.span);
                }
                _ => {
                    let message = format!("`{text}` lacks a namespace");
                    scope.refuse(
                        host.span,
                        message,
                        "hosts are `namespace/host`: `./*`, `*/reviews`",
                    );
                }
            }
        }
        if node.list("hosts").is_empty() {
            scope.refuse(
                node.span,
                "an egress listener knows no hosts",
                "`*/*` knows all",
            );
        }
        listeners.push(EgressListener {
            port: port.and_then(|port| scope.port(port.get("number"))),
            protocol: port.and_then(|port| protocol(port, "protocol")),
            hosts: strings(node, "hosts")
                .iter()
                .filter(|host| !host.starts_with(LEFT_OUT))
                .map(|host| ServerHost::of(host))
                .collect(),
            left_out: left_out(node, version, scope),
            capture: capture(node),
            bind: string(node, "bind"),
        });
    }
    listeners
}
