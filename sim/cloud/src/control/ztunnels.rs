//! What ztunnels know of istiod: nothing at first, and of new pods of their nodes once they hear.
//!
//! Models: a ztunnel that starts opens no listener before it has been told everything: until then
//! its node is as if it were away. It is told of a pod of its node as istiod learns of it; while
//! its stream is away a new pod is nobody to it, and connections of that pod wait for five seconds
//! and break. With a machine its ztunnel ends and starts.
//!
//! Approximated: a ztunnel that can be told of a new pod knows it with its first container.
//! Leaves out: pods that cannot be made ready for traffic while a ztunnel is away.
//! Sources: istio/ztunnel src/app.rs (listeners wait for the first answer), src/proxy.rs
//! (get_workload), src/state.rs (wait_for_workload).
//! Validated by: who gets through after a ztunnel or a pod has started without istiod, in the
//! crate's tests.

use super::api::Client;
use super::istiod::Told;
use crate::domain::{Clock, Domain};
use crate::meter::Observation;
use crate::path::ztunnel;
use crate::record::ViewKind;
use crate::scenario::Component;
use engine::Time;

impl Domain<'_> {
    /// Ztunnels of the machines that there are from the start have run for long.
    pub(crate) fn start_ztunnels(&mut self, context: &mut Clock<'_, Self>) {
        if self.ztunnels.is_none() {
            return;
        }
        for node in 0..self.nodes.len() as u32 {
            if self.has_machine(node) {
                self.ztunnel_runs(node, context.now());
                self.ztunnel(node).is_configured = true;
                self.proxy_acts(ztunnel::number_of(node), context.now());
            }
        }
        self.start_ztunnel_certificates(context);
    }

    /// The ztunnel of a new machine starts, or one that was away, and asks to be told.
    pub(crate) fn ztunnel_starts(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let is_down = self.levers.control.down.contains(&Component::Ztunnel(node));
        if self.ztunnels.is_none() || is_down || self.levers.is_off(node) {
            return;
        }
        self.ztunnel_runs_no_more(node, context.now());
        self.ztunnel_runs(node, context.now());
        self.subscribe(ztunnel::number_of(node), context);
    }

    /// A machine has no power any more, or is no more, and its ztunnel ends with it.
    pub(super) fn forget_ztunnel(&mut self, node: u32, now: Time) {
        if self.ztunnels.is_some() {
            self.ztunnel_runs_no_more(node, now);
        }
    }

    /// A ztunnel applies what istiod knew when it was told.
    pub(super) fn ztunnel_told(&mut self, node: u32, told: Told, context: &mut Clock<'_, Self>) {
        let (now, number) = (context.now(), ztunnel::number_of(node));
        let state = self.nodes[node as usize].ztunnel.as_ref();
        let Some(state) = state.filter(|it| it.runs && it.subscription.is_open()) else {
            return; // It will be told everything.
        };
        match state.is_configured {
            true => self.proxy_takes_in(number, now),
            false => self.proxy_acts(number, now),
        }
        let state = self.nodes[node as usize].ztunnel.as_mut();
        let state = state.expect("looked for just now");
        // What it hears first of all is not late.
        let is_new = !std::mem::replace(&mut state.is_configured, true);
        let (meters, kind) = (&mut self.meters, ViewKind::Ztunnel);
        let position = told.position as usize;
        state
            .view
            .advance(&self.endpoint_log, position, |publication| {
                let changed = publication.changed;
                if !is_new {
                    meters.observe(now, Observation::ViewApplied { kind, changed });
                }
            });
        if is_new {
            state.generation = told.generation;
            for pod in 0..self.pods.len() as u32 {
                if !self.pods[pod as usize].released && self.carrier(pod) == Some(node) {
                    self.want_certificate(pod, context);
                }
            }
        } else if told.generation > state.generation {
            state.generation = told.generation;
            let translation = self.translation.as_ref().expect("a mesh translates");
            let changed = translation.written(told.generation);
            meters.observe(now, Observation::ViewApplied { kind, changed });
        }
        for pod in std::mem::take(&mut self.ztunnel(node).unheard) {
            self.want_certificate(pod, context);
        }
        self.pods_heard_of(node, context);
    }

    /// A pod has started: the ztunnel of its node hears of it if it hears of anything.
    pub(super) fn ztunnel_may_hear_of(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(node) = self.carrier(pod) else {
            return;
        };
        let istiod_acts = self.acts(Client::Istiod);
        let is_new = self.pods[pod as usize].restarts == 0;
        let state = self.ztunnel(node);
        if !state.takes_connections() {
            return; // It will be told everything.
        }
        let is_told = istiod_acts && state.subscription.is_open();
        if is_new && !is_told {
            state.unheard.insert(pod);
        } else if !state.unheard.contains(&pod) {
            self.want_certificate(pod, context);
        }
    }
}
