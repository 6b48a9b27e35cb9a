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
//! priorities and preemption, and the sampling of nodes in clusters of 100 nodes and more.
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
mod score;
#[cfg(test)]
mod tests;

pub(crate) use filter::Unschedulable;

use crate::scenario::{Cluster, Resources, WorkloadId, WorkloadKind};
use class::{Class, Domains};
use labels::LabelledNode;

/// The pods of a cluster as its scheduler counts them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scheduler {
    nodes: Vec<NodeState>,
    classes: Vec<Class>,
    /// Pods of each workload on each node: a row per node.
    bound: Vec<u32>,
    /// Those of them that have been told to end: spread no longer counts them.
    ending: Vec<u32>,
    /// Node labels that some rule uses as a topology.
    topologies: Vec<Domains>,
}

/// What the scheduler knows about a node.
#[derive(Clone, Debug, PartialEq)]
struct NodeState {
    node: LabelledNode,
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
        let nodes: Vec<_> = cluster
            .nodes
            .iter()
            .map(|node| NodeState {
                node: LabelledNode::new(cluster, node),
                available: true,
                requested: Resources::default(),
                counted: Resources::default(),
                pods: 0,
            })
            .collect();
        let mut topologies = Vec::new();
        let classes: Vec<_> = cluster
            .workloads
            .iter()
            .enumerate()
            .map(|(index, workload)| {
                let nodes = nodes.iter().map(|state| &state.node);
                Class::new(
                    cluster,
                    WorkloadId::from(index),
                    workload,
                    nodes,
                    &mut topologies,
                )
            })
            .collect();
        Scheduler {
            bound: vec![0; nodes.len() * classes.len()],
            ending: vec![0; nodes.len() * classes.len()],
            nodes,
            classes,
            topologies,
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
        let class = &self.classes[workload.index()];
        assert!(
            class.kind != WorkloadKind::External,
            "machines outside the cluster are not placed"
        );
        let candidates = self.filter(workload)?;
        let node = if class.kind == WorkloadKind::DaemonSet {
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
        self.ending[node as usize * self.classes.len() + workload.index()] += 1;
    }

    /// Takes one pod of `workload` that had been told to end off `node`.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn release_ended(&mut self, node: u32, workload: WorkloadId) {
        let ending = &mut self.ending[node as usize * self.classes.len() + workload.index()];
        assert!(*ending > 0, "no ending pod of {workload:?} on node {node}");
        *ending -= 1;
        self.release(node, workload);
    }

    /// Takes one pod of `workload` off `node`.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn release(&mut self, node: u32, workload: WorkloadId) {
        let bound = &mut self.bound[node as usize * self.classes.len() + workload.index()];
        assert!(*bound > 0, "no pod of {workload:?} on node {node}");
        *bound -= 1;
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
        self.nodes[node as usize].node.unschedulable = cordoned;
    }

    /// The nodes that a DaemonSet wants a pod on, ascending: those whose labels and taints
    /// allow it, whether or not there is room and whether or not they are available.
    pub(crate) fn daemon_nodes(&self, workload: WorkloadId) -> Vec<u32> {
        let class = &self.classes[workload.index()];
        (0..self.nodes.len())
            .filter(|&node| class.wants(&self.nodes[node].node, node))
            .map(|node| node as u32)
            .collect()
    }

    fn bind(&mut self, node: usize, workload: WorkloadId) {
        self.bound[node * self.classes.len() + workload.index()] += 1;
        let class = &self.classes[workload.index()];
        let state = &mut self.nodes[node];
        state.pods += 1;
        add(&mut state.requested, class.placement.requests);
        add(&mut state.counted, class.counted);
    }

    /// Pods of these workloads on a node that have not been told to end.
    fn staying(&self, node: usize, workloads: &[WorkloadId]) -> u32 {
        let row = &self.ending[node * self.classes.len()..];
        let ending = workloads.iter().map(|workload| row[workload.index()]);
        self.count(node, workloads) - ending.sum::<u32>()
    }

    /// Pods of these workloads on a node.
    fn count(&self, node: usize, workloads: &[WorkloadId]) -> u32 {
        let row = &self.bound[node * self.classes.len()..];
        workloads.iter().map(|workload| row[workload.index()]).sum()
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
