//! ServiceEntry, WorkloadEntry and WorkloadGroup.

use super::annotations::traffic_distribution;
use super::forms::{
    COUNT, LABELS, Scope, held, identity, is_label, istio_kind, labels, positive, protocol, string,
    strings, wildcard_host,
};
use crate::document::Document;
use crate::shape::{Field, Kind, NATURAL, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Endpoint, EntryPort, Location, MachineCheck, MachineProbe, Resolution, ServiceEntry,
    WorkloadEntry, WorkloadGroup,
};
use cloud::istio::protocol::Protocol;
use cloud::kubernetes::probe::Probe;
use engine::Duration;
use std::collections::BTreeSet;
use std::net::IpAddr;

const PROBE_DETAILS: &str = "a probe asks the machine's application alone";
const LISTENERS: &str = "machines without a proxy that say where they listen refuse the rest";
const ASKS_WHETHER_IT_SERVES: &str = "it succeeds while the application serves";

static PORT: Shape = Shape::new(
    "ServiceEntryPort",
    &[
        Field::modelled("number", crate::shape::INTEGER).required(),
        Field::modelled("protocol", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::approximated("targetPort", crate::shape::INTEGER, LISTENERS),
    ],
);
static ENDPOINT: Shape = Shape::new(
    "WorkloadEntrySpec",
    &[
        Field::modelled("address", Kind::Text),
        Field::approximated("ports", Kind::Keyed(&crate::shape::INTEGER), LISTENERS),
        Field::modelled("labels", TEXT_MAP),
        held("network", Kind::Text),
        Field::modelled("locality", Kind::Text),
        Field::modelled("weight", COUNT),
        Field::modelled("serviceAccount", Kind::Text),
    ],
);
/// What machines that register themselves have in common.
static TEMPLATE: Shape = Shape::new(
    "WorkloadGroupTemplate",
    &[
        Field::ignored("address", Kind::Text, "machines register with their own"),
        Field::ignored(
            "ports",
            Kind::Keyed(&crate::shape::INTEGER),
            "a proxy on a machine takes what comes to any of its ports",
        ),
        Field::modelled("labels", TEXT_MAP),
        held("network", Kind::Text),
        Field::modelled("locality", Kind::Text),
        Field::modelled("weight", COUNT),
        Field::modelled("serviceAccount", Kind::Text),
    ],
);
static SPEC: Shape = Shape::new(
    "ServiceEntrySpec",
    &[
        Field::modelled("hosts", TEXT_LIST).required(),
        Field::modelled("addresses", TEXT_LIST),
        Field::modelled("ports", Kind::List(&Kind::Map(&PORT))),
        Field::modelled("location", Kind::OneOf(&["MESH_EXTERNAL", "MESH_INTERNAL"])),
        Field::approximated(
            "resolution",
            Kind::OneOf(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]),
            "names keep their addresses, and DNS_ROUND_ROBIN takes all of them",
        ),
        Field::modelled("endpoints", Kind::List(&Kind::Map(&ENDPOINT))),
        Field::modelled("workloadSelector", Kind::Map(&LABELS)),
        Field::modelled("exportTo", TEXT_LIST),
        held("subjectAltNames", TEXT_LIST),
    ],
);
istio_kind!(SERVICE_ENTRY, "ServiceEntry", SPEC);
istio_kind!(WORKLOAD_ENTRY, "WorkloadEntry", ENDPOINT);

static GROUP_METADATA: Shape = Shape::new(
    "WorkloadGroupMetadata",
    &[
        Field::modelled("labels", TEXT_MAP),
        Field::ignored("annotations", TEXT_MAP, "read by people and other programs"),
    ],
);
static HTTP_HEADER: Shape = Shape::new(
    "ProbeHTTPHeader",
    &[
        Field::ignored("name", Kind::Text, PROBE_DETAILS),
        Field::ignored("value", Kind::Text, PROBE_DETAILS),
    ],
);
static HTTP_GET: Shape = Shape::new(
    "HTTPHealthCheckConfig",
    &[
        held("path", Kind::Text),
        held("port", crate::shape::INTEGER).required(),
        Field::ignored("host", Kind::Text, PROBE_DETAILS),
        Field::ignored("scheme", Kind::Text, PROBE_DETAILS),
        Field::ignored(
            "httpHeaders",
            Kind::List(&Kind::Map(&HTTP_HEADER)),
            PROBE_DETAILS,
        ),
    ],
);
static TCP_SOCKET: Shape = Shape::new(
    "TCPHealthCheckConfig",
    &[
        Field::ignored("host", Kind::Text, PROBE_DETAILS),
        held("port", crate::shape::INTEGER).required(),
    ],
);
static EXEC: Shape = Shape::new(
    "ExecHealthCheckConfig",
    &[Field::ignored("command", TEXT_LIST, PROBE_DETAILS)],
);
static GRPC: Shape = Shape::new(
    "GrpcHealthCheckConfig",
    &[
        held("port", crate::shape::INTEGER),
        Field::ignored("service", Kind::Text, PROBE_DETAILS),
    ],
);
/// Whose probes act.
const OF_AGENTS: &str = "agents of machines keep to it; that of a proxy's settings does not act";

