//! MeshConfig: what holds for the whole mesh.
//!
//! [`MeshConfig::default`] is what istiod assumes without a ConfigMap (istio/istio
//! pkg/config/mesh/mesh.go, 1.32).

use super::{
    Audience, ConnectionPool, Labels, OutboundMode, OutlierDetection, ProxySettings, Retries,
    TcpKeepalive,
};
use crate::facts;
use crate::istio::authentication::selects;
use crate::istio::locality::{LocalitySetting, ZoneAwareSetting};
use crate::scenario::LabelRequirement;
use engine::Duration;

/// What holds for the whole mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshConfig {
    /// What holds for all proxies.
    pub proxy: ProxySettings,
    /// How long making a connection may take, encryption included.
    pub connect_timeout: Duration,
    /// How long a proxy waits for the first bytes before it takes a connection for opaque; zero
    /// waits for ever.
    pub protocol_detection_timeout: Duration,
    /// How long a tunnel between proxies of nodes may be idle.
    pub hbone_idle_timeout: Option<Duration>,
    /// Probes of idle connections.
    pub keepalive: Option<TcpKeepalive>,
    /// What becomes of connections to hosts that the mesh does not know.
    pub outbound: OutboundMode,
    /// Where a sidecar finds its application.
    pub inbound: InboundMode,
    /// Whether proxies encrypt among themselves without being told.
    pub auto_mutual_tls: bool,
    /// Trust domain of all identities.
    pub trust_domain: String,
    /// Others that count as this one.
    pub trust_domain_aliases: Vec<String>,
    /// Namespace of what holds for all namespaces.
    pub root_namespace: String,
    /// Who may see services that do not say.
    pub service_export_to: Vec<Audience>,
    /// Who may see VirtualServices that do not say.
    pub virtual_service_export_to: Vec<Audience>,
    /// Who may see DestinationRules that do not say.
    pub destination_rule_export_to: Vec<Audience>,
    /// How an endpoint's distance counts.
    pub locality: LocalitySetting,
    /// Zone-aware routing.
    pub zone_aware: Option<ZoneAwareSetting>,
    /// Pause before a name that could not be resolved is asked for again.
    pub dns_refresh: Duration,
    /// Whether HTTP/1.1 becomes HTTP/2 between proxies.
    pub h2_upgrade: bool,
    /// Retries of routes that do not say; Istio's own if nothing is said.
    pub retries: Option<Retries>,
    /// Connections of hosts that do not say.
    pub connection_pool: Option<ConnectionPool>,
    /// When endpoints of hosts that do not say are left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// Hosts whose endpoints of other clusters are not used, with wildcards.
    pub cluster_local_hosts: Vec<String>,
    /// Which namespaces istiod looks at: one of these must select it; all if empty.
    pub discovery_selectors: Vec<NamespaceSelector>,
    /// Which Ingresses become routes.
    pub ingress: IngressSettings,
    /// Whether proxies trace.
    pub traces: bool,
    /// Where proxies log requests; nowhere if empty.
    pub access_log_file: String,
    /// How paths are made comparable.
    pub path_normalization: PathNormalization,
    /// Who can be asked or told.
    pub providers: Vec<ExtensionProvider>,
    /// Who is told unless something else is said.
    pub default_providers: DefaultProviders,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let everybody = || vec![Audience::Everybody];
        MeshConfig {
            proxy: ProxySettings::default(),
            connect_timeout: facts::MESH_CONNECT_TIMEOUT.value,
            protocol_detection_timeout: Duration::ZERO,
            hbone_idle_timeout: None,
            keepalive: None,
            outbound: OutboundMode::AllowAny,
            inbound: InboundMode::Passthrough,
            auto_mutual_tls: true,
            trust_domain: facts::MESH_TRUST_DOMAIN.value.to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: facts::MESH_ROOT_NAMESPACE.value.to_owned(),
            service_export_to: everybody(),
            virtual_service_export_to: everybody(),
            destination_rule_export_to: everybody(),
            locality: LocalitySetting::default(),
            zone_aware: None,
            dns_refresh: facts::MESH_DNS_REFRESH.value,
            h2_upgrade: false,
            retries: None,
            connection_pool: None,
            outlier_detection: None,
            cluster_local_hosts: Vec::new(),
            discovery_selectors: Vec::new(),
            ingress: IngressSettings::default(),
            traces: true,
            access_log_file: String::new(),
            path_normalization: PathNormalization::Base,
            providers: Vec::new(),
            default_providers: DefaultProviders::default(),
        }
    }
}

/// Where a sidecar finds its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundMode {
    /// At the pod's address.
    Passthrough,
    /// At the loopback address.
    Localhost,
}

/// Labels that a namespace must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSelector {
    /// Equal ones.
    pub labels: Labels,
    /// Further requirements.
    pub requirements: Vec<LabelRequirement>,
}

impl NamespaceSelector {
    /// Whether a namespace with these labels is one of those.
    pub fn selects(&self, labels: &Labels) -> bool {
        let mut required = self.requirements.iter();
        selects(&self.labels, labels) && required.all(|requirement| requirement.holds(labels))
    }
}

/// Which Ingresses become routes of which gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressSettings {
    /// Which.
    pub mode: IngressMode,
    /// Their class.
    pub class: String,
    /// Name of the gateway's service.
    pub service: String,
    /// Value of the label `istio` of the gateway's pods; the name of the service if empty.
    pub selector: String,
}

impl Default for IngressSettings {
    fn default() -> Self {
        IngressSettings {
            mode: IngressMode::Strict,
            class: "istio".to_owned(),
            service: "istio-ingressgateway".to_owned(),
            selector: String::new(),
        }
    }
}

/// Which Ingresses become routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngressMode {
    /// None.
    Off,
    /// All but those of other classes.
    Default,
    /// Those of the class.
    Strict,
}

/// How paths are made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathNormalization {
    /// Not at all.
    None,
    /// As RFC 3986 says; also what `DEFAULT` means.
    Base,
    /// Repeated slashes become one, besides.
    MergeSlashes,
    /// Escaped slashes and backslashes are slashes, besides.
    DecodeAndMergeSlashes,
}

/// Who can be asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionProvider {
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
}

/// What can be asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Decides about requests.
    Authorization(ExternalAuthorization),
    /// Gets traces.
    Tracing,
    /// Gets metrics.
    Metrics,
    /// A file that gets logs.
    LogFile,
    /// A service that gets logs.
    LogService,
    /// Hands out certificates.
    Certificates,
}

/// A service that decides about requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAuthorization {
    /// Host, or `namespace/host`.
    pub service: String,
    /// Port.
    pub port: u16,
    /// How long its answer may take; Envoy's 200 ms or Istio's 10 min if nothing is said.
    pub timeout: Option<Duration>,
    /// Whether requests pass while it does not answer.
    pub fails_open: bool,
    /// Status of requests that are refused because it does not answer.
    pub status_on_error: Option<u16>,
}

/// Who is told unless something else is said, by names of providers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultProviders {
    /// Traces.
    pub tracing: Vec<String>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// Logs.
    pub access_logging: Vec<String>,
}
