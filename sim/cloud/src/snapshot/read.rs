//! From the partition of a cluster to what its API server holds.

use super::addresses::{self, Allocated};
use super::journal::Journal;
use super::{
    ClusterSnapshot, EndpointSnapshot, NodeSnapshot, PortSnapshot, ServiceSnapshot, events, names,
    workloads,
};
use crate::domain::Domain;
use crate::scenario::{
    Cluster, Node, Service, ServiceId, ServiceKind, Workload, WorkloadId, WorkloadKind,
};
use crate::topology::addresses::Addresses;
use engine::Time;
use std::collections::BTreeMap;

/// Labels whose keys begin so say a role of a node.
const ROLE_LABEL: &str = "node-role.kubernetes.io/";

/// What the API server of a partition's cluster holds, if it is a cluster.
pub(super) fn cluster(domain: &Domain<'_>, now: Time) -> Option<ClusterSnapshot> {
    Some(Reader::of(domain)?.cluster(now))
}

/// A partition and what its pods are called.
pub(super) struct Reader<'d> {
    pub(super) domain: &'d Domain<'d>,
    pub(super) described: &'d Cluster,
    pub(super) journal: &'d Journal,
    pub(super) addresses: &'d Addresses,
    /// By position of a pod.
    pub(super) pods: Vec<EndpointSnapshot>,
}

impl<'d> Reader<'d> {
    /// That of a partition, if it is a cluster.
    pub(super) fn of(domain: &'d Domain<'_>) -> Option<Reader<'d>> {
        let described = domain.topology.cluster(domain.cluster?);
        let journal = domain.journal.as_deref();
        let journal = journal.expect("a journal is kept for snapshots");
        Some(Reader {
            domain,
            described,
            journal,
            pods: called(domain, described),
            addresses: &domain.topology.clusters[domain.cluster?.index()].addresses,
        })
    }

    fn cluster(&self, now: Time) -> ClusterSnapshot {
        let registered = |position: u32| {
            let state = self.domain.nodes.get(position as usize);
            state.is_none_or(|state| state.machine.is_registered())
        };
        let nodes = (0..).zip(&self.described.nodes);
        let nodes = nodes.filter(|(position, _)| registered(*position));
        let allocated = addresses::allocate(self.described, self.domain.seed);
        let services = self.described.services.iter().zip(allocated).enumerate();
        ClusterSnapshot {
            name: self.described.name.clone(),
            kubernetes_minor: self.described.kubernetes_minor,
            is_answering: self.domain.is_answering(),
            nodes: nodes.map(|(at, node)| self.node(at, node)).collect(),
            services: services
                .filter(|(_, (service, _))| !matches!(service.kind, ServiceKind::Host { .. }))
                .map(|(at, (service, allocated))| self.service(at.into(), service, allocated))
                .collect(),
            pods: workloads::pods(self, now),
            deployments: workloads::deployments(self),
            replica_sets: workloads::replica_sets(self),
            autoscalers: workloads::autoscalers(self),
            events: events::events(self, now),
        }
    }

    /// The workload of this position.
    pub(super) fn workload(&self, id: WorkloadId) -> &Workload {
        &self.described.workloads[id.index()]
    }

    /// The workload of a pod.
    pub(super) fn workload_of(&self, pod: u32) -> &Workload {
        self.workload(self.domain.pods[pod as usize].workload)
    }

    /// The namespace of a pod.
    pub(super) fn namespace(&self, pod: u32) -> &str {
        &self.workload_of(pod).namespace
    }

    /// Namespace and name of a pod.
    pub(super) fn full_name(&self, pod: u32) -> String {
        format!("{}/{}", self.namespace(pod), self.pods[pod as usize].pod)
    }

    /// The name of a pod's container.
    pub(super) fn container(&self, pod: u32) -> &str {
        &self.workload_of(pod).name
    }

    /// The image of the containers of a workload's revision.
    pub(super) fn image(&self, workload: WorkloadId, revision: u32) -> String {
        let controller = &self.domain.workloads[workload.index()].controller;
        let image = &controller.revisions[revision as usize].template.image;
        let name = image.as_ref().map(|image| &image.name);
        name.unwrap_or(&self.workload(workload).name).clone()
    }

    /// The image of a pod's container.
    pub(super) fn image_of(&self, pod: u32) -> String {
        let state = &self.domain.pods[pod as usize];
        self.image(state.workload, state.revision)
    }

    /// The name of a Deployment's ReplicaSet for a revision.
    pub(super) fn set_name(&self, workload: WorkloadId, revision: u32) -> String {
        names::replica_set(self.workload(workload), revision)
    }

    /// The name of what owns a pod.
    pub(super) fn owner_name(&self, pod: u32) -> String {
        let state = &self.domain.pods[pod as usize];
        match self.workload(state.workload).kind {
            WorkloadKind::Deployment | WorkloadKind::Inline => {
                self.set_name(state.workload, state.revision)
            }
            _ => self.workload(state.workload).name.clone(),
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
            unschedulable: state.map_or(node.unschedulable, |state| state.cordoned),
            created: Time::ZERO,
            address: crate::topology::addresses::node(position),
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
        let ports = service.ports.iter().zip(allocated.node_ports);
        let backends = state.backends.iter();
        let behind = backends.flat_map(|backend| &self.domain.workloads[backend.index()].pods);
        ServiceSnapshot {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            kind: match service.kind {
                ServiceKind::ClusterIp | ServiceKind::Headless | ServiceKind::Host { .. } => {
                    "ClusterIP"
                }
                ServiceKind::NodePort => "NodePort",
                ServiceKind::LoadBalancer => "LoadBalancer",
            },
            cluster_ip: allocated.cluster_ip,
            load_balancer_ips: addresses::load_balancer(id, service),
            external_ips: service.given.external_ips.clone(),
            ports: ports
                .map(|(port, node_port)| PortSnapshot {
                    name: port.name.clone(),
                    port: port.port,
                    target_port: port.target_port,
                    node_port,
                    protocol: port.transport.written(),
                })
                .collect(),
            selector: self.selector(state.backends),
            created: Time::ZERO,
            endpoints: self.endpoints(pods),
            has_pods: behind.copied().any(|pod| self.has_address(pod)),
        }
    }

    /// Whether a pod has its address.
    pub(super) fn has_address(&self, pod: u32) -> bool {
        let notes = self.journal.pods.get(&pod);
        notes.is_some_and(|notes| notes.told.starts > 0)
    }

    /// The labels that all pods behind a service have in common.
    fn selector(&self, backends: &[WorkloadId]) -> BTreeMap<String, String> {
        let backends = backends.iter();
        let mut labels = backends.map(|backend| &self.workload(*backend).template.placement.labels);
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
fn called(domain: &Domain<'_>, described: &Cluster) -> Vec<EndpointSnapshot> {
    let numbers = domain.numbers_of_pods();
    let pods = (0..).zip(domain.pods.iter().zip(numbers));
    let pods = pods.map(|(position, (pod, number))| {
        let workload = &described.workloads[pod.workload.index()];
        let node = pod.node.map(|node| &described.nodes[node as usize]);
        EndpointSnapshot {
            address: domain.address_of(position),
            pod: names::of_pod((described, workload), domain.seed, (pod.revision, number)),
            node: node.map(|node| node.name.clone()),
        }
    });
    pods.collect()
}
