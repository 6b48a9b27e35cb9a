//! A worker's pool of connections to one host.
//!
//! Models: a request takes the connection that became ready last; without one it waits, if it
//! may, and connections are opened while more requests wait than those under way will carry, at
//! most three for one event. The limit on connections holds but for a host that has none. A
//! request that waits goes to the first connection that is ready, in order of arrival; the limit
//! on active requests is asked then, so that with it exhausted all that wait are refused at once.
//! A connection carries one request (HTTP/1.1) or many (HTTP/2), and so many in its life. A
//! failed connection takes all that wait with it. A stream that is cut ends an HTTP/1.1
//! connection, and only itself on HTTP/2. A connection without requests is closed after a while;
//! one that is too old takes no more of them. One that is only handed on breaks, with whatever is
//! under way, when nothing has come or gone for a while, or when it is too old. Timers are the
//! caller's: it looks when the pool says.
//! Leaves out: connections opened ahead of need; limits that the upstream announces.
//! Approximated: a connection that is handed on carries what anybody sends, one after the other; of
//! what it carries only that it is sent, and that it is answered, keep it from being idle.
//! Sources: envoyproxy/envoy source/common/conn_pool/conn_pool_base.cc,
//! source/common/tcp_proxy/tcp_proxy.cc (onIdleTimeout, onMaxDownstreamConnectionDuration).
//! Validated by: the traces below and recorded bursts, limits and counts of connections.

use super::breaker::Breakers;
use crate::facts;
use engine::{Duration, Time};
use std::collections::VecDeque;

/// What a pool's connections carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests at a time: one with HTTP/1.1, the limit of streams with HTTP/2.
    pub streams_max: u32,
    /// Requests in its life, if that is limited.
    pub requests_max: Option<u32>,
    /// What a cut stream does to its connection.
    pub cut: Ends,
    /// How long a connection may be without requests, if that is limited.
    pub idle_timeout: Option<Duration>,
    /// How old it may become, if that is limited.
    pub lifetime: Option<Duration>,
    /// What becomes of one whose time is up.
    pub overdue: Overdue,
}

/// What becomes of a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It ends once it carries nothing.
    Drains,
    /// It breaks, with what it carries, which need not wait for an answer to be idle.
    Breaks,
}

impl Overdue {
    /// Whether a connection with so many streams may be idle, and end at once.
    fn may_end(self, streams: u32) -> bool {
        streams == 0 || self == Overdue::Breaks
    }
}

/// What ends when a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The connection.
    Connection,
    /// The stream alone.
    Stream,
}

impl Settings {
    /// HTTP/1.1.
    pub fn http1() -> Self {
        Settings {
            streams_max: 1,
            requests_max: None,
            cut: Ends::Connection,
            idle_timeout: Some(facts::ENVOY_IDLE_TIMEOUT.value),
            lifetime: None,
            overdue: Overdue::Drains,
        }
    }

    /// Connections that are handed on, which may carry nothing for so long and become so old; zero
    /// is for ever, and an hour without anything is Envoy's own limit.
    pub fn bytes(idle_timeout: Option<Duration>, lifetime: Option<Duration>) -> Self {
        let idle = idle_timeout.unwrap_or(facts::ENVOY_TCP_IDLE_TIMEOUT.value);
        Settings {
            idle_timeout: Some(idle).filter(|idle| !idle.is_zero()),
            lifetime,
            overdue: Overdue::Breaks,
            ..Settings::http1()
        }
    }

    /// HTTP/2 of Envoy 1.`minor`.
    pub fn http2(minor: u32) -> Self {
        let streams_max = match minor >= facts::ENVOY_STREAMS_MAX_FROM_MINOR.value {
            true => facts::ENVOY_STREAMS_MAX.value,
            false => facts::ENVOY_STREAMS_MAX_BEFORE.value,
        };
        Settings {
            streams_max,
            cut: Ends::Stream,
            ..Settings::http1()
        }
    }
}

/// What the caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open this connection, then say `connected` or `failed`.
    Open(u32),
    /// Send this request on this connection, then say `ended`.
    Send {
        /// The request.
        request: u32,
        /// The connection.
        connection: u32,
    },
    /// A limit refuses this request.
    Refuse(u32),
    /// This request's connection failed.
    Fail(u32),
    /// This connection is over.
    Close(u32),
    /// This connection is over, and with it what it carries.
    Break {
        /// The connection.
        connection: u32,
        /// Whether it was too old, and not idle.
        is_old: bool,
    },
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Complete,
    /// It was cut: by a timeout, or because the caller went away.
    Cut,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Ready,
    /// It carries all that it can.
    Busy,
    /// It ends with the last of its requests.
    Draining,
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    state: State,
    streams: u32,
    left: u32,
    /// When it was opened, and since when it carries nothing, if it does not.
    opened: Time,
    idle_since: Time,
}

