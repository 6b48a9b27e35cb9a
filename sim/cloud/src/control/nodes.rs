//! Nodes: what the control plane makes of those that fall silent, and of those that return.
//!
//! Models: a kubelet renews its lease every 10 s at its own phase, which costs no event while
//! nothing can change: when it falls silent (no power, kubelet down or frozen, cut off) its last
//! renewal follows from the phase. The node lifecycle controller finds it lost at a pass of its
//! 5 s grid; its pods are then not ready, it takes no new ones, and it waits in its zone's queue
//! for the taint that evicts. Its pods are deleted after the toleration that admission gives
//! them, and their controllers replace them elsewhere, except for DaemonSets, whose pods stay,
//! and StatefulSets, which wait until a pod is surely gone. Zones most of whose nodes are lost
//! slow down or stop; with every zone lost everything stops, and starts afresh afterwards. A
//! kubelet that is heard again makes its node ready, the taint that evicts goes at the next pass,
//! and pods that were deleted meanwhile end on their node.
//!
//! Approximated: what a pod of a node that is cut off asks itself still gets out; while no
//! leader works, passes do not happen, and the next leader gives everybody a new grace period.
//! Sources: [`crate::kubernetes::eviction`]; [`crate::facts`].
//! Validated by: losses of nodes, zones and kubelets, in the crate's tests.

use super::api::Client;
use super::pod_gc::Garbage;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::kubernetes::eviction::{self, EvictionQueue, Grid, Monitor, ZoneMode};
use crate::scenario::{Component, WorkloadKind};
use crate::snapshot::journal::Happening;
use engine::{Duration, Stream, Time};
use std::collections::BTreeSet;

/// What is known of a node's kubelet, and what the API server says of the node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heartbeat {
    /// Some instant at which the lease was renewed, or would be.
    phase: Time,
    /// When it was renewed last, while the kubelet is silent.
    renewed: Option<Time>,
    /// How often it fell silent or was heard again.
    number: u32,
    /// The node's condition is unknown.
    lost: bool,
    /// It has the taint that evicts.
    evicting: bool,
}

impl Heartbeat {
    /// A kubelet that renews at this phase.
    pub(crate) fn new(phase: Time) -> Self {
        Heartbeat {
            phase,
            ..Heartbeat::default()
        }
    }

    /// Whether the API server holds its node's condition unknown.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// The last renewal at or before an instant.
    fn renewed_before(&self, instant: Time) -> Time {
        let period = facts::NODE_LEASE_RENEW_INTERVAL.value.as_nanos();
        let phase = self.phase.as_nanos() % period;
        let instant = instant.as_nanos();
        Time::from_nanos(instant.saturating_sub((instant + period - phase) % period))
    }
}

/// A zone, as the node lifecycle controller sees it.
#[derive(Clone, Debug)]
struct Zone {
    nodes: u32,
    lost: u32,
    mode: ZoneMode,
    queue: EvictionQueue,
}

/// The node lifecycle controller.
#[derive(Debug)]
pub(crate) struct NodeLifecycle {
    monitor: Monitor,
    draws: Stream,
    zones: Vec<Zone>,
    /// Nodes whose kubelets are silent.
    silent: BTreeSet<u32>,
    /// Every zone is lost altogether.
    stopped: bool,
    pub(super) garbage: Garbage,
}

impl NodeLifecycle {
    /// The controller of a cluster whose nodes stand in these zones.
    pub(crate) fn new(
        draws: Stream,
        minor: u32,
        zones: usize,
        nodes: impl Iterator<Item = u32>,
    ) -> Self {
        let mut sizes = vec![0; zones];
        for zone in nodes {
            sizes[zone as usize] += 1;
        }
        let zone = |nodes| Zone {
            nodes,
            lost: 0,
            mode: ZoneMode::Normal,
            queue: EvictionQueue::new(nodes),
        };
        let period = facts::NODE_MONITOR_PERIOD.value;
        let phase = period.mul_f64(draws.draw(u64::MAX, 0).uniform());
        NodeLifecycle {
            monitor: Monitor {
                grid: Grid {
                    first: Time::ZERO + phase,
                    period,
                },
                grace: facts::node_monitor_grace_period(minor).value,
                fresh: Time::ZERO,
            },
            garbage: Garbage::new(
                Time::ZERO
                    + facts::POD_GC_PERIOD
                        .value
                        .mul_f64(draws.draw(u64::MAX, 1).uniform()),
            ),
            draws,
            zones: sizes.into_iter().map(zone).collect(),
            silent: BTreeSet::new(),
            stopped: false,
        }
    }
}

