//! Connections of a client: opening them, keeping them, losing them.
//!
//! Models: HTTP/1.1 with keep-alive (one request at a time, idle connections kept up to a
//! timeout, the most recently used first), HTTP/1.1 without keep-alive, HTTP/2 (all requests
//! to a target share one connection). A new connection costs a lookup of the name where the
//! client does not know it, and one round trip; lost SYNs are sent again on Linux's schedule.
//! A caller that gives up closes its HTTP/1.1 connection. A connection stays with its pod
//! for life (conntrack), whatever becomes of the service's endpoints.
//!
//! Approximated: a pool is looked through when it is used, so idle connections close then; a
//! client learns at once that an endpoint closed its idle connections; a connection that was
//! opened for a caller that has given up is not kept; name lookups within a cluster take one
//! fixed time. Limits on the number of connections are left out.
//! Sources: RFC 9110 to 9113, Linux's TCP, Go's `net/http`; [`crate::facts`].
//! Validated by: latencies computed by hand in the crate's tests.

use super::call::Stage;
use super::link::{Address, Goal, Leg, Packet};
use super::{CallRef, Endpoint, Outcome, Target};
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::record::{Caller, Reason};
use crate::scenario::{ClusterId, GlobalNameId, Protocol, ServiceId, ServiceKind};
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

