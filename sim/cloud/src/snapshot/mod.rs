//! A replication at an instant: what the API servers of its clusters hold, as plain data.
//!
//! [`at`] runs a replication through the same engine as any other and stops it; nothing of what
//! happens before is different for it. What exists at the start was created then.
//!
//! Must never know: requests, how it is printed.

mod addresses;
mod names;
mod read;
#[cfg(test)]
mod tests;

use crate::simulate::{Options, replicate_until};
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
    /// The nodes.
    pub nodes: Vec<NodeSnapshot>,
    /// The services.
    pub services: Vec<ServiceSnapshot>,
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
    pub load_balancer_ip: Option<Ipv4Addr>,
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
    let end = topology.scenario.run.duration;
    assert!(instant <= end, "{instant} is after the end at {end}");
    let instant = Time::ZERO + instant;
    let simulation = replicate_until(topology, seed, &Options::default(), instant);
    Snapshot {
        scenario: topology.scenario.name.clone(),
        at: instant,
        clusters: simulation.partitions().filter_map(read::cluster).collect(),
    }
}

fn as_seconds<S: Serializer>(instant: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(instant.as_secs_f64())
}
