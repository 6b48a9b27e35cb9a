//! Calls: attempts, patience and retries of a client.
//!
//! Models: a timeout per attempt, retries with a doubling pause and a budget, repetition. An attempt that
//! its caller has given up goes on at the application that is asked, and its answer finds nobody;
//! proxies on the way let go (`leaving.rs`).
//! Leaves out: hedging, deadlines that travel with a request.
//! Validated by: latencies computed by hand, hop by hop, in the crate's tests.

use super::attributes::Asked;
use super::link::Goal;
use super::name_service::Lookup;
use super::service::RequestArrival;
use super::{Call, CallRef, Endpoint, Identity, Listener, Origin, Outcome, Owner, Reply, Target};
use crate::balance;
use crate::domain::{Clock, Domain, Event};
use crate::guard::{self, RetryBudget};
use crate::meter::Observation;
use crate::record::{CallKey, Reason};
use crate::scenario::{ClusterId, NetworkModel, OnFailure};
use crate::slab::Key;
use engine::{Duration, Time};

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Between attempts.
    Paused,
    /// Waits for an answer of the global DNS.
    Resolving,
    /// Asks the cluster's DNS.
    Asking(Lookup),
    /// Waits for a connection that another call is opening.
    Queued,
    /// Waits for an answer to its SYN; sent into nowhere if there is no goal.
    Dialling(Option<Goal>),
    /// Connected with this endpoint, and agreeing how to encrypt.
    Securing(Endpoint),
    /// Awaiting an answer from this endpoint.
    Waiting(Endpoint),
    /// Awaiting an answer to a datagram; sent into nowhere if there is no goal.
    Sent(Option<Goal>),
}

impl Stage {
    /// The endpoint that was chosen, once one was.
    pub(crate) fn endpoint(self) -> Option<Endpoint> {
        match self {
            Stage::Waiting(endpoint)
            | Stage::Securing(endpoint)
            | Stage::Dialling(Some(Goal::Endpoint(endpoint)))
            | Stage::Sent(Some(Goal::Endpoint(endpoint))) => Some(endpoint),
            _ => None,
        }
    }
}

