//! What an administrator sets about kube-proxy.

use crate::facts;
use engine::Duration;
use ipnet::IpNet;

/// How packets find their endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Chains of rules, read one after the other.
    Iptables,
    /// The kernel's load balancer.
    Ipvs {
        /// How it chooses.
        scheduler: Scheduler,
    },
    /// Maps.
    Nftables,
}

/// Schedulers of IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// `rr`.
    RoundRobin,
    /// `wrr`.
    WeightedRoundRobin,
    /// `lc`.
    LeastConnection,
    /// `wlc`.
    WeightedLeastConnection,
    /// `sh`.
    SourceHashing,
    /// `dh`.
    DestinationHashing,
    /// `sed`.
    ShortestExpectedDelay,
    /// `nq`.
    NeverQueue,
    /// `mh`.
    MaglevHashing,
}

/// How traffic of a node's own pods is told from the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    /// By the source in the cluster's range of pods; off where no range is known.
    ClusterCidr,
    /// By the source in the node's range of pods; off where no range is known.
    NodeCidr,
    /// By the bridge that it comes in through.
    BridgeInterface(String),
    /// By the beginning of the name of the interface.
    InterfaceNamePrefix(String),
    /// Not at all.
    None,
}

/// Which addresses of a node take NodePort traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// As the mode has it: all local addresses in iptables, the primary one in nftables.
    Default,
    /// The node's primary address.
    Primary,
    /// Those in one of these ranges.
    Networks(Vec<IpNet>),
}

/// What an administrator sets about kube-proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// How packets find their endpoint.
    pub mode: Mode,
    /// Ranges of the cluster's pods.
    pub cluster_cidrs: Vec<IpNet>,
    /// How traffic of pods is told from the rest.
    pub detect_local: DetectLocal,
    /// Whether all traffic to cluster addresses is masqueraded.
    pub masquerade_all: bool,
    /// Bit of the packet mark that asks for masquerading, below 32.
    pub masquerade_bit: u8,
    /// Which addresses take NodePort traffic.
    pub node_port_addresses: NodePortAddresses,
    /// Whether 127.0.0.1 takes NodePort traffic, in iptables mode.
    pub localhost_node_ports: bool,
    /// Least time between the end of one sync and the start of the next.
    pub min_sync_period: Duration,
    /// How often a failed sync is tried again and stale rules are looked for.
    pub sync_period: Duration,
    /// How long a node's kernel remembers UDP flows.
    pub udp: UdpTimeouts,
}

/// How long a kernel remembers a UDP flow after its last datagram, where an administrator says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpTimeouts {
    /// One that was not answered, or is young.
    pub lone: Option<Duration>,
    /// One that goes both ways for a while.
    pub stream: Option<Duration>,
    /// Any, in the kernel's load balancer.
    pub ipvs: Option<Duration>,
}

impl Configuration {
    /// How long a UDP flow is remembered after a datagram: a lone one, and a stream.
    pub fn udp_timeouts(&self) -> (Duration, Duration) {
        let UdpTimeouts { lone, stream, ipvs } = self.udp;
        if let Mode::Ipvs { .. } = self.mode {
            let any = ipvs.unwrap_or(facts::UDP_IPVS_TIMEOUT.value);
            return (any, any);
        }
        (
            lone.unwrap_or(facts::UDP_LONE_TIMEOUT.value),
            stream.unwrap_or(facts::UDP_STREAM_TIMEOUT.value),
        )
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            mode: Mode::Iptables,
            cluster_cidrs: Vec::new(),
            detect_local: DetectLocal::ClusterCidr,
            masquerade_all: false,
            masquerade_bit: facts::KUBE_PROXY_MASQUERADE_BIT.value as u8,
            node_port_addresses: NodePortAddresses::Default,
            localhost_node_ports: true,
            min_sync_period: facts::KUBE_PROXY_MIN_SYNC_PERIOD.value,
            sync_period: facts::KUBE_PROXY_SYNC_PERIOD.value,
            udp: UdpTimeouts::default(),
        }
    }
}
