//! What an installation of Istio brings: the gateways of its profiles, and those that an
//! IstioOperator describes.
//!
//! Models: `components.ingressGateways` and `egressGateways` with their name, namespace, labels,
//! replicas, autoscaler, resources, and the type and ports of their Service, over `values.gateways`
//! and the values of the charts; what is not enabled is not there. Gateways that no IstioOperator
//! mentions are there where a Gateway chooses them.
//! Leaves out: profiles; what else `k8s` changes.
//! Sources: istio/istio 86c9f01 manifests/charts/gateways/istio-ingress and istio-egress,
//! operator/pkg/component/component.go, operator/pkg/render/manifest.go,
//! operator/pkg/apis/validation/validation.go.
//! Validated by: `tests/promises/istio_gateways.rs`, and the variant `three` of
//! `mesh/bookinfo-gateway`.

use super::by_hand::OTHER;
use super::forms::{Scope, flag, string};
use crate::diagnostic::Code;
use crate::document::Document;
use crate::kubernetes::Metadata;
use crate::kubernetes::autoscaler::{Autoscaler, BEHAVIOR, METRIC, behavior, metrics};
use crate::kubernetes::metadata::text_map;
use crate::shape::{Field, Kind, NATURAL, PORT, Shape, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{QUANTITY, parse_quantity};
use cloud::facts;
use cloud::istio::config::Labels;
use cloud::scenario::{Metric, Resources, ScalingBehavior, ServiceKind};
use std::collections::BTreeMap;

static AMOUNTS: Shape = Shape::new(
    "GatewayAmounts",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)),
        Field::modelled("memory", Kind::Format(&QUANTITY)),
    ],
)
.or_else(&OTHER);
static LIMITS: Shape = Shape::new(
    "GatewayLimits",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)),
        Field::ignored(
            "memory",
            Kind::Format(&QUANTITY),
            "gateways do not run out of memory",
        ),
    ],
)
.or_else(&OTHER);
static RESOURCES: Shape = Shape::new(
    "GatewayResources",
    &[
        Field::modelled("requests", Kind::Map(&AMOUNTS)),
        Field::modelled("limits", Kind::Map(&LIMITS)),
    ],
);
static GATEWAY_PORT: Shape = Shape::new(
    "GatewayServicePort",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("port", PORT).required(),
        Field::modelled("targetPort", PORT),
        Field::modelled("nodePort", PORT),
        Field::approximated("protocol", Kind::Text, "gateways take TCP"),
    ],
)
.or_else(&OTHER);
const TYPES: Kind = Kind::OneOf(&["ClusterIP", "NodePort", "LoadBalancer"]);
static SERVICE: Shape = Shape::new(
    "GatewayService",
    &[
        Field::modelled("type", TYPES),
        Field::modelled("ports", Kind::List(&Kind::Map(&GATEWAY_PORT))),
    ],
)
.or_else(&OTHER);
static HPA: Shape = Shape::new(
    "GatewayAutoscaler",
    &[
        Field::ignored(
            "scaleTargetRef",
            Kind::Opaque,
            "it scales the gateway that it belongs to",
        ),
        Field::modelled("minReplicas", NATURAL),
        Field::modelled("maxReplicas", NATURAL),
        Field::modelled("metrics", Kind::List(&Kind::Map(&METRIC))),
        Field::modelled("behavior", Kind::Map(&BEHAVIOR)),
    ],
);
static KUBERNETES: Shape = Shape::new(
    "GatewayKubernetesResources",
    &[
        Field::modelled("replicaCount", NATURAL),
        Field::modelled("hpaSpec", Kind::Map(&HPA)),
        Field::modelled("resources", Kind::Map(&RESOURCES)),
        Field::modelled("service", Kind::Map(&SERVICE)),
    ],
)
.or_else(&OTHER);
/// An entry of `components.ingressGateways` or `egressGateways`.
pub(super) static COMPONENT: Shape = Shape::new(
    "GatewayComponent",
    &[
        Field::modelled("enabled", Kind::Bool),
        Field::modelled("name", Kind::Text),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("label", TEXT_MAP),
        Field::modelled("k8s", Kind::Map(&KUBERNETES)),
    ],
)
.or_else(&OTHER);
static CPU: Shape = Shape::new(
    "GatewayCpuTarget",
    &[Field::modelled("targetAverageUtilization", NATURAL)],
);
static VALUES: Shape = Shape::new(
    "GatewayValues",
    &[
        Field::modelled("enabled", Kind::Bool),
        Field::modelled("autoscaleEnabled", Kind::Bool),
        Field::modelled("autoscaleMin", NATURAL),
        Field::modelled("autoscaleMax", NATURAL),
        Field::modelled("cpu", Kind::Map(&CPU)),
        Field::modelled("replicaCount", NATURAL),
        Field::modelled("resources", Kind::Map(&RESOURCES)),
        Field::modelled("type", TYPES),
        Field::modelled("ports", Kind::List(&Kind::Map(&GATEWAY_PORT))),
        Field::modelled("labels", TEXT_MAP),
    ],
)
.or_else(&OTHER);
/// `values.gateways`.
pub(super) static GATEWAYS: Shape = Shape::new(
    "GatewaysValues",
    &[
        Field::modelled("istio-ingressgateway", Kind::Map(&VALUES)),
        Field::modelled("istio-egressgateway", Kind::Map(&VALUES)),
    ],
)
.or_else(&OTHER);

