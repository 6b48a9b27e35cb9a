//! The cluster autoscaler: one scan after another.
//!
//! A scan gives up nodes that are overdue, then orders nodes of one group for the pods that
//! neither existing nor coming nodes can take; only a scan that ordered nothing looks at
//! nodes to take away: those that were unneeded for long enough, while no node was added
//! lately.

use super::packing::{fits_elsewhere, pack, without_coming};
use super::{Demand, NodePhase, NodeView, Offer};
use crate::facts;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// What a scan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// This many more nodes of a group.
    Grow {
        /// Position of the group.
        offer: usize,
        /// How many.
        nodes: u32,
    },
    /// A coming node is overdue and is given up.
    GiveUp(usize),
    /// A node is tainted, emptied and deleted.
    Remove(usize),
}

/// What the cluster autoscaler remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Since when each node is unneeded.
    unneeded: BTreeMap<usize, Time>,
    /// When it last added nodes.
    grown: Option<Time>,
    /// By group: its last failure.
    failures: BTreeMap<usize, Failure>,
}

/// A group that did not deliver.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Failure {
    at: Time,
    pause: Duration,
}

impl Memory {
    /// A node of a group has come: the group is trusted again.
    pub fn delivered(&mut self, offer: usize) {
        self.failures.remove(&offer);
    }

    fn failed(&mut self, offer: usize, now: Time) {
        let pause = match self.failures.get(&offer) {
            Some(last) if last.at + facts::CLUSTER_AUTOSCALER_BACKOFF_RESET.value > now => {
                // Several nodes given up in one scan are one failure.
                if last.at == now {
                    return;
                }
                (last.pause * 2).min(facts::CLUSTER_AUTOSCALER_BACKOFF_MAX.value)
            }
            _ => facts::CLUSTER_AUTOSCALER_BACKOFF.value,
        };
        self.failures.insert(offer, Failure { at: now, pause });
    }

    fn pauses(&self, offer: usize, now: Time) -> bool {
        let failure = self.failures.get(&offer);
        failure.is_some_and(|failure| failure.at + failure.pause > now)
    }

    /// One scan: what to do about pods that found no node, and about nodes.
    pub fn scan(
        &mut self,
        offers: &[Offer],
        demands: &[Demand],
        nodes: &[NodeView],
        now: Time,
    ) -> Vec<Order> {
        let overdue: Vec<_> = (0..nodes.len())
            .filter(|&node| is_overdue(&nodes[node], now))
            .collect();
        for &node in &overdue {
            if let Some(offer) = nodes[node].offer {
                self.failed(offer, now);
            }
        }
        let mut orders: Vec<_> = overdue.iter().copied().map(Order::GiveUp).collect();
        let coming = nodes
            .iter()
            .filter(|node| matches!(node.phase, NodePhase::Coming(_)) && !is_overdue(node, now));
        let left = without_coming(demands, coming, offers);
        if let Some((offer, count)) = self.best_option(offers, &left, nodes, now) {
            self.grown = Some(now);
            orders.push(Order::Grow {
                offer,
                nodes: count,
            });
            return orders;
        }
        self.note_unneeded(offers, nodes, now);
        orders.extend(self.removals(offers, nodes, now));
        orders
    }

    /// The group to grow, and by how many nodes: the one that wastes least.
    fn best_option(
        &self,
        offers: &[Offer],
        demands: &[Demand],
        nodes: &[NodeView],
        now: Time,
    ) -> Option<(usize, u32)> {
        let mut best: Option<(f64, usize, u32)> = None;
        for (position, offer) in offers.iter().enumerate() {
            let room = offer.max.saturating_sub(size_of(nodes, position));
            if room == 0 || self.pauses(position, now) {
                continue;
            }
            let packing = pack(offers, position, demands, room);
            if packing.nodes == 0 {
                continue;
            }
            let waste = packing.waste(offer);
            if best.is_none_or(|(least, ..)| waste < least) {
                best = Some((waste, position, packing.nodes));
            }
        }
        best.map(|(_, position, count)| (position, count))
    }

    /// Which nodes are unneeded, and since when.
    fn note_unneeded(&mut self, offers: &[Offer], nodes: &[NodeView], now: Time) {
        let threshold = facts::CLUSTER_AUTOSCALER_UTILIZATION_THRESHOLD.value;
        for (position, node) in nodes.iter().enumerate() {
            let removable = node.offer.is_some_and(|offer| {
                node.phase == NodePhase::Ready && size_of(nodes, offer) > offers[offer].min
            });
            let unneeded =
                removable && node.utilization() < threshold && fits_elsewhere(nodes, position);
            if unneeded {
                self.unneeded.entry(position).or_insert(now);
            } else {
                self.unneeded.remove(&position);
            }
        }
    }

