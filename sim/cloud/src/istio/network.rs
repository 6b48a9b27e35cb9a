//! Endpoints behind gateways: what a proxy is told of other networks.
//!
//! Models: endpoints of other networks replaced by the gateways that lead there, those of the
//! same cluster first; all weights scaled so that each endpoint's can be split over its
//! gateways; gateways in the place and priority of what they stand for; endpoints without mutual
//! TLS left away, since a gateway goes by it; a proxy that does not know its network sent
//! through gateways wherever there are any.
//! Exact, for addresses of one family.
//! Leaves out: ambient gateways; a proxy's own view of networks.
//! Sources: istio/istio pilot/pkg/xds/endpoints/ep_filters.go, pilot/pkg/model/network.go.
//! Validated by: cases worked out by hand, below.

use std::collections::BTreeMap;

/// A gateway between networks. Networks, clusters and addresses are numbers of the caller's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gateway {
    /// The network that it leads into.
    pub network: u32,
    /// The cluster that it belongs to.
    pub cluster: u32,
    /// Its address.
    pub address: u32,
}

/// An endpoint of one place, before the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A number of the caller's own.
    pub endpoint: u32,
    /// Its network; `None` if nobody says.
    pub network: Option<u32>,
    /// Its cluster.
    pub cluster: u32,
    /// Its weight.
    pub weight: u32,
    /// Whether proxies speak to it with mutual TLS.
    pub is_mutual: bool,
}

/// What a proxy is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An endpoint, with its weight.
    Direct(u32, u32),
    /// A gateway, with its weight.
    Through(Gateway, u32),
}

/// All gateways of a mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    all: Vec<Gateway>,
    scale: u32,
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

impl Gateways {
    /// These gateways.
    pub fn new(mut all: Vec<Gateway>) -> Self {
        all.sort_unstable();
        all.dedup();
        let mut counts: BTreeMap<(u32, Option<u32>), u32> = BTreeMap::new();
        for gateway in &all {
            *counts.entry((gateway.network, None)).or_default() += 1;
            let of_cluster = (gateway.network, Some(gateway.cluster));
            *counts.entry(of_cluster).or_default() += 1;
        }
        let scale = counts.values().fold(1, |scale, &count| {
            scale / greatest_common_divisor(scale, count) * count
        });
        Gateways { all, scale }
    }

    /// Those that lead to an endpoint.
    fn to(&self, network: u32, cluster: u32) -> Vec<Gateway> {
        let of_network = self.all.iter().filter(|it| it.network == network);
        let of_cluster: Vec<Gateway> = of_network
            .clone()
            .filter(|it| it.cluster == cluster)
            .copied()
            .collect();
        if of_cluster.is_empty() {
            of_network.copied().collect()
        } else {
            of_cluster
        }
    }

    /// What a proxy of a network is told of endpoints of one place: first those it reaches
    /// itself, then gateways in order.
    pub fn split(&self, ours: Option<u32>, endpoints: &[Endpoint]) -> Vec<Told> {
        if self.all.is_empty() {
            let direct = endpoints.iter();
            return direct
                .map(|it| Told::Direct(it.endpoint, it.weight))
                .collect();
        }
        let mut told = Vec::new();
        let mut through: BTreeMap<Gateway, u32> = BTreeMap::new();
        for endpoint in endpoints {
            let weight = endpoint.weight.max(1).saturating_mul(self.scale);
            let is_ours = match (ours, endpoint.network) {
                (Some(ours), Some(network)) => ours == network,
                (_, None) => true,
                (None, Some(_)) => false,
            };
            let gateways = match endpoint.network {
                Some(network) if !is_ours => self.to(network, endpoint.cluster),
                _ => Vec::new(),
            };
            if gateways.is_empty() {
                told.push(Told::Direct(endpoint.endpoint, weight));
            } else if endpoint.is_mutual {
                let share = weight / gateways.len() as u32;
                for gateway in gateways {
                    *through.entry(gateway).or_default() += share;
                }
            }
        }
        told.extend(
            through
                .into_iter()
                .map(|(gateway, weight)| Told::Through(gateway, weight)),
        );
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAST: u32 = 1;
    const WEST: u32 = 2;

    fn gateway(network: u32, cluster: u32, address: u32) -> Gateway {
        Gateway {
            network,
            cluster,
            address,
        }
    }

    fn endpoint(endpoint: u32, network: u32, cluster: u32) -> Endpoint {
        Endpoint {
            endpoint,
            network: Some(network),
            cluster,
            weight: 1,
            is_mutual: true,
        }
    }

    #[test]
    fn without_gateways_everything_is_told_as_it_is() {
        let endpoints = [endpoint(0, EAST, 0), endpoint(1, WEST, 1)];
        assert_eq!(
            Gateways::new(Vec::new()).split(Some(EAST), &endpoints),
            [Told::Direct(0, 1), Told::Direct(1, 1)]
        );
    }

    #[test]
    fn another_network_is_one_address_with_the_weight_of_all() {
        let west = gateway(WEST, 1, 100);
        let endpoints = [
            endpoint(0, EAST, 0),
            endpoint(1, WEST, 1),
            endpoint(2, WEST, 1),
        ];
        let gateways = Gateways::new(vec![west]);
        assert_eq!(
            gateways.split(Some(EAST), &endpoints),
            [Told::Direct(0, 1), Told::Through(west, 2)]
        );
        // Seen from the west, nothing leads to the east: it is told as it is.
        assert_eq!(
            gateways.split(Some(WEST), &endpoints),
            [Told::Direct(0, 1), Told::Direct(1, 1), Told::Direct(2, 1)]
        );
    }

    #[test]
    fn weights_are_scaled_so_that_they_can_be_split() {
        let gateways = [
            gateway(WEST, 1, 100),
            gateway(WEST, 1, 101),
            gateway(EAST, 0, 102),
        ];
        let split = Gateways::new(gateways.to_vec())
            .split(Some(EAST), &[endpoint(0, EAST, 0), endpoint(1, WEST, 1)]);
        assert_eq!(
            split,
            [
                Told::Direct(0, 2),
                Told::Through(gateways[0], 1),
                Told::Through(gateways[1], 1)
            ]
        );
    }

    #[test]
    fn gateways_of_the_same_cluster_come_first() {
        let [one, two] = [gateway(WEST, 1, 100), gateway(WEST, 2, 101)];
        let gateways = Gateways::new(vec![one, two]);
        let of = |cluster| gateways.split(Some(EAST), &[endpoint(0, WEST, cluster)]);
        assert_eq!(of(1), [Told::Through(one, 2)]);
        assert_eq!(of(3), [Told::Through(one, 1), Told::Through(two, 1)]);
    }

    #[test]
    fn without_mutual_tls_no_gateway_leads_there() {
        let gateways = Gateways::new(vec![gateway(WEST, 1, 100)]);
        let plain = Endpoint {
            is_mutual: false,
            ..endpoint(0, WEST, 1)
        };
        assert_eq!(gateways.split(Some(EAST), &[plain]), []);
        assert_eq!(gateways.split(Some(WEST), &[plain]), [Told::Direct(0, 1)]);
    }

    #[test]
    fn a_proxy_without_a_network_is_sent_through_gateways() {
        let west = gateway(WEST, 1, 100);
        let gateways = Gateways::new(vec![west]);
        assert_eq!(
            gateways.split(None, &[endpoint(0, WEST, 1), endpoint(1, EAST, 0)]),
            [Told::Direct(1, 1), Told::Through(west, 1)]
        );
    }
}
