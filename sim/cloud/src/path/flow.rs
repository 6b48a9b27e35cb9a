//! UDP: sockets, datagrams, and what the kernel of a node remembers of their flows.
//!
//! Models: a datagram asks and a datagram answers, without a handshake; what is lost stays lost,
//! and only the caller's patience ends the wait. A client keeps one socket to a target for as
//! long as it lives, or opens one for each attempt. The kernel of the node where a flow is
//! translated, that of a client inside the cluster or that where it enters from outside,
//! remembers the endpoint of its first datagram: 30 s after the last one, or 120 s once the
//! flow was answered and is 2 s old; 300 s in ipvs mode. Until then all of the flow goes there,
//! whatever the rules say by now, unless a kube-proxy cleans the entry away when it syncs. In
//! ipvs mode the entries of an endpoint go with its real server, as soon as it is not chosen
//! any more; the other modes let a flow stay with a pod on its way out that still serves.
//!
//! What arrives where no pod has the address any more is lost; where a pod does not listen, and
//! where a service has no endpoints, the sender hears so at once (ICMP). A datagram that finds no
//! room in a queue is lost. Proxies of a mesh do not see UDP.
//!
//! Approximated: a socket is connected to the address that its target had when it was opened; all
//! ports of a service make one flow; an answer refreshes its entry when it leaves its pod, even
//! if it gets lost; a load balancer keeps a flow at its node while the number of healthy ones
//! stays; a flow from a new socket is not remembered, since nobody uses its port again, and no
//! table is ever full. Leaves out: fragments, and paths that refuse large datagrams.
//! Sources: torvalds/linux net/netfilter/nf_conntrack_proto_udp.c, net/netfilter/ipvs/ip_vs_core.c;
//! kubernetes/kubernetes pkg/proxy; [`crate::facts`].
//! Validated by: timeouts and clean-ups to the millisecond in the crate's tests.

use super::call::Stage;
use super::choice::Choice;
use super::link::{Address, Goal, Leg, Packet};
use super::service::{Fate, RequestArrival};
use super::{CallRef, Endpoint, Identity, Origin, Outcome, Reply, Task};
use crate::domain::{Clock, Domain, Phase};
use crate::facts;
use crate::record::Reason;
use crate::rules::{Cleaning, Door, Mode};
use crate::scenario::{ClusterId, Protocol, ServiceId, ServiceKind, Socket, TrafficId};
use crate::slab::Key;
use crate::view::View;
use engine::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The address of a service of the client's own cluster.
    Service(ServiceId),
    /// A pod that a headless service's name led to.
    Pod(ServiceId, u32),
    /// An entry of a cluster from outside.
    Entry(ClusterId, ServiceId),
}

/// A datagram that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: CallRef,
    pub(crate) address: Address,
    pub(crate) socket: Socket,
    pub(crate) identity: Identity,
    pub(crate) goal: Goal,
    pub(crate) traffic: Option<TrafficId>,
    pub(crate) origin: Option<Origin>,
    pub(crate) bytes: u64,
}

/// Whom the task of a datagram answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) call: CallRef,
    pub(crate) address: Address,
}

/// How long flows are remembered.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    lone: Duration,
    stream: Duration,
}

/// A flow that a kernel remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    /// The pod that it goes to.
    pod: u32,
    since: Time,
    is_answered: bool,
    /// When it is forgotten.
    ends: Time,
}

impl Flow {
    fn new(pod: u32, now: Time, timeouts: Timeouts) -> Flow {
        Flow {
            pod,
            since: now,
            is_answered: false,
            ends: now.saturating_add(timeouts.lone),
        }
    }

    /// A datagram passes, in either direction.
    fn passes(&mut self, now: Time, timeouts: Timeouts) {
        let is_old = now.saturating_since(self.since) > facts::UDP_STREAM_AGE.value;
        let more = match self.is_answered && is_old {
            true => timeouts.stream,
            false => timeouts.lone,
        };
        self.ends = now.saturating_add(more);
    }
}

/// The UDP flows that the kernel of a node remembers, by service and client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flows {
    known: BTreeMap<(ServiceId, Address), Flow>,
}

impl Flows {
    /// Where a flow goes, if it is remembered; a datagram of it passes.
    fn follow(&mut self, of: (ServiceId, Address), now: Time, timeouts: Timeouts) -> Option<u32> {
        let flow = self.known.get_mut(&of).filter(|flow| flow.ends > now)?;
        flow.passes(now, timeouts);
        Some(flow.pod)
    }

