//! MeshConfig and meshNetworks, as the ConfigMap `istio` holds them and an IstioOperator writes
//! them.
//!
//! Text inside of a ConfigMap is YAML of its own; problems in it are reported where the text
//! begins.

use super::destination_rule::{LOCALITY, ZONE_AWARE, locality_setting, zone_aware_setting};
use super::forms::{COUNT, DURATION_KIND, Scope, duration, flag, held, string, strings};
use super::pool::{
    CLIENT_TLS, CONNECTION_POOL, KEEPALIVE, OUTLIER_DETECTION, connection_pool, keepalive,
    outlier_detection,
};
use super::proxy::{PROXY_SETTINGS, settings};
use super::route::{RETRY, retries};
use crate::document::place;
use crate::kubernetes::metadata::{API_VERSION, KIND, METADATA, STATUS};
use crate::kubernetes::selector::{LABEL_SELECTOR, Selector};
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::{Budget, Entry, Node, Value, parse};
use cloud::istio::config::{
    Audience, DefaultProviders, ExtensionProvider, ExternalAuthorization, GatewayAddress,
    InboundMode, IngressMode, IngressSettings, MeshConfig, MeshNetworks, NamespaceSelector,
    Network, NetworkEndpoints, NetworkGateway, OutboundMode, PathNormalization, ProviderKind,
};

const PLACES: &str = "where Istio's own parts are found does not change what they do";
const LOCAL: &str = "each cluster is a mesh of its own, to which all of its hosts are local";
const LOGS: &str = "what is written into logs costs the same";
const CERTIFICATES: &str = super::forms::CERTIFICATES;
const STATISTICS: &str = "statistics of proxies are not counted one by one";
const CLIENTS_FIRST: &str = "no client waits for its server to speak first";
const VISIBILITY: &str = "services are seen by all clusters of the mesh";