/// The namespace of what an installation brings.
pub(crate) const NAMESPACE: &str = "istio-system";

/// Where gateways say whether they are ready.
pub(crate) const STATUS_PORT: u16 = facts::ISTIO_GATEWAY_STATUS_PORT.value as u16;

/// A gateway of a profile.
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its label `istio`.
    pub(crate) istio: &'static str,
    /// What an IstioOperator calls the list of its kind.
    list: &'static str,
    /// Whether it is there unless somebody says otherwise.
    is_usual: bool,
    /// How it is reached.
    service: ServiceKind,
    /// Name, port, and port of the pods.
    ports: &'static [(&'static str, u16, u16)],
}

/// The gateways of the profiles.
pub(crate) const KNOWN: [Known; 2] = [
    Known {
        name: "istio-ingressgateway",
        istio: "ingressgateway",
        list: "ingressGateways",
        is_usual: true,
        service: ServiceKind::LoadBalancer,
        ports: &[
            ("status-port", STATUS_PORT, STATUS_PORT),
            ("http2", 80, 8_080),
            ("https", 443, 8_443),
        ],
    },
    Known {
        name: "istio-egressgateway",
        istio: "egressgateway",
        list: "egressGateways",
        is_usual: false,
        service: ServiceKind::ClusterIp,
        ports: &[("http2", 80, 8_080), ("https", 443, 8_443)],
    },
];

impl Known {
    /// Labels of its pods.
    pub(crate) fn labels(&self) -> Labels {
        let pairs = [("app", self.name), ("istio", self.istio)];
        let owned = pairs.map(|(label, value)| (label.to_owned(), value.to_owned()));
        owned.into()
    }
}

/// A gateway that an installation describes.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Of which known one it is a kind.
    pub(crate) kind: usize,
    /// Whether it is there.
    pub(crate) is_enabled: bool,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) replicas: u32,
    pub(crate) requests: Resources,
    pub(crate) cpu_limit_milli: u64,
    pub(crate) service: ServiceKind,
    pub(crate) ports: Vec<GatewayPort>,
    scaling: Option<Scaling>,
    pub(crate) span: Span,
}

/// A port of its Service.
#[derive(Clone, Debug)]
pub(crate) struct GatewayPort {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) target: u16,
    pub(crate) node_port: Option<u16>,
}

/// What its autoscaler is told.
#[derive(Clone, Debug)]
struct Scaling {
    replicas: (u32, u32),
    metrics: Vec<Metric>,
    behavior: Option<ScalingBehavior>,
}

