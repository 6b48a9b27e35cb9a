//! ztunnel: the proxy of a node that carries the connections of the pods there that are part of
//! the ambient mesh.
//!
//! Models: every TCP connection that such a pod opens or is sent passes the ztunnel of its node,
//! which picks the pod behind a service's address once for each connection, past the rules of
//! the node, at random among those of the best rank that it was told of; whatever comes on the
//! connection stays with that pod. Where the service is reached through a waypoint it is a pod of
//! that (`waypoint.rs`). Worker threads take any piece of work, first come, first
//! served: a connection, a request, an answer, a handshake. Between ztunnels connections share
//! tunnels (`tunnel.rs`); whom it lets in is in `ztunnel_admission.rs`.
//!
//! Approximated: an application that connects waits for its ztunnel, which in truth accepts at
//! once and lets the first request wait; a connection that cannot be carried breaks for the
//! application. Connections from and to other clusters cost work per request, not to be opened.
//! Leaves out: ztunnel's own DNS, memory and place on the node. What becomes of connections when
//! it ends is in `ztunnel_outage.rs`, what it knows and shows in [`crate::control::ztunnels`] and
//! [`crate::control::ztunnel_certificates`].
//! Sources: istio/ztunnel src/state.rs, src/proxy; istio/istio architecture/ambient/ztunnel.md;
//! [`crate::facts`].
//! Validated by: latencies worked out by hand, and shares of pods, in the crate's tests.

use super::call::Stage;
use super::link::{Goal, Packet};
use super::service::{Fate, RequestArrival};
use super::tunnel::{Letter, Tunnels};
use super::{CallRef, Endpoint, Identity, Outcome, Target};
use crate::control::subscriptions::Subscription;
use crate::control::ztunnel_certificates::Certificates;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::istio::locality;
use crate::meter::{Carried, Observation};
use crate::record::Reason;
use crate::scenario::{Protocol, ServiceId, TrafficPolicy, Ztunnel};
use crate::slab::Key;
use crate::view::{EndpointLog, View};
use engine::{Distribution, Duration, Stream, Time};
use std::collections::{BTreeSet, VecDeque};

/// The ztunnel of a node.
#[derive(Clone, Debug)]
pub(crate) struct ZtunnelState {
    /// Whether there is one.
    pub(crate) runs: bool,
    /// Its stream to istiod.
    pub(crate) subscription: Subscription,
    /// Whether istiod has told it anything.
    pub(crate) is_configured: bool,
    /// What istiod has told it of endpoints.
    pub(crate) view: View,
    /// The generation of policies that it was told.
    pub(crate) generation: u32,
    /// Pods of its node that it has not been told of, as far as they have started since it has.
    pub(crate) unheard: BTreeSet<u32>,
    /// Whose connections wait until it is told of them.
    waiting_for_word: Vec<CallRef>,
    running: Vec<Option<Job>>,
    /// What waits for a thread, and since when.
    waiting: VecDeque<(Job, Time)>,
    /// How often it has ended: what its threads had in hand before counts no more.
    starts: u16,
    pub(super) tunnels: Tunnels,
    pub(crate) certificates: Certificates,
}

impl ZtunnelState {
    /// One that has not started.
    pub(crate) fn new(described: &Ztunnel) -> Self {
        ZtunnelState {
            runs: false,
            subscription: Subscription::ABSENT,
            is_configured: false,
            view: View::default(),
            generation: 0,
            unheard: BTreeSet::new(),
            waiting_for_word: Vec::new(),
            running: vec![None; usize::from(described.threads)],
            waiting: VecDeque::new(),
            starts: 0,
            tunnels: Tunnels::default(),
            certificates: Certificates::default(),
        }
    }

    /// It ends, and everything inside is lost.
    fn end(&mut self) {
        self.runs = false;
        self.subscription.end();
        self.is_configured = false;
        self.view = View::default();
        self.generation = 0;
        self.unheard.clear();
        self.waiting_for_word.clear();
        self.running.fill(None);
        self.waiting.clear();
        self.tunnels.clear();
        self.certificates.clear();
        self.starts = self.starts.wrapping_add(1);
    }

    /// Whether it listens on behalf of its pods.
    pub(crate) fn takes_connections(&self) -> bool {
        self.runs && self.is_configured
    }

    /// Whether it has ever been told of a pod of a service.
    pub(super) fn has_known(&self, log: &EndpointLog, service: ServiceId) -> bool {
        let newest = self.view.version(log, service);
        let mut versions = (0..=newest).rev();
        versions.any(|version| !log.version(service, version).pods.is_empty())
    }