    /// An answer passes.
    fn answered(&mut self, of: (ServiceId, Address), now: Time, timeouts: Timeouts) {
        if let Some(flow) = self.known.get_mut(&of).filter(|flow| flow.ends > now) {
            flow.passes(now, timeouts);
            flow.is_answered = true;
        }
    }

    /// A client's sockets are closed: its next ones have other ports.
    fn leave(&mut self, client: Address) {
        self.known.retain(|(_, address), _| *address != client);
    }

    /// Where the flows go, by service and client.
    #[cfg(test)]
    pub(crate) fn pods(&self) -> Vec<u32> {
        self.known.values().map(|flow| flow.pod).collect()
    }

    /// The kernel starts anew.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

impl Domain<'_> {
    /// What a call sends datagrams from, if it does.
    pub(super) fn socket(&self, key: Key) -> Option<Socket> {
        match self.plans[self.calls[key].plan as usize].protocol {
            Protocol::Udp(socket) => Some(socket),
            _ => None,
        }
    }

    fn udp_timeouts(&self) -> Timeouts {
        let cluster = self.cluster.expect("flows are translated in clusters");
        let rules = &self.topology.cluster(cluster).service_rules;
        let (lone, stream) = rules.configuration.udp_timeouts();
        Timeouts { lone, stream }
    }

    /// The address of a service of the own cluster is known to a call over UDP.
    pub(super) fn address_found(
        &mut self,
        key: Key,
        socket: Socket,
        (cluster, service): (ClusterId, ServiceId),
        context: &mut Clock<'_, Self>,
    ) {
        let described = &self.topology.cluster(cluster).services[service.index()];
        let peer = match described.kind {
            ServiceKind::Headless | ServiceKind::Host { .. } => {
                match self.choose_address(service, self.calls[key].work()) {
                    Choice::Pod(pod) => Peer::Pod(service, pod),
                    Choice::Refuse | Choice::Drop => {
                        return self.attempt_ended(key, Err(Reason::NoEndpoints), context);
                    }
                }
            }
            _ => Peer::Service(service),
        };
        self.open_socket(key, socket, peer, context);
    }

    /// A socket is opened to an address, unless the client has one meanwhile.
    pub(super) fn open_socket(
        &mut self,
        key: Key,
        socket: Socket,
        peer: Peer,
        context: &mut Clock<'_, Self>,
    ) {
        let peer = match socket {
            Socket::Kept => {
                let pool_key = self.pool_key(key, None);
                let pool = self.pools.of(pool_key);
                *pool.socket.get_or_insert(peer)
            }
            Socket::PerAttempt => peer,
        };
        self.send_datagram(key, socket, peer, context);
    }

    /// A call sends its datagram.
    pub(super) fn send_datagram(
        &mut self,
        key: Key,
        socket: Socket,
        peer: Peer,
        context: &mut Clock<'_, Self>,
    ) {
        match peer {
            Peer::Entry(cluster, service) => {
                self.calls[key].resolved = cluster;
                self.throw(
                    key,
                    socket,
                    Goal::Entry(service, 0),
                    Duration::ZERO,
                    context,
                );
            }
            Peer::Pod(service, pod) => {
                let goal = Goal::Endpoint(self.endpoint(pod, service, None));
                self.throw(key, socket, goal, Duration::ZERO, context);
            }
            Peer::Service(service) => {
                let (address, call) = (self.address(key), &self.calls[key]);
                let (node, identity) = (self.pods[call.client as usize].node, call.work());
                let of = (service, address);
                let now = context.now();
                let (choice, rules) =
                    self.translate(node, of, socket, Door::Cluster, identity, now);
                match choice {
                    Choice::Pod(pod) => {
                        let goal = Goal::Endpoint(self.endpoint(pod, service, None));
                        self.throw(key, socket, goal, rules, context);
                    }
                    Choice::Refuse => self.attempt_ended(key, Err(Reason::NoEndpoints), context),
                    Choice::Drop => self.calls[key].stage = Stage::Sent(None),
                }
            }
        }
    }

    /// What a node makes of a datagram to a service, and how long that takes: the first one of a
    /// flow meets the rules.
    fn translate(
        &mut self,
        node: Option<u32>,
        of: (ServiceId, Address),
        socket: Socket,
        door: Door,
        identity: Identity,
        now: Time,
    ) -> (Choice, Duration) {
        let timeouts = self.udp_timeouts();
        let kernel = node.filter(|_| socket == Socket::Kept);
        let known = kernel.and_then(|node| {
            let flows = &mut self.nodes[node as usize].flows;
            flows.follow(of, now, timeouts)
        });
        if let Some(pod) = known {
            return (Choice::Pod(pod), Duration::ZERO);
        }
        let (service, address) = of;
        let choice = self.choose_endpoint(node, service, address, door, identity, now);
        if let (Some(node), Choice::Pod(pod)) = (kernel, choice) {
            let flows = &mut self.nodes[node as usize].flows;
            flows.known.insert(of, Flow::new(pod, now, timeouts));
        }
        (choice, self.rules_passed(node, service, identity))
    }