pub(super) static PROBE: Shape = Shape::new(
    "IstioReadinessProbe",
    &[
        Field::approximated("initialDelaySeconds", NATURAL, OF_AGENTS),
        Field::approximated("timeoutSeconds", NATURAL, OF_AGENTS),
        Field::approximated("periodSeconds", NATURAL, OF_AGENTS),
        Field::approximated("successThreshold", NATURAL, OF_AGENTS),
        Field::approximated("failureThreshold", NATURAL, OF_AGENTS),
        held("httpGet", Kind::Map(&HTTP_GET)),
        held("tcpSocket", Kind::Map(&TCP_SOCKET)),
        held("exec", Kind::Map(&EXEC)),
        held("grpc", Kind::Map(&GRPC)),
    ],
);
/// The probe of a machine's application, by the agent beside it.
static MACHINE_PROBE: Shape = Shape::new(
    "MachineProbe",
    &[
        Field::modelled("initialDelaySeconds", NATURAL),
        Field::modelled("timeoutSeconds", NATURAL),
        Field::modelled("periodSeconds", NATURAL),
        Field::modelled("successThreshold", NATURAL),
        Field::modelled("failureThreshold", NATURAL),
        Field::approximated("httpGet", Kind::Map(&HTTP_GET), ASKS_WHETHER_IT_SERVES),
        Field::approximated("tcpSocket", Kind::Map(&TCP_SOCKET), ASKS_WHETHER_IT_SERVES),
        Field::approximated("exec", Kind::Map(&EXEC), ASKS_WHETHER_IT_SERVES),
        Field::approximated("grpc", Kind::Map(&GRPC), ASKS_WHETHER_IT_SERVES),
    ],
);
static GROUP_SPEC: Shape = Shape::new(
    "WorkloadGroupSpec",
    &[
        Field::modelled("metadata", Kind::Map(&GROUP_METADATA)),
        Field::modelled("template", Kind::Map(&TEMPLATE)).required(),
        Field::modelled("probe", Kind::Map(&MACHINE_PROBE)),
    ],
);
istio_kind!(WORKLOAD_GROUP, "WorkloadGroup", GROUP_SPEC);

/// Reads a checked ServiceEntry.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> ServiceEntry {
    let spec = document.spec();
    let resolution = match spec.get("resolution").and_then(Node::str) {
        Some("STATIC") => Resolution::Static,
        Some("DNS") => Resolution::Dns,
        Some("DNS_ROUND_ROBIN") => Resolution::DnsRoundRobin,
        Some("DYNAMIC_DNS") => Resolution::DynamicDns,
        _ => Resolution::None,
    };
    let entry = ServiceEntry {
        identity: identity(document),
        labels: document.metadata.labels.clone(),
        hosts: strings(spec, "hosts"),
        addresses: strings(spec, "addresses"),
        ports: ports(spec, scope),
        location: match spec.get("location").and_then(Node::str) {
            Some("MESH_INTERNAL") => Location::Internal,
            _ => Location::External,
        },
        resolution,
        endpoints: spec
            .list("endpoints")
            .iter()
            .map(|node| endpoint(node, scope))
            .collect(),
        selector: spec
            .get("workloadSelector")
            .map(|node| labels(node, "labels")),
        subject_names: strings(spec, "subjectAltNames"),
        export_to: scope.export_to(spec, true),
        distribution: traffic_distribution(&document.metadata),
    };
    check_hosts(spec, &entry, scope);
    check_resolution(spec, &entry, scope);
    entry
}