    /// What it was told of policies and of endpoints.
    pub(crate) fn knows(&self) -> (u32, View) {
        (self.generation, self.view)
    }
}

/// What the ztunnels of a cluster draw.
#[derive(Clone, Debug)]
pub(crate) struct ZtunnelStreams {
    work: Stream,
    picks: Stream,
    pub(crate) subscriptions: Stream,
}

impl ZtunnelStreams {
    /// Streams of their own, from `stream`.
    pub(crate) fn new(stream: impl Fn(&str) -> Stream) -> Self {
        ZtunnelStreams {
            work: stream("work of ztunnels"),
            picks: stream("picks of ztunnels"),
            subscriptions: stream("subscriptions of ztunnels"),
        }
    }
}

/// A piece of work of a thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// Finds the way of a connection that an application opens, to this pod if that is known.
    Outbound {
        to: CallRef,
        identity: Identity,
        chosen: Option<Endpoint>,
    },
    /// Takes a connection that comes outside of tunnels.
    Accepted(Identity),
    /// Takes one that comes through a tunnel.
    Inbound(Letter),
    /// Agrees to open a tunnel.
    Greeted(Letter),
    /// Checks who has agreed.
    Welcomed(Letter),
    /// Agrees to encrypt a connection that a sidecar opens.
    GreetedBySidecar {
        from: CallRef,
        identity: Identity,
        endpoint: Endpoint,
    },
    /// Sends a request of a pod here on.
    Send {
        request: RequestArrival,
        client: u32,
    },
    /// Hands a request to a pod here.
    Receive(RequestArrival),
    /// Sends the answer of a pod here on.
    Answer {
        to: CallRef,
        endpoint: Endpoint,
        identity: Identity,
        outcome: Outcome,
        bytes: u64,
    },
    /// Hands an answer to a pod here.
    Deliver {
        to: CallRef,
        identity: Identity,
        outcome: Outcome,
        bytes: u64,
        closing: bool,
    },
}

/// What tells the draws of the two ends of one attempt apart.
mod part {
    pub(super) const OUTBOUND: u64 = 0x5A_0001;
    pub(super) const ACCEPTED: u64 = 0x5A_0002;
    pub(super) const INBOUND: u64 = 0x5A_0003;
    pub(super) const SEND: u64 = 0x5A_0004;
    pub(super) const RECEIVE: u64 = 0x5A_0005;
    pub(super) const ANSWER: u64 = 0x5A_0006;
    pub(super) const DELIVER: u64 = 0x5A_0007;
    pub(super) const HANDSHAKE: u64 = 0x5A_0008;
}

impl Job {
    /// What there is one more of for a ztunnel that does it.
    fn carries(self) -> Option<Carried> {
        match self {
            Job::Outbound { .. } => Some(Carried::Opened),
            Job::Accepted(_) | Job::Inbound(_) => Some(Carried::Taken),
            _ => None,
        }
    }

    /// The law of what it takes, the bytes that it moves, and the address of its draw.
    fn cost(self, of: &Ztunnel) -> (&Distribution, u64, Identity) {
        let costs = &of.costs;
        match self {
            Job::Outbound { identity, .. } => (&costs.connection, 0, identity.part(part::OUTBOUND)),
            Job::Accepted(identity) => (&costs.connection, 0, identity.part(part::ACCEPTED)),
            Job::Inbound(letter) => (&costs.connection, 0, letter.identity.part(part::INBOUND)),
            Job::Greeted(letter) | Job::Welcomed(letter) => {
                (&costs.handshake, 0, letter.identity.part(part::HANDSHAKE))
            }
            Job::GreetedBySidecar { identity, .. } => {
                (&costs.handshake, 0, identity.part(part::HANDSHAKE))
            }
            Job::Send { request, .. } => {
                let identity = request.identity.part(part::SEND);
                (&costs.request, request.bytes, identity)
            }
            Job::Receive(request) => {
                let identity = request.identity.part(part::RECEIVE);
                (&costs.request, request.bytes, identity)
            }
            Job::Answer {
                identity, bytes, ..
            } => (&costs.response, bytes, identity.part(part::ANSWER)),
            Job::Deliver {
                identity, bytes, ..
            } => (&costs.response, bytes, identity.part(part::DELIVER)),
        }
    }
}

/// Numbers of ztunnels among those whom istiod tells, beside those of pods.
const ZTUNNELS: u32 = 1 << 31;

