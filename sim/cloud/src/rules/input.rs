//! What a node's kube-proxy knows when it writes rules.

use super::Configuration;
use engine::Duration;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Everything that goes into a node's rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// What an administrator set.
    pub configuration: Configuration,
    /// The node.
    pub node: Node,
    /// Services that have rules, in the order in which their rules are written.
    pub services: Vec<Service>,
    /// Ranges that cluster addresses are taken from.
    pub service_cidrs: Vec<IpNet>,
    /// Minor version of Kubernetes.
    pub kubernetes_minor: u32,
}

/// The node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Addresses; the first of a family is the primary one.
    pub addresses: Vec<IpAddr>,
    /// Zone, where a label says it.
    pub zone: Option<String>,
    /// Ranges of its pods.
    pub pod_cidrs: Vec<IpNet>,
}

/// A transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Name in lower case, as netfilter writes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// Name in capitals, as manifests write it.
    pub fn written(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }
}

/// A Service with a cluster address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Cluster address.
    pub cluster_ip: IpAddr,
    /// External addresses.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of its load balancer whose packets arrive unchanged (`ipMode: VIP`).
    pub load_balancer_ips: Vec<IpAddr>,
    /// `loadBalancerSourceRanges`; empty if anyone may come.
    pub source_ranges: Vec<IpNet>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`.
    pub external_local: bool,
    /// `sessionAffinity: ClientIP` with its timeout.
    pub affinity: Option<Duration>,
    /// Port of its health checks.
    pub health_check_node_port: Option<u16>,
    /// Ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, empty if it has none.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port at the service's addresses.
    pub port: u16,
    /// Port at the nodes' addresses.
    pub node_port: Option<u16>,
    /// Endpoints, in the order of their addresses as text.
    pub endpoints: Vec<Endpoint>,
}

/// Where a port's traffic may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// Node it is on.
    pub node: Option<String>,
    /// Takes new traffic.
    pub ready: bool,
    /// Answers, if on its way out.
    pub serving: bool,
    /// On its way out.
    pub terminating: bool,
    /// Zones it is meant for.
    pub zone_hints: Vec<String>,
    /// Nodes it is meant for.
    pub node_hints: Vec<String>,
}
