//! What lies outside of clusters: places of users, the global DNS, links.

use super::{ClusterId, ServiceId, UserNetworkId};
use engine::Duration;
use ipnet::Ipv4Net;

/// A place where users sit: its own partition of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNetwork {
    /// Unique among user networks.
    pub name: String,
    /// Region, as of a cluster.
    pub region: String,
    /// Caching resolvers its users are spread over, at least 1; each keeps its own answers.
    pub resolvers: u32,
    /// Where their addresses lie; `None` if nobody says so, and every load balancer lets them in.
    pub addresses: Option<Ipv4Net>,
}

/// A name that the global DNS answers with the entry of a healthy cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalName {
    /// Host name.
    pub host: String,
    /// The candidates, at least one.
    pub answers: Vec<GlobalAnswer>,
    /// How the DNS picks among healthy candidates.
    pub policy: DnsPolicy,
    /// How long resolvers keep an answer.
    pub ttl: Duration,
    /// How candidates are checked.
    pub health_check: HealthCheck,
}

/// A candidate answer of a global name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalAnswer {
    /// The cluster.
    pub cluster: ClusterId,
    /// The entry: a LoadBalancer or NodePort service of it.
    pub service: ServiceId,
    /// Weight, for [`DnsPolicy::Weighted`].
    pub weight: u32,
}

/// How a global DNS picks among healthy candidates. With none healthy it answers as if all were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The first healthy one in the given order.
    Failover,
    /// The healthy one with the smallest round trip from the asking user network.
    Latency,
    /// At random by weight, drawn at each answer.
    Weighted,
}

/// Health checking of a global name's candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Time between two checks of one candidate.
    pub interval: Duration,
    /// A check without an answer for this long has failed.
    pub timeout: Duration,
    /// Failures in a row that make a candidate unhealthy.
    pub failures: u32,
    /// Successes in a row that make it healthy again.
    pub successes: u32,
}

/// What is known better than the defaults about the link between two places.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkOverride {
    /// One end.
    pub from: Place,
    /// The other end; the override holds in both directions.
    pub to: Place,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// Mean of the exponential jitter added to each one-way trip.
    pub jitter: Option<Duration>,
    /// Bits per second.
    pub bandwidth_bits: Option<u64>,
    /// Probability that a packet is lost, per direction.
    pub loss: Option<f64>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A region by name: every cluster, user network and site in it.
    Region(String),
    /// A cluster.
    Cluster(ClusterId),
    /// A user network.
    Users(UserNetworkId),
    /// A site of machines, by name.
    Site(String),
}
