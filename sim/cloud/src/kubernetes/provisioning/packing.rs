//! Where pods would go: first fit, the largest first, as both provisioners estimate.

use super::{Demand, NodePhase, NodeView, Offer, Tenant};
use crate::scenario::Resources;

/// What is left of a node while pods are packed onto it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) free: Resources,
    pub(super) pods: u32,
}

impl Room {
    /// An empty node of an offer.
    pub(super) fn of_offer(offer: &Offer) -> Room {
        Room {
            free: offer.allocatable,
            pods: offer.pods_max,
        }
    }

    /// What is left of a node.
    pub(super) fn of_node(node: &NodeView) -> Room {
        Room {
            free: node.free(),
            pods: node.pods_max.saturating_sub(node.pods),
        }
    }

    /// How many pods of this request it takes, at most `pods`.
    pub(super) fn takes(&self, requests: Resources, pods: u32) -> u32 {
        let by = |free: u64, one: u64| free.checked_div(one).unwrap_or(u64::from(u32::MAX));
        let by_cpu = by(self.free.cpu_milli, requests.cpu_milli);
        let by_memory = by(self.free.memory_bytes, requests.memory_bytes);
        let most = by_cpu.min(by_memory).min(u64::from(self.pods.min(pods)));
        most as u32
    }

    pub(super) fn take(&mut self, requests: Resources, pods: u32) {
        self.free.cpu_milli -= requests.cpu_milli * u64::from(pods);
        self.free.memory_bytes -= requests.memory_bytes * u64::from(pods);
        self.pods -= pods;
    }
}

/// Pods packed onto new nodes of one offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// Nodes needed.
    pub nodes: u32,
    /// Pods of each demand that found a place.
    pub placed: Vec<u32>,
    /// What they request together.
    pub requested: Resources,
}

impl Packing {
    /// The mean of the wasted shares of CPU and memory.
    pub fn waste(&self, offer: &Offer) -> f64 {
        let wasted = |used: u64, one: u64| {
            let all = one * u64::from(self.nodes);
            if all == 0 {
                0.0
            } else {
                1.0 - used as f64 / all as f64
            }
        };
        let cpu = wasted(self.requested.cpu_milli, offer.allocatable.cpu_milli);
        let memory = wasted(self.requested.memory_bytes, offer.allocatable.memory_bytes);
        (cpu + memory) / 2.0
    }
}

/// Positions of demands, the largest request first as a share of the offer.
fn largest_first(demands: &[Demand], offer: &Offer) -> Vec<usize> {
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let size = |position: &usize| {
        let requests = demands[*position].requests;
        share(requests.cpu_milli, offer.allocatable.cpu_milli)
            + share(requests.memory_bytes, offer.allocatable.memory_bytes)
    };
    let mut order: Vec<_> = (0..demands.len()).collect();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    order
}

/// Packs pods onto at most `nodes_max` new nodes of the offer at this position.
pub fn pack(offers: &[Offer], position: usize, demands: &[Demand], nodes_max: u32) -> Packing {
    let offer = &offers[position];
    let mut rooms: Vec<Room> = Vec::new();
    let mut packing = Packing {
        nodes: 0,
        placed: vec![0; demands.len()],
        requested: Resources::default(),
    };
    for index in largest_first(demands, offer) {
        let demand = &demands[index];
        let on_one = if demand.apart { 1 } else { u32::MAX };
        if !demand.allowed[position] || Room::of_offer(offer).takes(demand.requests, 1) == 0 {
            continue;
        }
        let mut left = demand.pods;
        let mut next = 0;
        while left > 0 {
            if next == rooms.len() {
                if rooms.len() as u32 == nodes_max {
                    break;
                }
                rooms.push(Room::of_offer(offer));
            }
            let taken = rooms[next].takes(demand.requests, left.min(on_one));
            rooms[next].take(demand.requests, taken);
            left -= taken;
            next += 1;
        }
        let placed = demand.pods - left;
        packing.placed[index] = placed;
        packing.requested.cpu_milli += demand.requests.cpu_milli * u64::from(placed);
        packing.requested.memory_bytes += demand.requests.memory_bytes * u64::from(placed);
    }
    packing.nodes = rooms.len() as u32;
    packing
}

