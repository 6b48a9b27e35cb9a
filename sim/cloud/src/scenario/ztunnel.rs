//! The proxies that stand on each node of a cluster and carry the connections of pods.

use crate::facts;
use engine::{Distribution, Duration};

/// A proxy on each node, which takes every TCP connection to and from the pods there that are
/// part of the ambient mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Ztunnel {
    /// Worker threads, at least 1.
    pub threads: u8,
    /// What its work costs.
    pub costs: ZtunnelCosts,
}

/// CPU time that one of a ztunnel's worker threads spends.
#[derive(Clone, Debug, PartialEq)]
pub struct ZtunnelCosts {
    /// On a request, until it is sent on.
    pub request: Distribution,
    /// On its answer.
    pub response: Distribution,
    /// On a connection, at either end.
    pub connection: Distribution,
    /// On the handshake of a new tunnel, at either end.
    pub handshake: Distribution,
    /// Bits that it passes on in a second, above that.
    pub bits_per_second: u64,
}

impl ZtunnelCosts {
    /// Costs on machines where a ztunnel's thread spends so much on a request and its answer.
    pub fn of(per_request: Duration) -> ZtunnelCosts {
        let usual = facts::ZTUNNEL_CPU_PER_REQUEST.value;
        let scale = per_request.as_secs_f64() / usual.as_secs_f64();
        let share = facts::PROXY_CPU_REQUEST_SHARE.value;
        let variation = facts::PROXY_CPU_VARIATION.value;
        let work = |mean: f64| {
            Distribution::lognormal_from_mean(mean, variation).expect("work takes time")
        };
        let per_request = per_request.as_secs_f64();
        let constant = |fact: Duration| Distribution::constant(fact.mul_f64(scale));
        ZtunnelCosts {
            request: work(share * per_request),
            response: work((1.0 - share) * per_request),
            connection: work(scale * facts::ZTUNNEL_CPU_PER_CONNECTION.value.as_secs_f64()),
            handshake: constant(facts::ZTUNNEL_CPU_PER_HANDSHAKE.value),
            bits_per_second: facts::ZTUNNEL_BITS_PER_SECOND.value,
        }
    }
}
