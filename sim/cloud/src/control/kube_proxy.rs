//! kube-proxy: from published endpoints to a node's rules.
//!
//! Models: a watch per node, and the runner of [`crate::kubernetes::runner`] between what it
//! brings and a sync; a sync covers what its node had heard of when it began, and takes longer
//! on a slow machine. A kube-proxy that starts, by itself or with its machine, writes nothing
//! before its lists are there, and then everything. One whose API server is out of reach keeps
//! its rules as they are. When its rules are written, a kube-proxy cleans the table of UDP flows,
//! which is in [`crate::path::flow`].
//! Approximated: a machine that comes back has the rules that it had, until that first sync.
//! Sources: kubernetes/kubernetes pkg/proxy; [`crate::facts`].
//! Validated by: staleness computed by hand, and outages, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::runner::{Outcome, Pacing, Periods, Runner};
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::rules::{Configuration, sync};
use crate::scenario::{Cluster, Indicator};
use engine::Time;

/// A node's kube-proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KubeProxy {
    runner: Runner,
    /// When the sync under way began.
    began: Time,
    /// When the rules in force were written: their order changes with each sync.
    written: Time,
    /// What is scheduled counts only if nothing has changed since.
    number: u32,
    /// Its end came while the process stood still.
    unfinished: bool,
    /// Whether the process has written nothing yet since it started.
    new: bool,
}

impl KubeProxy {
    /// One that runs since long: its last sync ended at `ended`.
    pub(crate) fn settled(cluster: &Cluster, ended: Time, full_due: Time) -> Self {
        let pacing = Pacing::of_minor(cluster.kubernetes_minor);
        let periods = periods(&cluster.service_rules.configuration);
        KubeProxy {
            runner: Runner::settled(pacing, periods, ended, full_due),
            began: Time::ZERO,
            written: Time::ZERO,
            number: 0,
            unfinished: false,
            new: false,
        }
    }

    /// When the rules in force were written.
    pub(crate) fn written(&self) -> Time {
        self.written
    }
}

/// How often its administrator lets it write.
fn periods(configuration: &Configuration) -> Periods {
    Periods {
        min: configuration.min_sync_period,
        retry: configuration.sync_period,
        ..Periods::default()
    }
}

#[cfg(test)]
impl KubeProxy {
    /// Whether it may write rules at all.
    pub(crate) fn has_lists(&self) -> bool {
        self.runner.due().is_some() || self.runner.is_running()
    }
}

impl Domain<'_> {
    /// Enters the syncs that come in any case into the calendar.
    pub(crate) fn start_kube_proxies(&mut self, context: &mut Clock<'_, Self>) {
        for node in 0..self.nodes.len() as u32 {
            self.schedule_sync(node, context);
        }
    }

    /// Something was published that a node has yet to hear of.
    pub(crate) fn await_sync(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let Some(delay) = self.watch(Client::KubeProxy(node)) else {
            return;
        };
        let state = &mut self.nodes[node as usize].kube_proxy;
        let due = state.runner.due();
        if due.is_some() {
            state.runner.ask(context.now() + delay);
        }
        if state.runner.due() != due {
            self.schedule_sync(node, context);
        }
    }

    /// The next sync is due.
    fn schedule_sync(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.nodes[node as usize].kube_proxy;
        if let Some(due) = state.runner.due() {
            state.number += 1;
            let number = state.number;
            context.schedule(due.max(context.now()), Event::SyncBegins { node, number });
        }
    }

    /// A node begins to rewrite its rules.
    pub(crate) fn sync_begins(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let acts = self.acts(Client::KubeProxy(node));
        let slow = self.levers.speed(node).cpu_factor;
        let mode = self.proxy_mode();
        let (ports, endpoints) = (self.service_ports, self.endpoint_log.endpoints());
        let state = &mut self.nodes[node as usize].kube_proxy;
        if state.number != number || !acts {
            return;
        }
        state.began = context.now();
        let extent = state.runner.begin(context.now());
        let takes = sync::duration(mode, ports, endpoints, extent);
        context.after(takes.mul_f64(slow), Event::SyncEnds { node, number });
    }

    /// A node's new rules are in force.
    pub(crate) fn sync_ends(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let client = Client::KubeProxy(node);
        let acts = self.acts(client);
        let now = context.now();
        let state = &mut self.nodes[node as usize].kube_proxy;
        if state.number != number {
            return;
        }
        state.unfinished = !acts;
        if !acts {
            return;
        }
        state.runner.end(Outcome::Done, now);
        state.written = now;
        let began = state.began;
        let is_new = std::mem::replace(&mut state.new, false);
        let knows = self.heard_until(client, began);
        let kind = ViewKind::KubeProxy;
        let meters = &mut self.meters;
        let view = &mut self.nodes[node as usize].view;
        let before = (!is_new).then_some(*view);
        let written = view.position();
        view.catch_up(&self.endpoint_log, knows, |publication| {
            if publication.is_for_istiod {
                return;
            }
            let changed = publication.changed;
            meters.observe(now, Observation::ViewApplied { kind, changed });
            let took = Observation::Took {
                indicator: Indicator::NetworkProgramming(Some(publication.service)),
                began: changed,
                latency: now.since(changed),
            };
            meters.observe(now, took);
        });
        self.clean_flows(node, before);
        self.rules_written(node, written, context);
        self.schedule_sync(node, context);
        self.sync_if_behind(node, context);
    }

    /// A node that does not know everything yet, and runs, gets to know it.
    pub(crate) fn sync_if_behind(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if self.nodes[node as usize].view.position() < self.endpoint_log.len() {
            self.await_sync(node, context);
        }
    }

    /// The process starts: it lists, and then writes everything.
    pub(super) fn kube_proxy_starts(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let cluster = self.cluster.expect("nodes belong to clusters");
        let described = self.topology.cluster(cluster);
        let state = &mut self.nodes[node as usize].kube_proxy;
        let pacing = Pacing::of_minor(described.kubernetes_minor);
        let periods = periods(&described.service_rules.configuration);
        state.runner = Runner::starting(pacing, periods, context.now());
        state.number += 1;
        state.unfinished = false;
        state.new = true;
        let number = state.number;
        let lists = facts::KUBE_PROXY_START_UP.value;
        context.after(lists, Event::ListsArrive { node, number });
    }

    /// The process has its lists, if it can reach the API server.
    pub(crate) fn lists_arrive(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        if self.nodes[node as usize].kube_proxy.number == number {
            self.open_watch(Client::KubeProxy(node));
            self.kube_proxy_resumed(node, context);
        }
    }

    /// The watch is back, or the process acts again.
    pub(super) fn kube_proxy_resumed(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let client = Client::KubeProxy(node);
        if !self.acts(client) {
            return;
        }
        let listed = self.watch(client).is_some();
        let state = &mut self.nodes[node as usize].kube_proxy;
        if state.unfinished {
            let number = state.number;
            return self.sync_ends(node, number, context);
        }
        if listed {
            state.runner.lists_arrived(context.now());
        }
        if !state.runner.is_running() {
            self.schedule_sync(node, context);
            self.sync_if_behind(node, context);
        }
    }
}
