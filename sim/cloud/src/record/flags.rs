//! What sidecars write into their access logs, counted.

use crate::envoy::flags::Flags;
use crate::scenario::{ClusterId, WorkloadId};
use std::collections::BTreeMap;

/// Which sidecar tells of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reporter {
    /// That of who asks.
    Source,
    /// That of who is asked.
    Destination,
}

impl Reporter {
    /// Name, as Istio's metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Reporter::Source => "source",
            Reporter::Destination => "destination",
        }
    }
}

/// Status and flags of a request. Status 0 is that of one whose caller went away.
pub type Logged = (u16, Flags);

/// Requests from one workload to one version of a service, as one side's sidecars saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagRecord {
    /// Cluster of the sidecars.
    pub cluster: ClusterId,
    /// Whose they are.
    pub reporter: Reporter,
    /// Who asked, if that is known.
    pub source: Option<WorkloadId>,
    /// Position of the service that was asked.
    pub service: u32,
    /// The label `version` of the pod that it was sent to; nothing if it was sent to none, or to
    /// one without.
    pub version: Option<String>,
    /// Requests by what was logged of them.
    pub counts: BTreeMap<Logged, u64>,
}