static OUTBOUND: Shape = Shape::new(
    "MeshOutboundTrafficPolicy",
    &[
        Field::modelled(
            "mode",
            Kind::OneOf(&["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]),
        ),
        Field::ignored("tls", Kind::Map(&CLIENT_TLS), CERTIFICATES),
    ],
);
static INBOUND: Shape = Shape::new(
    "MeshInboundTrafficPolicy",
    &[Field::modelled(
        "mode",
        Kind::OneOf(&["PASSTHROUGH", "LOCALHOST"]),
    )],
);
static SERVICE_SETTING: Shape = Shape::new(
    "MeshServiceSetting",
    &[Field::ignored("clusterLocal", Kind::Bool, LOCAL)],
);
static SERVICE_SETTINGS: Shape = Shape::new(
    "MeshServiceSettings",
    &[
        Field::modelled("settings", Kind::Map(&SERVICE_SETTING)),
        Field::ignored("hosts", TEXT_LIST, LOCAL),
    ],
);
static TRAFFIC_POLICY: Shape = Shape::new(
    "MeshDefaultTrafficPolicy",
    &[
        Field::modelled("connectionPool", Kind::Map(&CONNECTION_POOL)),
        Field::modelled("outlierDetection", Kind::Map(&OUTLIER_DETECTION)),
    ],
);
static TLS_CONFIG: Shape = Shape::new(
    "MeshTLSConfig",
    &[
        Field::ignored("minProtocolVersion", Kind::Text, CERTIFICATES),
        Field::ignored("ecdhCurves", TEXT_LIST, CERTIFICATES),
        Field::ignored("cipherSuites", TEXT_LIST, CERTIFICATES),
    ],
);
static NORMALIZATION: Shape = Shape::new(
    "ProxyPathNormalization",
    &[Field::modelled(
        "normalization",
        Kind::OneOf(&[
            "DEFAULT",
            "NONE",
            "BASE",
            "MERGE_SLASHES",
            "DECODE_AND_MERGE_SLASHES",
        ]),
    )],
);
static DEFAULT_PROVIDERS: Shape = Shape::new(
    "MeshDefaultProviders",
    &[
        held("tracing", TEXT_LIST),
        held("metrics", TEXT_LIST),
        held("accessLogging", TEXT_LIST),
    ],
);
const CHECKED: &str = "what a provider is told about a request does not change its answer";
/// Fields of both kinds of authorization providers.
macro_rules! authorization {
    ($name:ident, $title:literal, [$($more:expr),*]) => {
        static $name: Shape = Shape::new(
            $title,
            &[
                Field::modelled("service", Kind::Text),
                Field::modelled("port", crate::shape::INTEGER),
                Field::modelled("timeout", DURATION_KIND),
                Field::modelled("failOpen", Kind::Bool),
                Field::ignored("clearRouteCache", Kind::Bool, CHECKED),
                Field::modelled("statusOnError", Kind::Word),
                Field::ignored("includeRequestBodyInCheck", Kind::Opaque, CHECKED),
                $($more),*
            ],
        );
    };
}
authorization!(AUTHORIZATION_GRPC, "EnvoyExternalAuthorizationGrpc", []);
authorization!(
    AUTHORIZATION_HTTP,
    "EnvoyExternalAuthorizationHttp",
    [
        Field::ignored("pathPrefix", Kind::Text, CHECKED),
        Field::ignored("includeHeadersInCheck", TEXT_LIST, CHECKED),
        Field::ignored("includeRequestHeadersInCheck", TEXT_LIST, CHECKED),
        Field::ignored("includeAdditionalHeadersInCheck", TEXT_MAP, CHECKED),
        Field::ignored("headersToUpstreamOnAllow", TEXT_LIST, CHECKED),
        Field::ignored("headersToDownstreamOnDeny", TEXT_LIST, CHECKED),
        Field::ignored("headersToDownstreamOnAllow", TEXT_LIST, CHECKED)
    ]
);
static PROVIDER: Shape = Shape::new(
    "ExtensionProvider",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("envoyExtAuthzHttp", Kind::Map(&AUTHORIZATION_HTTP)),
        Field::modelled("envoyExtAuthzGrpc", Kind::Map(&AUTHORIZATION_GRPC)),
        held("zipkin", Kind::Opaque),
        held("lightstep", Kind::Opaque),
        held("datadog", Kind::Opaque),
        held("stackdriver", Kind::Opaque),
        held("opencensus", Kind::Opaque),
        held("skywalking", Kind::Opaque),
        held("opentelemetry", Kind::Opaque),
        held("prometheus", Kind::Opaque),
        held("envoyFileAccessLog", Kind::Opaque),
        held("envoyHttpAls", Kind::Opaque),
        held("envoyTcpAls", Kind::Opaque),
        held("envoyOtelAls", Kind::Opaque),
        held("sds", Kind::Opaque),
    ],
);
/// MeshConfig.
pub(super) static MESH_CONFIG: Shape = Shape::new(
    "MeshConfig",
    &[
        Field::ignored("proxyListenPort", COUNT, PLACES),
        Field::ignored("proxyInboundListenPort", COUNT, PLACES),
        Field::ignored("proxyHttpPort", COUNT, PLACES),
        Field::modelled("connectTimeout", DURATION_KIND),
        held("hboneIdleTimeout", DURATION_KIND),
        Field::ignored("protocolDetectionTimeout", DURATION_KIND, CLIENTS_FIRST),
        held("tcpKeepalive", Kind::Map(&KEEPALIVE)),
        Field::modelled("ingressClass", Kind::Text),
        Field::modelled("ingressService", Kind::Text),
        Field::modelled(
            "ingressControllerMode",
            Kind::OneOf(&["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"]),
        ),
        Field::modelled("ingressSelector", Kind::Text),
        held("enableTracing", Kind::Bool),
        held("accessLogFile", Kind::Text),
        Field::ignored("accessLogFormat", Kind::Text, LOGS),
        Field::ignored("accessLogEncoding", Kind::OneOf(&["TEXT", "JSON"]), LOGS),
        Field::ignored("enableEnvoyAccessLogService", Kind::Bool, LOGS),
        Field::ignored("disableEnvoyListenerLog", Kind::Bool, LOGS),
        Field::modelled("defaultConfig", Kind::Map(&PROXY_SETTINGS)),
        Field::modelled("outboundTrafficPolicy", Kind::Map(&OUTBOUND)),
        held("inboundTrafficPolicy", Kind::Map(&INBOUND)),
        Field::ignored("configSources", Kind::Opaque, PLACES),
        Field::modelled("enableAutoMtls", Kind::Bool),
        Field::modelled("trustDomain", Kind::Text),
        held("trustDomainAliases", TEXT_LIST),
        Field::ignored("caCertificates", Kind::Opaque, CERTIFICATES),
        Field::modelled("defaultServiceExportTo", TEXT_LIST),
        Field::modelled("defaultVirtualServiceExportTo", TEXT_LIST),
        Field::modelled("defaultDestinationRuleExportTo", TEXT_LIST),
        Field::modelled("rootNamespace", Kind::Text),
        Field::modelled("localityLbSetting", Kind::Map(&LOCALITY)),
        Field::modelled("zoneAwareLbSetting", Kind::Map(&ZONE_AWARE)),
        held("dnsRefreshRate", DURATION_KIND),
        Field::modelled(
            "h2UpgradePolicy",
            Kind::OneOf(&["DO_NOT_UPGRADE", "UPGRADE"]),
        ),
        Field::ignored("inboundClusterStatName", Kind::Text, STATISTICS),
        Field::ignored("outboundClusterStatName", Kind::Text, STATISTICS),
        Field::ignored("certificates", Kind::Opaque, CERTIFICATES),
        Field::modelled("serviceSettings", Kind::List(&Kind::Map(&SERVICE_SETTINGS))),
        Field::ignored("serviceScopeConfigs", Kind::Opaque, VISIBILITY),
        Field::ignored("serviceEntryVisibility", Kind::Opaque, VISIBILITY),
        Field::ignored("enablePrometheusMerge", Kind::Bool, STATISTICS),
        Field::ignored("verifyCertificateAtClient", Kind::Bool, CERTIFICATES),
        Field::ignored("ca", Kind::Opaque, PLACES),
        Field::modelled("extensionProviders", Kind::List(&Kind::Map(&PROVIDER))),
        held("defaultProviders", Kind::Map(&DEFAULT_PROVIDERS)),
        Field::modelled(
            "discoverySelectors",
            Kind::List(&Kind::Map(&LABEL_SELECTOR)),
        ),
        Field::modelled("pathNormalization", Kind::Map(&NORMALIZATION)),
        Field::modelled("defaultHttpRetryPolicy", Kind::Map(&RETRY)),
        Field::ignored("meshMTLS", Kind::Map(&TLS_CONFIG), CERTIFICATES),
        Field::ignored("tlsDefaults", Kind::Map(&TLS_CONFIG), CERTIFICATES),
        Field::modelled("defaultTrafficPolicy", Kind::Map(&TRAFFIC_POLICY)),
    ],
);

static NETWORK_ENDPOINTS: Shape = Shape::new(
    "NetworkEndpoints",
    &[
        held("fromCidr", Kind::Text),
        held("fromRegistry", Kind::Text),
    ],
);
static NETWORK_GATEWAY: Shape = Shape::new(
    "IstioNetworkGateway",
    &[
        held("registryServiceName", Kind::Text),
        held("address", Kind::Text),
        held("port", crate::shape::INTEGER).required(),
        held("locality", Kind::Text),
    ],
);
static NETWORK: Shape = Shape::new(
    "IstioNetwork",
    &[
        held("endpoints", Kind::List(&Kind::Map(&NETWORK_ENDPOINTS))),
        held("gateways", Kind::List(&Kind::Map(&NETWORK_GATEWAY))),
    ],
);
static NETWORKS: Shape = Shape::new(
    "MeshNetworks",
    &[held("networks", Kind::Keyed(&Kind::Map(&NETWORK)))],
);
static OTHER_DATA: Field = Field::ignored("", Kind::Text, "read by other programs than istiod");
static DATA: Shape = Shape::new(
    "IstioConfigMapData",
    &[
        Field::modelled("mesh", Kind::Map(&MESH_CONFIG)),
        held("meshNetworks", Kind::Map(&NETWORKS)),
    ],
)
.or_else(&OTHER_DATA);
/// The ConfigMap `istio`, with its texts taken for what they hold.
pub(crate) static CONFIG_MAP: Shape = Shape::new(
    "IstioConfigMap",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("data", Kind::Map(&DATA)),
        Field::ignored(
            "binaryData",
            Kind::Opaque,
            "read by other programs than istiod",
        ),
        Field::ignored(
            "immutable",
            Kind::Bool,
            "a ConfigMap does not change in a run",
        ),
        STATUS,
    ],
);