impl Component {
    /// What a chart brings whose values nobody changes.
    pub(crate) fn usual(kind: usize, span: Span) -> Component {
        let known = &KNOWN[kind];
        let ports = known.ports.iter();
        Component {
            kind,
            is_enabled: true,
            namespace: NAMESPACE.to_owned(),
            name: known.name.to_owned(),
            labels: known.labels(),
            replicas: facts::ISTIO_GATEWAY_REPLICAS.value,
            requests: Resources {
                cpu_milli: facts::ISTIO_GATEWAY_CPU_REQUEST_MILLI.value,
                memory_bytes: facts::ISTIO_GATEWAY_MEMORY_REQUEST_BYTES.value,
            },
            cpu_limit_milli: facts::ISTIO_GATEWAY_CPU_LIMIT_MILLI.value,
            service: known.service.clone(),
            ports: ports
                .map(|&(name, port, target)| GatewayPort {
                    name: Some(name.to_owned()),
                    port,
                    target,
                    node_port: None,
                })
                .collect(),
            scaling: Some(Scaling {
                replicas: (
                    facts::ISTIO_GATEWAY_REPLICAS_MIN.value,
                    facts::ISTIO_GATEWAY_REPLICAS_MAX.value,
                ),
                metrics: vec![Metric::CpuUtilization(
                    facts::ISTIO_GATEWAY_CPU_UTILIZATION_PERCENT.value,
                )],
                behavior: None,
            }),
            span,
        }
    }

    /// Its autoscaler.
    pub(crate) fn autoscaler(&self) -> Option<Autoscaler> {
        let scaling = self.scaling.clone()?;
        Some(Autoscaler {
            metadata: Metadata {
                namespace: self.namespace.clone(),
                name: self.name.clone(),
                labels: self.labels.clone(),
                annotations: BTreeMap::new(),
                controller: None,
                span: self.span,
            },
            target: ("Deployment".to_owned(), self.name.clone()),
            target_span: self.span,
            replicas: scaling.replicas,
            metrics: scaling.metrics,
            behavior: scaling.behavior,
        })
    }

    /// Takes over what the values of its chart say.
    fn set_values(&mut self, values: &Node) {
        self.labels.extend(text_map(values.get("labels")));
        self.set_resources(values.get("resources"));
        self.set_service(values);
        if flag(values, "autoscaleEnabled") == Some(false) {
            self.scaling = None;
            self.replicas = natural(values, "replicaCount").unwrap_or(self.replicas);
        }
        if let Some(scaling) = &mut self.scaling {
            let (least, most) = &mut scaling.replicas;
            *least = natural(values, "autoscaleMin").unwrap_or(*least);
            *most = natural(values, "autoscaleMax").unwrap_or(*most);
            let target = values.get("cpu");
            if let Some(target) = target.and_then(|it| natural(it, "targetAverageUtilization")) {
                scaling.metrics = vec![Metric::CpuUtilization(target)];
            }
        }
    }

    /// Takes over what an entry of an IstioOperator says of Kubernetes' objects.
    fn set_kubernetes(&mut self, said: &Node, scope: &mut Scope<'_>) {
        self.set_resources(said.get("resources"));
        if let Some(service) = said.get("service") {
            self.set_service(service);
        }
        self.replicas = natural(said, "replicaCount").unwrap_or(self.replicas);
        if let (Some(scaling), Some(said)) = (&mut self.scaling, said.get("hpaSpec")) {
            let (least, most) = &mut scaling.replicas;
            *least = natural(said, "minReplicas").unwrap_or(*least);
            *most = natural(said, "maxReplicas").unwrap_or(*most);
            if !said.list("metrics").is_empty() {
                scaling.metrics = metrics(said, scope.diagnostics);
            }
            scaling.behavior = said.get("behavior").map(behavior);
        }
    }