/// The number by which istiod knows the ztunnel of a node.
pub(crate) fn number_of(node: u32) -> u32 {
    ZTUNNELS | node
}

/// The node whose ztunnel has a number, unless it is a pod's.
pub(crate) fn node_of(number: u32) -> Option<u32> {
    (number & ZTUNNELS != 0).then_some(number & !ZTUNNELS)
}

impl Domain<'_> {
    /// What the ztunnels of this cluster are like.
    fn described_ztunnel(&self) -> Option<&Ztunnel> {
        self.topology.cluster(self.cluster?).ztunnel.as_ref()
    }

    /// The node whose ztunnel carries the connections of a pod, if one does.
    pub(crate) fn carrier(&self, pod: u32) -> Option<u32> {
        self.ztunnels.as_ref()?;
        let node = self.pods[pod as usize].node?;
        self.template(pod).is_ambient.then_some(node)
    }

    /// The node whose ztunnel carries what a call asks.
    pub(super) fn carrier_of(&self, key: Key) -> Option<u32> {
        let call = &self.calls[key];
        let plan = &self.plans[call.plan as usize];
        let is_carried = plan.from_pod && !matches!(plan.protocol, Protocol::Udp(_));
        is_carried.then(|| self.carrier(call.client)).flatten()
    }

    /// The ztunnel of a node runs from now on.
    pub(crate) fn ztunnel_runs(&mut self, node: u32, now: Time) {
        let state = self.ztunnel(node);
        state.runs = true;
        let change = state.running.len() as i64;
        let threads = Observation::ZtunnelThreads { node, change };
        self.meters.observe(now, threads);
    }

    /// The ztunnel of a node ends, if there is one.
    pub(crate) fn ztunnel_runs_no_more(&mut self, node: u32, now: Time) {
        let state = self.ztunnel(node);
        if !state.runs {
            return;
        }
        let busy = state.running.iter().flatten().count() as i64;
        let threads = state.running.len() as i64;
        self.proxy_ends(number_of(node), now);
        self.ztunnel(node).end();
        for ended in [
            Observation::ZtunnelBusy {
                node,
                change: -busy,
            },
            Observation::ZtunnelThreads {
                node,
                change: -threads,
            },
        ] {
            self.meters.observe(now, ended);
        }
    }

    pub(crate) fn ztunnel(&mut self, node: u32) -> &mut ZtunnelState {
        let state = self.nodes[node as usize].ztunnel.as_mut();
        state.expect("a ztunnel on each node of its cluster")
    }

    /// Gives the ztunnel of a node something to do.
    pub(super) fn hand(&mut self, node: u32, job: Job, context: &mut Clock<'_, Self>) {
        if self.ztunnel_is_down(node) {
            return self.refuse_job(job, context);
        }
        let now = context.now();
        if let Some(what) = job.carries() {
            let carries = Observation::ZtunnelCarries { node, what };
            self.meters.observe(now, carries);
        }
        let state = self.ztunnel(node);
        match state.running.iter().position(Option::is_none) {
            Some(thread) => self.take_up(node, thread, (job, now), context),
            None => state.waiting.push_back((job, now)),
        }
    }

    fn take_up(
        &mut self,
        node: u32,
        thread: usize,
        (job, asked): (Job, Time),
        context: &mut Clock<'_, Self>,
    ) {
        let began = Observation::ZtunnelBegan { node, asked };
        self.meters.observe(context.now(), began);
        let described = self.described_ztunnel().expect("it is at work");
        let (law, bytes, identity) = job.cost(described);
        let streams = self.ztunnels.as_ref().expect("it is at work");
        let mut draw = streams.work.draw(identity.request, identity.branch);
        let moved = 8.0 * bytes as f64 / described.costs.bits_per_second as f64;
        let moved = Duration::from_secs_f64(moved);
        let work = law.sample(&mut draw) + moved;
        let work = self.levers.slowed(Some(node), work);
        let state = self.ztunnel(node);
        state.running[thread] = Some(job);
        let (thread, starts) = (thread as u8, state.starts);
        let event = Event::ZtunnelDone {
            node,
            thread,
            starts,
        };
        context.after(work, event);
    }

    /// A thread has done a piece of work: it turns to the next, and what it did takes effect.
    pub(crate) fn ztunnel_done(
        &mut self,
        node: u32,
        (thread, starts): (u8, u16),
        context: &mut Clock<'_, Self>,
    ) {
        let state = self.ztunnel(node);
        if state.starts != starts {
            return; // It has ended meanwhile.
        }
        let done = state.running[usize::from(thread)].take();
        let next = state.waiting.pop_front();
        let idle = Observation::ZtunnelBusy { node, change: -1 };
        self.meters.observe(context.now(), idle);
        if let Some(next) = next {
            self.take_up(node, usize::from(thread), next, context);
        }
        match done.expect("a thread at work") {
            Job::Outbound { to, chosen, .. } => self.find_pod(node, to, chosen, context),
            Job::Accepted(_) => {}
            Job::Inbound(letter) => self.connect_through(letter, context),
            Job::Greeted(letter) => self.welcome(letter, context),
            Job::Welcomed(letter) => self.tunnel_opened(letter, context),
            Job::GreetedBySidecar {
                from,
                identity,
                endpoint,
            } => self.agree(from, identity, endpoint, context),
            Job::Send { request, client } => {
                let (endpoint, identity) = (request.endpoint, request.identity);
                self.send_to(
                    endpoint,
                    client,
                    Packet::Request(request),
                    identity,
                    context,
                );
            }
            Job::Receive(request) => self.hand_to_pod(request, context),
            Job::Answer {
                to,
                endpoint,
                identity,
                outcome,
                bytes,
            } => self.send_answer(to, endpoint, identity, outcome, bytes, context),
            Job::Deliver {
                to,
                outcome,
                bytes,
                closing,
                ..
            } => self.responded(to, outcome, bytes, closing, context),
        }
    }

    /// An application opens a connection that the ztunnel of its node carries, to a service or to
    /// this pod.
    pub(super) fn carry_connection(
        &mut self,
        key: Key,
        node: u32,
        chosen: Option<Endpoint>,
        context: &mut Clock<'_, Self>,
    ) {
        let to = self.reference(key);
        let call = &mut self.calls[key];
        call.stage = Stage::Dialling(chosen.map(Goal::Endpoint));
        let identity = call.work();
        let job = Job::Outbound {
            to,
            identity,
            chosen,
        };
        self.hand(node, job, context);
    }

    /// On to a pod: through a tunnel, if somebody at the other side takes one.
    fn find_pod(
        &mut self,
        node: u32,
        to: CallRef,
        chosen: Option<Endpoint>,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) {
            return; // Its application has given up.
        }
        let client = self.calls[to.call].client;
        let state = self.ztunnel(node);
        if state.unheard.contains(&client) {
            state.waiting_for_word.push(to);
            let patience = facts::ZTUNNEL_WORKLOAD_PATIENCE.value;
            return context.after(patience, Event::PodUnheardOf(to));
        }
        let plan = &self.plans[self.calls[to.call].plan as usize];
        let asked = match plan.target {
            Target::Service(_, service) if chosen.is_none() => Some(service),
            _ => None,
        };
        let waypoint = asked.and_then(|service| self.waypoint_for(node, service));
        let picked = waypoint.or(asked);
        let picked = picked.and_then(|service| self.pick(node, to.call, service));
        let picked = picked.zip(asked).map(|(pod, service)| Endpoint {
            port: plan.port,
            ..self.endpoint(pod, service, None)
        });
        let Some(endpoint) = chosen.or(picked) else {
            return self.connection_failed(to.call, Reason::Reset, context);
        };
        self.calls[to.call].stage = Stage::Dialling(Some(Goal::Endpoint(endpoint)));
        let is_alone = self.role(endpoint.pod).is_alone();
        let has_sidecar = self.captures_inbound(endpoint) && !is_alone;
        let takes_tunnels = has_sidecar || self.carrier(endpoint.pod).is_some();
        match takes_tunnels || waypoint.is_some() {
            true => self.enter_tunnel(node, to, endpoint, context),
            false => self.dial_plainly(to.call, context),
        }
    }

    /// The ztunnel of a node has been told of all its pods: their connections need not wait.
    pub(crate) fn pods_heard_of(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for to in std::mem::take(&mut self.ztunnel(node).waiting_for_word) {
            let stage = self.calls.get(to.call).map(|call| call.stage);
            let chosen = match stage {
                Some(Stage::Dialling(Some(Goal::Endpoint(endpoint)))) => Some(endpoint),
                _ => None,
            };
            self.find_pod(node, to, chosen, context);
        }
    }

    /// A connection has waited for long enough until its ztunnel is told of its pod.
    pub(crate) fn pod_unheard_of(&mut self, to: CallRef, context: &mut Clock<'_, Self>) {
        if !self.awaits(to) {
            return;
        }
        let Some(node) = self.carrier_of(to.call) else {
            return;
        };
        let waiting = &mut self.ztunnel(node).waiting_for_word;
        let count = waiting.len();
        waiting.retain(|&other| other != to);
        if waiting.len() < count {
            self.connection_failed(to.call, Reason::Reset, context);
        }
    }

    /// One of the pods of a service of the best rank, as its ztunnel knows them.
    fn pick(&self, node: u32, key: Key, service: ServiceId) -> Option<u32> {
        let call = &self.calls[key];
        let state = self.nodes[node as usize].ztunnel.as_ref()?;
        let pods = state.view.endpoints(&self.endpoint_log, service);
        let ranks = pods.iter().map(|&pod| self.rank(node, service, pod));
        let best = ranks.flatten().max()?;
        let of_best = |pod: &&u32| self.rank(node, service, **pod) == Some(best);
        let count = pods.iter().filter(of_best).count() as u32;
        let identity = call.work();
        let streams = self.ztunnels.as_ref()?;
        let mut draw = streams.picks.draw(identity.request, identity.branch);
        let chosen = draw.below(count) as usize;
        pods.iter().copied().filter(|pod| of_best(&pod)).nth(chosen)
    }

    /// How many of the scopes that a service prefers a pod shares with a node, from the widest
    /// on; none if it may not be picked.
    fn rank(&self, node: u32, service: ServiceId, pod: u32) -> Option<u32> {
        let cluster = self.cluster.expect("services belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let state = &self.pods[pod as usize];
        let on_node = state.node == Some(node);
        if described.internal_policy == TrafficPolicy::Local {
            return on_node.then_some(0);
        }
        let in_zone = state.zone == self.nodes[node as usize].zone;
        let translation = self.translation.as_ref();
        let preferred = translation.map(|known| known.preferred_by_ztunnels(service));
        Some(match preferred.unwrap_or_default() {
            locality::Distribution::Any => 0,
            locality::Distribution::PreferSameZone | locality::Distribution::PreferSameSubzone => {
                u32::from(in_zone)
            }
            locality::Distribution::PreferSameNode => u32::from(in_zone) + u32::from(on_node),
        })
    }

    /// A request arrives at a pod whose connections are carried.
    pub(super) fn take_carried(
        &mut self,
        node: u32,
        request: RequestArrival,
        context: &mut Clock<'_, Self>,
    ) {
        let call = (request.from.partition == self.id).then_some(request.from.call);
        let call = call.and_then(|call| self.calls.get(call));
        let client = call.map(|call| self.pods[call.client as usize].workload);
        let client = client.filter(|_| request.endpoint.secured);
        match self.lets_in_at(node, request.endpoint, client, |it| {
            it.addresses(&request).source
        }) {
            true => self.hand(node, Job::Receive(request), context),
            // It closes connections that policies do not allow, at once or once it is told.
            false => {
                let broken = Packet::Reset { to: request.from };
                let (endpoint, identity) = (request.endpoint, request.identity);
                self.send_back(request.from, endpoint, broken, identity, context);
            }
        }
    }

    /// To the application, which may have gone meanwhile.
    fn hand_to_pod(&mut self, request: RequestArrival, context: &mut Clock<'_, Self>) {
        let RequestArrival {
            from,
            endpoint,
            identity,
            ..
        } = request;
        match self.fate(endpoint) {
            Fate::Dropped => {}
            Fate::Refused => {
                let broken = Packet::Reset { to: from };
                self.send_back(from, endpoint, broken, identity, context);
            }
            Fate::Served => self.hand_to_application(request, context),
        }
    }

    /// An answer has come to the place of its caller.
    pub(crate) fn take_answer_back(
        &mut self,
        to: CallRef,
        outcome: Outcome,
        bytes: u64,
        closing: bool,
        context: &mut Clock<'_, Self>,
    ) {
        if self.ztunnels.is_some()
            && self.awaits(to)
            && let Some(node) = self.carrier_of(to.call)
        {
            let job = Job::Deliver {
                to,
                identity: self.calls[to.call].work(),
                outcome,
                bytes,
                closing,
            };
            return self.hand(node, job, context);
        }
        self.responded(to, outcome, bytes, closing, context);
    }
}

/// How long a tunnel is kept for the next connection.
pub(super) const fn pool_timeout() -> Duration {
    facts::ZTUNNEL_POOL_TIMEOUT.value
}