    /// Nodes to take away: empty ones together, others one at a time.
    fn removals(&self, offers: &[Offer], nodes: &[NodeView], now: Time) -> Vec<Order> {
        let delay = facts::CLUSTER_AUTOSCALER_DELAY_AFTER_ADD.value;
        if self.grown.is_some_and(|at| at + delay > now) {
            return Vec::new();
        }
        let long = facts::CLUSTER_AUTOSCALER_UNNEEDED_TIME.value;
        let due = self
            .unneeded
            .iter()
            .filter(|(_, since)| **since + long <= now);
        let (empty, used): (Vec<usize>, Vec<usize>) = due
            .map(|(node, _)| *node)
            .partition(|&node| nodes[node].tenants.is_empty());
        let mut taken = vec![0; offers.len()];
        let mut may_go = |node: usize| {
            let offer = nodes[node].offer.expect("unneeded nodes are of a group");
            let stays = size_of(nodes, offer) - taken[offer] > offers[offer].min;
            taken[offer] += u32::from(stays);
            stays
        };
        if !empty.is_empty() {
            let bulk = facts::CLUSTER_AUTOSCALER_EMPTY_BULK.value as usize;
            let going = empty.into_iter().take(bulk).filter(|&node| may_go(node));
            return going.map(Order::Remove).collect();
        }
        let draining =
            |node: &NodeView| node.phase == NodePhase::Leaving && !node.tenants.is_empty();
        if nodes.iter().any(draining) {
            return Vec::new();
        }
        let first = used.into_iter().find(|&node| may_go(node));
        first.map(Order::Remove).into_iter().collect()
    }
}

fn is_overdue(node: &NodeView, now: Time) -> bool {
    let most = facts::CLUSTER_AUTOSCALER_PROVISION_TIME_MAX.value;
    matches!(node.phase, NodePhase::Coming(ordered) if ordered + most <= now)
}

/// Nodes of a group that count towards its size.
fn size_of(nodes: &[NodeView], offer: usize) -> u32 {
    let gone = |phase| matches!(phase, NodePhase::Absent | NodePhase::Leaving);
    let counts = |node: &&NodeView| node.offer == Some(offer) && !gone(node.phase);
    nodes.iter().filter(counts).count() as u32
}

#[cfg(test)]
mod tests {
    use super::super::{Reach, Tenant};
    use super::*;
    use crate::scenario::Resources;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn cpu(cpu_milli: u64) -> Resources {
        Resources {
            cpu_milli,
            memory_bytes: 1 << 30,
        }
    }

    fn group(cpu_milli: u64, gibibytes: u64, min: u32, max: u32) -> Offer {
        Offer {
            allocatable: Resources {
                cpu_milli,
                memory_bytes: gibibytes << 30,
            },
            pods_max: 110,
            min,
            max,
            price: 1.0,
            capacity: Resources::default(),
            node_pool: 0,
            node: 0,
        }
    }

    fn demand(cpu_milli: u64, pods: u32, groups: usize) -> Demand {
        Demand {
            requests: cpu(cpu_milli),
            pods,
            allowed: vec![true; groups],
            apart: false,
        }
    }

    /// A Ready node of the first group with `pods` pods of 500 thousandths of a core.
    fn node(phase: NodePhase, pods: u32) -> NodeView {
        let tenant = Tenant {
            requests: cpu(500),
            pods,
            replaced: true,
            reach: Reach::Everywhere,
        };
        NodeView {
            offer: Some(0),
            phase,
            allocatable: group(4_000, 16, 0, 0).allocatable,
            pods_max: 110,
            requested: Resources {
                cpu_milli: 500 * u64::from(pods),
                memory_bytes: u64::from(pods) << 30,
            },
            pods,
            tenants: (pods > 0).then_some(tenant).into_iter().collect(),
            calm_since: Time::ZERO,
        }
    }

    #[test]
    fn it_grows_the_group_that_wastes_least_and_waits_for_its_nodes() {
        let offers = [group(4_000, 16, 0, 10), group(8_000, 16, 0, 10)];
        let mut memory = Memory::default();
        let demands = [demand(1_000, 6, 2)];
        // Two nodes of 4 waste (2/8 + 26/32)/2, one of 8 wastes (2/8 + 10/16)/2.
        let grow = Order::Grow { offer: 1, nodes: 1 };
        assert_eq!(memory.scan(&offers, &demands, &[], at(0)), [grow]);
        // It is coming: nothing more is ordered until there are more pods than it takes.
        let mut coming = node(NodePhase::Coming(at(0)), 0);
        coming.offer = Some(1);
        let nodes = [coming];
        assert_eq!(memory.scan(&offers, &demands, &nodes, at(10)), []);
        let more = [demand(1_000, 9, 2)];
        let grow = Order::Grow { offer: 0, nodes: 1 };
        assert_eq!(memory.scan(&offers, &more, &nodes, at(20)), [grow]);
    }

