//! Istio's proxies: beside an application, whose traffic they carry, or alone.

use crate::facts;
use crate::istio::config::PodSettings;
pub use crate::istio::drain::Patience;
pub use crate::istio::push::Role;
use engine::{Distribution, Duration};

/// A proxy in each pod: beside its application, all of whose connections it takes, or alone, as a
/// gateway or a waypoint, with a station that nothing reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// Which of them.
    pub role: Role,
    /// Worker threads (`concurrency`), at least 1.
    pub threads: u8,
    /// What its work costs.
    pub costs: ProxyCosts,
    /// What annotations say, with all that holds for its proxy in `proxy`, the mesh's included.
    pub settings: PodSettings,
    /// How long it drains when it is told to stop.
    pub patience: Patience,
    /// Ports at which the containers beside it say that they listen; any if they say nothing.
    pub listens: Vec<u16>,
}

/// CPU time that one of a proxy's worker threads spends.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyCosts {
    /// On a request, until it is sent on.
    pub request: Distribution,
    /// On its answer.
    pub response: Distribution,
    /// On a new encrypted connection, as the one that opened it: checks a certificate and signs.
    pub handshake_client: Distribution,
    /// As the one that took it.
    pub handshake_server: Distribution,
    /// On either side, where both know each other from an earlier connection.
    pub resumption: Distribution,
}

impl ProxyCosts {
    /// Costs of a proxy whose threads spend so much on a request and its answer.
    pub fn of(per_request: Duration) -> ProxyCosts {
        let share = facts::PROXY_CPU_REQUEST_SHARE.value;
        let variation = facts::PROXY_CPU_VARIATION.value;
        let work = |share: f64| {
            let mean = share * per_request.as_secs_f64();
            Distribution::lognormal_from_mean(mean, variation).expect("work takes time")
        };
        let handshake = Distribution::constant(facts::PROXY_CPU_PER_HANDSHAKE.value);
        ProxyCosts {
            request: work(share),
            response: work(1.0 - share),
            handshake_client: handshake.clone(),
            handshake_server: handshake,
            resumption: Distribution::constant(facts::PROXY_CPU_PER_RESUMPTION.value),
        }
    }
}
