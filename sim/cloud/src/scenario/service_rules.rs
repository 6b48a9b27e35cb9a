//! What a cluster's kube-proxies write, beside the rules of the services that are described.

pub use crate::rules::Mode as ProxyMode;

/// Rules of kube-proxy, as far as they are no service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRules {
    /// How packets find their endpoint.
    pub mode: ProxyMode,
    /// Service ports that nobody in the scenario calls: their rules stand among the others.
    pub other_services: u32,
}

impl Default for ServiceRules {
    fn default() -> Self {
        ServiceRules {
            mode: ProxyMode::Iptables,
            other_services: 0,
        }
    }
}
