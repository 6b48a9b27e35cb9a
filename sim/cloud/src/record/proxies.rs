//! How far one proxy of Istio was behind what was written.

use crate::scenario::{ClusterId, WorkloadId};
use engine::Duration;

/// How far one proxy was behind what its cluster's API server held, in the measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyRecord {
    /// Cluster.
    pub cluster: ClusterId,
    /// Which proxy.
    pub proxy: ProxyKey,
    /// For how long it acted on what it was told.
    pub acted: Duration,
    /// Of this, while something else held that concerned it.
    pub behind: Duration,
    /// Twice the integral over time of its lag, in square nanoseconds: exact.
    pub lag_twice_ns2: u128,
    /// Greatest lag.
    pub lag_max: Duration,
    /// How often it took in something that concerned it.
    pub updates: u64,
}

/// Which proxy of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyKey {
    /// That of a pod: a sidecar, a gateway or a waypoint.
    OfPod {
        /// Its workload.
        workload: WorkloadId,
        /// Position among the workload's revisions.
        revision: u32,
        /// Its ordinal, or as which of its workload it was created.
        number: u32,
    },
    /// The ztunnel of a node.
    Ztunnel(u32),
}
