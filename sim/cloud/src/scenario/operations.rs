//! What operators do to machines and pods, and the budgets that they have to respect.

use super::WorkloadId;
pub use crate::kubernetes::budget::{Demand, Unhealthy};
use engine::Duration;

/// A PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisruptionBudget {
    /// Namespace; with `name` unique in its cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Workloads whose pods it selects, ascending.
    pub workloads: Vec<WorkloadId>,
    /// What must stay.
    pub demand: Demand,
    /// What may be done to pods that are not ready.
    pub unhealthy: Unhealthy,
}

/// `kubectl drain`: no new pods, and the pods that are there are evicted, except for those of
/// DaemonSets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Position of the node in the cluster.
    pub node: u32,
    /// `--grace-period`: how long each pod may take to stop; its own period else.
    pub grace: Option<Duration>,
    /// What is done about pods that nobody replaces.
    pub bare: BarePods,
    /// `--timeout`: when the operator gives up; never else.
    pub timeout: Option<Duration>,
}

/// What a drain does about pods that nobody replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarePods {
    /// It evicts nobody as long as there are any.
    #[default]
    Refuse,
    /// `--force`: it evicts them with the others.
    Evict,
}

/// Which pods of a workload are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodChoice {
    /// So many of its running pods, drawn at random.
    Drawn(u32),
    /// The pod of a StatefulSet with this number.
    Ordinal(u32),
}