/// The wait after a SYN that was sent `sent` times before; `None` if it was the last.
fn syn_wait(sent: u32) -> Option<Duration> {
    let linear = facts::TCP_SYN_LINEAR_TIMEOUTS.value;
    if sent > facts::TCP_SYN_RETRIES.value + linear {
        return None;
    }
    let doublings = sent.saturating_sub(linear);
    Some(facts::TCP_SYN_TIMEOUT.value * (1 << doublings))
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

    fn pool_key(&self, key: Key, endpoint: Option<Endpoint>) -> (Address, PoolTarget) {
        let target = match self.plans[self.calls[key].plan as usize].target {
            Target::Service(cluster, service) => PoolTarget::Service(cluster, service),
            Target::Global(name) => PoolTarget::Global(name),
            Target::Backend(_) => PoolTarget::Pod(endpoint.map_or(u32::MAX, |chosen| chosen.pod)),
        };
        (self.address(key), target)
    }

    /// An attempt gets itself a connection.
    pub(crate) fn open(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
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
            Protocol::Http1Close => {}
            Protocol::Http1 { idle_timeout } => {
                let pool = self.pools.entry(pool_key).or_default();
                if let Some((endpoint, since)) = pool.idle.pop() {
                    if since.saturating_add(idle_timeout) > context.now() {
                        return self.send_request(key, endpoint, context);
                    }
                    // The most recently used one is too old, so all are.
                    pool.idle.clear();
                }
            }
            Protocol::Http2 => {
                let pool = self.pools.entry(pool_key).or_default();
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

    /// From a name to an address.
    fn resolve(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let (client, attempt) = (call.client, call.attempt);
        match self.plans[call.plan as usize].target {
            Target::Service(cluster, service) if Some(cluster) == self.cluster => {
                let known_until = self.lookups.get(&(client, service));
                if known_until.is_some_and(|&until| until > context.now()) {
                    return self.connect(key, context);
                }
                self.calls[key].stage = Stage::Resolving;
                let event = Event::Resolved { attempt, call: key };
                context.after(facts::CLUSTER_DNS_LOOKUP.value, event);
            }
            Target::Service(_, service) => self.dial(key, Goal::Entry(service), context),
            Target::Global(name) => self.resolve_globally(key, name, context),
            Target::Backend(_) => unreachable!("backends are addresses"),
        }
    }

    /// The cluster's DNS has answered a pod.
    pub(crate) fn resolved(&mut self, key: Key, attempt: u16, context: &mut Clock<'_, Self>) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        if call.attempt != attempt || call.stage != Stage::Resolving {
            return;
        }
        if let Target::Service(_, service) = self.plans[call.plan as usize].target {
            let until = context.now() + facts::CLUSTER_DNS_TTL.value;
            self.lookups.insert((call.client, service), until);
        }
        self.connect(key, context);
    }

    /// From the address of a service of this cluster to a pod, by the rules of the client's
    /// node, and on to the handshake.
    fn connect(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let (client, identity) = (call.client, call.work());
        let Target::Service(cluster, service) = self.plans[call.plan as usize].target else {
            return;
        };
        let described = &self.topology.cluster(cluster).services[service.index()];
        let node = self.pods[client as usize].node;
        let choice = if described.kind == ServiceKind::Headless {
            self.choose_address(service, identity)
        } else {
            let address = self.address(key);
            let policy = described.internal_policy;
            self.choose_endpoint(node, service, address, policy, identity, context.now())
        };
        match choice {
            super::service::Choice::Pod(pod) => {
                let endpoint = self.endpoint(pod, service, None);
                self.dial(key, Goal::Endpoint(endpoint), context);
            }
            super::service::Choice::Refuse => {
                self.connection_failed(key, Reason::NoEndpoints, context);
            }
            super::service::Choice::Drop => {
                self.calls[key].stage = Stage::Dialling(None);
                self.await_syn_answer(key, 0, context);
            }
        }
    }

    /// The handshake begins.
    pub(crate) fn dial(&mut self, key: Key, goal: Goal, context: &mut Clock<'_, Self>) {
        self.calls[key].stage = Stage::Dialling(Some(goal));
        self.send_syn(key, 0, context);
    }

    fn send_syn(&mut self, key: Key, sent: u8, context: &mut Clock<'_, Self>) {
        let address = self.address(key);
        let call = &self.calls[key];
        let Stage::Dialling(Some(goal)) = call.stage else {
            return;
        };
        let identity = call.work();
        let packet = Packet::Syn {
            from: CallRef {
                partition: self.id,
                attempt: call.attempt,
                call: key,
            },
            address,
            identity,
            goal,
            sent,
        };
        let client = call.client;
        let trip = identity.part(u64::from(sent));
        match goal {
            Goal::Endpoint(endpoint) => {
                let (from, to) = (self.spot(client), self.spot(endpoint.pod));
                if let Some(delay) = self.trip_inside(context.now(), from, to, 0, trip, Leg::Syn) {
                    self.post(delay, packet, context);
                }
            }
            Goal::Entry(_) => {
                let to = self.destination(key);
                self.send_out(to, Duration::ZERO, packet, trip, context);
            }
        }
        self.await_syn_answer(key, sent, context);
    }

    /// The partition that a dialling call looks for an entry in.
    fn destination(&self, key: Key) -> u16 {
        let call = &self.calls[key];
        match self.plans[call.plan as usize].target {
            Target::Service(cluster, _) => cluster.0 as u16,
            Target::Global(_) => call.resolved.0 as u16,
            Target::Backend(_) => self.id,
        }
    }

    fn await_syn_answer(&mut self, key: Key, sent: u8, context: &mut Clock<'_, Self>) {
        let attempt = self.calls[key].attempt;
        match syn_wait(u32::from(sent)) {
            Some(wait) => {
                let class = context.timer_class(wait);
                let event = Event::SynTimedOut {
                    attempt,
                    sent,
                    call: key,
                };
                context.arm(class, event);
            }
            None => self.connection_failed(key, Reason::ConnectTimeout, context),
        }
    }

    /// No answer to a SYN in time.
    pub(crate) fn syn_timed_out(
        &mut self,
        key: Key,
        attempt: u16,
        sent: u8,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        if call.attempt != attempt {
            return;
        }
        match call.stage {
            Stage::Dialling(Some(_)) if syn_wait(u32::from(sent) + 1).is_some() => {
                self.send_syn(key, sent + 1, context);
            }
            Stage::Dialling(_) => self.await_syn_answer(key, sent + 1, context),
            _ => {}
        }
    }

    /// A connection is open.
    pub(crate) fn connected(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) || !matches!(self.calls[to.call].stage, Stage::Dialling(_)) {
            return;
        }
        let plan = self.calls[to.call].plan;
        if self.plans[plan as usize].protocol == Protocol::Http2 {
            let pool_key = self.pool_key(to.call, Some(endpoint));
            let open = Shared::Open(endpoint, Some(context.now()));
            let pool = self.pools.entry(pool_key).or_default();
            let waiting = std::mem::replace(&mut pool.shared, open);
            self.send_request(to.call, endpoint, context);
            if let Shared::Opening(waiting) = waiting {
                for (call, attempt) in waiting {
                    let reference = CallRef {
                        call,
                        attempt,
                        ..to
                    };
                    if self.awaits(reference) && self.calls[call].stage == Stage::Queued {
                        self.send_request(call, endpoint, context);
                    }
                }
            }
            return;
        }
        self.send_request(to.call, endpoint, context);
    }

    fn send_request(&mut self, key: Key, endpoint: Endpoint, context: &mut Clock<'_, Self>) {
        let call = &mut self.calls[key];
        call.stage = Stage::Waiting(endpoint);
        let (identity, client, bytes) = (call.work(), call.client, call.request_bytes);
        let packet = Packet::Request {
            from: CallRef {
                partition: self.id,
                attempt: call.attempt,
                call: key,
            },
            identity,
            endpoint,
            traffic: call.traffic,
            bytes,
        };
        if Some(endpoint.cluster) == self.cluster && endpoint.entry.is_none() {
            let (from, to) = (self.spot(client), self.spot(endpoint.pod));
            let delay = self.trip_inside(context.now(), from, to, bytes, identity, Leg::Request);
            if let Some(delay) = delay {
                self.post(delay, packet, context);
            }
        } else {
            let to = endpoint.cluster.0 as u16;
            self.send_out(to, Duration::ZERO, packet, identity, context);
        }
    }

    /// A connection was refused.
    pub(crate) fn refused(&mut self, to: CallRef, context: &mut Clock<'_, Self>) {
        if self.awaits(to) && matches!(self.calls[to.call].stage, Stage::Dialling(_)) {
            self.connection_failed(to.call, Reason::Refused, context);
        }
    }

    /// The connection of a request broke.
    pub(crate) fn reset(&mut self, to: CallRef, context: &mut Clock<'_, Self>) {
        if !self.awaits(to) {
            return;
        }
        if let Stage::Waiting(endpoint) = self.calls[to.call].stage {
            self.drop_shared(to.call, endpoint);
            self.attempt_ended(to.call, Err(Reason::Reset), context);
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
        let protocol = self.plans[call.plan as usize].protocol;
        let pool_key = self.pool_key(to.call, Some(endpoint));
        match protocol {
            Protocol::Http1 { .. } if !closing => {
                let pool = self.pools.entry(pool_key).or_default();
                pool.idle.push((endpoint, context.now()));
            }
            Protocol::Http2 => {
                let pool = self.pools.entry(pool_key).or_default();
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
        let call = &self.calls[key];
        if self.plans[call.plan as usize].protocol != Protocol::Http2 {
            return; // Closed with the attempt: it is in no pool.
        }
        match call.stage {
            Stage::Waiting(endpoint) => {
                let pool_key = self.pool_key(key, Some(endpoint));
                let now = context.now();
                if let Some(pool) = self.pools.get_mut(&pool_key) {
                    let dead = matches!(pool.shared, Shared::Open(_, Some(since))
                        if now.saturating_since(since) >= tcp_patience());
                    if dead {
                        pool.shared = Shared::None;
                    }
                }
            }
            Stage::Resolving | Stage::Dialling(_) => self.hand_over_dialling(key, context),
            Stage::Queued | Stage::Paused => {}
        }
    }

    /// Whoever else waits for the connection that `key` was opening opens it instead.
    fn hand_over_dialling(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let chosen = match self.calls[key].stage {
            Stage::Dialling(Some(Goal::Endpoint(endpoint))) => Some(endpoint),
            _ => None,
        };
        let pool_key = self.pool_key(key, chosen);
        let Some(pool) = self.pools.get_mut(&pool_key) else {
            return;
        };
        let Shared::Opening(mut waiting) = std::mem::take(&mut pool.shared) else {
            return;
        };
        while !waiting.is_empty() {
            let (call, attempt) = waiting.remove(0);
            let reference = CallRef {
                partition: self.id,
                attempt,
                call,
            };
            if self.awaits(reference) && self.calls[call].stage == Stage::Queued {
                if let Some(pool) = self.pools.get_mut(&pool_key) {
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
    fn connection_failed(&mut self, key: Key, reason: Reason, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        if self.plans[call.plan as usize].protocol == Protocol::Http2 {
            let chosen = match call.stage {
                Stage::Dialling(Some(Goal::Endpoint(endpoint))) => Some(endpoint),
                _ => None,
            };
            let pool_key = self.pool_key(key, chosen);
            let pool = self.pools.entry(pool_key).or_default();
            if let Shared::Opening(waiting) = std::mem::take(&mut pool.shared) {
                for (call, attempt) in waiting {
                    let reference = CallRef {
                        partition: self.id,
                        attempt,
                        call,
                    };
                    if self.awaits(reference) && self.calls[call].stage == Stage::Queued {
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
        let pool = self.pools.get_mut(&pool_key);
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
        for pool in self.pools.values_mut() {
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
    fn syns_follow_linux_and_end_after_131_seconds() {
        let waits: Vec<_> = (0..).map_while(syn_wait).collect();
        let seconds: Vec<_> = waits
            .iter()
            .map(|wait| wait.as_nanos() / 1_000_000_000)
            .collect();
        assert_eq!(seconds, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(seconds.iter().sum::<u64>(), 131);
    }

    #[test]
    fn data_are_given_up_after_the_hypothetical_timeout_of_linux() {
        // ip-sysctl.rst: 924.6 seconds with the default of 15 retries.
        assert_eq!(tcp_patience(), Duration::from_millis(924_600));
    }
}