/// Whether a document is the ConfigMap of an istiod: of the default revision or of another.
pub(crate) fn is_config_map(kind: &str, root: &Node) -> bool {
    let name = root
        .at(&["metadata", "name"])
        .and_then(Node::str)
        .unwrap_or_default();
    let is_named = name == "istio" || name.starts_with("istio-");
    kind == "ConfigMap" && is_named && root.at(&["data", "mesh"]).is_some()
}

/// Takes the texts of the ConfigMap for what they hold.
pub(crate) fn unfold(root: &mut Node, diagnostics: &mut crate::diagnostic::Diagnostics) {
    let Value::Mapping(fields) = &mut root.value else {
        return;
    };
    let data = fields.iter_mut().find(|entry| entry.key == "data");
    let Some(Value::Mapping(texts)) = data.map(|entry| &mut entry.value.value) else {
        return;
    };
    for entry in texts {
        let is_known = ["mesh", "meshNetworks"].contains(&entry.key.as_str());
        if is_known {
            take_text(entry, diagnostics);
        }
    }
}

/// Takes a text for the document that it holds, which is told to stand where the text begins.
pub(super) fn take_text(entry: &mut Entry, diagnostics: &mut crate::diagnostic::Diagnostics) {
    let Some(text) = entry.value.str() else {
        return;
    };
    let span = entry.key_span;
    let known = diagnostics.count();
    let mut inner = parse(text, span.file, Budget::default(), diagnostics);
    diagnostics.move_to(known, span);
    if !inner.is_empty() {
        entry.value = inner.swap_remove(0);
        place(&mut entry.value, span);
    }
}

