//! The control plane and its parts: API servers, etcd, controllers, kubelets, kube-proxies.
//!
//! Each only says what is down, slow or standing still; what follows from that for leases,
//! watches and leaders is the control plane's own business.

use crate::scenario::Component;
use std::collections::BTreeSet;

/// What a fault can do to a cluster's control plane.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ControlLevers {
    /// API servers that are down.
    pub(crate) api_servers_down: u32,
    /// Factor on the latency of those that are up.
    pub(crate) api_slow_factor: f64,
    /// Factor on the work of istiod.
    pub(crate) istiod_slow_factor: f64,
    /// Members of etcd that are down.
    pub(crate) etcd_down: u32,
    /// Nobody gets an image from the registry.
    pub(crate) registry_down: bool,
    /// Parts that do not run.
    pub(crate) down: BTreeSet<Component>,
    /// Parts whose clock stands still.
    pub(crate) frozen: BTreeSet<Component>,
}

impl ControlLevers {
    pub(super) fn at_rest() -> Self {
        ControlLevers {
            api_servers_down: 0,
            api_slow_factor: 1.0,
            istiod_slow_factor: 1.0,
            etcd_down: 0,
            registry_down: false,
            down: BTreeSet::new(),
            frozen: BTreeSet::new(),
        }
    }

    /// Whether a part does nothing, because it is down or frozen.
    pub(crate) fn stands(&self, component: Component) -> bool {
        self.down.contains(&component) || self.frozen.contains(&component)
    }
}
