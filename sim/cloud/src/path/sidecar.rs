//! Sidecars: proxies that stand in the pod of an application and carry its traffic.
//!
//! Models: every connection that an application opens or is sent ends at the sidecar of its pod
//! and stays with one of its worker threads; a thread does one piece of work at a time, first
//! come, first served: a request, later its answer. What becomes of them is told in
//! [`super::passage`].
//!
//! Approximated: the way between a sidecar and its application takes no time of its own: what
//! was measured of sidecars holds it.
//! Sources: istio/istio tools/istio-iptables; Envoy's threading model; [`crate::facts`].
//! Validated by: latencies computed by hand, and closed forms of queues, in the crate's tests.

use super::call::Stage;
use super::chains::FormerChains;
use super::checkpoint::LocalBucket;
use super::link::{Address, Goal};
use super::tunnel::Letter;
use super::upstream::application::Application;
use super::upstream::{Slot, Upstream};
use super::{Call, CallRef, Endpoint, Identity, Listener, Owner};
use crate::control::certificates::Credentials;
use crate::control::subscriptions::Subscription;
use crate::control::taken_in::TableNumber;
use crate::domain::{Clock, Domain, Event};
use crate::envoy::rate_limit::RateLimit;
use crate::istio::drain;
use crate::istio::translate::cluster::Cluster;
use crate::istio::translate::inbound::InboundTable;
use crate::istio::translate::patches::Patches;
use crate::istio::translate::tables;
use crate::meter::{Observation, StationId};
use crate::scenario::{Role, ServiceId};
use crate::slab::Key;
use crate::view::View;
use engine::{Stream, Time};
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
    /// What EnvoyFilters change of that.
    pub(super) patches: Patches,
    /// What it takes in by that, once it was asked.
    pub(super) taken_in: Option<(TableNumber, Arc<InboundTable>)>,
    /// What it took in before.
    pub(super) former_chains: FormerChains,
    /// Its stream to istiod.
    pub(crate) subscription: Subscription,
    /// Whether it has been told anything since it started: before, it does nothing.
    pub(crate) is_configured: bool,
    /// Whether its kubelet has found it ready.
    pub(crate) is_ready: bool,
    /// When its container started.
    pub(crate) started: Time,
    /// When Envoy runs in it; never unless it is on its way.
    pub(crate) boots_at: Time,
    /// Whether it asks those who are connected with it to go.
    pub(crate) drains: bool,
    /// From when on it takes no new connections, as it has drained.
    pub(crate) drained: Time,
    /// Once it was told to stop: what its agent does, and when its kubelet kills it.
    pub(crate) exit: Option<(drain::Exit, Time)>,
    /// What it can show of itself.
    pub(crate) credentials: Credentials,
    /// From when on it has had the present generation.
    pub(crate) configured: Time,
    /// Clusters that it has sent requests to, past ones among them.
    pub(super) upstreams: Vec<Upstream>,
    /// Limited connections to its application, past ones among them.
    pub(super) applications: Vec<Application>,
    /// Tokens of its limits.
    pub(super) buckets: Vec<(LocalBucket, RateLimit)>,
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
            patches: Patches::default(),
            taken_in: None,
            former_chains: FormerChains::default(),
            subscription: Subscription::ABSENT,
            is_configured: false,
            is_ready: false,
            started: Time::ZERO,
            boots_at: Time::MAX,
            drains: false,
            drained: Time::MAX,
            exit: None,
            credentials: Credentials::NONE,
            configured: Time::ZERO,
            upstreams: Vec::new(),
            applications: Vec::new(),
            buckets: Vec::new(),
            by_cluster: BTreeMap::new(),
        }
    }

    /// Whether it takes connections: it runs, and has been told what to do with them and who it is.
    pub(crate) fn listens(&self) -> bool {
        self.runs && self.is_configured && self.credentials.has_any()
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

    /// What it was told of a cluster, and with which generation.
    pub(super) fn upstream_told(&self, number: u32) -> Option<(u32, &Cluster)> {
        self.upstreams.get(number as usize)?.told()
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
        self.applications.clear();
        self.buckets.clear();
        self.by_cluster.clear();
        self.subscription.end();
        (self.is_configured, self.is_ready) = (false, false);
        self.credentials = Credentials::NONE;
        (self.drains, self.drained, self.exit) = (false, Time::MAX, None);
        self.runs = false;
        self.starts = self.starts.wrapping_add(1);
        busy_milli
    }
}

