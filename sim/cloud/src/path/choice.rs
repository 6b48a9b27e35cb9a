//! The choice of an endpoint for a new connection, by the rules of a node as of that node's view.
//!
//! Models: which endpoints count, by [`crate::rules::select`], whose answer is kept for each
//! version of a service's endpoints and each zone or node that sees them alike; what becomes of
//! the connection, by [`crate::rules::decide`]; one of the endpoints at random, or the one that
//! got the client's last connection. A list of netfilter's `recent` module, one for each endpoint
//! on each node, holds a hundred clients; the next one drives out the one not seen for longest.
//! Hints follow from `trafficDistribution`: from 1.31 a zone's own endpoints are preferred, from
//! 1.34 a node's own. In ipvs mode the schedulers of [`crate::rules::ipvs`].
//!
//! A load balancer's service lets in whom its `loadBalancerSourceRanges` hold: users of a network
//! that says where its addresses lie have one each, drawn from there.
//!
//! Approximated: users of a network that says nothing, health checks from outside and pods of other
//! clusters are let in everywhere; a client whose endpoint was not ready for a while finds it again; a scheduler
//! that looks for few connections sees the requests inside a pod, whichever node they came by.
//! Leaves out: hints that balance zones by their processors (`service.kubernetes.io/topology-mode`).
//! Sources: kubernetes/kubernetes pkg/proxy; [`crate::facts`].
//! Validated by: shares of endpoints, zones and nodes in the crate's tests; lists against
//! [`crate::rules::select`] in this file's tests.

use super::Identity;
use super::link::Address;
use crate::domain::Domain;
use crate::facts;
use crate::rules::{
    Client, Decision, Demand, Door, Hint, Masquerade, Mode, Place, Scheduler, Seen, Standing,
    decide, has_last_resort, ipvs, select,
};
use crate::scenario::{
    ServiceId, ServiceKind, TrafficDistribution, TrafficId, TrafficPolicy, TrafficSource,
};
use crate::view::EndpointSet;
use engine::{Duration, Time};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// First minor version whose services prefer the endpoints of a zone.
const DISTRIBUTION_MINOR: u32 = 31;

/// What the rules of a node do with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// On to this pod.
    Pod(u32),
    /// Refused at once.
    Refuse,
    /// Dropped.
    Drop,
}

/// Those who see the endpoints of a service alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seer {
    /// Everyone in a zone, for traffic that may go anywhere.
    Zone(Option<u32>),
    /// A node, for traffic that may go anywhere.
    Node(u32),
    /// A node, or what stands outside of all, for traffic that must stay there.
    Local(Option<u32>),
}

/// Pods that count, for each version of a service's endpoints and those who see them alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selections {
    known: BTreeMap<(ServiceId, u32, Seer), Selected>,
}

#[derive(Clone, Debug)]
enum Selected {
    /// These pods, ascending.
    Pods(Vec<u32>),
    /// What everyone in the zone sees.
    AsTheZone,
}

impl Selections {
    /// A new version of a service is out: the one before it is kept for those who lag.
    pub(crate) fn published(&mut self, service: ServiceId, version: u32) {
        let first = Seer::Zone(None); // It stands before all others.
        let kept = (service, version.saturating_sub(1), first);
        let old = self.known.range((service, 0, first)..kept);
        let old: Vec<_> = old.map(|(of, _)| *of).collect();
        for of in old {
            self.known.remove(&of);
        }
    }
}

/// What schedulers of IPVS keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedules {
    turns: BTreeMap<(Option<u32>, ServiceId), u32>,
    maglev: BTreeMap<ServiceId, ipvs::Maglev>,
}

/// Whom clients were sent to last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Affinities {
    clients: BTreeMap<(Option<u32>, ServiceId, Address), Remembered>,
    /// Clients by endpoint, the one that was not seen for longest first.
    lists: BTreeMap<(Option<u32>, ServiceId, u32), Vec<Address>>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    pod: u32,
    used: Time,
}

impl Affinities {
    /// The pod that a client was sent to no longer than `timeout` ago.
    fn recall(
        &self,
        (node, service, client): (Option<u32>, ServiceId, Address),
        timeout: Duration,
        now: Time,
    ) -> Option<u32> {
        let known = self.clients.get(&(node, service, client))?;
        (now.saturating_since(known.used) <= timeout).then_some(known.pod)
    }

