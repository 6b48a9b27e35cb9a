//! Provisioners at work: machines are ordered for pods that found no node, come after their
//! boot, and go when they are not needed.
//!
//! Models: the cluster autoscaler's scans and Karpenter's batches and consolidation, by the
//! rules of [`crate::kubernetes::provisioning`]; what becomes of a machine, by `machines.rs`. A
//! provisioner acts when it leads and hears of pods; a new one has forgotten what it saw.
//! A machine that boots while the API server is away is registered when that is back.
//!
//! Approximated: pods that wait are known to a scan at once; pods of DaemonSets come when the
//! start-up taint goes; a machine has its service rules as soon as it registers; one that boots
//! while a fault keeps it silent never comes; a pod that found no node is tried again with each
//! machine.
//! Leaves out: a cloud that has no machines left, expiry and drift of nodes, consolidation of
//! several nodes into one.
//! Sources: kubernetes/autoscaler, kubernetes-sigs/karpenter; [`crate::facts`].
//! Validated by: delays from a burst of pods to their nodes, and from idle to gone, worked out
//! by hand in the crate's tests.

use super::api::Client;
use super::machines::Machine;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::provisioning::cluster_autoscaler::{self, Order};
use crate::kubernetes::provisioning::karpenter::{self, Batch, Consolidation};
use crate::kubernetes::provisioning::{
    Demand, NodePhase, NodeView, Offer, Reach, Tenant, without_coming,
};
use crate::scenario::{
    MachinePool, NodePool, Provisioner, ProvisionerKind, Resources, WorkloadId, WorkloadKind,
};
use engine::{Duration, Stream, Time};
use std::collections::BTreeMap;

/// As which it talks to the API server.
const CLIENT: Client = Client::Provisioner;

/// A provisioner and what it remembers.
#[derive(Debug)]
pub(crate) struct ProvisionerState {
    pub(super) memory: cluster_autoscaler::Memory,
    batch: Batch,
    /// Which batch it is: what is scheduled counts only for that one.
    batch_number: u32,
    /// Machines that come so that another may go: (new, old).
    pub(super) replacements: Vec<(u32, u32)>,
    /// Draws of boot times and of the first look.
    pub(super) draws: Stream,
}

impl ProvisionerState {
    pub(crate) fn new(draws: Stream) -> Self {
        ProvisionerState {
            memory: cluster_autoscaler::Memory::default(),
            batch: Batch::default(),
            batch_number: 0,
            replacements: Vec::new(),
            draws,
        }
    }
}

impl<'t> Domain<'t> {
    /// What is described of the cluster's provisioner, if it has one that works here.
    pub(super) fn described_provisioner(&self) -> Option<&Provisioner> {
        let cluster = self.cluster?;
        self.provisioner.as_ref()?;
        self.topology.cluster(cluster).provisioner.as_ref()
    }

    /// The provisioner begins to look, at its own phase.
    pub(crate) fn start_provisioner(&mut self, context: &mut Clock<'_, Self>) {
        if let Some(state) = &self.provisioner {
            let phase = state.draws.draw(u64::MAX, 0).uniform();
            let first = self.look_period().mul_f64(phase);
            context.after(first, Event::ProvisionerLooks);
            self.await_batch(context);
        }
    }

    fn described_kind(&self) -> Option<ProvisionerKind> {
        Some(self.described_provisioner()?.kind)
    }

    pub(super) fn is_karpenter(&self) -> bool {
        self.described_kind() == Some(ProvisionerKind::Karpenter)
    }

    /// Whether any pod has found no node.
    fn has_pending_pods(&self) -> bool {
        self.workloads.iter().any(|state| !state.pending.is_empty())
    }

    fn look_period(&self) -> Duration {
        match self.described_kind() {
            Some(ProvisionerKind::Karpenter) => facts::KARPENTER_CONSOLIDATION_PERIOD.value,
            _ => facts::CLUSTER_AUTOSCALER_SCAN_INTERVAL.value,
        }
    }

    /// A scan, or a look at what could be consolidated.
    pub(crate) fn provisioner_looks(&mut self, context: &mut Clock<'_, Self>) {
        context.after(self.look_period(), Event::ProvisionerLooks);
        if !self.works(CLIENT) {
            return;
        }
        match self.described_kind() {
            Some(ProvisionerKind::ClusterAutoscaler) => self.scan(context),
            Some(ProvisionerKind::Karpenter) => self.consolidate(context),
            None => {}
        }
    }

    /// One scan of the cluster autoscaler.
    fn scan(&mut self, context: &mut Clock<'_, Self>) {
        let (offers, nodes) = (self.offers(), self.node_views(context.now()));
        let demands: Vec<Demand> = self.demands();
        let Some(state) = &mut self.provisioner else {
            return;
        };
        for order in state.memory.scan(&offers, &demands, &nodes, context.now()) {
            match order {
                Order::Grow { offer, nodes } => {
                    for _ in 0..nodes {
                        self.order_machine(offer, context);
                    }
                }
                Order::GiveUp(node) => self.give_up(node as u32),
                Order::Remove(node) => {
                    if self.taint(node as u32, context) {
                        let delay = facts::CLUSTER_AUTOSCALER_TAINT_DELAY.value;
                        let number = self.nodes[node].machine_number;
                        let node = node as u32;
                        context.after(delay, Event::NodeDrains { node, number });
                    }
                }
            }
        }
    }

