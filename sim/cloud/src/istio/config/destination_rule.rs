//! DestinationRule: how a host's endpoints are reached.

use super::{
    ClientTls, ConnectionPool, ExportTo, Identity, Labels, OutlierDetection, Percent, RetryBudget,
};
use crate::istio::locality::{LocalitySetting, ZoneAwareSetting};
use engine::Duration;

/// A DestinationRule.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    /// How it is called.
    pub identity: Identity,
    /// Host as written.
    pub host: String,
    /// What holds for all subsets.
    pub policy: TrafficPolicy,
    /// Parts of the host's endpoints.
    pub subsets: Vec<Subset>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Whose sidecars it is for: all if empty.
    pub selector: Labels,
}

/// A part of a host's endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// Name.
    pub name: String,
    /// Labels of its endpoints.
    pub labels: Labels,
    /// What holds instead of what holds for the host, part by part.
    pub policy: TrafficPolicy,
}

/// How endpoints are reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// What may also be said for a port.
    pub common: PortPolicy,
    /// What holds for single ports, and replaces all of `common` there.
    pub ports: Vec<(u16, PortPolicy)>,
    /// Whether connections are tunnelled through the endpoints to another place.
    pub tunnel: Option<Tunnel>,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Retries that are allowed at once.
    pub retry_budget: Option<RetryBudget>,
}

/// How endpoints are reached, as far as it may be said for a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortPolicy {
    /// How one is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Connections to them.
    pub connection_pool: Option<ConnectionPool>,
    /// When one is left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// How connections are encrypted.
    pub tls: Option<ClientTls>,
}

/// A tunnel through the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// How it is asked for.
    pub method: TunnelMethod,
    /// Host at its other end.
    pub host: String,
    /// Port there.
    pub port: u16,
}

/// How a tunnel is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelMethod {
    /// `CONNECT`.
    Connect,
    /// `POST`.
    Post,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// As text.
    V1,
    /// Binary.
    V2,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadBalancer {
    /// By which rule; LEAST_REQUEST if nothing is said.
    pub policy: Option<BalancePolicy>,
    /// By how far it is; the mesh's if nothing is said.
    pub locality: Option<LocalitySetting>,
    /// Zone-aware routing; the mesh's if nothing is said.
    pub zone_aware: Option<ZoneAwareSetting>,
    /// How slowly new endpoints get their share.
    pub warmup: Option<Warmup>,
}

/// By which rule an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalancePolicy {
    /// Uniformly.
    Random,
    /// Whom the client connected to.
    Passthrough,
    /// In turn.
    RoundRobin,
    /// The one with the least requests of some; `LEAST_CONN` in old releases.
    LeastRequest,
    /// The same one for the same key.
    ConsistentHash {
        /// Key.
        key: HashKey,
        /// How keys are mapped to endpoints.
        algorithm: HashAlgorithm,
    },
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a header.
    Header(String),
    /// The value of a cookie, which the proxy sets if it has a lifetime.
    Cookie {
        /// Name.
        name: String,
        /// Path.
        path: Option<String>,
        /// Lifetime; zero lasts as long as the browser's session.
        ttl: Option<Duration>,
    },
    /// The address of the client.
    SourceAddress,
    /// The value of a query parameter.
    QueryParameter(String),
    /// Nothing: endpoints are chosen at random.
    Nothing,
}

/// How keys are mapped to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// On a ring.
    Ring {
        /// Fewest points on it.
        size_min: u64,
    },
    /// By a table.
    Maglev {
        /// Slots; Envoy's if nothing is said.
        slots: Option<u64>,
    },
}

/// How slowly new endpoints get their share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// For how long.
    pub lasts: Duration,
    /// Share at the beginning; Envoy's 10 % if nothing is said.
    pub percent_min: Option<Percent>,
    /// Exponent, at least 1; 1 if nothing is said.
    pub aggression: Option<f64>,
}
