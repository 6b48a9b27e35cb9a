//! Clusters: a port of a service, or of a subset of it, with all that holds for its connections.

use super::registry::{Service, World};
use super::rules::{Rule, policy};
use crate::envoy;
use crate::envoy::breaker::{Budget, Thresholds};
use crate::envoy::hosts::Policy;
use crate::envoy::outlier::{self, Cap, Detector, Enforcement, SuccessRate};
use crate::envoy::ring;
use crate::envoy::slow_start::SlowStart;
use crate::facts;
use crate::istio::authentication::ClientMode;
use crate::istio::config::{
    BalancePolicy, ConnectionPool, HashAlgorithm, HashKey, Location, OutlierDetection, Resolution,
    RetryBudget, TcpPool, Warmup,
};
use crate::istio::locality::{self, Said, Setting};
use crate::istio::protocol::Protocol;
use crate::istio::push::Role;
use crate::istio::version::Version;
use engine::Duration;
use std::fmt;

/// The name of a cluster, as Envoy's statistics show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName {
    /// Host.
    pub host: String,
    /// Port of the host.
    pub port: u16,
    /// Subset.
    pub subset: Option<String>,
}

impl fmt::Display for ClusterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subset = self.subset.as_deref().unwrap_or_default();
        write!(out, "outbound|{}|{subset}|{}", self.port, self.host)
    }
}

impl ClusterName {
    /// The name that sidecars ask for in TLS, unless a rule says another.
    pub fn server_name(&self) -> String {
        let subset = self.subset.as_deref().unwrap_or_default();
        format!("outbound_.{}_.{subset}_.{}", self.port, self.host)
    }
}

/// How endpoints come to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// istiod tells them.
    Told,
    /// The proxy asks for names, and takes all answers or the first.
    Names,
    /// Whom the client connected to.
    Original,
    /// The same, at a gateway: clients connect to the gateway itself, so there are none.
    Nowhere,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The one of two with the fewest requests.
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Uniformly.
    Random,
    /// By a ring of at least so many points.
    Ring(u64),
    /// By a table of so many slots, Envoy's if nothing is said.
    Maglev(Option<u64>),
    /// Not at all: it is whom the client connected to.
    Original,
}

/// What is spoken to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// What the client speaks.
    OfClient,
    /// Bytes.
    Bytes,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The number of its name.
    pub name: u32,
    /// Its service.
    pub service: u32,
    /// Which of the service's ports.
    pub port: u32,
    /// The rule that holds, and which of its subsets this is.
    pub rule: Option<u32>,
    /// Which of the rule's subsets this is.
    pub subset: Option<u32>,
    /// How endpoints come.
    pub discovery: Discovery,
    /// How one is chosen.
    pub balance: Balance,
    /// What is hashed, if that decides.
    pub hash: Option<HashKey>,
    /// How slowly new ones get their share.
    pub warmup: Option<Warmup>,
    /// Limits.
    pub limits: Thresholds,
    /// Connections, where the policy says more.
    pub pool: ConnectionPool,
    /// How long connections live that carry bytes: what the rule says of its host as a whole counts,
    /// and nothing else.
    pub handed_on: TcpPool,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// What is spoken.
    pub spoken: Spoken,
    /// When an endpoint is left out.
    pub outlier: Option<OutlierDetection>,
    /// Below so many healthy endpoints, in percent, all get requests; Envoy's if nothing is said.
    pub panic_percent: Option<u32>,
    /// What the rule says about encryption.
    pub tls: Option<ClientMode>,
    /// The name that it says to ask for in TLS.
    pub server_name: Option<String>,
    /// How endpoints' places count.
    pub locality: Option<Setting>,
    /// Whether groups of endpoints are weighted.
    pub is_weighted: bool,
}

/// A port of a service, and a subset of it under a rule.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The service.
    pub service: u32,
    /// Which of its ports.
    pub port: u32,
    /// The rule.
    pub rule: Option<(u32, &'a Rule)>,
    /// Which of its subsets.
    pub subset: Option<u32>,
    /// What kind of proxy it is for.
    pub role: Role,
}

