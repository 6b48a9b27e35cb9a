//! Nodes that come and go with the pods: the cluster autoscaler, and a provisioner like Karpenter.
//!
//! Models: both look at pods that found no node, simulate where they would go on nodes that do
//! not exist yet, and order them: the cluster autoscaler whole nodes of the group that wastes
//! least ([`cluster_autoscaler`]), Karpenter the cheapest machine that holds what was packed
//! together ([`karpenter`]). Both take nodes away again whose pods fit elsewhere.
//!
//! Approximated: the simulated scheduling counts CPU, memory and the number of pods, which
//! offers a pod may use, and whether two of its kind may share a node; nothing else.
//! Sources: kubernetes/autoscaler `cluster-autoscaler`, kubernetes-sigs/karpenter; [`crate::facts`].
//! Validated by: packings and sequences of orders worked out by hand.

pub mod cluster_autoscaler;
pub mod karpenter;
mod packing;

pub use packing::{Packing, fits_elsewhere, pack, without_coming};

use crate::scenario::Resources;
use engine::Time;

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
