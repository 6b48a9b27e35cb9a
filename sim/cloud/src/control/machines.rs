//! Machines that come and go: from the order for one to the node that takes pods, and from its
//! taint to its end.
//!
//! Models: boot, registration with the API server, a start-up taint; a taint that keeps new pods
//! away, the eviction of its pods as far as budgets allow, and the machine's end once they are
//! gone. DaemonSets have a pod on each node that is there.
//! Approximated, sources and validated by: as `provisioner.rs`, which decides about them.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::budget::Answer;
use crate::scenario::{WorkloadId, WorkloadKind};
use engine::{Duration, Time};

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// It does not exist.
    Absent,
    /// It was ordered at that time, and boots.
    Coming(Time),
    /// It runs, and its node is not registered yet, for want of an API server.
    Booted(Time),
    /// Its node is Ready, and its start-up daemon still keeps pods away.
    Starting(Time),
    /// It takes pods, since that time.
    There(Time),
    /// It takes no more, and goes once its pods are gone.
    Leaving {
        /// Since when they are asked to go, if they are.
        drains: Option<Time>,
    },
}

impl Machine {
    /// Whether it runs.
    pub(crate) fn runs(self) -> bool {
        !matches!(self, Machine::Absent | Machine::Coming(_))
    }

    /// Whether its node is an object in the API server.
    pub(crate) fn is_registered(self) -> bool {
        self.runs() && !matches!(self, Machine::Booted(_))
    }

    /// When it was ordered, unless it takes pods already.
    pub(super) fn ordered(self) -> Option<Time> {
        match self {
            Machine::Coming(ordered) | Machine::Booted(ordered) | Machine::Starting(ordered) => {
                Some(ordered)
            }
            Machine::Absent | Machine::There(_) | Machine::Leaving { .. } => None,
        }
    }
}

