//! A replication at an instant: what the API servers of its clusters hold, as plain data.
//!
//! [`at`] runs a replication through the same engine as any other and stops it; nothing of what
//! happens before is different for it. What exists at the start was created then.
//!
//! Must never know: requests, how it is printed.

mod addresses;
mod edges;
mod events;
mod inbound;
pub(crate) mod journal;
mod moment;
pub(crate) mod names;
mod outbound;
mod proxies;
mod read;
#[cfg(test)]
mod tests;
mod waypoints;
mod workloads;

pub use moment::{Moment, PodPlace};
pub use proxies::{
    ChainSnapshot, HostSnapshot, ListenerSnapshot, PathSnapshot, ProxySnapshot, ProxyTables,
    RouteSnapshot, TargetCluster, To, UpstreamSnapshot,
};

use crate::topology::Topology;
use engine::{Duration, Seed, Time};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything at an instant of a replication.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Name of the scenario.
    pub scenario: String,
    /// The instant.
    #[serde(rename = "at_s", serialize_with = "as_seconds")]
    pub at: Time,
    /// The clusters, as the scenario orders them.
    pub clusters: Vec<ClusterSnapshot>,
}

/// What the API server of a cluster holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterSnapshot {
    /// Name.
    pub name: String,
    /// Minor version of Kubernetes.
    pub kubernetes_minor: u32,
    /// Whether its API server answers. If not, the rest is what etcd holds.
    pub is_answering: bool,
    /// The nodes.
    pub nodes: Vec<NodeSnapshot>,
    /// The services.
    pub services: Vec<ServiceSnapshot>,
    /// The pods.
    pub pods: Vec<PodSnapshot>,
    /// The Deployments.
    pub deployments: Vec<DeploymentSnapshot>,
    /// The ReplicaSets, those of Deployments among them.
    pub replica_sets: Vec<ReplicaSetSnapshot>,
    /// The HorizontalPodAutoscalers.
    pub autoscalers: Vec<AutoscalerSnapshot>,
    /// The events, the one that was seen longest ago first.
    pub events: Vec<EventSnapshot>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeSnapshot {
    /// Name.
    pub name: String,
    /// Roles, ascending, as its labels say.
    pub roles: Vec<String>,
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
    /// Its address inside the cluster.
    pub address: Ipv4Addr,
    /// The range of its pods.
    pub pod_range: String,
    /// Services whose endpoints its kube-proxy knows otherwise than the API server, by their
    /// position, with what it knows.
    pub stale: BTreeMap<usize, Vec<EndpointSnapshot>>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSnapshot {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Type, as Kubernetes spells it; a headless service is a `ClusterIP` without address.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Cluster address; none for headless services.
    pub cluster_ip: Option<Ipv4Addr>,
    /// Address of its load balancer.
    pub load_balancer_ips: Vec<Ipv4Addr>,
    /// `externalIPs`.
    pub external_ips: Vec<Ipv4Addr>,
    /// Ports.
    pub ports: Vec<PortSnapshot>,
    /// Labels of the pods behind it; empty if nobody said.
    pub selector: BTreeMap<String, String>,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
    /// Its endpoints that are ready.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Whether pods stand behind it, ready or not.
    pub has_pods: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortSnapshot {
    /// Name, if any.
    pub name: Option<String>,
    /// Port of the service.
    pub port: u16,
    /// Port of its endpoints.
    pub target_port: u16,
    /// Port on every node, if it has one.
    pub node_port: Option<u16>,
    /// What it is for, in capitals.
    pub protocol: &'static str,
}

/// An endpoint of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointSnapshot {
    /// Address.
    pub address: Ipv4Addr,
    /// Name of the pod.
    pub pod: String,
    /// Name of its node, if it is on one.
    pub node: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodSnapshot {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its state in a word, as kubectl makes it of its phase and its container.
    pub status: &'static str,
    /// Whether its container is ready.
    pub ready: bool,
    /// Whether the proxy beside it runs, if there is one.
    pub sidecar_ready: Option<bool>,
    /// How often its container was started again.
    pub restarts: u32,
    /// When its container ended before it was started again.
    #[serde(rename = "restarted_s", serialize_with = "as_seconds_if_any")]
    pub restarted: Option<Time>,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
    /// Name of its node, if it is bound to one.
    pub node: Option<String>,
    /// Address, if it has one.
    pub address: Option<Ipv4Addr>,
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeploymentSnapshot {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Replicas that are wanted.
    pub desired: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods of the current revision.
    pub updated: u32,
    /// Pods that are available.
    pub available: u32,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
    /// Name of its pods' container.
    pub container: String,
    /// Image of that container.
    pub image: String,
    /// Labels of its pods; empty if nobody said.
    pub selector: BTreeMap<String, String>,
}

/// A ReplicaSet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaSetSnapshot {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Pods that are wanted.
    pub desired: u32,
    /// Pods that are there.
    pub current: u32,
    /// Those of them that are ready.
    pub ready: u32,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
    /// Name of its pods' container.
    pub container: String,
    /// Image of that container.
    pub image: String,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AutoscalerSnapshot {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Kind and name of what it scales.
    pub reference: String,
    /// What it looks at.
    pub targets: Vec<TargetSnapshot>,
    /// Fewest replicas.
    pub replicas_min: u32,
    /// Most replicas.
    pub replicas_max: u32,
    /// Replicas that it has seen last; none before it has looked.
    pub replicas: u32,
    /// When it was created.
    #[serde(rename = "created_s", serialize_with = "as_seconds")]
    pub created: Time,
}

/// What an autoscaler looks at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TargetSnapshot {
    /// The resource, if it is one; the pods' own metric else.
    pub resource: Option<&'static str>,
    /// Whether values are percent of what the pods request; thousandths else.
    pub percent: bool,
    /// What was measured last, if anything.
    pub measured: Option<u64>,
    /// What is aimed at.
    pub target: u64,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventSnapshot {
    /// Namespace.
    pub namespace: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Reason.
    pub reason: &'static str,
    /// Kind and name of what it is about.
    pub object: String,
    /// Message.
    pub message: String,
    /// Who says it.
    pub source: &'static str,
    /// When it was seen first.
    #[serde(rename = "first_s", serialize_with = "as_seconds")]
    pub first: Time,
    /// When it was seen last.
    #[serde(rename = "last_s", serialize_with = "as_seconds")]
    pub last: Time,
    /// How often it was seen.
    pub count: u32,
}

impl ClusterSnapshot {
    /// The endpoints of a service that the kube-proxy of a node knows, both by position.
    pub fn known(&self, node: usize, service: usize) -> &[EndpointSnapshot] {
        let stale = self.nodes[node].stale.get(&service);
        stale.unwrap_or(&self.services[service].endpoints)
    }
}

/// Runs a replication up to an instant, what happens at it included.
///
/// # Panics
/// If the instant lies after the end of the run.
pub fn at(topology: &Topology, seed: Seed, instant: Duration) -> Snapshot {
    let moment = Moment::new(topology, seed, instant);
    let instant = Time::ZERO + instant;
    let partitions = moment.simulation.partitions();
    Snapshot {
        scenario: topology.scenario.name.clone(),
        at: instant,
        clusters: partitions
            .filter_map(|domain| read::cluster(domain, instant))
            .collect(),
    }
}

fn as_seconds<S: Serializer>(instant: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(instant.as_secs_f64())
}

fn as_seconds_if_any<S: Serializer>(
    instant: &Option<Time>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let seconds = instant.map(Time::as_secs_f64);
    seconds.serialize(serializer)
}
