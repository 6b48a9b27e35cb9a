//! Users' side of the global DNS: caching resolvers.
//!
//! Models: the users of a network are spread over its resolvers by their address; a resolver
//! keeps an answer for its TTL, asks anew when somebody needs the name after that, and lets
//! all who ask meanwhile wait for that answer. Only new connections need the name, so a kept
//! connection outlives a change of the answer.
//!
//! Leaves out: the distance between a user and its resolver (part of the access network),
//! caches of operating systems and browsers, answers that are used beyond their TTL.
//! Sources: RFC 1034, RFC 2181 section 8; [`crate::facts`].
//! Validated by: the recovery from a region's loss against its closed form.

use super::call::Stage;
use super::link::{Goal, Packet};
use super::{CallRef, Identity};
use crate::control::dns::pick;
use crate::domain::{Clock, Domain};
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::scenario::{GlobalAnswer, GlobalNameId};
use crate::slab::Key;
use crate::topology::Topology;
use engine::{Duration, Seed, Stream, Time};

/// What one resolver knows of one name.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    /// Position of the candidate, and until when the answer holds.
    answer: (u32, Time),
    /// Calls that wait for an answer that is on its way.
    waiting: Vec<CallRef>,
    /// Questions asked.
    asked: u64,
}

impl Resolver {
    /// A resolver of partition `from` as it is found at the start: it has been asked before,
    /// so it holds an answer, of some age.
    fn found(topology: &Topology, seed: Seed, from: u16, name: GlobalNameId, number: u32) -> Self {
        let described = &topology.scenario.global_names[name.index()];
        let stream = format!(
            "answers for {} at {}",
            described.host,
            topology.partition_name(from)
        );
        let mut draw = Stream::new(seed, &stream).draw(u64::from(number), 0);
        let left = described.ttl.mul_f64(draw.uniform());
        let all: Vec<u32> = (0..described.answers.len() as u32).collect();
        Resolver {
            answer: (pick(topology, from, name, &all, draw), Time::ZERO + left),
            waiting: Vec::new(),
            asked: 0,
        }
    }
}

impl Domain<'_> {
    fn resolver_of(&self, key: Key) -> u32 {
        let call = &self.calls[key];
        let client = Identity {
            request: 0,
            branch: u64::from(call.client),
        };
        let crate::topology::PartitionKind::Users(users) =
            self.topology.partitions[usize::from(self.id)]
        else {
            return 0;
        };
        let resolvers = self.topology.scenario.user_networks[users.index()].resolvers;
        (client.part(0).branch % u64::from(resolvers)) as u32
    }

    /// From a global name to an entry of a cluster, as the client's resolver knows it.
    pub(crate) fn resolve_globally(
        &mut self,
        key: Key,
        name: GlobalNameId,
        context: &mut Clock<'_, Self>,
    ) {
        let number = self.resolver_of(key);
        let reference = self.reference(key);
        let (topology, seed, id) = (self.topology, self.seed, self.id);
        let resolver = self
            .resolvers
            .entry((name, number))
            .or_insert_with(|| Resolver::found(topology, seed, id, name, number));
        let (answer, until) = resolver.answer;
        if until > context.now() {
            return self.dial_answer(key, name, answer, context);
        }
        self.calls[key].stage = Stage::Resolving;
        resolver.waiting.push(reference);
        if resolver.waiting.len() > 1 {
            return;
        }
        resolver.asked += 1;
        let packet = Packet::Query {
            name,
            resolver: number,
            number: resolver.asked,
        };
        let identity = self.calls[key].work();
        let dns = self.topology.partitions.len() as u16 - 1;
        self.send_out(dns, Duration::ZERO, packet, identity, context);
    }

    /// The global DNS has answered a resolver.
    pub(crate) fn take_answer(
        &mut self,
        name: GlobalNameId,
        number: u32,
        answer: u32,
        changed: Time,
        context: &mut Clock<'_, Self>,
    ) {
        let ttl = self.topology.scenario.global_names[name.index()].ttl;
        let until = context.now().saturating_add(ttl);
        let Some(resolver) = self.resolvers.get_mut(&(name, number)) else {
            return;
        };
        let before = std::mem::replace(&mut resolver.answer, (answer, until));
        let waiting = std::mem::take(&mut resolver.waiting);
        if before.0 != answer {
            let kind = ViewKind::Resolver;
            let applied = Observation::ViewApplied { kind, changed };
            self.meters.observe(context.now(), applied);
        }
        for reference in waiting {
            if self.awaits(reference) && self.calls[reference.call].stage == Stage::Resolving {
                self.dial_answer(reference.call, name, answer, context);
            }
        }
    }

    fn dial_answer(
        &mut self,
        key: Key,
        name: GlobalNameId,
        answer: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let chosen = &self.topology.scenario.global_names[name.index()].answers[answer as usize];
        self.calls[key].resolved = chosen.cluster;
        let goal = Goal::Entry(chosen.service, self.web_port(*chosen));
        self.dial(key, goal, context);
    }

    /// Who follows a name speaks plain HTTP: to its usual port, if the service has that, or else
    /// to the first.
    fn web_port(&self, answer: GlobalAnswer) -> u32 {
        let cluster = &self.topology.scenario.clusters[answer.cluster.index()];
        let ports = &cluster.services[answer.service.index()].ports;
        let usual = ports.iter().position(|port| port.port == 80);
        usual.unwrap_or(0) as u32
    }
}
