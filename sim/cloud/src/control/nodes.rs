//! Nodes: what the control plane makes of one that falls silent.
//!
//! Models: heartbeats every 10 s with their own phase, of which the controller looks for
//! lost ones every 5 s, so that a node counts as lost after the grace period less U(0, 10 s)
//! plus U(0, 5 s); its pods are then not ready. After the toleration that admission gives
//! them they are deleted, and their controllers replace them elsewhere, except for
//! DaemonSets, whose pods stay, and StatefulSets, which wait until a pod is surely gone. A
//! node that returns starts its pods again; those that were deleted are gone.
//!
//! Leaves out: the rate at which nodes of a zone are evicted, disruption modes of zones.
//! Sources: kubernetes/kubernetes node lifecycle controller; [`crate::facts`].
//! Validated by: the loss of a node, in the crate's tests.

use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::scenario::WorkloadKind;

impl Domain<'_> {
    fn pods_on(&self, node: u32) -> Vec<u32> {
        (0..self.pods.len() as u32)
            .filter(|&pod| {
                let pod = &self.pods[pod as usize];
                pod.node == Some(node) && !pod.released
            })
            .collect()
    }

    /// A node stops.
    pub(crate) fn node_stops(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let outages = &mut self.nodes[node as usize].outages;
        *outages += 1;
        let outage = *outages;
        for pod in self.pods_on(node) {
            self.pod_dies(pod, context);
        }
        let cluster = self.cluster.expect("nodes belong to clusters");
        let minor = self.topology.cluster(cluster).kubernetes_minor;
        let grace = facts::node_monitor_grace_period(minor).value;
        let mut draw = self.node_checks.draw(u64::from(node), u64::from(outage));
        let heartbeat = facts::NODE_LEASE_RENEW_INTERVAL
            .value
            .mul_f64(draw.uniform());
        let look = facts::NODE_MONITOR_PERIOD.value.mul_f64(draw.uniform());
        let silence = grace.saturating_sub(heartbeat) + look;
        context.after(silence, Event::NodeLost { node, outage });
    }

    /// A node counts as lost: its pods are not ready.
    pub(crate) fn node_lost(&mut self, node: u32, outage: u32, context: &mut Clock<'_, Self>) {
        if self.levers.node(node).is_none() || self.nodes[node as usize].outages != outage {
            return;
        }
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_available(node, false);
        }
        let event = Event::PodsUnready { node, outage };
        context.after(facts::NODE_UNKNOWN_TO_PODS_NOT_READY.value, event);
        let event = Event::NodeEvicted { node, outage };
        context.after(facts::UNREACHABLE_TOLERATION.value, event);
    }

    /// The pods of a lost node leave their services.
    pub(crate) fn pods_unready(&mut self, node: u32, outage: u32, context: &mut Clock<'_, Self>) {
        if self.levers.node(node).is_none() || self.nodes[node as usize].outages != outage {
            return;
        }
        self.mark_unready(node, context);
    }

    fn mark_unready(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for pod in self.pods_on(node) {
            let state = &mut self.pods[pod as usize];
            if std::mem::take(&mut state.ready) {
                state.ready_changed = context.now();
                let workload = state.workload;
                self.readiness_changed(workload, context);
            }
        }
    }

    /// The pods of a lost node are deleted and replaced.
    pub(crate) fn node_evicted(&mut self, node: u32, outage: u32, context: &mut Clock<'_, Self>) {
        if self.levers.node(node).is_none() || self.nodes[node as usize].outages != outage {
            return;
        }
        let cluster = self.cluster.expect("nodes belong to clusters");
        for pod in self.pods_on(node) {
            let workload = self.pods[pod as usize].workload;
            match self.topology.cluster(cluster).workloads[workload.index()].kind {
                WorkloadKind::DaemonSet | WorkloadKind::StatefulSet => {}
                WorkloadKind::Pod | WorkloadKind::External => self.release(pod, context),
                WorkloadKind::Deployment | WorkloadKind::ReplicaSet | WorkloadKind::Inline => {
                    self.release(pod, context);
                    self.reconcile(workload, context);
                }
            }
        }
    }

    /// A node is back: it starts the pods it still has.
    pub(crate) fn node_returns(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_available(node, true);
        }
        self.mark_unready(node, context);
        let cluster = self.cluster.expect("nodes belong to clusters");
        for pod in self.pods_on(node) {
            let state = &mut self.pods[pod as usize];
            state.phase = Phase::Starting;
            state.restarts += 1;
            let restarts = state.restarts;
            let described = &self.topology.cluster(cluster).workloads[state.workload.index()];
            context.after(described.start_up, Event::PodStarted { pod, restarts });
        }
        self.retry_pending(context);
        self.sync_if_behind(node, context);
    }
}
