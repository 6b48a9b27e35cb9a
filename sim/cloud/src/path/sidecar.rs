//! Sidecars: proxies that stand in the pod of an application and carry its traffic.
//!
//! Models: every connection that an application opens or is sent ends at the sidecar of its pod
//! and stays with one of its worker threads; a thread does one piece of work at a time, first
//! come, first served: a request, later its answer. Outwards the sidecar balances each request
//! over the pods of its own view, past virtual addresses, over connections of its own; inwards
//! it hands it to the application.
//!
//! Approximated: the way between a sidecar and its application takes no time of its own: what
//! was measured of sidecars holds it. Leaves out: what becomes of a request whose caller
//! has given up (it goes on).
//! Sources: istio/istio tools/istio-iptables; Envoy's threading model; [`crate::facts`].
//! Validated by: latencies computed by hand, and closed forms of queues, in the crate's tests.

use super::attributes::Asked;
use super::call::Stage;
use super::checkpoint::OPEN;
use super::link::Goal;
use super::proxy::translated;
use super::route::{Ask, ClusterNumber, Destination, Lead};
use super::service::RequestArrival;
use super::tunnel::Letter;
use super::upstream::{Line, Slot, Upstream};
use super::{
    Call, CallRef, Endpoint, Identity, Listener, Origin, Outcome, Owner, Plan, Reply, Target,
};
use crate::control::certificates::Credentials;
use crate::control::translation::Guarded;
use crate::domain::{Clock, Domain, Event, Phase};
use crate::envoy::flags::{Flag, Flags};
use crate::envoy::injection;
use crate::envoy::rate_limit::RateLimit;
use crate::envoy::retry::Retries;
use crate::facts;
use crate::istio::config::LocalLimit;
use crate::istio::translate::inbound::InboundTable;
use crate::istio::translate::tables;
use crate::meter::{Observation, StationId};
use crate::record::{Caller, Reason};
use crate::scenario::{OnFailure, Protocol, Retry, ServiceId, TrafficId, WorkloadId};
use crate::slab::Key;
use crate::view::View;
use engine::{Duration, Stream, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The sidecar of a pod.
#[derive(Clone, Debug)]
pub(crate) struct SidecarState {
    /// What istiod has told it.
    pub(crate) view: View,
    threads: Vec<Thread>,
    /// Whether it runs.
    pub(crate) runs: bool,
    /// How often it has ended: what its threads had in hand before counts no more.
    pub(crate) starts: u16,
    /// Connections that it was given.
    connections: u64,
    /// Connections that it opened.
    opened: u64,
    /// The generation of configuration that it was told.
    pub(crate) generation: u32,
    /// What that holds for it, once it was asked.
    pub(crate) told: Option<(u32, tables::View)>,
    /// What it takes in by that, once it was asked.
    pub(super) taken_in: Option<(Guarded, Arc<InboundTable>)>,
    /// What it can show of itself.
    pub(crate) credentials: Credentials,
    /// From when on it has had the present generation.
    pub(crate) configured: Time,
    /// Clusters that it has sent requests to, past ones among them.
    pub(super) upstreams: Vec<Upstream>,
    /// Tokens of its limits, by limit and port of the workload.
    pub(super) buckets: Vec<((LocalLimit, u16), RateLimit)>,
    /// The present ones by the numbers that hold in all generations.
    pub(super) by_cluster: BTreeMap<u32, u32>,
}

/// A worker thread.
#[derive(Clone, Debug, Default)]
struct Thread {
    running: Option<Job>,
    waiting: VecDeque<Job>,
}

/// A piece of work of a thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// Sends a request on.
    Request(Key),
    /// Passes an answer back.
    Response(Key),
    /// Agrees to encrypt a connection that it took.
    Greeted {
        from: CallRef,
        identity: Identity,
        endpoint: Endpoint,
    },
    /// Checks who agreed to encrypt a connection that it opened.
    Welcomed {
        to: CallRef,
        identity: Identity,
        endpoint: Endpoint,
    },
    /// Agrees to open a tunnel with a ztunnel.
    GreetedByZtunnel(Letter),
}

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
            Lead::Nowhere(_) | Lead::Past => None,
        }
    }
}

impl SidecarState {
    /// A sidecar with nothing in hand.
    pub(crate) fn new(threads: u8) -> Self {
        SidecarState {
            view: View::default(),
            threads: vec![Thread::default(); usize::from(threads)],
            runs: false,
            starts: 0,
            connections: 0,
            opened: 0,
            generation: 0,
            told: None,
            taken_in: None,
            credentials: Credentials::NONE,
            configured: Time::ZERO,
            upstreams: Vec::new(),
            buckets: Vec::new(),
            by_cluster: BTreeMap::new(),
        }
    }

