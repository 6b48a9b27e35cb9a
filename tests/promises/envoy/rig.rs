//! One proxy between clients and hosts, driven by the engine's queue: `cloud::envoy` decides
//! everything, the rig only lets time pass.

use crate::envoy::setup::{Badness, Final, Keys, Load, Log, Setup};
use cloud::envoy::breaker::Breakers;
use cloud::envoy::flags::{Flag, Flags};
use cloud::envoy::hash;
use cloud::envoy::hosts::{Health, Host, Hosts};
use cloud::envoy::merge::{Change, Delivery, MergeWindow};
use cloud::envoy::outlier::{self, Happening, OutlierDetector};
use cloud::envoy::pool::{Action, End, Ends, Pool};
use cloud::envoy::rate_limit::RateLimit;
use cloud::envoy::retry::{Cut, Outcome, Retries, Sent, Verdict};
use cloud::envoy::worker::{Ask, Worker};
use engine::{
    Context, Draw, Duration, Execution, Lookahead, Partition, PartitionId, QueueKind, Seed,
    Simulation, Stream, Time,
};

/// Runs a rig until nothing is left to do, or until its load is over.
pub fn run(setup: &Setup, replication: u32) -> Log {
    let until = match setup.load {
        Load::Closed { until, .. } => until,
        Load::Open { until, .. } => until,
        Load::Bursts { rounds, .. } => Time::ZERO + ROUND.saturating_mul(u64::from(rounds)),
    };
    let rig = Rig::new(
        setup.clone(),
        Seed {
            master: 1,
            replication,
        },
    );
    let lookahead = Lookahead::uniform(Duration::from_secs(1));
    let mut simulation = Simulation::new(vec![rig], lookahead, QueueKind::Auto);
    simulation.run(until + Duration::from_secs(3), Execution::Sequential);
    let rigs = simulation.into_partitions();
    rigs.into_iter().next().expect("there is one rig").log
}

/// From one burst to the next.
const ROUND: Duration = Duration::from_secs(5);
/// How long a burst takes to arrive at most, to how long a connection takes to come up: bursts of
/// 20 that open 19 or 20 connections, and of 30 of which one more than may wait passes, or none,
/// show that nearly all of a burst is read before its first connection is up.
const BURST_SPREAD: f64 = 1.2;

/// How late a sweep is on average.
const SWEEP_LATE: Duration = Duration::from_micros(200);

/// What happens in a rig.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Arrive { client: u32 },
    Begin { client: u32 },
    Delayed { request: u32 },
    Route { request: u32, attempt: u32 },
    Connected { pool: u32, connection: u32 },
    Answer { request: u32, attempt: u32 },
    Timeout { request: u32 },
    TryTimeout { request: u32, attempt: u32 },
    Sweep { due: Time },
    Merge { priority: u32 },
    Check { index: u32 },
}

/// One request on its way.
#[derive(Clone, Debug)]
struct Request {
    client: u32,
    round: u32,
    worker: u32,
    /// The hash of its key.
    hash: Option<u64>,
    /// Where the last attempt went.
    host: Option<u32>,
    /// The pool and, once it is sent, the connection of the attempt.
    at: Option<(u32, Option<u32>)>,
    attempts: u32,
    retries: Retries,
    flags: Flags,
    abort: Option<u16>,
    /// When an attempt ended that is tried again.
    ended: Option<Time>,
    done: bool,
}

struct Rig {
    setup: Setup,
    stream: Stream,
    draws: u64,
    hosts: Hosts,
    workers: Vec<Worker>,
    /// By worker and host.
    pools: Vec<Pool>,
    breakers: Breakers,
    rate_limit: Option<RateLimit>,
    detector: Option<OutlierDetector>,
    windows: Vec<MergeWindow>,
    /// What the main thread knows: health by checks, and who is out.
    checked: Vec<Health>,
    out: Vec<bool>,
    requests: Vec<Request>,
    active: Vec<u32>,
    asked: u32,
    log: Log,
}