    /// A datagram leaves its client.
    fn throw(
        &mut self,
        key: Key,
        socket: Socket,
        goal: Goal,
        rules: Duration,
        context: &mut Clock<'_, Self>,
    ) {
        let call = &mut self.calls[key];
        call.stage = Stage::Sent(Some(goal));
        let (client, identity, cluster) = (call.client, call.work(), call.resolved);
        let datagram = Datagram {
            from: self.reference(key),
            address: self.address(key),
            socket,
            identity,
            goal,
            traffic: self.calls[key].traffic,
            origin: self.calls[key].origin,
            bytes: self.calls[key].request_bytes,
        };
        let packet = Packet::Datagram(datagram);
        match goal {
            Goal::Entry(..) => {
                self.send_out(cluster.0 as u16, rules, packet, identity, context);
            }
            Goal::Endpoint(endpoint) => {
                let (from, to) = (self.spot(client), self.spot(endpoint.pod));
                let (bytes, leg) = packet.size_and_leg();
                let trip = self.trip_inside(context.now(), from, to, bytes, identity, leg);
                if let Some(delay) = trip {
                    self.post(rules + delay, packet, context);
                }
            }
        }
    }

    /// A datagram arrives at an entry of this cluster, or at a pod.
    pub(crate) fn take_datagram(&mut self, datagram: Datagram, context: &mut Clock<'_, Self>) {
        match datagram.goal {
            Goal::Entry(service, _) => self.admit_datagram(datagram, service, context),
            Goal::Endpoint(endpoint) => self.read_datagram(datagram, endpoint, context),
        }
    }

    /// From outside: load balancer, node, pod.
    fn admit_datagram(
        &mut self,
        datagram: Datagram,
        service: ServiceId,
        context: &mut Clock<'_, Self>,
    ) {
        let Datagram {
            from,
            address,
            socket,
            identity,
            bytes,
            ..
        } = datagram;
        let now = context.now();
        let node = self.entry_node(service, datagram.flow());
        let (choice, rules) = match self.refusal_of(node) {
            Some(choice) => (choice, Duration::ZERO),
            None => {
                let door = self.door(service, address);
                self.translate(node, (service, address), socket, door, identity, now)
            }
        };
        match choice {
            Choice::Drop => {}
            Choice::Refuse => {
                let denied = Packet::Refused { to: from };
                self.send_out(from.partition, Duration::ZERO, denied, identity, context);
            }
            Choice::Pod(pod) => {
                let endpoint = self.endpoint(pod, service, node);
                let way = self.way_in(endpoint, bytes, identity, Leg::Datagram, now);
                if let Some(delay) = way {
                    let goal = Goal::Endpoint(endpoint);
                    let packet = Packet::Datagram(Datagram { goal, ..datagram });
                    self.post(rules + delay, packet, context);
                }
            }
        }
    }

    /// A datagram arrives at a pod, or where one was.
    fn read_datagram(
        &mut self,
        datagram: Datagram,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        let Datagram {
            from,
            address,
            identity,
            traffic,
            origin,
            bytes,
            ..
        } = datagram;
        let pod = &self.pods[endpoint.pod as usize];
        let is_gone = pod.released || pod.orphaned || pod.deleted && pod.phase == Phase::Dead;
        let fate = self.stopped(endpoint).unwrap_or(match pod.phase {
            _ if is_gone => Fate::Dropped,
            Phase::Running => Fate::Served,
            Phase::Starting | Phase::Terminating | Phase::Dead => Fate::Refused,
        });
        match fate {
            Fate::Dropped => {}
            Fate::Refused => {
                let denied = Packet::Refused { to: from };
                self.send_back(from, endpoint, denied, identity, context);
            }
            Fate::Served => {
                let request = RequestArrival {
                    from,
                    identity,
                    endpoint,
                    traffic,
                    origin: origin.map(|it| it.seen_from(from.partition, self.id)),
                    bytes,
                };
                let call = from;
                let reply = Reply::Datagram(Sender { call, address });
                // Nobody is told of what finds no room.
                let _overflow = self.arrive(request, reply, context);
            }
        }
    }

