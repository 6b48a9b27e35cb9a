//! From the partition of a cluster to what its API server holds.

use super::addresses::{self, Addresses, Allocated};
use super::names;
use super::{ClusterSnapshot, EndpointSnapshot, NodeSnapshot, PortSnapshot, ServiceSnapshot};
use crate::domain::Domain;
use crate::scenario::{Cluster, Node, Service, ServiceId, ServiceKind, WorkloadKind};
use engine::{Stream, Time};
use std::collections::BTreeMap;

/// Labels whose keys begin so say a role of a node.
const ROLE_LABEL: &str = "node-role.kubernetes.io/";

/// What the API server of a partition's cluster holds, if it is a cluster.
pub(super) fn cluster(domain: &Domain<'_>) -> Option<ClusterSnapshot> {
    let described = domain.topology.cluster(domain.cluster?);
    Some(Reader::new(domain, described).cluster())
}

/// A partition and what its pods are called.
struct Reader<'d> {
    domain: &'d Domain<'d>,
    described: &'d Cluster,
    addresses: Addresses,
    /// By position of a pod.
    pods: Vec<EndpointSnapshot>,
}

impl<'d> Reader<'d> {
    fn new(domain: &'d Domain<'_>, described: &'d Cluster) -> Reader<'d> {
        let addresses = Addresses::of(described);
        Reader {
            domain,
            described,
            pods: called(domain, described, &addresses),
            addresses,
        }
    }

    fn cluster(&self) -> ClusterSnapshot {
        let nodes = (0..).zip(&self.described.nodes);
        let allocated = addresses::allocate(self.described, self.domain.seed);
        let services = self.described.services.iter().zip(allocated).enumerate();
        ClusterSnapshot {
            name: self.described.name.clone(),
            kubernetes_minor: self.described.kubernetes_minor,
            nodes: nodes.map(|(at, node)| self.node(at, node)).collect(),
            services: services
                .map(|(at, (service, allocated))| self.service(at.into(), service, allocated))
                .collect(),
        }
    }

    fn node(&self, position: u32, node: &Node) -> NodeSnapshot {
        let state = self.domain.nodes.get(position as usize);
        let roles = node.labels.keys();
        NodeSnapshot {
            name: node.name.clone(),
            roles: roles
                .filter_map(|label| label.strip_prefix(ROLE_LABEL))
                .map(str::to_owned)
                .collect(),
            ready: state.is_none_or(|state| !state.heartbeat.is_lost()),
            unschedulable: node.unschedulable,
            created: Time::ZERO,
            address: addresses::node(position),
            pod_range: self.addresses.pod_range(position).to_string(),
            stale: self.stale(position),
        }
    }

    /// What a node's kube-proxy knows otherwise.
    fn stale(&self, node: u32) -> BTreeMap<usize, Vec<EndpointSnapshot>> {
        let Some(state) = self.domain.nodes.get(node as usize) else {
            return BTreeMap::new();
        };
        let log = &self.domain.endpoint_log;
        let services = (0..self.described.services.len()).map(ServiceId::from);
        services
            .filter(|&service| !state.view.is_current(log, service))
            .map(|service| {
                let known = self.endpoints(state.view.endpoints(log, service));
                (service.index(), known)
            })
            .collect()
    }

    fn service(&self, id: ServiceId, service: &Service, allocated: Allocated) -> ServiceSnapshot {
        let state = &self.domain.services[id.index()];
        let pods = match self.domain.is_ideal() {
            true => &state.ready,
            false => &self.domain.endpoint_log.newest(id).pods,
        };
        let is_balanced = service.kind == ServiceKind::LoadBalancer;
        let ports = service.ports.iter().zip(allocated.node_ports);
        let all_pods = self.domain.pods.iter();
        ServiceSnapshot {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            kind: match service.kind {
                ServiceKind::ClusterIp | ServiceKind::Headless => "ClusterIP",
                ServiceKind::NodePort => "NodePort",
                ServiceKind::LoadBalancer => "LoadBalancer",
            },
            cluster_ip: allocated.cluster_ip,
            load_balancer_ip: is_balanced.then(|| addresses::load_balancer(id.0)),
            ports: ports
                .map(|(port, node_port)| PortSnapshot {
                    name: port.name.clone(),
                    port: port.port,
                    target_port: port.target_port,
                    node_port,
                })
                .collect(),
            selector: self.selector(state.backends),
            created: Time::ZERO,
            endpoints: self.endpoints(pods),
            has_pods: all_pods
                .filter(|pod| !pod.released)
                .any(|pod| state.backends.contains(&pod.workload)),
        }
    }

    /// The labels that all pods behind a service have in common.
    fn selector(&self, backends: &[crate::scenario::WorkloadId]) -> BTreeMap<String, String> {
        let mut labels = backends.iter().map(|backend| {
            &self.described.workloads[backend.index()]
                .template
                .placement
                .labels
        });
        let Some(first) = labels.next() else {
            return BTreeMap::new();
        };
        let mut common = first.clone();
        for others in labels {
            common.retain(|key, value| others.get(key) == Some(value));
        }
        common
    }

    /// Pods as endpoints, in the order of their addresses as text.
    fn endpoints(&self, pods: &[u32]) -> Vec<EndpointSnapshot> {
        let endpoints = pods.iter().map(|&pod| self.pods[pod as usize].clone());
        let mut endpoints: Vec<_> = endpoints.collect();
        endpoints.sort_by_cached_key(|endpoint| endpoint.address.to_string());
        endpoints
    }
}

/// What the pods of a cluster are called, and where they are reached.
fn called(
    domain: &Domain<'_>,
    described: &Cluster,
    addresses: &Addresses,
) -> Vec<EndpointSnapshot> {
    let suffixes: Vec<Stream> = described
        .workloads
        .iter()
        .map(|workload| {
            let name = format!(
                "{}/{:?}/{}",
                described.name, workload.kind, workload.namespace
            );
            Stream::new(domain.seed, &format!("names of {name}/{}", workload.name))
        })
        .collect();
    let mut of_workload = vec![0u64; described.workloads.len()];
    let mut of_node: BTreeMap<Option<u32>, u32> = BTreeMap::new();
    let pods = domain.pods.iter().map(|pod| {
        let index = pod.workload.index();
        let workload = &described.workloads[index];
        let number = of_workload[index];
        of_workload[index] += 1;
        let on_node = of_node.entry(pod.node).or_default();
        let earlier = std::mem::replace(on_node, *on_node + 1);
        let is_machine = workload.kind == WorkloadKind::External;
        EndpointSnapshot {
            address: match pod.node {
                None if is_machine => addresses::machine(earlier),
                node => addresses.pod(node.unwrap_or(0), earlier),
            },
            pod: names::pod(
                workload,
                pod.revision,
                pod.ordinal.map_or(number, u64::from),
                suffixes[index],
            ),
            node: pod
                .node
                .map(|node| described.nodes[node as usize].name.clone()),
        }
    });
    pods.collect()
}
