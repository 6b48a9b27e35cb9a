//! Connections of a client: keeping them, sharing them, losing them.
//!
//! Models: HTTP/1.1 with keep-alive (one request at a time, idle connections kept up to a
//! timeout, the most recently used first), HTTP/1.1 without keep-alive, HTTP/2 (all requests
//! to a target share one connection). A caller that gives up closes its HTTP/1.1 connection. A
//! connection stays with its pod for life (conntrack), whatever becomes of the service's
//! endpoints: an HTTP/2 connection to an endpoint that swallows packets is kept, and fails
//! every request on it, until TCP gives it up after a quarter of an hour.
//!
//! Approximated: a pool is looked through when it is used, so idle connections close then; a
//! client learns at once that an endpoint of its cluster closed its idle connections, and one
//! trip later of another cluster's; a connection that was opened for a caller that has given
//! up is not kept. Leaves out: limits on the number of connections and of streams, pings, and
//! the second chance that some clients give a request whose kept connection broke.
//! Sources: RFC 9110 to 9113, Linux's TCP, Go's `net/http`; [`crate::facts`].
//! Validated by: latencies computed by hand in the crate's tests.

use super::call::Stage;
use super::flow::Peer;
use super::link::{Address, Goal, Packet, Spot};
use super::service::RequestArrival;
use super::{CallRef, Endpoint, Identity, Listener, Outcome, Owner, Target, ztunnel};
use crate::domain::{Clock, Domain};
use crate::envoy::pool::End;
use crate::facts;
use crate::istio::authentication::Outcome as Meeting;
use crate::memo::Memo;
use crate::record::{Caller, Reason};
use crate::scenario::{ClusterId, GlobalNameId, Protocol, ServiceId, Socket};
use crate::slab::Key;
use engine::{Duration, Time};

/// What a pool's connections lead to, as the client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PoolTarget {
    Service(ClusterId, ServiceId),
    Global(GlobalNameId),
    Pod(u32),
}

/// A client's connections to one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// Idle HTTP/1.1 connections and since when, the most recently used last.
    idle: Vec<(Endpoint, Time)>,
    /// The HTTP/2 connection.
    shared: Shared,
    /// Where the UDP socket leads to that is kept.
    pub(super) socket: Option<Peer>,
}

/// Whose connections to what, and to which of its ports.
type PoolKey = (Address, PoolTarget, u32);

/// All clients' connections.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    numbers: Memo<PoolKey>,
    all: Vec<Pool>,
    /// Numbers of pools that nobody has.
    free: Vec<u32>,
}

impl Pools {
    /// A client's connections to a target, if it ever had any.
    pub(super) fn get(&mut self, key: &PoolKey) -> Option<&mut Pool> {
        let number = self.numbers.get(spread(key), key)?;
        Some(&mut self.all[number as usize])
    }

    /// A client's connections to a target.
    pub(super) fn of(&mut self, key: PoolKey) -> &mut Pool {
        let known = self.numbers.get(spread(&key), &key);
        let number = known.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.all.push(Pool::default());
            self.all.len() as u32 - 1
        });
        if known.is_none() {
            self.numbers.insert(key, number);
        }
        &mut self.all[number as usize]
    }

    /// All connections of a client break; its sockets for UDP stay.
    pub(super) fn cut(&mut self, client: Address) {
        let of_it = self.numbers.iter().filter(|(key, _)| key.0 == client);
        for (_, number) in of_it {
            let pool = &mut self.all[number as usize];
            pool.idle.clear();
            pool.shared = Shared::None;
        }
    }

    /// How many connections a client keeps that a tunnel carries.
    pub(super) fn inside(&self, client: Address, tunnel: u32) -> usize {
        let of_it = self.numbers.iter().filter(|(key, _)| key.0 == client);
        of_it
            .map(|(_, number)| {
                let pool = &self.all[number as usize];
                let idle = pool.idle.iter().filter(|(kept, _)| kept.tunnel == tunnel);
                let shared = matches!(&pool.shared, Shared::Open(open, _) if open.tunnel == tunnel);
                idle.count() + usize::from(shared)
            })
            .sum()
    }

    /// A client is gone, with all its connections.
    pub(crate) fn forget(&mut self, client: Address) {
        let Pools { numbers, all, free } = self;
        numbers.retain(
            |(address, ..)| *address != client,
            |number| {
                all[number as usize] = Pool::default();
                free.push(number);
            },
        );
    }
}

fn spread((address, target, port): &PoolKey) -> u32 {
    let client = match address {
        Address::Client(traffic, client) => client.wrapping_add(traffic.0 << 4),
        Address::Pod(_, pod) => *pod,
    };
    let target = match target {
        PoolTarget::Service(cluster, service) => service.0 + (cluster.0 << 3),
        PoolTarget::Global(name) => name.0,
        PoolTarget::Pod(pod) => *pod,
    };
    client ^ target.wrapping_add(*port).wrapping_mul(21)
}

