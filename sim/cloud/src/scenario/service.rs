//! Services and the proxies that route to them.

use super::{ServiceId, TrafficDistribution, Transport, WorkloadId};
use engine::Duration;
use ipnet::IpNet;
use std::net::Ipv4Addr;

/// A Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Namespace; with `name` unique in its cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Type.
    pub kind: ServiceKind,
    /// Ports; empty only for headless services.
    pub ports: Vec<ServicePort>,
    /// Workloads whose pods are its endpoints, ascending.
    pub backends: Vec<WorkloadId>,
    /// `sessionAffinity: ClientIP` with its timeout.
    pub session_affinity: Option<Duration>,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `trafficDistribution`.
    pub distribution: Option<TrafficDistribution>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// What its manifest says of its addresses.
    pub given: GivenAddresses,
    /// How requests are spread over endpoints when there are no connections
    /// ([`NetworkModel::Ideal`](super::NetworkModel::Ideal)); kube-proxy otherwise picks at random per connection.
    pub balance: Balance,
}

/// What a manifest says of the addresses of a service, which the API server and the cloud choose
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenAddresses {
    /// `clusterIP`.
    pub cluster_ip: Option<Ipv4Addr>,
    /// `externalIPs`.
    pub external_ips: Vec<Ipv4Addr>,
    /// Addresses of its load balancer whose packets arrive unchanged (`ipMode: VIP`), where the
    /// status or `loadBalancerIP` says them.
    pub load_balancer_ips: Option<Vec<Ipv4Addr>>,
    /// `loadBalancerSourceRanges`; empty if anyone may come.
    pub source_ranges: Vec<IpNet>,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// `allocateLoadBalancerNodePorts: false`.
    pub without_node_ports: bool,
}

/// Type of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// A virtual address that kube-proxy translates.
    ClusterIp,
    /// `clusterIP: None`: the name answers with the pods' addresses and the client picks.
    Headless,
    /// ClusterIp, and a port on every node.
    NodePort,
    /// NodePort, and a load balancer in front of the nodes.
    LoadBalancer,
    /// No Service of Kubernetes: a host outside of the cluster, whose name the client resolves to
    /// the addresses of machines, and which ServiceEntries may describe. Its name is the host.
    Host {
        /// Whether name servers outside of the cluster know the name.
        is_known: bool,
    },
}

impl ServiceKind {
    /// Whether its name answers with addresses of single endpoints.
    pub fn is_headless(&self) -> bool {
        matches!(self, ServiceKind::Headless | ServiceKind::Host { .. })
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, if any.
    pub name: Option<String>,
    /// Port of the service.
    pub port: u16,
    /// Port of the pods.
    pub target_port: u16,
    /// Port on the nodes.
    pub node_port: Option<u16>,
    /// What its requests come over.
    pub transport: Transport,
}

/// Whether traffic may leave the node it arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Every ready endpoint of the cluster.
    Cluster,
    /// Only endpoints of the node itself; none there means the packet is dropped.
    Local,
}

/// How one endpoint is chosen among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Uniformly at random.
    Random,
    /// In turn.
    RoundRobin,
    /// The least loaded of this many drawn at random with replacement (at least 2).
    LeastRequest {
        /// How many are drawn.
        choices: u32,
    },
    /// The least loaded of all, ties at random.
    ShortestQueue,
}

/// An L7 proxy (ingress controller or gateway): the workload that does the work, the
/// service users reach it by, and its routes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Namespace and name as the user knows it: of the Gateway, or of the IngressClass.
    pub name: String,
    /// The pods that proxy.
    pub workload: WorkloadId,
    /// The LoadBalancer service in front of them.
    pub service: ServiceId,
    /// Routes in order of precedence: the first whose match holds is taken.
    pub routes: Vec<Route>,
    /// How it spreads requests over a backend's endpoints.
    pub balance: Balance,
}

/// A route of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// Where they go, by weight. Empty, or all weights zero: answered with 500.
    pub backends: Vec<RouteBackend>,
    /// Time for the whole request including retries.
    pub timeout: Option<Duration>,
}

/// Which requests a route takes: all of what is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMatch {
    /// Host names; `*.example.com` takes every host below; empty takes all.
    pub hosts: Vec<String>,
    /// Path.
    pub path: PathMatch,
    /// Headers that must be equal; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Method, in capitals.
    pub method: Option<String>,
}

/// How a path is matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// Exactly this one.
    Exact(String),
    /// This one and all below it, by path element.
    Prefix(String),
}

/// A backend of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteBackend {
    /// The service; `None` stands for a reference that does not resolve (answered with 500).
    pub service: Option<ServiceId>,
    /// Position of its port.
    pub port: u32,
    /// Weight.
    pub weight: u32,
}
