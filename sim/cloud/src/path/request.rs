//! Requests: what users send, from the intended start to the last answer; and what a pod does
//! with one after its own work.
//!
//! Models: open sources, whose requests start whether or not earlier ones were answered;
//! closed populations, whose users think between an answer and the next request; and paced ones,
//! whose users ask at regular instants, or late where the last answer was late. Latency
//! counts from the intended start. Steps of calls run one after the other, the calls of a
//! step together.
//! Leaves out: sessions of several different requests.
//! Validated by: closed forms of open and closed networks.

use super::proxy::translated;
use super::{Asker, Call, Identity, Outcome, Owner};
use crate::domain::{Clock, Domain, Event};
use crate::load::ArrivalProcess;
use crate::meter::Observation;
use crate::record::Reason;
use crate::scenario::{Arrivals, OnFailure, Traffic, TrafficId, TrafficSource};
use crate::slab::Key;
use engine::{Seed, Stream, Time};

/// A traffic source at work.
#[derive(Clone, Debug)]
pub(crate) struct Source<'t> {
    pub(crate) id: TrafficId,
    pub(crate) described: &'t Traffic,
    /// Position of its call among the partition's plans.
    pub(crate) plan: u32,
    arrivals: ArrivalProcess<'t>,
    /// Draws that are not arrivals: clients and thinking.
    people: Stream,
    /// Added to a request's number so that no two sources share an address.
    salt: u64,
    /// Requests begun.
    begun: u64,
    /// Requests begun by each user of a closed population.
    turns: Vec<u64>,
    /// Whose turn it is among the pods it starts at.
    next_pod: u32,
}

/// Second address words of a source's own draws.
const CLIENT: u64 = 0;
const THINK: u64 = 1;
const PHASE: u64 = 2;

impl<'t> Source<'t> {
    pub(crate) fn new(id: TrafficId, described: &'t Traffic, plan: u32, seed: Seed) -> Self {
        let stream = |what: &str| Stream::new(seed, &format!("{what} of {}", described.name));
        let users = match &described.arrivals {
            Arrivals::Closed { users, .. } | Arrivals::Paced { users, .. } => *users as usize,
            _ => 0,
        };
        Source {
            id,
            described,
            plan,
            arrivals: ArrivalProcess::new(&described.arrivals, stream("arrivals")),
            people: stream("people"),
            // From the name alone: the same request has the same address under every seed.
            salt: Stream::new(Seed::default(), &described.name)
                .draw(0, 0)
                .word(),
            begun: 0,
            turns: vec![0; users],
            next_pod: 0,
        }
    }

    /// The number of a user's next request among all of its source.
    fn number(&self, user: u32) -> u64 {
        self.turns[user as usize] * self.turns.len() as u64 + u64::from(user)
    }

    /// When a user of a paced population means to ask next.
    fn planned(&self, user: u32) -> Option<Time> {
        let Arrivals::Paced {
            period,
            together,
            jitter,
            ..
        } = self.described.arrivals
        else {
            return None;
        };
        let asker = if together { 0 } else { u64::from(user) + 1 };
        let phase = period.mul_f64(self.people.draw(asker, PHASE).uniform());
        let mut planned = Time::ZERO + phase + period * self.turns[user as usize];
        if jitter > 0.0 {
            let swing = self.people.draw(self.number(user), THINK).uniform();
            planned += period.mul_f64(jitter * swing);
        }
        Some(planned)
    }
}

