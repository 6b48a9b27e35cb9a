//! Services as the data plane sees them: from a virtual address to a pod, and back.
//!
//! Models: NodePort, and load balancers that pass connections through to a node they believe
//! healthy, whose rules may send them on to another node. Headless services, whose client picks
//! an address at random. What the rules of a node do with a connection is in `choice.rs`.
//!
//! The first packet of a connection pays for the rules that it passes on a node, by the model of
//! [`crate::rules::cost`], beyond those of a lone service with one endpoint, which measured
//! round trips hold already.
//!
//! Approximated: places of services among the rules are drawn one by one rather than as an
//! order of all; every answer of the cluster's DNS holds the newest endpoints of a headless
//! service; a load balancer is as far from any node as nodes of one zone are from each
//! other, spreads connections at random, and takes all that it was told of if it believes none
//! healthy.
//! Sources: kubernetes/kubernetes pkg/proxy; [`crate::facts`].
//! Validated by: shares of endpoints and outcomes of stale views in the crate's tests.

use super::choice::Choice;
use super::link::{Address, Goal, Leg, Packet, Spot};
use super::{CallRef, Endpoint, Identity, Listener, Origin, Outcome, Reply, Task, ztunnel};
use crate::control::balancer::Balancer;
use crate::domain::{Clock, Domain};
use crate::record::Reason;
use crate::rules::cost;
use crate::scenario::{Packets, ServiceId, TrafficId};
use engine::{Duration, Time};