/// An HTTP/2 connection.
#[derive(Clone, Debug, Default)]
enum Shared {
    #[default]
    None,
    /// One call opens it, others wait for it.
    Opening(Vec<(Key, u16)>),
    /// Open; and since when requests on it have gone unanswered.
    Open(Endpoint, Option<Time>),
}

/// How long TCP sends unacknowledged data before it gives the connection up.
fn tcp_patience() -> Duration {
    let first = facts::TCP_RETRANSMISSION_TIMEOUT_MIN.value;
    (0..=facts::TCP_RETRIES.value)
        .map(|tries| {
            first
                .saturating_mul(1 << tries)
                .min(facts::TCP_RETRANSMISSION_TIMEOUT_MAX.value)
        })
        .sum()
}

impl Domain<'_> {
    /// Whether an attempt is still the one its call waits for.
    pub(crate) fn awaits(&self, reference: CallRef) -> bool {
        self.calls
            .get(reference.call)
            .is_some_and(|call| call.attempt == reference.attempt && call.stage != Stage::Paused)
    }

    /// Whether an attempt still waits for a connection that another call opens.
    fn is_queued(&self, call: Key, attempt: u16) -> bool {
        let known = self.calls.get(call);
        known.is_some_and(|call| call.attempt == attempt && call.stage == Stage::Queued)
    }

    /// How others name the present attempt of a call.
    pub(super) fn reference(&self, key: Key) -> CallRef {
        CallRef {
            partition: self.id,
            attempt: self.calls[key].attempt,
            call: key,
        }
    }

    /// The source address of a call.
    pub(crate) fn address(&self, key: Key) -> Address {
        let call = &self.calls[key];
        match self.plans[call.plan as usize].caller {
            Caller::Traffic(traffic) if !self.plans[call.plan as usize].from_pod => {
                Address::Client(traffic, call.client)
            }
            _ => Address::Pod(self.id, call.client),
        }
    }

    pub(super) fn pool_key(&self, key: Key, endpoint: Option<Endpoint>) -> PoolKey {
        let plan = &self.plans[self.calls[key].plan as usize];
        let target = match plan.target {
            Target::Service(cluster, service) => PoolTarget::Service(cluster, service),
            Target::Global(name) => PoolTarget::Global(name),
            Target::Backend(_) => PoolTarget::Pod(endpoint.map_or(u32::MAX, |chosen| chosen.pod)),
        };
        (self.address(key), target, plan.port)
    }

    /// An attempt gets itself a connection.
    pub(crate) fn open(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        if let Owner::Passage(_) = call.owner {
            return match self.plans[call.plan as usize].target {
                Target::Backend(_) => self.ask_upstream(key, context),
                // Its application knows the address.
                _ => self.connect(key, context),
            };
        }
        let plan = &self.plans[call.plan as usize];
        let protocol = plan.protocol;
        let chosen = match plan.target {
            Target::Backend(service) => match self.choose_backend(key, service) {
                Some(endpoint) => Some(endpoint),
                None => return self.attempt_ended(key, Err(Reason::NoEndpoints), context),
            },
            _ => None,
        };
        let pool_key = self.pool_key(key, chosen);
        let attempt = self.calls[key].attempt;
        match protocol {
            Protocol::Http1Close | Protocol::Udp(Socket::PerAttempt) => {}
            Protocol::Udp(Socket::Kept) => {
                let socket = self.pools.get(&pool_key).and_then(|pool| pool.socket);
                if let Some(peer) = socket {
                    return self.send_datagram(key, Socket::Kept, peer, context);
                }
            }
            Protocol::Http1 { idle_timeout } => {
                let pool = self.pools.of(pool_key);
                if let Some((endpoint, since)) = pool.idle.pop() {
                    if since.saturating_add(idle_timeout) > context.now() {
                        return self.send_request(key, endpoint, context);
                    }
                    // The most recently used one is too old, so all are.
                    pool.idle.clear();
                }
            }
            Protocol::Http2 => {
                let pool = self.pools.of(pool_key);
                match &mut pool.shared {
                    Shared::Open(endpoint, unanswered) => {
                        unanswered.get_or_insert(context.now());
                        let endpoint = *endpoint;
                        return self.send_request(key, endpoint, context);
                    }
                    Shared::Opening(waiting) => {
                        waiting.push((key, attempt));
                        self.calls[key].stage = Stage::Queued;
                        return;
                    }
                    Shared::None => pool.shared = Shared::Opening(Vec::new()),
                }
            }
        }
        match chosen {
            Some(endpoint) => self.dial(key, Goal::Endpoint(endpoint), context),
            None => self.resolve(key, context),
        }
    }

    /// A connection is open; between sidecars it is encrypted first.
    pub(crate) fn connected(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) || !matches!(self.calls[to.call].stage, Stage::Dialling(_)) {
            return;
        }
        match self.meets(to.call, endpoint, context.now()) {
            Meeting::Mutual => self.greet(to, endpoint, context),
            Meeting::HandshakeFails => self.connection_failed(to.call, Reason::Refused, context),
            Meeting::Plaintext | Meeting::ApplicationTls | Meeting::Reset => {
                self.established(to, endpoint, context);
            }
        }
    }

    /// A connection is ready for requests.
    pub(super) fn established(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        if let Owner::Line(line) = self.calls[to.call].owner {
            return self.line_opened(to.call, line, Some(endpoint), context);
        }
        let plan = self.calls[to.call].plan;
        if self.plans[plan as usize].protocol == Protocol::Http2 {
            let pool_key = self.pool_key(to.call, Some(endpoint));
            let open = Shared::Open(endpoint, Some(context.now()));
            let pool = self.pools.of(pool_key);
            let waiting = std::mem::replace(&mut pool.shared, open);
            self.send_request(to.call, endpoint, context);
            if let Shared::Opening(waiting) = waiting {
                for (call, attempt) in waiting {
                    if self.is_queued(call, attempt) {
                        self.send_request(call, endpoint, context);
                    }
                }
            }
            return;
        }
        self.send_request(to.call, endpoint, context);
    }

    pub(super) fn send_request(
        &mut self,
        key: Key,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        let call = &mut self.calls[key];
        call.stage = Stage::Waiting(endpoint);
        let (identity, client, bytes) = (call.work(), call.client, call.request_bytes);
        let (traffic, origin) = (call.traffic, call.origin);
        let from = self.reference(key);
        let request = RequestArrival {
            from,
            identity,
            endpoint,
            traffic,
            origin,
            bytes,
        };
        if let Listener::Outbound(_) = endpoint.listener {
            return self.enter_sidecar(request, context);
        }
        if let Some(node) = self.carrier_of(key) {
            let job = ztunnel::Job::Send { request, client };
            return self.hand(node, job, context);
        }
        let packet = Packet::Request(request);
        self.send_to(endpoint, client, packet, identity, context);
    }

    /// From a client to the endpoint that it is connected with.
    pub(super) fn send_to(
        &mut self,
        endpoint: Endpoint,
        client: u32,
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        if Some(endpoint.cluster) != self.cluster {
            let to = endpoint.cluster.0 as u16;
            return self.send_out(to, Duration::ZERO, packet, identity, context);
        }
        let from = self.spot(client);
        if endpoint.entry.is_none() {
            let between = (from, self.spot(endpoint.pod));
            return self.carry(Duration::ZERO, between, packet, identity, context);
        }
        // From a machine of a site, by the way of all who come from outside.
        let (bytes, leg) = packet.size_and_leg();
        if let Some(inside) = self.way_in(endpoint, bytes, identity, leg, context.now()) {
            self.carry(inside, (from, Spot::BORDER), packet, identity, context);
        }
    }

    /// The connection of a request broke.
    pub(crate) fn reset(&mut self, to: CallRef, context: &mut Clock<'_, Self>) {
        if !self.awaits(to) {
            return;
        }
        match self.calls[to.call].stage {
            Stage::Waiting(endpoint) => {
                match self.calls[to.call].owner {
                    Owner::Passage(passage) => {
                        self.stream_ended(passage, End::Cut, true, context);
                    }
                    _ => self.drop_shared(to.call, endpoint),
                }
                self.attempt_ended(to.call, Err(Reason::Reset), context);
            }
            Stage::Securing(_) => self.connection_failed(to.call, Reason::Reset, context),
            _ => {}
        }
    }

    /// A response arrives: its connection is free for others.
    pub(crate) fn responded(
        &mut self,
        to: CallRef,
        outcome: Outcome,
        bytes: u64,
        closing: bool,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) {
            return;
        }
        let call = &self.calls[to.call];
        let Stage::Waiting(endpoint) = call.stage else {
            return;
        };
        if let Owner::Passage(passage) = call.owner {
            self.calls[to.call].answer_bytes = bytes;
            self.stream_ended(passage, End::Complete, closing, context);
            return self.attempt_ended(to.call, outcome, context);
        }
        let protocol = self.plans[call.plan as usize].protocol;
        let pool_key = self.pool_key(to.call, Some(endpoint));
        match protocol {
            Protocol::Http1 { .. } if !closing => {
                let pool = self.pools.of(pool_key);
                pool.idle.push((endpoint, context.now()));
            }
            Protocol::Http2 => {
                let pool = self.pools.of(pool_key);
                if let Shared::Open(_, unanswered) = &mut pool.shared {
                    *unanswered = None;
                }
                if closing {
                    pool.shared = Shared::None;
                }
            }
            _ => {}
        }
        self.calls[to.call].answer_bytes = bytes;
        self.attempt_ended(to.call, outcome, context);
    }

    /// A caller gives an attempt up: what becomes of its connection.
    pub(crate) fn abandon(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        self.tell_of_leaving(key, context);
        let call = &self.calls[key];
        if let Owner::Passage(passage) = call.owner {
            return self.leave_attempt(key, passage, context);
        }
        if self.plans[call.plan as usize].protocol != Protocol::Http2 {
            return; // Closed with the attempt: it is in no pool.
        }
        match call.stage {
            Stage::Waiting(endpoint) => {
                let pool_key = self.pool_key(key, Some(endpoint));
                let now = context.now();
                if let Some(pool) = self.pools.get(&pool_key) {
                    let dead = matches!(pool.shared, Shared::Open(_, Some(since))
                        if now.saturating_since(since) >= tcp_patience());
                    if dead {
                        pool.shared = Shared::None;
                    }
                }
            }
            Stage::Resolving | Stage::Asking(_) | Stage::Dialling(_) | Stage::Securing(_) => {
                self.hand_over_dialling(key, context)
            }
            Stage::Queued | Stage::Paused | Stage::Sent(_) => {}
        }
    }

    /// Whoever else waits for the connection that `key` was opening opens it instead.
    fn hand_over_dialling(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let chosen = self.calls[key].stage.endpoint();
        let pool_key = self.pool_key(key, chosen);
        let Some(pool) = self.pools.get(&pool_key) else {
            return;
        };
        let Shared::Opening(mut waiting) = std::mem::take(&mut pool.shared) else {
            return;
        };
        while !waiting.is_empty() {
            let (call, attempt) = waiting.remove(0);
            if self.is_queued(call, attempt) {
                if let Some(pool) = self.pools.get(&pool_key) {
                    pool.shared = Shared::Opening(waiting);
                }
                match chosen {
                    Some(endpoint) => self.dial(call, Goal::Endpoint(endpoint), context),
                    None => self.resolve(call, context),
                }
                return;
            }
        }
    }

    /// No connection came about: the attempt has failed, and so have those that waited for
    /// the same connection.
    pub(super) fn connection_failed(
        &mut self,
        key: Key,
        reason: Reason,
        context: &mut Clock<'_, Self>,
    ) {
        let call = &self.calls[key];
        if self.plans[call.plan as usize].protocol == Protocol::Http2 {
            let chosen = call.stage.endpoint();
            let pool_key = self.pool_key(key, chosen);
            let pool = self.pools.of(pool_key);
            if let Shared::Opening(waiting) = std::mem::take(&mut pool.shared) {
                for (call, attempt) in waiting {
                    if self.is_queued(call, attempt) {
                        self.attempt_ended(call, Err(reason), context);
                    }
                }
            }
        }
        self.attempt_ended(key, Err(reason), context);
    }

    /// The HTTP/2 connection to an endpoint is gone, if there is one.
    fn drop_shared(&mut self, key: Key, endpoint: Endpoint) {
        let pool_key = self.pool_key(key, Some(endpoint));
        let pool = self.pools.get(&pool_key);
        let leads_there =
            |pool: &&mut Pool| matches!(pool.shared, Shared::Open(open, _) if open == endpoint);
        if let Some(pool) = pool.filter(leads_there) {
            pool.shared = Shared::None;
        }
    }

    /// A pod has closed all its idle connections.
    pub(crate) fn forget_connections(&mut self, cluster: ClusterId, pod: u32, restarts: u32) {
        let leads_there = |endpoint: &Endpoint| {
            (endpoint.cluster, endpoint.pod, endpoint.restarts) == (cluster, pod, restarts)
        };
        if Some(cluster) == self.cluster {
            self.forget_tunnels(pod);
        }
        for pool in &mut self.pools.all {
            pool.idle.retain(|(endpoint, _)| !leads_there(endpoint));
            if matches!(&pool.shared, Shared::Open(endpoint, _) if leads_there(endpoint)) {
                pool.shared = Shared::None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_given_up_after_the_hypothetical_timeout_of_linux() {
        // ip-sysctl.rst: 924.6 seconds with the default of 15 retries.
        assert_eq!(tcp_patience(), Duration::from_millis(924_600));
    }
}