impl Domain<'_> {
    /// Sets all sources going.
    pub(crate) fn start_sources(&mut self, context: &mut Clock<'_, Self>) {
        for source in 0..self.sources.len() as u32 {
            match self.sources[source as usize].described.arrivals {
                Arrivals::Closed { users, .. } | Arrivals::Paced { users, .. } => {
                    for user in 0..users {
                        self.await_user(source, user, context);
                    }
                }
                _ => self.await_arrival(source, context),
            }
        }
    }

    fn await_arrival(&mut self, source: u32, context: &mut Clock<'_, Self>) {
        if let Some(at) = self.sources[source as usize].arrivals.next() {
            context.schedule(at, Event::Arrival(source));
        }
    }

    /// A request of an open source starts.
    pub(crate) fn arrival(&mut self, source: u32, context: &mut Clock<'_, Self>) {
        self.await_arrival(source, context);
        let number = self.sources[source as usize].begun;
        self.begin_request(source, number, None, context.now(), context);
    }

    /// A user of a population thinks, or waits for its next instant, before asking (again).
    fn await_user(&mut self, source: u32, user: u32, context: &mut Clock<'_, Self>) {
        let state = &self.sources[source as usize];
        let event = Event::Thought { source, user };
        match state.planned(user) {
            Some(planned) => context.schedule(planned.max(context.now()), event),
            None => {
                let Arrivals::Closed { think, .. } = &state.described.arrivals else {
                    return;
                };
                let mut draw = state.people.draw(state.number(user), THINK);
                context.after(think.sample(&mut draw), event);
            }
        }
    }

    /// A user of a population asks.
    pub(crate) fn thought(&mut self, source: u32, user: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.sources[source as usize];
        let number = state.number(user);
        let intended = state.planned(user).unwrap_or(context.now());
        state.turns[user as usize] += 1;
        self.begin_request(source, number, Some(user), intended, context);
    }

    fn begin_request(
        &mut self,
        source: u32,
        number: u64,
        user: Option<u32>,
        intended: Time,
        context: &mut Clock<'_, Self>,
    ) {
        let state = &mut self.sources[source as usize];
        state.begun += 1;
        let (traffic, plan) = (state.id, state.plan);
        let identity = Identity {
            request: state.salt.wrapping_add(number),
            branch: 0,
        };
        self.meters
            .observe(intended, Observation::RequestStarted(traffic));
        let clients = state.described.clients;
        let client = match (state.described.source, user) {
            (TrafficSource::Workload(_, workload), _) => {
                let turn = state.next_pod;
                state.next_pod = turn.wrapping_add(1);
                self.running_pod(workload, turn)
            }
            (_, Some(user)) => Some(user),
            (TrafficSource::Inside(_), None) => Some(u32::MAX),
            (TrafficSource::Users(_), None) => {
                Some(state.people.draw(number, CLIENT).below(clients))
            }
        };
        let asker = Asker {
            traffic,
            user,
            intended,
        };
        match client {
            Some(client) => {
                self.make_call(Owner::User(asker), plan, client, identity, context);
            }
            // There is no pod that could send it.
            None => self.request_ended(asker, 0, Err(Reason::Unavailable), context),
        }
    }

    /// A user has an answer, or none for good.
    pub(crate) fn request_ended(
        &mut self,
        asker: Asker,
        attempts: u32,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        let observation = Observation::RequestEnded {
            traffic: asker.traffic,
            intended: asker.intended,
            attempts,
            outcome,
        };
        self.meters.observe(context.now(), observation);
        if let Some(user) = asker.user {
            let source = self.source_of_traffic[asker.traffic.index()];
            self.await_user(source, user, context);
        }
    }

    /// The calls of a task's present step go out; without one the task is done.
    pub(crate) fn take_step(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        loop {
            let task = &self.tasks[key];
            if let Some(reason) = task.failed {
                return self.finish(key, Err(reason), context);
            }
            let steps = &self.behaviors[task.behavior as usize].steps;
            let Some(plans) = steps.get(usize::from(task.step)).cloned() else {
                return self.finish(key, Ok(()), context);
            };
            let (pod, step, identity) = (task.pod, u64::from(task.step), task.identity);
            let part = |plan: u32| identity.part((step << 32) + u64::from(plan - plans.start) + 1);
            let made = |domain: &Self, plan: u32| domain.is_made(pod, plan, part(plan));
            let count = plans.clone().filter(|&plan| made(self, plan)).count();
            self.tasks[key].open = count as u16;
            for plan in plans.clone() {
                if made(self, plan) {
                    self.make_call(Owner::Task(key), plan, pod, part(plan), context);
                }
            }
            if count > 0 {
                return;
            }
            self.tasks[key].step += 1;
        }
    }

    /// Whether a call is made at all.
    fn is_made(&self, pod: u32, plan: u32, part: Identity) -> bool {
        let probability = self.plans[plan as usize].probability;
        let workload = self.pods[pod as usize].workload;
        let calls = &self.workloads[workload.index()].calls;
        probability >= 1.0 || calls.draw(part.request, part.branch).chance(probability)
    }

    /// A call of a task has ended.
    pub(crate) fn call_ended(
        &mut self,
        key: Key,
        call: &Call,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        let plan = &self.plans[call.plan as usize];
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        task.open -= 1;
        if self.behaviors[task.behavior as usize].proxy.is_some() {
            task.answer_bytes = call.answer_bytes;
            return self.finish(key, outcome.map_err(translated), context);
        }
        if outcome.is_err() && plan.on_failure == OnFailure::Fail {
            task.failed = Some(Reason::DependencyFailed);
        }
        if task.open == 0 {
            task.step += 1;
            self.take_step(key, context);
        }
    }
}
