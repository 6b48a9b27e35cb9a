//! Which node a pod runs on.
//!
//! Models: kube-scheduler's default plugins for one pod at a time. Nodes are filtered by
//! cordon, `nodeName`, taints, `nodeSelector` and required node affinity, requests (CPU,
//! memory, number of pods), required topology spread, and required anti-affinity in both
//! directions; the rest are scored by what is left on them (LeastAllocated), by the balance
//! of CPU against memory (BalancedAllocation), by taints to be avoided (TaintToleration) and
//! by spread (PodTopologySpread, with the default constraints for pods that have none).
//!
//! Leaves out: preferred affinity and affinity to other pods, images, volumes, host ports,
//! other resources, `minDomains` and other policies of spread than the default ones,
//! priorities and preemption.
//! In clusters of more than 100 nodes the search ends when enough nodes have been found, and the
//! next one begins where it ended; nodes of different zones take turns in it.
//! Where kube-scheduler draws among nodes of equal score, the one with the fewest pods is
//! taken, and the first of those in the cluster's order, so that the same pods always meet
//! the same nodes.
//!
//! Sources: kubernetes/kubernetes `pkg/scheduler/framework/plugins` (1.23 to 1.33), and the
//! weights in [`crate::facts`].
//! Validated by kube-scheduler's own expected scores of spread, by placements computed by hand,
//! and by properties: requests never exceed a node, no required rule is ever broken, and what
//! is released can be placed again.

mod class;
mod filter;
mod labels;
mod sampling;
mod score;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use filter::Unschedulable;

use crate::scenario::{Cluster, ProvisionerKind, Resources, Taint, WorkloadId, WorkloadKind};
use class::{Class, Crowd, Domains};
use labels::LabelledNode;
use sampling::Search;
use std::sync::Arc;

/// The pods of a cluster as its scheduler counts them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scheduler {
    nodes: Vec<NodeState>,
    /// How many of them exist.
    present: usize,
    classes: Arc<Vec<Class>>,
    /// Where the pods of each workload are.
    bound: Vec<Bound>,
    /// Node labels that some rule uses as a topology.
    topologies: Arc<Vec<Domains>>,
    search: Search,
    /// Key of the taint that the cluster's provisioner gives to nodes that it empties.
    emptying_taint: &'static str,
}

/// The nodes that have pods of a workload, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bound(Vec<Held>);

/// Pods of a workload on a node; at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    node: u32,
    pods: u32,
    /// Those of them that have been told to end: spread no longer counts them.
    ending: u32,
}

impl Bound {
    fn position(&self, node: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |held| held.node)
    }

    fn get_mut(&mut self, node: u32) -> Option<&mut Held> {
        self.position(node).ok().map(|at| &mut self.0[at])
    }

    fn has(&self, node: u32) -> bool {
        self.position(node).is_ok()
    }

    fn add(&mut self, node: u32) {
        match self.position(node) {
            Ok(at) => self.0[at].pods += 1,
            Err(at) => {
                let (pods, ending) = (1, 0);
                self.0.insert(at, Held { node, pods, ending });
            }
        }
    }

    /// Takes one away, and says whether there was one.
    fn take(&mut self, node: u32) -> bool {
        let Ok(at) = self.position(node) else {
            return false;
        };
        self.0[at].pods -= 1;
        if self.0[at].pods == 0 {
            self.0.remove(at);
        }
        true
    }
}

/// What the scheduler knows about a node.
#[derive(Clone, Debug, PartialEq)]
struct NodeState {
    node: Arc<LabelledNode>,
    /// Whether its machine exists.
    present: bool,
    /// Not tainted by a provisioner that will take it away.
    open: bool,
    /// Heard of lately; the node controller taints it otherwise.
    available: bool,
    /// Sum of its pods' requests.
    requested: Resources,
    /// The same, with an assumed request for pods that have none; only for scores.
    counted: Resources,
    /// Number of its pods.
    pods: u32,
}

