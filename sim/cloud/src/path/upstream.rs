//! The other side of a sidecar: services as Envoy keeps them, with their pods as hosts.
//!
//! Models: for each service that a sidecar has sent requests to, the pods that its view holds, a
//! balancer for each thread, and a pool of connections for each thread and pod; limits that all
//! threads share; retries by the policy that Istio gives a route which says nothing. The rules
//! are those of [`crate::envoy`]; here they meet connections, packets and time.
//!
//! Approximated: a pod that leaves the view keeps its idle connections until it ends. Leaves
//! out: idle timeouts (an hour), and HTTP/2 between sidecars, which Istio does not use for
//! requests that came with HTTP/1.1.
//! Sources: envoyproxy/envoy source/common/router, source/common/upstream; [`crate::facts`].
//! Validated by: latencies and connections worked out by hand in the crate's tests.

use super::call::Stage;
use super::link::Goal;
use super::{Call, Endpoint, Identity, Outcome, Owner};
use crate::domain::{Clock, Domain, Event};
use crate::envoy::breaker::Breakers;
use crate::envoy::hosts::{Health, Host, Hosts, Policy, Settings};
use crate::envoy::pool::{self, Action, End, Pool};
use crate::envoy::retry::{self, Cut, Retries, Sent, Verdict};
use crate::envoy::worker::{Ask, Worker};
use crate::facts;
use crate::istio::config::ConnectionPool;
use crate::istio::translate::cluster::limits;
use crate::record::Reason;
use crate::scenario::ServiceId;
use crate::slab::Key;
use engine::{Draw, Duration, Time};

/// A service as a sidecar keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// The version of its endpoints that the hosts are made from, once they are.
    version: Option<u32>,
    /// Every pod that it ever had.
    hosts: Vec<UpstreamHost>,
    /// Which of them each host of the balancers is.
    order: Vec<u32>,
    compiled: Hosts,
    balancers: Vec<Worker>,
    breakers: Breakers,
}

/// A pod as a sidecar keeps it.
#[derive(Clone, Debug)]
struct UpstreamHost {
    pod: u32,
    /// When it came into the view.
    since: Time,
    threads: Vec<HostThread>,
}

/// The connections of a thread to a pod.
#[derive(Clone, Debug)]
struct HostThread {
    pool: Pool,
    /// By the numbers of the pool.
    connections: Vec<Option<Connection>>,
}

#[derive(Clone, Copy, Debug)]
enum Connection {
    Opening,
    Open(Endpoint),
}

/// Where a connection of a sidecar belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) pod: u32,
    pub(crate) service: ServiceId,
    /// Position among the hosts of the service.
    pub(crate) host: u32,
    pub(crate) thread: u8,
}

/// A connection of a sidecar to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) slot: Slot,
    /// Its number in its pool.
    pub(crate) number: u32,
}

impl Upstream {
    fn new(threads: usize, draw: &mut Draw, now: Time) -> Self {
        let compiled = compile(&[]);
        let balancer = |_| Worker::new(&compiled, now, draw, |_| 0);
        Upstream {
            version: None,
            hosts: Vec::new(),
            order: Vec::new(),
            balancers: (0..threads).map(balancer).collect(),
            breakers: Breakers::new(limits(&ConnectionPool::default(), None)),
            compiled,
        }
    }

    /// The hosts are these pods now.
    fn update(&mut self, version: u32, pods: &[u32], draw: &mut Draw, now: Time) {
        self.version = Some(version);
        let threads = self.balancers.len();
        let hosts = &mut self.hosts;
        let place = |&pod: &u32| {
            let known = hosts.iter().position(|host| host.pod == pod);
            known.unwrap_or_else(|| {
                hosts.push(UpstreamHost::new(pod, threads, now));
                hosts.len() - 1
            }) as u32
        };
        self.order = pods.iter().map(place).collect();
        let since = |&host: &u32| self.hosts[host as usize].since;
        let since: Vec<Time> = self.order.iter().map(since).collect();
        self.compiled = compile(&since);
        for balancer in &mut self.balancers {
            let (hosts, order) = (&self.hosts, &self.order);
            let active = |host: u32| hosts[order[host as usize] as usize].active();
            balancer.update(&self.compiled, 0, now, draw, active);
        }
    }

