//! kube-proxy: from published endpoints to a node's rules.
//!
//! Models: a watch; syncs that take their time and keep a least distance from the end of the
//! one before, so that each node has its own phase; a sync covers what its node had heard of
//! when it began. A node that is down syncs nothing, and everything when it is back.
//! Leaves out: full syncs, sync times that grow with the number of services.
//! Sources: kubernetes/kubernetes pkg/proxy, pkg/util/async; [`crate::facts`].
//! Validated by: staleness computed by hand in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::meter::Observation;
use crate::record::ViewKind;
use engine::Time;

/// Where a node's kube-proxy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Nothing to do.
    Idle,
    /// Waits for its next turn.
    Waiting,
    /// At work since.
    Syncing(Time),
}

impl Domain<'_> {
    /// Something was published that a node has yet to hear of.
    pub(crate) fn await_sync(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.nodes[node as usize];
        if state.sync == Sync::Idle {
            state.sync = Sync::Waiting;
            let heard = context.now() + facts::WATCH_DELAY.value;
            context.schedule(heard.max(state.next_sync), Event::SyncBegins(node));
        }
    }

    /// A node begins to rewrite its rules.
    pub(crate) fn sync_begins(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        self.nodes[node as usize].sync = Sync::Syncing(context.now());
        let event = Event::SyncEnds(node);
        context.after(facts::KUBE_PROXY_SYNC_DURATION.value, event);
    }

    /// A node's new rules are in force.
    pub(crate) fn sync_ends(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.nodes[node as usize];
        let Sync::Syncing(began) = state.sync else {
            return;
        };
        state.sync = Sync::Idle;
        state.next_sync = now + facts::KUBE_PROXY_MIN_SYNC_PERIOD.value;
        if self.levers.node(node).is_none() {
            let watch = facts::WATCH_DELAY.value;
            let knows = Time::ZERO + began.since(Time::ZERO).saturating_sub(watch);
            let kind = ViewKind::KubeProxy;
            let meters = &mut self.meters;
            state
                .view
                .catch_up(&self.endpoint_log, knows, |publication| {
                    let changed = publication.changed;
                    meters.observe(now, Observation::ViewApplied { kind, changed });
                });
        }
        self.sync_if_behind(node, context);
    }

    /// A node that does not know everything yet, and runs, gets to know it.
    pub(crate) fn sync_if_behind(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let behind = self.nodes[node as usize].view.position() < self.endpoint_log.len();
        if behind && self.levers.node(node).is_none() {
            self.await_sync(node, context);
        }
    }
}
