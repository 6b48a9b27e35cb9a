//! The other side of a sidecar: clusters as Envoy keeps them, with pods as their hosts.
//!
//! Models: for each cluster that a sidecar has sent requests to, the pods that its view holds,
//! by priority, place and weight; a balancer for each thread, and a pool of connections for each
//! thread and pod; limits that all threads share; pods that are left out because they failed,
//! of which threads hear a merge window late; retries by the policy of the route. The rules are
//! those of [`crate::envoy`]; here they meet connections, packets and time. A cluster of which
//! the sidecar is told something else begins anew, and what is under way ends with the old one.
//!
//! Approximated: a pod that leaves the view keeps its idle connections until it ends; clusters
//! that keep the protocol of their clients speak HTTP/1.1. Leaves out: idle timeouts (an hour).
//! Sources: envoyproxy/envoy source/common/router, source/common/upstream; [`crate::facts`].
//! Validated by: latencies and connections worked out by hand in the crate's tests.

use super::call::Stage;
use super::link::Goal;
use super::{Call, Endpoint, Identity, Outcome, Owner};
use crate::control::translation::pod_address;
use crate::domain::{Clock, Domain, Event};
use crate::envoy::breaker::Breakers;
use crate::envoy::hosts::{Health, Host, Hosts, Localities, Settings};
use crate::envoy::merge::{Change, Delivery, MergeWindow};
use crate::envoy::outlier::{self, Happening, OutlierDetector};
use crate::envoy::pool::{self, Action, End, Pool};
use crate::envoy::retry::{self, Cut, Retries, RetryPolicy, Sent, Verdict};
use crate::envoy::worker::{Ask, Worker};
use crate::facts;
use crate::istio::authentication::Sent as Spoken;
use crate::istio::translate::cluster::Cluster;
use crate::istio::translate::place::{Assignment, Behind};
use crate::istio::translate::registry;
use crate::istio::version::Version;
use crate::record::Reason;
use crate::scenario::ServiceId;
use crate::slab::Key;
use engine::{Draw, Duration, Time};

/// A cluster as a sidecar keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    service: ServiceId,
    /// What the sidecar was told of it.
    told: Cluster,
    /// Where that and the hosts come from, once they do: the generation of the configuration and
    /// the version of the endpoints.
    from: Option<(u32, u32)>,
    settings: Settings,
    pool: pool::Settings,
    /// Every pod that it ever had.
    hosts: Vec<UpstreamHost>,
    /// Which of them each host of the balancers is.
    order: Vec<u32>,
    /// The balancers' hosts, as if none of them was left out.
    members: Vec<Host>,
    compiled: Hosts,
    balancers: Vec<Worker>,
    breakers: Breakers,
    outlier: Option<OutlierDetector>,
    /// From when sweeps are counted.
    since: Time,
    /// When threads hear of health, by priority.
    windows: Vec<MergeWindow>,
}

/// A pod as a sidecar keeps it.
#[derive(Clone, Debug)]
struct UpstreamHost {
    pod: u32,
    /// When it came into the view.
    since: Time,
    /// Which host of the balancers it is, while it is one.
    place: Option<u32>,
    /// How it is spoken to.
    sent: Spoken,
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
    /// Position among the clusters of the sidecar.
    pub(crate) upstream: u32,
    /// Position among the hosts of the cluster.
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
    fn new(
        told: &Cluster,
        version: Version,
        threads: usize,
        draw: &mut Draw,
        (since, now): (Time, Time),
    ) -> Self {
        let settings = told.balancer();
        let compiled = Hosts::compile(&settings, &[], |_| "");
        let balancer = |_| Worker::new(&compiled, now, draw, |_| 0);
        Upstream {
            service: ServiceId(told.service),
            from: None,
            pool: told.connections(version),
            hosts: Vec::new(),
            order: Vec::new(),
            members: Vec::new(),
            balancers: (0..threads).map(balancer).collect(),
            breakers: Breakers::new(told.limits),
            outlier: told
                .outlier_detector(version)
                .map(|settings| OutlierDetector::new(settings, 0)),
            since,
            windows: Vec::new(),
            told: told.clone(),
            settings,
            compiled,
        }
    }