    /// The host of an attempt.
    fn choose(&mut self, thread: u8, retries: &Retries, draw: &mut Draw, now: Time) -> Option<u32> {
        let (hosts, order) = (&self.hosts, &self.order);
        let at = |host: u32| order[host as usize];
        let ask = Ask {
            picks: match retries.made() {
                0 => 1,
                _ => 1 + facts::ISTIO_HOST_SELECTIONS.value,
            },
            ..Ask::plain(now)
        };
        let chosen = self.balancers[usize::from(thread)].pick(
            &self.compiled,
            ask,
            draw,
            |host| hosts[at(host) as usize].active(),
            |host| retries.has_tried(at(host)),
        );
        chosen.map(at)
    }
}

impl UpstreamHost {
    fn new(pod: u32, threads: usize, now: Time) -> Self {
        let thread = HostThread {
            pool: Pool::new(pool::Settings::http1()),
            connections: Vec::new(),
        };
        UpstreamHost {
            pod,
            since: now,
            threads: vec![thread; threads],
        }
    }

    /// Requests that it holds, from all threads.
    fn active(&self) -> u32 {
        self.threads.iter().map(|thread| thread.pool.active()).sum()
    }
}

fn compile(since: &[Time]) -> Hosts {
    let host = |&healthy_since: &Time| Host {
        weight: 1,
        priority: 0,
        locality: 0,
        health: Health::Healthy,
        healthy_since,
    };
    let hosts: Vec<Host> = since.iter().map(host).collect();
    // Nothing is placed by its address under this policy.
    Hosts::compile(&Settings::of(Policy::least_request()), &hosts, |_| "")
}

