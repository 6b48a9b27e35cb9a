//! Service, EndpointSlice and Endpoints.
//!
//! Models: all types, named ports, session affinity, traffic policies, addresses written by hand,
//! addresses, ports and source ranges that a service asks for.
//! Approximated: nobody in a scenario calls an external address; whoever is served by another class
//! of load balancers is served like all.
//! Leaves out: address families.
//! Sources: k8s.io/api core/v1 and discovery/v1 types.go (1.36).

use super::container::PORT_REFERENCE;
use super::kube_proxy;
use super::metadata::{API_VERSION, KIND, METADATA, Metadata, WRITTEN_BY_SERVER, text, text_map};
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Format, Kind, PORT, Shape, TEXT_LIST, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use crate::value::IntegerOrText;
use cloud::facts;
use cloud::scenario::{GivenAddresses, TrafficDistribution, TrafficPolicy, Transport};
use engine::Duration;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What a port is for.
pub(super) const PROTOCOLS: Kind = Kind::OneOf(&["TCP", "UDP", "SCTP"]);
const ADDRESSES: &str = "addresses are not modelled one by one";
const POLICIES: Kind = Kind::OneOf(&["Cluster", "Local"]);
const BALANCER: &str = "one kind of load balancer is modelled";
const IN_RULES: &str = "it shows in rules; nobody in a scenario calls it";

