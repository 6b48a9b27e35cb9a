//! Where pods and machines stand, and by what labels and addresses proxies know them.

use crate::facts;
use crate::istio::config::Labels;
use crate::istio::locality::{Locality, with_place};
use crate::istio::translate::registry::{Endpoint, Health, Proxy};
use crate::scenario;
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};

/// The address by which proxies know a pod, which no other has: what it is decides nothing but
/// places on rings.
pub(crate) fn pod_address(pod: u32) -> Ipv4Addr {
    nth_of(facts::POD_RANGE_LARGE.value, pod)
}

/// An address of a range, after the network's own.
pub(super) fn nth_of(range: &str, number: u32) -> Ipv4Addr {
    let range: Ipv4Net = range
        .parse()
        .expect("facts hold ranges as they are written");
    Ipv4Addr::from(u32::from(range.network()) + 1 + number)
}

/// Where a pod stands, and what it is called.
pub(crate) struct Standing<'a> {
    /// Its cluster.
    pub(crate) cluster: &'a scenario::Cluster,
    /// Its node.
    pub(crate) node: Option<u32>,
    /// Its zone.
    pub(crate) zone: u32,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its own labels.
    pub(crate) labels: &'a Labels,
    /// Its site, if it is a machine of one.
    pub(crate) site: Option<&'a scenario::Site>,
}

impl Standing<'_> {
    fn locality(&self) -> Locality {
        if let Some(site) = self.site {
            let parts = site.region.split_once('/');
            return Locality {
                region: parts.map_or(site.region.as_str(), |it| it.1).to_owned(),
                ..Locality::parse("")
            };
        }
        let node = self.node.map(|node| &self.cluster.nodes[node as usize]);
        let said = |label: &str| node.and_then(|node| node.labels.get(label)).cloned();
        let region = said("topology.kubernetes.io/region");
        let zone = said("topology.kubernetes.io/zone");
        Locality {
            region: region.unwrap_or_else(|| self.cluster.region_label().to_owned()),
            zone: zone.unwrap_or_else(|| self.cluster.zones[self.zone as usize].clone()),
            subzone: said("topology.istio.io/subzone").unwrap_or_default(),
        }
    }

    fn labels(&self, locality: &Locality) -> Labels {
        let node = self
            .node
            .map(|node| &self.cluster.nodes[node as usize].name);
        let node = node.map_or("", String::as_str);
        with_place(self.labels, locality, &self.cluster.name, "", node)
    }

    /// The pod's proxy as it asks.
    pub(crate) fn proxy(&self) -> Proxy {
        let locality = self.locality();
        Proxy {
            namespace: self.namespace.to_owned(),
            labels: self.labels(&locality),
            locality,
            cluster: 0,
            network: None,
        }
    }

    /// The pod as an endpoint of a service.
    pub(crate) fn endpoint(
        &self,
        (pod, address): (u32, Ipv4Addr),
        service: &scenario::Service,
        has_sidecar: bool,
    ) -> Endpoint {
        let locality = self.locality();
        let targets = service.ports.iter().map(|port| Some(port.target_port));
        Endpoint {
            workload: pod,
            address: IpAddr::V4(address),
            targets: targets.collect(),
            labels: self.labels(&locality),
            locality,
            cluster: 0,
            network: None,
            namespace: self.namespace.to_owned(),
            weight: 1,
            health: Health::Ready,
            has_sidecar,
        }
    }
}