    /// The answer to a datagram goes out.
    pub(super) fn answer_datagram(
        &mut self,
        task: &Task,
        to: Sender,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) {
        let kernel = match to.address {
            Address::Pod(partition, pod) if partition == self.id => self.pods[pod as usize].node,
            _ => task.entry,
        };
        if let Some(node) = kernel {
            let timeouts = self.udp_timeouts();
            let flows = &mut self.nodes[node as usize].flows;
            flows.answered((task.service, to.address), context.now(), timeouts);
        }
        let endpoint = self.endpoint(task.pod, task.service, task.entry);
        let packet = Packet::AnswerDatagram {
            to: to.call,
            endpoint,
            outcome,
            bytes: task.answer_bytes,
        };
        self.send_back(to.call, endpoint, packet, task.identity, context);
    }

    /// A datagram answers a call.
    pub(crate) fn take_answer_datagram(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        outcome: Outcome,
        bytes: u64,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) {
            return;
        }
        let call = &mut self.calls[to.call];
        call.stage = Stage::Sent(Some(Goal::Endpoint(endpoint)));
        call.answer_bytes = bytes;
        self.attempt_ended(to.call, outcome, context);
    }

    /// The kube-proxy of a node has written rules, and cleans away what flows to the wrong place;
    /// `before` is what it knew when it wrote the last ones.
    pub(crate) fn clean_flows(&mut self, node: u32, before: Option<View>) {
        let state = &self.nodes[node as usize];
        let services: BTreeSet<ServiceId> = state.flows.known.keys().map(|of| of.0).collect();
        let log = &self.endpoint_log;
        let cleaning = Cleaning::of_minor(self.minor());
        let serving = |view: View, service| {
            let set = log.version(service, view.version(log, service));
            [&set.pods[..], &set.leaving].concat()
        };
        let real_servers = |service| match self.proxy_mode() {
            Mode::Ipvs { .. } => Some(self.known_set(Some(node), service)),
            Mode::Iptables | Mode::Nftables => None,
        };
        let mut stale = Vec::new();
        for service in services {
            let had = before.map_or(Vec::new(), |view| serving(view, service));
            let has = serving(state.view, service);
            let real_servers = real_servers(service);
            let of_service = state.flows.known.iter().filter(|(of, _)| of.0 == service);
            let wrong = of_service.filter(|(_, flow)| {
                cleaning.forgets(&flow.pod, &had, &has)
                    || real_servers.is_some_and(|those| !those.contains(&flow.pod))
            });
            stale.extend(wrong.map(|(of, _)| *of));
        }
        let flows = &mut self.nodes[node as usize].flows;
        for of in stale {
            flows.known.remove(&of);
        }
    }

    /// The sockets of a dead application are closed.
    pub(crate) fn close_sockets(&mut self, pod: u32) {
        let client = Address::Pod(self.id, pod);
        let node = self.pods[pod as usize].node;
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(node as usize)) {
            node.flows.leave(client);
        }
    }
}

impl Datagram {
    /// The address of what is drawn for all of its flow, where its socket is kept.
    fn flow(&self) -> Identity {
        match (self.socket, self.address) {
            (Socket::PerAttempt, _) => self.identity,
            (Socket::Kept, Address::Client(traffic, client)) => Identity {
                request: u64::from(traffic.0),
                branch: u64::from(client),
            },
            (Socket::Kept, Address::Pod(partition, pod)) => Identity {
                request: u64::MAX - u64::from(partition),
                branch: u64::from(pod),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_remembered_for_longer_once_it_goes_both_ways_for_two_seconds() {
        let timeouts = Timeouts {
            lone: Duration::from_secs(30),
            stream: Duration::from_secs(120),
        };
        let at = |millis: u64| Time::ZERO + Duration::from_millis(millis);
        let mut flow = Flow::new(7, at(0), timeouts);
        let mut ends = |passes: &[(u64, bool)]| {
            for &(millis, is_answer) in passes {
                flow.passes(at(millis), timeouts);
                flow.is_answered |= is_answer;
            }
            flow.ends
        };
        assert_eq!(ends(&[]), at(30_000));
        assert_eq!(ends(&[(1_000, false)]), at(31_000));
        assert_eq!(ends(&[(5_000, false)]), at(35_000), "not answered");
        assert_eq!(ends(&[(6_000, true)]), at(36_000), "the first answer");
        assert_eq!(ends(&[(7_000, false)]), at(127_000));
        let mut young = Flow::new(7, at(0), timeouts);
        young.is_answered = true;
        young.passes(at(2_000), timeouts);
        assert_eq!(young.ends, at(32_000));
        young.passes(at(2_001), timeouts);
        assert_eq!(young.ends, at(122_001));
    }
}