    /// Karpenter hears of a pod that found no node.
    pub(crate) fn pod_found_no_node(&mut self, context: &mut Clock<'_, Self>) {
        if self.provisioner.is_some() && self.watch(CLIENT).is_some() {
            self.await_batch(context);
        }
    }

    /// A batch is open as long as pods wait: its end is entered into the calendar.
    fn await_batch(&mut self, context: &mut Clock<'_, Self>) {
        if !self.is_karpenter() || !self.has_pending_pods() {
            return;
        }
        let Some(watch) = self.watch(CLIENT) else {
            return;
        };
        let Some(state) = &mut self.provisioner else {
            return;
        };
        let closed = state.batch.closes();
        state.batch.note(context.now() + watch);
        let closes = state.batch.closes().filter(|at| closed != Some(*at));
        if let Some(closes) = closes {
            state.batch_number += 1;
            let number = state.batch_number;
            context.schedule(closes, Event::BatchCloses { number });
        }
    }

    /// A batch of pods is packed, and machines are ordered for them.
    pub(crate) fn batch_closes(&mut self, number: u32, context: &mut Clock<'_, Self>) {
        let works = self.works(CLIENT);
        let Some(state) = &mut self.provisioner else {
            return;
        };
        if state.batch_number != number {
            return;
        }
        state.batch.close();
        if !works {
            return;
        }
        let (offers, nodes) = (self.offers(), self.node_views(context.now()));
        let coming = nodes
            .iter()
            .filter(|node| matches!(node.phase, NodePhase::Coming(_)));
        let mut left = without_coming(&self.demands(), coming, &offers);
        for demand in &mut left {
            for (position, allowed) in demand.allowed.iter_mut().enumerate() {
                *allowed &= self.free_machine(position).is_some();
            }
        }
        let node_pools = self.node_pools();
        for offer in karpenter::order(&offers, node_pools, &nodes, &left) {
            self.order_machine(offer, context);
        }
    }

    /// Karpenter's look at what could go, while no pod waits for a machine.
    fn consolidate(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let longest = facts::KARPENTER_REGISTRATION_TIMEOUT.value;
        for node in 0..self.nodes.len() as u32 {
            let machine = self.nodes[node as usize].machine;
            let overdue = machine
                .ordered()
                .is_some_and(|ordered| ordered + longest <= now);
            if overdue && !machine.is_registered() {
                self.give_up(node);
            }
        }
        if self.has_pending_pods() {
            // Pods that no machine was ordered for are taken up again.
            let is_open = self
                .provisioner
                .as_ref()
                .is_some_and(|state| state.batch.closes().is_some());
            if !is_open {
                self.await_batch(context);
            }
            return;
        }
        let (offers, nodes) = (self.offers(), self.node_views(now));
        let node_pools = self.node_pools();
        for found in karpenter::consolidate(&offers, node_pools, &nodes, now) {
            match found {
                Consolidation::Remove(node) => {
                    if self.taint(node as u32, context) {
                        self.drain_node(node as u32, context);
                    }
                }
                Consolidation::Replace { node, offer } => {
                    if self.free_machine(offer).is_some()
                        && self.taint(node as u32, context)
                        && let Some(new) = self.order_machine(offer, context)
                        && let Some(state) = &mut self.provisioner
                    {
                        state.replacements.push((new, node as u32));
                    }
                }
            }
        }
    }

    /// The provisioner can work again, or a new one has begun.
    pub(super) fn provisioner_resumed(&mut self, context: &mut Clock<'_, Self>) {
        for node in 0..self.nodes.len() as u32 {
            let machine = self.nodes[node as usize].machine;
            if matches!(machine, Machine::Leaving { drains: Some(_) }) {
                self.drain_node(node, context);
            }
        }
        self.await_batch(context);
    }

    /// A new process begins: what the last one remembered is lost.
    pub(super) fn provisioner_restarts(&mut self) {
        if let Some(state) = &mut self.provisioner {
            state.memory = cluster_autoscaler::Memory::default();
            state.batch.close();
        }
    }

    /// The pool of a node's machine, if it is of one.
    pub(super) fn pool_of(&self, node: u32) -> Option<usize> {
        let mut pools = self.described_provisioner()?.pools.iter();
        pools.position(|pool| pool.nodes.contains(&node))
    }

