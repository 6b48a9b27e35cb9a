//! HorizontalPodAutoscaler, in `autoscaling/v2` and `autoscaling/v1`.
//!
//! Models: the target, the bounds, CPU metrics, `behavior` with its windows, policies and
//! tolerance, and the defaults that the API server fills in.
//! Approximates: metrics of one container by those of the pod, and `Pods` metrics that count
//! requests by the requests that a pod answers.
//! Leaves out: memory, Object and External metrics, scaling to and from zero. A metric that is
//! left out is told.
//! Sources: k8s.io/api autoscaling/v2 and autoscaling/v1 types.go (1.36); kubernetes/kubernetes
//! pkg/apis/autoscaling/v2/defaults.go.

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS, text};
use super::pod::natural;
use super::workload::kind;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Kind, NATURAL, Shape};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{QUANTITY, Quantity, parse_quantity};
use cloud::facts;
use cloud::scenario::{Amount, Metric, ScalingBehavior, ScalingPolicy, ScalingRules, SelectPolicy};
use engine::Duration;

const OTHER_METRICS: &str = "only CPU and requests per pod are measured; the metric is left out";
const POSITIVE: Kind = Kind::Integer(1, i32::MAX as i64);

static TARGET: Shape = Shape::new(
    "CrossVersionObjectReference",
    &[
        Field::ignored("apiVersion", Kind::Text, "kind and name say what is scaled"),
        Field::modelled("kind", Kind::Text).required(),
        Field::modelled("name", Kind::Text).required(),
    ],
);
static METRIC_TARGET: Shape = Shape::new(
    "MetricTarget",
    &[
        Field::modelled(
            "type",
            Kind::OneOf(&["Utilization", "AverageValue", "Value"]),
        )
        .required(),
        Field::modelled("averageUtilization", POSITIVE),
        Field::modelled("averageValue", Kind::Format(&QUANTITY)),
        Field::ignored("value", Kind::Format(&QUANTITY), OTHER_METRICS),
    ],
);
const RESOURCE_NAME: Field = Field::approximated(
    "name",
    Kind::Text,
    "`cpu` is measured; other resources are left out",
)
.required();
const TARGETED: Field = Field::modelled("target", Kind::Map(&METRIC_TARGET)).required();

static RESOURCE: Shape = Shape::new("ResourceMetricSource", &[RESOURCE_NAME, TARGETED]);
static CONTAINER_RESOURCE: Shape = Shape::new(
    "ContainerResourceMetricSource",
    &[
        Field::approximated("container", Kind::Text, "the whole pod is measured").required(),
        RESOURCE_NAME,
        TARGETED,
    ],
);
static METRIC_NAME: Shape = Shape::new(
    "MetricIdentifier",
    &[
        Field::approximated(
            "name",
            Kind::Text,
            "one that names `requests` counts those that a pod answers per second; others are left out",
        )
        .required(),
        Field::ignored("selector", Kind::Opaque, "all requests of the pod count"),
    ],
);
static PODS: Shape = Shape::new(
    "PodsMetricSource",
    &[
        Field::modelled("metric", Kind::Map(&METRIC_NAME)).required(),
        TARGETED,
    ],
);
/// What an autoscaler looks at.
pub(crate) static METRIC: Shape = Shape::new(
    "MetricSpec",
    &[
        Field::modelled(
            "type",
            Kind::OneOf(&[
                "Resource",
                "ContainerResource",
                "Pods",
                "Object",
                "External",
            ]),
        )
        .required(),
        Field::modelled("resource", Kind::Map(&RESOURCE)),
        Field::modelled("containerResource", Kind::Map(&CONTAINER_RESOURCE)),
        Field::modelled("pods", Kind::Map(&PODS)),
        Field::ignored("object", Kind::Opaque, OTHER_METRICS),
        Field::ignored("external", Kind::Opaque, OTHER_METRICS),
    ],
);
static POLICY: Shape = Shape::new(
    "HPAScalingPolicy",
    &[
        Field::modelled("type", Kind::OneOf(&["Pods", "Percent"])).required(),
        Field::modelled("value", POSITIVE).required(),
        Field::modelled("periodSeconds", Kind::Integer(1, 1_800)).required(),
    ],
);
static RULES: Shape = Shape::new(
    "HPAScalingRules",
    &[
        Field::modelled("stabilizationWindowSeconds", Kind::Integer(0, 3_600)),
        Field::modelled("selectPolicy", Kind::OneOf(&["Max", "Min", "Disabled"])),
        Field::modelled("policies", Kind::List(&Kind::Map(&POLICY))),
        Field::modelled("tolerance", Kind::Format(&QUANTITY)),
    ],
);
/// How fast it may move.
pub(crate) static BEHAVIOR: Shape = Shape::new(
    "HorizontalPodAutoscalerBehavior",
    &[
        Field::modelled("scaleUp", Kind::Map(&RULES)),
        Field::modelled("scaleDown", Kind::Map(&RULES)),
    ],
);
static AUTOSCALER_SPEC: Shape = Shape::new(
    "HorizontalPodAutoscalerSpec",
    &[
        Field::modelled("scaleTargetRef", Kind::Map(&TARGET)).required(),
        Field::approximated("minReplicas", NATURAL, "0 counts as 1"),
        Field::modelled("maxReplicas", POSITIVE).required(),
        Field::modelled("metrics", Kind::List(&Kind::Map(&METRIC))),
        Field::modelled("behavior", Kind::Map(&BEHAVIOR)),
        Field::modelled("targetCPUUtilizationPercentage", POSITIVE),
    ],
);
kind!(AUTOSCALER, "HorizontalPodAutoscaler", AUTOSCALER_SPEC);

