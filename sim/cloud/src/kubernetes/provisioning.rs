//! Nodes that come and go with the pods: the cluster autoscaler, and a provisioner like Karpenter.
//!
//! Models: both look at pods that found no node, simulate where they would go on nodes that do
//! not exist yet, and order them: the cluster autoscaler whole nodes of the group that wastes
//! least ([`cluster_autoscaler`]), Karpenter the cheapest machine that holds what was packed
//! together ([`karpenter`]). Both take nodes away again whose pods fit elsewhere.
//!
//! Approximated: the simulated scheduling counts CPU, memory and the number of pods, which
//! offers and nodes a pod may use by labels and taints, and whether two of its kind may share a
//! new node; nothing else.
//! Sources: kubernetes/autoscaler `cluster-autoscaler`, kubernetes-sigs/karpenter; [`crate::facts`].
//! Validated by: packings and sequences of orders worked out by hand.

pub mod cluster_autoscaler;
pub mod karpenter;
mod packing;

pub use packing::{Packing, fits_elsewhere, pack, without_coming};

use crate::scenario::Resources;
use engine::Time;
use std::sync::Arc;

/// A kind of node that can be ordered: a node group, or a shape of machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What pods may request from such a node, besides its DaemonSets.
    pub allocatable: Resources,
    /// Most pods on it, besides its DaemonSets.
    pub pods_max: u32,
    /// Fewest nodes of a group.
    pub min: u32,
    /// Most nodes of a group.
    pub max: u32,
    /// What one costs per hour, in whatever unit; only compared.
    pub price: f64,
    /// What it has before anything runs on it.
    pub capacity: Resources,
    /// Position of the NodePool that its nodes belong to.
    pub node_pool: usize,
    /// Position of one of its nodes: the others have the same labels and taints.
    pub node: usize,
}

/// Equal pods that found no node.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// What one requests.
    pub requests: Resources,
    /// How many there are.
    pub pods: u32,
    /// For each offer, whether they may run on it.
    pub allowed: Vec<bool>,
    /// Whether each needs a node of its own.
    pub apart: bool,
}

/// A node as a provisioner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// The offer it came from; `None` if it is not the provisioner's to take away.
    pub offer: Option<usize>,
    /// Where it is in its life.
    pub phase: NodePhase,
    /// What its pods may request.
    pub allocatable: Resources,
    /// Most pods on it.
    pub pods_max: u32,
    /// What all its pods request.
    pub requested: Resources,
    /// How many pods it has.
    pub pods: u32,
    /// Its pods that would have to go elsewhere: not those of DaemonSets.
    pub tenants: Vec<Tenant>,
    /// Since when no such pod has come, nor been deleted.
    pub calm_since: Time,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePhase {
    /// It could be ordered.
    Absent,
    /// Ordered at that time, not Ready yet.
    Coming(Time),
    /// Ready.
    Ready,
    /// Being emptied and taken away.
    Leaving,
    /// Registered, but not Ready.
    NotReady,
}

/// Equal pods on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// What one requests.
    pub requests: Resources,
    /// How many.
    pub pods: u32,
    /// Whether they may be moved: something replaces them.
    pub replaced: bool,
    /// Where they may run.
    pub reach: Reach,
}

/// Which nodes labels and taints leave to a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reach {
    /// All.
    #[default]
    Everywhere,
    /// By the position of each node, whether it is one.
    Some(Arc<[bool]>),
}

impl Reach {
    /// Whether the node at a position is among them.
    pub fn holds(&self, node: usize) -> bool {
        match self {
            Reach::Everywhere => true,
            Reach::Some(nodes) => nodes[node],
        }
    }
}

impl NodeView {
    /// The greater of its requested shares of CPU and memory.
    pub fn utilization(&self) -> f64 {
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        share(self.requested.cpu_milli, self.allocatable.cpu_milli).max(share(
            self.requested.memory_bytes,
            self.allocatable.memory_bytes,
        ))
    }

    /// What is left on it.
    fn free(&self) -> Resources {
        let (all, used) = (self.allocatable, self.requested);
        Resources {
            cpu_milli: all.cpu_milli.saturating_sub(used.cpu_milli),
            memory_bytes: all.memory_bytes.saturating_sub(used.memory_bytes),
        }
    }
}
