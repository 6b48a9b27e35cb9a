//! Kubernetes' own service-level indicators: what a cluster promises about itself.
//!
//! They are defined in kubernetes/community sig-scalability/slos: how long it takes until the
//! nodes know of a service's endpoints, until a pod has started, and until the API server has
//! answered.

use super::ServiceId;

/// One indicator, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Indicator {
    /// From a change of a service's ready pods to a node's rules; of one service or of all. Every
    /// node counts once for each change.
    NetworkProgramming(Option<ServiceId>),
    /// What the API server needs for a call that writes one object.
    ApiMutating,
    /// What the API server needs for a call that reads one object.
    ApiRead,
}

impl Indicator {
    /// Whether what was counted as `other` belongs to this one.
    pub fn covers(self, other: Indicator) -> bool {
        match (self, other) {
            (Indicator::NetworkProgramming(None), Indicator::NetworkProgramming(_)) => true,
            _ => self == other,
        }
    }
}

/// What is told of many latencies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// Their mean.
    Mean,
    /// The latency that a share of them does not exceed, inside (0, 1).
    Quantile(f64),
}
