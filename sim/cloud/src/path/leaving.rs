//! Callers that give up, and proxies that let go of what they asked.
//!
//! Models: who gives an attempt up, or ends, closes its HTTP/1.1 connection or resets its HTTP/2
//! stream. The proxy at the other end ends the request at once, unless that is on its way back:
//! it cancels what it has under way for it, which may go on like this from proxy to proxy; limits
//! count it no more, and threads pass over what waits for them. An application that has been
//! asked works on: its answer reaches nobody.
//!
//! Approximated: the news travels behind the request and costs no work, so that it may overtake one
//! that waits in a ztunnel, which then goes on; what was asked aside, of
//! providers and rate limit services, and copies go on; with a machine that has lost its power or
//! its network nobody learns that its callers are gone.
//! Sources: envoyproxy/envoy source/common/http/conn_manager_impl.cc (onResetStream,
//! resetAllStreams), source/common/router/router.cc (onDestroy).
//! Validated by: who is freed and when, and what is logged of it, in the crate's tests.

use super::call::Stage;
use super::link::Packet;
use super::service::Fate;
use super::{Call, CallRef, Endpoint, Identity, Listener, Owner, Target};
use crate::domain::{Clock, Domain};
use crate::envoy::flags::Flag;
use crate::envoy::pool::Ends;
use crate::meter::{Observation, StationId};
use crate::scenario::Protocol;
use crate::slab::Key;

/// Somebody waits no longer for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) from: CallRef,
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Identity,
    /// What was asked, as the proxy there keeps it, if the caller knows.
    passage: Option<Key>,
    /// What ends with it.
    ends: Ends,
}

