//! A provisioner like Karpenter: batches of pods, machines by price, consolidation.
//!
//! Pods that found no node are collected until none came for a while, or for the longest
//! wait. They are packed together onto machines of any shape that still holds them all, and
//! the cheapest such shape is ordered. Every few seconds nodes are looked at: empty ones go
//! at once, within the budget; one of the others may go if its pods fit elsewhere, or be
//! replaced if they fit elsewhere and on one cheaper machine.

use super::packing::{Room, left_over};
use super::{Demand, NodePhase, NodeView, Offer};
use crate::facts;
use crate::scenario::Resources;
use engine::Time;

/// When a batch of pods closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The first pod's arrival and the last one's.
    window: Option<(Time, Time)>,
}

impl Batch {
    /// A pod found no node.
    pub fn note(&mut self, now: Time) {
        let first = self.window.map_or(now, |(first, _)| first);
        self.window = Some((first, now));
    }

    /// When it closes, if it is open.
    pub fn closes(&self) -> Option<Time> {
        let (first, last) = self.window?;
        let idle = last + facts::KARPENTER_BATCH_IDLE.value;
        Some(idle.min(first + facts::KARPENTER_BATCH_MAX.value))
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.window = None;
    }
}

/// A machine under construction on paper.
#[derive(Clone, Debug)]
struct Draft {
    /// What the pods packed so far request, and how many they are.
    requested: Resources,
    pods: u32,
    /// Offers that still hold them all.
    offers: Vec<usize>,
    /// Demands that put a pod here and want to be apart.
    apart: Vec<usize>,
}

/// The machines to order for these pods: an offer each.
pub fn order(offers: &[Offer], demands: &[Demand]) -> Vec<usize> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut positions: Vec<_> = (0..demands.len()).collect();
    let size = |position: &usize| {
        let requests = demands[*position].requests;
        (requests.cpu_milli, requests.memory_bytes)
    };
    positions.sort_by_key(|position| std::cmp::Reverse(size(position)));
    for position in positions {
        let demand = &demands[position];
        let mut next = 0;
        for _ in 0..demand.pods {
            while next < drafts.len() && !drafts[next].add(offers, demand, position) {
                next += 1;
            }
            if next == drafts.len() {
                let mut draft = Draft {
                    requested: Resources::default(),
                    pods: 0,
                    offers: (0..offers.len()).collect(),
                    apart: Vec::new(),
                };
                if !draft.add(offers, demand, position) {
                    break; // No machine holds such a pod.
                }
                drafts.push(draft);
            }
        }
    }
    let cheapest = |draft: &Draft| cheapest(offers, draft.offers.iter().copied());
    drafts.iter().filter_map(cheapest).collect()
}

impl Draft {
    /// Adds a pod if some offer still holds everything.
    fn add(&mut self, offers: &[Offer], demand: &Demand, position: usize) -> bool {
        if demand.apart && self.apart.contains(&position) {
            return false;
        }
        let mut requested = self.requested;
        requested.cpu_milli += demand.requests.cpu_milli;
        requested.memory_bytes += demand.requests.memory_bytes;
        let holds = |offer: usize| {
            demand.allowed[offer]
                && offers[offer].pods_max > self.pods
                && Room::of_offer(&offers[offer]).takes(requested, 1) == 1
        };
        let kept: Vec<_> = self.offers.iter().copied().filter(|&o| holds(o)).collect();
        if kept.is_empty() {
            return false;
        }
        self.offers = kept;
        self.requested = requested;
        self.pods += 1;
        if demand.apart {
            self.apart.push(position);
        }
        true
    }
}

/// The cheapest of these offers, the first of equals.
fn cheapest(offers: &[Offer], of: impl Iterator<Item = usize>) -> Option<usize> {
    of.min_by(|&a, &b| offers[a].price.total_cmp(&offers[b].price))
}

/// What consolidation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consolidation {
    /// A node goes; its pods fit elsewhere.
    Remove(usize),
    /// A machine of this offer comes first, then the node goes.
    Replace {
        /// Position of the node.
        node: usize,
        /// The cheaper offer.
        offer: usize,
    },
}

/// How many nodes may be disrupted now: a tenth, rounded up, less those that are.
fn budget(nodes: &[NodeView]) -> usize {
    let there = |node: &&NodeView| node.offer.is_some() && node.phase != NodePhase::Absent;
    let disturbed =
        |node: &&NodeView| matches!(node.phase, NodePhase::Leaving | NodePhase::NotReady);
    let total = nodes.iter().filter(there).count() as u64;
    let gone = nodes.iter().filter(there).filter(disturbed).count();
    let percent = u64::from(facts::KARPENTER_BUDGET_PERCENT.value);
    ((total * percent).div_ceil(100) as usize).saturating_sub(gone)
}

/// One look at the nodes: what to consolidate.
pub fn consolidate(offers: &[Offer], nodes: &[NodeView]) -> Vec<Consolidation> {
    let budget = budget(nodes);
    let own = |node: &NodeView| node.offer.is_some() && node.phase == NodePhase::Ready;
    let mut ready: Vec<_> = (0..nodes.len()).filter(|&node| own(&nodes[node])).collect();
    let empty = ready.iter().copied();
    let empty: Vec<_> = empty
        .filter(|&node| nodes[node].tenants.is_empty())
        .take(budget)
        .map(Consolidation::Remove)
        .collect();
    if !empty.is_empty() || budget == 0 {
        return empty;
    }
    // The fewest pods are the least disruption.
    ready.sort_by_key(|&node| {
        nodes[node]
            .tenants
            .iter()
            .map(|tenant| tenant.pods)
            .sum::<u32>()
    });
    let found = ready
        .iter()
        .find_map(|&node| consolidate_one(offers, nodes, node));
    found.into_iter().collect()
}

