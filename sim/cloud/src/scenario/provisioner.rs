//! What adds machines to a cluster, and takes them away.

use super::Amount;
use crate::facts;
use engine::{Distribution, Duration};
use std::ops::Range;

/// A cluster autoscaler, or a provisioner like Karpenter.
#[derive(Clone, Debug, PartialEq)]
pub struct Provisioner {
    /// Which.
    pub kind: ProvisionerKind,
    /// The kinds of machines that it may order; none of them overlap.
    pub pools: Vec<MachinePool>,
    /// Karpenter's NodePools, the heaviest first; nodes of the cluster autoscaler are of the first.
    pub node_pools: Vec<NodePool>,
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
pub struct MachinePool {
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
    /// Position of the NodePool that its nodes belong to.
    pub node_pool: usize,
}

/// What Karpenter is told of nodes that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePool {
    /// How large they may be together.
    pub limits: Limits,
    /// When they may be taken away.
    pub disruption: Disruption,
}

/// `limits` of a NodePool; what is absent has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core of all nodes.
    pub cpu_milli: Option<u64>,
    /// Bytes of memory of all nodes.
    pub memory_bytes: Option<u64>,
    /// Nodes.
    pub nodes: Option<u64>,
}

/// When Karpenter may take nodes away: `disruption` of a NodePool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruption {
    /// Which nodes are worth it.
    pub consolidates: Consolidates,
    /// For how long no pod must have come to a node, or been deleted from it.
    pub after: Duration,
    /// How many may be gone at once, of those that there are; the least of these counts.
    pub budgets: Vec<NodePoolBudget>,
}

/// How many nodes may be gone at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolBudget {
    /// How many, or which share, rounded up.
    pub nodes: Amount,
    /// What it bounds; everything, if empty.
    pub reasons: Vec<DisruptionReason>,
}

/// Why Karpenter takes a node away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisruptionReason {
    /// It has no pods.
    Empty,
    /// Its pods fit elsewhere, or on a cheaper one.
    Underutilized,
    /// It is not as its NodePool says, which does not happen here.
    Drifted,
}

impl Default for Disruption {
    fn default() -> Self {
        Disruption {
            consolidates: Consolidates::EmptyOrUnderutilized,
            after: Duration::ZERO,
            budgets: vec![NodePoolBudget {
                nodes: Amount::Percent(facts::KARPENTER_BUDGET_PERCENT.value),
                reasons: Vec::new(),
            }],
        }
    }
}

/// `consolidationPolicy`, and whether there is any consolidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consolidates {
    /// None.
    Never,
    /// Nodes without pods.
    Empty,
    /// Those, and nodes whose pods fit elsewhere or on a cheaper one.
    EmptyOrUnderutilized,
}
