//! Connections of sidecars: their pools' wishes become handshakes, requests and ends.
//!
//! Models: a pool for each thread and pod decides when a connection is opened, which request goes
//! on which, and what ends with what; here that meets packets. A pod that closes its connections
//! takes those of sidecars with it.
//! Sources: envoyproxy/envoy source/common/conn_pool; [`crate::envoy::pool`].
//! Validated by: latencies and connections worked out by hand in the crate's tests.

use super::super::call::Stage;
use super::super::link::Goal;
use super::super::{Call, Endpoint, Identity, Owner};
use super::{Connection, HostPool, Line, Slot, Upstream};
use crate::domain::{Clock, Domain, Event};
use crate::envoy::breaker::Breakers;
use crate::envoy::flags::Flag;
use crate::envoy::pool::{Action, End, Ends, Pool};
use crate::istio::authentication::Sent as Spoken;
use crate::record::Reason;
use crate::slab::Key;

impl Domain<'_> {
    /// Something happens to a pool, and what follows from it is done.
    pub(super) fn with_pool(
        &mut self,
        slot: Slot,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut Pool, &mut Breakers, &mut dyn FnMut(Action)),
    ) {
        let mut actions = std::mem::take(&mut self.pool_actions);
        if let Some((thread, breakers)) = self.host_pool(slot) {
            happens(&mut thread.pool, breakers, &mut |action| {
                actions.push(action)
            });
        }
        for action in actions.drain(..) {
            self.act_for_pool(slot, action, context);
        }
        self.pool_actions = actions;
    }

    /// What a cut stream ends at the connections of a slot.
    pub(in crate::path) fn ends_at(&mut self, slot: Slot) -> Ends {
        let found = self.host_pool(slot);
        found.map_or(Ends::Connection, |(found, _)| found.pool.cut())
    }

    /// The thread whose connection it is.
    pub(in crate::path) fn thread_of(&mut self, slot: Slot) -> u8 {
        let upstream = self.upstream(slot.pod, slot.upstream);
        let threads = upstream
            .expect("a cluster with connections")
            .balancers
            .len();
        (usize::from(slot.pool) % threads) as u8
    }

    /// How a host is spoken to on a connection.
    pub(in crate::path) fn spoken(&mut self, line: Line) -> Option<Spoken> {
        let upstream = self.upstream(line.slot.pod, line.slot.upstream)?;
        Some(upstream.hosts[line.slot.host as usize].sent)
    }

    pub(super) fn host_pool(&mut self, slot: Slot) -> Option<(&mut HostPool, &mut Breakers)> {
        let sidecar = self.pods[slot.pod as usize].sidecar.as_mut()?;
        let Upstream {
            hosts, breakers, ..
        } = sidecar.upstream(slot.upstream)?;
        let host = &mut hosts[slot.host as usize];
        Some((&mut host.pools[usize::from(slot.pool)], breakers))
    }

    /// What a pool has under a number; nothing once its sidecar has ended.
    fn place(&mut self, slot: Slot, number: u32) -> Option<&mut Option<Connection>> {
        let (thread, _) = self.host_pool(slot)?;
        let number = number as usize;
        if thread.connections.len() <= number {
            thread.connections.resize(number + 1, None);
        }
        Some(&mut thread.connections[number])
    }

    /// The place of a connection, while it is there.
    fn connection(&mut self, line: Line) -> Option<&mut Option<Connection>> {
        let place = self.place(line.slot, line.number)?;
        let is_there = place.is_some_and(|it| it.serial == line.serial);
        is_there.then_some(place)
    }

    fn act_for_pool(&mut self, slot: Slot, action: Action, context: &mut Clock<'_, Self>) {
        match action {
            Action::Open(number) => self.open_line(slot, number, context),
            Action::Send {
                request,
                connection: number,
            } => {
                let known = self.host_pool(slot).and_then(|(thread, _)| {
                    thread.pool.sent(number, context.now());
                    thread.connections[number as usize]
                });
                let open = known.and_then(|it| Some((it.line(slot, number), it.endpoint?)));
                let (line, endpoint) = open.expect("a pool sends on what is open");
                let key = self.calls.key_of(request).expect("a request that waits");
                if let Owner::Passage(passage) = self.calls[key].owner {
                    self.passages[passage].line = Some(line);
                    self.tell_connected(slot, context);
                    self.await_end(key, context);
                }
                self.send_request(key, endpoint, context);
            }
            Action::Refuse(request) => self.end_unsent(request, Reason::Overflow, context),
            Action::Fail(request) => self.end_unsent(request, Reason::Refused, context),
            Action::Close(number) => {
                if let Some(place) = self.place(slot, number) {
                    *place = None;
                }
            }
            Action::Break {
                connection: number,
                is_old,
            } => {
                let broken = self.place(slot, number).and_then(Option::take);
                if let Some(line) = broken.map(|it| it.line(slot, number)) {
                    self.break_line(line, is_old, context);
                }
            }
        }
    }

    /// A proxy closes a connection that it only hands on, and so that of who is at its other end.
    fn break_line(&mut self, line: Line, is_old: bool, context: &mut Clock<'_, Self>) {
        let passages = self.passages.iter();
        // What an application has been handed goes by no call.
        let carried =
            passages.filter(|(_, passage)| passage.line == Some(line) && passage.call.is_some());
        let carried: Vec<Key> = carried.map(|(key, _)| key).collect();
        for passage in carried {
            if is_old {
                self.flag(passage, Flag::DurationTimeout);
            }
            self.drop_call(passage, context);
            self.passage_answered(passage, Err(Reason::Reset), 0, context);
        }
    }

    fn end_unsent(&mut self, request: u32, reason: Reason, context: &mut Clock<'_, Self>) {
        let key = self.calls.key_of(request).expect("a request that waits");
        self.attempt_ended(key, Err(reason), context);
    }

    /// A sidecar opens a connection.
    fn open_line(&mut self, slot: Slot, number: u32, context: &mut Clock<'_, Self>) {
        let Slot { pod, upstream, .. } = slot;
        let state = &mut self.pods[pod as usize];
        let (workload, uid) = (state.workload, state.uid);
        let sidecar = state.sidecar.as_mut().expect("a sidecar that sends");
        let opened = sidecar.count_opened();
        let upstream = sidecar.upstream(upstream).expect("a pool of it");
        let goal = upstream.hosts[slot.host as usize].pod;
        let (service, patience) = (upstream.service, upstream.told.connect_timeout);
        let port = upstream.told.port;
        let connection = Connection {
            serial: opened as u32,
            endpoint: None,
        };
        let line = connection.line(slot, number);
        *self.place(slot, number).expect("a pool of it") = Some(connection);
        let endpoint = Endpoint {
            port,
            ..self.endpoint(goal, service, None)
        };
        let plan = self.outbound_plan(workload, service, None);
        let identity = Identity {
            request: uid,
            branch: opened,
        };
        let dial = self.calls.insert(Call {
            attempts: 1,
            attempt: 1,
            ..Call::new(Owner::Line(line), plan, (pod, identity), context.now())
        });
        let class = context.timer_class(patience);
        let event = Event::TimedOut {
            attempt: 1,
            call: dial,
        };
        context.arm(class, event);
        self.dial(dial, Goal::Endpoint(endpoint), context);
    }

    /// A connection that a sidecar was opening is open, with this endpoint, or it is not.
    pub(in crate::path) fn line_opened(
        &mut self,
        key: Key,
        line: Line,
        endpoint: Option<Endpoint>,
        context: &mut Clock<'_, Self>,
    ) {
        self.calls.remove(key);
        let Some(connection) = self.connection(line) else {
            return; // Its sidecar or its pool began anew.
        };
        let serial = line.serial;
        *connection = endpoint.map(|_| Connection { serial, endpoint });
        let (number, now) = (line.number, context.now());
        self.with_pool(line.slot, context, |pool, breakers, act| {
            match endpoint {
                Some(_) => pool.connected(number, now, breakers, act),
                None => pool.failed(number, breakers, act),
            };
        });
        if let Some(endpoint) = endpoint {
            self.keep_session(line, endpoint, now);
            self.watch_lines(line.slot.pod, line.slot.upstream, context);
        }
    }

    /// Sees to it that connections of a cluster end that are idle for too long or too old.
    fn watch_lines(&mut self, pod: u32, upstream: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let Some(known) = sidecar.and_then(|it| it.upstream(upstream)) else {
            return;
        };
        if known.looks_at.is_some_and(|at| at > now) {
            return;
        }
        let pools = known.hosts.iter().flat_map(|host| &host.pools);
        known.looks_at = pools.filter_map(|it| it.pool.look_next(now)).min();
        if let Some(at) = known.looks_at {
            context.after(at.since(now), Event::LinesLooked { pod, upstream });
        }
    }

    /// A sidecar looks at its connections to a cluster.
    pub(crate) fn lines_looked(&mut self, pod: u32, upstream: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let known = sidecar.and_then(|it| it.upstream(upstream));
        let Some(known) = known.filter(|it| it.looks_at == Some(now)) else {
            return; // It has begun anew since.
        };
        let pools = (0..).zip(known.hosts.iter().map(|host| host.pools.len()));
        let slots: Vec<Slot> = pools
            .flat_map(|(host, pools)| {
                (0..pools as u16).map(move |pool| Slot {
                    pod,
                    upstream,
                    host,
                    pool,
                })
            })
            .collect();
        for slot in slots {
            self.with_pool(slot, context, |pool, breakers, act| {
                pool.look(now, breakers, act);
            });
        }
        self.watch_lines(pod, upstream, context);
    }

    /// The stream of a passage's attempt has ended, and with it the connection if it `closes`.
    pub(in crate::path) fn stream_ended(
        &mut self,
        passage: Key,
        end: End,
        closes: bool,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(line) = self.passages[passage].line.take() else {
            return;
        };
        let known = self.connection(line).and_then(|connection| match closes {
            true => connection.take(),
            false => *connection,
        });
        if known.is_none() {
            return; // It was closed before.
        }
        let (number, now) = (line.number, context.now());
        self.with_pool(line.slot, context, |pool, breakers, act| match closes {
            true => pool.close(number, breakers, act),
            false => pool.ended(number, (end, now), breakers, act),
        });
    }

    /// A sidecar no longer waits for an attempt.
    pub(in crate::path) fn leave_attempt(
        &mut self,
        key: Key,
        passage: Key,
        context: &mut Clock<'_, Self>,
    ) {
        match (self.calls[key].stage, self.passages[passage].slot) {
            (Stage::Queued, Some(slot)) => {
                self.with_pool(slot, context, |pool, breakers, _| {
                    pool.cancel(key.slot(), breakers);
                });
            }
            _ => self.stream_ended(passage, End::Cut, false, context),
        }
    }

    /// A pod has closed its connections: sidecars lose theirs to it.
    pub(crate) fn forget_lines(&mut self, pod: u32, restarts: u32, context: &mut Clock<'_, Self>) {
        let leads_there = |connection: &Connection| {
            let endpoint = connection.endpoint;
            endpoint.is_some_and(|it| it.pod == pod && it.restarts == restarts)
        };
        let mut gone = Vec::new();
        for (owner, state) in (0..).zip(&self.pods) {
            let upstreams = state.sidecar.iter().flat_map(|sidecar| &sidecar.upstreams);
            for (upstream, known) in (0..).zip(upstreams) {
                let hosts = (0..).zip(&known.hosts);
                for (host, known) in hosts.filter(|(_, host)| host.pod == pod) {
                    for (pool, of_pool) in (0..).zip(&known.pools) {
                        let slot = Slot {
                            pod: owner,
                            upstream,
                            host,
                            pool,
                        };
                        let lines = (0..).zip(&of_pool.connections);
                        gone.extend(lines.filter_map(|(number, connection)| {
                            let known = connection.filter(leads_there)?;
                            Some(known.line(slot, number))
                        }));
                    }
                }
            }
        }
        for line in gone {
            if self.connection(line).and_then(Option::take).is_none() {
                continue; // What came of another has ended it.
            }
            self.with_pool(line.slot, context, |pool, breakers, act| {
                pool.close(line.number, breakers, act);
            });
        }
    }
}
