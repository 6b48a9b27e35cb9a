//! What a node's rules are made from.

use crate::facts;
use engine::Duration;
use std::net::Ipv4Addr;

/// Everything that a node's rules are made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The node whose rules they are.
    pub node: Node,
    /// How its kube-proxy is set up.
    pub configuration: Configuration,
    /// Kubernetes minor version, 36 for 1.36.
    pub minor: u32,
    /// Services, in any order.
    pub services: Vec<Service>,
    /// Ranges of addresses that Services get, as written, from ServiceCIDR objects.
    pub service_ranges: Vec<String>,
}

/// The node whose rules are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its own address.
    pub address: Option<Ipv4Addr>,
    /// Its zone, if it has the label.
    pub zone: Option<String>,
    /// `podCIDR`, as written.
    pub pod_range: Option<String>,
}

/// How kube-proxy is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Who does the work in the kernel.
    pub mode: Mode,
    /// `clusterCIDR`, as written.
    pub cluster_range: Option<String>,
    /// How traffic of the node's own pods is told apart.
    pub detect_local: DetectLocal,
    /// Masquerade everything that goes to a cluster address.
    pub masquerade_all: bool,
    /// Bit of the packet mark that asks for masquerading, below 32.
    pub masquerade_bit: u32,
    /// `nodePortAddresses`, as written; `primary` is a value of its own.
    pub node_port_addresses: Vec<String>,
    /// Whether node ports answer on 127.0.0.1.
    pub localhost_node_ports: bool,
    /// Least time between two syncs.
    pub sync_period_min: Duration,
    /// Time after which stale chains are cleaned up and failures are tried again.
    pub sync_period: Duration,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            mode: Mode::Iptables,
            cluster_range: None,
            detect_local: DetectLocal::ClusterRange,
            masquerade_all: false,
            masquerade_bit: facts::KUBE_PROXY_MASQUERADE_BIT.value,
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
            sync_period_min: facts::KUBE_PROXY_MIN_SYNC_PERIOD.value,
            sync_period: facts::KUBE_PROXY_SYNC_PERIOD.value,
        }
    }
}

/// Who does the work in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// iptables.
    #[default]
    Iptables,
    /// IPVS with one of its schedulers.
    Ipvs(IpvsScheduler),
    /// nftables.
    Nftables,
}

/// How IPVS picks an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpvsScheduler {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest connections.
    LeastConnection,
    /// By a hash of the destination.
    DestinationHashing,
    /// By a hash of the source.
    SourceHashing,
    /// Shortest expected delay.
    ShortestExpectedDelay,
    /// An idle one, else the shortest expected delay.
    NeverQueue,
}

/// How traffic of the node's own pods is told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DetectLocal {
    /// By the cluster's range; without one nothing is told apart.
    #[default]
    ClusterRange,
    /// By the node's own range.
    NodeRange,
    /// By the bridge it comes from.
    BridgeInterface(String),
    /// By the beginning of the name of the interface it comes from.
    InterfacePrefix(String),
    /// Not at all.
    Off,
}

/// A Service with a cluster address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace; with `name` unique.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `clusterIP`.
    pub cluster_address: Ipv4Addr,
    /// `externalIPs`.
    pub external_addresses: Vec<Ipv4Addr>,
    /// Load-balancer addresses whose `ipMode` is `VIP`.
    pub load_balancer_addresses: Vec<Ipv4Addr>,
    /// `loadBalancerSourceRanges`, as written.
    pub source_ranges: Vec<String>,
    /// `internalTrafficPolicy`.
    pub internal_policy: Policy,
    /// `externalTrafficPolicy`.
    pub external_policy: Policy,
    /// Timeout of `sessionAffinity: ClientIP`, in seconds.
    pub affinity_seconds: Option<u32>,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// Its ports, with the endpoints of each.
    pub ports: Vec<Port>,
}

/// Whether traffic may leave the node it arrived at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It may.
    #[default]
    Cluster,
    /// It may not.
    Local,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name, empty if it has none.
    pub name: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port of the service.
    pub port: u16,
    /// Port on the nodes.
    pub node_port: Option<u16>,
    /// Endpoints of all slices, in any order.
    pub endpoints: Vec<Endpoint>,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// An endpoint of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// The node it is on.
    pub node: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Takes traffic.
    pub ready: bool,
    /// Answers, whether or not it is about to stop.
    pub serving: bool,
    /// About to stop.
    pub terminating: bool,
    /// Zones that shall use it.
    pub zone_hints: Vec<String>,
    /// Nodes that shall use it.
    pub node_hints: Vec<String>,
}
