//! Connections of a sidecar to its application, where anything limits them.
//!
//! Models: at each port that the sidecar takes in a cluster with one host, the application: a pool
//! for each thread, and limits that all threads share. What comes for a full cluster waits or is
//! turned away (UO); retries at the application count against its limit. A port may lead to
//! another one, at which nobody listens if the containers say where they do and not there (UF). A
//! cluster of which the sidecar is told something else begins anew.
//!
//! Approximated: connections inside a pod come up at once, so that how long that may take does
//! not matter, and pools do not where nothing is limited: there are none then. Whether one has
//! been idle for too long or is too old is looked at when something else happens.
//! Sources: istio/istio 86c9f01f pilot/pkg/networking/core/cluster.go
//! (buildInboundClustersFromSidecar), cluster_builder.go (buildInboundCluster);
//! [`crate::envoy::pool`].
//! Validated by: who is turned away and who waits, in the crate's tests.

use super::super::Listener;
use super::super::passage::Passage;
use super::{Line, Slot};
use crate::domain::{Clock, Domain, Phase};
use crate::envoy::breaker::Breakers;
use crate::envoy::flags::Flag;
use crate::envoy::pool::{Action, End, Pool};
use crate::envoy::retry::{Outcome, Retries, RetryPolicy, Verdict};
use crate::istio::translate::inbound::Limited;
use crate::path::Outcome as Answered;
use crate::record::Reason;
use crate::slab::Key;
use engine::{Draw, Time};

/// An application's port as its sidecar keeps it.
#[derive(Clone, Debug)]
pub(in crate::path) struct Application {
    port: u16,
    /// What the sidecar was told of it.
    told: Limited,
    /// Of each thread; of each for HTTP/1.1 and then for HTTP/2, where the protocol of clients is
    /// kept.
    pools: Vec<Pool>,
    breakers: Breakers,
}

impl Application {
    fn new(port: u16, told: &Limited, threads: usize) -> Self {
        let kinds = told.connections.iter();
        let pools = kinds.flat_map(|settings| vec![Pool::new(*settings); threads]);
        Application {
            port,
            pools: pools.collect(),
            breakers: Breakers::new(told.limits),
            told: told.clone(),
        }
    }

    /// Connections end that are idle for too long or too old: those of one thread may keep
    /// others from having theirs.
    fn look(&mut self, now: Time) {
        for pool in &mut self.pools {
            // Who has a connection that nothing needs has nobody who waits for one.
            pool.look(now, &mut self.breakers, |action| {
                assert!(matches!(action, Action::Close(_)), "{action:?}");
            });
        }
    }

    /// An attempt at the application has this outcome: what to do, as far as retries are limited.
    pub(in crate::path) fn decide(
        &mut self,
        retries: &mut Retries,
        policy: &RetryPolicy,
        outcome: Outcome,
        draw: &mut Draw,
    ) -> Verdict {
        retries.decide(policy, outcome, &mut self.breakers, draw)
    }
}

