//! Where requests come from, by addresses, for proxies whose policies ask for that.
//!
//! Models: the address of the pod or machine that opened a connection, of the node that it came
//! through where kube-proxy puts that in its place, or of the user. Ztunnels keep the addresses of
//! the pods that they carry, and waypoints see these. The address that a request says it comes
//! from is the last of `x-forwarded-for` at sidecars and waypoints; gateways count as many back as
//! there are trusted proxies in front of them, take the address of the connection where there are
//! none, and write that down at the end. What applications make of the header is what they hand on.
//!
//! Approximated: the header is what the user sent and what gateways have added, whatever routes
//! make of it, and nothing of what another cluster did with it; a caller that has left meanwhile
//! has no address; copies of requests lose the header.
//! Sources: istio/istio pilot/pkg/networking/core/{gateway,listener_inbound,listener_waypoint}.go,
//! pilot/pkg/xds/filters/filters.go; istio/ztunnel src/proxy/inbound_passthrough.rs;
//! envoyproxy/envoy source/common/http/conn_manager_utility.cc; kubernetes.io, Using Source IP.
//! Validated by: who gets in by which address, in the tests of promises.

use super::service::RequestArrival;
use super::{CallRef, Listener, Origin, Owner, Reply, Target};
use crate::domain::Domain;
use crate::istio::authorization::Addresses;
use crate::scenario::{ServiceId, TrafficId, TrafficPolicy, TrafficSource, WorkloadKind};
use crate::slab::Key;
use crate::topology::{PartitionKind, addresses};
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};

/// The header in which proxies tell whom they were asked by.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// A connection at the pod that takes it.
struct Connection {
    from: CallRef,
    origin: Option<Origin>,
    pod: u32,
    /// Through which it came.
    service: ServiceId,
    /// The node through which it entered the cluster.
    entry: Option<u32>,
}

/// What `x-forwarded-for` holds, the nearest last; entries that are no addresses keep their places.
type Forwarded = Vec<Option<IpAddr>>;