    /// The hosts are these pods now, the endpoints of the assignment.
    fn update(&mut self, assignment: &Assignment, pods: &[u32], draw: &mut Draw, now: Time) {
        // What is there when the cluster is looked at first has been there since it was told.
        let joined = if self.hosts.is_empty() {
            self.since
        } else {
            now
        };
        let mut order = Vec::with_capacity(assignment.len());
        let mut members = Vec::with_capacity(assignment.len());
        let mut weights: Vec<Vec<u32>> = Vec::new();
        for group in &assignment.groups {
            let priority = group.priority as usize;
            if weights.len() <= priority {
                weights.resize(priority + 1, Vec::new());
            }
            let locality = weights[priority].len() as u32;
            weights[priority].push(group.weight);
            for host in &group.hosts {
                let Behind::Endpoint(endpoint, _) = host.behind else {
                    continue; // There are no gateways between networks here.
                };
                let known = self.know(pods[endpoint as usize], host.sent, joined);
                order.push(known);
                members.push(Host {
                    weight: host.weight,
                    priority: group.priority,
                    locality,
                    health: Health::Healthy,
                    healthy_since: self.hosts[known as usize].since,
                });
            }
        }
        if self.told.is_weighted {
            self.settings.localities = Localities::Weighted(weights);
        }
        if let Some(outlier) = &mut self.outlier {
            let hosts = &self.hosts;
            let origins = order.iter().map(|&host| hosts[host as usize].place);
            outlier.renumber(&origins.collect::<Vec<_>>());
        }
        for host in &mut self.hosts {
            host.place = None;
        }
        for (place, &host) in (0..).zip(&order) {
            self.hosts[host as usize].place = Some(place);
        }
        (self.order, self.members) = (order, members);
        let last = self.members.iter().map(|member| member.priority).max();
        let priorities = last.unwrap_or(0) as usize + 1;
        let window = MergeWindow::new(facts::ENVOY_UPDATE_MERGE_WINDOW.value);
        self.windows.resize(priorities, window);
        for window in &mut self.windows {
            window.change(Change::Membership, joined);
        }
        self.tell_threads(0..priorities, draw, now);
    }

    /// Whether a pod is left out because it failed.
    pub(super) fn leaves_out(&self, pod: u32) -> bool {
        let host = self.hosts.iter().find(|host| host.pod == pod);
        let place = host.and_then(|host| host.place);
        let out = |place| self.outlier.as_ref().is_some_and(|all| all.is_out(place));
        place.is_some_and(out)
    }

    /// The number of a pod among the hosts, which it joins if it is new.
    fn know(&mut self, pod: u32, sent: Spoken, now: Time) -> u32 {
        let known = self.hosts.iter().position(|host| host.pod == pod);
        let number = known.unwrap_or_else(|| {
            let threads = self.balancers.len();
            self.hosts
                .push(UpstreamHost::new(pod, self.pool, threads, now));
            self.hosts.len() - 1
        });
        self.hosts[number].sent = sent;
        number as u32
    }

    /// Threads hear how the hosts of priorities are.
    fn tell_threads(&mut self, priorities: std::ops::Range<usize>, draw: &mut Draw, now: Time) {
        let outlier = &self.outlier;
        let is_out = |place: u32| outlier.as_ref().is_some_and(|all| all.is_out(place));
        let hosts = (0..).zip(&self.members).map(|(place, member)| Host {
            health: match is_out(place) {
                true => Health::Unhealthy,
                false => Health::Healthy,
            },
            ..*member
        });
        let hosts: Vec<Host> = hosts.collect();
        let is_hash = self.settings.policy.is_hash();
        let keys = self.order.iter().filter(|_| is_hash);
        let keys = keys.map(|&host| address(self.hosts[host as usize].pod));
        let keys: Vec<String> = keys.collect();
        let key = |host: u32| keys.get(host as usize).map_or("", String::as_str);
        self.compiled = Hosts::compile(&self.settings, &hosts, key);
        let (hosts, order) = (&self.hosts, &self.order);
        let active = |host: u32| hosts[order[host as usize] as usize].active();
        for balancer in &mut self.balancers {
            for priority in priorities.clone() {
                balancer.update(&self.compiled, priority, now, draw, active);
            }
        }
    }

