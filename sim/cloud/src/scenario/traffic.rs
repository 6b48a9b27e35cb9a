//! Traffic: who asks whom, and when.

use super::{ClusterId, GlobalNameId, Protocol, Retry, ServiceId, UserNetworkId, WorkloadId};
use crate::istio::authorization::Token;
use engine::{Distribution, Duration, Time};

/// A source of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Unique among traffic sources.
    pub name: String,
    /// Where it sits.
    pub source: TrafficSource,
    /// Whom it asks.
    pub target: TrafficTarget,
    /// When requests start.
    pub arrivals: Arrivals,
    /// How long a user waits for an answer to one attempt; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// What a user does about failures.
    pub retry: Retry,
    /// How connections are used.
    pub protocol: Protocol,
    /// Size of a request.
    pub request_bytes: u64,
    /// What routes match on.
    pub attributes: RequestAttributes,
    /// Distinct client addresses behind the source, at least 1; each connection belongs to one.
    pub clients: u32,
}

/// Where a traffic source sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficSource {
    /// In a user network.
    Users(UserNetworkId),
    /// In a pod of a workload: each request starts at one of its ready pods, in turn.
    Workload(ClusterId, WorkloadId),
    /// In the partition of the cluster itself, at no distance ([`NetworkModel::Ideal`](super::NetworkModel::Ideal)).
    Inside(ClusterId),
}

/// Whom a traffic source asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficTarget {
    /// A global name, resolved through the resolver of the user network.
    Global(GlobalNameId),
    /// One service of one cluster.
    Service {
        /// The cluster.
        cluster: ClusterId,
        /// The service: LoadBalancer or NodePort when asked from outside.
        service: ServiceId,
        /// Position of its port.
        port: u32,
    },
}

/// What routes match on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAttributes {
    /// Host name.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// Method, in capitals.
    pub method: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The token, which stands where path and headers say [`TOKEN`], or else in `authorization`.
    pub token: Option<Presented>,
}

/// What path and headers say where a token stands.
pub const TOKEN: &str = "{token}";

/// A token as a request carries it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Presented {
    /// What it says.
    pub token: Token,
    /// Whether its signature fits and its time is not over.
    pub is_valid: bool,
}

/// What routes match on in the calls of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAttributes {
    /// Path, with its leading slash.
    pub path: String,
    /// Method, in capitals.
    pub method: String,
    /// Headers of its own; names in lower case.
    pub headers: Vec<(String, String)>,
    /// A token of its own, as that of a request.
    pub token: Option<Presented>,
    /// Headers that it takes over from the request that it works on; names in lower case.
    pub forwarded: Vec<String>,
}

impl Default for CallAttributes {
    fn default() -> Self {
        CallAttributes {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            token: None,
            forwarded: Vec::new(),
        }
    }
}

/// When requests start.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// A Poisson process with a rate that may change.
    Poisson(RateProfile),
    /// Evenly spaced requests at a rate that may change; the phase is drawn.
    Constant(RateProfile),
    /// Independent gaps from one distribution.
    Renewal(Distribution),
    /// A Poisson process whose rate switches between two values at random.
    Modulated {
        /// Requests per second in each state.
        rates: [f64; 2],
        /// Mean time in each state.
        sojourns: [Duration; 2],
    },
    /// A fixed number of users; each waits for its answer, thinks, and asks again.
    Closed {
        /// How many users.
        users: u32,
        /// Time between an answer and the next request.
        think: Distribution,
    },
    /// A fixed number of users, as load generators have them: each asks at regular instants of
    /// its own, or as soon as it has its answer where that comes later.
    Paced {
        /// How many users.
        users: u32,
        /// Time between two instants of one user.
        period: Duration,
        /// Whether all users share their instants; otherwise each begins at random.
        together: bool,
        /// By how much of the period a request may be late at random, between 0 and 1.
        jitter: f64,
    },
    /// Requests at given instants after the start, ascending.
    Trace(Vec<Time>),
}

/// A rate over time, in requests per second.
#[derive(Clone, Debug, PartialEq)]
pub enum RateProfile {
    /// The same at all times.
    Constant(f64),
    /// Straight lines between points (time, rate), ascending in time; constant outside.
    /// Two points at one time are a step.
    Piecewise(Vec<(Time, f64)>),
    /// `mean + amplitude * sin(2 pi (t / period))`, never below zero.
    Sinusoid {
        /// Mean rate.
        mean: f64,
        /// Amplitude, at most the mean.
        amplitude: f64,
        /// Period.
        period: Duration,
    },
}