impl Domain<'_> {
    /// The sidecar of a pod starts, unless there is none or it runs; gives the number of this
    /// start. It knows nothing yet.
    pub(crate) fn sidecar_starts(&mut self, pod: u32, now: Time) -> Option<u16> {
        if !self.pods[pod as usize].has_sidecar() {
            return None;
        }
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().filter(|sidecar| !sidecar.runs)?;
        sidecar.runs = true;
        sidecar.boots_at = Time::MAX;
        let starts = sidecar.starts;
        let change = 1_000 * sidecar.threads.len() as i64;
        let station = StationId::Sidecar(state.workload);
        self.meters
            .observe(now, Observation::Capacity(station, change));
        Some(starts)
    }

    /// The sidecar of a pod knows all that istiod does.
    pub(crate) fn sidecar_knows_all(&mut self, pod: u32, now: Time) {
        if !self.pods[pod as usize].has_sidecar() {
            return;
        }
        let (view, generation) = self.known_to_istiod();
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().expect("looked for just now");
        sidecar.view = view;
        sidecar.generation = generation;
        sidecar.configured = now;
        sidecar.is_configured = true;
        self.proxy_acts(pod, now);
    }

    /// The sidecar of a pod ends at once: the requests that pass it are lost.
    pub(crate) fn sidecar_dies(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let of_it = |call: &Call| call.client == pod && matches!(call.owner, Owner::Passage(_));
        let calls = self.calls.iter().filter(|(_, call)| of_it(call));
        let calls: Vec<Key> = calls.map(|(key, _)| key).collect();
        for call in calls {
            self.tell_of_leaving(call, context);
        }
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        if !sidecar.is_some_and(|sidecar| sidecar.runs) {
            return;
        }
        self.proxy_ends(pod, now);
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().expect("looked for just now");
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
            if let Some(reply) = passage.reply {
                self.unlink_passage(reply);
            }
            if let Some(reply) = passage.reply
                && !matches!(passage.listener, Listener::Outbound(_))
            {
                let endpoint = self.endpoint(pod, passage.service, passage.entry);
                self.tell_of_death(reply, endpoint, passage.identity, context);
            }
        }
    }

    /// Who takes a new connection that others open to a pod, which may ask for a name in TLS;
    /// nobody where a gateway has no server for it.
    pub(super) fn listener_at(
        &mut self,
        endpoint: Endpoint,
        opener: Option<(CallRef, Address)>,
    ) -> Option<Listener> {
        let pod = endpoint.pod;
        if self.is_gateway(pod) {
            let name = opener.and_then(|opener| self.name_asked(opener, endpoint.service));
            let takes = self.taken_at_edge(endpoint, name.as_deref())?;
            let thread = self.thread_for_connection(pod);
            return thread.map(|thread| Listener::Edge(thread, takes));
        }
        if self.role(pod) == Role::Waypoint {
            return self.taken_at_waypoint(endpoint);
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
    pub(super) fn thread_for_connection(&mut self, pod: u32) -> Option<u8> {
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut()?;
        let number = sidecar.connections;
        sidecar.connections += 1;
        let count = sidecar.threads.len() as u32;
        let stream = &self.workloads[state.workload.index()].sidecars.threads;
        Some(stream.draw(u64::from(pod), number).below(count) as u8)
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
            Job::Greeted {
                identity, endpoint, ..
            }
            | Job::Welcomed {
                identity, endpoint, ..
            } if endpoint.resumes => (identity.part(HANDSHAKE), &costs.resumption),
            Job::Greeted { identity, .. } => (identity.part(HANDSHAKE), &costs.handshake_server),
            Job::Welcomed { identity, .. } => (identity.part(HANDSHAKE), &costs.handshake_client),
            Job::GreetedByZtunnel(letter) => {
                (letter.identity.part(HANDSHAKE), &costs.handshake_server)
            }
        };
        let state = &self.pods[pod as usize];
        let stream = &self.workloads[state.workload.index()].sidecars.work;
        let work = cost.sample(&mut stream.draw(identity.request, identity.branch));
        let work = self.levers.slowed(state.node, work);
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
        let passages = &self.passages;
        let next = loop {
            match thread.waiting.pop_front() {
                // Whoever waited for it has left.
                Some(Job::Request(key) | Job::Response(key)) if passages.get(key).is_none() => {}
                next => break next,
            }
        };
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
            Job::Request(key) => match self.open_passage(key).map(|it| it.listener) {
                Some(Listener::Outbound(_)) => self.find_way(key, context),
                Some(_) => self.pass_checkpoint(key, context),
                None => {} // Whoever waited for it has left, or its time was up.
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
}

/// The part of a passage's draws that belongs to its answer.
const RESPONSE: u64 = 1;
/// The part that belongs to encrypting its connection.
const HANDSHAKE: u64 = 2;

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
    pub(super) routes: Stream,
    /// What balancers do when hosts are left out or let in.
    pub(super) health: Stream,
    /// When streams to istiod end and begin again.
    pub(crate) subscriptions: Stream,
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
            subscriptions: stream("streams of sidecars to istiod"),
            certificates: stream("certificates of sidecars"),
        }
    }
}
