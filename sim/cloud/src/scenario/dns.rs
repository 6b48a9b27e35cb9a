//! How a cluster's DNS is set up.

use crate::facts;
pub use crate::kubernetes::resolver::{NameForm, NamesFrom, PodDns, Server};
use engine::Duration;

/// The cluster's DNS: CoreDNS behind one service address, and how pods use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterDns {
    /// Replicas of CoreDNS, at least one.
    pub replicas: u32,
    /// CPU of each, in thousandths of a core, at least one.
    pub cpu_milli: u64,
    /// Memory limit of each, in bytes.
    pub memory_bytes: u64,
    /// How long a pod uses an answer; zero where programs ask for every connection.
    pub ttl: Duration,
    /// How programs write the names of services.
    pub names: NameForm,
    /// Domains of the nodes' own that pods search after the cluster's.
    pub node_domains: u32,
}

impl Default for ClusterDns {
    fn default() -> Self {
        ClusterDns {
            replicas: facts::COREDNS_REPLICAS.value,
            cpu_milli: facts::COREDNS_CPU_MILLI.value,
            memory_bytes: facts::COREDNS_MEMORY_BYTES.value,
            ttl: facts::CLUSTER_DNS_TTL.value,
            names: NameForm::default(),
            node_domains: 0,
        }
    }
}