    /// Counts on from what others are connected with so far.
    pub(crate) fn follow(&mut self, incarnation: u32) {
        self.starts = incarnation as u16;
    }

    /// How many threads it has.
    pub(super) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// A cluster by its number.
    pub(super) fn upstream(&mut self, number: u32) -> Option<&mut Upstream> {
        self.upstreams.get_mut(number as usize)
    }

    /// The pod that a connection is for.
    pub(super) fn pod_of(&self, slot: Slot) -> Option<u32> {
        self.upstreams.get(slot.upstream as usize)?.pod_of(slot)
    }

    /// Whether it leaves a pod of a cluster out because that failed.
    pub(crate) fn leaves_out(&self, lasting: u32, pod: u32) -> bool {
        let known = self.by_cluster.get(&lasting);
        known.is_some_and(|&known| self.upstreams[known as usize].leaves_out(pod))
    }

    /// Takes up a cluster, in place of what it knew of it.
    pub(super) fn add_upstream(&mut self, lasting: u32, upstream: Upstream) -> u32 {
        let number = self.upstreams.len() as u32;
        self.upstreams.push(upstream);
        self.by_cluster.insert(lasting, number);
        number
    }

    /// The number of a connection that it opens.
    pub(super) fn count_opened(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    /// It ends, and everything inside is lost. Gives back what was busy, in thousandths of a
    /// thread.
    fn end(&mut self) -> i64 {
        let busy = self
            .threads
            .iter()
            .filter(|thread| thread.running.is_some());
        let busy_milli = 1_000 * busy.count() as i64;
        self.threads.fill(Thread::default());
        self.upstreams.clear();
        self.buckets.clear();
        self.by_cluster.clear();
        self.runs = false;
        self.starts = self.starts.wrapping_add(1);
        busy_milli
    }
}

impl Domain<'_> {
    /// The sidecar of a pod starts, unless there is none or it runs; gives the number of this start.
    pub(crate) fn sidecar_starts(&mut self, pod: u32, now: Time) -> Option<u16> {
        if !self.pods[pod as usize].has_sidecar() {
            return None;
        }
        let (view, generation) = self.known_to_istiod();
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().filter(|sidecar| !sidecar.runs)?;
        sidecar.runs = true;
        sidecar.view = view;
        sidecar.generation = generation;
        sidecar.configured = now;
        let starts = sidecar.starts;
        let change = 1_000 * sidecar.threads.len() as i64;
        let station = StationId::Sidecar(state.workload);
        self.meters
            .observe(now, Observation::Capacity(station, change));
        Some(starts)
    }

    /// The sidecar of a pod ends at once: the requests that pass it are lost.
    pub(crate) fn sidecar_dies(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.pods[pod as usize];
        let Some(sidecar) = state.sidecar.as_mut().filter(|sidecar| sidecar.runs) else {
            return;
        };
        let capacity = 1_000 * sidecar.threads.len() as i64;
        let busy = sidecar.end();
        let station = StationId::Sidecar(state.workload);
        self.meters.observe(now, Observation::Busy(station, -busy));
        self.meters
            .observe(now, Observation::Capacity(station, -capacity));
        let lost = self.passages.take_out(|passage| passage.pod == pod);
        let from_others = lost.iter().filter(|passage| !passage.is_copy());
        self.note_lost(station, from_others.map(|passage| passage.arrived), now);
        self.calls
            .take_out(|call| call.client == pod && call.owner.is_sidecar());
        for passage in &lost {
            if let Some(reply) = passage.reply
                && !matches!(passage.listener, Listener::Outbound(_))
            {
                let endpoint = self.endpoint(pod, passage.service, passage.entry);
                self.tell_of_death(reply, endpoint, passage.identity, context);
            }
        }
    }

    /// Who takes a new connection that others open to a pod; nobody where a gateway has no server
    /// for it.
    pub(super) fn listener_at(&mut self, endpoint: Endpoint) -> Option<Listener> {
        let pod = endpoint.pod;
        if self.is_gateway(pod) {
            let takes = self.taken_at_edge(endpoint)?;
            let thread = self.thread_for_connection(pod);
            return thread.map(|thread| Listener::Edge(thread, takes));
        }
        let thread = match self.captures_inbound(endpoint) {
            true => self.thread_for_connection(pod),
            false => None,
        };
        Some(thread.map_or(Listener::Application, Listener::Inbound))
    }

    /// Who takes a new connection that the application of a pod opens, if it is its sidecar.
    pub(crate) fn outbound(&mut self, pod: u32) -> Option<Listener> {
        self.thread_for_connection(pod).map(Listener::Outbound)
    }