fn ports(spec: &Node, scope: &mut Scope<'_>) -> Vec<EntryPort> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let mut ports = Vec::new();
    for node in spec.list("ports") {
        let name = string(node, "name").unwrap_or_default();
        if !is_label(&name) {
            scope.refuse(
                node.span,
                format!("`{name}` cannot be the name of a port"),
                "names are letters, digits and dashes",
            );
        } else if !names.insert(name.clone()) {
            scope.refuse(
                node.span,
                format!("two ports are called `{name}`"),
                "give each a name of its own",
            );
        }
        let text = string(node, "protocol");
        let carried = protocol(node, "protocol");
        if let (Some(text), None) = (&text, carried) {
            let help = "it takes HTTP, HTTP2, HTTPS, GRPC, TLS, TCP, UDP, MONGO, REDIS or MYSQL";
            scope.refuse(node.span, format!("`{text}` is no protocol"), help);
        }
        let Some(number) = scope.port(node.get("number")) else {
            continue;
        };
        if !numbers.insert(number) {
            scope.refuse(
                node.span,
                format!("the port {number} is there twice"),
                "remove one of the two",
            );
        }
        let target = match node.get("targetPort").and_then(Node::integer) {
            None | Some(0) => Some(number),
            Some(_) => scope.port(node.get("targetPort")),
        };
        ports.push(EntryPort {
            number,
            name,
            protocol: carried.unwrap_or(Protocol::Sniffed),
            target: target.unwrap_or(number),
        });
    }
    ports
}

fn check_hosts(spec: &Node, entry: &ServiceEntry, scope: &mut Scope<'_>) {
    if entry.hosts.is_empty() {
        scope.refuse(
            spec.span,
            "the ServiceEntry has no hosts",
            "name one at least",
        );
    }
    for host in spec.list("hosts") {
        let text = host.str().unwrap_or_default();
        scope.check_host(text, host.span);
        if text == "*" {
            scope.refuse(
                host.span,
                "`*` cannot be a host of a ServiceEntry",
                "name a domain",
            );
        }
        let is_wildcard = text.starts_with('*');
        if entry.resolution == Resolution::DynamicDns && !is_wildcard {
            let message = "DYNAMIC_DNS needs hosts with a wildcard";
            scope.refuse(host.span, message, "write `*.example.com`, or use DNS");
        }
        let by_name = [Resolution::Dns, Resolution::DnsRoundRobin].contains(&entry.resolution);
        if by_name && is_wildcard && entry.endpoints.is_empty() && entry.selector.is_none() {
            let message = "a host with a wildcard cannot be resolved";
            scope.refuse(
                host.span,
                message,
                "give `endpoints`, or use NONE or DYNAMIC_DNS",
            );
        }
    }
    let tells_apart = |port: &EntryPort| port.protocol.is_http() || port.protocol.is_tls();
    if entry.hosts.len() > 1
        && entry.resolution != Resolution::None
        && !entry.ports.iter().all(tells_apart)
    {
        let message = "several hosts on a port that is neither HTTP nor TLS cannot be told apart";
        scope.refuse(spec.span, message, "make a ServiceEntry for each host");
    }
}

fn check_resolution(spec: &Node, entry: &ServiceEntry, scope: &mut Scope<'_>) {
    if entry.selector.is_some() && !entry.endpoints.is_empty() {
        let message = "`workloadSelector` and `endpoints` exclude one another";
        scope.refuse(spec.span, message, "remove one of the two");
    }
    let has_range = entry.addresses.iter().any(|address| address.contains('/'));
    let is_plain = [Resolution::None, Resolution::Static].contains(&entry.resolution);
    if has_range && !is_plain {
        let message = "ranges of addresses need the resolution NONE or STATIC";
        scope.refuse(spec.span, message, "list single addresses");
    }
    for address in spec.list("addresses") {
        let text = address.str().unwrap_or_default();
        if text.parse::<IpAddr>().is_err() && text.parse::<ipnet::IpNet>().is_err() {
            let message = format!("`{text}` is neither an address nor a range of them");
            scope.refuse(address.span, message, "write `10.0.0.1` or `10.0.0.0/8`");
        }
    }
    let forbidden = match entry.resolution {
        Resolution::None => Some("the resolution NONE takes no endpoints"),
        Resolution::DynamicDns => Some("the resolution DYNAMIC_DNS takes no endpoints"),
        _ => None,
    };
    if let Some(message) = forbidden.filter(|_| !entry.endpoints.is_empty()) {
        scope.refuse(spec.span, message, "use STATIC or DNS");
    }
    if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        let message = "DNS_ROUND_ROBIN takes one endpoint at most";
        scope.refuse(spec.span, message, "use DNS for several");
    }
    let names: BTreeSet<_> = entry.ports.iter().map(|port| port.name.as_str()).collect();
    for (endpoint, node) in entry.endpoints.iter().zip(spec.list("endpoints")) {
        let is_address =
            endpoint.address.parse::<IpAddr>().is_ok() || endpoint.address.starts_with("unix://");
        if entry.resolution == Resolution::Static && !is_address && !endpoint.address.is_empty() {
            let message = format!("`{}` is no address, which STATIC needs", endpoint.address);
            scope.refuse(node.span, message, "use DNS for names");
        }
        if let Some((name, _)) = endpoint
            .ports
            .iter()
            .find(|(name, _)| !names.contains(name.as_str()))
        {
            let message = format!("the ServiceEntry has no port `{name}`");
            scope.refuse(
                node.span,
                message,
                "endpoints map the ports of the ServiceEntry by name",
            );
        }
    }
}