impl Domain<'_> {
    /// A sidecar's attempt looks for a host and a connection.
    pub(super) fn ask_upstream(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let call = &self.calls[key];
        let Owner::Passage(passage) = call.owner else {
            panic!("only passages have upstreams");
        };
        let identity = call.work();
        let state = &self.passages[passage];
        let (pod, service, thread) = (state.pod, state.service, state.listener.thread());
        self.refresh(pod, service, now);
        let stream = &self.services[service.index()].stream;
        let mut draw = stream.draw(identity.request, identity.branch);
        let state = &mut self.passages[passage];
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let upstream = sidecar.and_then(|sidecar| sidecar.upstream(service));
        let upstream = upstream.expect("refreshed just now");
        let Some(host) = upstream.choose(thread, &state.retries, &mut draw, now) else {
            return self.attempt_ended(key, Err(Reason::NoEndpoints), context);
        };
        state.retries.attempt(host);
        let slot = Slot {
            pod,
            service,
            host,
            thread,
        };
        state.slot = Some(slot);
        self.calls[key].stage = Stage::Queued;
        self.with_pool(slot, context, |pool, breakers, act| {
            pool.ask(key.slot(), breakers, act);
        });
    }

    /// Brings a sidecar's hosts of a service up to its view.
    fn refresh(&mut self, pod: u32, service: ServiceId, now: Time) {
        let state = &mut self.pods[pod as usize];
        let sidecar = state.sidecar.as_mut().expect("a sidecar that sends");
        let version = sidecar.view.version(&self.endpoint_log, service);
        let stream = &self.workloads[state.workload.index()].sidecars.balancers;
        let mut draw = stream.draw(
            u64::from(pod),
            u64::from(service.0) << 32 | u64::from(version),
        );
        let threads = sidecar.threads();
        let upstream = sidecar.upstreams.entry(service);
        let upstream = upstream.or_insert_with(|| Box::new(Upstream::new(threads, &mut draw, now)));
        if upstream.version != Some(version) {
            let pods = &self.endpoint_log.version(service, version).pods;
            upstream.update(version, pods, &mut draw, now);
        }
    }

    /// Something happens to a pool, and what follows from it is done.
    fn with_pool(
        &mut self,
        slot: Slot,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut Pool, &mut Breakers, &mut dyn FnMut(Action)),
    ) {
        let mut actions = std::mem::take(&mut self.pool_actions);
        if let Some((thread, breakers)) = self.host_thread(slot) {
            happens(&mut thread.pool, breakers, &mut |action| {
                actions.push(action)
            });
        }
        for action in actions.drain(..) {
            self.act_for_pool(slot, action, context);
        }
        self.pool_actions = actions;
    }

    fn host_thread(&mut self, slot: Slot) -> Option<(&mut HostThread, &mut Breakers)> {
        let sidecar = self.pods[slot.pod as usize].sidecar.as_mut()?;
        let Upstream {
            hosts, breakers, ..
        } = sidecar.upstream(slot.service)?;
        let host = &mut hosts[slot.host as usize];
        Some((&mut host.threads[usize::from(slot.thread)], breakers))
    }

    /// What is at a line; nothing once its sidecar has ended.
    fn connection(&mut self, line: Line) -> Option<&mut Option<Connection>> {
        let (thread, _) = self.host_thread(line.slot)?;
        let number = line.number as usize;
        if thread.connections.len() <= number {
            thread.connections.resize(number + 1, None);
        }
        Some(&mut thread.connections[number])
    }

    fn set_connection(&mut self, line: Line, now: Option<Connection>) {
        if let Some(connection) = self.connection(line) {
            *connection = now;
        }
    }

    fn act_for_pool(&mut self, slot: Slot, action: Action, context: &mut Clock<'_, Self>) {
        let line = |number| Line { slot, number };
        match action {
            Action::Open(number) => self.open_line(line(number), context),
            Action::Send {
                request,
                connection,
            } => {
                let line = line(connection);
                let Some(&mut Some(Connection::Open(endpoint))) = self.connection(line) else {
                    panic!("a pool sends on what is open");
                };
                let key = self.calls.key_of(request).expect("a request that waits");
                if let Owner::Passage(passage) = self.calls[key].owner {
                    self.passages[passage].line = Some(line);
                }
                self.send_request(key, endpoint, context);
            }
            Action::Refuse(request) => self.end_unsent(request, Reason::Overflow, context),
            Action::Fail(request) => self.end_unsent(request, Reason::Refused, context),
            Action::Close(number) => self.set_connection(line(number), None),
        }
    }

    fn end_unsent(&mut self, request: u32, reason: Reason, context: &mut Clock<'_, Self>) {
        let key = self.calls.key_of(request).expect("a request that waits");
        self.attempt_ended(key, Err(reason), context);
    }

    /// A sidecar opens a connection.
    fn open_line(&mut self, line: Line, context: &mut Clock<'_, Self>) {
        let Slot { pod, service, .. } = line.slot;
        let state = &mut self.pods[pod as usize];
        let (workload, uid) = (state.workload, state.uid);
        let sidecar = state.sidecar.as_mut().expect("a sidecar that sends");
        let number = sidecar.count_opened();
        let upstream = sidecar.upstream(service).expect("a pool of it");
        let goal = upstream.hosts[line.slot.host as usize].pod;
        self.set_connection(line, Some(Connection::Opening));
        let endpoint = self.endpoint(goal, service, None);
        let plan = self.outbound_plan(workload, service);
        let identity = Identity {
            request: uid,
            branch: number,
        };
        let dial = self.calls.insert(Call {
            attempts: 1,
            attempt: 1,
            ..Call::new(Owner::Line(line), plan, (pod, identity), context.now())
        });
        let class = context.timer_class(facts::ISTIO_CONNECT_TIMEOUT.value);
        let event = Event::TimedOut {
            attempt: 1,
            call: dial,
        };
        context.arm(class, event);
        self.dial(dial, Goal::Endpoint(endpoint), context);
    }

    /// A connection that a sidecar was opening is open, with this endpoint, or it is not.
    pub(super) fn line_opened(
        &mut self,
        key: Key,
        line: Line,
        endpoint: Option<Endpoint>,
        context: &mut Clock<'_, Self>,
    ) {
        self.calls.remove(key);
        self.set_connection(line, endpoint.map(Connection::Open));
        let number = line.number;
        self.with_pool(line.slot, context, |pool, breakers, act| {
            match endpoint {
                Some(_) => pool.connected(number, breakers, act),
                None => pool.failed(number, breakers, act),
            };
        });
    }

    /// The stream of a passage's attempt has ended, and with it the connection if it `closes`.
    pub(super) fn stream_ended(
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
        let number = line.number;
        self.with_pool(line.slot, context, |pool, breakers, act| match closes {
            true => pool.close(number, breakers, act),
            false => pool.ended(number, end, breakers, act),
        });
    }

    /// A sidecar no longer waits for an attempt.
    pub(super) fn leave_attempt(&mut self, key: Key, passage: Key, context: &mut Clock<'_, Self>) {
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
        let leads_there = |connection: &Option<Connection>| {
            matches!(connection, Some(Connection::Open(endpoint))
                if endpoint.pod == pod && endpoint.restarts == restarts)
        };
        let mut gone = Vec::new();
        for (owner, state) in (0..).zip(&self.pods) {
            let upstreams = state.sidecar.iter().flat_map(|sidecar| &sidecar.upstreams);
            for (&service, upstream) in upstreams {
                let hosts = (0..).zip(&upstream.hosts);
                for (host, known) in hosts.filter(|(_, host)| host.pod == pod) {
                    for (thread, of_thread) in (0..).zip(&known.threads) {
                        let slot = Slot {
                            pod: owner,
                            service,
                            host,
                            thread,
                        };
                        let lines = (0..).zip(&of_thread.connections);
                        let lines = lines.filter(|(_, connection)| leads_there(connection));
                        gone.extend(lines.map(|(number, _)| Line { slot, number }));
                    }
                }
            }
        }
        for line in gone {
            self.set_connection(line, None);
            self.with_pool(line.slot, context, |pool, breakers, act| {
                pool.close(line.number, breakers, act);
            });
        }
    }

    /// How long a sidecar pauses before it tries again, if it does.
    pub(super) fn pause_of_sidecar(
        &mut self,
        key: Key,
        passage: Key,
        outcome: Outcome,
    ) -> Option<Duration> {
        let call = &self.calls[key];
        if outcome.is_ok() && self.passages[passage].retries.made() == 0 {
            return None;
        }
        let outcome = seen(outcome, call.stage)?;
        let identity = call.work().part(PAUSE);
        let state = &self.passages[passage];
        let pod = &self.pods[state.pod as usize];
        let stream = &self.workloads[pod.workload.index()].sidecars.work;
        let mut draw = stream.draw(identity.request, identity.branch);
        let (mut retries, slot) = (state.retries, state.slot?);
        let policy = self.istiod.as_ref()?.retries.clone()?;
        let (_, breakers) = self.host_thread(slot)?;
        let verdict = retries.decide(&policy, outcome, breakers, &mut draw);
        self.passages[passage].retries = retries;
        match verdict {
            Verdict::After(pause) => Some(pause),
            Verdict::Final | Verdict::LimitExceeded | Verdict::Overflow => None,
        }
    }
}

/// The part of an attempt's draws that belongs to the pause after it.
const PAUSE: u64 = 3;

/// What Envoy sees of an attempt; `None` if it was not made.
fn seen(outcome: Outcome, stage: Stage) -> Option<retry::Outcome> {
    let Err(reason) = outcome else {
        return Some(retry::Outcome::Status(200));
    };
    let unsent = stage == Stage::Queued;
    Some(match reason {
        Reason::NoEndpoints | Reason::NameUnresolved => return None,
        Reason::Overflow if unsent => retry::Outcome::Cut(Cut::Overflow, Sent::Nothing),
        Reason::Refused | Reason::ConnectTimeout => {
            retry::Outcome::Cut(Cut::ConnectFailure, Sent::Nothing)
        }
        Reason::Timeout => retry::Outcome::Cut(Cut::Local, Sent::Begun),
        Reason::Reset => retry::Outcome::Cut(Cut::Remote, Sent::Begun),
        Reason::NoRoute => retry::Outcome::Status(404),
        Reason::ServerError | Reason::DependencyFailed => retry::Outcome::Status(500),
        Reason::Overflow | Reason::Unavailable => retry::Outcome::Status(503),
        Reason::GatewayTimeout => retry::Outcome::Status(504),
    })
}