    #[test]
    fn it_stops_at_the_size_of_a_group() {
        let offers = [group(4_000, 16, 0, 3)];
        let mut memory = Memory::default();
        let nodes = vec![node(NodePhase::Ready, 8); 2];
        let scan = memory.scan(&offers, &[demand(4_000, 9, 1)], &nodes, at(0));
        assert_eq!(scan, [Order::Grow { offer: 0, nodes: 1 }]);
        let nodes = vec![node(NodePhase::Ready, 8); 3];
        assert_eq!(
            memory.scan(&offers, &[demand(4_000, 9, 1)], &nodes, at(10)),
            []
        );
    }

    #[test]
    fn an_overdue_node_is_given_up_and_its_group_pauses_for_longer_each_time() {
        let offers = [group(4_000, 16, 0, 3)];
        let demands = [demand(1_000, 1, 1)];
        let mut memory = Memory::default();
        let grow = [Order::Grow { offer: 0, nodes: 1 }];
        assert_eq!(memory.scan(&offers, &demands, &[], at(0)), grow);
        let mut ordered = 0;
        // 15 minutes for the node, then 5, 10, 20, 30 and 30 minutes of pause.
        for pause in [300, 600, 1_200, 1_800, 1_800] {
            let coming = [node(NodePhase::Coming(at(ordered)), 0)];
            assert_eq!(
                memory.scan(&offers, &demands, &coming, at(ordered + 899)),
                []
            );
            let given_up = memory.scan(&offers, &demands, &coming, at(ordered + 900));
            assert_eq!(given_up, [Order::GiveUp(0)]);
            let back = ordered + 900 + pause;
            assert_eq!(memory.scan(&offers, &demands, &[], at(back - 1)), []);
            assert_eq!(memory.scan(&offers, &demands, &[], at(back)), grow);
            ordered = back;
        }
        memory.delivered(0);
        let coming = [node(NodePhase::Coming(at(ordered)), 0)];
        memory.scan(&offers, &demands, &coming, at(ordered + 900));
        assert_eq!(
            memory.scan(&offers, &demands, &[], at(ordered + 1_200)),
            grow
        );
    }

    #[test]
    fn an_unneeded_node_goes_after_ten_minutes_and_ten_after_the_last_addition() {
        let offers = [group(4_000, 16, 1, 10)];
        let mut memory = Memory::default();
        memory.scan(&offers, &[demand(1_000, 1, 1)], &[], at(0));
        let nodes = [node(NodePhase::Ready, 6), node(NodePhase::Ready, 2)];
        assert_eq!(memory.scan(&offers, &[], &nodes, at(240)), []);
        // Ten minutes after the addition the node is unneeded for only six.
        assert_eq!(memory.scan(&offers, &[], &nodes, at(600)), []);
        assert_eq!(memory.scan(&offers, &[], &nodes, at(839)), []);
        assert_eq!(
            memory.scan(&offers, &[], &nodes, at(840)),
            [Order::Remove(1)]
        );
        // A scan that finds it busy starts the clock anew.
        let busy = [node(NodePhase::Ready, 6), node(NodePhase::Ready, 4)];
        memory.scan(&offers, &[], &busy, at(850));
        assert_eq!(memory.scan(&offers, &[], &nodes, at(860)), []);
        assert_eq!(
            memory.scan(&offers, &[], &nodes, at(1_460)),
            [Order::Remove(1)]
        );
    }

    #[test]
    fn what_may_not_go_stays() {
        let offers = [group(4_000, 16, 1, 10)];
        let go = |nodes: &[NodeView]| {
            let mut memory = Memory::default();
            memory.scan(&offers, &[], nodes, at(0));
            memory.scan(&offers, &[], nodes, at(600))
        };
        let (full, light, empty) = (
            node(NodePhase::Ready, 8),
            node(NodePhase::Ready, 2),
            node(NodePhase::Ready, 0),
        );
        let mut bare = light.clone();
        bare.tenants[0].replaced = false;
        let mut foreign = empty.clone();
        foreign.offer = None;
        assert_eq!(go(&[full.clone(), light.clone()]), [], "no room elsewhere");
        assert_eq!(
            go(&[light.clone(), bare]),
            [Order::Remove(0)],
            "a bare pod stays"
        );
        assert_eq!(go(&[full.clone(), foreign]), [], "not of a group");
        assert_eq!(
            go(std::slice::from_ref(&empty)),
            [],
            "the group's last node"
        );
        let both = [full, empty.clone(), empty.clone()];
        assert_eq!(
            go(&both),
            [Order::Remove(1), Order::Remove(2)],
            "empty ones together"
        );
        let lights = vec![light; 3];
        assert_eq!(go(&lights), [Order::Remove(0)], "others one at a time");
        assert_eq!(go(&vec![empty; 15]).len(), 10, "ten at once");
    }
}