impl Connection {
    /// How many requests it will take as it is.
    fn capacity(&self, streams_max: u32) -> u64 {
        u64::from(self.left.min(streams_max))
    }

    /// Whether it has come up and is not on its way out.
    fn takes_requests(&self) -> bool {
        matches!(self.state, State::Ready | State::Busy)
    }
}

/// The pool.
#[derive(Clone, Debug)]
pub struct Pool {
    settings: Settings,
    connections: Vec<Connection>,
    free: Vec<u32>,
    /// The last became ready last.
    ready: Vec<u32>,
    pending: VecDeque<u32>,
    /// Requests that connections under way will carry.
    connecting_capacity: u64,
    open: u32,
    active: u32,
}

impl Pool {
    /// A pool without connections.
    pub fn new(settings: Settings) -> Self {
        Pool {
            settings,
            connections: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            pending: VecDeque::new(),
            connecting_capacity: 0,
            open: 0,
            active: 0,
        }
    }

    /// What ends when a stream is cut.
    pub fn cut(&self) -> Ends {
        self.settings.cut
    }

    /// Connections that are open or under way.
    pub fn connections(&self) -> u32 {
        self.open
    }

    /// Requests under way.
    pub fn active(&self) -> u32 {
        self.active
    }

    /// Requests that wait.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A request arrives; what follows is told to `act` in order.
    pub fn ask(&mut self, request: u32, breakers: &mut Breakers, mut act: impl FnMut(Action)) {
        if let Some(&connection) = self.ready.last() {
            self.attach(request, connection, breakers, &mut act);
            return;
        }
        if !breakers.pending.has() {
            act(Action::Refuse(request));
            return;
        }
        breakers.pending.take();
        self.pending.push_back(request);
        self.open_some(breakers, &mut act);
    }

    /// A request that waits no longer wants to: whether it was waiting.
    pub fn cancel(&mut self, request: u32, breakers: &mut Breakers) -> bool {
        let place = self.pending.iter().position(|&waiting| waiting == request);
        if let Some(place) = place {
            self.pending.remove(place);
            breakers.pending.give();
        }
        place.is_some()
    }

    /// A connection has come up.
    ///
    /// # Panics
    /// If it was not under way.
    pub fn connected(
        &mut self,
        connection: u32,
        now: Time,
        breakers: &mut Breakers,
        mut act: impl FnMut(Action),
    ) {
        self.leave_connecting(connection);
        let known = &mut self.connections[connection as usize];
        known.state = State::Ready;
        (known.opened, known.idle_since) = (now, now);
        self.ready.push(connection);
        self.serve(breakers, &mut act);
    }

    /// A connection was refused or did not come up in time.
    ///
    /// # Panics
    /// If it was not under way.
    pub fn failed(
        &mut self,
        connection: u32,
        breakers: &mut Breakers,
        mut act: impl FnMut(Action),
    ) {
        self.leave_connecting(connection);
        self.discard(connection, breakers);
        // A retry may ask again from within; what waits now fails together.
        for request in std::mem::take(&mut self.pending) {
            breakers.pending.give();
            act(Action::Fail(request));
        }
    }

    /// Something is sent on a connection.
    pub fn sent(&mut self, connection: u32, now: Time) {
        self.connections[connection as usize].idle_since = now;
    }

    /// A stream on a connection has ended.
    ///
    /// # Panics
    /// If the connection carries none.
    pub fn ended(
        &mut self,
        connection: u32,
        (end, now): (End, Time),
        breakers: &mut Breakers,
        mut act: impl FnMut(Action),
    ) {
        let known = &mut self.connections[connection as usize];
        assert!(known.streams > 0, "a stream ends that was not there");
        known.streams -= 1;
        known.idle_since = now;
        self.active -= 1;
        breakers.requests.give();
        let (state, streams) = (known.state, known.streams);
        let cut = end == End::Cut && self.settings.cut == Ends::Connection;
        if cut || state == State::Draining && streams == 0 {
            self.ready.retain(|&ready| ready != connection);
            self.discard(connection, breakers);
            act(Action::Close(connection));
            self.open_some(breakers, &mut act);
        } else if state == State::Busy {
            self.connections[connection as usize].state = State::Ready;
            self.ready.push(connection);
            self.serve(breakers, &mut act);
        }
    }

    /// A connection is closed, by the host or by a timer; its streams are cut and `act` is not
    /// told of them.
    pub fn close(&mut self, connection: u32, breakers: &mut Breakers, mut act: impl FnMut(Action)) {
        self.cut_off(connection, breakers);
        self.open_some(breakers, &mut act);
    }

    /// Takes a connection out, with its streams.
    fn cut_off(&mut self, connection: u32, breakers: &mut Breakers) {
        let streams = self.connections[connection as usize].streams;
        self.active -= streams;
        (0..streams).for_each(|_| breakers.requests.give());
        self.ready.retain(|&ready| ready != connection);
        self.discard(connection, breakers);
    }

