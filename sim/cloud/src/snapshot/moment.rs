//! A replication that stands still: what the kube-proxy of a node would write there.
//!
//! Models: services as they are described, with the addresses and ports that the API server gave
//! them; of endpoints, what the node's view holds, those on their way out included, with the
//! hints that `trafficDistribution` gives them; what an administrator set about kube-proxy.
//! Leaves out: the services of which a scenario says only how many there are.
//! Validated by: rules of a scenario in the command's tests.

use super::addresses::{self, Allocated};
use super::proxies::{self, ProxySnapshot};
use super::read::Reader;
use crate::domain::Domain;
use crate::rules::{Configuration, Endpoint, Input, Node, Service, ServicePort};
use crate::scenario::{self, ServiceId, ServiceKind, TrafficDistribution, TrafficPolicy};
use crate::simulate::{Options, run_until, start};
use crate::topology::Topology;
use crate::view::EndpointSet;
use engine::{Duration, Seed, Simulation, Time};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A replication at an instant.
pub struct Moment<'t> {
    pub(super) simulation: Simulation<Domain<'t>>,
}

/// A pod and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlace {
    /// Name of its cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Name of its node, if it is on one.
    pub node: Option<String>,
    /// Whether a sidecar runs in it.
    pub has_sidecar: bool,
}

impl<'t> Moment<'t> {
    /// Runs a replication up to an instant, what happens at it included.
    ///
    /// # Panics
    /// If the instant lies after the end of the run.
    pub fn new(topology: &'t Topology, seed: Seed, instant: Duration) -> Moment<'t> {
        let end = topology.scenario.run.duration;
        assert!(instant <= end, "{instant} is after the end at {end}");
        let options = Options::default();
        let mut domains = start(topology, seed, &options);
        domains.iter_mut().for_each(Domain::keep_journal);
        Moment {
            simulation: run_until(domains, topology, &options, Time::ZERO + instant),
        }
    }

    fn readers(&self) -> impl Iterator<Item = Reader<'_>> {
        self.simulation.partitions().filter_map(Reader::of)
    }

    /// Pods that there are, in the order in which they came, cluster by cluster.
    pub fn pods(&self) -> Vec<PodPlace> {
        let of = |reader: Reader<'_>| {
            let pods = reader.domain.pods.iter().zip(&reader.pods);
            let present = pods.filter(|(state, _)| !state.released);
            present
                .map(|(state, pod)| PodPlace {
                    cluster: reader.described.name.clone(),
                    namespace: reader.described.workloads[state.workload.index()]
                        .namespace
                        .clone(),
                    name: pod.pod.clone(),
                    address: pod.address,
                    node: pod.node.clone(),
                    has_sidecar: state.sidecar.as_ref().is_some_and(|sidecar| sidecar.runs),
                })
                .collect::<Vec<_>>()
        };
        self.readers().flat_map(of).collect()
    }

    /// Names of clusters and of their nodes.
    pub fn nodes(&self) -> Vec<(String, String)> {
        let of = |reader: Reader<'_>| {
            let nodes = reader.described.nodes.iter();
            nodes
                .map(|node| (reader.described.name.clone(), node.name.clone()))
                .collect::<Vec<_>>()
        };
        self.readers().flat_map(of).collect()
    }

    /// What the sidecar of a pod was told, and what it would be told by now; `None` if no sidecar
    /// runs there.
    pub fn proxy(&self, place: &PodPlace) -> Option<ProxySnapshot> {
        let reader = self
            .readers()
            .find(|reader| reader.described.name == place.cluster)?;
        let names = reader.pods.iter().zip(&reader.domain.pods);
        let position = names.into_iter().position(|(pod, state)| {
            !state.released
                && pod.pod == place.name
                && reader.workload(state.workload).namespace == place.namespace
        })?;
        proxies::proxy(&reader, position as u32)
    }

    /// What the kube-proxy of a node makes its rules from; `None` if there is no such node.
    pub fn rules(&self, cluster: &str, node: &str) -> Option<Input> {
        let reader = self
            .readers()
            .find(|reader| reader.described.name == cluster)?;
        let nodes = &reader.described.nodes;
        let position = nodes.iter().position(|one| one.name == node)?;
        Some(reader.rules(position as u32))
    }
}

