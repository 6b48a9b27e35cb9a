//! Addresses and ports of services.
//!
//! Models: cluster addresses and ports on nodes drawn as the API server's allocators draw them,
//! with the addresses at the start of the range left to services that ask; what manifests give
//! goes before.
//! Approximated: all services are there from the start, so that nothing given is taken already.
//! Sources: kubernetes/kubernetes pkg/registry/core/service; [`crate::facts`].
//! Validated by: the tests below.

use crate::facts;
use crate::scenario::{Cluster, Service, ServiceId, ServiceKind, TrafficPolicy};
use crate::topology::addresses::{plus, range};
use engine::{Draw, Seed, Stream};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The range of cluster addresses.
pub(super) fn services() -> Ipv4Net {
    range(facts::SERVICE_RANGE.value)
}

/// The addresses of a load balancer: those of its manifest, or one that the cloud gives it.
pub(super) fn load_balancer(id: ServiceId, service: &Service) -> Vec<Ipv4Addr> {
    if service.kind != ServiceKind::LoadBalancer {
        return Vec::new();
    }
    let range = range(facts::LOAD_BALANCER_RANGE.value);
    let usual = || vec![plus(range.network(), 1 + id.0)];
    let given = service.given.load_balancer_ips.clone();
    given.unwrap_or_else(usual)
}

/// What the API server's allocators gave a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Allocated {
    /// Cluster address, unless it is headless.
    pub(super) cluster_ip: Option<Ipv4Addr>,
    /// Ports on the nodes, for each of its ports.
    pub(super) node_ports: Vec<Option<u16>>,
    /// Port of its health checks, if its load balancer looks for endpoints on each node.
    pub(super) health_check_node_port: Option<u16>,
}

/// What the API server's allocators gave the services of a cluster.
pub(super) fn allocate(cluster: &Cluster, seed: Seed) -> Vec<Allocated> {
    let ports = cluster.services.iter().flat_map(|service| &service.ports);
    let given = cluster.services.iter().map(|service| &service.given);
    let health_checks = given
        .clone()
        .filter_map(|given| given.health_check_node_port);
    let mut used_ports: BTreeSet<u16> = ports
        .filter_map(|port| port.node_port)
        .chain(health_checks)
        .collect();
    let mut used_addresses: BTreeSet<_> = given.filter_map(|given| given.cluster_ip).collect();
    let services = cluster.services.iter();
    services
        .map(|service| {
            let name = format!("{}/{}/{}", cluster.name, service.namespace, service.name);
            let draws = Stream::new(seed, &format!("addresses of {name}"));
            let has_address = !service.kind.is_headless();
            Allocated {
                cluster_ip: has_address.then(|| {
                    let given = service.given.cluster_ip;
                    given.unwrap_or_else(|| cluster_ip(draws, &mut used_addresses))
                }),
                node_ports: node_ports(service, draws, &mut used_ports),
                health_check_node_port: health_check_node_port(service, draws, &mut used_ports),
            }
        })
        .collect()
}

fn cluster_ip(draws: Stream, used: &mut BTreeSet<Ipv4Addr>) -> Ipv4Addr {
    let range = range(facts::SERVICE_RANGE.value);
    let kept = facts::SERVICE_RANGE_KEPT.value;
    // Neither the network's address nor the broadcast's.
    let size = (1u32 << (32 - range.prefix_len())) - 2;
    let mut draw = draws.draw(0, 0);
    loop {
        let offset = kept + draw.below(size - kept);
        let address = plus(range.network(), 1 + offset);
        if used.insert(address) {
            return address;
        }
    }
}

fn node_ports(service: &Service, draws: Stream, used: &mut BTreeSet<u16>) -> Vec<Option<u16>> {
    let exposed = match service.kind {
        ServiceKind::NodePort => true,
        ServiceKind::LoadBalancer => !service.given.without_node_ports,
        ServiceKind::ClusterIp | ServiceKind::Headless | ServiceKind::Host { .. } => false,
    };
    let ports = (0..).zip(&service.ports);
    ports
        .map(|(position, port)| {
            if !exposed || port.node_port.is_some() {
                return port.node_port;
            }
            free_port(draws.draw(1, position), used)
        })
        .collect()
}

fn health_check_node_port(
    service: &Service,
    draws: Stream,
    used: &mut BTreeSet<u16>,
) -> Option<u16> {
    let balanced = service.kind == ServiceKind::LoadBalancer;
    if !balanced || service.external_policy != TrafficPolicy::Local {
        return None;
    }
    let given = service.given.health_check_node_port;
    given.or_else(|| free_port(draws.draw(2, 0), used))
}

/// A port that nobody has; a cluster with more ports than there are has none for the rest.
fn free_port(mut draw: Draw, used: &mut BTreeSet<u16>) -> Option<u16> {
    let count = facts::NODE_PORT_COUNT.value;
    let drawn = (0..count).map(|_| facts::NODE_PORT_FIRST.value + draw.below(count));
    drawn
        .map(|port| port as u16)
        .find(|&port| used.insert(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::GivenAddresses;
    use crate::tests::two_regions;

    #[test]
    fn what_manifests_ask_for_goes_before() {
        let mut cluster = two_regions().clusters.remove(0);
        let mut service = cluster.services[0].clone();
        service.kind = ServiceKind::LoadBalancer;
        service.external_policy = TrafficPolicy::Local;
        let usual = service.clone();
        service.given = GivenAddresses {
            cluster_ip: Some(Ipv4Addr::new(10, 96, 0, 10)),
            load_balancer_ips: Some(vec![Ipv4Addr::new(203, 0, 113, 9)]),
            health_check_node_port: Some(31_999),
            without_node_ports: true,
            ..GivenAddresses::default()
        };
        cluster.services = vec![usual, service];
        let all = allocate(&cluster, Seed::default());
        let drawn = all[0].health_check_node_port.unwrap();
        assert!((30_000..32_768).contains(&drawn) && all[0].node_ports != [Some(drawn)]);
        assert_eq!(all[1].cluster_ip.unwrap().to_string(), "10.96.0.10");
        assert_eq!(all[1].health_check_node_port, Some(31_999));
        assert_eq!(all[1].node_ports, [None]);
        let balancer = |at: u32| load_balancer(ServiceId(at), &cluster.services[at as usize]);
        assert_eq!(balancer(0).len(), 1);
        assert_eq!(balancer(1)[0].to_string(), "203.0.113.9");
    }

    #[test]
    fn services_get_what_is_free() {
        let mut cluster = two_regions().clusters.remove(0);
        let service = cluster.services[0].clone();
        cluster.services = (0..3_000)
            .map(|number| Service {
                name: format!("s{number}"),
                ..service.clone()
            })
            .collect();
        cluster.services[0].ports[0].node_port = Some(30_080);
        let all = allocate(&cluster, Seed::default());
        let range = range(facts::SERVICE_RANGE.value);
        let addresses: BTreeSet<_> = all.iter().filter_map(|one| one.cluster_ip).collect();
        assert_eq!(addresses.len(), 3_000, "no two are alike");
        let kept = plus(range.network(), facts::SERVICE_RANGE_KEPT.value);
        let inside = |address: &Ipv4Addr| range.contains(address) && *address > kept;
        assert!(addresses.iter().all(inside));
        let ports: Vec<_> = all.iter().filter_map(|one| one.node_ports[0]).collect();
        let distinct: BTreeSet<_> = ports.iter().copied().collect();
        assert_eq!(all[0].node_ports, [Some(30_080)]);
        assert_eq!(distinct.len(), ports.len());
        assert!(distinct.iter().all(|port| (30_000..32_768).contains(port)));
    }
}
