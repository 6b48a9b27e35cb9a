//! The other side of a sidecar: clusters as Envoy keeps them, with pods as their hosts.
//!
//! Models: for each cluster that a sidecar has sent requests to, the pods that its view holds,
//! by priority, place and weight; a balancer for each thread, and a pool of connections for each
//! thread and pod; limits that all threads share; pods that are left out because they failed,
//! of which threads hear a merge window late; retries by the policy of the route. The rules are
//! those of [`crate::envoy`]; here they meet connections, packets and time. A cluster of which
//! the sidecar is told something else begins anew, and what is under way ends with the old one.
//!
//! Clusters that keep the protocol of their clients have pools for both versions of HTTP.
//!
//! Approximated: a pod that leaves the view keeps its idle connections until it ends.
//! Sources: envoyproxy/envoy source/common/router, source/common/upstream; [`crate::facts`].
//! Validated by: latencies and connections worked out by hand in the crate's tests.

pub(super) mod application;
mod lines;
mod outcomes;
mod zones;

use super::call::Stage;
use super::encryption::Session;
use super::{Endpoint, Owner};
use crate::control::standing::pod_address;
use crate::domain::{Clock, Domain};
use crate::envoy::breaker::Breakers;
use crate::envoy::hosts::{Health, Host, Hosts, Localities, Settings};
use crate::envoy::merge::{Change, MergeWindow};
use crate::envoy::outlier::OutlierDetector;
use crate::envoy::pool::{self, Pool};
use crate::envoy::retry::{Retries, RetryPolicy};
use crate::envoy::worker::{Ask, Worker};
use crate::facts;
use crate::istio::authentication::Sent as Spoken;
use crate::istio::push::Role;
use crate::istio::translate::cluster::Cluster;
use crate::istio::translate::place::{Assignment, Behind};
use crate::istio::version::Version;
use crate::record::Reason;
use crate::scenario::ServiceId;
use crate::slab::Key;
use engine::{Draw, Time};
use zones::Likes;

/// A cluster as a sidecar keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    service: ServiceId,
    /// What the sidecar was told of it.
    told: Cluster,
    /// Where that and the hosts come from, once they do: the generation of the configuration, the
    /// version of the endpoints, and that of the proxy's likes.
    from: Option<(u32, u32, u32)>,
    /// The service by which the proxy knows its likes.
    likes: Option<ServiceId>,
    settings: Settings,
    /// What each thread keeps connections of, to each pod.
    pools: Vec<pool::Settings>,
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
    /// What was kept of the connection that was encrypted last.
    pub(super) session: Option<Session>,
    /// When its connections are looked at next.
    looks_at: Option<Time>,
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
    /// Of each thread; of each thread for HTTP/1.1 and then for HTTP/2, where the protocol of
    /// clients is kept.
    pools: Vec<HostPool>,
}

/// Connections of a thread to a pod.
#[derive(Clone, Debug)]
struct HostPool {
    pool: Pool,
    /// By the numbers of the pool.
    connections: Vec<Option<Connection>>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    /// Which of all that its sidecar has opened.
    serial: u32,
    /// Whom it is with, once it is open.
    endpoint: Option<Endpoint>,
}

impl Connection {
    /// How it is named, under its number in a pool.
    fn line(&self, slot: Slot, number: u32) -> Line {
        Line {
            slot,
            number,
            serial: self.serial,
        }
    }
}

/// Where a connection of a sidecar belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) pod: u32,
    /// Position among the clusters of the sidecar.
    pub(crate) upstream: u32,
    /// Position among the hosts of the cluster.
    pub(crate) host: u32,
    /// Position among the pools of the host.
    pub(crate) pool: u16,
}

/// A connection of a sidecar to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) slot: Slot,
    /// Its number in its pool, which another has once it is closed.
    pub(crate) number: u32,
    /// Which of all that the sidecar has opened.
    serial: u32,
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
            likes: None,
            pools: told.connections(version),
            hosts: Vec::new(),
            order: Vec::new(),
            members: Vec::new(),
            balancers: (0..threads).map(balancer).collect(),
            breakers: Breakers::new(told.limits),
            outlier: told
                .outlier_detector(version)
                .map(|settings| OutlierDetector::new(settings, 0)),
            since,
            session: None,
            looks_at: None,
            windows: Vec::new(),
            told: told.clone(),
            settings,
            compiled,
        }
    }

    /// The hosts are these pods now, the endpoints of the assignment.
    fn update(
        &mut self,
        (assignment, pods): (&Assignment, &[u32]),
        likes: Option<&Likes>,
        draw: &mut Draw,
        now: Time,
    ) {
        // What is there when the cluster is looked at first has been there since it was told.
        let joined = if self.hosts.is_empty() {
            self.since
        } else {
            now
        };
        let mut order = Vec::with_capacity(assignment.len());
        let mut members = Vec::with_capacity(assignment.len());
        let mut weights: Vec<Vec<u32>> = Vec::new();
        let numbers = self.number_places(assignment, likes);
        for (group, locality) in assignment.groups.iter().zip(numbers) {
            let priority = group.priority as usize;
            if weights.len() <= priority {
                weights.resize(priority + 1, Vec::new());
            }
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

    /// What the sidecar was told of it, and with which generation.
    pub(super) fn told(&self) -> Option<(u32, &Cluster)> {
        self.from.map(|(generation, ..)| (generation, &self.told))
    }

    /// The pod that a connection is for.
    pub(super) fn pod_of(&self, slot: Slot) -> Option<u32> {
        self.hosts.get(slot.host as usize).map(|host| host.pod)
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
            let host = UpstreamHost::new(pod, &self.pools, threads, now);
            self.hosts.push(host);
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
        let has_tried = |host| retries.has_tried(at(host));
        let loads = elsewhere.and_then(|_| self.compiled.loads_without(has_tried));
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
            has_tried,
        );
        chosen.map(at)
    }
}