impl Domain<'_> {
    /// Whether the machine of a node runs.
    pub(crate) fn has_machine(&self, node: u32) -> bool {
        let state = self.nodes.get(node as usize);
        state.is_none_or(|state| state.machine.runs())
    }

    /// A machine of a pool that does not exist yet.
    pub(super) fn free_machine(&self, pool: usize) -> Option<u32> {
        let mut nodes = self.described_provisioner()?.pools[pool].nodes.clone();
        nodes.find(|&node| self.nodes[node as usize].machine == Machine::Absent)
    }

    /// Orders a machine of a pool, if it may have one more.
    pub(super) fn order_machine(
        &mut self,
        pool: usize,
        context: &mut Clock<'_, Self>,
    ) -> Option<u32> {
        let node = self.free_machine(pool)?;
        let number = self.nodes[node as usize].machine_number + 1;
        let state = self.provisioner.as_ref()?;
        let mut draw = state.draws.draw(u64::from(node), u64::from(number));
        let boot = self.described_provisioner()?.pools[pool]
            .boot
            .sample(&mut draw);
        let state = &mut self.nodes[node as usize];
        state.machine = Machine::Coming(context.now());
        state.machine_number = number;
        context.after(boot, Event::MachineBoots { node, number });
        Some(node)
    }

    /// A machine that does not come is given up; what it was to replace stays.
    pub(super) fn give_up(&mut self, node: u32) {
        let state = &mut self.nodes[node as usize];
        state.machine = Machine::Absent;
        state.machine_number += 1;
        for old in self.replaced_by(node) {
            self.keep_node(old);
        }
    }

    /// The machines that wait for this one, which they need no longer do.
    pub(super) fn replaced_by(&mut self, new: u32) -> Vec<u32> {
        let Some(state) = &mut self.provisioner else {
            return Vec::new();
        };
        let (of_it, others): (Vec<_>, Vec<_>) = std::mem::take(&mut state.replacements)
            .into_iter()
            .partition(|(coming, _)| *coming == new);
        state.replacements = others;
        of_it.into_iter().map(|(_, old)| old).collect()
    }

    /// A machine has booted: its kubelet registers its node.
    pub(crate) fn machine_boots(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.nodes[node as usize];
        let Machine::Coming(ordered) = state.machine else {
            return;
        };
        if state.machine_number != number || self.is_kept_silent(node) {
            return;
        }
        self.nodes[node as usize].machine = Machine::Booted(ordered);
        self.register(node, context);
    }

    /// A kubelet registers its node, as soon as it can.
    pub(super) fn register(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let Machine::Booted(ordered) = self.nodes[node as usize].machine else {
            return;
        };
        let client = Client::Kubelet(node);
        self.open_watch(client);
        let Some(write) = self.api_write(client, context.now()) else {
            return;
        };
        let state = &mut self.nodes[node as usize];
        state.machine = Machine::Starting(ordered);
        state.pods_moved = Time::ZERO;
        // Its kube-proxy lists everything before it writes; what changed before its time is
        // nobody's delay.
        state
            .view
            .catch_up(&self.endpoint_log, context.now(), |_| ());
        state.flows.forget();
        let number = state.machine_number;
        self.ztunnel_starts(node, context);
        self.node_comes(node, context.now());
        self.checks_may_change(node, context);
        self.balanced_nodes_changed(context);
        self.kube_proxy_starts(node, context);
        let pool = self.pool_of(node).zip(self.described_provisioner());
        let start_up = pool.map_or(Duration::ZERO, |(pool, all)| all.pools[pool].start_up);
        context.after(write + start_up, Event::NodeOpens { node, number });
    }

    /// A new node takes pods.
    pub(crate) fn node_opens(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let pool = self.pool_of(node);
        let state = &mut self.nodes[node as usize];
        if state.machine_number != number || !matches!(state.machine, Machine::Starting(_)) {
            return;
        }
        state.machine = Machine::There(context.now());
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_present(node, true);
            scheduler.set_open(node, true);
        }
        if let (Some(pool), Some(state)) = (pool, &mut self.provisioner) {
            state.memory.delivered(pool);
        }
        self.count_daemons(context);
        self.retry_pending(context);
        for old in self.replaced_by(node) {
            self.drain_node(old, context);
        }
    }

    /// A node's taint is written: it takes no new pods. Says whether that could be done.
    pub(super) fn taint(&mut self, node: u32, context: &mut Clock<'_, Self>) -> bool {
        if self.api_write(Client::Provisioner, context.now()).is_none() {
            return false;
        }
        self.nodes[node as usize].machine = Machine::Leaving { drains: None };
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_open(node, false);
        }
        true
    }

    /// The pause after a node's taint is over.
    pub(crate) fn node_drains(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        if self.nodes[node as usize].machine_number == number {
            self.drain_node(node, context);
        }
    }

    /// The pods of a node are evicted, but for those that every node has. What a budget forbids
    /// is asked again; the cluster autoscaler gives up after a while, and the node stays.
    pub(super) fn drain_node(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.nodes[node as usize];
        let Machine::Leaving { drains } = &mut state.machine else {
            return;
        };
        let begins = drains.is_none();
        let since = *drains.get_or_insert(now);
        let number = state.machine_number;
        if begins && self.is_karpenter() {
            self.balanced_nodes_changed(context);
        }
        let mut refused = false;
        for pod in self.tenants(node) {
            if self.pods[pod as usize].deleted {
                continue;
            }
            let Some(wait) = self.write_wait(Client::Provisioner, now) else {
                return; // It goes on when it can write again.
            };
            match self.eviction_answer(pod, context) {
                Answer::Counted | Answer::Free => self.delete_pod(pod, wait, context),
                Answer::TooManyRequests | Answer::SeveralBudgets => refused = true,
            }
        }
        let patience = facts::CLUSTER_AUTOSCALER_EVICTION_TIME_MAX.value;
        if refused && !self.is_karpenter() && since + patience <= now {
            self.keep_node(node);
        } else if refused {
            context.after(
                facts::EVICTION_RETRY.value,
                Event::NodeDrains { node, number },
            );
        }
        self.may_be_empty(node, context);
    }

    /// Karpenter notes when a pod came to a node or was deleted, unless it just has.
    pub(super) fn note_move(&mut self, pod: u32, now: Time) {
        let state = &self.pods[pod as usize];
        if let Some(node) = state.node.filter(|_| !state.orphaned)
            && self.kind(state.workload) != WorkloadKind::DaemonSet
        {
            let moved = &mut self.nodes[node as usize].pods_moved;
            let pause = facts::KARPENTER_POD_EVENT_PAUSE.value;
            if *moved == Time::ZERO || *moved + pause <= now {
                *moved = now;
            }
        }
    }

    /// A node that was to go stays.
    pub(super) fn keep_node(&mut self, node: u32) {
        self.nodes[node as usize].machine = Machine::There(Time::ZERO);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_open(node, true);
        }
    }

    /// Pods of a node that are not of DaemonSets.
    pub(super) fn tenants(&self, node: u32) -> Vec<u32> {
        let pods = self.nodes[node as usize].pods.iter().copied();
        pods.filter(|&pod| self.kind(self.pods[pod as usize].workload) != WorkloadKind::DaemonSet)
            .collect()
    }

    /// A node may have lost its last pod: if it is to go, its machine goes.
    pub(super) fn may_be_empty(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let machine = self.nodes[node as usize].machine;
        let drains = matches!(machine, Machine::Leaving { drains: Some(_) });
        if !drains || !self.tenants(node).is_empty() {
            return;
        }
        let state = &mut self.nodes[node as usize];
        state.machine = Machine::Absent;
        state.machine_number += 1;
        let pods = std::mem::take(&mut state.pods);
        self.forget_ztunnel(node, context.now());
        self.await_end_of_node(node, context);
        self.node_goes(node);
        self.checks_may_change(node, context);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_present(node, false);
        }
        self.count_daemons(context);
        self.orphan(pods, context);
    }

    /// DaemonSets want a pod on each node that is there.
    pub(super) fn count_daemons(&mut self, context: &mut Clock<'_, Self>) {
        for workload in (0..self.workloads.len()).map(WorkloadId::from) {
            let Some(scheduler) = &self.scheduler else {
                return;
            };
            if self.kind(workload) != WorkloadKind::DaemonSet {
                continue;
            }
            let wanted = scheduler.daemon_nodes(workload).len() as u32;
            let replicas = &mut self.workloads[workload.index()].replicas;
            if std::mem::replace(replicas, wanted) != wanted {
                self.reconcile(workload, context);
            }
        }
    }
}