impl Domain<'_> {
    /// The address of a pod or machine.
    pub(crate) fn address_of(&self, pod: u32) -> Ipv4Addr {
        let state = &self.pods[pod as usize];
        let cluster = self.cluster.expect("pods stand in clusters");
        let plan = &self.topology.clusters[cluster.index()];
        match state.node {
            None if self.kind(state.workload) == WorkloadKind::External => {
                let given = self.machine_address(pod);
                given.unwrap_or_else(|| addresses::machine(state.came))
            }
            node => plan.addresses.pod(node.unwrap_or(0), state.came),
        }
    }

    /// The address of a user, somewhere in a range.
    pub(super) fn user_address(
        &self,
        range: Ipv4Net,
        (traffic, client): (TrafficId, u32),
    ) -> Option<Ipv4Addr> {
        let scenario = &self.topology.scenario;
        let TrafficSource::Users(users) = scenario.traffic[traffic.index()].source else {
            return None;
        };
        let stream = &self.user_addresses[users.index()];
        let mut draw = stream.draw(u64::from(traffic.0), u64::from(client));
        let share = draw.uniform();
        let size = f64::from(range.prefix_len());
        let offset = (share * libm::exp2(32.0 - size)) as u32;
        Some(Ipv4Addr::from(u32::from(range.network()) + offset))
    }

    /// Where a request comes from that reaches a proxy, and where it goes to.
    pub(super) fn addresses(&self, request: &RequestArrival) -> Addresses {
        let endpoint = request.endpoint;
        let connection = Connection {
            from: request.from,
            origin: request.origin,
            pod: endpoint.pod,
            service: endpoint.service,
            entry: endpoint.entry,
        };
        let source = self.source(&connection);
        let forwarded = self.forwarded(request.from, request.origin);
        let back = match endpoint.listener {
            // They look before they add whom they were asked by.
            Listener::Edge(..) => self.trusted_proxies(endpoint.pod).checked_sub(1),
            _ => Some(0),
        };
        let said = back.and_then(|back| forwarded.into_iter().rev().nth(back as usize)?);
        Addresses {
            source,
            remote: said.unwrap_or(source),
            destination: self.address_asked(endpoint),
        }
    }

    /// Proxies in front of a gateway that are to be believed.
    fn trusted_proxies(&self, pod: u32) -> u32 {
        let sidecar = self.template(pod).sidecar.as_ref();
        let said = sidecar.and_then(|sidecar| sidecar.settings.proxy.trusted_proxies);
        said.unwrap_or(0)
    }

    /// The address that a connection comes from.
    fn source(&self, of: &Connection) -> IpAddr {
        let node = |node| IpAddr::V4(addresses::node(node));
        if let Some(entry) = of.entry {
            let cluster = self.cluster.expect("endpoints stand in clusters");
            let service = &self.topology.cluster(cluster).services[of.service.index()];
            if service.external_policy == TrafficPolicy::Cluster {
                return node(entry);
            }
        }
        if of.from.partition != self.id {
            return IpAddr::V4(self.source_outside(of.from.partition, of.origin));
        }
        let call = self.calls.get(of.from.call);
        let Some(call) = call.filter(|call| self.plans[call.plan as usize].from_pod) else {
            return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        };
        let client = call.client;
        match self.pods[client as usize].node {
            Some(at) if self.is_masqueraded(of.from.call, of.pod) => node(at),
            _ => IpAddr::V4(self.address_of(client)),
        }
    }

    /// Whether the address of a pod gives way to its node's, when it asks a service by its address:
    /// where an administrator says so, and where a pod comes back to itself.
    fn is_masqueraded(&self, key: Key, server: u32) -> bool {
        let call = &self.calls[key];
        let Target::Service(cluster, service) = self.plans[call.plan as usize].target else {
            return false;
        };
        let described = self.topology.cluster(cluster);
        let has_rules = !described.services[service.index()].kind.is_headless();
        let all = described.service_rules.configuration.masquerade_all;
        has_rules && self.carrier_of(key).is_none() && (all || call.client == server)
    }

    /// The address of somebody in another partition.
    fn source_outside(&self, partition: u16, origin: Option<Origin>) -> Ipv4Addr {
        let of_user = |range| {
            let origin = origin?;
            self.user_address(range, (origin.traffic, origin.client))
        };
        let known = match self.topology.partitions[usize::from(partition)] {
            PartitionKind::Cluster(cluster) => Some(addresses::outside(cluster)),
            PartitionKind::Users(users) => {
                let said = self.topology.scenario.user_networks[users.index()].addresses;
                of_user(said.unwrap_or_else(addresses::users))
            }
            PartitionKind::GlobalDns => None,
        };
        known.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// What `x-forwarded-for` holds of a request as it is sent.
    fn forwarded(&self, from: CallRef, origin: Option<Origin>) -> Forwarded {
        if from.partition != self.id {
            let is_user = matches!(
                self.topology.partitions[usize::from(from.partition)],
                PartitionKind::Users(_)
            );
            let user = origin.filter(|_| is_user).map(|origin| origin.traffic);
            return user.map_or_else(Vec::new, |user| self.said_by_user(user));
        }
        let Some(call) = self.calls.get(from.call) else {
            return Vec::new();
        };
        let plan = &self.plans[call.plan as usize];
        match call.owner {
            Owner::User(asker) => self.said_by_user(asker.traffic),
            Owner::Passage(passage) => self.forwarded_through(passage),
            Owner::Line(_) => Vec::new(),
            Owner::Task(task) => {
                let task = &self.tasks[task];
                let before = || match task.reply {
                    Reply::Passage(passage) => self.forwarded_through(passage),
                    Reply::Call(from) => self.forwarded(from, task.origin),
                    Reply::Datagram(_) => Vec::new(),
                };
                match &plan.attributes {
                    // Proxies pass on what they were asked.
                    None => before(),
                    Some(own) => match own.headers.iter().find(|(name, _)| name == FORWARDED_FOR) {
                        Some((_, text)) => read(text),
                        None if own.forwarded.iter().any(|name| name == FORWARDED_FOR) => before(),
                        None => Vec::new(),
                    },
                }
            }
        }
    }

    /// As a proxy sends it on.
    fn forwarded_through(&self, passage: Key) -> Forwarded {
        let Some(passage) = self.passages.get(passage) else {
            return Vec::new();
        };
        let Some(from) = passage.reply else {
            return Vec::new();
        };
        let mut forwarded = self.forwarded(from, passage.origin);
        if let Listener::Edge(..) = passage.listener {
            let connection = Connection {
                from,
                origin: passage.origin,
                pod: passage.pod,
                service: passage.service,
                entry: passage.entry,
            };
            forwarded.push(Some(self.source(&connection)));
        }
        forwarded
    }

    fn said_by_user(&self, traffic: TrafficId) -> Forwarded {
        let headers = &self.topology.scenario.traffic[traffic.index()]
            .attributes
            .headers;
        let said = headers.iter().find(|(name, _)| name == FORWARDED_FOR);
        said.map_or_else(Vec::new, |(_, text)| read(text))
    }
}

fn read(text: &str) -> Forwarded {
    let entries = text.split(',');
    entries.map(|entry| entry.trim().parse().ok()).collect()
}