/// An address, or what stands for none.
static ADDRESS: Format = Format {
    name: "an address",
    examples: "`10.96.0.10`, `None`",
    pattern: r"^(None|[0-9a-fA-F.:]*)$",
    check: |text| match text {
        "" | "None" => Ok(()),
        _ => match text.parse::<IpAddr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("`{text}` is no address")),
        },
    },
};
/// A range of sources.
static SOURCES: Format = Format {
    name: "a range of addresses",
    examples: "`203.0.113.0/24`",
    pattern: r"^\s*[0-9a-fA-F.:]+/[0-9]+\s*$",
    check: |text| match text.trim().parse::<IpNet>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{text}` is no address with a number of bits")),
    },
};

static SERVICE_PORT: Shape = Shape::new(
    "ServicePort",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("port", PORT).required(),
        Field::modelled("targetPort", PORT_REFERENCE),
        Field::modelled("nodePort", Kind::Integer(0, 65_535)),
        Field::modelled("protocol", PROTOCOLS),
        Field::approximated(
            "appProtocol",
            Kind::Text,
            "Istio is told; the protocol of a call is set where the call is described",
        ),
    ],
);
static CLIENT_IP: Shape = Shape::new(
    "ClientIPConfig",
    &[Field::modelled("timeoutSeconds", Kind::Integer(1, 86_400))],
);
static AFFINITY_CONFIG: Shape = Shape::new(
    "SessionAffinityConfig",
    &[Field::modelled("clientIP", Kind::Map(&CLIENT_IP))],
);
static SERVICE_SPEC: Shape = Shape::new(
    "ServiceSpec",
    &[
        Field::modelled(
            "type",
            Kind::OneOf(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
        ),
        Field::modelled("selector", TEXT_MAP),
        Field::modelled("ports", Kind::List(&Kind::Map(&SERVICE_PORT))),
        Field::modelled("clusterIP", Kind::Format(&ADDRESS)),
        Field::approximated(
            "clusterIPs",
            Kind::List(&Kind::Format(&ADDRESS)),
            "that of IPv4 counts",
        ),
        Field::modelled("externalName", Kind::Text),
        Field::modelled("sessionAffinity", Kind::OneOf(&["None", "ClientIP"])),
        Field::modelled("sessionAffinityConfig", Kind::Map(&AFFINITY_CONFIG)),
        Field::modelled("externalTrafficPolicy", POLICIES),
        Field::modelled("internalTrafficPolicy", POLICIES),
        Field::modelled("publishNotReadyAddresses", Kind::Bool),
        Field::modelled(
            "trafficDistribution",
            Kind::OneOf(&["PreferClose", "PreferSameZone", "PreferSameNode"]),
        ),
        Field::approximated("externalIPs", Kind::List(&Kind::Format(&ADDRESS)), IN_RULES),
        Field::ignored("ipFamilies", TEXT_LIST, ADDRESSES),
        Field::ignored("ipFamilyPolicy", Kind::Text, ADDRESSES),
        Field::modelled("loadBalancerIP", Kind::Format(&ADDRESS)),
        Field::approximated(
            "loadBalancerSourceRanges",
            Kind::List(&Kind::Format(&SOURCES)),
            "users are let in unless their place says `addresses` outside of them",
        ),
        Field::ignored("loadBalancerClass", Kind::Text, BALANCER),
        Field::modelled("allocateLoadBalancerNodePorts", Kind::Bool),
        Field::approximated("healthCheckNodePort", Kind::Integer(0, 65_535), IN_RULES),
        Field::ignored("topologyKeys", TEXT_LIST, "removed from Kubernetes in 1.22"),
    ],
);
static LOAD_BALANCER_INGRESS: Shape = Shape::new(
    "LoadBalancerIngress",
    &[
        Field::modelled("ip", Kind::Format(&ADDRESS)),
        Field::modelled("ipMode", Kind::OneOf(&["VIP", "Proxy"])),
        Field::ignored("hostname", Kind::Text, ADDRESSES),
        Field::ignored("ports", Kind::Opaque, WRITTEN_BY_SERVER),
    ],
);
static LOAD_BALANCER_STATUS: Shape = Shape::new(
    "LoadBalancerStatus",
    &[Field::modelled(
        "ingress",
        Kind::List(&Kind::Map(&LOAD_BALANCER_INGRESS)),
    )],
);
static SERVICE_STATUS: Shape = Shape::new(
    "ServiceStatus",
    &[
        Field::modelled("loadBalancer", Kind::Map(&LOAD_BALANCER_STATUS)),
        Field::ignored("conditions", Kind::Opaque, WRITTEN_BY_SERVER),
    ],
);
/// Fields of a Service.
pub(super) static SERVICE: Shape = Shape::new(
    "Service",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("spec", Kind::Map(&SERVICE_SPEC)).required(),
        Field::modelled("status", Kind::Map(&SERVICE_STATUS)),
    ],
);

static CONDITIONS: Shape = Shape::new(
    "EndpointConditions",
    &[
        Field::modelled("ready", Kind::Bool),
        Field::ignored(
            "serving",
            Kind::Bool,
            "an endpoint serves while it is ready",
        ),
        Field::ignored(
            "terminating",
            Kind::Bool,
            "an endpoint serves while it is ready",
        ),
    ],
);
static ENDPOINT: Shape = Shape::new(
    "Endpoint",
    &[
        Field::approximated(
            "addresses",
            TEXT_LIST,
            "each stands for a machine of its own, in the first zone",
        )
        .required(),
        Field::modelled("conditions", Kind::Map(&CONDITIONS)),
        Field::modelled("targetRef", Kind::Opaque),
        Field::ignored("hostname", Kind::Text, ADDRESSES),
        Field::ignored(
            "nodeName",
            Kind::Text,
            "machines stand outside of the nodes",
        ),
        Field::ignored("zone", Kind::Text, "machines stand in the first zone"),
        Field::ignored("hints", Kind::Opaque, "a later release models hints"),
        Field::ignored(
            "deprecatedTopology",
            Kind::Opaque,
            "machines stand in the first zone",
        ),
    ],
);
static ENDPOINT_PORT: Shape = Shape::new(
    "EndpointPort",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("port", PORT),
        Field::modelled("protocol", PROTOCOLS),
        Field::ignored(
            "appProtocol",
            Kind::Text,
            "the protocol of a call is set where the call is described",
        ),
    ],
);
/// Fields of an EndpointSlice.
pub(super) static ENDPOINT_SLICE: Shape = Shape::new(
    "EndpointSlice",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::ignored(
            "addressType",
            Kind::OneOf(&["IPv4", "IPv6", "FQDN"]),
            ADDRESSES,
        )
        .required(),
        Field::modelled("endpoints", Kind::List(&Kind::Map(&ENDPOINT))),
        Field::modelled("ports", Kind::List(&Kind::Map(&ENDPOINT_PORT))),
    ],
);
static ENDPOINT_ADDRESS: Shape = Shape::new(
    "EndpointAddress",
    &[
        Field::approximated(
            "ip",
            Kind::Text,
            "stands for a machine of its own, in the first zone",
        )
        .required(),
        Field::ignored("hostname", Kind::Text, ADDRESSES),
        Field::ignored(
            "nodeName",
            Kind::Text,
            "machines stand outside of the nodes",
        ),
        Field::modelled("targetRef", Kind::Opaque),
    ],
);
static SUBSET: Shape = Shape::new(
    "EndpointSubset",
    &[
        Field::modelled("addresses", Kind::List(&Kind::Map(&ENDPOINT_ADDRESS))),
        Field::ignored("notReadyAddresses", Kind::Opaque, "they get no traffic"),
        Field::modelled("ports", Kind::List(&Kind::Map(&ENDPOINT_PORT))),
    ],
);
/// Fields of an Endpoints object.
pub(super) static ENDPOINTS: Shape = Shape::new(
    "Endpoints",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("subsets", Kind::List(&Kind::Map(&SUBSET))),
    ],
);

/// What a Service leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// A virtual address.
    ClusterIp,
    /// The pods' own addresses.
    Headless,
    /// A virtual address and a port on every node.
    NodePort,
    /// The same behind a load balancer.
    LoadBalancer,
    /// Another name.
    ExternalName(String),
}

/// A Service.
#[derive(Clone, Debug)]
pub struct Service {
    /// How it is called.
    pub metadata: Metadata,
    /// What it leads to.
    pub addressing: Addressing,
    /// Labels of its pods; `None` if its endpoints are written by hand.
    pub selector: Option<BTreeMap<String, String>>,
    /// Where the selector is written.
    pub selector_span: Span,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// `sessionAffinity: ClientIP` with its timeout.
    pub session_affinity: Option<Duration>,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `trafficDistribution`.
    pub distribution: Option<TrafficDistribution>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// Addresses and ports that it asks for.
    pub given: GivenAddresses,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, if any.
    pub name: Option<String>,
    /// Port of the service.
    pub port: u16,
    /// Port of the pods, by number or name.
    pub target: IntegerOrText,
    /// Port on the nodes.
    pub node_port: Option<u16>,
    /// What its requests come over.
    pub transport: Transport,
    /// Where it is written.
    pub span: Span,
}

impl Service {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> Service {
        let empty = Node {
            span: document.root.span,
            value: crate::tree::Value::Mapping(Vec::new()),
        };
        let spec = document.root.get("spec").unwrap_or(&empty);
        let policy = |key| match text(spec, key).as_str() {
            "Local" => TrafficPolicy::Local,
            _ => TrafficPolicy::Cluster,
        };
        let selector = spec
            .entry("selector")
            .filter(|entry| !entry.value.entries().is_empty());
        let service = Service {
            metadata: document.metadata.clone(),
            addressing: addressing(spec),
            selector: selector.map(|entry| text_map(Some(&entry.value))),
            selector_span: selector.map_or(document.metadata.span, |entry| {
                entry.key_span.until(entry.value.span)
            }),
            ports: spec
                .list("ports")
                .iter()
                .filter_map(ServicePort::read)
                .collect(),
            session_affinity: session_affinity(spec),
            internal_policy: policy("internalTrafficPolicy"),
            external_policy: policy("externalTrafficPolicy"),
            distribution: match text(spec, "trafficDistribution").as_str() {
                "PreferClose" => Some(TrafficDistribution::Close),
                "PreferSameZone" => Some(TrafficDistribution::SameZone),
                "PreferSameNode" => Some(TrafficDistribution::SameNode),
                _ => None,
            },
            publish_not_ready: spec
                .get("publishNotReadyAddresses")
                .and_then(Node::bool)
                .unwrap_or(false),
            given: given_addresses(document, spec),
        };
        service.validate(spec, diagnostics);
        service
    }

    /// What the API server rejects.
    fn validate(&self, spec: &Node, diagnostics: &mut Diagnostics) {
        let span = self.metadata.span;
        match &self.addressing {
            Addressing::ExternalName(name) if name.is_empty() => {
                diagnostics.report(
                    Code::MissingField,
                    span,
                    "a Service of type ExternalName lacks `spec.externalName`",
                );
            }
            Addressing::ClusterIp | Addressing::NodePort | Addressing::LoadBalancer
                if spec.list("ports").is_empty() =>
            {
                diagnostics.report(Code::MissingField, span, "the Service lacks `spec.ports`");
            }
            _ => {}
        }
        let checked = self.addressing == Addressing::LoadBalancer
            && self.external_policy == TrafficPolicy::Local;
        if let Some(port) = spec.get("healthCheckNodePort")
            && self.given.health_check_node_port.is_some()
            && !checked
        {
            let message = "`healthCheckNodePort` is for `type: LoadBalancer` with `externalTrafficPolicy: Local`";
            diagnostics.report(Code::WrongValue, port.span, message);
        }
        for (position, port) in self.ports.iter().enumerate() {
            if self.ports.len() > 1 && port.name.is_none() {
                let message = format!(
                    "port {} needs a name, because the Service has several ports",
                    port.port
                );
                diagnostics.report(Code::MissingField, port.span, message);
            }
            let twin = |other: &&ServicePort| other.name.is_some() && other.name == port.name;
            if let Some(twin) = self.ports[..position].iter().find(twin) {
                let name = twin.name.as_deref().unwrap_or_default();
                let message = format!("two ports of the Service are called `{name}`");
                diagnostics.report(Code::DuplicateKey, port.span, message);
            }
        }
    }
}

fn addressing(spec: &Node) -> Addressing {
    match text(spec, "type").as_str() {
        "ExternalName" => Addressing::ExternalName(text(spec, "externalName")),
        "NodePort" => Addressing::NodePort,
        "LoadBalancer" => Addressing::LoadBalancer,
        _ if text(spec, "clusterIP") == "None" => Addressing::Headless,
        _ => Addressing::ClusterIp,
    }
}

/// `sessionAffinity: ClientIP` of a checked `spec`, with its timeout.
/// What a Service asks for; a load balancer's addresses are those of the status, as the cloud gave
/// them, before those of the wish.
fn given_addresses(document: &Document, spec: &Node) -> GivenAddresses {
    let wish: Option<Ipv4Addr> = text(spec, "loadBalancerIP").parse().ok();
    let number = |key| spec.get(key).and_then(Node::integer);
    GivenAddresses {
        cluster_ip: kube_proxy::cluster_ip(spec),
        external_ips: kube_proxy::external_ips(spec),
        load_balancer_ips: kube_proxy::load_balancer_ips(&document.root)
            .or(wish.map(|address| vec![address])),
        source_ranges: kube_proxy::source_ranges(spec),
        health_check_node_port: number("healthCheckNodePort")
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0),
        without_node_ports: spec
            .get("allocateLoadBalancerNodePorts")
            .and_then(Node::bool)
            == Some(false),
    }
}

pub(super) fn session_affinity(spec: &Node) -> Option<Duration> {
    if text(spec, "sessionAffinity") != "ClientIP" {
        return None;
    }
    let seconds = spec
        .at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"])
        .and_then(Node::integer);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Some(seconds.map_or(facts::SESSION_AFFINITY_TIMEOUT.value, Duration::from_secs))
}

impl ServicePort {
    fn read(node: &Node) -> Option<ServicePort> {
        let number = |key: &str| {
            node.get(key)
                .and_then(Node::integer)
                .and_then(|port| u16::try_from(port).ok())
        };
        let port = number("port")?;
        Some(ServicePort {
            name: node.get("name").and_then(Node::str).map(str::to_owned),
            port,
            target: node
                .get("targetPort")
                .and_then(IntegerOrText::read)
                .filter(|target| *target != IntegerOrText::Integer(0))
                .unwrap_or(IntegerOrText::Integer(port.into())),
            node_port: number("nodePort").filter(|port| *port > 0),
            transport: transport(node),
            span: node.span,
        })
    }
}

/// The `protocol` of a port, of whatever it is one.
pub(super) fn transport(port: &Node) -> Transport {
    match port.get("protocol").and_then(Node::str) {
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        _ => Transport::Tcp,
    }
}

/// Addresses given to a service by hand, in an EndpointSlice or an Endpoints object.
#[derive(Clone, Debug)]
pub struct Slice {
    /// How the object is called.
    pub metadata: Metadata,
    /// Name of the service, in the same namespace.
    pub service: String,
    /// Ready addresses that belong to no pod.
    pub addresses: Vec<String>,
    /// Ports.
    pub ports: Vec<SlicePort>,
}

/// A port of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlicePort {
    /// Number.
    pub number: u16,
    /// Name; `None` for the only one.
    pub name: Option<String>,
    /// What its requests come over.
    pub transport: Transport,
}

/// The label that ties an EndpointSlice to its service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl Slice {
    /// Reads a checked EndpointSlice; `None` if it belongs to no service.
    pub(super) fn read(document: &Document) -> Option<Slice> {
        let ready = |endpoint: &&Node| {
            endpoint
                .at(&["conditions", "ready"])
                .and_then(Node::bool)
                .unwrap_or(true)
        };
        let endpoints = document
            .root
            .list("endpoints")
            .iter()
            .filter(ready)
            .filter(|node| !is_pod(node));
        let addresses =
            endpoints.filter_map(|node| node.list("addresses").first()?.str().map(str::to_owned));
        Some(Slice {
            service: document.metadata.labels.get(SERVICE_NAME)?.clone(),
            metadata: document.metadata.clone(),
            addresses: addresses.collect(),
            ports: slice_ports(&document.root),
        })
    }

    /// Reads a checked Endpoints object, one slice per subset; it belongs to the service of its name.
    pub(super) fn read_endpoints(document: &Document) -> Vec<Slice> {
        let slice = |subset: &Node| {
            let addresses = subset.list("addresses").iter().filter(|node| !is_pod(node));
            Slice {
                metadata: document.metadata.clone(),
                service: document.metadata.name.clone(),
                addresses: addresses.map(|address| text(address, "ip")).collect(),
                ports: slice_ports(subset),
            }
        };
        document.root.list("subsets").iter().map(slice).collect()
    }
}

fn slice_ports(node: &Node) -> Vec<SlicePort> {
    let port = |node: &Node| {
        let name = node
            .get("name")
            .and_then(Node::str)
            .filter(|name| !name.is_empty());
        let number = node.get("port").and_then(Node::integer)?;
        Some(SlicePort {
            number: u16::try_from(number).ok()?,
            name: name.map(str::to_owned),
            transport: transport(node),
        })
    };
    node.list("ports").iter().filter_map(port).collect()
}

/// Endpoints that are pods follow from selectors, as the controllers compute them.
fn is_pod(endpoint: &Node) -> bool {
    endpoint.at(&["targetRef", "kind"]).and_then(Node::str) == Some("Pod")
}
