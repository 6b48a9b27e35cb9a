//! What a cluster's kube-proxies write, beside the rules of the services that are described.

pub use crate::rules::Configuration as ProxyConfiguration;
pub use crate::rules::Mode as ProxyMode;
pub use crate::rules::Protocol as Transport;

/// Rules of kube-proxy, as far as they are no service's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// What an administrator set. Without ranges of the cluster, those of its pods are meant.
    pub configuration: ProxyConfiguration,
    /// Service ports that nobody in the scenario calls: their rules stand among the others.
    pub other_services: u32,
}