impl Domain<'_> {
    pub(super) fn pods_on(&self, node: u32) -> Vec<u32> {
        self.nodes[node as usize].pods.clone()
    }

    /// Whether something about the node itself keeps its kubelet from the API server.
    fn is_silent(&self, levers: &Levers, node: u32) -> bool {
        levers.node(node).is_some() || levers.control.stands(Component::Kubelet(node))
    }

    /// Whether a fault keeps the kubelet of a node silent.
    pub(super) fn is_kept_silent(&self, node: u32) -> bool {
        self.is_silent(&self.levers, node)
    }

    /// A new machine's node is registered.
    pub(super) fn node_comes(&mut self, node: u32, now: Time) {
        let state = &mut self.nodes[node as usize];
        let number = state.heartbeat.number + 1;
        state.heartbeat = Heartbeat {
            number,
            ..Heartbeat::new(now)
        };
        self.lifecycle.zones[state.zone as usize].nodes += 1;
    }

    /// When it is found out that the machine of a node, which was well until now, is gone: the
    /// cloud is asked about nodes that are lost, at the period of the other controllers.
    pub(super) fn finds_missing(&self, node: u32, now: Time) -> Time {
        let renewed = self.nodes[node as usize].heartbeat.renewed_before(now);
        let lost = self.lifecycle.monitor.finds_lost(renewed);
        let period = facts::NODE_MONITOR_PERIOD.value;
        let phase = self.lifecycle.draws.draw(u64::MAX, 2).uniform();
        let first = Time::ZERO + period.mul_f64(phase);
        Grid { first, period }.at_or_after(lost)
    }

    /// A node's object is deleted with its machine.
    pub(super) fn node_goes(&mut self, node: u32) {
        let state = &mut self.nodes[node as usize];
        let zone = &mut self.lifecycle.zones[state.zone as usize];
        zone.nodes -= 1;
        zone.lost -= u32::from(state.heartbeat.lost);
        zone.queue.remove(node);
        self.lifecycle.silent.remove(&node);
        state.heartbeat.number += 1;
        state.heartbeat.lost = false;
        state.images.forget();
        if std::mem::take(&mut state.out_of_service)
            && let Some(scheduler) = &mut self.scheduler
        {
            scheduler.set_taint(node, &eviction::out_of_service(), false);
        }
    }

    /// Faults have begun or ended.
    pub(super) fn nodes_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        for node in 0..self.nodes.len() as u32 {
            if !self.nodes[node as usize].machine.is_registered() {
                continue;
            }
            let (was_off, is_off) = (before.is_off(node), self.levers.is_off(node));
            if !was_off && is_off {
                self.node_stops(node, context);
            }
            let (was, is) = (
                self.is_silent(before, node),
                self.is_silent(&self.levers, node),
            );
            if !was && is {
                self.falls_silent(node, context);
            }
            if was_off && !is_off {
                self.node_starts(node, context);
            }
            if was && !is {
                self.may_be_heard(node, was_off, context);
            }
            if before.node(node) != self.levers.node(node) {
                self.checks_may_change(node, context);
            }
            if before.speed(node).disk_factor != self.levers.speed(node).disk_factor {
                self.disk_moved(node);
            }
        }
        if !self.was_writable(before) && self.is_writable() {
            let silent: Vec<u32> = self.lifecycle.silent.iter().copied().collect();
            for node in silent {
                if !self.is_silent(&self.levers, node) {
                    self.may_be_heard(node, false, context);
                }
            }
        }
    }

    /// What starts from now on takes as long as the disk makes it.
    fn disk_moved(&mut self, node: u32) {
        let pace = self.pace(Some(node));
        for pod in self.pods_on(node) {
            if let Some(life) = &mut self.pods[pod as usize].life {
                life.go_at(pace);
            }
        }
    }

    /// A machine loses its power.
    fn node_stops(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        self.nodes[node as usize].images.stop();
        for pod in self.pods_on(node) {
            self.live(pod, context, |life, _, told| life.power_off(told));
        }
        self.forget_ztunnel(node, context.now());
        self.end_unheard(node, context);
    }

    /// A machine has power again: it starts the pods it still has.
    fn node_starts(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        self.mark_unready(node, context);
        let pace = self.pace(Some(node));
        for pod in self.pods_on(node) {
            self.live(pod, context, |life, now, told| {
                life.power_on(pace, now, told);
            });
        }
        self.nodes[node as usize].flows.forget();
        self.kube_proxy_starts(node, context);
        self.ztunnel_starts(node, context);
    }

    /// A kubelet renews no more.
    fn falls_silent(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let until = self.api.unwritable_since().unwrap_or(now).min(now);
        let state = &mut self.nodes[node as usize].heartbeat;
        state.number += 1;
        let renewed = state.renewed_before(until);
        // One that was not heard since it fell silent before has renewed nothing.
        state.renewed.get_or_insert(renewed);
        self.lifecycle.silent.insert(node);
        self.await_loss(node, context);
    }

    /// When a silent node is found lost, if nothing changes.
    fn await_loss(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let state = &self.nodes[node as usize].heartbeat;
        let Some(renewed) = state.renewed.filter(|_| !state.lost) else {
            return;
        };
        let found = self.lifecycle.monitor.finds_lost(renewed);
        let grid = &self.lifecycle.monitor.grid;
        let found = found.max(grid.at_or_after(context.now()));
        let number = state.number;
        context.schedule(found, Event::NodeLost { node, number });
    }

    /// A pass looks at a silent node.
    pub(crate) fn node_lost(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &self.nodes[node as usize].heartbeat;
        let current = state.number == number && !state.lost;
        let Some(renewed) = state.renewed.filter(|_| current) else {
            return;
        };
        if self.lifecycle.monitor.finds_lost(renewed) > now {
            return self.await_loss(node, context);
        }
        if self.api_write(Client::ControllerManager, now).is_none() {
            return;
        }
        self.nodes[node as usize].heartbeat.lost = true;
        self.tell(now, Happening::NodeNotReady { node });
        let zone = self.nodes[node as usize].zone as usize;
        self.lifecycle.zones[zone].lost += 1;
        let event = Event::PodsUnready { node, number };
        context.after(facts::NODE_UNKNOWN_TO_PODS_NOT_READY.value, event);
        let event = Event::NodeTainted { node, number };
        context.after(facts::NODE_NO_SCHEDULE_DELAY.value, event);
        context.after(Duration::ZERO, Event::PassEnds);
    }

    fn is_lost(&self, node: u32, number: u32) -> bool {
        let state = &self.nodes[node as usize].heartbeat;
        state.lost && state.number == number
    }

    /// A lost node takes no new pods.
    pub(crate) fn node_tainted(&mut self, node: u32, number: u32) {
        if self.is_lost(node, number)
            && let Some(scheduler) = &mut self.scheduler
        {
            scheduler.set_available(node, false);
        }
    }

    /// The pods of a lost node leave their services.
    pub(crate) fn pods_unready(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        if self.is_lost(node, number) {
            for pod in self.pods_on(node) {
                if self.pods[pod as usize].ready {
                    self.tell(context.now(), Happening::PodNotReady { pod });
                }
            }
            self.mark_unready(node, context);
        }
    }

    fn mark_unready(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for pod in self.pods_on(node) {
            self.set_ready(pod, false, context);
        }
    }

    /// All nodes have been looked at: modes of zones, and who waits for the taint.
    pub(crate) fn pass_ends(&mut self, context: &mut Clock<'_, Self>) {
        if !self.acts(Client::ControllerManager) {
            return;
        }
        let now = context.now();
        let zones = &mut self.lifecycle.zones;
        for zone in zones.iter_mut() {
            zone.mode = ZoneMode::of(zone.nodes - zone.lost, zone.lost);
        }
        let inhabited = zones.iter().filter(|zone| zone.nodes > 0);
        let stop = eviction::all_disrupted(inhabited.map(|zone| zone.mode));
        for zone in zones.iter_mut() {
            let interval = zone.mode.eviction_interval(zone.nodes);
            zone.queue.set_interval(interval.filter(|_| !stop), now);
        }
        let stopped = std::mem::replace(&mut self.lifecycle.stopped, stop);
        if stopped && !stop {
            self.lifecycle.monitor.fresh = now;
        }
        let silent: Vec<u32> = self.lifecycle.silent.iter().copied().collect();
        for node in silent {
            let state = &mut self.nodes[node as usize];
            if stop {
                state.heartbeat.evicting = false;
            } else if state.heartbeat.lost && !state.heartbeat.evicting {
                let most = facts::NODE_NO_EXECUTE_DELAY_MAX.value;
                let number = u64::from(state.heartbeat.number);
                let mut draw = self.lifecycle.draws.draw(u64::from(node), number);
                let ready = now + most.mul_f64(draw.uniform());
                let zone = state.zone as usize;
                self.lifecycle.zones[zone].queue.add(node, ready);
            }
        }
        for zone in 0..self.lifecycle.zones.len() {
            self.await_taint(zone, context);
        }
    }

    /// When the next node of a zone gets its taint.
    fn await_taint(&mut self, zone: usize, context: &mut Clock<'_, Self>) {
        if let Some(next) = self.lifecycle.zones[zone].queue.next() {
            let polls = Grid {
                first: Time::ZERO,
                period: facts::NODE_EVICTION_POLL.value,
            };
            let at = polls.at_or_after(next.max(context.now()));
            context.schedule(at, Event::TaintDue(zone as u32));
        }
    }

    /// A zone's queue is polled: its first node may get the taint that evicts.
    pub(crate) fn taint_due(&mut self, zone: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if self.api_write(Client::ControllerManager, now).is_none() {
            return;
        }
        let Some(node) = self.lifecycle.zones[zone as usize].queue.pop(now) else {
            return;
        };
        let state = &mut self.nodes[node as usize].heartbeat;
        state.evicting = true;
        let number = state.number;
        self.await_evictions(node, number, context);
        self.await_taint(zone as usize, context);
    }

    /// The pods of a tainted node are deleted, each after what it tolerates.
    fn await_evictions(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let pods = self.pods_on(node);
        let stays: BTreeSet<u32> = pods
            .iter()
            .filter_map(|&pod| self.stay_seconds(pod))
            .collect();
        for stay_seconds in stays {
            let event = Event::NodeEvicted {
                node,
                number,
                stay_seconds,
            };
            let stay = Duration::from_secs(u64::from(stay_seconds));
            context.after(stay + facts::TAINT_DELETION_DELAY.value, event);
        }
    }

    /// How long a pod stays on a tainted node, in whole seconds as tolerations are; `None` is
    /// for ever.
    fn stay_seconds(&self, pod: u32) -> Option<u32> {
        match self.kind(self.pods[pod as usize].workload) {
            WorkloadKind::DaemonSet => None,
            _ => eviction::stay_unreachable(&self.template(pod).placement.tolerations)
                .map(|stay| stay.as_secs_f64() as u32),
        }
    }

    /// The pods of a tainted node are deleted and replaced.
    pub(crate) fn node_evicted(
        &mut self,
        node: u32,
        number: u32,
        stay_seconds: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let evicting = self.nodes[node as usize].heartbeat.evicting;
        if !evicting || !self.is_lost(node, number) {
            return;
        }
        if self
            .api_write(Client::ControllerManager, context.now())
            .is_none()
        {
            return;
        }
        for pod in self.pods_on(node) {
            if self.stay_seconds(pod) == Some(stay_seconds) {
                self.tell(context.now(), Happening::Evicted { pod });
                self.delete_pod(pod, Duration::ZERO, context);
            }
        }
    }

    /// Nothing keeps a kubelet from the API server any more: when is it heard?
    fn may_be_heard(&mut self, node: u32, started: bool, context: &mut Clock<'_, Self>) {
        if started {
            // A kubelet that starts knows of no watch that it had: it lists, and watches from there.
            self.open_watch(Client::Kubelet(node));
        }
        let state = &self.nodes[node as usize].heartbeat;
        let number = state.number;
        let address = (u64::from(node) | 1 << 32, u64::from(number));
        let share = self.lifecycle.draws.draw(address.0, address.1).uniform();
        let wait = match (started, state.lost) {
            // A kubelet that starts says so at once.
            (true, _) => Duration::ZERO,
            (false, true) => facts::NODE_STATUS_UPDATE_PERIOD.value.mul_f64(share),
            (false, false) => facts::NODE_LEASE_RETRY_MAX.value.mul_f64(share),
        };
        context.after(wait, Event::NodeHeard { node, number });
    }

    /// A kubelet has renewed its lease and said how its node is.
    pub(crate) fn node_heard(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let current = self.nodes[node as usize].heartbeat.number == number;
        if !current || self.is_silent(&self.levers, node) || !self.is_writable() {
            return;
        }
        let state = &mut self.nodes[node as usize].heartbeat;
        state.number += 1;
        state.phase = now;
        state.renewed = None;
        self.lifecycle.silent.remove(&node);
        self.end_unheard(node, context);
        self.kubelet_catches_up(node, context);
        if self.nodes[node as usize].heartbeat.lost {
            self.clear_node(node, context);
        }
    }

    /// A lost node is ready again: new pods may come, and the taint goes at the next pass.
    fn clear_node(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if self.api_write(Client::ControllerManager, now).is_none() {
            return;
        }
        self.tell(now, Happening::NodeReady { node });
        if self.nodes[node as usize].heartbeat.evicting {
            for pod in self.pods_on(node) {
                let is_doomed = self.stay_seconds(pod).is_some();
                if is_doomed && !self.pods[pod as usize].deleted {
                    self.tell(now, Happening::Spared { pod });
                }
            }
        }
        let state = &mut self.nodes[node as usize];
        state.heartbeat.lost = false;
        state.heartbeat.evicting = false;
        let zone = state.zone as usize;
        self.lifecycle.zones[zone].lost -= 1;
        self.lifecycle.zones[zone].queue.remove(node);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_available(node, true);
        }
        self.retry_pending(context);
        let pass = self.lifecycle.monitor.grid.at_or_after(now);
        context.schedule(pass, Event::PassEnds);
    }

    /// A kubelet's watch is back, or it can write again.
    pub(super) fn kubelet_resumed(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if !self.nodes[node as usize].machine.is_registered() {
            return self.register(node, context);
        }
        if !self.lifecycle.silent.contains(&node) {
            self.kubelet_catches_up(node, context);
        } else if !self.is_silent(&self.levers, node) {
            self.may_be_heard(node, false, context);
        }
    }

    /// A new leader knows nothing: everybody's grace period begins with its first pass.
    pub(super) fn monitor_starts(&mut self, now: Time) {
        let monitor = &mut self.lifecycle.monitor;
        monitor.grid.first = now;
        monitor.fresh = now;
        self.lifecycle.garbage.restarts(now);
    }

    /// The controller works again: it looks at all nodes that are not what they seem.
    pub(super) fn node_lifecycle_resumed(&mut self, context: &mut Clock<'_, Self>) {
        let nodes: Vec<u32> = (0..self.nodes.len() as u32).collect();
        for node in nodes {
            let state = self.nodes[node as usize].heartbeat;
            match (state.renewed, state.lost) {
                (Some(_), false) => self.await_loss(node, context),
                (Some(_), true) if state.evicting => {
                    self.await_evictions(node, state.number, context);
                }
                (None, true) => self.clear_node(node, context),
                _ => {}
            }
            if self.nodes[node as usize].out_of_service {
                self.await_expulsions(node, context);
            }
        }
        self.await_collection(context);
        let pass = self.lifecycle.monitor.grid.at_or_after(context.now());
        context.schedule(pass, Event::PassEnds);
    }
}