impl Domain<'_> {
    /// Whoever made a call waits for its present attempt no longer: a proxy that has it is told.
    pub(crate) fn tell_of_leaving(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let Stage::Waiting(endpoint) = call.stage else {
            return;
        };
        let (client, identity) = (call.client, call.work());
        let leaving = Leaving {
            from: self.reference(key),
            endpoint,
            identity,
            passage: call.passage,
            ends: self.ends_of(key),
        };
        match endpoint.listener {
            Listener::Application => {}
            Listener::Outbound(_) => self.take_leaving(leaving, context),
            _ if self.is_cut_off(key) => {}
            _ => self.send_to(
                endpoint,
                client,
                Packet::Leaving(leaving),
                identity,
                context,
            ),
        }
    }

    /// Whether a proxy was asked something by HTTP/2.
    pub(super) fn is_asked_by_http2(&mut self, passage: Key) -> bool {
        let asked = &self.passages[passage];
        match (asked.reply, asked.traffic) {
            // Proxies ask by HTTP/1.1 of their own accord.
            (None, _) => false,
            (Some(from), _) if from.partition == self.id => {
                let waits = self.calls.get(from.call).is_some();
                waits && self.ends_of(from.call) == Ends::Stream
            }
            (Some(_), traffic) => traffic.is_some_and(|traffic| {
                let traffic = &self.topology.scenario.traffic[traffic.index()];
                traffic.protocol == Protocol::Http2
            }),
        }
    }

    /// What a caller ends that gives up.
    fn ends_of(&mut self, key: Key) -> Ends {
        let call = &self.calls[key];
        let plan = &self.plans[call.plan as usize];
        match call.owner {
            Owner::Passage(passage) if matches!(plan.target, Target::Backend(_)) => {
                let slot = self.passages[passage].slot;
                slot.map_or(Ends::Connection, |slot| self.ends_at(slot))
            }
            _ if plan.protocol == Protocol::Http2 => Ends::Stream,
            _ => Ends::Connection,
        }
    }

    /// Whether nothing of what a pod sends leaves its machine.
    fn is_cut_off(&self, key: Key) -> bool {
        let call = &self.calls[key];
        let from_pod = self.plans[call.plan as usize].from_pod;
        from_pod && {
            let node = self.pods[call.client as usize].node;
            let stopped = node.and_then(|node| self.levers.node(node));
            self.machine_off(call.client).or(stopped).is_some()
        }
    }

    /// The news that a caller has left has come.
    pub(crate) fn hear_of_leaving(&mut self, leaving: Leaving, context: &mut Clock<'_, Self>) {
        if self.fate(leaving.endpoint) == Fate::Served {
            self.take_leaving(leaving, context);
        }
    }

    /// A proxy hears that a caller has left.
    fn take_leaving(&mut self, leaving: Leaving, context: &mut Clock<'_, Self>) {
        let known = leaving
            .passage
            .or_else(|| self.unlinked.remove(leaving.from));
        let Some(key) = known else {
            return; // It has been answered.
        };
        let version = self.translation.as_ref().map(|it| it.version());
        let flag = match leaving.ends {
            Ends::Connection => Some(Flag::DownstreamTermination),
            Ends::Stream => version
                .filter(|version| version.flags_remote_resets())
                .map(|_| Flag::DownstreamReset),
        };
        self.let_go(key, flag, context);
    }

    /// A proxy ends a request for which nobody waits.
    fn let_go(&mut self, key: Key, flag: Option<Flag>, context: &mut Clock<'_, Self>) {
        if self.passages.get(key).is_none() {
            return; // Its answer is on its way, or its proxy has died.
        }
        self.drop_call(key, context);
        let now = context.now();
        let mut passage = self.passages.remove(key).expect("it was there just now");
        if let Some(flag) = flag {
            passage.flags.set(flag);
        }
        let to = passage.reply.expect("somebody has left");
        self.log_passage(&passage, NO_STATUS, now);
        let finished = Observation::Finished {
            station: StationId::Sidecar(self.pods[passage.pod as usize].workload),
            arrived: passage.arrived,
            lost: false,
        };
        self.meters.observe(now, finished);
        if !matches!(passage.listener, Listener::Outbound(_)) {
            // What has no status is no error to who counts those of servers.
            let latency = Some(now.since(passage.arrived));
            self.note_answer(passage.pod, (to, latency), now);
        }
    }

    /// The call that waits at whoever asks a proxy, if it waits still and does so here.
    fn waiting_here(&mut self, from: CallRef) -> Option<&mut Call> {
        let is_here = from.partition == self.id;
        let call = self.calls.get_mut(from.call).filter(|_| is_here);
        call.filter(|call| call.attempt == from.attempt && call.stage != Stage::Paused)
    }

    /// Somebody asks a proxy, and either learns how that keeps it or has to be found by who asked.
    pub(super) fn link_passage(&mut self, from: CallRef, key: Key) {
        match self.waiting_here(from) {
            Some(call) => call.passage = Some(key),
            None => self.unlinked.insert(from, key),
        }
    }

    /// A proxy has nothing any more to do for somebody.
    pub(super) fn unlink_passage(&mut self, from: CallRef) {
        self.unlinked.remove(from);
    }
}

/// Requests at proxies whose callers do not know how those keep them: that are elsewhere, or had
/// left before.
#[derive(Debug, Default)]
pub(crate) struct Unlinked {
    /// By the partition of the caller and the place of its call, which has mostly one of them.
    places: Vec<Vec<Vec<(CallRef, Key)>>>,
}

impl Unlinked {
    fn insert(&mut self, from: CallRef, passage: Key) {
        let (partition, place) = (usize::from(from.partition), from.call.slot() as usize);
        if self.places.len() <= partition {
            self.places.resize(partition + 1, Vec::new());
        }
        let places = &mut self.places[partition];
        if places.len() <= place {
            places.resize(place + 1, Vec::new());
        }
        places[place].push((from, passage));
    }

    fn remove(&mut self, from: CallRef) -> Option<Key> {
        let places = self.places.get_mut(usize::from(from.partition))?;
        let here = places.get_mut(from.call.slot() as usize)?;
        let position = here.iter().position(|(caller, _)| *caller == from)?;
        Some(here.swap_remove(position).1)
    }

    /// All of them.
    pub(crate) fn passages(&self) -> impl Iterator<Item = Key> {
        let all = self.places.iter().flatten().flatten();
        all.map(|&(_, passage)| passage)
    }
}

/// The status in the log of a request that was not answered.
const NO_STATUS: u16 = 0;