/// The address of a pod, which points on rings are named after.
fn address(pod: u32) -> String {
    format!("{}:80", pod_address(pod))
}

impl UpstreamHost {
    fn new(pod: u32, pools: &[pool::Settings], threads: usize, now: Time) -> Self {
        let of_threads = |settings: &pool::Settings| {
            let pool = HostPool {
                pool: Pool::new(*settings),
                connections: Vec::new(),
            };
            vec![pool; threads]
        };
        UpstreamHost {
            pod,
            since: now,
            place: None,
            sent: Spoken::IstioMutual,
            pools: pools.iter().flat_map(of_threads).collect(),
        }
    }

    /// Requests that it holds, from all threads.
    fn active(&self) -> u32 {
        self.pools.iter().map(|it| it.pool.active()).sum()
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
        let (of_kind, kinds) = (known.balancers.len(), known.pools.len());
        let kind = self.kind_of_pool(kinds, passage);
        let slot = Slot {
            pod,
            upstream,
            host,
            pool: (kind * of_kind) as u16 + u16::from(thread),
        };
        self.passages[passage].slot = Some(slot);
        self.calls[key].stage = Stage::Queued;
        self.with_pool(slot, context, |pool, breakers, act| {
            pool.ask(key.slot(), breakers, act);
        });
    }

    /// Which of several kinds of pools a request goes on by: the last is for HTTP/2.
    fn kind_of_pool(&mut self, kinds: usize, passage: Key) -> usize {
        match kinds > 1 && self.is_asked_by_http2(passage) {
            true => kinds - 1,
            false => 0,
        }
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
        let behind = self.behind(pod, generation, cluster.service);
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref().expect("a sidecar that sends");
        let version = sidecar.view.version(&self.endpoint_log, behind);
        let known = sidecar.by_cluster.get(&cluster.lasting).copied();
        let upstream = known.map(|known| &sidecar.upstreams[known as usize]);
        let of_likes = |service| sidecar.view.version(&self.endpoint_log, service);
        let likes_from = upstream.and_then(|it| it.likes).map_or(0, of_likes);
        let from = upstream.and_then(|it| it.from);
        if from == Some((generation, version, likes_from)) {
            return known;
        }
        let likes = self.service_of_likes(pod);
        let likes = likes.map(|service| (service, of_likes(service)));
        let stream = &self.workloads[state.workload.index()].sidecars.balancers;
        let mut draw = stream.draw(
            u64::from(pod),
            u64::from(cluster.lasting) << 32 | u64::from(version),
        );
        let mut translation = self.translation.take().expect("a mesh translates");
        let told = (generation, number, view.viewer, (behind, version));
        let assignment = translation.assignment(told, || self.endpoints_of(behind, version));
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let patches = &sidecar.expect("a sidecar that sends").patches;
        let described = &translation.patched(generation, number, patches);
        let pods = self.pods_behind(behind, version);
        let place = &translation.tables(generation).viewers[view.viewer as usize]
            .proxy
            .locality;
        let known_likes = likes.map(|of| self.likes(pod, of, place));
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
        upstream.likes = likes.map(|(service, _)| service);
        upstream.from = Some((generation, version, likes.map_or(0, |(_, version)| version)));
        let told = (&*assignment, &pods[..]);
        upstream.update(told, known_likes.as_ref(), &mut draw, now);
        self.translation = Some(translation);
        if kept.is_none() {
            self.await_sweep(pod, number, context);
        }
        Some(number)
    }

    /// The service whose pods a proxy sends requests for a service to: for a gateway it may be that
    /// of a waypoint.
    fn behind(&self, pod: u32, generation: u32, service: ServiceId) -> ServiceId {
        let translation = self.translation.as_ref();
        let translation = translation.filter(|_| self.role(pod) == Role::Gateway);
        let waypoint = translation.and_then(|it| it.waypoint_for_gateways(generation, service));
        waypoint.unwrap_or(service)
    }

    pub(super) fn upstream(&mut self, pod: u32, number: u32) -> Option<&mut Upstream> {
        let sidecar = self.pods[pod as usize].sidecar.as_mut()?;
        sidecar.upstream(number)
    }
}