impl Rig {
    fn new(setup: Setup, seed: Seed) -> Self {
        let stream = Stream::new(seed, "rig");
        let hosts = compile(
            &setup,
            setup.upstreams.iter().map(|upstream| upstream.host.health),
        );
        let count = setup.upstreams.len();
        let mut draw = stream.draw(0, 0);
        let workers = (0..setup.workers).map(|_| Worker::new(&hosts, Time::ZERO, &mut draw, |_| 0));
        let workers: Vec<Worker> = workers.collect();
        let priorities = setup
            .upstreams
            .iter()
            .map(|upstream| upstream.host.priority + 1)
            .max();
        Rig {
            pools: vec![Pool::new(setup.pool); workers.len() * count],
            breakers: Breakers::new(setup.thresholds),
            rate_limit: setup.rate_limit,
            detector: setup
                .outlier
                .map(|settings| OutlierDetector::new(settings, count as u32)),
            windows: vec![MergeWindow::new(setup.merge_window); priorities.unwrap_or(1) as usize],
            checked: setup
                .upstreams
                .iter()
                .map(|upstream| upstream.host.health)
                .collect(),
            out: vec![false; count],
            requests: Vec::new(),
            active: vec![0; count],
            asked: 0,
            log: Log {
                opened: vec![0; count],
                most: vec![0; count],
                ..Log::default()
            },
            draws: 0,
            stream,
            hosts,
            workers,
            setup,
        }
    }

    fn draw(&mut self) -> Draw {
        self.draws += 1;
        self.stream.draw(self.draws, 1)
    }

    fn arrive(&mut self, client: u32, context: &mut Context<'_, Self>) {
        let now = context.now();
        match self.setup.load {
            Load::Closed {
                requests, until, ..
            } => {
                if self.asked == requests || now >= until {
                    return;
                }
            }
            Load::Open {
                rate,
                poisson,
                until,
                ..
            } => {
                if now >= until {
                    return;
                }
                let gaps = if poisson {
                    self.draw().exponential()
                } else {
                    1.0
                };
                context.after(
                    Duration::from_secs_f64(gaps / rate),
                    Event::Arrive { client },
                );
                let late = self.about(self.setup.outside);
                context.after(late, Event::Begin { client });
                return;
            }
            Load::Bursts { .. } => {}
        }
        self.begin(client, context);
    }