/// Reads a MeshConfig over Istio's own.
pub(super) fn read(node: &Node, scope: &mut Scope<'_>) -> MeshConfig {
    let base = MeshConfig::default();
    let policy = node.get("defaultTrafficPolicy");
    let audiences = |key: &str, base: Vec<Audience>| match node.list(key) {
        [] => base,
        entries => entries
            .iter()
            .filter_map(Node::str)
            .map(Audience::of)
            .collect(),
    };
    let local = node.list("serviceSettings").iter();
    let local = local.filter(|node| {
        node.get("settings")
            .and_then(|node| flag(node, "clusterLocal"))
            == Some(true)
    });
    let selectors = node.list("discoverySelectors").iter().map(Selector::read);
    MeshConfig {
        proxy: node
            .get("defaultConfig")
            .map(|node| settings(node, scope))
            .unwrap_or_default(),
        connect_timeout: scope
            .duration(node, "connectTimeout")
            .unwrap_or(base.connect_timeout),
        protocol_detection_timeout: duration(node, "protocolDetectionTimeout")
            .unwrap_or(base.protocol_detection_timeout),
        hbone_idle_timeout: duration(node, "hboneIdleTimeout"),
        keepalive: node.get("tcpKeepalive").map(keepalive),
        outbound: match node
            .at(&["outboundTrafficPolicy", "mode"])
            .and_then(Node::str)
        {
            Some("REGISTRY_ONLY") => OutboundMode::RegistryOnly,
            Some("ALLOW_ANY_DYNAMIC_DNS") => OutboundMode::AllowAnyDynamicDns,
            _ => base.outbound,
        },
        inbound: match node
            .at(&["inboundTrafficPolicy", "mode"])
            .and_then(Node::str)
        {
            Some("LOCALHOST") => InboundMode::Localhost,
            _ => base.inbound,
        },
        auto_mutual_tls: flag(node, "enableAutoMtls").unwrap_or(base.auto_mutual_tls),
        trust_domain: string(node, "trustDomain").unwrap_or(base.trust_domain),
        trust_domain_aliases: strings(node, "trustDomainAliases"),
        root_namespace: string(node, "rootNamespace").unwrap_or(base.root_namespace),
        service_export_to: audiences("defaultServiceExportTo", base.service_export_to),
        virtual_service_export_to: audiences(
            "defaultVirtualServiceExportTo",
            base.virtual_service_export_to,
        ),
        destination_rule_export_to: audiences(
            "defaultDestinationRuleExportTo",
            base.destination_rule_export_to,
        ),
        locality: node
            .get("localityLbSetting")
            .map_or(base.locality, |node| locality_setting(node, None, scope)),
        zone_aware: node
            .get("zoneAwareLbSetting")
            .map(|node| zone_aware_setting(node, true, scope)),
        dns_refresh: scope
            .duration(node, "dnsRefreshRate")
            .unwrap_or(base.dns_refresh),
        h2_upgrade: node.get("h2UpgradePolicy").and_then(Node::str) == Some("UPGRADE"),
        retries: node
            .get("defaultHttpRetryPolicy")
            .map(|node| retries(node, scope)),
        connection_pool: policy
            .and_then(|node| node.get("connectionPool"))
            .map(|node| connection_pool(node, scope)),
        outlier_detection: policy
            .and_then(|node| node.get("outlierDetection"))
            .map(|node| outlier_detection(node, scope)),
        cluster_local_hosts: local.flat_map(|node| strings(node, "hosts")).collect(),
        discovery_selectors: selectors
            .map(|selector| NamespaceSelector {
                labels: selector.labels,
                requirements: selector.requirements,
            })
            .collect(),
        ingress: ingress(node, base.ingress),
        traces: flag(node, "enableTracing").unwrap_or(base.traces),
        access_log_file: string(node, "accessLogFile").unwrap_or_default(),
        path_normalization: match node
            .at(&["pathNormalization", "normalization"])
            .and_then(Node::str)
        {
            Some("NONE") => PathNormalization::None,
            Some("MERGE_SLASHES") => PathNormalization::MergeSlashes,
            Some("DECODE_AND_MERGE_SLASHES") => PathNormalization::DecodeAndMergeSlashes,
            _ => PathNormalization::Base,
        },
        providers: node
            .list("extensionProviders")
            .iter()
            .filter_map(|node| provider(node, scope))
            .collect(),
        default_providers: node
            .get("defaultProviders")
            .map(|node| DefaultProviders {
                tracing: strings(node, "tracing"),
                metrics: strings(node, "metrics"),
                access_logging: strings(node, "accessLogging"),
            })
            .unwrap_or_default(),
    }
}