    /// What Karpenter is told of nodes that belong together.
    fn node_pools(&self) -> &'t [NodePool] {
        let cluster = self.cluster.expect("provisioners work in clusters");
        let described = self.topology.cluster(cluster).provisioner.as_ref();
        described.map_or(&[], |described| &described.node_pools)
    }

    /// What can be ordered.
    fn offers(&self) -> Vec<Offer> {
        let (Some(described), Some(scheduler)) = (self.described_provisioner(), &self.scheduler)
        else {
            return Vec::new();
        };
        let offer = |pool: &MachinePool| {
            let node = pool.nodes.start;
            let (capacity, mut pods_max) = scheduler.room(node);
            let mut allocatable = capacity;
            for workload in (0..self.workloads.len()).map(WorkloadId::from) {
                let is_daemon = self.kind(workload) == WorkloadKind::DaemonSet;
                if is_daemon && scheduler.suits(workload, node) {
                    let requests = scheduler.requests(workload);
                    let cpu = allocatable.cpu_milli.saturating_sub(requests.cpu_milli);
                    let memory = allocatable.memory_bytes;
                    allocatable.cpu_milli = cpu;
                    allocatable.memory_bytes = memory.saturating_sub(requests.memory_bytes);
                    pods_max = pods_max.saturating_sub(1);
                }
            }
            Offer {
                allocatable,
                pods_max,
                min: pool.count_min,
                max: pool.nodes.len() as u32,
                price: pool.price,
                capacity,
                node_pool: pool.node_pool,
                node: node as usize,
            }
        };
        described.pools.iter().map(offer).collect()
    }

    /// Pods that found no node, by workload.
    fn demands(&self) -> Vec<Demand> {
        let (Some(described), Some(scheduler)) = (self.described_provisioner(), &self.scheduler)
        else {
            return Vec::new();
        };
        let demand = |workload: WorkloadId| {
            let pending = self.workloads[workload.index()].pending.iter();
            let pods = pending.filter(|&&pod| !self.pods[pod as usize].deleted);
            let pods = pods.count() as u32;
            let daemon = self.kind(workload) == WorkloadKind::DaemonSet;
            (pods > 0 && !daemon).then(|| Demand {
                requests: scheduler.requests(workload),
                pods,
                allowed: described
                    .pools
                    .iter()
                    .map(|pool| scheduler.suits(workload, pool.nodes.start))
                    .collect(),
                apart: scheduler.is_apart(workload),
            })
        };
        let workloads = (0..self.workloads.len()).map(WorkloadId::from);
        workloads.filter_map(demand).collect()
    }

    /// All nodes, by position.
    fn node_views(&self, now: Time) -> Vec<NodeView> {
        let nodes = 0..self.nodes.len() as u32;
        let mut reaches = BTreeMap::new();
        nodes
            .map(|node| self.node_view(node, now, &mut reaches))
            .collect()
    }

    /// Where labels and taints let the pods of a workload run.
    fn reach(&self, workload: WorkloadId) -> Reach {
        let scheduler = self.scheduler.as_ref().expect("a cluster has a scheduler");
        let nodes = 0..self.nodes.len() as u32;
        Reach::Some(nodes.map(|node| scheduler.suits(workload, node)).collect())
    }

    fn node_view(
        &self,
        node: u32,
        now: Time,
        reaches: &mut BTreeMap<WorkloadId, Reach>,
    ) -> NodeView {
        let scheduler = self.scheduler.as_ref().expect("a cluster has a scheduler");
        let state = &self.nodes[node as usize];
        let (allocatable, pods_max) = scheduler.room(node);
        let mut requested = Resources::default();
        let mut moved: BTreeMap<WorkloadId, u32> = BTreeMap::new();
        for &pod in &state.pods {
            let workload = self.pods[pod as usize].workload;
            let requests = scheduler.requests(workload);
            requested.cpu_milli += requests.cpu_milli;
            requested.memory_bytes += requests.memory_bytes;
            let daemon = self.kind(workload) == WorkloadKind::DaemonSet;
            if !daemon && !self.pods[pod as usize].deleted {
                *moved.entry(workload).or_default() += 1;
            }
        }
        let mut tenant = |(workload, pods): (WorkloadId, u32)| Tenant {
            requests: scheduler.requests(workload),
            pods,
            replaced: self.kind(workload) != WorkloadKind::Pod && self.may_evict(workload, pods),
            reach: reaches
                .entry(workload)
                .or_insert_with(|| self.reach(workload))
                .clone(),
        };
        NodeView {
            offer: self.pool_of(node).filter(|_| !self.is_nominated(node, now)),
            phase: match state.machine {
                Machine::Absent => NodePhase::Absent,
                Machine::Leaving { .. } => NodePhase::Leaving,
                // A cordoned node neither takes pods nor goes.
                Machine::There(_) if state.heartbeat.is_lost() || state.cordoned => {
                    NodePhase::NotReady
                }
                Machine::There(_) => NodePhase::Ready,
                machine => NodePhase::Coming(machine.ordered().unwrap_or(now)),
            },
            allocatable,
            pods_max,
            requested,
            pods: state.pods.len() as u32,
            tenants: moved.into_iter().map(&mut tenant).collect(),
            calm_since: match state.machine {
                Machine::There(since) => state.pods_moved.max(since),
                _ => state.pods_moved,
            },
        }
    }

    /// Whether Karpenter still counts on pods to come to a new node.
    fn is_nominated(&self, node: u32, now: Time) -> bool {
        match self.nodes[node as usize].machine {
            Machine::There(since) if since > Time::ZERO => {
                self.is_karpenter() && since + facts::KARPENTER_NOMINATION.value > now
            }
            _ => false,
        }
    }
}