/// Builds a cluster. `name` is the number of its name.
pub fn cluster(world: &World<'_>, part: Part<'_>, name: u32) -> Cluster {
    let service = &world.services[part.service as usize];
    let port = &service.ports[part.port as usize];
    let rule = part.rule.map(|(_, rule)| rule);
    let subset = part
        .subset
        .and_then(|subset| rule?.subsets.get(subset as usize));
    let policy = policy(rule, subset, port.number);
    let pool = policy.common.connection_pool.clone();
    let pool = pool
        .or_else(|| world.mesh.connection_pool.clone())
        .unwrap_or_default();
    let tls = policy.common.tls.as_ref().map(|tls| tls.mode);
    let spoken = match is_handed_on(port.protocol, tls) {
        true => Spoken::Bytes,
        false => spoken(world, &pool, port.protocol, part.role),
    };
    let whole = rule.and_then(|rule| rule.policy.as_ref());
    let whole = whole.and_then(|policy| policy.common.connection_pool.as_ref());
    let handed_on = whole.filter(|_| spoken == Spoken::Bytes);
    let outlier = policy.common.outlier_detection.clone();
    let outlier = outlier.or_else(|| world.mesh.outlier_detection.clone());
    let load_balancer = policy.common.load_balancer.clone().unwrap_or_default();
    let budget = policy.retry_budget.map(budget);
    let locality = locality(world, service, &load_balancer);
    let weighted = |it: &Setting| locality::is_weighted(it, outlier.is_some());
    let (balance, hash) = balance(load_balancer.policy.as_ref(), port.protocol);
    let discovery = discovery(service, balance, part.role);
    Cluster {
        name,
        service: part.service,
        port: part.port,
        rule: part.rule.map(|(number, _)| number),
        subset: part.subset,
        discovery,
        balance: if discovery == Discovery::Original {
            Balance::Original
        } else {
            balance
        },
        hash,
        warmup: load_balancer.warmup,
        limits: limits(&pool, budget),
        connect_timeout: pool
            .tcp
            .connect_timeout
            .unwrap_or(world.mesh.connect_timeout),
        spoken,
        handed_on: handed_on.map(|pool| pool.tcp).unwrap_or_default(),
        panic_percent: panic_percent(service, outlier.as_ref()),
        server_name: policy.common.tls.as_ref().and_then(|tls| tls.sni.clone()),
        tls,
        is_weighted: locality.as_ref().is_some_and(weighted),
        locality,
        outlier,
        pool,
    }
}

impl Cluster {
    /// Whether proxies are told the same of another cluster of this name, which may be from
    /// another configuration.
    pub fn is_same_for_proxies(&self, other: &Cluster) -> bool {
        let renumbered = Cluster {
            name: self.name,
            rule: self.rule,
            subset: self.subset,
            ..other.clone()
        };
        *self == renumbered
    }

    /// How its hosts are chosen, but for the weights of their places.
    pub fn balancer(&self) -> envoy::hosts::Settings {
        let policy = match self.balance {
            Balance::LeastRequest | Balance::Original => Policy::least_request(),
            Balance::RoundRobin => Policy::RoundRobin,
            Balance::Random => Policy::Random,
            Balance::Ring(min) => Policy::RingHash(ring::Size {
                min,
                max: facts::ENVOY_RING_MAX.value,
            }),
            Balance::Maglev(slots) => {
                Policy::Maglev(slots.unwrap_or(facts::ENVOY_MAGLEV_TABLE.value))
            }
        };
        let usual = envoy::hosts::Settings::of(policy);
        envoy::hosts::Settings {
            panic_threshold: self.panic_percent.unwrap_or(usual.panic_threshold),
            slow_start: self.warmup.map(|warmup| {
                let usual = SlowStart::over(warmup.lasts);
                let share = warmup.percent_min;
                SlowStart {
                    aggression: warmup.aggression.unwrap_or(usual.aggression),
                    share_min: share
                        .map_or(usual.share_min, |share| f64::from(share.millionths()) / 1e6),
                    ..usual
                }
            }),
            ..usual
        }
    }

    /// What its connections carry: HTTP/1.1 or HTTP/2, or either, in this order, where that
    /// follows the client.
    pub fn connections(&self, version: Version) -> Vec<envoy::pool::Settings> {
        connections(self.spoken, (&self.pool, self.handed_on), version)
    }