    /// The kernel spreads connections over the threads that listen by a hash.
    fn thread_for_connection(&mut self, pod: u32) -> Option<u8> {
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut()?;
        let number = sidecar.connections;
        sidecar.connections += 1;
        let count = sidecar.threads.len() as u32;
        let stream = &self.workloads[state.workload.index()].sidecars.threads;
        Some(stream.draw(u64::from(pod), number).below(count) as u8)
    }

    /// A request reaches the sidecar of a pod that is alive.
    pub(super) fn enter_sidecar(&mut self, request: RequestArrival, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let endpoint = request.endpoint;
        let workload = self.pods[endpoint.pod as usize].workload;
        let station = StationId::Sidecar(workload);
        self.meters.observe(now, Observation::Arrived(station));
        let (plan, checkpoint) = match endpoint.listener {
            Listener::Outbound(_) => (self.calls[request.from.call].plan, OPEN),
            _ => (u32::MAX, self.checkpoint(&request)),
        };
        let origin = match endpoint.listener {
            Listener::Edge(..) => {
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
            answer_bytes: 0,
            flags: Flags::default(),
        });
        let thread = endpoint.listener.thread();
        self.give(endpoint.pod, thread, Job::Request(key), context);
    }

    /// Gives a thread something to do.
    pub(super) fn give(&mut self, pod: u32, thread: u8, job: Job, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().expect("work for a sidecar");
        let found = &mut sidecar.threads[usize::from(thread)];
        if found.running.is_some() {
            return found.waiting.push_back(job);
        }
        found.running = Some(job);
        state.counters.busy(1_000, context.now());
        let station = StationId::Sidecar(state.workload);
        self.meters
            .observe(context.now(), Observation::Busy(station, 1_000));
        self.turn_to(pod, thread, job, context);
    }

    /// A thread begins a piece of work.
    fn turn_to(&mut self, pod: u32, thread: u8, job: Job, context: &mut Clock<'_, Self>) {
        let described = self.template(pod).sidecar.as_ref();
        let costs = &described.expect("a sidecar in its pod").costs;
        let (identity, cost) = match job {
            Job::Request(key) => (self.passages[key].identity, &costs.request),
            Job::Response(key) => {
                let identity = self.passages[key].identity;
                (identity.part(RESPONSE), &costs.response)
            }
            Job::Greeted { identity, .. } => (identity.part(HANDSHAKE), &costs.handshake_server),
            Job::Welcomed { identity, .. } => (identity.part(HANDSHAKE), &costs.handshake_client),
            Job::GreetedByZtunnel(letter) => {
                (letter.identity.part(HANDSHAKE), &costs.handshake_server)
            }
        };
        let state = &self.pods[pod as usize];
        let stream = &self.workloads[state.workload.index()].sidecars.work;
        let mut work = cost.sample(&mut stream.draw(identity.request, identity.branch));
        let cpu_factor = self.levers.cpu_factor(state.node);
        if cpu_factor != 1.0 {
            work = work.mul_f64(cpu_factor);
        }
        if let Job::Request(key) = job {
            let started = Observation::Started {
                station: StationId::Sidecar(state.workload),
                arrived: self.passages[key].arrived,
            };
            self.meters.observe(context.now(), started);
        }
        let starts = state.sidecar.as_ref().map_or(0, |sidecar| sidecar.starts);
        let event = Event::ThreadDone {
            pod,
            thread,
            starts,
        };
        context.after(work, event);
    }

    /// A thread has done a piece of work: it turns to the next, and what it did takes effect.
    pub(crate) fn thread_done(
        &mut self,
        pod: u32,
        number: u8,
        starts: u16,
        context: &mut Clock<'_, Self>,
    ) {
        let state = &mut self.pods[pod as usize];
        let workload = state.workload;
        let sidecar = state.sidecar.as_mut().expect("a thread of a sidecar");
        if sidecar.starts != starts {
            return; // Its pod died meanwhile.
        }
        let thread = &mut sidecar.threads[usize::from(number)];
        let next = thread.waiting.pop_front();
        let done = std::mem::replace(&mut thread.running, next);
        match next {
            Some(next) => self.turn_to(pod, number, next, context),
            None => {
                state.counters.busy(-1_000, context.now());
                let idle = Observation::Busy(StationId::Sidecar(workload), -1_000);
                self.meters.observe(context.now(), idle);
            }
        }
        match done.expect("a thread at work") {
            Job::Request(key) => match self.passages[key].listener {
                Listener::Outbound(_) => self.find_way(key, context),
                _ => self.pass_checkpoint(key, context),
            },
            Job::Response(key) => self.pass_back(key, context),
            Job::Greeted {
                from,
                identity,
                endpoint,
            } => self.agree(from, identity, endpoint, context),
            Job::Welcomed { to, endpoint, .. } => self.secured(to, endpoint, context),
            Job::GreetedByZtunnel(letter) => self.welcome(letter, context),
        }
    }

