//! What adds machines to a cluster, and takes them away.

use engine::{Distribution, Duration};
use std::ops::Range;

/// A cluster autoscaler, or a provisioner like Karpenter.
#[derive(Clone, Debug, PartialEq)]
pub struct Provisioner {
    /// Which.
    pub kind: ProvisionerKind,
    /// The kinds of machines that it may order; none of them overlap.
    pub pools: Vec<NodePool>,
}

/// Kinds of provisioners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvisionerKind {
    /// The cluster autoscaler: looks at an interval, grows groups of equal machines.
    ClusterAutoscaler,
    /// Karpenter: batches pending pods and orders the cheapest machines that hold them.
    Karpenter,
}

/// Equal machines that can be ordered: a node group, or an instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePool {
    /// Name.
    pub name: String,
    /// Positions of its machines among the cluster's nodes: as many as there can be at once.
    pub nodes: Range<u32>,
    /// How many exist at the start, the first of them.
    pub count: u32,
    /// Fewest machines that the cluster autoscaler leaves.
    pub count_min: u32,
    /// What one costs per hour, in whatever unit; only compared.
    pub price: f64,
    /// From the order for a machine until its node is Ready.
    pub boot: Distribution,
    /// From then until its start-up daemon lifts the taint that keeps pods away.
    pub start_up: Duration,
}