impl Scheduler {
    /// The empty cluster, all nodes available.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.nodes.iter();
        let labelled: Vec<_> = nodes
            .map(|node| Arc::new(LabelledNode::new(cluster, node)))
            .collect();
        let (classes, topologies) = class::all(cluster, &labelled);
        let nodes = labelled.into_iter().zip(0..);
        let nodes = nodes.map(|(node, position)| NodeState {
            node,
            present: cluster.has_at_start(position),
            open: true,
            available: true,
            requested: Resources::default(),
            counted: Resources::default(),
            pods: 0,
        });
        let nodes: Vec<_> = nodes.collect();
        Scheduler {
            present: nodes.iter().filter(|state| state.present).count(),
            nodes,
            bound: vec![Bound::default(); classes.len()],
            classes: Arc::new(classes),
            topologies: Arc::new(topologies),
            search: Search::new(cluster.nodes.iter().map(|node| node.zone)),
            emptying_taint: match cluster.provisioner.as_ref().map(|found| found.kind) {
                Some(ProvisionerKind::Karpenter) => "karpenter.sh/disrupted",
                _ => "ToBeDeletedByClusterAutoscaler",
            },
        }
    }

    /// Binds one more pod of `workload` to the best node and says which.
    ///
    /// A pod of a DaemonSet goes to the first of [`Scheduler::daemon_nodes`] that has none of
    /// its pods yet and can take one.
    ///
    /// # Panics
    /// If the workload consists of machines outside the cluster's nodes.
    pub(crate) fn place(&mut self, workload: WorkloadId) -> Result<u32, Unschedulable> {
        let kind = self.classes[workload.index()].kind;
        assert!(
            kind != WorkloadKind::External,
            "machines outside the cluster are not placed"
        );
        let candidates = self.filter(workload)?;
        let node = if kind == WorkloadKind::DaemonSet {
            candidates[0]
        } else {
            self.best(workload, &candidates)
        };
        self.bind(node, workload);
        Ok(node as u32)
    }

    /// A pod of `workload` on `node` has been told to end. It keeps its place there until it is
    /// released by [`Scheduler::release_ended`].
    pub(crate) fn end(&mut self, node: u32, workload: WorkloadId) {
        let held = self.bound[workload.index()].get_mut(node);
        held.expect("pods that end are bound").ending += 1;
    }

    /// Takes one pod of `workload` that had been told to end off `node`.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn release_ended(&mut self, node: u32, workload: WorkloadId) {
        let held = self.bound[workload.index()].get_mut(node);
        let held = held.filter(|held| held.ending > 0);
        let held = held.unwrap_or_else(|| panic!("no ending pod of {workload:?} on node {node}"));
        held.ending -= 1;
        self.release(node, workload);
    }

    /// Takes one pod of `workload` off `node`.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn release(&mut self, node: u32, workload: WorkloadId) {
        let was_there = self.bound[workload.index()].take(node);
        assert!(was_there, "no pod of {workload:?} on node {node}");
        let class = &self.classes[workload.index()];
        let state = &mut self.nodes[node as usize];
        state.pods -= 1;
        take(&mut state.requested, class.placement.requests);
        take(&mut state.counted, class.counted);
    }

    /// Says whether a node takes new pods; those bound to it stay counted until released.
    pub(crate) fn set_available(&mut self, node: u32, available: bool) {
        self.nodes[node as usize].available = available;
    }

    /// Cordons a node, or takes the cordon away.
    pub(crate) fn set_cordoned(&mut self, node: u32, cordoned: bool) {
        Arc::make_mut(&mut self.nodes[node as usize].node).unschedulable = cordoned;
    }

    /// Gives a node a taint, or takes it away.
    pub(crate) fn set_taint(&mut self, node: u32, taint: &Taint, tainted: bool) {
        let taints = &mut Arc::make_mut(&mut self.nodes[node as usize].node).taints;
        taints.retain(|known| known != taint);
        if tainted {
            taints.push(taint.clone());
        }
    }

    /// Says whether a node's machine exists.
    pub(crate) fn set_present(&mut self, node: u32, present: bool) {
        let state = &mut self.nodes[node as usize];
        self.present = self.present - usize::from(state.present) + usize::from(present);
        state.present = present;
    }

    /// Says whether a node is free of a provisioner's taint.
    pub(crate) fn set_open(&mut self, node: u32, open: bool) {
        self.nodes[node as usize].open = open;
    }

    /// What one pod of a workload requests.
    pub(crate) fn requests(&self, workload: WorkloadId) -> Resources {
        self.classes[workload.index()].placement.requests
    }

    /// What may be requested from a node, and how many pods it takes, while it has none.
    pub(crate) fn room(&self, node: u32) -> (Resources, u32) {
        let node = &self.nodes[node as usize].node;
        (node.allocatable, node.pods_max)
    }

    /// Whether the labels and the taints of a node allow a workload, whether it exists or not.
    pub(crate) fn suits(&self, workload: WorkloadId, node: u32) -> bool {
        let class = &self.classes[workload.index()];
        class.wants(&self.nodes[node as usize].node, node as usize)
    }

    /// Whether no two pods of a workload may share a node.
    pub(crate) fn is_apart(&self, workload: WorkloadId) -> bool {
        let mut avoids = self.classes[workload.index()].avoids.iter();
        avoids.any(|crowd| {
            self.topologies[crowd.topology].is_hostname() && crowd.workloads.contains(&workload)
        })
    }

    /// The nodes that a DaemonSet wants a pod on, ascending: those whose labels and taints
    /// allow it, whether or not there is room and whether or not they are available.
    pub(crate) fn daemon_nodes(&self, workload: WorkloadId) -> Vec<u32> {
        let class = &self.classes[workload.index()];
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].present)
            .filter(|&node| class.wants(&self.nodes[node].node, node))
            .map(|node| node as u32)
            .collect()
    }

    fn bind(&mut self, node: usize, workload: WorkloadId) {
        self.bound[workload.index()].add(node as u32);
        let class = &self.classes[workload.index()];
        let state = &mut self.nodes[node];
        state.pods += 1;
        add(&mut state.requested, class.placement.requests);
        add(&mut state.counted, class.counted);
    }

    /// The nodes that have pods of a crowd: a node comes up once for each of its workloads there.
    fn crowd(&self, crowd: &Crowd) -> impl Iterator<Item = Held> {
        let bound = crowd.workloads.iter().map(|id| &self.bound[id.index()]);
        bound.flat_map(|bound| bound.0.iter().copied())
    }

    /// The same, with only the pods that have not been told to end.
    fn staying(&self, crowd: &Crowd) -> impl Iterator<Item = (usize, u32)> {
        let crowd = self.crowd(crowd);
        crowd.map(|held| (held.node as usize, held.pods - held.ending))
    }
}

fn add(total: &mut Resources, more: Resources) {
    total.cpu_milli += more.cpu_milli;
    total.memory_bytes += more.memory_bytes;
}

fn take(total: &mut Resources, less: Resources) {
    total.cpu_milli -= less.cpu_milli;
    total.memory_bytes -= less.memory_bytes;
}