    /// A busy machine takes now more, now less.
    fn about(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.draw().exponential())
    }

    /// A request reaches the proxy.
    fn begin(&mut self, client: u32, context: &mut Context<'_, Self>) {
        let now = context.now();
        self.asked += 1;
        let mut draw = self.draw();
        let injection = self.setup.faults.inject(&mut draw);
        if self.setup.mirror.include(&mut draw) {
            self.log.count("mirrored");
        }
        let request = self.requests.len() as u32;
        let hash = match self.setup.keys {
            Keys::Absent => None,
            Keys::Numbered => Some(hash::of(&format!("key-{request}"))),
            Keys::Same(hash) => Some(hash),
        };
        let round = (now.as_nanos() / ROUND.as_nanos()) as u32;
        self.requests.push(Request {
            client,
            round,
            worker: client % self.setup.workers,
            hash,
            host: None,
            at: None,
            attempts: 0,
            retries: Retries::default(),
            flags: Flags::default(),
            abort: injection.abort,
            ended: None,
            done: false,
        });
        match injection.delay {
            Some(delay) => {
                self.requests[request as usize]
                    .flags
                    .set(Flag::DelayInjected);
                context.after(delay, Event::Delayed { request });
            }
            None => self.enter(request, context),
        }
    }

    /// A request has passed its delay, if it had one.
    fn enter(&mut self, request: u32, context: &mut Context<'_, Self>) {
        if let Some(status) = self.requests[request as usize].abort {
            self.log.count("aborts_injected");
            return self.finish(request, status, Some(Flag::FaultInjected), context);
        }
        let now = context.now();
        let limit = self.rate_limit.as_mut();
        if limit.is_some_and(|limit| !limit.passes(now)) {
            return self.finish(request, 429, Some(Flag::RateLimited), context);
        }
        if let Some(timeout) = self.setup.timeout {
            context.after(timeout, Event::Timeout { request });
        }
        self.route(request, context);
    }

    fn route(&mut self, request: u32, context: &mut Context<'_, Self>) {
        let mut draw = self.draw();
        let known = &mut self.requests[request as usize];
        let policy = self.setup.retry.as_ref();
        let choosy = policy.filter(|policy| policy.previous_hosts && known.attempts > 0);
        let retries = known.retries;
        let elsewhere = policy.filter(|policy| retries.leaves_priorities(policy));
        let elsewhere = elsewhere.filter(|_| known.attempts > 0);
        let has_tried = |host| retries.has_tried(host);
        let loads = elsewhere.and_then(|_| self.hosts.loads_without(has_tried));
        let ask = Ask {
            picks: 1 + choosy.map_or(0, |policy| policy.host_selections),
            loads: loads.as_deref(),
            hash: known.hash,
            ..Ask::plain(context.now())
        };
        let active = &self.active;
        let worker = &mut self.workers[known.worker as usize];
        let picked = worker.pick(
            &self.hosts,
            ask,
            &mut draw,
            |host| active[host as usize],
            |host| choosy.is_some() && retries.has_tried(host),
        );
        let Some(host) = picked else {
            return self.finish(request, 503, Some(Flag::NoHealthyUpstream), context);
        };
        known.attempts += 1;
        known.retries.attempt(host);
        known.host = Some(host);
        let pool = known.worker * self.setup.upstreams.len() as u32 + host;
        known.at = Some((pool, None));
        self.log.picks.push((context.now(), host));
        self.act_on(pool, context, |pool, breakers, act| {
            pool.ask(request, breakers, act)
        });
    }

    /// Lets a pool do something and does what follows.
    fn act_on(
        &mut self,
        pool: u32,
        context: &mut Context<'_, Self>,
        work: impl FnOnce(&mut Pool, &mut Breakers, &mut dyn FnMut(Action)),
    ) {
        let mut actions = Vec::new();
        let mut note = |action| actions.push(action);
        work(
            &mut self.pools[pool as usize],
            &mut self.breakers,
            &mut note,
        );
        for action in actions {
            self.follow(pool, action, context);
        }
    }

    fn follow(&mut self, pool: u32, action: Action, context: &mut Context<'_, Self>) {
        let host = pool as usize % self.setup.upstreams.len();
        match action {
            Action::Open(connection) => {
                self.log.count("upstream_cx_total");
                self.log.opened[host] += 1;
                let round = context.now().as_nanos() / ROUND.as_nanos();
                self.log.opened_in_round.push(round as u32);
                context.after(self.setup.connect, Event::Connected { pool, connection });
            }
            Action::Send {
                request,
                connection,
            } => self.send(request, pool, connection, context),
            Action::Refuse(request) => {
                self.requests[request as usize].at = None;
                self.decide(request, Outcome::Cut(Cut::Overflow, Sent::Nothing), context);
            }
            Action::Fail(request) => {
                self.requests[request as usize].at = None;
                self.tell(host as u32, outlier::Result::ConnectFailed, context);
                self.decide(
                    request,
                    Outcome::Cut(Cut::ConnectFailure, Sent::Nothing),
                    context,
                );
            }
            Action::Close(_) | Action::Break { .. } => self.log.count("upstream_cx_destroy"),
        }
    }

    fn send(&mut self, request: u32, pool: u32, connection: u32, context: &mut Context<'_, Self>) {
        let host = pool as usize % self.setup.upstreams.len();
        self.active[host] += 1;
        self.log.most[host] = self.log.most[host].max(self.active[host]);
        let known = &mut self.requests[request as usize];
        known.at = Some((pool, Some(connection)));
        if let Some(ended) = known.ended.take() {
            let gap = context.now().saturating_since(ended);
            self.log.gaps.push((known.retries.made(), gap));
        }
        let attempt = known.attempts;
        // The time of one attempt does not run while it waits for a connection.
        let policy = self.setup.retry.as_ref();
        if let Some(time) = policy.and_then(|policy| policy.per_try_timeout) {
            context.after(time, Event::TryTimeout { request, attempt });
        }
        self.tell(host as u32, outlier::Result::Connected, context);
        let delay = self.setup.upstreams[host].delay + self.about(self.setup.inside);
        context.after(delay, Event::Answer { request, attempt });
    }

    fn connected(&mut self, pool: u32, connection: u32, context: &mut Context<'_, Self>) {
        let host = pool as usize % self.setup.upstreams.len();
        let now = context.now();
        if self.setup.upstreams[host].badness(now) == Some(Badness::Refuses) {
            self.log.count("upstream_cx_connect_fail");
            self.act_on(pool, context, |pool, breakers, act| {
                pool.failed(connection, breakers, act)
            });
        } else {
            self.act_on(pool, context, |pool, breakers, act| {
                pool.connected(connection, now, breakers, act);
            });
        }
    }

    fn answer(&mut self, request: u32, attempt: u32, context: &mut Context<'_, Self>) {
        let known = &self.requests[request as usize];
        if known.done || known.attempts != attempt {
            return;
        }
        let Some((pool, Some(connection))) = known.at else {
            return;
        };
        let host = pool as usize % self.setup.upstreams.len();
        let upstream = &self.setup.upstreams[host];
        let failing = upstream.failing;
        let now = context.now();
        let bad = match upstream.badness(now) {
            Some(Badness::Status(status)) => Some(status),
            Some(Badness::Cuts) => return self.cut_off(request, (pool, connection), context),
            Some(Badness::Silent) => return,
            Some(Badness::Refuses) | None => None,
        };
        self.requests[request as usize].at = None;
        self.active[host] -= 1;
        let fails = self.draw().chance(failing);
        let status = bad.unwrap_or(if fails { 500 } else { 200 });
        self.act_on(pool, context, |pool, breakers, act| {
            pool.ended(connection, (End::Complete, now), breakers, act);
        });
        self.tell(host as u32, outlier::Result::Status(status), context);
        self.decide(request, Outcome::Status(status), context);
    }

    /// A host cuts a request off.
    fn cut_off(
        &mut self,
        request: u32,
        (pool, connection): (u32, u32),
        context: &mut Context<'_, Self>,
    ) {
        let host = pool % self.setup.upstreams.len() as u32;
        self.requests[request as usize].at = None;
        self.active[host as usize] -= 1;
        let now = context.now();
        self.act_on(pool, context, |pool, breakers, act| {
            pool.ended(connection, (End::Cut, now), breakers, act);
        });
        self.tell(host, outlier::Result::Reset, context);
        self.decide(request, Outcome::Cut(Cut::Remote, Sent::Begun), context);
    }

    fn decide(&mut self, request: u32, outcome: Outcome, context: &mut Context<'_, Self>) {
        let mut draw = self.draw();
        let known = &mut self.requests[request as usize];
        let verdict = match &self.setup.retry {
            None => Verdict::Final,
            Some(policy) => {
                let retried = known.retries.made() > 0;
                let verdict = known
                    .retries
                    .decide(policy, outcome, &mut self.breakers, &mut draw);
                if verdict == Verdict::Final && retried {
                    self.log.count("upstream_rq_retry_success");
                }
                verdict
            }
        };
        match verdict {
            Verdict::After(pause) => {
                self.log.count("upstream_rq_retry");
                known.ended = Some(context.now());
                let attempt = known.attempts;
                context.after(pause + self.setup.late, Event::Route { request, attempt });
                return;
            }
            Verdict::LimitExceeded => {
                self.log.count("upstream_rq_retry_limit_exceeded");
                known.flags.set(Flag::RetryLimitExceeded);
            }
            Verdict::Overflow => {
                self.log.count("upstream_rq_retry_overflow");
                known.flags.set(Flag::Overflow);
            }
            Verdict::Final => {}
        }
        let (status, flag) = match outcome {
            Outcome::Status(status) => (status, None),
            Outcome::Grpc(_) => (200, None),
            Outcome::Cut(Cut::Overflow, _) => (503, Some(Flag::Overflow)),
            Outcome::Cut(Cut::ConnectFailure, _) => (503, Some(Flag::ConnectFailure)),
            Outcome::Cut(Cut::Remote, _) if self.setup.pool.cut == Ends::Connection => {
                (503, Some(Flag::ConnectionTermination))
            }
            Outcome::Cut(Cut::RefusedStream | Cut::Remote, _) => (503, Some(Flag::RemoteReset)),
            Outcome::Cut(Cut::Local, _) => (504, Some(Flag::RequestTimeout)),
        };
        self.finish(request, status, flag, context);
    }

    /// The route's time is up.
    fn time_out(&mut self, request: u32, context: &mut Context<'_, Self>) {
        if self.requests[request as usize].done {
            return;
        }
        self.log.count("upstream_rq_timeout");
        self.abandon(request, context);
        self.finish(request, 504, Some(Flag::RequestTimeout), context);
    }

    /// The time of one attempt is up.
    fn time_out_try(&mut self, request: u32, attempt: u32, context: &mut Context<'_, Self>) {
        let known = &self.requests[request as usize];
        if known.done || known.attempts != attempt || known.at.is_none() {
            return;
        }
        self.abandon(request, context);
        self.decide(request, Outcome::Cut(Cut::Local, Sent::Begun), context);
    }

    /// Cuts the attempt of a request, if one is under way.
    fn abandon(&mut self, request: u32, context: &mut Context<'_, Self>) {
        let Some((pool, connection)) = self.requests[request as usize].at.take() else {
            return;
        };
        let host = pool % self.setup.upstreams.len() as u32;
        let Some(connection) = connection else {
            // A request that waits for a connection has no host yet that could be to blame.
            self.pools[pool as usize].cancel(request, &mut self.breakers);
            return;
        };
        self.active[host as usize] -= 1;
        let now = context.now();
        self.act_on(pool, context, |pool, breakers, act| {
            pool.ended(connection, (End::Cut, now), breakers, act);
        });
        self.tell(host, outlier::Result::TimedOut, context);
    }

    fn finish(
        &mut self,
        request: u32,
        status: u16,
        flag: Option<Flag>,
        context: &mut Context<'_, Self>,
    ) {
        let known = &mut self.requests[request as usize];
        known.done = true;
        known.retries.release(&mut self.breakers);
        flag.into_iter().for_each(|flag| known.flags.set(flag));
        self.log.finals.push(Final {
            status,
            flags: known.flags,
            host: known.host,
            attempts: known.attempts,
            round: known.round,
        });
        if status >= 500 {
            self.log.failures.push(context.now());
        }
        if let Load::Closed { .. } = self.setup.load {
            let client = known.client;
            let late = self.about(self.setup.outside);
            context.after(late, Event::Arrive { client });
        }
    }

    /// The detector hears of a host.
    fn tell(&mut self, host: u32, result: outlier::Result, context: &mut Context<'_, Self>) {
        let mut draw = self.draw();
        let mut happenings = Vec::new();
        if let Some(detector) = &mut self.detector {
            let note = |happening| happenings.push(happening);
            detector.tell(host, result, context.now(), &mut draw, note);
        }
        self.note(happenings, context);
    }

    /// A sweep comes a little after it is due, so that a time out which ends with a sweep ends
    /// now with this, now with the next one, as recorded.
    fn schedule_sweep(&mut self, due: Time, context: &mut Context<'_, Self>) {
        let late = self.about(SWEEP_LATE);
        context.schedule(due + late, Event::Sweep { due });
    }

    fn sweep(&mut self, due: Time, context: &mut Context<'_, Self>) {
        let mut draw = self.draw();
        let mut happenings = Vec::new();
        if let Some(detector) = &mut self.detector {
            detector.sweep(context.now(), &mut draw, |happening| {
                happenings.push(happening)
            });
        }
        self.note(happenings, context);
        if let Some(settings) = self.setup.outlier {
            self.schedule_sweep(due + settings.interval, context);
        }
    }

    /// The main thread learns of ejections and returns, one after the other.
    fn note(&mut self, happenings: Vec<Happening>, context: &mut Context<'_, Self>) {
        for happening in happenings {
            self.log.happenings.push((context.now(), happening));
            let (host, out) = match happening {
                Happening::Ejected(host, _) => (host, true),
                Happening::Returned(host) => (host, false),
                Happening::Observed(..) | Happening::Overflowed(..) => continue,
            };
            self.out[host as usize] = out;
            self.change(host, context);
        }
    }

    /// The health of a host has changed for the main thread.
    fn change(&mut self, host: u32, context: &mut Context<'_, Self>) {
        let priority = self.setup.upstreams[host as usize].host.priority;
        match self.windows[priority as usize].change(Change::Merged, context.now()) {
            Delivery::Now => {
                self.log.count("cluster_updated");
                self.publish(priority, context.now());
            }
            Delivery::At(at) => context.schedule(at, Event::Merge { priority }),
            Delivery::Waits => {}
        }
    }

    /// Workers are told what the main thread knows.
    fn publish(&mut self, priority: u32, now: Time) {
        let health = self.checked.iter().zip(&self.out);
        let health = health.map(|(&checked, &out)| if out { Health::Unhealthy } else { checked });
        self.hosts = compile(&self.setup, health);
        let mut draw = self.draw();
        let active = &self.active;
        for worker in &mut self.workers {
            let active = |host: u32| active[host as usize];
            worker.update(&self.hosts, priority as usize, now, &mut draw, active);
        }
    }

    fn check(&mut self, index: u32, context: &mut Context<'_, Self>) {
        let (now, host, health) = self.setup.checks[index as usize];
        self.checked[host as usize] = health;
        if health == Health::Healthy {
            self.setup.upstreams[host as usize].host.healthy_since = now;
        }
        self.change(host, context);
    }
}