    fn set_resources(&mut self, said: Option<&Node>) {
        let read = |of: &str, key: &str| {
            let text = said?.at(&[of, key])?.text()?;
            parse_quantity(text).ok()
        };
        if let Some(amount) = read("requests", "cpu") {
            self.requests.cpu_milli = amount.milli();
        }
        if let Some(amount) = read("requests", "memory") {
            self.requests.memory_bytes = amount.whole();
        }
        if let Some(amount) = read("limits", "cpu") {
            self.cpu_limit_milli = amount.milli();
        }
    }

    fn set_service(&mut self, said: &Node) {
        match said.get("type").and_then(Node::str) {
            Some("ClusterIP") => self.service = ServiceKind::ClusterIp,
            Some("NodePort") => self.service = ServiceKind::NodePort,
            Some("LoadBalancer") => self.service = ServiceKind::LoadBalancer,
            _ => {}
        }
        let ports = said.list("ports").iter().filter_map(port);
        let ports: Vec<GatewayPort> = ports.collect();
        if !ports.is_empty() {
            self.ports = ports;
        }
    }

    /// The autoscaler has long been there when a run begins.
    fn settle(mut self, scope: &mut Scope<'_>) -> Component {
        if let Some(Scaling {
            replicas: (least, most),
            ..
        }) = self.scaling
        {
            if least == 0 || most == 0 {
                // The charts make none then.
                self.scaling = None;
            } else if least > most {
                let message = format!(
                    "the gateway `{}` has at least {least} replicas, and at most {most}",
                    self.name
                );
                scope
                    .diagnostics
                    .report(Code::Conflict, self.span, message)
                    .help("raise `maxReplicas`, or lower `minReplicas`");
                self.scaling = None;
            } else {
                self.replicas = self.replicas.clamp(least, most);
            }
        }
        self
    }
}

fn natural(node: &Node, key: &str) -> Option<u32> {
    let number = node.get(key).and_then(Node::integer)?;
    u32::try_from(number).ok()
}

fn port(node: &Node) -> Option<GatewayPort> {
    let number = |key: &str| u16::try_from(node.get(key)?.integer()?).ok();
    let port = number("port")?;
    Some(GatewayPort {
        name: string(node, "name"),
        port,
        target: number("targetPort").unwrap_or(port),
        node_port: number("nodePort"),
    })
}

/// The gateways that an IstioOperator describes, those among them that it switches off.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> Vec<Component> {
    let spec = document.spec();
    let mut found = Vec::new();
    for (kind, known) in KNOWN.iter().enumerate() {
        let values = spec.at(&["values", "gateways", known.name]);
        let by_values = values.and_then(|values| flag(values, "enabled"));
        let entries = spec.at(&["components", known.list]);
        let span = entries
            .or(values)
            .map_or(document.metadata.span, |it| it.span);
        let described = |span| {
            let mut component = Component::usual(kind, span);
            if let Some(values) = values {
                component.set_values(values);
            }
            component
        };
        let Some(entries) = entries else {
            if values.is_some() {
                let mut component = described(span);
                component.is_enabled = known.is_usual || by_values == Some(true);
                found.push(component.settle(scope));
            }
            continue;
        };
        for entry in entries.items() {
            let mut component = described(entry.span);
            let is_enabled = flag(entry, "enabled").unwrap_or(true);
            component.is_enabled = is_enabled || by_values == Some(true);
            component.name = string(entry, "name").unwrap_or(component.name);
            component.namespace = string(entry, "namespace").unwrap_or(component.namespace);
            component.labels.extend(text_map(entry.get("label")));
            if let Some(said) = entry.get("k8s") {
                let is_scaled = values.and_then(|it| flag(it, "autoscaleEnabled")) == Some(true);
                if let (true, Some(count)) = (is_scaled, said.get("replicaCount")) {
                    let message = "`replicaCount` counts until the autoscaler looks";
                    let help = "set `hpaSpec`, or `autoscaleEnabled: false`";
                    scope.warn(count.span, message, help);
                }
                component.set_kubernetes(said, scope);
            }
            found.push(component.settle(scope));
        }
    }
    found
}
