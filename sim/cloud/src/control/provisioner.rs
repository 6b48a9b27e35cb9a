//! Provisioners at work: machines are ordered for pods that found no node, come after their
//! boot, and go when they are not needed.
//!
//! Models: the cluster autoscaler's scans and Karpenter's batches and consolidation, by the
//! rules of [`crate::kubernetes::provisioning`]; a machine's way from the order over its boot
//! and its registration to the end of its start-up taint; its end by a taint, the eviction of
//! its pods as far as budgets allow, and its own once they are gone. DaemonSets have a pod on each node that is there.
//! A provisioner acts when it leads and hears of pods; a new one has forgotten what it saw.
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
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::budget::Answer;
use crate::kubernetes::provisioning::cluster_autoscaler::{self, Order};
use crate::kubernetes::provisioning::karpenter::{self, Batch, Consolidation};
use crate::kubernetes::provisioning::{Demand, NodePhase, NodeView, Offer, Tenant, without_coming};
use crate::scenario::{Provisioner, ProvisionerKind, Resources, WorkloadId, WorkloadKind};
use engine::{Duration, Stream, Time};
use std::collections::BTreeMap;

/// As which it talks to the API server.
const CLIENT: Client = Client::Provisioner;

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
}

/// A provisioner and what it remembers.
#[derive(Debug)]
pub(crate) struct ProvisionerState {
    memory: cluster_autoscaler::Memory,
    batch: Batch,
    /// Which batch it is: what is scheduled counts only for that one.
    batch_number: u32,
    /// Machines that come so that another may go: (new, old).
    replacements: Vec<(u32, u32)>,
    /// Draws of boot times and of the first look.
    draws: Stream,
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

impl Domain<'_> {
    /// What is described of the cluster's provisioner, if it has one that works here.
    fn described_provisioner(&self) -> Option<&Provisioner> {
        let cluster = self.cluster?;
        self.provisioner.as_ref()?;
        self.topology.cluster(cluster).provisioner.as_ref()
    }