fn endpoint(node: &Node, scope: &mut Scope<'_>) -> Endpoint {
    let ports = node.get("ports").map_or(&[][..], Node::entries).iter();
    let ports: Vec<_> = ports
        .filter_map(|entry| Some((entry.key.clone(), scope.port(Some(&entry.value))?)))
        .collect();
    let address = string(node, "address").unwrap_or_default();
    let is_unix = address.starts_with("unix://");
    if is_unix && !ports.is_empty() {
        scope.refuse(node.span, "a Unix socket has no ports", "remove `ports`");
    }
    if !is_unix && !address.is_empty() && wildcard_host(&address).is_err() {
        let message = format!("`{address}` is neither an address nor a name");
        scope.refuse(node.span, message, "write `10.0.0.1` or `vm.example.com`");
    }
    Endpoint {
        address,
        ports,
        labels: labels(node, "labels"),
        network: string(node, "network"),
        locality: string(node, "locality"),
        weight: positive(node, "weight"),
        service_account: string(node, "serviceAccount"),
    }
}

/// Reads a checked WorkloadEntry.
pub(super) fn read_entry(document: &Document, scope: &mut Scope<'_>) -> WorkloadEntry {
    let spec = document.spec();
    if string(spec, "address").is_none() {
        let span = document.metadata.span;
        match string(spec, "network") {
            None => scope.refuse(span, "the WorkloadEntry has no address", "give `address`"),
            Some(network) => {
                let message = format!("the WorkloadEntry has no address in network `{network}`");
                scope.warn(span, message, "it is reached through the network's gateway");
            }
        }
    }
    WorkloadEntry {
        identity: identity(document),
        endpoint: endpoint(spec, scope),
    }
}

/// Reads a checked WorkloadGroup.
pub(super) fn read_group(document: &Document, scope: &mut Scope<'_>) -> WorkloadGroup {
    let spec = document.spec();
    let metadata = spec.get("metadata");
    let template = spec.get("template");
    WorkloadGroup {
        identity: identity(document),
        labels: metadata
            .map(|node| labels(node, "labels"))
            .unwrap_or_default(),
        template: template.map_or_else(Endpoint::default, |node| endpoint(node, scope)),
        probe: spec.get("probe").and_then(|node| probe(node, scope)),
    }
}

/// Reads a probe of a machine's application.
pub(super) fn probe(node: &Node, scope: &mut Scope<'_>) -> Option<MachineProbe> {
    let check = if let Some(http) = node.get("httpGet") {
        Some(MachineCheck::Http {
            port: scope.port(http.get("port"))?,
            path: string(http, "path").unwrap_or_else(|| "/".to_owned()),
        })
    } else if let Some(tcp) = node.get("tcpSocket") {
        Some(MachineCheck::Tcp {
            port: scope.port(tcp.get("port"))?,
        })
    } else if let Some(grpc) = node.get("grpc") {
        Some(MachineCheck::Grpc {
            port: scope.port(grpc.get("port"))?,
        })
    } else {
        node.get("exec").map(|_| MachineCheck::Command)
    };
    if check.is_none() {
        let help = "give `httpGet`, `tcpSocket`, `grpc` or `exec`";
        scope.refuse(node.span, "the probe asks nothing", help);
    }
    let seconds = |key: &str| positive(node, key).map(|count| Duration::from_secs(count.into()));
    Some(MachineProbe {
        check: check?,
        probe: Probe {
            initial_delay: seconds("initialDelaySeconds").unwrap_or(Duration::ZERO),
            period: seconds("periodSeconds").unwrap_or(facts::MACHINE_PROBE_PERIOD.value),
            timeout: seconds("timeoutSeconds").unwrap_or(facts::MACHINE_PROBE_TIMEOUT.value),
            success_threshold: positive(node, "successThreshold")
                .unwrap_or(facts::MACHINE_PROBE_SUCCESSES.value),
            failure_threshold: positive(node, "failureThreshold")
                .unwrap_or(facts::MACHINE_PROBE_FAILURES.value),
        },
    })
}
