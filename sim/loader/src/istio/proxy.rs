//! ProxyConfig objects, and the settings of proxies of the mesh and of pods.

use super::forms::{
    COUNT, DURATION_KIND, MATCH_LABELS, PERCENTAGE, Scope, count, duration, flag, held, identity,
    istio_kind, labels, percent,
};
use super::pool::{CLIENT_TLS, KEEPALIVE};
use super::service_entry;
use crate::document::Document;
use crate::kubernetes::metadata::text_map;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::istio::config::{ConnectionProfile, InterceptionMode, ProxyConfig, ProxySettings};

const PLACES: &str = "where files, ports and servers of a proxy are does not change what it does";
const STATISTICS: &str = "statistics of proxies are not counted one by one";
const HEADERS: &str = "headers that proxies add or remove do not change where requests go";
const LIMITS: &str =
    "limits of Envoy's buffers, windows and connections of clients are not modelled";

static IMAGE: Shape = Shape::new(
    "ProxyImage",
    &[Field::ignored(
        "imageType",
        Kind::Text,
        "every image is the same proxy",
    )],
);
/// Which variables act.
const ENVIRONMENT: &str = "`ISTIO_META_DNS_CAPTURE`, `ISTIO_META_ENABLE_SELF_DISCOVERY`, \
                           `EXIT_ON_ZERO_ACTIVE_CONNECTIONS` and `MINIMUM_DRAIN_DURATION` act, \
                           other variables do not";

static SPEC: Shape = Shape::new(
    "ProxyConfigSpec",
    &[
        Field::modelled("selector", Kind::Map(&MATCH_LABELS)),
        Field::modelled("concurrency", COUNT),
        Field::approximated("environmentVariables", TEXT_MAP, ENVIRONMENT),
        held("image", Kind::Map(&IMAGE)),
    ],
);
istio_kind!(PROXY_CONFIG, "ProxyConfig", SPEC);

