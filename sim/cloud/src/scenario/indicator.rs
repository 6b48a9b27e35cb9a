//! Kubernetes' own service-level indicators: what a cluster promises about itself.
//!
//! They are defined in kubernetes/community sig-scalability/slos: how long it takes until the
//! nodes know of a service's endpoints, until a pod has started, and until the API server has
//! answered.

use super::{ServiceId, WorkloadId};

/// One indicator, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Indicator {
    /// From a change of a service's ready pods to a node's rules; of one service or of all. Every
    /// node counts once for each change.
    NetworkProgramming(Option<ServiceId>),
    /// From the creation of a stateless pod that finds a node at once until its containers are
    /// seen to have started, without images and init containers; of one workload or of all.
    PodStartup(Option<WorkloadId>),
    /// What the API server needs for a call that writes one object.
    ApiMutating,
    /// What the API server needs for a call that reads one object.
    ApiRead,
}

impl Indicator {
    /// Whether what was counted as `other` belongs to this one.
    pub fn covers(self, other: Indicator) -> bool {
        match (self, other) {
            (Indicator::NetworkProgramming(None), Indicator::NetworkProgramming(_))
            | (Indicator::PodStartup(None), Indicator::PodStartup(_)) => true,
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