impl Domain<'_> {
    /// Makes a call, which may end at once; its end is told to its owner.
    pub(crate) fn make_call(
        &mut self,
        owner: Owner,
        plan: u32,
        client: u32,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) -> Key {
        let described = &self.plans[plan as usize];
        // A proxy passes on what it was asked.
        let (request_bytes, traffic) = match (described.target, owner) {
            (Target::Backend(_), Owner::Task(task)) => {
                let task = &self.tasks[task];
                (task.request_bytes, task.traffic)
            }
            (_, Owner::Passage(passage)) => {
                let passage = &self.passages[passage];
                (passage.request_bytes, passage.traffic)
            }
            _ => (described.request_bytes, described.traffic),
        };
        let origin = match owner {
            Owner::User(asker) => Some(Origin {
                traffic: asker.traffic,
                client,
                asked: Asked::BY_USER,
            }),
            Owner::Task(task) => self.tasks[task].origin,
            Owner::Passage(passage) => self.passages[passage].origin,
            Owner::Line(_) => None,
        };
        let key = self.calls.insert(Call {
            repeats_left: described.repeat - 1,
            request_bytes,
            traffic,
            origin,
            ..Call::new(owner, plan, (client, identity), context.now())
        });
        if let Some(share) = self.plans[plan as usize].retry.budget {
            self.retry_budget(plan, client).pay(share);
        }
        self.attempt(key, context);
        key
    }

    /// The account of retries that a client has with one of its plans.
    fn retry_budget(&mut self, plan: u32, client: u32) -> &mut RetryBudget {
        let budgets = &mut self.retry_budgets;
        budgets
            .entry((plan, client))
            .or_insert_with(RetryBudget::full)
    }

    /// Begins the next attempt.
    pub(crate) fn attempt(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(call) = self.calls.get_mut(key) else {
            return; // Its client died during the pause.
        };
        call.attempts += 1;
        call.attempt = call.attempt.wrapping_add(1);
        call.passage = None;
        call.started = context.now();
        let plan = &self.plans[call.plan as usize];
        // At a pool of a sidecar the time of an attempt begins once it has a connection.
        let is_pooled = call.owner.is_sidecar() && matches!(plan.target, Target::Backend(_));
        if !is_pooled {
            self.await_end(key, context);
        }
        match self.topology.scenario.network {
            NetworkModel::Ideal => self.attempt_at_no_distance(key, context),
            NetworkModel::Modelled => self.open(key, context),
        }
    }

    /// The time of an attempt begins.
    pub(super) fn await_end(&self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        if let Some(timeout) = self.plans[call.plan as usize].timeout {
            let attempt = call.attempt;
            let class = context.timer_class(timeout);
            context.arm(class, Event::TimedOut { attempt, call: key });
        }
    }

    /// The ideal network: the service itself balances each request over its ready pods.
    fn attempt_at_no_distance(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let Target::Service(cluster, service) = self.plans[call.plan as usize].target else {
            panic!("the ideal network knows services of its cluster only");
        };
        let identity = call.work();
        let from = self.reference(key);
        let (bytes, traffic, origin) = (call.request_bytes, call.traffic, call.origin);
        let state = &mut self.services[service.index()];
        let count = state.ready.len() as u32;
        if count == 0 {
            return self.attempt_ended(key, Err(Reason::NoEndpoints), context);
        }
        let chosen = if count == 1 {
            0
        } else {
            let mut draw = state.stream.draw(identity.request, identity.branch);
            let described = &self.topology.cluster(cluster).services[service.index()];
            balance::choose(described.balance, count, &mut state.turn, &mut draw, |at| {
                self.pods[state.ready[at as usize] as usize].station.present
            })
        };
        let pod = state.ready[chosen as usize];
        let state = &self.pods[pod as usize];
        let endpoint = Endpoint {
            cluster,
            service,
            workload: state.workload,
            zone: state.zone,
            pod,
            restarts: state.incarnation(),
            listener: Listener::Application,
            entry: None,
            port: 0,
            secured: false,
            chains: 0,
            resumes: false,
            tunnel: 0,
        };
        self.calls[key].stage = Stage::Waiting(endpoint);
        let request = RequestArrival {
            from,
            identity,
            endpoint,
            traffic,
            origin,
            bytes,
        };
        if let Err(reason) = self.arrive(request, Reply::Call(from), context) {
            self.attempt_ended(key, Err(reason), context);
        }
    }

    /// A caller's patience is at an end.
    pub(crate) fn timed_out(&mut self, key: Key, attempt: u16, context: &mut Clock<'_, Self>) {
        if !self.is_over(key, attempt) {
            self.abandon(key, context);
            self.attempt_ended(key, Err(Reason::Timeout), context);
        }
    }

    /// Whether an attempt of a call has come to an end, or the call has.
    pub(crate) fn is_over(&self, key: Key, attempt: u16) -> bool {
        let call = self.calls.get(key);
        call.is_none_or(|call| call.attempt != attempt || call.stage == Stage::Paused)
    }

    /// The ideal network: an answer is with its caller at once, if it still waits for it.
    pub(crate) fn answered_at_no_distance(
        &mut self,
        to: CallRef,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        if self.awaits(to) {
            self.attempt_ended(to.call, outcome, context);
        }
    }

    /// An attempt is over: the caller tries again, goes on, or tells its owner.
    pub(crate) fn attempt_ended(
        &mut self,
        key: Key,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        if let Owner::Line(line) = self.calls[key].owner {
            return self.line_opened(key, line, None, context);
        }
        self.meter_attempt(key, outcome, context);
        self.release_outstanding(key);
        let pause = match (outcome, self.calls[key].owner) {
            (_, Owner::Passage(passage)) => self.pause_of_sidecar(key, passage, outcome, context),
            (Ok(()), _) => None,
            (Err(_), _) => self.pause_before_retry(key),
        };
        self.calls[key].stage = Stage::Paused;
        if let Some(pause) = pause {
            context.after(pause, Event::Retry(key));
            return;
        }
        let call = &mut self.calls[key];
        let plan = &self.plans[call.plan as usize];
        let goes_on = outcome.is_ok() || plan.on_failure == OnFailure::Ignore;
        if goes_on && call.repeats_left > 0 {
            call.repeats_left -= 1;
            call.attempts = 0;
            // By an event, so that instant answers do not pile up on the stack.
            context.after(Duration::ZERO, Event::Retry(key));
            return;
        }
        let call = self.calls.remove(key).expect("a call ends once");
        match call.owner {
            Owner::User(asker) => {
                self.request_ended(asker, u32::from(call.attempt), outcome, context);
            }
            Owner::Task(task) => self.call_ended(task, &call, outcome, context),
            Owner::Passage(passage) => self.passed_on(passage, &call, outcome, context),
            Owner::Line(_) => unreachable!("lines end above"),
        }
    }

    /// How long a failed call pauses before its next attempt, if it may have one.
    fn pause_before_retry(&mut self, key: Key) -> Option<Duration> {
        let call = &self.calls[key];
        let (plan, client) = (call.plan, call.client);
        let retry = &self.plans[plan as usize].retry;
        let pause = guard::pause_before(retry, u32::from(call.attempts))?;
        let may = retry.budget.is_none() || self.retry_budget(plan, client).take();
        may.then_some(pause)
    }

    /// The entry that a call to a global name was led to, once it was.
    fn dialled(&self, call: &Call) -> Option<(ClusterId, u32)> {
        match call.stage {
            Stage::Dialling(Some(Goal::Entry(service, _)))
            | Stage::Sent(Some(Goal::Entry(service, _))) => Some((call.resolved, service.0)),
            _ => None,
        }
    }

    pub(super) fn meter_attempt(
        &mut self,
        key: Key,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        let call = &self.calls[key];
        let plan = &self.plans[call.plan as usize];
        let endpoint = call.stage.endpoint();
        let asked = match plan.target {
            Target::Service(cluster, service) => Some((cluster, service.0)),
            Target::Backend(service) => self.cluster.map(|cluster| (cluster, service.0)),
            Target::Global(_) => self.dialled(call),
        };
        let observation = Observation::AttemptEnded {
            key: CallKey {
                caller: plan.caller,
                caller_zone: plan.from_pod.then(|| self.pods[call.client as usize].zone),
                service: endpoint
                    .map(|endpoint| (endpoint.cluster, endpoint.service.0))
                    .or(asked),
                answered: endpoint.map(|endpoint| (endpoint.workload, endpoint.zone)),
            },
            started: call.started,
            outcome,
        };
        self.meters.observe(context.now(), observation);
    }
}

impl Call {
    /// A call that has made no attempt, and asks for nothing in particular.
    pub(super) fn new(
        owner: Owner,
        plan: u32,
        (client, identity): (u32, Identity),
        now: Time,
    ) -> Call {
        Call {
            owner,
            plan,
            client,
            identity,
            attempts: 0,
            attempt: 0,
            repeats_left: 0,
            started: now,
            stage: Stage::Paused,
            request_bytes: 0,
            traffic: None,
            origin: None,
            resolved: ClusterId(0),
            answer_bytes: 0,
            passage: None,
        }
    }

    /// Address of what is drawn for the present attempt.
    pub(crate) fn work(&self) -> Identity {
        match self.attempt {
            1 => self.identity,
            attempt => self.identity.part(u64::from(attempt)),
        }
    }
}
