//! Addresses of nodes, pods and machines, and those by which others are seen.
//!
//! Models: a range of each node's own for its pods, out of kube-proxy's `clusterCIDR` where that is
//! known and has room, given out in the order of the nodes and used in the order in which pods
//! come, as the host-local plugin does.
//! Approximated: an address of a range is used again after all others, whether its pod is gone or
//! not; all that a cluster sends to others comes from one address.
//! Sources: kubernetes/kubernetes pkg/controller/nodeipam; containernetworking/plugins host-local;
//! [`crate::facts`].
//! Validated by: the tests below.

use crate::facts;
use crate::scenario::{Cluster, ClusterId};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// Addresses of a node's range that no pod gets: the network's, the gateway's, the broadcast's.
const SET_ASIDE: u32 = 3;

/// The addresses that a cluster gives out.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pods: Ipv4Net,
    /// Bits of a pod's address within its node's range.
    host_bits: u32,
}

impl Addresses {
    /// Those of a cluster, from how many nodes it has and how many pods fit on one.
    pub(crate) fn of(cluster: &Cluster) -> Addresses {
        let most = cluster.nodes.iter().map(|node| node.pods_max).max();
        let wanted = most.unwrap_or(0) + SET_ASIDE;
        let host_bits = (32 - facts::NODE_MASK_BITS.value).max(u32::BITS - wanted.leading_zeros());
        let has_room = |pods: &Ipv4Net| {
            let bits = 32 - u32::from(pods.prefix_len());
            bits >= host_bits && cluster.nodes.len() as u64 <= 1 << (bits - host_bits)
        };
        let known = &cluster.service_rules.configuration.cluster_cidrs;
        let known = known.iter().find_map(|range| match range {
            IpNet::V4(range) => Some(range.trunc()),
            IpNet::V6(_) => None,
        });
        let usual = range(facts::POD_RANGE.value);
        let fitting = known.into_iter().chain([usual]).find(has_room);
        Addresses {
            pods: fitting.unwrap_or(range(facts::POD_RANGE_LARGE.value)),
            host_bits,
        }
    }

    /// The range of all pods.
    pub(crate) fn pod_ranges(&self) -> Ipv4Net {
        self.pods
    }

    /// The range of a node's pods.
    pub(crate) fn pod_range(&self, node: u32) -> Ipv4Net {
        let first = plus(self.pods.network(), node << self.host_bits);
        let bits = (32 - self.host_bits) as u8;
        Ipv4Net::new(first, bits).expect("no more bits than there are")
    }

    /// The address of the pod that came to a node as the `number`th, from 0.
    pub(crate) fn pod(&self, node: u32, number: u32) -> Ipv4Addr {
        let room = (1 << self.host_bits) - SET_ASIDE;
        plus(self.pod_range(node).network(), 2 + number % room)
    }
}

/// The address of a node.
pub(crate) fn node(position: u32) -> Ipv4Addr {
    // The network's own address, and its gateway.
    plus(range(facts::NODE_RANGE.value).network(), 2 + position)
}

/// The address of a machine outside of a cluster's nodes.
pub(crate) fn machine(position: u32) -> Ipv4Addr {
    plus(range(facts::MACHINE_RANGE.value).network(), 1 + position)
}

/// The address from which others see what a cluster sends them.
pub(crate) fn outside(cluster: ClusterId) -> Ipv4Addr {
    plus(
        range(facts::CLUSTER_EXIT_RANGE.value).network(),
        1 + cluster.0,
    )
}

/// Where users are whose network does not say it.
pub(crate) fn users() -> Ipv4Net {
    range(facts::USER_RANGE.value)
}

/// A range as a fact holds it.
pub(crate) fn range(text: &str) -> Ipv4Net {
    text.parse().expect("facts hold ranges as they are written")
}

/// The address so far behind another.
pub(crate) fn plus(address: Ipv4Addr, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::two_regions;

    #[test]
    fn pods_are_numbered_within_the_range_of_their_node() {
        let mut cluster = two_regions().clusters.remove(0);
        let addresses = Addresses::of(&cluster);
        assert_eq!(addresses.pod_range(1).to_string(), "10.244.1.0/24");
        assert_eq!(addresses.pod(1, 0).to_string(), "10.244.1.2");
        assert_eq!(addresses.pod(1, 252).to_string(), "10.244.1.254");
        assert_eq!(addresses.pod(1, 253).to_string(), "10.244.1.2");
        cluster.nodes[0].pods_max = 500;
        let addresses = Addresses::of(&cluster);
        assert_eq!(addresses.pod_range(1).to_string(), "10.244.2.0/23");
    }

    #[test]
    fn many_nodes_have_a_larger_range() {
        let mut cluster = two_regions().clusters.remove(0);
        cluster.nodes = vec![cluster.nodes[0].clone(); 257];
        let addresses = Addresses::of(&cluster);
        assert_eq!(addresses.pod(256, 0).to_string(), "10.129.0.2");
    }
}