impl Domain<'_> {
    /// How long a new connection spends in the rules of a node.
    pub(crate) fn rules_passed(
        &self,
        node: Option<u32>,
        service: ServiceId,
        identity: Identity,
    ) -> Duration {
        let Some(node) = node else {
            return Duration::ZERO; // No node, no rules.
        };
        let state = &self.nodes[node as usize];
        let endpoints = self.known_set(Some(node), service).len() as u32;
        let cluster = self.cluster.expect("services belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let affinity = match described.session_affinity {
            None => cost::Affinity::None,
            Some(_) => cost::Affinity::Client,
        };
        let streams = &self.services[service.index()];
        let written = state.kube_proxy.written().as_nanos();
        let rules = self.service_ports;
        let mut place = streams.places.draw(u64::from(node), written);
        let passed = cost::extra_rules(1 + place.below(rules.max(1)), endpoints, affinity);
        let mut warmth = streams.warmth.draw(identity.request, identity.branch);
        cost::walk(self.proxy_mode(), passed, rules.max(1), &mut warmth)
    }

    /// A pod as an endpoint of a service.
    pub(crate) fn endpoint(&self, pod: u32, service: ServiceId, entry: Option<u32>) -> Endpoint {
        let state = &self.pods[pod as usize];
        Endpoint {
            cluster: self.cluster.expect("pods run in clusters"),
            service,
            workload: state.workload,
            zone: state.zone,
            pod,
            restarts: state.incarnation(),
            listener: Listener::Application,
            entry,
            port: 0,
            secured: false,
            resumes: false,
            tunnel: 0,
            chains: 0,
        }
    }

    /// The node through which a connection from outside enters: of those that the service's
    /// load balancer believes healthy, or any that a client may name.
    pub(crate) fn entry_node(&self, service: ServiceId, identity: Identity) -> Option<u32> {
        let balancer = self.balancer_of(service).map(|at| &self.balancers[at]);
        let mut targets = balancer.map(Balancer::targets);
        let mut there = (0..self.nodes.len() as u32).filter(|&node| self.has_machine(node));
        let count = match (&targets, self.provisioner.is_some()) {
            (Some(targets), _) => targets.clone().count(),
            (None, false) => self.nodes.len(),
            (None, true) => there.clone().count(),
        };
        if count == 0 {
            return None;
        }
        let entry = identity.part(u64::from(u32::MAX));
        let stream = &self.services[service.index()].stream;
        let chosen = stream.draw(entry.request, entry.branch).below(count as u32);
        match &mut targets {
            Some(targets) => targets.nth(chosen as usize),
            None => there.nth(chosen as usize),
        }
    }

    /// A SYN arrives at a pod, or at an entry of this cluster.
    pub(crate) fn take_syn(
        &mut self,
        from: CallRef,
        address: Address,
        identity: Identity,
        goal: Goal,
        sent: u8,
        context: &mut Clock<'_, Self>,
    ) {
        let trip = identity.part(u64::from(sent));
        match goal {
            Goal::Entry(service, port) => {
                self.admit(from, address, identity, (service, port), sent, context);
            }
            Goal::Endpoint(endpoint) => match self.fate(endpoint) {
                // Who is stopping no longer listens; rules that still lead there do not know.
                Fate::Served if !self.pods[endpoint.pod as usize].listens(context.now()) => {
                    let denied = Packet::Refused { to: from };
                    self.send_back(from, endpoint, denied, trip, context);
                }
                Fate::Served => {
                    let answer = match self.listener_at(endpoint, Some((from, address))) {
                        Some(Listener::Application) if !self.hears(from, endpoint) => {
                            Packet::Refused { to: from }
                        }
                        None => Packet::Refused { to: from },
                        Some(listener) => {
                            let endpoint = Endpoint {
                                listener,
                                ..endpoint
                            };
                            let chains = self.present_chains(endpoint);
                            let endpoint = Endpoint { chains, ..endpoint };
                            Packet::Connected { to: from, endpoint }
                        }
                    };
                    if let Some(node) = self.carrier(endpoint.pod) {
                        self.hand(node, ztunnel::Job::Accepted(identity), context);
                    }
                    self.send_back(from, endpoint, answer, trip, context);
                }
                Fate::Refused => {
                    let denied = Packet::Refused { to: from };
                    self.send_back(from, endpoint, denied, trip, context);
                }
                Fate::Dropped => {}
            },
        }
    }

    /// A SYN from outside: load balancer, node, pod.
    fn admit(
        &mut self,
        from: CallRef,
        address: Address,
        identity: Identity,
        (service, port): (ServiceId, u32),
        sent: u8,
        context: &mut Clock<'_, Self>,
    ) {
        let door = self.door(service, address);
        let node = self.entry_node(service, identity);
        let choice = match self.refusal_of(node) {
            Some(refusal) => refusal,
            None => self.choose_endpoint(node, service, address, door, identity, context.now()),
        };
        match choice {
            Choice::Drop => {}
            Choice::Refuse => {
                let denied = Packet::Refused { to: from };
                let trip = identity.part(u64::from(sent));
                match self
                    .calls
                    .get(from.call)
                    .filter(|_| from.partition == self.id)
                {
                    None => self.send_out(from.partition, Duration::ZERO, denied, trip, context),
                    Some(call) => {
                        let between = (Spot::BORDER, self.spot(call.client));
                        self.carry(Duration::ZERO, between, denied, trip, context);
                    }
                }
            }
            Choice::Pod(pod) => {
                let endpoint = Endpoint {
                    port,
                    ..self.endpoint(pod, service, node)
                };
                let packet = Packet::Syn {
                    from,
                    address,
                    identity,
                    goal: Goal::Endpoint(endpoint),
                    sent,
                };
                let trip = identity.part(u64::from(sent));
                let way = self.way_in(endpoint, 0, trip, Leg::Syn, context.now());
                if let Some(delay) = way {
                    let rules = self.rules_passed(node, service, identity);
                    self.post(rules + delay, packet, context);
                }
            }
        }
    }

    /// What becomes of packets at an entry node that forwards nothing.
    pub(super) fn refusal_of(&self, node: Option<u32>) -> Option<Choice> {
        match node.and_then(|node| self.levers.node(node))? {
            Packets::Dropped => Some(Choice::Drop),
            Packets::Refused => Some(Choice::Refuse),
        }
    }

    /// From the border of the cluster over the entry node to the pod.
    pub(crate) fn way_in(
        &mut self,
        endpoint: Endpoint,
        bytes: u64,
        identity: Identity,
        leg: Leg,
        now: Time,
    ) -> Option<Duration> {
        let pod = self.spot(endpoint.pod);
        let Some(entry) = endpoint.entry.map(|node| self.node_spot(node)) else {
            return Some(Duration::ZERO);
        };
        let border = Spot {
            node: None,
            zone: entry.zone,
            site: None,
        };
        let first = self.trip_inside(now, border, entry, bytes, identity.part(1), leg)?;
        if entry.node == pod.node {
            return Some(first);
        }
        let second = self.trip_inside(now, entry, pod, bytes, identity.part(2), leg)?;
        Some(first + second)
    }

    /// What comes on a connection from outside goes on from the border of the cluster, as requests
    /// do.
    pub(crate) fn post_from_border(
        &mut self,
        (endpoint, bytes): (Endpoint, u64),
        identity: Identity,
        packet: Packet,
        context: &mut Clock<'_, Self>,
    ) {
        let way = self.way_in(endpoint, bytes, identity, Leg::Request, context.now());
        if let Some(delay) = way {
            self.post(delay, packet, context);
        }
    }

    /// What machines make of a packet to an endpoint that they do not let pass.
    pub(super) fn stopped(&self, endpoint: Endpoint) -> Option<Fate> {
        let pod = &self.pods[endpoint.pod as usize];
        if let Some(packets) = self.machine_off(endpoint.pod) {
            return Some(Fate::of(packets));
        }
        let mut nodes = [endpoint.entry, pod.node].into_iter().flatten();
        nodes.find_map(|node| self.levers.node(node)).map(Fate::of)
    }

    /// What becomes of a packet of a connection that arrives for an endpoint.
    pub(crate) fn fate(&self, endpoint: Endpoint) -> Fate {
        if let Some(fate) = self.stopped(endpoint) {
            return fate;
        }
        // Nobody listens on behalf of its pods.
        let carrier = self.carrier(endpoint.pod);
        if carrier.is_some_and(|node| self.ztunnel_is_down(node)) {
            return Fate::Refused;
        }
        let pod = &self.pods[endpoint.pod as usize];
        if pod.serves() && pod.incarnation() == endpoint.restarts {
            Fate::Served
        } else {
            Fate::Refused
        }
    }

    /// From a pod back to whoever called it.
    pub(crate) fn send_back(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        let (bytes, leg) = packet.size_and_leg();
        let client = match to.partition == self.id {
            false => None,
            true => match self.calls.get(to.call) {
                None => return,
                Some(call) => Some(self.spot(call.client)),
            },
        };
        let mut at = self.spot(endpoint.pod);
        let mut inside = Duration::ZERO;
        if let Some(entry) = endpoint.entry.map(|node| self.node_spot(node)) {
            let border = Spot {
                node: None,
                zone: entry.zone,
                site: None,
            };
            for (next, part) in [(entry, 2), (border, 1)] {
                if at.node.is_none() || at.node != next.node {
                    let trip = self.trip_inside(now, at, next, bytes, identity.part(part), leg);
                    let Some(delay) = trip else {
                        return;
                    };
                    inside += delay;
                }
                at = next;
            }
        }
        match client {
            Some(client) => self.carry(inside, (at, client), packet, identity, context),
            None => self.send_out(to.partition, inside, packet, identity, context),
        }
    }

    /// A request arrives at its pod.
    pub(crate) fn take_request(&mut self, request: RequestArrival, context: &mut Clock<'_, Self>) {
        let sender = request.from.partition;
        let request = RequestArrival {
            origin: request.origin.map(|it| it.seen_from(sender, self.id)),
            ..request
        };
        let RequestArrival {
            from,
            identity,
            endpoint,
            ..
        } = request;
        match self.fate(endpoint) {
            Fate::Dropped => {}
            Fate::Refused => {
                let broken = Packet::Reset { to: from };
                self.send_back(from, endpoint, broken, identity, context);
            }
            Fate::Served if endpoint.listener != Listener::Application => {
                if self.closes_on(endpoint) && !self.drains_chain(endpoint, context.now()) {
                    let broken = Packet::Reset { to: from };
                    return self.send_back(from, endpoint, broken, identity, context);
                }
                self.enter_sidecar(request, context);
            }
            Fate::Served => match self.carrier(endpoint.pod) {
                Some(node) => self.take_carried(node, request, context),
                None => self.hand_to_application(request, context),
            },
        }
    }

    /// A request is with its application.
    pub(super) fn hand_to_application(
        &mut self,
        request: RequestArrival,
        context: &mut Clock<'_, Self>,
    ) {
        let (from, endpoint, identity) = (request.from, request.endpoint, request.identity);
        if let Err(reason) = self.arrive(request, Reply::Call(from), context) {
            self.note_answer(endpoint.pod, (from, None), context.now());
            self.respond(from, endpoint, identity, Err(reason), 0, context);
        }
    }

    /// The answer of a finished task goes out.
    pub(crate) fn answer(&mut self, task: &Task, outcome: Outcome, context: &mut Clock<'_, Self>) {
        let (identity, bytes) = (task.identity, task.answer_bytes);
        match task.reply {
            Reply::Passage(key) => self.application_answered(key, outcome, bytes, context),
            Reply::Datagram(to) => self.answer_datagram(task, to, outcome, context),
            Reply::Call(to) if self.is_ideal() => {
                self.answered_at_no_distance(to, outcome, context);
            }
            Reply::Call(to) => {
                let latency = outcome.ok().map(|()| context.now().since(task.arrived));
                self.note_answer(task.pod, (to, latency), context.now());
                let endpoint = self.endpoint(task.pod, task.service, task.entry);
                self.respond(to, endpoint, identity, outcome, bytes, context);
            }
        }
    }

    pub(super) fn respond(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        identity: Identity,
        outcome: Result<(), Reason>,
        bytes: u64,
        context: &mut Clock<'_, Self>,
    ) {
        if let Some(node) = self.carrier(endpoint.pod) {
            let job = ztunnel::Job::Answer {
                to,
                endpoint,
                identity,
                outcome,
                bytes,
            };
            return self.hand(node, job, context);
        }
        self.send_answer(to, endpoint, identity, outcome, bytes, context);
    }

    /// An answer leaves its node.
    pub(super) fn send_answer(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        identity: Identity,
        outcome: Outcome,
        bytes: u64,
        context: &mut Clock<'_, Self>,
    ) {
        let lets_go = self.pods[endpoint.pod as usize].lets_go();
        let packet = Packet::Response {
            to,
            outcome,
            bytes,
            closing: lets_go || self.ends_with_chain(endpoint, context.now()),
        };
        self.send_back(to, endpoint, packet, identity, context);
    }
}

/// What becomes of a packet that arrives for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The pod takes it.
    Served,
    /// Something says no.
    Refused,
    /// Nothing says anything.
    Dropped,
}

impl Fate {
    fn of(packets: Packets) -> Fate {
        match packets {
            Packets::Dropped => Fate::Dropped,
            Packets::Refused => Fate::Refused,
        }
    }
}

/// A request at the door of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestArrival {
    pub(crate) from: CallRef,
    pub(crate) identity: Identity,
    pub(crate) endpoint: Endpoint,
    pub(crate) traffic: Option<TrafficId>,
    pub(crate) origin: Option<Origin>,
    pub(crate) bytes: u64,
}