/// The demands without what coming nodes will take.
pub fn without_coming<'n>(
    demands: &[Demand],
    coming: impl Iterator<Item = &'n NodeView>,
    offers: &[Offer],
) -> Vec<Demand> {
    let mut left = demands.to_vec();
    for node in coming {
        let Some(offer) = node.offer else {
            continue;
        };
        let mut room = Room::of_offer(&offers[offer]);
        for demand in left.iter_mut().filter(|demand| demand.allowed[offer]) {
            let on_one = if demand.apart { 1 } else { u32::MAX };
            let taken = room.takes(demand.requests, demand.pods.min(on_one));
            room.take(demand.requests, taken);
            demand.pods -= taken;
        }
    }
    left.retain(|demand| demand.pods > 0);
    left
}

/// Whether all pods of the node at `position` may be moved and fit on the other Ready nodes.
pub fn fits_elsewhere(nodes: &[NodeView], position: usize) -> bool {
    left_over(nodes, position).is_some_and(|left| left.is_empty())
}

/// Pods of the node at `position` that fit on no other Ready node, and how many they are; `None`
/// if some may not be moved.
pub(super) fn left_over(nodes: &[NodeView], position: usize) -> Option<Vec<(&Tenant, u32)>> {
    let tenants = &nodes[position].tenants;
    if tenants.iter().any(|tenant| !tenant.replaced) {
        return None;
    }
    let others = nodes.iter().enumerate();
    let mut rooms: Vec<_> = others
        .filter(|(other, node)| *other != position && node.phase == NodePhase::Ready)
        .map(|(other, node)| (other, Room::of_node(node)))
        .collect();
    let mut rest = Vec::new();
    for tenant in tenants {
        let mut left = tenant.pods;
        for (other, room) in &mut rooms {
            if !tenant.reach.holds(*other) {
                continue;
            }
            let taken = room.takes(tenant.requests, left);
            room.take(tenant.requests, taken);
            left -= taken;
        }
        if left > 0 {
            rest.push((tenant, left));
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(cpu_milli: u64, gibibytes: u64) -> Resources {
        Resources {
            cpu_milli,
            memory_bytes: gibibytes << 30,
        }
    }

    fn offer(cpu_milli: u64, gibibytes: u64) -> Offer {
        Offer {
            allocatable: resources(cpu_milli, gibibytes),
            pods_max: 110,
            min: 0,
            max: 100,
            price: 1.0,
            capacity: Resources::default(),
            node_pool: 0,
            node: 0,
        }
    }

    fn demand(cpu_milli: u64, gibibytes: u64, pods: u32, apart: bool) -> Demand {
        Demand {
            requests: resources(cpu_milli, gibibytes),
            pods,
            allowed: vec![true],
            apart,
        }
    }

    #[test]
    fn first_fit_the_largest_first() {
        let offers = [offer(4_000, 16)];
        for (demands, nodes_max, nodes, placed, why) in [
            (
                vec![demand(1_000, 1, 10, false)],
                9,
                3,
                vec![10],
                "four on each",
            ),
            (
                vec![demand(1_000, 8, 3, false)],
                9,
                2,
                vec![3],
                "two by memory",
            ),
            (vec![demand(500, 1, 3, true)], 9, 3, vec![3], "one on each"),
            (
                vec![demand(5_000, 1, 1, false)],
                9,
                0,
                vec![0],
                "larger than a node",
            ),
            (
                vec![demand(3_000, 1, 5, false)],
                2,
                2,
                vec![2],
                "no more than two nodes",
            ),
            (
                vec![demand(1_000, 1, 2, false), demand(3_000, 1, 2, false)],
                9,
                2,
                vec![2, 2],
                "the large ones first, the small ones fill them up",
            ),
            (
                vec![demand(0, 0, 200, false)],
                9,
                2,
                vec![200],
                "110 pods on a node",
            ),
        ] {
            let packing = pack(&offers, 0, &demands, nodes_max);
            assert_eq!((packing.nodes, packing.placed), (nodes, placed), "{why}");
        }
        let mut elsewhere = demand(1_000, 1, 1, false);
        elsewhere.allowed = vec![false];
        assert_eq!(pack(&offers, 0, &[elsewhere], 9).nodes, 0);
    }

    #[test]
    fn waste_is_the_mean_of_both_resources() {
        let offers = [offer(4_000, 16)];
        let packing = pack(&offers, 0, &[demand(1_000, 1, 4, false)], 9);
        // No CPU and twelve of sixteen gibibytes.
        assert_eq!(packing.waste(&offers[0]), 0.375);
    }
}