fn ingress(node: &Node, base: IngressSettings) -> IngressSettings {
    IngressSettings {
        mode: match node.get("ingressControllerMode").and_then(Node::str) {
            Some("OFF") => IngressMode::Off,
            Some("DEFAULT") => IngressMode::Default,
            _ => base.mode,
        },
        class: string(node, "ingressClass").unwrap_or(base.class),
        service: string(node, "ingressService").unwrap_or(base.service),
        selector: string(node, "ingressSelector").unwrap_or(base.selector),
    }
}

fn provider(node: &Node, scope: &mut Scope<'_>) -> Option<ExtensionProvider> {
    let authorization = node
        .get("envoyExtAuthzHttp")
        .or_else(|| node.get("envoyExtAuthzGrpc"));
    let says = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    let kind = if let Some(node) = authorization {
        ProviderKind::Authorization(ExternalAuthorization {
            service: string(node, "service").unwrap_or_default(),
            port: scope.port(node.get("port"))?,
            timeout: duration(node, "timeout"),
            fails_open: flag(node, "failOpen").unwrap_or_default(),
            status_on_error: node
                .get("statusOnError")
                .and_then(Node::text)
                .and_then(|text| text.parse().ok()),
        })
    } else if says(&["prometheus"]) {
        ProviderKind::Metrics
    } else if says(&["envoyFileAccessLog"]) {
        ProviderKind::LogFile
    } else if says(&["envoyHttpAls", "envoyTcpAls", "envoyOtelAls"]) {
        ProviderKind::LogService
    } else if says(&["sds"]) {
        ProviderKind::Certificates
    } else {
        ProviderKind::Tracing
    };
    Some(ExtensionProvider {
        name: string(node, "name").unwrap_or_default(),
        kind,
    })
}

/// Reads `meshNetworks`.
pub(super) fn networks(node: &Node, scope: &mut Scope<'_>) -> MeshNetworks {
    let entries = node.get("networks").map_or(&[][..], Node::entries).iter();
    entries
        .map(|entry| (entry.key.clone(), network(&entry.value, scope)))
        .collect()
}

fn network(node: &Node, scope: &mut Scope<'_>) -> Network {
    let endpoints = node.list("endpoints").iter().filter_map(|node| {
        let range = string(node, "fromCidr").map(NetworkEndpoints::Range);
        range.or_else(|| string(node, "fromRegistry").map(NetworkEndpoints::Registry))
    });
    let gateways = node.list("gateways").iter().filter_map(|node| {
        let service = string(node, "registryServiceName").map(GatewayAddress::Service);
        Some(NetworkGateway {
            address: service.or_else(|| string(node, "address").map(GatewayAddress::Address))?,
            port: scope.port(node.get("port"))?,
            locality: string(node, "locality"),
        })
    });
    Network {
        endpoints: endpoints.collect(),
        gateways: gateways.collect(),
    }
}

/// The number after the point of a release such as `1.24.1`, as tags and hubs write it.
pub(super) fn minor(tag: &str) -> Option<u32> {
    let rest = tag.strip_prefix("1.")?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_their_release() {
        assert_eq!(minor("1.24.1"), Some(24));
        assert_eq!(minor("1.30-alpha.abc"), Some(30));
        assert_eq!(minor("latest"), None);
    }
}