impl Domain<'_> {
    /// The cluster that a request to the application waits for.
    pub(in crate::path) fn application(&mut self, slot: Slot) -> Option<&mut Application> {
        let sidecar = self.pods[slot.pod as usize].sidecar.as_mut()?;
        sidecar.applications.get_mut(slot.upstream as usize)
    }

    /// A request looks for a connection to the application.
    pub(in crate::path) fn ask_application(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        let (pod, thread) = (passage.pod, passage.listener.thread());
        let port = self.target_port(self.entered_at(passage));
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref().expect("a sidecar that takes in");
        let (_, table) = sidecar.taken_in.as_ref().expect("a table that is narrow");
        let table = table.clone();
        let Some(inbound) = table.find(port) else {
            return self.give_application(key, context);
        };
        let described = self.template(pod).sidecar.as_ref();
        let listens = &described.expect("a sidecar in its pod").listens;
        let is_heard = inbound
            .application_port()
            .is_none_or(|port| listens.is_empty() || listens.contains(&port));
        let is_there = is_heard && state.phase == Phase::Running;
        let Some(told) = &inbound.limited else {
            return match is_there {
                true => self.give_application(key, context),
                false => self.nobody_listens(key, context),
            };
        };
        let threads = sidecar.threads();
        let kinds = told.connections.len();
        let kind = self.kind_of_pool(kinds, key);
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let applications = &mut sidecar.expect("a sidecar that takes in").applications;
        let newest = applications.iter().rposition(|it| it.port == port);
        let present = newest.filter(|&it| applications[it].told == *told);
        let number = present.unwrap_or_else(|| {
            applications.push(Application::new(port, told, threads));
            applications.len() - 1
        });
        let slot = Slot {
            pod,
            upstream: number as u32,
            host: 0,
            pool: (kind * threads) as u16 + u16::from(thread),
        };
        self.passages[key].slot = Some(slot);
        if !is_there {
            return self.nobody_listens(key, context);
        }
        self.with_application(slot, context, |pool, breakers, act| {
            pool.ask(key.slot(), breakers, act);
        });
    }

    /// The application answers a request, or turns it away.
    pub(in crate::path) fn application_answered(
        &mut self,
        key: Key,
        outcome: Answered,
        bytes: u64,
        context: &mut Clock<'_, Self>,
    ) {
        if self.passages.get(key).is_some_and(|it| it.line.is_some()) {
            self.end_at_application(key, End::Complete, context);
        }
        self.passage_answered(key, outcome, bytes, context);
    }

    /// The application has died over a request.
    pub(crate) fn application_gone(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        self.flag(key, Flag::ConnectionTermination);
        self.leave_application(key, context);
        self.passage_answered(key, Err(Reason::Unavailable), 0, context);
    }

    /// A sidecar no longer waits for its application.
    pub(in crate::path) fn leave_application(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let waits = |it: &Passage| matches!(it.listener, Listener::Inbound(_)) && it.slot.is_some();
        if self.passages.get(key).is_some_and(waits) {
            self.end_at_application(key, End::Cut, context);
        }
    }

    /// A request at the application ends, or does not wait to get there any more.
    fn end_at_application(&mut self, key: Key, end: End, context: &mut Clock<'_, Self>) {
        let passage = &mut self.passages[key];
        let slot = passage.slot.expect("a request to a cluster");
        let line = passage.line.take();
        let mut retries = passage.retries;
        let now = context.now();
        self.with_application(slot, context, |pool, breakers, act| {
            retries.release(breakers);
            match line {
                Some(line) => pool.ended(line.number, (end, now), breakers, act),
                None => drop(pool.cancel(key.slot(), breakers)),
            }
        });
        if let Some(passage) = self.passages.get_mut(key) {
            passage.retries = retries;
        }
    }

    /// Something happens to a pool, and what follows from it is done.
    fn with_application(
        &mut self,
        slot: Slot,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut Pool, &mut Breakers, &mut dyn FnMut(Action)),
    ) {
        let mut actions = std::mem::take(&mut self.pool_actions);
        if let Some(application) = self.application(slot) {
            application.look(context.now());
            let pool = &mut application.pools[usize::from(slot.pool)];
            happens(pool, &mut application.breakers, &mut |action| {
                actions.push(action)
            });
        }
        for action in actions.drain(..) {
            self.act_for_application(slot, action, context);
        }
        self.pool_actions = actions;
    }

    fn act_for_application(&mut self, slot: Slot, action: Action, context: &mut Clock<'_, Self>) {
        let now = context.now();
        match action {
            Action::Open(number) => self.with_application(slot, context, |pool, breakers, act| {
                pool.connected(number, now, breakers, act);
            }),
            Action::Send {
                request,
                connection,
            } => {
                let key = self.passages.key_of(request).expect("a request that waits");
                self.passages[key].line = Some(Line {
                    slot,
                    number: connection,
                    serial: 0,
                });
                if self.pods[slot.pod as usize].phase == Phase::Running {
                    return self.give_application(key, context);
                }
                self.end_at_application(key, End::Cut, context);
                self.nobody_listens(key, context);
            }
            Action::Refuse(request) => {
                let key = self.passages.key_of(request).expect("a request that waits");
                self.flag(key, Flag::Overflow);
                self.passage_answered(key, Err(Reason::Overflow), 0, context);
            }
            Action::Fail(_) => unreachable!("connections inside a pod come up at once"),
            Action::Close(_) => {}
            Action::Break { .. } => unreachable!("no time of theirs is ever up"),
        }
    }
}