static TRACING: Shape = Shape::new(
    "ProxyTracing",
    &[
        Field::ignored("zipkin", Kind::Opaque, PLACES),
        Field::ignored("lightstep", Kind::Opaque, PLACES),
        Field::ignored("datadog", Kind::Opaque, PLACES),
        Field::ignored("stackdriver", Kind::Opaque, PLACES),
        Field::ignored("openCensusAgent", Kind::Opaque, PLACES),
        Field::ignored("customTags", Kind::Opaque, STATISTICS),
        Field::ignored("maxPathTagLength", COUNT, STATISTICS),
        held("sampling", PERCENTAGE),
        Field::ignored("tlsSettings", Kind::Map(&CLIENT_TLS), PLACES),
        Field::ignored("enableIstioTags", Kind::Bool, STATISTICS),
    ],
);
static REMOTE_SERVICE: Shape = Shape::new(
    "ProxyRemoteService",
    &[
        Field::ignored("address", Kind::Text, PLACES),
        Field::ignored("tlsSettings", Kind::Map(&CLIENT_TLS), PLACES),
        Field::ignored("tcpKeepalive", Kind::Map(&KEEPALIVE), PLACES),
    ],
);
static TOPOLOGY: Shape = Shape::new(
    "GatewayTopology",
    &[
        Field::modelled("numTrustedProxies", COUNT),
        Field::ignored("forwardClientCertDetails", Kind::Text, HEADERS),
        Field::ignored("proxyProtocol", Kind::Opaque, HEADERS),
    ],
);
static CONNECTION_SETTINGS: Shape = Shape::new(
    "ProxyConnectionSettings",
    &[
        held("profile", Kind::OneOf(&["SIDECAR", "EDGE"])),
        Field::ignored("listenerPerConnectionBufferLimitBytes", COUNT, LIMITS),
        Field::ignored("clusterPerConnectionBufferLimitBytes", COUNT, LIMITS),
        Field::ignored("httpIdleTimeout", DURATION_KIND, LIMITS),
        Field::ignored("httpMaxConnectionDuration", DURATION_KIND, LIMITS),
        Field::ignored("httpDrainTimeout", DURATION_KIND, LIMITS),
        Field::ignored("httpRequestTimeout", DURATION_KIND, LIMITS),
        Field::ignored("httpRequestHeadersTimeout", DURATION_KIND, LIMITS),
        Field::ignored("httpStreamIdleTimeout", DURATION_KIND, LIMITS),
        Field::ignored("httpMaxStreamDuration", DURATION_KIND, LIMITS),
        Field::ignored("httpMaxConcurrentStreams", COUNT, LIMITS),
        Field::ignored("http2InitialStreamWindowSize", COUNT, LIMITS),
        Field::ignored("http2InitialConnectionWindowSize", COUNT, LIMITS),
        Field::ignored("httpHeadersWithUnderscoresAction", Kind::Text, HEADERS),
        Field::ignored("httpMergeSlashes", Kind::Bool, HEADERS),
        Field::ignored("httpPathWithEscapedSlashesAction", Kind::Text, HEADERS),
        Field::ignored("listenerConnectionLimit", COUNT, LIMITS),
        Field::ignored("globalDownstreamConnectionLimit", COUNT, LIMITS),
    ],
);
/// `defaultConfig` of the mesh.
pub(super) static PROXY_SETTINGS: Shape = Shape::new(
    "MeshProxyConfig",
    &[
        Field::ignored("configPath", Kind::Text, PLACES),
        Field::ignored("binaryPath", Kind::Text, PLACES),
        Field::ignored("serviceCluster", Kind::Text, PLACES),
        Field::ignored("tracingServiceName", Kind::Text, STATISTICS),
        Field::modelled("drainDuration", DURATION_KIND),
        Field::ignored("discoveryAddress", Kind::Text, PLACES),
        Field::ignored("discoveryRefreshDelay", DURATION_KIND, PLACES),
        Field::ignored("zipkinAddress", Kind::Text, PLACES),
        Field::ignored("statsdUdpAddress", Kind::Text, PLACES),
        Field::ignored("envoyMetricsServiceAddress", Kind::Text, PLACES),
        Field::ignored("proxyAdminPort", COUNT, PLACES),
        Field::ignored("availabilityZone", Kind::Text, PLACES),
        Field::ignored("controlPlaneAuthPolicy", Kind::Text, PLACES),
        Field::ignored("customConfigFile", Kind::Text, PLACES),
        Field::ignored("statNameLength", COUNT, STATISTICS),
        Field::modelled("concurrency", COUNT),
        Field::ignored("proxyBootstrapTemplatePath", Kind::Text, PLACES),
        held(
            "interceptionMode",
            Kind::OneOf(&["REDIRECT", "TPROXY", "NONE"]),
        ),
        held("tracing", Kind::Map(&TRACING)),
        Field::ignored("sds", Kind::Opaque, PLACES),
        Field::ignored("envoyAccessLogService", Kind::Map(&REMOTE_SERVICE), PLACES),
        Field::ignored("envoyMetricsService", Kind::Map(&REMOTE_SERVICE), PLACES),
        Field::approximated("proxyMetadata", TEXT_MAP, ENVIRONMENT),
        Field::ignored("runtimeValues", TEXT_MAP, LIMITS),
        Field::ignored("statusPort", COUNT, PLACES),
        Field::ignored("extraStatTags", TEXT_LIST, STATISTICS),
        Field::modelled("gatewayTopology", Kind::Map(&TOPOLOGY)),
        Field::modelled("terminationDrainDuration", DURATION_KIND),
        Field::ignored("meshId", Kind::Text, PLACES),
        held("readinessProbe", Kind::Map(&service_entry::PROBE)),
        Field::ignored("proxyStatsMatcher", Kind::Opaque, STATISTICS),
        Field::modelled("holdApplicationUntilProxyStarts", Kind::Bool),
        Field::ignored("caCertificatesPem", TEXT_LIST, super::forms::CERTIFICATES),
        held("image", Kind::Map(&IMAGE)),
        held("privateKeyProvider", Kind::Opaque),
        Field::ignored("proxyHeaders", Kind::Opaque, HEADERS),
        Field::ignored("fileFlushInterval", DURATION_KIND, PLACES),
        Field::ignored("fileFlushMinSizeKb", COUNT, PLACES),
        Field::ignored("statsCompression", Kind::Bool, STATISTICS),
        held("connectionSettings", Kind::Map(&CONNECTION_SETTINGS)),
    ],
);

/// Reads a checked ProxyConfig object.
pub(super) fn read(document: &Document) -> ProxyConfig {
    let spec = document.spec();
    ProxyConfig {
        identity: identity(document),
        selector: spec
            .get("selector")
            .map(|node| labels(node, "matchLabels"))
            .unwrap_or_default(),
        concurrency: count(spec, "concurrency"),
        environment: text_map(spec.get("environmentVariables")),
    }
}

/// Reads settings of proxies.
pub(super) fn settings(node: &Node, scope: &mut Scope<'_>) -> ProxySettings {
    let profile = node.at(&["connectionSettings", "profile"]);
    ProxySettings {
        concurrency: count(node, "concurrency"),
        drain: duration(node, "drainDuration"),
        termination_drain: duration(node, "terminationDrainDuration"),
        holds_application: flag(node, "holdApplicationUntilProxyStarts"),
        interception: match node.get("interceptionMode").and_then(Node::str) {
            Some("REDIRECT") => Some(InterceptionMode::Redirect),
            Some("TPROXY") => Some(InterceptionMode::Tproxy),
            Some("NONE") => Some(InterceptionMode::None),
            _ => None,
        },
        tracing_share: node
            .get("tracing")
            .and_then(|node| percent(node, "sampling")),
        environment: text_map(node.get("proxyMetadata")),
        readiness_probe: node
            .get("readinessProbe")
            .and_then(|node| service_entry::probe(node, scope)),
        has_private_key_provider: node.get("privateKeyProvider").map(|_| true),
        connection_profile: match profile.and_then(Node::str) {
            Some("EDGE") => Some(ConnectionProfile::Edge),
            Some("SIDECAR") => Some(ConnectionProfile::Sidecar),
            _ => None,
        },
        trusted_proxies: node
            .get("gatewayTopology")
            .and_then(|node| count(node, "numTrustedProxies")),
    }
}