    /// When a connection may be idle for too long or too old, at the earliest, whatever comes
    /// until then; `None` while there is none that may.
    pub fn look_next(&self, now: Time) -> Option<Time> {
        let known = self.connections.iter().filter(|it| it.takes_requests());
        let ends = known.map(|connection| {
            let idle_since = match self.settings.overdue.may_end(connection.streams) {
                true => connection.idle_since,
                false => now,
            };
            let idle = self.settings.idle_timeout;
            let idle = idle.map(|it| idle_since.saturating_add(it));
            let old = self.settings.lifetime;
            let old = old.map(|it| connection.opened.saturating_add(it));
            idle.into_iter().chain(old).min()
        });
        ends.flatten().min()
    }

    /// Closes connections that have been idle for too long, and lets those that are too old take
    /// no more requests; or breaks either.
    pub fn look(&mut self, now: Time, breakers: &mut Breakers, mut act: impl FnMut(Action)) {
        let is_over = |since: Time, limit: Option<Duration>| {
            limit.is_some_and(|limit| since.saturating_add(limit) <= now)
        };
        let Settings {
            idle_timeout,
            lifetime,
            overdue,
            ..
        } = self.settings;
        let mut closed = false;
        for index in 0..self.connections.len() as u32 {
            let known = self.connections[index as usize];
            let may_end = overdue.may_end(known.streams);
            let is_old = is_over(known.opened, lifetime);
            let is_up = is_old || may_end && is_over(known.idle_since, idle_timeout);
            if !known.takes_requests() || !is_up {
                continue;
            }
            if may_end {
                self.cut_off(index, breakers);
                act(match known.streams {
                    0 => Action::Close(index),
                    _ => Action::Break {
                        connection: index,
                        is_old,
                    },
                });
                closed = true;
            } else {
                self.ready.retain(|&ready| ready != index);
                self.connections[index as usize].state = State::Draining;
            }
        }
        if closed {
            self.open_some(breakers, &mut act);
        }
    }

    /// Sends a request on a ready connection, if the limit allows.
    fn attach(
        &mut self,
        request: u32,
        connection: u32,
        breakers: &mut Breakers,
        act: &mut impl FnMut(Action),
    ) {
        if !breakers.requests.has() {
            act(Action::Refuse(request));
            return;
        }
        breakers.requests.take();
        self.active += 1;
        let streams_max = self.settings.streams_max;
        let known = &mut self.connections[connection as usize];
        known.streams += 1;
        known.left -= 1;
        if known.left == 0 {
            known.state = State::Draining;
        } else if known.streams >= streams_max {
            known.state = State::Busy;
        }
        if known.state != State::Ready {
            self.ready.pop();
        }
        act(Action::Send {
            request,
            connection,
        });
    }

    /// Gives what waits to what is ready.
    fn serve(&mut self, breakers: &mut Breakers, act: &mut impl FnMut(Action)) {
        while let Some(&connection) = self.ready.last() {
            let Some(request) = self.pending.pop_front() else {
                return;
            };
            breakers.pending.give();
            self.attach(request, connection, breakers, act);
        }
        self.open_some(breakers, act);
    }

    /// Opens connections while more requests wait than those under way will carry.
    fn open_some(&mut self, breakers: &mut Breakers, act: &mut impl FnMut(Action)) {
        for _ in 0..facts::ENVOY_CONNECTS_PER_EVENT.value {
            let wanted = self.pending.len() as u64 > self.connecting_capacity;
            let allowed = breakers.connections.has();
            if !wanted || !allowed && self.open > 0 {
                return;
            }
            act(Action::Open(self.open_one(breakers)));
            if !allowed {
                return;
            }
        }
    }

    fn open_one(&mut self, breakers: &mut Breakers) -> u32 {
        breakers.connections.take();
        let connection = Connection {
            state: State::Connecting,
            streams: 0,
            left: self.settings.requests_max.unwrap_or(u32::MAX),
            opened: Time::ZERO,
            idle_since: Time::ZERO,
        };
        self.open += 1;
        self.connecting_capacity += connection.capacity(self.settings.streams_max);
        match self.free.pop() {
            Some(index) => {
                self.connections[index as usize] = connection;
                index
            }
            None => {
                self.connections.push(connection);
                self.connections.len() as u32 - 1
            }
        }
    }

    fn leave_connecting(&mut self, connection: u32) {
        let known = self.connections[connection as usize];
        assert!(
            known.state == State::Connecting,
            "a connection comes up that was not under way"
        );
        self.connecting_capacity -= known.capacity(self.settings.streams_max);
    }

    fn discard(&mut self, connection: u32, breakers: &mut Breakers) {
        self.connections[connection as usize].state = State::Gone;
        self.open -= 1;
        self.free.push(connection);
        breakers.connections.give();
    }
}

#[cfg(test)]
mod tests;