    /// Past all that it had to pass: to the application of the pod, or on its way at a gateway.
    pub(super) fn leave_checkpoint(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        match self.passages[key].listener {
            Listener::Edge(..) => self.find_way(key, context),
            _ => self.hand_in(key, context),
        }
    }

    /// To the application of the pod.
    fn hand_in(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        if self.pods[passage.pod as usize].phase != Phase::Running {
            // Nobody listens behind it.
            let refused = Err(Reason::Unavailable);
            return self.passage_answered(key, refused, 0, context);
        }
        let request = RequestArrival {
            from: passage.reply.expect("copies go out, not in"),
            identity: passage.identity,
            endpoint: self.endpoint(passage.pod, passage.service, passage.entry),
            traffic: passage.traffic,
            origin: passage.origin,
            bytes: passage.request_bytes,
        };
        if let Err(reason) = self.arrive(request, Reply::Passage(key), context) {
            self.passage_answered(key, Err(reason), 0, context);
        }
    }

    /// A request of the application beside, or one that comes to a gateway, finds its way, and what is done to it on purpose.
    fn find_way(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = &self.passages[key];
        let (pod, service, origin) = (passage.pod, passage.service, passage.origin);
        let identity = passage.identity.part(ROUTE);
        let number = match passage.listener {
            Listener::Edge(..) => {
                let endpoint = Endpoint {
                    port: passage.port,
                    ..self.endpoint(pod, service, passage.entry)
                };
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
        match injection.delay {
            Some(delay) => {
                passage.flags.set(Flag::DelayInjected);
                context.after(delay, Event::Delayed(key));
            }
            None => self.send_on(key, context),
        }
    }

    /// Along its way, unless that ends here.
    pub(crate) fn send_on(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.passages.get(key) else {
            return; // The sidecar died while it waited on purpose.
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
            (Destination::Past, _) => Lead::Past,
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
            Lead::Past => self.plan_past(workload, asked, port),
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

    /// The connection of an application to its sidecar is there at once.
    pub(super) fn connect_to_sidecar(
        &mut self,
        key: Key,
        service: ServiceId,
        listener: Listener,
        context: &mut Clock<'_, Self>,
    ) {
        let call = &self.calls[key];
        let endpoint = Endpoint {
            listener,
            port: self.plans[call.plan as usize].port,
            ..self.endpoint(call.client, service, None)
        };
        self.calls[key].stage = Stage::Dialling(Some(Goal::Endpoint(endpoint)));
        self.connected(self.reference(key), endpoint, context);
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
        let Some(passage) = self.passages.get_mut(key) else {
            return; // The sidecar died meanwhile.
        };
        passage.outcome = outcome;
        passage.answer_bytes = bytes;
        let (pod, thread) = (passage.pod, passage.listener.thread());
        self.give(pod, thread, Job::Response(key), context);
    }

    /// An answer leaves the sidecar for whom it waits.
    fn pass_back(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let passage = self.passages.remove(key).expect("a passage ends once");
        let Some(to) = passage.reply else {
            if let Some(waiting) = passage.about {
                self.told_about(waiting, passage.outcome, context);
            }
            return;
        };
        self.log_passage(&passage, context.now());
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
                let endpoint = self.endpoint(passage.pod, passage.service, passage.entry);
                self.respond(to, endpoint, passage.identity, outcome, bytes, context);
            }
        }
    }
}

/// The part of a passage's draws that belongs to its answer.
const RESPONSE: u64 = 1;
/// The part that belongs to encrypting its connection.
const HANDSHAKE: u64 = 2;
/// The part that belongs to its route.
const ROUTE: u64 = 4;
/// The first of the parts that belong to its copies.
const MIRROR: u64 = 5;

/// What a workload's sidecars draw.
#[derive(Clone, Debug)]
pub(crate) struct SidecarStreams {
    /// Which thread takes a connection.
    threads: Stream,
    /// What a piece of work takes, and pauses before retries.
    pub(super) work: Stream,
    /// Where balancers begin.
    pub(super) balancers: Stream,
    /// Which of several clusters a request goes to, and what is done to it on purpose.
    routes: Stream,
    /// What balancers do when hosts are left out or let in.
    pub(super) health: Stream,
    /// When certificates are renewed.
    pub(crate) certificates: Stream,
}

impl SidecarStreams {
    /// Streams of their own, from `stream`.
    pub(crate) fn new(stream: impl Fn(&str) -> Stream) -> Self {
        SidecarStreams {
            threads: stream("threads of sidecars"),
            work: stream("work of sidecars"),
            balancers: stream("balancers of sidecars"),
            routes: stream("routes of sidecars"),
            health: stream("health that sidecars see"),
            certificates: stream("certificates of sidecars"),
        }
    }
}