fn compile(setup: &Setup, health: impl Iterator<Item = Health>) -> Hosts {
    let upstreams = setup.upstreams.iter().zip(health);
    let hosts: Vec<Host> = upstreams
        .map(|(upstream, health)| Host {
            health,
            ..upstream.host
        })
        .collect();
    Hosts::compile(&setup.settings, &hosts, |host| {
        setup.upstreams[host as usize].key.as_str()
    })
}

impl Partition for Rig {
    type Event = Event;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        match self.setup.load {
            Load::Closed { clients, .. } => {
                for client in 0..clients {
                    // Clients do not begin in step.
                    let late = self.about(Duration::from_millis(1));
                    context.after(late, Event::Arrive { client });
                }
            }
            Load::Open { rate, from, .. } => {
                // The first comes anywhere within a gap.
                let late = Duration::from_secs_f64(self.draw().uniform() / rate);
                context.schedule(from + late, Event::Arrive { client: 0 });
            }
            Load::Bursts { size, rounds } => {
                for round in 0..rounds {
                    let begin = Time::ZERO + ROUND.saturating_mul(u64::from(round));
                    let spread = self.setup.connect.mul_f64(BURST_SPREAD);
                    let spread = spread.mul_f64(self.draw().uniform() / f64::from(size));
                    for client in 0..size {
                        let late = spread.saturating_mul(u64::from(client));
                        context.schedule(begin + late, Event::Arrive { client });
                    }
                }
            }
        }
        for index in 0..self.setup.checks.len() as u32 {
            context.schedule(self.setup.checks[index as usize].0, Event::Check { index });
        }
        if self.setup.outlier.is_some() {
            self.schedule_sweep(Time::ZERO + self.setup.first_sweep, context);
        }
    }

    fn handle(&mut self, event: Event, context: &mut Context<'_, Self>) {
        match event {
            Event::Arrive { client } => self.arrive(client, context),
            Event::Begin { client } => self.begin(client, context),
            Event::Delayed { request } => self.enter(request, context),
            Event::Route { request, attempt } => {
                let known = &self.requests[request as usize];
                if !known.done && known.attempts == attempt {
                    self.route(request, context);
                }
            }
            Event::Connected { pool, connection } => self.connected(pool, connection, context),
            Event::Answer { request, attempt } => self.answer(request, attempt, context),
            Event::Timeout { request } => self.time_out(request, context),
            Event::TryTimeout { request, attempt } => self.time_out_try(request, attempt, context),
            Event::Sweep { due } => self.sweep(due, context),
            Event::Merge { priority } => {
                if self.windows[priority as usize].fire(context.now()) {
                    self.log.count("cluster_updated_via_merge");
                    self.publish(priority, context.now());
                }
            }
            Event::Check { index } => self.check(index, context),
        }
    }

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {
        unreachable!("a rig stands alone");
    }
}
