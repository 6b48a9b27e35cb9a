//! The proxy that stands beside an application and carries its traffic.

use engine::Distribution;

/// A proxy beside the application of each pod, which takes every connection to and from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// Worker threads (`concurrency`), at least 1.
    pub threads: u8,
    /// What its work costs.
    pub costs: ProxyCosts,
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
}