impl Reader<'_> {
    fn rules(&self, node: u32) -> Input {
        let described = self.described;
        let allocated = addresses::allocate(described, self.domain.seed);
        let services = described.services.iter().zip(&allocated).enumerate();
        let on = &described.nodes[node as usize];
        Input {
            configuration: self.configuration(),
            node: Node {
                name: on.name.clone(),
                addresses: vec![crate::topology::addresses::node(node).into()],
                zone: Some(described.zones[on.zone.index()].clone()),
                pod_cidrs: vec![self.addresses.pod_range(node).into()],
            },
            services: services
                .filter_map(|(at, (service, allocated))| {
                    self.ruled(node, at.into(), service, allocated)
                })
                .collect(),
            service_cidrs: vec![addresses::services().into()],
            kubernetes_minor: described.kubernetes_minor,
        }
    }

    /// What an administrator set, with the ranges of pods where he gave none.
    fn configuration(&self) -> Configuration {
        let mut configuration = self.described.service_rules.configuration.clone();
        if configuration.cluster_cidrs.is_empty() {
            let ranges = self.addresses.pod_ranges();
            configuration.cluster_cidrs.push(ranges.into());
        }
        configuration
    }

    /// A service as kube-proxy knows it, unless it has no address.
    fn ruled(
        &self,
        node: u32,
        id: ServiceId,
        service: &scenario::Service,
        allocated: &Allocated,
    ) -> Option<Service> {
        let set = match self.domain.nodes.get(node as usize) {
            Some(state) => {
                let log = &self.domain.endpoint_log;
                log.version(id, state.view.version(log, id)).clone()
            }
            None => EndpointSet {
                pods: self.domain.services[id.index()].ready.clone(),
                leaving: Vec::new(),
                entries: Vec::new(),
                changed: Time::ZERO,
            },
        };
        let balanced = service.kind == ServiceKind::LoadBalancer;
        let given = &service.given;
        let exposed =
            balanced || service.kind == ServiceKind::NodePort || !given.external_ips.is_empty();
        let any = |addresses: Vec<Ipv4Addr>| addresses.into_iter().map(IpAddr::from).collect();
        let local = |policy| policy == TrafficPolicy::Local;
        let ports = service.ports.iter().zip(&allocated.node_ports);
        let single = service.ports.len() == 1;
        Some(Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            cluster_ip: allocated.cluster_ip?.into(),
            external_ips: any(given.external_ips.clone()),
            load_balancer_ips: any(addresses::load_balancer(id, service)),
            source_ranges: given.source_ranges.clone(),
            internal_local: local(service.internal_policy),
            external_local: exposed && local(service.external_policy),
            affinity: service.session_affinity,
            health_check_node_port: allocated.health_check_node_port,
            ports: ports
                .map(|(port, node_port)| ServicePort {
                    name: match &port.name {
                        Some(name) => name.clone(),
                        None if single => String::new(),
                        None => port.port.to_string(),
                    },
                    protocol: port.transport,
                    port: port.port,
                    node_port: *node_port,
                    endpoints: self.known(&set, self.domain.distribution(id), port.target_port),
                })
                .collect(),
        })
    }

    /// Endpoints in the order of their addresses as text.
    fn known(
        &self,
        set: &EndpointSet,
        distribution: Option<TrafficDistribution>,
        port: u16,
    ) -> Vec<Endpoint> {
        let states = set.pods.iter().map(|pod| (*pod, true));
        let states = states.chain(set.leaving.iter().map(|pod| (*pod, false)));
        let mut all: Vec<Endpoint> = states
            .map(|(pod, ready)| {
                let named = &self.pods[pod as usize];
                let zone = self.domain.pods[pod as usize].zone as usize;
                let hinted = distribution.filter(|_| named.node.is_some());
                let to_node = hinted == Some(TrafficDistribution::SameNode);
                Endpoint {
                    address: SocketAddr::new(IpAddr::V4(named.address), port),
                    node: named.node.clone(),
                    ready,
                    serving: true,
                    terminating: !ready,
                    zone_hints: hinted
                        .map(|_| self.described.zones[zone].clone())
                        .into_iter()
                        .collect(),
                    node_hints: named.node.clone().filter(|_| to_node).into_iter().collect(),
                }
            })
            .collect();
        all.sort_by_cached_key(|endpoint| endpoint.address.to_string());
        all
    }
}
