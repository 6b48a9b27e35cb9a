//! Tunnels between ztunnels: encrypted HTTP/2 connections that carry connections of pods.
//!
//! Models: one tunnel for each pair of pods, of the caller's to the called one's address, opened
//! when a connection needs one and none is kept: TCP's round trip, that of TLS 1.3 with the work
//! of both ends for their certificates, and then, as for each further connection that it carries,
//! one round trip that asks for the connection inside. A tunnel is kept until no connection has
//! been asked for over it for five minutes, or a hundred are inside, or one of its pods is gone;
//! one that was full is not used again, whatever becomes of its connections. Sidecars take tunnels
//! as ztunnels do. Both ends need certificates that count. A tunnel that does not come about within ten seconds is given up, and so
//! are the connections that wait for it.
//!
//! Approximated: what is lost on the way is sent again as data are, SYNs as well; a sidecar asks
//! nothing more of a connection inside a tunnel than of its requests; the tunnels of a pod end
//! with its container; connections that a client keeps idle for too long are still inside until
//! the client looks. Leaves out: flow control.
//! Sources: istio/ztunnel src/proxy/{pool,outbound,inbound,h2}.rs; [`crate::facts`].
//! Validated by: latencies worked out by hand in the crate's tests.

use super::call::Stage;
use super::link::{Address, Goal, Packet};
use super::service::Fate;
use super::ztunnel::{Job, pool_timeout};
use super::{Call, CallRef, Endpoint, Identity, sidecar};
use crate::domain::{Clock, Domain};
use crate::facts;
use crate::meter::{Carried, Observation};
use crate::record::Reason;
use crate::scenario::Protocol;
use engine::{Duration, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The tunnels of a node's ztunnel, by the pod that calls and the one that is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnels {
    all: BTreeMap<(u32, u32), Tunnel>,
    /// How many were opened.
    opened: u32,
}

#[derive(Clone, Debug)]
enum Tunnel {
    /// These wait for it.
    Opening { number: u32, waiting: Vec<CallRef> },
    /// It carries connections.
    Open(Open),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// What is at its other end.
    endpoint: Endpoint,
    /// When it was asked for a connection last.
    used: Time,
    /// As many connections are inside at most.
    connections: usize,
}

impl Tunnels {
    /// All of them are gone.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// A pod is gone.
    fn forget(&mut self, pod: u32) {
        self.all.retain(|&(from, to), _| from != pod && to != pod);
    }
}

/// What ztunnels send each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    step: Step,
    /// The node whose ztunnel opened the tunnel.
    node: u32,
    /// Which of those that it opened.
    number: u32,
    /// The pod whose connections it carries.
    client: u32,
    /// The pod at its other end.
    endpoint: Endpoint,
    /// Whom it was opened for, or whose connection is asked for.
    pub(super) identity: Identity,
    /// When the opener gives up.
    given_up: Time,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Syn,
    SynAnswer,
    Hello,
    Welcome,
    /// There will be no tunnel.
    Refused,
    /// Asks for a connection inside.
    Connect(CallRef),
    /// It is there.
    Connected(CallRef),
    /// It is denied.
    Denied(CallRef),
}

impl Step {
    fn number(self) -> u64 {
        let number = match self {
            Step::Syn => 1,
            Step::SynAnswer => 2,
            Step::Hello => 3,
            Step::Welcome => 4,
            Step::Refused => 5,
            Step::Connect(_) => 6,
            Step::Connected(_) => 7,
            Step::Denied(_) => 8,
        };
        0x5B_0000 + number
    }

    fn goes_back(self) -> bool {
        !matches!(self, Step::Syn | Step::Hello | Step::Connect(_))
    }

    fn bytes(self) -> u64 {
        match self {
            Step::Hello => facts::TLS_CLIENT_HELLO_BYTES.value,
            Step::Welcome => facts::TLS_SERVER_FLIGHT_BYTES.value,
            _ => 0,
        }
    }
}

impl Letter {
    /// Its size on the wire.
    pub(super) fn bytes(&self) -> u64 {
        self.step.bytes()
    }

    fn answered(self, step: Step) -> Letter {
        Letter { step, ..self }
    }
}

