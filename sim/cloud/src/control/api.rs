//! The API server as its clients meet it: whether they can write, how long that takes, and
//! whether they hear of what others write.
//!
//! Models: writes that need a quorum of etcd, take their time, stall while etcd elects a leader
//! and wait for the client's own limit; watches that break with the API server, or with the
//! client's node, and come back by the back-off of their client; one API server of several,
//! whose clients move to another. What a client cannot do it does when it is told that it can
//! again, from the state that it then finds: nothing is queued but the wish.
//! Approximated: all watches of a client break and come back together; a client that moves finds
//! a server that lives at its first attempt.
//! Sources: [`crate::kubernetes`], [`crate::facts`].
//! Validated by: outages of API servers, etcd and nodes, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::kubernetes::bucket::Bucket;
use crate::kubernetes::etcd::{self, Role};
use crate::kubernetes::reflector::{self, Break};
use crate::meter::Observation;
use crate::scenario::{Component, Indicator, ProxyId, WorkloadId};
use engine::{Draw, Duration, Stream, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Who talks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The cluster autoscaler or Karpenter.
    Provisioner,
    /// The kubelet of a node.
    Kubelet(u32),
    /// The kube-proxy of a node.
    KubeProxy(u32),
    /// An L7 proxy.
    L7Proxy(u32),
    /// istiod.
    Istiod,
    /// What carries out canary releases.
    Canaries,
}

impl Client {
    /// Where its draws are.
    fn address(self) -> u64 {
        let (kind, index) = match self {
            Client::ControllerManager => (0, 0),
            Client::Scheduler => (1, 0),
            Client::Kubelet(node) => (2, node),
            Client::KubeProxy(node) => (3, node),
            Client::L7Proxy(proxy) => (4, proxy),
            Client::Provisioner => (5, 0),
            Client::Istiod => (6, 0),
            Client::Canaries => (7, 0),
        };
        kind << 32 | u64::from(index)
    }

    /// The part of Kubernetes that it is, as faults name them.
    fn component(self) -> Option<Component> {
        match self {
            Client::ControllerManager => Some(Component::ControllerManager),
            Client::Scheduler => Some(Component::Scheduler),
            Client::Provisioner => Some(Component::Provisioner),
            Client::Kubelet(node) => Some(Component::Kubelet(node)),
            Client::KubeProxy(node) => Some(Component::KubeProxy(node)),
            Client::Istiod => Some(Component::Istiod),
            Client::L7Proxy(_) | Client::Canaries => None,
        }
    }

    /// The node that it runs on, where that matters.
    fn node(self) -> Option<u32> {
        match self {
            Client::Kubelet(node) | Client::KubeProxy(node) => Some(node),
            _ => None,
        }
    }

    fn role(self) -> Option<Role> {
        match self {
            Client::ControllerManager => Some(Role::ControllerManager),
            Client::Scheduler => Some(Role::Scheduler),
            Client::Kubelet(_) => Some(Role::Kubelet),
            Client::KubeProxy(_) => Some(Role::KubeProxy),
            Client::Provisioner | Client::L7Proxy(_) | Client::Istiod | Client::Canaries => None,
        }
    }
}

/// A watch that is not open.
#[derive(Clone, Copy, Debug)]
struct Broken {
    since: Time,
    how: Break,
    /// Which break of this client it is.
    number: u32,
}

/// What the API server's clients have to do with it.
#[derive(Debug)]
pub(crate) struct Api {
    draws: Stream,
    minor: u32,
    limits: BTreeMap<Client, Bucket>,
    broken: BTreeMap<Client, Broken>,
    /// How often anything broke.
    breaks: BTreeMap<Client, u32>,
    /// Clients that wanted to write and could not.
    waiting: BTreeSet<Client>,
    /// Until when etcd has no leader.
    stalled_until: Time,
    /// Since when nothing can be written.
    unwritable_since: Option<Time>,
    stalls: u64,
    /// Timeline entries that could not be written.
    unwritten: Vec<u32>,
}

impl Api {
    pub(crate) fn new(draws: Stream, minor: u32) -> Self {
        Api {
            draws,
            minor,
            limits: BTreeMap::new(),
            broken: BTreeMap::new(),
            breaks: BTreeMap::new(),
            waiting: BTreeSet::new(),
            stalled_until: Time::ZERO,
            unwritable_since: None,
            stalls: 0,
            unwritten: Vec::new(),
        }
    }

    /// An operator's change waits until it can be written.
    pub(super) fn write_later(&mut self, entry: u32) {
        self.unwritten.push(entry);
    }

    /// A draw for what happens to a client for the `number`th time.
    fn draw(&self, client: Client, number: u64) -> Draw {
        self.draws.draw(client.address(), number)
    }

