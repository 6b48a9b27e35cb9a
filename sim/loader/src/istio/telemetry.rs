//! Telemetry.

use super::forms::{
    DURATION_KIND, PERCENTAGE, Scope, duration, flag, held, identity, istio_kind, percent, string,
};
use super::security::{SELECTOR, TARGET_REF, TARGET_REFS, target};
use crate::document::Document;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use cloud::istio::config::{AccessLogging, MetricOverride, Metrics, Side, Telemetry, Tracing};

const TAGS: &str = "what is written into traces and metrics costs the same";
const MODE: Field = held(
    "mode",
    Kind::OneOf(&["CLIENT_AND_SERVER", "CLIENT", "SERVER"]),
);

static SIDE: Shape = Shape::new("TelemetrySelector", &[MODE]);
static PROVIDER: Shape = Shape::new("TelemetryProvider", &[held("name", Kind::Text).required()]);
static TRACING: Shape = Shape::new(
    "TelemetryTracing",
    &[
        held("match", Kind::Map(&SIDE)),
        held("providers", Kind::List(&Kind::Map(&PROVIDER))),
        held("randomSamplingPercentage", PERCENTAGE),
        held("disableSpanReporting", Kind::Bool),
        Field::ignored("customTags", Kind::Opaque, TAGS),
        Field::ignored("useRequestIdForTraceSampling", Kind::Bool, TAGS),
        Field::ignored("enableIstioTags", Kind::Bool, TAGS),
        Field::ignored("disableContextPropagation", Kind::Bool, TAGS),
    ],
);
static METRIC: Shape = Shape::new(
    "MetricSelector",
    &[
        held("metric", Kind::Text),
        held("customMetric", Kind::Text),
        MODE,
    ],
);
static OVERRIDE: Shape = Shape::new(
    "MetricsOverrides",
    &[
        held("match", Kind::Map(&METRIC)),
        held("disabled", Kind::Bool),
        Field::ignored("tagOverrides", Kind::Opaque, TAGS),
    ],
);
static METRICS: Shape = Shape::new(
    "TelemetryMetrics",
    &[
        held("providers", Kind::List(&Kind::Map(&PROVIDER))),
        held("overrides", Kind::List(&Kind::Map(&OVERRIDE))),
        held("reportingInterval", DURATION_KIND),
    ],
);
static FILTER: Shape = Shape::new("AccessLogFilter", &[held("expression", Kind::Text)]);
static LOGGING: Shape = Shape::new(
    "AccessLogging",
    &[
        held("match", Kind::Map(&SIDE)),
        held("providers", Kind::List(&Kind::Map(&PROVIDER))),
        held("disabled", Kind::Bool),
        held("filter", Kind::Map(&FILTER)),
    ],
);
static SPEC: Shape = Shape::new(
    "TelemetrySpec",
    &[
        held("selector", SELECTOR.kind),
        held("targetRef", TARGET_REF.kind),
        held("targetRefs", TARGET_REFS.kind),
        held("tracing", Kind::List(&Kind::Map(&TRACING))),
        held("metrics", Kind::List(&Kind::Map(&METRICS))),
        held("accessLogging", Kind::List(&Kind::Map(&LOGGING))),
    ],
);
istio_kind!(TELEMETRY, "Telemetry", SPEC);

/// Reads a checked document.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> Telemetry {
    let spec = document.spec();
    let tracing = spec.list("tracing").iter().map(|node| Tracing {
        side: side(node.get("match")),
        providers: providers(node),
        share: percent(node, "randomSamplingPercentage"),
        is_disabled: flag(node, "disableSpanReporting"),
    });
    let metrics = spec.list("metrics").iter().map(|node| Metrics {
        providers: providers(node),
        overrides: node.list("overrides").iter().map(metric).collect(),
        reporting_interval: duration(node, "reportingInterval"),
    });
    let logging = spec.list("accessLogging").iter().map(|node| AccessLogging {
        side: side(node.get("match")),
        providers: providers(node),
        is_disabled: flag(node, "disabled"),
        filter: node
            .get("filter")
            .and_then(|node| string(node, "expression")),
    });
    Telemetry {
        identity: identity(document),
        tracing: tracing.collect(),
        metrics: metrics.collect(),
        access_logging: logging.collect(),
        target: target(document, scope),
    }
}

fn side(node: Option<&Node>) -> Side {
    match node.and_then(|node| node.get("mode")).and_then(Node::str) {
        Some("CLIENT") => Side::Client,
        Some("SERVER") => Side::Server,
        _ => Side::Both,
    }
}

fn providers(node: &Node) -> Vec<String> {
    let names = node.list("providers").iter();
    names.filter_map(|node| string(node, "name")).collect()
}

fn metric(node: &Node) -> MetricOverride {
    let selected = node.get("match");
    let named = |key: &str| selected.and_then(|node| string(node, key));
    MetricOverride {
        metric: named("metric")
            .or_else(|| named("customMetric"))
            .unwrap_or_else(|| "ALL_METRICS".to_owned()),
        side: side(selected),
        is_disabled: flag(node, "disabled"),
    }
}