impl Domain<'_> {
    /// A pod is gone, and its tunnels with it.
    pub(crate) fn forget_tunnels(&mut self, pod: u32) {
        if self.ztunnels.is_none() {
            return;
        }
        for node in &mut self.nodes {
            if let Some(ztunnel) = &mut node.ztunnel {
                ztunnel.tunnels.forget(pod);
            }
        }
    }

    /// A connection is to go through the tunnel to its pod, which is opened if there is none.
    pub(super) fn enter_tunnel(
        &mut self,
        node: u32,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        let call = &self.calls[to.call];
        let (client, identity) = (call.client, call.work());
        let tunnels = &mut self.ztunnel(node).tunnels;
        let number = tunnels.opened + 1;
        let letter = Letter {
            step: Step::Syn,
            node,
            number,
            client,
            endpoint,
            identity,
            given_up: now + facts::ZTUNNEL_CONNECT_TIMEOUT.value,
        };
        match tunnels.all.get_mut(&(client, endpoint.pod)) {
            Some(Tunnel::Opening { waiting, .. }) => return waiting.push(to),
            Some(Tunnel::Open(open))
                if open.endpoint.restarts == endpoint.restarts
                    && now.saturating_since(open.used) < pool_timeout() =>
            {
                open.used = now;
                let endpoint = Endpoint {
                    service: endpoint.service,
                    port: endpoint.port,
                    ..open.endpoint
                };
                let letter = Letter {
                    step: Step::Connect(to),
                    endpoint,
                    ..letter
                };
                return self.ask_inside(letter, to, context);
            }
            _ => {}
        }
        if !self.is_certified(client, now) {
            return self.connection_failed(to.call, Reason::Reset, context);
        }
        let what = Carried::Tunnel;
        let carries = Observation::ZtunnelCarries { node, what };
        self.meters.observe(now, carries);
        let tunnels = &mut self.ztunnel(node).tunnels;
        tunnels.opened += 1;
        let waiting = vec![to];
        let opening = Tunnel::Opening { number, waiting };
        tunnels.all.insert((client, endpoint.pod), opening);
        self.send_letter(letter, context);
    }

    /// A connection is asked for inside of an open tunnel, which takes no more if it is full then.
    fn ask_inside(&mut self, letter: Letter, to: CallRef, context: &mut Clock<'_, Self>) {
        let Letter {
            node,
            client,
            endpoint,
            ..
        } = letter;
        self.calls[to.call].stage = Stage::Dialling(Some(Goal::Endpoint(endpoint)));
        self.send_letter(letter, context);
        let most = facts::ZTUNNEL_TUNNEL_CONNECTIONS_MAX.value as usize;
        let ends = (client, endpoint.pod);
        let Some(Tunnel::Open(open)) = self.ztunnel(node).tunnels.all.get_mut(&ends) else {
            unreachable!("it was looked up just now");
        };
        open.connections += 1;
        if open.connections < most {
            return;
        }
        // Those that ended have not been counted off.
        let inside = self.connections_inside(client, endpoint.tunnel);
        let tunnels = &mut self.ztunnel(node).tunnels.all;
        if inside >= most {
            tunnels.remove(&ends);
        } else if let Some(Tunnel::Open(open)) = tunnels.get_mut(&ends) {
            open.connections = inside;
        }
    }

    /// How many connections of a pod are inside of a tunnel.
    fn connections_inside(&self, client: u32, tunnel: u32) -> usize {
        let is_one = |call: &Call| {
            let plan = &self.plans[call.plan as usize];
            // Many requests share a connection of HTTP/2, which its pool has.
            let is_own =
                plan.protocol != Protocol::Http2 || matches!(call.stage, Stage::Dialling(_));
            let endpoint = call.stage.endpoint();
            let is_inside = endpoint.is_some_and(|endpoint| endpoint.tunnel == tunnel);
            plan.from_pod && call.client == client && is_own && is_inside
        };
        let asking = self.calls.iter().filter(|(_, call)| is_one(call)).count();
        asking + self.pools.inside(Address::Pod(self.id, client), tunnel)
    }

    fn send_letter(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let (client, server) = (self.spot(letter.client), self.spot(letter.endpoint.pod));
        let (from, to) = match letter.step.goes_back() {
            true => (server, client),
            false => (client, server),
        };
        let identity = letter.identity.part(letter.step.number());
        let packet = Packet::Tunnel(letter);
        self.carry(Duration::ZERO, (from, to), packet, identity, context);
    }

    /// Something arrives on the way of a tunnel.
    pub(crate) fn take_letter(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        match letter.step {
            Step::Syn => self.tunnel_asked(letter, context),
            Step::SynAnswer => self.send_letter(letter.answered(Step::Hello), context),
            Step::Hello => self.tunnel_greeted(letter, context),
            Step::Welcome => self.hand(letter.node, Job::Welcomed(letter), context),
            Step::Refused => self.tunnel_failed(letter, context),
            Step::Connect(to) => self.connection_asked(letter, to, context),
            Step::Connected(to) => {
                if self.is_carried(to) {
                    self.established(to, letter.endpoint, context);
                }
            }
            Step::Denied(to) => {
                if self.is_carried(to) {
                    self.connection_failed(to.call, Reason::Reset, context);
                }
            }
        }
    }

    /// Whether a call still waits for its connection.
    fn is_carried(&self, to: CallRef) -> bool {
        self.awaits(to) && matches!(self.calls[to.call].stage, Stage::Dialling(_))
    }

    /// Nothing answers: the opener gives up in its time.
    fn go_unanswered(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let rest = letter.given_up.saturating_since(context.now());
        let given_up = letter.answered(Step::Refused);
        self.post(rest, Packet::Tunnel(given_up), context);
    }

    fn tunnel_asked(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let endpoint = letter.endpoint;
        match self.fate(endpoint) {
            Fate::Dropped => self.go_unanswered(letter, context),
            Fate::Refused => self.send_letter(letter.answered(Step::Refused), context),
            Fate::Served => {
                let answer = match self.listener_at(endpoint, None) {
                    None => letter.answered(Step::Refused),
                    Some(listener) => Letter {
                        endpoint: Endpoint {
                            listener,
                            ..endpoint
                        },
                        ..letter.answered(Step::SynAnswer)
                    },
                };
                self.send_letter(answer, context);
            }
        }
    }

    fn tunnel_greeted(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let endpoint = letter.endpoint;
        let now = context.now();
        let both = [letter.client, endpoint.pod];
        let are_certified = both.into_iter().all(|pod| self.is_certified(pod, now));
        match self.fate(endpoint) {
            Fate::Dropped => self.go_unanswered(letter, context),
            Fate::Served if !are_certified => {
                self.send_letter(letter.answered(Step::Refused), context);
            }
            Fate::Refused => self.send_letter(letter.answered(Step::Refused), context),
            Fate::Served => match self.carrier(endpoint.pod) {
                Some(node) => self.hand(node, Job::Greeted(letter), context),
                None => {
                    let job = sidecar::Job::GreetedByZtunnel(letter);
                    let thread = endpoint.listener.thread();
                    self.give(endpoint.pod, thread, job, context);
                }
            },
        }
    }

    /// The other end has agreed to a tunnel.
    pub(super) fn welcome(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        self.send_letter(letter.answered(Step::Welcome), context);
    }

    /// A tunnel is there: all that wait for it ask for their connections.
    pub(super) fn tunnel_opened(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let endpoint = Endpoint {
            secured: true,
            tunnel: letter.number,
            ..letter.endpoint
        };
        let open = Open {
            endpoint,
            used: context.now(),
            connections: 0,
        };
        for to in self.take_waiting(letter, Some(Tunnel::Open(open))) {
            if self.is_carried(to)
                && let Some(asked) = self.calls[to.call].stage.endpoint()
            {
                self.enter_tunnel(letter.node, to, asked, context);
            }
        }
    }

    /// There will be none: the connections that wait for it break.
    fn tunnel_failed(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        for to in self.take_waiting(letter, None) {
            if self.is_carried(to) {
                self.connection_failed(to.call, Reason::Reset, context);
            }
        }
    }

    /// Those who wait for a tunnel that is being opened, in whose place comes what became of it.
    fn take_waiting(&mut self, letter: Letter, becomes: Option<Tunnel>) -> Vec<CallRef> {
        let ends = (letter.client, letter.endpoint.pod);
        let tunnels = &mut self.ztunnel(letter.node).tunnels.all;
        match tunnels.remove(&ends) {
            Some(Tunnel::Opening { number, waiting }) if number == letter.number => {
                if let Some(tunnel) = becomes {
                    tunnels.insert(ends, tunnel);
                }
                waiting
            }
            // Its pod was gone meanwhile, or another one is being opened.
            other => {
                if let Some(other) = other {
                    tunnels.insert(ends, other);
                }
                Vec::new()
            }
        }
    }

    fn connection_asked(&mut self, letter: Letter, to: CallRef, context: &mut Clock<'_, Self>) {
        let endpoint = letter.endpoint;
        let listens = self.pods[endpoint.pod as usize].listens(context.now());
        match self.fate(endpoint) {
            Fate::Dropped => {}
            Fate::Served if listens => match self.carrier(endpoint.pod) {
                Some(node) => self.hand(node, Job::Inbound(letter), context),
                None => self.send_letter(letter.answered(Step::Connected(to)), context),
            },
            _ => self.send_letter(letter.answered(Step::Denied(to)), context),
        }
    }

    /// A ztunnel opens a connection to a pod of its node for one that came through a tunnel, if
    /// policies allow it.
    pub(super) fn connect_through(&mut self, letter: Letter, context: &mut Clock<'_, Self>) {
        let Step::Connect(to) = letter.step else {
            unreachable!("only connections are taken");
        };
        let pod = letter.endpoint.pod;
        let client = self.pods[letter.client as usize].workload;
        let node = self.carrier(pod).expect("its ztunnel has taken it");
        // Ztunnels open tunnels from the addresses of those whose connections they carry.
        let source = |domain: &Self| IpAddr::V4(domain.address_of(letter.client));
        let step = match self.lets_in_at(node, letter.endpoint, Some(client), source) {
            true => Step::Connected(to),
            false => Step::Denied(to),
        };
        self.send_letter(letter.answered(step), context);
    }
}