    /// Since when nothing can be written, if that is so.
    pub(super) fn unwritable_since(&self) -> Option<Time> {
        self.unwritable_since
    }

    fn limit(&mut self, client: Client, now: Time) -> Duration {
        let Some(role) = client.role() else {
            return Duration::ZERO;
        };
        let minor = self.minor;
        let limit = self.limits.entry(client);
        limit
            .or_insert_with(|| etcd::client_limit(role, minor))
            .take(now)
    }
}

/// Whether some API server is up.
fn answers(levers: &Levers) -> bool {
    levers.control.api_servers_down < facts::CONTROL_PLANE_MEMBERS.value
}

/// Whether anything can be written.
fn is_writable(levers: &Levers) -> bool {
    let members = facts::CONTROL_PLANE_MEMBERS.value;
    answers(levers) && etcd::has_quorum(members, levers.control.etcd_down)
}

/// Whether packets go to and fro between a client and the API servers.
fn reaches(levers: &Levers, client: Client) -> bool {
    let node = client.node().and_then(|node| levers.node(node));
    answers(levers) && node.is_none()
}

impl Domain<'_> {
    /// Whether some API server is up.
    pub(crate) fn is_answering(&self) -> bool {
        answers(&self.levers)
    }

    /// Whether anything can be written.
    pub(crate) fn is_writable(&self) -> bool {
        is_writable(&self.levers)
    }

    /// Whether anything could be written under these levers.
    pub(super) fn was_writable(&self, levers: &Levers) -> bool {
        is_writable(levers)
    }

    /// Whether a client does anything at all.
    pub(crate) fn acts(&self, client: Client) -> bool {
        let stands = client
            .component()
            .is_some_and(|component| self.levers.control.stands(component));
        let off = client
            .node()
            .is_some_and(|node| self.levers.is_off(node) || !self.has_machine(node));
        !stands && !off && self.leads(client)
    }

    /// Whether a client can act on what it knows: write, and have heard of what it acts on.
    pub(crate) fn works(&self, client: Client) -> bool {
        let informed = client.node().is_some() || !self.api.broken.contains_key(&client);
        let able = self.is_writable() && reaches(&self.levers, client) && informed;
        able && self.acts(client)
    }

    /// Whether a client can act now; it will be told when it can, if it cannot.
    pub(crate) fn can_act(&mut self, client: Client) -> bool {
        let able = self.is_ideal() || self.works(client);
        if !able {
            self.api.waiting.insert(client);
        }
        able
    }

    /// How much longer than an ordinary write one takes that is asked for now. `None`: as
    /// [`Domain::api_write`].
    pub(crate) fn write_wait(&mut self, client: Client, now: Time) -> Option<Duration> {
        let write = self.api_write(client, now)?;
        Some(write.saturating_sub(facts::API_WRITE_DELAY.value))
    }

    /// How long a write takes that is asked for now. `None`: it cannot be done now, and the
    /// client will be told when it can.
    pub(crate) fn api_write(&mut self, client: Client, now: Time) -> Option<Duration> {
        if self.is_ideal() {
            return Some(facts::API_WRITE_DELAY.value);
        }
        if !self.can_act(client) {
            return None;
        }
        let call = self.api_call(Indicator::ApiMutating, facts::API_WRITE_DELAY.value, now);
        Some(self.api.limit(client, now) + call)
    }

    /// How long until others hear of what a client would write now; `None` if it cannot.
    pub(super) fn status_seen_after(&self, client: Client, now: Time) -> Option<Duration> {
        let slow = self.levers.control.api_slow_factor;
        let both = facts::API_WRITE_DELAY.value + facts::WATCH_DELAY.value;
        let stall = self.api.stalled_until.saturating_since(now);
        self.works(client).then(|| stall + both.mul_f64(slow))
    }

    /// How long it takes a client that works to read an object.
    pub(super) fn api_read(&mut self, client: Client, now: Time) -> Duration {
        if self.is_ideal() {
            return facts::API_READ_DELAY.value;
        }
        let call = self.api_call(Indicator::ApiRead, facts::API_READ_DELAY.value, now);
        self.api.limit(client, now) + call
    }

    /// How long the API server takes for what takes it `own` at other times.
    fn takes(&self, own: Duration, now: Time) -> Duration {
        let stall = self.api.stalled_until.saturating_since(now);
        stall + own.mul_f64(self.levers.control.api_slow_factor)
    }

    /// How long an operator's write takes, which no indicator counts.
    pub(super) fn operator_write(&self, now: Time) -> Duration {
        match self.is_ideal() {
            true => facts::API_WRITE_DELAY.value,
            false => self.takes(facts::API_WRITE_DELAY.value, now),
        }
    }

    /// How long a call of a client takes: what indicators count, unlike the time for which the
    /// client holds it back.
    fn api_call(&mut self, indicator: Indicator, own: Duration, now: Time) -> Duration {
        let latency = self.takes(own, now);
        let took = Observation::Took {
            indicator,
            began: now,
            latency,
        };
        self.meters.observe(now, took);
        latency
    }

    /// How long until a client hears of what is written now. `None`: it hears of everything
    /// when its watch is back.
    pub(crate) fn watch(&self, client: Client) -> Option<Duration> {
        let open = !self.api.broken.contains_key(&client);
        let slow = self.levers.control.api_slow_factor;
        (open && reaches(&self.levers, client) && self.acts(client))
            .then(|| facts::WATCH_DELAY.value.mul_f64(slow))
    }

    /// Until when a client has heard of everything, at an instant.
    pub(super) fn heard_until(&self, client: Client, instant: Time) -> Time {
        let broken = self.api.broken.get(&client);
        let last = broken.map_or(instant, |broken| broken.since.min(instant));
        let slow = self.levers.control.api_slow_factor;
        let delay = facts::WATCH_DELAY.value.mul_f64(slow);
        Time::ZERO + last.since(Time::ZERO).saturating_sub(delay)
    }

    /// Everybody who watches.
    fn clients(&self) -> Vec<Client> {
        let nodes = 0..self.nodes.len() as u32;
        let proxies = 0..self.proxies.len() as u32;
        let provisioner = self.provisioner.iter().map(|_| Client::Provisioner);
        let istiod = self.istiod.iter().map(|_| Client::Istiod);
        [Client::ControllerManager, Client::Scheduler]
            .into_iter()
            .chain(provisioner)
            .chain(nodes.flat_map(|node| [Client::Kubelet(node), Client::KubeProxy(node)]))
            .chain(proxies.map(Client::L7Proxy))
            .chain(istiod)
            .chain((!self.canaries.is_empty()).then_some(Client::Canaries))
            .collect()
    }

    /// Faults have begun or ended.
    pub(crate) fn control_plane_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        self.etcd_moved(before, context);
        let names_start = before.dns_capacity <= 0.0 && self.levers.dns_capacity > 0.0;
        let has_api = self.is_answering();
        self.name_service
            .api_moved(has_api, names_start, context.now());
        for client in self.clients() {
            let (was, is) = (reaches(before, client), reaches(&self.levers, client));
            if was && !is {
                self.break_watch(client, answers(&self.levers), context.now());
            } else if !was && is {
                self.mend_watch(client, context);
            }
        }
        if before.control.api_slow_factor < self.levers.control.api_slow_factor {
            self.news_come_later(context);
        }
        self.subscriptions_moved(before, context);
        self.move_clients(before, context);
        self.leaders_moved(before, context);
        self.nodes_moved(before, context);
        self.components_moved(before, context);
    }

    /// What is on its way to those who look once for each change arrives after they have looked.
    fn news_come_later(&mut self, context: &mut Clock<'_, Self>) {
        self.istiod_hears(context);
        for proxy in 0..self.proxies.len() as u32 {
            self.proxy_hears(ProxyId(proxy), context);
        }
    }

    /// Writes stall while etcd elects a leader; what could not be written is tried again.
    fn etcd_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let members = facts::CONTROL_PLANE_MEMBERS.value;
        let quorum = |levers: &Levers| etcd::has_quorum(members, levers.control.etcd_down);
        let number = self.api.stalls;
        let mut draw = self.api.draws.draw(u64::MAX, number);
        let stall = match (quorum(before), quorum(&self.levers)) {
            (true, true) if self.levers.control.etcd_down > before.control.etcd_down => {
                etcd::stall(members, &mut draw)
            }
            (false, true) => etcd::election(&mut draw),
            _ => Duration::ZERO,
        };
        if !stall.is_zero() {
            self.api.stalls += 1;
            self.api.stalled_until = now + stall;
        }
        match (is_writable(before), self.is_writable()) {
            (true, false) => self.api.unwritable_since = Some(now),
            (false, true) => {
                self.api.unwritable_since = None;
                let able = now + self.operator_write(now);
                for entry in std::mem::take(&mut self.api.unwritten) {
                    context.schedule(able, Event::Written(entry));
                }
                for client in std::mem::take(&mut self.api.waiting) {
                    context.schedule(now.max(self.api.stalled_until), Event::Resumed(client));
                }
            }
            _ => {}
        }
    }

    /// Clients of an API server that is lost while others live move to one of those.
    fn move_clients(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let (was, is) = (
            before.control.api_servers_down,
            self.levers.control.api_servers_down,
        );
        if !answers(&self.levers) || is <= was {
            return;
        }
        let share = f64::from(is - was) / f64::from(facts::CONTROL_PLANE_MEMBERS.value - was);
        for client in self.clients() {
            let number = self.api.breaks.get(&client).copied().unwrap_or(0);
            let lost = self
                .api
                .draw(client, u64::from(number) << 1 | 1)
                .chance(share);
            if lost && reaches(&self.levers, client) && !self.api.broken.contains_key(&client) {
                self.break_watch(client, false, context.now());
                self.mend_watch(client, context);
            }
        }
    }

    /// A client's watch breaks: in silence, if it is the network that went.
    fn break_watch(&mut self, client: Client, silent: bool, now: Time) {
        let number = self.api.breaks.entry(client).or_default();
        *number += 1;
        let broken = Broken {
            since: now,
            how: if silent {
                Break::Silent
            } else {
                Break::Refused
            },
            number: *number,
        };
        let known = self.api.broken.entry(client).or_insert(broken);
        known.number = *number;
    }

    /// A client can reach the API server again: its watch will be back.
    fn mend_watch(&mut self, client: Client, context: &mut Clock<'_, Self>) {
        let Some(&Broken { since, how, number }) = self.api.broken.get(&client) else {
            return;
        };
        let mut draw = self.api.draw(client, u64::from(number) << 1);
        let at = reflector::reopened(how, since, context.now(), &mut draw);
        context.schedule(at, Event::Reopened { client, number });
    }

    /// A watch is open again.
    pub(crate) fn reopened(&mut self, client: Client, number: u32, context: &mut Clock<'_, Self>) {
        let current = self.api.broken.get(&client);
        let current = current.is_some_and(|broken| broken.number == number);
        if current && reaches(&self.levers, client) {
            self.api.broken.remove(&client);
            self.resumed(client, context);
        }
    }

    /// A process that starts anew lists everything: its watch is open if it can be.
    pub(super) fn open_watch(&mut self, client: Client) {
        if reaches(&self.levers, client) {
            self.api.broken.remove(&client);
        }
    }

    /// A client can act, write or hear again: it compares what is with what should be.
    pub(crate) fn resumed(&mut self, client: Client, context: &mut Clock<'_, Self>) {
        if !self.acts(client) {
            return;
        }
        match client {
            Client::ControllerManager => {
                self.node_lifecycle_resumed(context);
                self.endpoints_resumed(context);
                self.await_telling(context);
                self.budgets_changed(None, context);
                for workload in (0..self.workloads.len()).map(WorkloadId::from) {
                    self.reconcile(workload, context);
                    self.pods_changed(workload, context);
                }
            }
            Client::Scheduler => self.retry_pending(context),
            Client::Provisioner => self.provisioner_resumed(context),
            Client::Kubelet(node) => self.kubelet_resumed(node, context),
            Client::KubeProxy(node) => self.kube_proxy_resumed(node, context),
            Client::L7Proxy(proxy) => self.proxy_informed(ProxyId(proxy), context),
            Client::Istiod => self.istiod_informed(context),
            Client::Canaries => self.canaries_resumed(context),
        }
    }

    /// Parts have stopped or frozen, or act again.
    fn components_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let stood = before.control.down.union(&before.control.frozen);
        let again: BTreeSet<Component> = stood
            .copied()
            .filter(|component| !self.levers.control.stands(*component))
            .collect();
        let fell = self.levers.control.down.difference(&before.control.down);
        let fell: Vec<Component> = fell.copied().collect();
        for component in fell {
            if let Component::Ztunnel(node) = component {
                self.ztunnel_ends(node, context);
            }
        }
        for component in again {
            let restarted = before.control.down.contains(&component);
            match component {
                // Their leaders' restart has been taken care of.
                Component::ControllerManager if !restarted => {
                    self.resumed(Client::ControllerManager, context);
                }
                Component::Scheduler if !restarted => self.resumed(Client::Scheduler, context),
                Component::Provisioner if !restarted => self.resumed(Client::Provisioner, context),
                Component::ControllerManager | Component::Scheduler | Component::Provisioner => {}
                Component::KubeProxy(node) if restarted => self.kube_proxy_starts(node, context),
                Component::KubeProxy(node) => self.kube_proxy_resumed(node, context),
                Component::Istiod => {
                    self.istiod_informed(context);
                }
                Component::Ztunnel(node) if restarted => self.ztunnel_starts(node, context),
                Component::Ztunnel(_) => {}
                // What becomes of silence is seen where nodes move.
                Component::Kubelet(node) => self.kubelet_acts(node, context),
            }
        }
    }
}