    /// How many healthy hosts proxies that know their likes need to route by zone, if they do.
    pub fn zone_hosts_min(&self) -> Option<u32> {
        let usual = facts::ENVOY_ZONE_ROUTING_HOSTS_MIN.value;
        match &self.locality {
            _ if self.is_weighted => None,
            Some(Setting::ZoneAware(said)) => {
                let hosts_min = said.endpoints_min.unwrap_or(usual);
                said.enabled.then_some(hosts_min)
            }
            // Envoy does so by itself.
            Some(Setting::Locality(..)) | None => Some(usual),
        }
    }

    /// Its detector of outliers, if it has one: rates of success are never looked at.
    pub fn outlier_detector(&self, version: Version) -> Option<outlier::Settings> {
        let said = self.outlier.as_ref()?;
        let usual = outlier::Settings::default();
        let off = Enforcement::Observed;
        let detector = |said: Option<u32>, usual: Detector| match said {
            None => usual,
            Some(0) => Detector {
                enforcement: off,
                ..usual
            },
            Some(threshold) => Detector {
                threshold,
                enforcement: Enforcement::Enforced,
            },
        };
        Some(outlier::Settings {
            interval: said.interval.unwrap_or(usual.interval),
            base: said.ejection_base.unwrap_or(usual.base),
            percent_max: match said.ejection_percent_max {
                None | Some(0) => usual.percent_max,
                Some(percent) => percent,
            },
            // Istio does not ask for one to be ejected always.
            cap: Cap::of_minor(version.envoy_minor(), false),
            server_errors: detector(said.consecutive_5xx, usual.server_errors),
            gateway_errors: detector(said.consecutive_gateway_errors, usual.gateway_errors),
            local_failures: detector(said.consecutive_local_failures, usual.local_failures),
            split: said.splits_local_failures,
            success_rate: SuccessRate {
                enforcement: off,
                ..usual.success_rate
            },
            ..usual
        })
    }
}

/// A budget of retries as Envoy keeps it.
pub fn budget(said: RetryBudget) -> Budget {
    let default = Budget::default();
    Budget {
        percent: said.percent.unwrap_or(default.percent),
        min: said.concurrency_min.unwrap_or(default.min),
    }
}

/// What connections carry that speak so: HTTP/1.1 or HTTP/2, or either, in this order, where that
/// follows the client; or bytes, that are handed on.
pub fn connections(
    spoken: Spoken,
    (pool, handed_on): (&ConnectionPool, TcpPool),
    version: Version,
) -> Vec<envoy::pool::Settings> {
    let first = || limited(pool, envoy::pool::Settings::http1());
    let second = || {
        let usual = envoy::pool::Settings::http2(version.envoy_minor());
        let streams_max = pool.http.streams_max.unwrap_or(usual.streams_max);
        limited(
            pool,
            envoy::pool::Settings {
                streams_max,
                ..usual
            },
        )
    };
    match spoken {
        Spoken::Http1 => vec![first()],
        Spoken::Bytes => {
            let TcpPool {
                idle_timeout,
                lifetime,
                ..
            } = handed_on;
            vec![envoy::pool::Settings::bytes(idle_timeout, lifetime)]
        }
        Spoken::Http2 => vec![second()],
        Spoken::OfClient => vec![first(), second()],
    }
}

/// Connections as a policy limits them.
fn limited(pool: &ConnectionPool, usual: envoy::pool::Settings) -> envoy::pool::Settings {
    let (http, tcp) = (&pool.http, &pool.tcp);
    envoy::pool::Settings {
        requests_max: http.requests_per_connection_max.filter(|&max| max > 0),
        idle_timeout: match http.idle_timeout.or(tcp.idle_timeout) {
            None => usual.idle_timeout,
            Some(said) => Some(said).filter(|it| *it > Duration::ZERO),
        },
        lifetime: tcp.lifetime,
        ..usual
    }
}

