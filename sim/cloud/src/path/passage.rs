//! Passages: requests on their way through a sidecar.
//!
//! Models: what an application beside asks finds its way, may be delayed, answered or copied on
//! purpose, and goes on by a call of the sidecar's own, balanced over the pods of its view, past
//! virtual addresses; what comes from outside is handed to the application once it has passed
//! its checkpoint; the answer of either goes back the same way. What becomes of a request whose
//! caller has given up is in `leaving.rs`.
//!
//! Source: Envoy's HTTP connection manager and router.
//! Validated by: latencies computed by hand, in the crate's tests.

use super::attributes::Asked;
use super::checkpoint::OPEN;
use super::proxy::translated;
use super::route::{Ask, ClusterNumber, Destination, Lead};
use super::service::RequestArrival;
use super::sidecar::Job;
use super::upstream::{Line, Slot};
use super::{
    Call, CallRef, Endpoint, Identity, Listener, Origin, Outcome, Owner, Plan, Reply, Target,
};
use crate::domain::{Clock, Domain, Event, Phase};
use crate::envoy::flags::{Flag, Flags};
use crate::envoy::injection;
use crate::envoy::retry::{self, Cut, Retries, Sent, Verdict};
use crate::facts;
use crate::meter::{Observation, StationId};
use crate::record::{Caller, Reason};
use crate::scenario::{OnFailure, Protocol, Retry, ServiceId, TrafficId, WorkloadId};
use crate::slab::Key;
use engine::{Duration, Time};

/// A request on its way through a sidecar.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// Whom to answer; nobody waits for a copy.
    pub(crate) reply: Option<CallRef>,
    pub(crate) identity: Identity,
    pub(crate) pod: u32,
    /// The worker thread, and which way it goes.
    pub(crate) listener: Listener,
    /// The service it was asked through.
    pub(crate) service: ServiceId,
    /// The node through which its connection entered the cluster.
    pub(crate) entry: Option<u32>,
    pub(crate) request_bytes: u64,
    pub(crate) traffic: Option<TrafficId>,
    pub(crate) origin: Option<Origin>,
    pub(crate) arrived: Time,
    /// Position of the port that it was asked at among the service's.
    port: u32,
    /// The number of the filter chains that took its connection.
    chains: u32,
    /// The plan of the call behind it, if that is one of the application beside.
    plan: u32,
    /// Which way it goes, once that is known.
    pub(super) way: u32,
    /// The end of this way that was drawn for it.
    pub(super) lead: Option<Lead>,
    /// The hash that decides about its host.
    pub(super) hash: Option<u64>,
    /// It is answered with this status before it is sent on.
    abort: Option<u16>,
    /// The call that sends it on.
    pub(super) call: Option<Key>,
    /// Attempts to send it on.
    pub(super) retries: Retries,
    /// The pod that the present attempt is for, by its place among the sidecar's.
    pub(super) slot: Option<Slot>,
    /// The connection that it was sent on.
    pub(super) line: Option<Line>,
    outcome: Outcome,
    /// Whether there is an answer to it, which is on its way back.
    is_answered: bool,
    answer_bytes: u64,
    /// What went wrong.
    pub(super) flags: Flags,
    /// The request that waits for the answer to this one, to go on or not.
    about: Option<Key>,
    /// What it has to pass before it is handed in, and how far it has come.
    pub(super) checkpoint: u32,
    pub(super) step: u8,
}

impl Passage {
    /// What the application beside asks by it.
    pub(super) fn ask(&self) -> Ask {
        (self.plan, self.traffic, self.origin)
    }

    /// The service that was asked, and the position of the port among its ports.
    pub(super) fn asked_at(&self) -> (ServiceId, u32) {
        (self.service, self.port)
    }

    /// The status that it is answered with.
    pub(super) fn status(&self) -> u16 {
        match (self.outcome, self.abort) {
            (Ok(()), _) => 200,
            (Err(Reason::Injected), Some(status)) => status,
            (Err(reason), _) => reason.status(),
        }
    }