    /// The host of an attempt.
    fn choose(
        &mut self,
        (thread, hash): (u8, Option<u64>),
        (retries, policy): (&Retries, Option<&RetryPolicy>),
        draw: &mut Draw,
        now: Time,
    ) -> Option<u32> {
        let (hosts, order) = (&self.hosts, &self.order);
        let at = |host: u32| order[host as usize];
        let again = policy.filter(|_| retries.made() > 0);
        let elsewhere = again.filter(|policy| retries.leaves_priorities(policy));
        let loads = elsewhere.and_then(|_| {
            let mut tried = vec![false; self.windows.len()];
            for (member, &host) in self.members.iter().zip(order) {
                tried[member.priority as usize] |= retries.has_tried(host);
            }
            self.compiled.loads_without(&tried)
        });
        let wary = again.filter(|policy| policy.previous_hosts);
        let ask = Ask {
            hash,
            loads: loads.as_deref(),
            picks: 1 + wary.map_or(0, |policy| policy.host_selections),
            now,
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

/// The address of a pod, which points on rings are named after.
fn address(pod: u32) -> String {
    format!("{}:80", pod_address(pod))
}

impl UpstreamHost {
    fn new(pod: u32, pool: pool::Settings, threads: usize, now: Time) -> Self {
        let thread = HostThread {
            pool: Pool::new(pool),
            connections: Vec::new(),
        };
        UpstreamHost {
            pod,
            since: now,
            place: None,
            sent: Spoken::IstioMutual,
            threads: vec![thread; threads],
        }
    }

    /// Requests that it holds, from all threads.
    fn active(&self) -> u32 {
        self.threads.iter().map(|thread| thread.pool.active()).sum()
    }
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
        let (pod, thread) = (state.pod, state.listener.thread());
        let service = state.cluster().expect("it goes to a cluster").service;
        let Some(upstream) = self.refresh(passage, context) else {
            return self.attempt_ended(key, Err(Reason::NoCluster), context);
        };
        let stream = &self.services[service.index()].stream;
        let mut draw = stream.draw(identity.request, identity.branch);
        let state = &mut self.passages[passage];
        let policy = self.ways.at(state.way).retries.as_ref();
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let known = sidecar.and_then(|sidecar| sidecar.upstream(upstream));
        let known = known.expect("refreshed just now");
        let wanted = (thread, state.hash);
        let Some(host) = known.choose(wanted, (&state.retries, policy), &mut draw, now) else {
            return self.attempt_ended(key, Err(Reason::NoEndpoints), context);
        };
        state.retries.attempt(host);
        let slot = Slot {
            pod,
            upstream,
            host,
            thread,
        };
        state.slot = Some(slot);
        self.calls[key].stage = Stage::Queued;
        self.with_pool(slot, context, |pool, breakers, act| {
            pool.ask(key.slot(), breakers, act);
        });
    }

    /// Brings the cluster that a request goes to up to what its sidecar knows; gives its number
    /// among the sidecar's, if the sidecar has it.
    fn refresh(&mut self, passage: Key, context: &mut Clock<'_, Self>) -> Option<u32> {
        let now = context.now();
        let state = &self.passages[passage];
        let (pod, cluster) = (state.pod, state.cluster()?);
        let of = self.ways.at(state.way).generation;
        let (generation, view) = self.told(pod);
        let translation = self.translation.as_ref().expect("a mesh translates");
        let number = match of == generation {
            true => cluster.number,
            false => translation.find(generation, view.scope, cluster.lasting)?,
        };
        let service = cluster.service;
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref().expect("a sidecar that sends");
        let version = sidecar.view.version(&self.endpoint_log, service);
        let known = sidecar.by_cluster.get(&cluster.lasting).copied();
        let from = known.and_then(|known| sidecar.upstreams[known as usize].from);
        if from == Some((generation, version)) {
            return known;
        }
        let stream = &self.workloads[state.workload.index()].sidecars.balancers;
        let mut draw = stream.draw(
            u64::from(pod),
            u64::from(cluster.lasting) << 32 | u64::from(version),
        );
        let mut translation = self.translation.take().expect("a mesh translates");
        let told = (generation, number, view.viewer, version);
        let assignment = translation.assignment(told, |_| self.endpoints_of(service, version));
        let described = translation.cluster(generation, number);
        let pods = &self.endpoint_log.version(service, version).pods;
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let sidecar = sidecar.expect("a sidecar that sends");
        let kept = known.filter(|&known| {
            let known = &sidecar.upstreams[known as usize];
            known.told.is_same_for_proxies(described)
        });
        let number = kept.unwrap_or_else(|| {
            let (threads, release) = (sidecar.threads(), translation.version());
            let times = (sidecar.configured, now);
            let upstream = Upstream::new(described, release, threads, &mut draw, times);
            sidecar.add_upstream(cluster.lasting, upstream)
        });
        let upstream = &mut sidecar.upstreams[number as usize];
        upstream.from = Some((generation, version));
        upstream.update(&assignment, pods, &mut draw, now);
        self.translation = Some(translation);
        if kept.is_none() {
            self.await_sweep(pod, number, context);
        }
        Some(number)
    }

    /// Pods of a version of a service's endpoints, as istiod knows them.
    pub(crate) fn endpoints_of(&self, service: ServiceId, version: u32) -> Vec<registry::Endpoint> {
        let cluster = self.cluster.expect("services stand in clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let pods = self.endpoint_log.version(service, version).pods.iter();
        let endpoint = |&pod: &u32| {
            let namespace = self.namespace(pod);
            let has_sidecar = self.pods[pod as usize].has_sidecar();
            let at = (pod, pod_address(pod));
            let standing = self.standing(pod);
            standing.endpoint(at, described, namespace, has_sidecar)
        };
        pods.map(endpoint).collect()
    }

    /// Enters the next sweep of a cluster's detector into the calendar, if it has one.
    fn await_sweep(&mut self, pod: u32, upstream: u32, context: &mut Clock<'_, Self>) {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let Some(sidecar) = sidecar else { return };
        let starts = sidecar.starts;
        let known = &sidecar.upstreams[upstream as usize];
        let Some(detector) = &known.outlier else {
            return;
        };
        let (since, interval) = (known.since, detector.interval());
        let passed = context.now().saturating_since(since).as_nanos() / interval.as_nanos();
        let event = Event::Swept {
            pod,
            starts,
            upstream,
        };
        context.schedule(since + interval * (passed + 1), event);
    }

    /// A sidecar sweeps through the hosts of a cluster.
    pub(crate) fn swept(
        &mut self,
        pod: u32,
        starts: u16,
        upstream: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        self.judge(
            (pod, starts),
            upstream,
            context,
            |detector, draw, report| {
                detector.sweep(now, draw, report);
            },
        );
        if self.sidecar_runs(pod, starts) {
            self.await_sweep(pod, upstream, context);
        }
    }

    /// Whether a sidecar has not ended since.
    fn sidecar_runs(&self, pod: u32, starts: u16) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        sidecar.is_some_and(|sidecar| sidecar.runs && sidecar.starts == starts)
    }

    /// Something happens to a cluster's detector, and threads hear of whom it left out or let in.
    fn judge(
        &mut self,
        (pod, starts): (u32, u16),
        upstream: u32,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut OutlierDetector, &mut Draw, &mut dyn FnMut(Happening)),
    ) {
        let now = context.now();
        if !self.sidecar_runs(pod, starts) {
            return;
        }
        let mut draw = self.health_draw(pod, now);
        let Some(known) = self.upstream(pod, upstream) else {
            return;
        };
        let Some(detector) = &mut known.outlier else {
            return;
        };
        let mut changed = Vec::new();
        let members = &known.members;
        happens(detector, &mut draw, &mut |happening| match happening {
            Happening::Ejected(place, _) | Happening::Returned(place) => {
                changed.push(members[place as usize].priority as usize);
            }
            Happening::Observed(..) | Happening::Overflowed(..) => {}
        });
        changed.sort_unstable();
        for priority in changed {
            match known.windows[priority].change(Change::Merged, now) {
                Delivery::Now => known.tell_threads(priority..priority + 1, &mut draw, now),
                Delivery::Waits => {}
                Delivery::At(at) => {
                    let event = Event::ThreadsHear {
                        pod,
                        starts,
                        upstream,
                        priority: priority as u16,
                    };
                    context.schedule(at, event);
                }
            }
        }
    }

    /// A merge window ends: threads hear how the hosts of a priority are.
    pub(crate) fn threads_hear(
        &mut self,
        pod: u32,
        starts: u16,
        (upstream, priority): (u32, u16),
        now: Time,
    ) {
        if !self.sidecar_runs(pod, starts) {
            return;
        }
        let mut draw = self.health_draw(pod, now);
        let priority = usize::from(priority);
        if let Some(known) = self.upstream(pod, upstream)
            && known
                .windows
                .get_mut(priority)
                .is_some_and(|it| it.fire(now))
        {
            known.tell_threads(priority..priority + 1, &mut draw, now);
        }
    }

    /// What is drawn when hosts of a sidecar's are left out or let in.
    fn health_draw(&self, pod: u32, now: Time) -> Draw {
        let workload = self.pods[pod as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.health;
        stream.draw(u64::from(pod), now.as_nanos())
    }

    fn upstream(&mut self, pod: u32, number: u32) -> Option<&mut Upstream> {
        let sidecar = self.pods[pod as usize].sidecar.as_mut()?;
        sidecar.upstream(number)
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

    /// How a host is spoken to on a connection.
    pub(super) fn spoken(&mut self, line: Line) -> Option<Spoken> {
        let upstream = self.upstream(line.slot.pod, line.slot.upstream)?;
        Some(upstream.hosts[line.slot.host as usize].sent)
    }

    fn host_thread(&mut self, slot: Slot) -> Option<(&mut HostThread, &mut Breakers)> {
        let sidecar = self.pods[slot.pod as usize].sidecar.as_mut()?;
        let Upstream {
            hosts, breakers, ..
        } = sidecar.upstream(slot.upstream)?;
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
        let Slot { pod, upstream, .. } = line.slot;
        let state = &mut self.pods[pod as usize];
        let (workload, uid) = (state.workload, state.uid);
        let sidecar = state.sidecar.as_mut().expect("a sidecar that sends");
        let number = sidecar.count_opened();
        let upstream = sidecar.upstream(upstream).expect("a pool of it");
        let goal = upstream.hosts[line.slot.host as usize].pod;
        let (service, patience) = (upstream.service, upstream.told.connect_timeout);
        let port = upstream.told.port;
        self.set_connection(line, Some(Connection::Opening));
        let endpoint = Endpoint {
            port,
            ..self.endpoint(goal, service, None)
        };
        let plan = self.outbound_plan(workload, service, None);
        let identity = Identity {
            request: uid,
            branch: number,
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
            for (upstream, known) in (0..).zip(upstreams) {
                let hosts = (0..).zip(&known.hosts);
                for (host, known) in hosts.filter(|(_, host)| host.pod == pod) {
                    for (thread, of_thread) in (0..).zip(&known.threads) {
                        let slot = Slot {
                            pod: owner,
                            upstream,
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

    /// An attempt of a sidecar has ended: its host is judged by it. Says how long the sidecar
    /// pauses before it tries again, if it does.
    pub(super) fn pause_of_sidecar(
        &mut self,
        key: Key,
        passage: Key,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) -> Option<Duration> {
        let call = &self.calls[key];
        let seen = seen(outcome, call.stage)?;
        let identity = call.work().part(PAUSE);
        let slot = self.passages[passage].slot?;
        self.tell_detector(slot, seen, context);
        let state = &self.passages[passage];
        if outcome.is_ok() && state.retries.made() == 0 {
            return None;
        }
        let pod = &self.pods[state.pod as usize];
        let stream = &self.workloads[pod.workload.index()].sidecars.work;
        let mut draw = stream.draw(identity.request, identity.branch);
        let mut retries = state.retries;
        let policy = self.ways.at(state.way).retries.clone()?;
        let (_, breakers) = self.host_thread(slot)?;
        let verdict = retries.decide(&policy, seen, breakers, &mut draw);
        self.passages[passage].retries = retries;
        match verdict {
            Verdict::After(pause) => Some(pause),
            Verdict::Final | Verdict::LimitExceeded | Verdict::Overflow => None,
        }
    }

    /// The detector of a cluster hears what came of an attempt.
    fn tell_detector(&mut self, slot: Slot, seen: retry::Outcome, context: &mut Clock<'_, Self>) {
        let result = match seen {
            retry::Outcome::Status(status) => outlier::Result::Status(status),
            retry::Outcome::Grpc(_) | retry::Outcome::Cut(Cut::Overflow, _) => return,
            retry::Outcome::Cut(Cut::ConnectFailure, _) => outlier::Result::ConnectFailed,
            retry::Outcome::Cut(Cut::Local, _) => outlier::Result::TimedOut,
            retry::Outcome::Cut(Cut::Remote | Cut::RefusedStream, _) => outlier::Result::Reset,
        };
        self.tell_result(slot, result, context);
    }

    fn tell_result(&mut self, slot: Slot, result: outlier::Result, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let Some(known) = self.upstream(slot.pod, slot.upstream) else {
            return;
        };
        let place = known.hosts[slot.host as usize].place;
        let Some(place) = place.filter(|_| known.outlier.is_some()) else {
            return;
        };
        let sidecar = self.pods[slot.pod as usize].sidecar.as_ref();
        let starts = sidecar.map_or(0, |sidecar| sidecar.starts);
        self.judge(
            (slot.pod, starts),
            slot.upstream,
            context,
            |detector, draw, report| {
                detector.tell(place, result, now, draw, report);
            },
        );
    }

    /// The time for a request with all its attempts is over.
    pub(crate) fn route_timed_out(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(call) = self.passages.get(key).and_then(|passage| passage.call) else {
            return;
        };
        if self.calls.get(call).is_none() {
            return; // It has been answered, and the answer is on its way.
        }
        let slot = self.passages[key].slot;
        if self.calls[call].stage != Stage::Paused {
            self.abandon(call, context);
            self.meter_attempt(call, Err(Reason::Timeout), context);
            if let Some(slot) = slot {
                self.tell_result(slot, outlier::Result::TimedOut, context);
            }
        }
        self.calls.remove(call);
        if let Some(slot) = slot {
            let mut retries = self.passages[key].retries;
            if let Some((_, breakers)) = self.host_thread(slot) {
                retries.release(breakers);
            }
            self.passages[key].retries = retries;
        }
        self.passage_answered(key, Err(Reason::GatewayTimeout), 0, context);
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
        Reason::NoCluster | Reason::Injected if stage.endpoint().is_none() => return None,
        Reason::NoCluster | Reason::Injected => retry::Outcome::Status(503),
        Reason::Forbidden => retry::Outcome::Status(403),
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