    /// Whether the machine of a node runs.
    pub(crate) fn has_machine(&self, node: u32) -> bool {
        let state = self.nodes.get(node as usize);
        state.is_none_or(|state| state.machine.runs())
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
        let is_karpenter = self.described_kind() == Some(ProvisionerKind::Karpenter);
        let waits = |state: &crate::domain::WorkloadState| !state.pending.is_empty();
        if !is_karpenter || !self.workloads.iter().any(waits) {
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
        for offer in karpenter::order(&offers, &left) {
            self.order_machine(offer, context);
        }
    }

    /// Karpenter's look at what could go, while no pod waits for a machine.
    fn consolidate(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let longest = facts::KARPENTER_REGISTRATION_TIMEOUT.value;
        for node in 0..self.nodes.len() as u32 {
            let machine = self.nodes[node as usize].machine;
            let overdue = coming_since(machine).is_some_and(|ordered| ordered + longest <= now);
            if overdue && !machine.is_registered() {
                self.give_up(node);
            }
        }
        if self.workloads.iter().any(|state| !state.pending.is_empty()) {
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
        for found in karpenter::consolidate(&offers, &nodes) {
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

    /// A machine of a pool that does not exist yet.
    fn free_machine(&self, pool: usize) -> Option<u32> {
        let mut nodes = self.described_provisioner()?.pools[pool].nodes.clone();
        nodes.find(|&node| self.nodes[node as usize].machine == Machine::Absent)
    }

    /// Orders a machine of a pool, if it may have one more.
    fn order_machine(&mut self, pool: usize, context: &mut Clock<'_, Self>) -> Option<u32> {
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
    fn give_up(&mut self, node: u32) {
        let state = &mut self.nodes[node as usize];
        state.machine = Machine::Absent;
        state.machine_number += 1;
        for old in self.replaced_by(node) {
            self.keep_node(old);
        }
    }

    /// The machines that wait for this one, which they need no longer do.
    fn replaced_by(&mut self, new: u32) -> Vec<u32> {
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
        // Its kube-proxy lists everything before it writes; what changed before its time is
        // nobody's delay.
        state
            .view
            .catch_up(&self.endpoint_log, context.now(), |_| ());
        let number = state.machine_number;
        self.node_comes(node, context.now());
        self.kube_proxy_starts(node, context);
        let start_up = self.pool_of(node).map_or(Duration::ZERO, |pool| {
            self.described_provisioner()
                .map_or(Duration::ZERO, |described| described.pools[pool].start_up)
        });
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
    fn taint(&mut self, node: u32, context: &mut Clock<'_, Self>) -> bool {
        if self.api_write(CLIENT, context.now()).is_none() {
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
    fn drain_node(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.nodes[node as usize];
        let Machine::Leaving { drains } = &mut state.machine else {
            return;
        };
        let since = *drains.get_or_insert(now);
        let number = state.machine_number;
        let mut refused = false;
        for pod in self.tenants(node) {
            if self.pods[pod as usize].deleted {
                continue;
            }
            let Some(wait) = self.write_wait(CLIENT, now) else {
                return; // It goes on when it can write again.
            };
            match self.eviction_answer(pod, context) {
                Answer::Counted | Answer::Free => self.delete_pod(pod, wait, context),
                Answer::TooManyRequests | Answer::SeveralBudgets => refused = true,
            }
        }
        let patience = facts::CLUSTER_AUTOSCALER_EVICTION_TIME_MAX.value;
        let is_karpenter = self.described_kind() == Some(ProvisionerKind::Karpenter);
        if refused && !is_karpenter && since + patience <= now {
            self.keep_node(node);
        } else if refused {
            context.after(
                facts::EVICTION_RETRY.value,
                Event::NodeDrains { node, number },
            );
        }
        self.may_be_empty(node, context);
    }

    /// A node that was to go stays.
    fn keep_node(&mut self, node: u32) {
        self.nodes[node as usize].machine = Machine::There(Time::ZERO);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_open(node, true);
        }
    }

    /// Pods of a node that are not of DaemonSets.
    fn tenants(&self, node: u32) -> Vec<u32> {
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
        self.node_goes(node);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_present(node, false);
        }
        self.count_daemons(context);
        for pod in pods {
            self.pod_dies(pod, context);
            self.release(pod, context);
        }
    }

    /// DaemonSets want a pod on each node that is there.
    fn count_daemons(&mut self, context: &mut Clock<'_, Self>) {
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
    fn pool_of(&self, node: u32) -> Option<usize> {
        let mut pools = self.described_provisioner()?.pools.iter();
        pools.position(|pool| pool.nodes.contains(&node))
    }

    /// What can be ordered.
    fn offers(&self) -> Vec<Offer> {
        let (Some(described), Some(scheduler)) = (self.described_provisioner(), &self.scheduler)
        else {
            return Vec::new();
        };
        let offer = |pool: &crate::scenario::NodePool| {
            let node = pool.nodes.start;
            let (mut allocatable, mut pods_max) = scheduler.room(node);
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
        nodes.map(|node| self.node_view(node, now)).collect()
    }

    fn node_view(&self, node: u32, now: Time) -> NodeView {
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
        let tenant = |(workload, pods): (WorkloadId, u32)| Tenant {
            requests: scheduler.requests(workload),
            pods,
            replaced: self.kind(workload) != WorkloadKind::Pod && self.may_evict(workload, pods),
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
                machine => NodePhase::Coming(coming_since(machine).unwrap_or(now)),
            },
            allocatable,
            pods_max,
            requested,
            pods: state.pods.len() as u32,
            tenants: moved.into_iter().map(tenant).collect(),
        }
    }

    /// Whether Karpenter still counts on pods to come to a new node.
    fn is_nominated(&self, node: u32, now: Time) -> bool {
        let karpenter = self.described_kind() == Some(ProvisionerKind::Karpenter);
        match self.nodes[node as usize].machine {
            Machine::There(since) if since > Time::ZERO => {
                karpenter && since + facts::KARPENTER_NOMINATION.value > now
            }
            _ => false,
        }
    }
}

/// When a machine was ordered that does not take pods yet.
fn coming_since(machine: Machine) -> Option<Time> {
    match machine {
        Machine::Coming(ordered) | Machine::Booted(ordered) | Machine::Starting(ordered) => {
            Some(ordered)
        }
        Machine::Absent | Machine::There(_) | Machine::Leaving { .. } => None,
    }
}