/// Limits that a cluster's circuit breakers keep: none where nothing is said.
pub fn limits(pool: &ConnectionPool, budget: Option<Budget>) -> Thresholds {
    let or_none = |limit: Option<u32>| {
        let said = limit.filter(|limit| *limit > 0);
        said.unwrap_or(facts::ISTIO_BREAKER_MAX.value)
    };
    Thresholds {
        connections: or_none(pool.tcp.connections_max),
        pending: or_none(pool.http.pending_max),
        requests: or_none(pool.http.requests_max),
        retries: or_none(pool.http.retries_max),
        budget,
    }
}

fn discovery(service: &Service, balance: Balance, role: Role) -> Discovery {
    match (service.resolution, role) {
        (_, Role::Sidecar) if balance == Balance::Original => Discovery::Original,
        (_, Role::Gateway | Role::Waypoint) if balance == Balance::Original => Discovery::Nowhere,
        (Resolution::None, Role::Sidecar) => Discovery::Original,
        // Who is alone takes the endpoints that istiod knows: those of a headless service.
        (Resolution::None, Role::Gateway | Role::Waypoint) => Discovery::Told,
        (Resolution::Static, _) => Discovery::Told,
        (Resolution::Dns | Resolution::DnsRoundRobin | Resolution::DynamicDns, _) => {
            Discovery::Names
        }
    }
}

fn balance(policy: Option<&BalancePolicy>, protocol: Protocol) -> (Balance, Option<HashKey>) {
    // Redis spreads keys over servers by itself.
    if protocol == Protocol::Redis {
        return (Balance::Maglev(None), None);
    }
    let plain = |balance| (balance, None);
    match policy {
        None | Some(BalancePolicy::LeastRequest) => plain(Balance::LeastRequest),
        Some(BalancePolicy::RoundRobin) => plain(Balance::RoundRobin),
        Some(BalancePolicy::Random) => plain(Balance::Random),
        Some(BalancePolicy::Passthrough) => plain(Balance::Original),
        Some(BalancePolicy::ConsistentHash { key, algorithm }) => {
            let balance = match algorithm {
                HashAlgorithm::Ring { size_min } => Balance::Ring(*size_min),
                HashAlgorithm::Maglev { slots } => Balance::Maglev(*slots),
            };
            (balance, Some(key.clone()))
        }
    }
}

/// Whether proxies hand on connections of a port as they come, whatever a policy says of HTTP: not
/// where they themselves encrypt what routes of requests lead there.
fn is_handed_on(protocol: Protocol, tls: Option<ClientMode>) -> bool {
    let encrypts = matches!(tls, Some(ClientMode::Simple | ClientMode::Mutual));
    let carries_requests = protocol.is_http() || protocol == Protocol::Sniffed;
    !(carries_requests || protocol.is_tls() && encrypts)
}

fn spoken(world: &World<'_>, pool: &ConnectionPool, protocol: Protocol, role: Role) -> Spoken {
    let upgrade = pool.http.h2_upgrade;
    let by_mesh = protocol.is_http() && upgrade.is_none() && world.mesh.h2_upgrade;
    if pool.http.uses_client_protocol {
        Spoken::OfClient
    } else if protocol.is_http2() || upgrade == Some(true) || by_mesh {
        Spoken::Http2
    } else if protocol == Protocol::Sniffed && role != Role::Gateway {
        Spoken::OfClient
    } else {
        Spoken::Http1
    }
}

/// Outlier detection switches panic off, unless it says a share.
fn panic_percent(service: &Service, outlier: Option<&OutlierDetection>) -> Option<u32> {
    match outlier {
        _ if service.publishes_unready => Some(0),
        Some(outlier) => Some(outlier.health_percent_min),
        None => None,
    }
}

fn locality(
    world: &World<'_>,
    service: &Service,
    load_balancer: &crate::istio::config::LoadBalancer,
) -> Option<Setting> {
    let knows_zones = world.version.discovers_likes();
    let rule = Said {
        zone_aware: load_balancer.zone_aware.as_ref().filter(|_| knows_zones),
        locality: load_balancer.locality.as_ref(),
    };
    let mesh = Said {
        zone_aware: world.mesh.zone_aware.as_ref().filter(|_| knows_zones),
        locality: Some(&world.mesh.locality),
    };
    locality::effective(rule, service.distribution, mesh)
}

/// Whether the mesh may encrypt connections to a service by itself.
pub fn is_external(service: &Service) -> bool {
    service.location == Location::External
}