fn consolidate_one(offers: &[Offer], nodes: &[NodeView], node: usize) -> Option<Consolidation> {
    let left = left_over(nodes, node)?;
    if left.is_empty() {
        return Some(Consolidation::Remove(node));
    }
    let price = offers[nodes[node].offer?].price;
    let holds = |offer: &Offer| {
        let mut room = Room::of_offer(offer);
        left.iter().all(|&(requests, pods)| {
            let taken = room.takes(requests, pods);
            room.take(requests, taken);
            taken == pods
        })
    };
    let cheaper = (0..offers.len()).filter(|&offer| offers[offer].price < price);
    let offer = cheapest(offers, cheaper.filter(|&offer| holds(&offers[offer])))?;
    Some(Consolidation::Replace { node, offer })
}

#[cfg(test)]
mod tests {
    use super::super::Tenant;
    use super::*;
    use engine::Duration;

    fn shape(cpus: u64, price: f64) -> Offer {
        Offer {
            allocatable: cpus_of(1_000 * cpus),
            pods_max: 110,
            min: 0,
            max: u32::MAX,
            price,
        }
    }

    /// Four gibibytes for each core.
    fn cpus_of(cpu_milli: u64) -> Resources {
        Resources {
            cpu_milli,
            memory_bytes: (cpu_milli << 32) / 1_000,
        }
    }

    fn shapes() -> Vec<Offer> {
        vec![shape(2, 0.10), shape(4, 0.19), shape(16, 0.77)]
    }

    fn demand(cpu_milli: u64, pods: u32) -> Demand {
        Demand {
            requests: cpus_of(cpu_milli),
            pods,
            allowed: vec![true; 3],
            apart: false,
        }
    }

    #[test]
    fn a_batch_closes_when_it_is_idle_or_old() {
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let mut batch = Batch::default();
        assert_eq!(batch.closes(), None);
        for (arrival, closes) in [
            (500, 1_500),
            (1_400, 2_400),
            (9_000, 10_000),
            (9_800, 10_500),
        ] {
            batch.note(at(arrival));
            assert_eq!(batch.closes(), Some(at(closes)));
        }
        batch.close();
        assert_eq!(batch.closes(), None);
    }

    #[test]
    fn pods_are_packed_together_and_the_cheapest_machine_holds_them() {
        for (demands, machines, why) in [
            (vec![demand(1_000, 1)], vec![0], "the smallest"),
            (
                vec![demand(1_000, 3)],
                vec![1],
                "three of them need four cores",
            ),
            (vec![demand(1_000, 20)], vec![2, 1], "sixteen, then four"),
            (vec![demand(17_000, 1)], vec![], "none is that large"),
            (
                vec![demand(500, 2), demand(3_000, 1)],
                vec![1],
                "together they need four",
            ),
        ] {
            assert_eq!(order(&shapes(), &demands), machines, "{why}");
        }
        let mut apart = demand(1_000, 3);
        apart.apart = true;
        assert_eq!(order(&shapes(), &[apart]), [0, 0, 0]);
        let mut picky = demand(1_000, 1);
        picky.allowed = vec![false, true, true];
        assert_eq!(order(&shapes(), &[picky]), [1]);
    }

    fn node(offer: usize, used_milli: u64) -> NodeView {
        let tenant = Tenant {
            requests: cpus_of(500),
            pods: (used_milli / 500) as u32,
            replaced: true,
        };
        NodeView {
            offer: Some(offer),
            phase: NodePhase::Ready,
            allocatable: shapes()[offer].allocatable,
            pods_max: 110,
            requested: cpus_of(used_milli),
            pods: tenant.pods,
            tenants: (used_milli > 0).then_some(tenant).into_iter().collect(),
        }
    }

    #[test]
    fn consolidation_removes_the_empty_then_what_fits_elsewhere_then_replaces() {
        use Consolidation::{Remove, Replace};
        let leaving = NodeView {
            phase: NodePhase::Leaving,
            ..node(1, 0)
        };
        for (nodes, expected, why) in [
            (
                vec![node(1, 3_500), node(1, 0)],
                vec![Remove(1)],
                "an empty one goes",
            ),
            (
                vec![node(1, 0); 11],
                vec![Remove(0), Remove(1)],
                "a tenth of 11, rounded up",
            ),
            (
                vec![leaving, node(1, 0)],
                vec![],
                "the budget of one is used",
            ),
            (
                vec![node(1, 3_000), node(1, 1_000)],
                vec![Remove(1)],
                "it fits into the first",
            ),
            (
                vec![node(1, 4_000), node(1, 1_500)],
                vec![Replace { node: 1, offer: 0 }],
                "two cores are cheaper and enough",
            ),
            (
                vec![node(1, 4_000), node(1, 3_000)],
                vec![],
                "nothing cheaper holds it",
            ),
        ] {
            assert_eq!(consolidate(&shapes(), &nodes), expected, "{why}");
        }
        let mut bare = node(1, 1_000);
        bare.tenants[0].replaced = false;
        // The bare pod stays. Six of the other node's seven fit beside it, two cores hold one.
        let expected = [Replace { node: 0, offer: 0 }];
        assert_eq!(consolidate(&shapes(), &[node(1, 3_500), bare]), expected);
    }
}