    /// From here on this is asked.
    pub(super) fn ask_anew(&mut self, asked: Asked) {
        self.origin = self.origin.map(|origin| Origin { asked, ..origin });
    }

    /// A request about this one, for whose answer it waits.
    pub(super) fn aside(
        &self,
        waiting: Key,
        identity: Identity,
        (way, lead): (u32, Option<Lead>),
        now: Time,
    ) -> Passage {
        Passage {
            reply: None,
            about: Some(waiting),
            identity,
            way,
            lead,
            arrived: now,
            request_bytes: facts::HTTP_REQUEST_BYTES.value,
            traffic: None,
            ..self.clone()
        }
    }

    /// Whether it is a copy or a question about another, whose answer goes to nobody outside.
    pub(crate) fn is_copy(&self) -> bool {
        self.reply.is_none()
    }

    /// The cluster that it goes to, if it goes to one.
    pub(super) fn cluster(&self) -> Option<ClusterNumber> {
        match self.lead? {
            Lead::Cluster(cluster) => Some(cluster),
            Lead::Nowhere(_) | Lead::Past(_) => None,
        }
    }
}

impl Domain<'_> {
    /// A request reaches the sidecar of a pod that is alive.
    pub(super) fn enter_sidecar(&mut self, request: RequestArrival, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let endpoint = request.endpoint;
        let workload = self.pods[endpoint.pod as usize].workload;
        let station = StationId::Sidecar(workload);
        self.meters.observe(now, Observation::Arrived(station));
        let (plan, checkpoint) = match endpoint.listener {
            Listener::Outbound(_) => (self.calls[request.from.call].plan, OPEN),
            _ => (u32::MAX, self.checkpoint(&request, now)),
        };
        let origin = match endpoint.listener {
            Listener::Edge(..) | Listener::Waypoint(_) => {
                let asked = self.asked_by(&request);
                request.origin.map(|origin| Origin { asked, ..origin })
            }
            _ => request.origin,
        };
        let key = self.passages.insert(Passage {
            reply: Some(request.from),
            identity: request.identity,
            pod: endpoint.pod,
            listener: endpoint.listener,
            service: endpoint.service,
            entry: endpoint.entry,
            request_bytes: request.bytes,
            traffic: request.traffic,
            origin,
            arrived: now,
            port: endpoint.port,
            chains: endpoint.chains,
            plan,
            way: u32::MAX,
            lead: None,
            hash: None,
            abort: None,
            about: None,
            checkpoint,
            step: 0,
            call: None,
            retries: Retries::default(),
            slot: None,
            line: None,
            outcome: Ok(()),
            is_answered: false,
            answer_bytes: 0,
            flags: Flags::default(),
        });
        self.link_passage(request.from, key);
        self.limit_stream(key, context);
        let thread = endpoint.listener.thread();
        self.give(endpoint.pod, thread, Job::Request(key), context);
    }

    /// Past all that it had to pass: to the application of the pod, or on its way at a proxy that
    /// is alone.
    pub(super) fn leave_checkpoint(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        match self.passages[key].listener {
            Listener::Edge(..) | Listener::Waypoint(_) => self.find_way(key, context),
            _ => self.hand_in(key, context),
        }
    }

    /// To the application of the pod.
    pub(crate) fn hand_in(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.open_passage(key) else {
            return; // The sidecar died between two tries, or its caller has left.
        };
        let pod = &self.pods[passage.pod as usize];
        let taken_in = pod.sidecar.as_ref().and_then(|it| it.taken_in.as_ref());
        let is_narrow = taken_in.is_some_and(|(_, table)| table.is_narrow());
        if pod.phase != Phase::Running && !is_narrow {
            return self.nobody_listens(key, context);
        }
        self.limit_application(key, context);
        match is_narrow {
            true => self.ask_application(key, context),
            false => self.give_application(key, context),
        }
    }

    /// The application has a request.
    pub(super) fn give_application(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        let request = RequestArrival {
            from: passage.reply.expect("copies go out, not in"),
            identity: passage.identity,
            endpoint: self.endpoint(passage.pod, passage.service, passage.entry),
            traffic: passage.traffic,
            origin: passage.origin,
            bytes: passage.request_bytes,
        };
        if let Err(reason) = self.arrive(request, Reply::Passage(key), context) {
            self.application_answered(key, Err(reason), 0, context);
        }
    }

    /// Where a request came in to its proxy.
    pub(super) fn entered_at(&self, passage: &Passage) -> Endpoint {
        Endpoint {
            port: passage.port,
            chains: passage.chains,
            listener: passage.listener,
            ..self.endpoint(passage.pod, passage.service, passage.entry)
        }
    }

    /// Nobody listens behind the sidecar, which may try again.
    pub(super) fn nobody_listens(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let endpoint = self.entered_at(&self.passages[key]);
        let verdict = self.inbound_retries(endpoint).map(|policy| {
            let passage = &self.passages[key];
            let again = passage
                .identity
                .part(AGAIN + u64::from(passage.retries.made()));
            let workload = self.pods[passage.pod as usize].workload;
            let stream = &self.workloads[workload.index()].sidecars.work;
            let mut draw = stream.draw(again.request, again.branch);
            let refused = retry::Outcome::Cut(Cut::ConnectFailure, Sent::Nothing);
            let mut retries = passage.retries;
            let limits = passage.slot.and_then(|slot| self.application(slot));
            let verdict = match limits {
                Some(limits) => limits.decide(&mut retries, &policy, refused, &mut draw),
                None => retries.decide_unlimited(&policy, refused, &mut draw),
            };
            self.passages[key].retries = retries;
            verdict
        });
        match verdict {
            Some(Verdict::After(pause)) => return context.after(pause, Event::HandedIn(key)),
            Some(Verdict::LimitExceeded) => self.flag(key, Flag::RetryLimitExceeded),
            Some(Verdict::Overflow) => self.flag(key, Flag::Overflow),
            Some(Verdict::Final) | None => {}
        }
        self.flag(key, Flag::ConnectFailure);
        self.passage_answered(key, Err(Reason::Unavailable), 0, context);
    }

    /// A request of the application beside, or one that comes to a proxy that is alone, finds its
    /// way, and what is done to it on purpose.
    pub(super) fn find_way(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        let (pod, service, origin) = (passage.pod, passage.service, passage.origin);
        let identity = passage.identity.part(ROUTE);
        let number = match passage.listener {
            Listener::Edge(..) | Listener::Waypoint(_) => {
                let endpoint = self.entered_at(passage);
                let asked = origin.expect("users are behind all requests").asked;
                match self.way_in_of(endpoint, asked) {
                    Some(number) => number,
                    // Its server is gone.
                    None => return self.passage_answered(key, Err(Reason::Reset), 0, context),
                }
            }
            _ => self.way_of(pod, service, passage.ask()),
        };
        let workload = self.pods[pod as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.routes;
        let mut draw = stream.draw(identity.request, identity.branch);
        let way = self.ways.at(number);
        let passage = &mut self.passages[key];
        passage.way = number;
        let mut asked = way.asked;
        if let Destination::Clusters { weights, ends } = &way.to
            && let Some(chosen) = injection::route(weights, &mut draw)
        {
            let end = &ends[chosen];
            passage.lead = Some(end.lead);
            passage.hash = end.hash.hash(pod, origin);
            asked = end.asked;
        }
        passage.ask_anew(asked);
        let injection = way.faults.inject(&mut draw);
        passage.abort = injection.abort;
        if let Some(flag) = way.flag {
            passage.flags.set(flag);
        }
        self.limit_way(key, context);
        match injection.delay {
            Some(delay) => {
                self.flag(key, Flag::DelayInjected);
                context.after(delay, Event::Delayed(key));
            }
            None => self.send_on(key, context),
        }
    }

    /// Along its way, unless that ends here.
    pub(crate) fn send_on(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.open_passage(key) else {
            return; // The sidecar died while it waited on purpose, or its time was up.
        };
        let way = self.ways.at(passage.way);
        let asked = passage.service;
        if let Some(status) = passage.abort {
            self.passages[key].flags.set(Flag::FaultInjected);
            let outcome = if status < 400 {
                Ok(())
            } else {
                Err(Reason::Injected)
            };
            return self.passage_answered(key, outcome, 0, context);
        }
        let lead = match (&way.to, passage.lead) {
            (_, Some(lead)) => lead,
            (Destination::Answer(outcome, bytes), _) => {
                let (outcome, bytes) = (*outcome, *bytes);
                return self.passage_answered(key, outcome, bytes, context);
            }
            (Destination::Past, _) => Lead::Past(None),
            // All weights are zero.
            (Destination::Clusters { .. }, None) => Lead::Nowhere(Reason::NoCluster),
        };
        // Copies are not tried again.
        let retries = way.retries.as_ref().filter(|_| !passage.is_copy());
        let per_try = retries.and_then(|policy| policy.per_try_timeout);
        let (pod, identity, timeout) = (passage.pod, passage.identity, way.timeout);
        let port = passage.port;
        let workload = self.pods[pod as usize].workload;
        let plan = match lead {
            Lead::Nowhere(reason) => {
                if reason == Reason::NoCluster {
                    self.passages[key].flags.set(Flag::NoCluster);
                }
                return self.passage_answered(key, Err(reason), 0, context);
            }
            Lead::Cluster(cluster) => self.outbound_plan(workload, cluster.service, per_try),
            Lead::Past(_) => self.plan_past(workload, asked, port),
        };
        if let Some(timeout) = timeout {
            let class = context.timer_class(timeout);
            context.arm(class, Event::RouteTimedOut(key));
        }
        self.mirror(key, context);
        let call = self.make_call(Owner::Passage(key), plan, pod, identity, context);
        if let Some(passage) = self.passages.get_mut(key) {
            passage.call = Some(call);
        }
    }

    /// Copies of a request go out, for whose answers nobody waits.
    fn mirror(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        if passage.is_copy() {
            return;
        }
        let workload = self.pods[passage.pod as usize].workload;
        let (way, identity) = (passage.way, passage.identity);
        for number in 0..self.ways.at(way).mirrors.len() {
            let identity = identity.part(MIRROR + number as u64);
            let stream = &self.workloads[workload.index()].sidecars.routes;
            let mut draw = stream.draw(identity.request, identity.branch);
            let (lead, share) = self.ways.at(way).mirrors[number];
            if !share.include(&mut draw) {
                continue;
            }
            let origin = self.passages[key].origin.map(|origin| Origin {
                asked: self.ways.attributed.shadow(origin.asked),
                ..origin
            });
            let copy = Passage {
                reply: None,
                origin,
                identity,
                lead: Some(lead),
                arrived: context.now(),
                retries: Retries::default(),
                slot: None,
                line: None,
                call: None,
                ..self.passages[key].clone()
            };
            let copy = self.passages.insert(copy);
            self.send_on(copy, context);
        }
    }

    /// What the sidecars of a workload do with requests to a service, when an attempt may take
    /// so long.
    pub(super) fn outbound_plan(
        &mut self,
        workload: WorkloadId,
        service: ServiceId,
        timeout: Option<Duration>,
    ) -> u32 {
        let protocol = Protocol::Http1 {
            idle_timeout: facts::HTTP_IDLE_TIMEOUT.value,
        };
        self.plan_of_sidecar(workload, (Target::Backend(service), 0), (timeout, protocol))
    }

    /// What they do with requests to the address of a service that they know nothing of.
    fn plan_past(&mut self, workload: WorkloadId, service: ServiceId, port: u32) -> u32 {
        let cluster = self.cluster.expect("sidecars stand in clusters");
        let target = Target::Service(cluster, service);
        self.plan_of_sidecar(workload, (target, port), (None, Protocol::Http1Close))
    }

    fn plan_of_sidecar(
        &mut self,
        workload: WorkloadId,
        (target, port): (Target, u32),
        (timeout, protocol): (Option<Duration>, Protocol),
    ) -> u32 {
        let key = (workload, target, port, timeout);
        if let Some(plan) = self.outbound_plans.get(&key) {
            return *plan;
        }
        let cluster = self.cluster.expect("sidecars stand in clusters");
        let plan = self.plans.len() as u32;
        self.plans.push(Plan {
            caller: Caller::Workload(cluster, workload),
            from_pod: true,
            // What is asked, and for whom, comes with each request.
            traffic: None,
            attributes: None,
            target,
            port,
            probability: 1.0,
            repeat: 1,
            request_bytes: 0,
            protocol,
            timeout,
            retry: Retry::NEVER,
            on_failure: OnFailure::Fail,
        });
        self.outbound_plans.insert(key, plan);
        plan
    }

    /// The call that was made for a passage has ended.
    pub(super) fn passed_on(
        &mut self,
        key: Key,
        call: &Call,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        let outcome = outcome.map_err(translated);
        self.passage_answered(key, outcome, call.answer_bytes, context);
    }

    /// There is an answer to a request that went through a sidecar.
    pub(crate) fn passage_answered(
        &mut self,
        key: Key,
        outcome: Outcome,
        bytes: u64,
        context: &mut Clock<'_, Self>,
    ) {
        let passage = self.passages.get_mut(key).filter(|it| !it.is_answered);
        let Some(passage) = passage else {
            return; // The sidecar died meanwhile, or its time was up.
        };
        passage.is_answered = true;
        passage.outcome = outcome;
        passage.answer_bytes = bytes;
        let (pod, thread) = (passage.pod, passage.listener.thread());
        self.give(pod, thread, Job::Response(key), context);
    }

    /// A request that a proxy has not answered yet.
    pub(super) fn open_passage(&self, key: Key) -> Option<&Passage> {
        self.passages
            .get(key)
            .filter(|passage| !passage.is_answered)
    }

    /// An answer leaves the sidecar for whom it waits.
    pub(super) fn pass_back(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.passages.remove(key) else {
            return; // Whoever waited for it has left.
        };
        let Some(to) = passage.reply else {
            if let Some(waiting) = passage.about {
                self.told_about(waiting, passage.outcome, context);
            }
            return;
        };
        self.unlink_passage(to);
        self.log_passage(&passage, passage.status(), context.now());
        let pod = &self.pods[passage.pod as usize];
        let finished = Observation::Finished {
            station: StationId::Sidecar(pod.workload),
            arrived: passage.arrived,
            lost: false,
        };
        self.meters.observe(context.now(), finished);
        let (outcome, bytes) = (passage.outcome, passage.answer_bytes);
        match passage.listener {
            Listener::Outbound(_) => self.responded(to, outcome, bytes, false, context),
            _ => {
                let latency = outcome.ok().map(|()| context.now().since(passage.arrived));
                self.note_answer(passage.pod, (to, latency), context.now());
                let endpoint = self.entered_at(&passage);
                self.respond(to, endpoint, passage.identity, outcome, bytes, context);
            }
        }
    }
}

/// The part that belongs to its route.
const ROUTE: u64 = 4;
/// The first of the parts that belong to its copies.
const MIRROR: u64 = 5;
/// The first of the parts that belong to further tries at its application.
const AGAIN: u64 = 1 << 33;