    /// Remembers a client, in a list of so many.
    fn remember(
        &mut self,
        (node, service, client): (Option<u32>, ServiceId, Address),
        pod: u32,
        now: Time,
        room: Option<u64>,
    ) {
        let used = now;
        self.clients
            .insert((node, service, client), Remembered { pod, used });
        let Some(room) = room else {
            return;
        };
        let list = self.lists.entry((node, service, pod)).or_default();
        list.retain(|known| *known != client);
        list.push(client);
        if list.len() as u64 > room {
            let forgotten = (node, service, list.remove(0));
            if self
                .clients
                .get(&forgotten)
                .is_some_and(|one| one.pod == pod)
            {
                self.clients.remove(&forgotten);
            }
        }
    }
}

/// The endpoints for traffic that may go anywhere, where no hints count.
fn everyone(set: &EndpointSet, minor: u32) -> &[u32] {
    if set.pods.is_empty() && has_last_resort(minor) {
        &set.leaving
    } else {
        &set.pods
    }
}

impl Domain<'_> {
    /// What the rules of `node` do with a new connection to a service.
    pub(crate) fn choose_endpoint(
        &mut self,
        node: Option<u32>,
        service: ServiceId,
        address: Address,
        door: Door,
        identity: Identity,
        now: Time,
    ) -> Choice {
        let topology = self.topology;
        let cluster = topology.cluster(self.cluster.expect("services belong to clusters"));
        let described = &cluster.services[service.index()];
        let policy = match door {
            Door::Cluster => described.internal_policy,
            _ => described.external_policy,
        };
        let is_local = |policy| policy == TrafficPolicy::Local;
        let here = is_local(policy) && !self.among(node, service, TrafficPolicy::Local).is_empty();
        let standing = Standing::new(
            !self.known_set(node, service).is_empty(),
            here,
            is_local(described.internal_policy),
            is_local(described.external_policy),
        );
        // Pods call cluster addresses, and others come from outside the cluster.
        let client = Client {
            known: door == Door::Cluster,
            place: Place::Interface,
        };
        let among = match decide(standing, door, client, Masquerade::Others) {
            Decision::Refuse => return Choice::Refuse,
            Decision::Drop | Decision::Untouched => return Choice::Drop,
            Decision::Endpoint { local: true, .. } => TrafficPolicy::Local,
            Decision::Endpoint { local: false, .. } => TrafficPolicy::Cluster,
        };
        let timeout = described.session_affinity;
        let key = (node, service, address);
        let remembered = timeout.and_then(|timeout| self.affinities.recall(key, timeout, now));
        let stream = self.services[service.index()].stream;
        let mode = self.proxy_mode();
        let among = self.among(node, service, among);
        let pod = match (remembered, mode) {
            (Some(pod), _) if among.binary_search(&pod).is_ok() => pod,
            (_, Mode::Ipvs { scheduler }) => {
                let among = among.to_vec();
                self.scheduled(scheduler, &among, (node, service, address))
            }
            _ => {
                let mut draw = stream.draw(identity.request, identity.branch);
                among[draw.below(among.len() as u32) as usize]
            }
        };
        if timeout.is_some() {
            let room = (mode == Mode::Iptables).then_some(facts::RECENT_SOURCES.value);
            self.affinities.remember(key, pod, now, room);
        }
        Choice::Pod(pod)
    }

    /// The choice of a node's IPVS.
    fn scheduled(
        &mut self,
        scheduler: Scheduler,
        endpoints: &[u32],
        (node, service, client): (Option<u32>, ServiceId, Address),
    ) -> u32 {
        let number = match client {
            Address::Pod(partition, pod) => (u32::from(partition) << 24) ^ pod,
            Address::Client(traffic, client) => (!traffic.0 << 16) ^ client,
        };
        let pods = &self.pods;
        let schedules = &mut self.schedules;
        ipvs::choose(
            scheduler,
            ipvs::Choice {
                endpoints,
                turn: schedules.turns.entry((node, service)).or_default(),
                connections: &|pod| pods[pod as usize].station.present,
                client: number,
                service: service.0,
                maglev: schedules.maglev.entry(service).or_default(),
            },
        )
    }

    /// How the address of a service is called from outside its cluster.
    pub(crate) fn door(&self, service: ServiceId, from: Address) -> Door {
        let cluster = self.cluster.expect("services belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        match described.kind {
            ServiceKind::LoadBalancer => Door::Balancer {
                allowed: self.lets_in(&described.given.source_ranges, from),
            },
            _ => Door::NodePort { open: true },
        }
    }

    /// Whether ranges of sources hold a client. Whoever has no known address is one of those that
    /// they were written for.
    fn lets_in(&self, ranges: &[IpNet], from: Address) -> bool {
        let known = match from {
            _ if ranges.is_empty() => None,
            Address::Client(traffic, client) => self.known_address(traffic, client),
            Address::Pod(..) => None,
        };
        let holds = |address| ranges.iter().any(|range| range.contains(&address));
        known.map(IpAddr::from).is_none_or(holds)
    }

    /// The address of a user, where their network says where it lies.
    fn known_address(&self, traffic: TrafficId, client: u32) -> Option<Ipv4Addr> {
        let scenario = &self.topology.scenario;
        let TrafficSource::Users(users) = scenario.traffic[traffic.index()].source else {
            return None;
        };
        let range = scenario.user_networks[users.index()].addresses?;
        self.user_address(range, (traffic, client))
    }

    /// The version of a service's endpoints that the rules of a node are made from.
    fn known_version(&self, node: Option<u32>, service: ServiceId) -> u32 {
        match node {
            Some(node) => {
                let view = &self.nodes[node as usize].view;
                view.version(&self.endpoint_log, service)
            }
            None => self.endpoint_log.newest_version(service),
        }
    }

    /// All endpoints that a node could choose among.
    pub(super) fn known_set(&self, node: Option<u32>, service: ServiceId) -> &[u32] {
        let version = self.known_version(node, service);
        everyone(self.endpoint_log.version(service, version), self.minor())
    }

    /// The pods that a node chooses among, ascending.
    pub(crate) fn among(
        &mut self,
        node: Option<u32>,
        service: ServiceId,
        policy: TrafficPolicy,
    ) -> &[u32] {
        let version = self.known_version(node, service);
        let zone = node.map(|node| self.nodes[node as usize].zone);
        let seer = match (policy, self.distribution(service), node) {
            (TrafficPolicy::Local, ..) => Seer::Local(node),
            (_, None, _) => {
                return everyone(self.endpoint_log.version(service, version), self.minor());
            }
            (_, Some(TrafficDistribution::SameNode), Some(node)) => Seer::Node(node),
            _ => Seer::Zone(zone),
        };
        let of = |seer| (service, version, seer);
        for seer in [seer, Seer::Zone(zone)] {
            if !self.selections.known.contains_key(&of(seer)) {
                let selected = self.selected(node, of(seer));
                self.selections.known.insert(of(seer), selected);
            }
            if matches!(self.selections.known[&of(seer)], Selected::Pods(_)) {
                break;
            }
        }
        let mut seen = &self.selections.known[&of(seer)];
        if matches!(seen, Selected::AsTheZone) {
            seen = &self.selections.known[&of(Seer::Zone(zone))];
        }
        match seen {
            Selected::Pods(pods) => pods,
            Selected::AsTheZone => unreachable!("a zone has its own list"),
        }
    }

    /// Which endpoints a service's clients should rather go to, where the version knows of it.
    pub(crate) fn distribution(&self, service: ServiceId) -> Option<TrafficDistribution> {
        let cluster = self.cluster.expect("services belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        described
            .distribution
            .filter(|_| self.minor() >= DISTRIBUTION_MINOR)
    }

    /// Selects, as kube-proxy does.
    fn selected(
        &self,
        node: Option<u32>,
        (service, version, seer): (ServiceId, u32, Seer),
    ) -> Selected {
        let set = self.endpoint_log.version(service, version);
        if let Seer::Node(node) = seer {
            let own = |pod: &u32| self.pods[*pod as usize].node == Some(node);
            if !set.pods.iter().any(own) {
                return Selected::AsTheZone;
            }
        }
        let mut pods = [&set.pods[..], &set.leaving].concat();
        pods.sort_unstable();
        let distribution = self.distribution(service);
        let seen: Vec<Seen> = pods
            .iter()
            .map(|&pod| self.seen(node, pod, set, distribution))
            .collect();
        let local = matches!(seer, Seer::Local(_));
        let demand = Demand {
            cluster: !local,
            local,
            kubernetes_minor: self.minor(),
        };
        let selection = select(&seen, demand);
        let chosen = if local {
            selection.local
        } else {
            selection.cluster
        };
        Selected::Pods(chosen.into_iter().map(|at| pods[at]).collect())
    }

    /// An endpoint as a node sees it; the controller gives hints to what stands in a zone.
    fn seen(
        &self,
        node: Option<u32>,
        pod: u32,
        set: &EndpointSet,
        distribution: Option<TrafficDistribution>,
    ) -> Seen {
        let state = &self.pods[pod as usize];
        let local = state.node == node;
        let same_zone = node.is_some_and(|node| self.nodes[node as usize].zone == state.zone);
        let hint = |given: bool, ours: bool| match (given && state.node.is_some(), ours) {
            (false, _) => Hint::Absent,
            (true, true) => Hint::Ours,
            (true, false) => Hint::Others,
        };
        let ready = set.pods.binary_search(&pod).is_ok();
        Seen {
            ready,
            serving: true,
            terminating: !ready,
            local,
            zone: hint(distribution.is_some(), same_zone),
            node: hint(distribution == Some(TrafficDistribution::SameNode), local),
        }
    }

    /// One of the addresses that a headless service's name answers with.
    pub(crate) fn choose_address(&self, service: ServiceId, identity: Identity) -> Choice {
        let addresses = &self.endpoint_log.newest(service).pods;
        if addresses.is_empty() {
            return Choice::Refuse;
        }
        let stream = &self.services[service.index()].stream;
        let mut draw = stream.draw(identity.request, identity.branch);
        Choice::Pod(addresses[draw.below(addresses.len() as u32) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everyone_is_what_is_selected_without_hints(
            pods in prop::collection::btree_set(0u32..20, 0..5),
            leaving in prop::collection::btree_set(20u32..40, 0..5),
            kubernetes_minor in 24u32..37,
        ) {
            let seen = |ready| Seen {
                ready,
                serving: true,
                terminating: !ready,
                local: false,
                zone: Hint::Absent,
                node: Hint::Absent,
            };
            let set = EndpointSet {
                pods: pods.iter().copied().collect(),
                leaving: leaving.iter().copied().collect(),
                entries: Vec::new(),
                changed: Time::ZERO,
            };
            let all: Vec<u32> = pods.into_iter().chain(leaving).collect();
            let states: Vec<Seen> = (0..all.len()).map(|at| seen(at < set.pods.len())).collect();
            let demand = Demand { cluster: true, local: false, kubernetes_minor };
            let selection = select(&states, demand);
            let selected: Vec<u32> = selection.cluster.iter().map(|&at| all[at]).collect();
            prop_assert_eq!(everyone(&set, kubernetes_minor), &selected[..]);
            prop_assert_eq!(selection.any, !selected.is_empty());
        }
    }

    #[test]
    fn the_next_client_drives_out_the_one_not_seen_for_longest() {
        let mut affinities = Affinities::default();
        let client = |number| (Some(0), ServiceId(0), Address::Pod(0, number));
        let timeout = Duration::from_secs(60);
        for number in 0..100 {
            affinities.remember(client(number), 7, Time::ZERO, Some(100));
        }
        affinities.remember(client(0), 7, Time::ZERO, Some(100));
        affinities.remember(client(100), 7, Time::ZERO, Some(100));
        let recall = |number, at: u64| {
            affinities.recall(
                client(number),
                timeout,
                Time::from_nanos(at * 1_000_000_000),
            )
        };
        assert_eq!(recall(0, 60), Some(7));
        assert_eq!(recall(1, 60), None, "driven out");
        assert_eq!(recall(100, 60), Some(7));
        assert_eq!(recall(100, 61), None, "too long ago");
    }
}