/// What an autoscaler is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// How it is called.
    pub metadata: Metadata,
    /// Kind and name of what it scales.
    pub target: (String, String),
    /// Where the target is written.
    pub target_span: Span,
    /// Fewest and most replicas, in this order.
    pub replicas: (u32, u32),
    /// What it looks at; nothing if all that it asks for is left out.
    pub metrics: Vec<Metric>,
    /// How fast it may move.
    pub behavior: Option<ScalingBehavior>,
}

impl Autoscaler {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> Autoscaler {
        let at = |path: &[&str]| document.root.at(path);
        let target = at(&["spec", "scaleTargetRef"]);
        let of = |key| target.map(|target| text(target, key)).unwrap_or_default();
        let least = natural(at(&["spec", "minReplicas"])).unwrap_or(1).max(1);
        let most = at(&["spec", "maxReplicas"]);
        let replicas = (least, natural(most).unwrap_or(least));
        if replicas.0 > replicas.1 {
            report_bounds(replicas, most, diagnostics);
        }
        Autoscaler {
            metadata: document.metadata.clone(),
            target: (of("kind"), of("name")),
            target_span: target.map_or(document.metadata.span, |target| target.span),
            replicas,
            metrics: metrics(document.spec(), diagnostics),
            behavior: at(&["spec", "behavior"]).map(behavior),
        }
    }

    /// Whether it measures the use of CPU against what pods request.
    pub fn needs_cpu_requests(&self) -> bool {
        let mut metrics = self.metrics.iter();
        metrics.any(|metric| matches!(metric, Metric::CpuUtilization(_)))
    }
}

fn report_bounds(replicas: (u32, u32), most: Option<&Node>, diagnostics: &mut Diagnostics) {
    let (least, most_replicas) = replicas;
    let message =
        format!("`minReplicas` ({least}) is greater than `maxReplicas` ({most_replicas})");
    diagnostics
        .report(Code::Conflict, most.map(|node| node.span), message)
        .help("raise `maxReplicas`, or lower `minReplicas`");
}

/// What it looks at: the CPU at the API server's default where it names nothing.
pub(crate) fn metrics(spec: &Node, diagnostics: &mut Diagnostics) -> Vec<Metric> {
    let named = spec.list("metrics");
    if named.is_empty() {
        let percent = natural(spec.get("targetCPUUtilizationPercentage"));
        let percent = percent.unwrap_or(facts::HPA_CPU_UTILIZATION_PERCENT.value);
        return vec![Metric::CpuUtilization(percent)];
    }
    let mut metrics = Vec::new();
    for node in named {
        match metric(node) {
            Some(metric) => metrics.push(metric),
            None => {
                let message = "this metric is left out: CPU and requests per pod are measured";
                diagnostics
                    .report(Code::MetricLeftOut, node.span, message)
                    .help("scale by CPU, or by a `Pods` metric whose name holds `requests`");
            }
        }
    }
    metrics
}

/// A metric that is measured, if this is one.
fn metric(node: &Node) -> Option<Metric> {
    let kind = text(node, "type");
    let source = match kind.as_str() {
        "Resource" => node.get("resource")?,
        "ContainerResource" => node.get("containerResource")?,
        "Pods" => node.get("pods")?,
        _ => return None,
    };
    let target = source.get("target")?;
    let average = quantity(target.get("averageValue"));
    if kind == "Pods" {
        let name = text(source.get("metric")?, "name");
        let rate = average?.milli() as f64 / 1e3;
        return (name.contains("requests") && rate > 0.0).then_some(Metric::RequestsAverage(rate));
    }
    if text(source, "name") != "cpu" {
        return None;
    }
    match natural(target.get("averageUtilization")) {
        Some(percent) => Some(Metric::CpuUtilization(percent)),
        None => Some(average?.milli())
            .filter(|milli| *milli > 0)
            .map(Metric::CpuAverage),
    }
}

fn quantity(node: Option<&Node>) -> Option<Quantity> {
    node.and_then(Node::text)
        .and_then(|text| parse_quantity(text).ok())
}

/// How fast it may move, with what the API server fills in.
pub(crate) fn behavior(node: &Node) -> ScalingBehavior {
    ScalingBehavior {
        up: rules(node.get("scaleUp"), ScalingRules::default_up()),
        down: rules(node.get("scaleDown"), ScalingRules::default_down()),
    }
}

fn rules(node: Option<&Node>, default: ScalingRules) -> ScalingRules {
    let Some(node) = node else {
        return default;
    };
    let policies: Vec<_> = node.list("policies").iter().filter_map(policy).collect();
    let select = match text(node, "selectPolicy").as_str() {
        "Min" => SelectPolicy::Min,
        "Disabled" => SelectPolicy::Disabled,
        _ => SelectPolicy::Max,
    };
    let window = natural(node.get("stabilizationWindowSeconds"));
    ScalingRules {
        stabilization: window.map_or(default.stabilization, seconds),
        select,
        policies: if policies.is_empty() {
            default.policies
        } else {
            policies
        },
        tolerance: quantity(node.get("tolerance")).map(|share| share.milli() as f64 / 1e3),
    }
}

fn policy(node: &Node) -> Option<ScalingPolicy> {
    let value = natural(node.get("value"))?;
    Some(ScalingPolicy {
        amount: match text(node, "type").as_str() {
            "Percent" => Amount::Percent(value),
            _ => Amount::Count(value),
        },
        period: seconds(natural(node.get("periodSeconds"))?),
    })
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
