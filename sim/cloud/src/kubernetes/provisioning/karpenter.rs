//! A provisioner like Karpenter: batches of pods, machines by price, consolidation.
//!
//! Pods that found no node are collected until none came for a while, or for the longest
//! wait. They are packed together onto machines of the first NodePool that has one for them, of
//! any shape that still holds them all, and the cheapest such shape is ordered. A NodePool's
//! limits count the largest shape that each machine could yet be, so that a batch may take
//! several rounds; its limit of nodes counts only those that were there before the batch.
//! Every few seconds nodes that have been calm for long enough are looked at: empty ones go
//! at once, within the budgets; one of the others may go if its pods fit elsewhere, or be
//! replaced if they fit elsewhere and on one cheaper machine.
//!
//! Sources: kubernetes-sigs/karpenter pkg/controllers/provisioning/scheduling/scheduler.go
//! (addToNewNodeClaim, subtractMax, filterByRemainingResources), pkg/apis/v1/nodepool.go,
//! pkg/controllers/disruption, pkg/controllers/nodeclaim/podevents.

use super::packing::{Room, left_over};
use super::{Demand, NodePhase, NodeView, Offer};
use crate::facts;
use crate::scenario::{Consolidates, DisruptionReason, Limits, NodePool, Resources};
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

/// What NodePools may still have, besides the nodes that they have.
fn left_of(
    node_pools: &[NodePool],
    offers: &[Offer],
    nodes: impl Iterator<Item = usize>,
) -> Vec<Limits> {
    let mut left: Vec<_> = node_pools.iter().map(|pool| pool.limits).collect();
    for offer in nodes.map(|offer| &offers[offer]) {
        let limits = &mut left[offer.node_pool];
        limits.subtract(offer.capacity);
        limits.nodes = limits.nodes.map(|nodes| nodes.saturating_sub(1));
    }
    left
}

/// The offers of the nodes that count towards the limits of their NodePools.
fn counted(nodes: &[NodeView]) -> impl Iterator<Item = usize> {
    let there = nodes.iter().filter(|node| node.phase != NodePhase::Absent);
    there.filter_map(|node| node.offer)
}

impl Limits {
    /// Whether a machine of this size stays within what is left.
    fn admit(&self, size: Resources) -> bool {
        let within = |left: Option<u64>, size: u64| left.is_none_or(|left| size <= left);
        within(self.cpu_milli, size.cpu_milli)
            && within(self.memory_bytes, size.memory_bytes)
            && self.nodes != Some(0)
    }

    fn subtract(&mut self, size: Resources) {
        let less = |left: Option<u64>, size: u64| left.map(|left| left.saturating_sub(size));
        self.cpu_milli = less(self.cpu_milli, size.cpu_milli);
        self.memory_bytes = less(self.memory_bytes, size.memory_bytes);
    }
}

/// The machines to order for these pods: an offer each.
pub fn order(
    offers: &[Offer],
    node_pools: &[NodePool],
    nodes: &[NodeView],
    demands: &[Demand],
) -> Vec<usize> {
    let mut left = left_of(node_pools, offers, counted(nodes));
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
                let mut pools = left.iter_mut().enumerate();
                let found = pools.find_map(|(pool, left)| {
                    let mut draft = Draft::of_pool(pool, offers, left);
                    let fits = draft.add(offers, demand, position);
                    fits.then(|| left.subtract(draft.largest(offers)))?;
                    Some(draft)
                });
                let Some(draft) = found else {
                    break; // No machine holds such a pod.
                };
                drafts.push(draft);
            }
        }
    }
    let cheapest = |draft: &Draft| cheapest(offers, draft.offers.iter().copied());
    drafts.iter().filter_map(cheapest).collect()
}

impl Draft {
    /// An empty machine of a NodePool, of whatever shape its limits leave.
    fn of_pool(pool: usize, offers: &[Offer], left: &Limits) -> Draft {
        let fits = |offer: &Offer| offer.node_pool == pool && left.admit(offer.capacity);
        Draft {
            requested: Resources::default(),
            pods: 0,
            offers: (0..offers.len())
                .filter(|&offer| fits(&offers[offer]))
                .collect(),
            apart: Vec::new(),
        }
    }

    /// The most that it could be, of each resource.
    fn largest(&self, offers: &[Offer]) -> Resources {
        let most = |of: fn(&Resources) -> u64| {
            let sizes = self.offers.iter().map(|&offer| of(&offers[offer].capacity));
            sizes.max().unwrap_or(0)
        };
        Resources {
            cpu_milli: most(|size| size.cpu_milli),
            memory_bytes: most(|size| size.memory_bytes),
        }
    }

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

/// How many nodes of each NodePool may be disrupted now for a reason: the least of its budgets
/// for it, rounded up, less those that are.
fn allowed(
    node_pools: &[NodePool],
    offers: &[Offer],
    nodes: &[NodeView],
    reason: DisruptionReason,
) -> Vec<u32> {
    let allowed = |(position, pool): (usize, &NodePool)| {
        let of_it = |node: &&NodeView| {
            let offer = node.offer.map(|offer| offers[offer].node_pool);
            offer == Some(position) && node.phase != NodePhase::Absent
        };
        let all = nodes.iter().filter(of_it);
        let gone = all
            .clone()
            .filter(|node| matches!(node.phase, NodePhase::Leaving | NodePhase::NotReady));
        let (total, gone) = (all.count() as u32, gone.count() as u32);
        let budgets = pool.disruption.budgets.iter();
        let least = budgets
            .filter(|budget| budget.reasons.is_empty() || budget.reasons.contains(&reason))
            .map(|budget| budget.nodes.rounded_up(total))
            .min();
        least.unwrap_or(total).saturating_sub(gone)
    };
    node_pools.iter().enumerate().map(allowed).collect()
}

/// One look at the nodes: what to consolidate.
pub fn consolidate(
    offers: &[Offer],
    node_pools: &[NodePool],
    nodes: &[NodeView],
    now: Time,
) -> Vec<Consolidation> {
    let pool_of = |node: usize| Some(offers[nodes[node].offer?].node_pool);
    let consolidates = |node: usize| {
        let disruption = &node_pools[pool_of(node)?].disruption;
        let calm = nodes[node].calm_since + disruption.after <= now;
        (calm && nodes[node].phase == NodePhase::Ready).then_some(disruption.consolidates)
    };
    let mut left = allowed(node_pools, offers, nodes, DisruptionReason::Empty);
    let mut may_go = |node: usize| {
        let left = pool_of(node).map(|pool| &mut left[pool]);
        left.is_some_and(|left| {
            let may = *left > 0;
            *left = left.saturating_sub(1);
            may
        })
    };
    let empty: Vec<_> = (0..nodes.len())
        .filter(|&node| consolidates(node).is_some_and(|what| what != Consolidates::Never))
        .filter(|&node| nodes[node].tenants.is_empty() && may_go(node))
        .map(Consolidation::Remove)
        .collect();
    if !empty.is_empty() {
        return empty;
    }
    let left = allowed(node_pools, offers, nodes, DisruptionReason::Underutilized);
    let mut used: Vec<_> = (0..nodes.len())
        .filter(|&node| consolidates(node) == Some(Consolidates::EmptyOrUnderutilized))
        .filter(|&node| pool_of(node).is_some_and(|pool| left[pool] > 0))
        // An empty one that is still there is kept by a budget.
        .filter(|&node| !nodes[node].tenants.is_empty())
        .collect();
    // The fewest pods are the least disruption.
    used.sort_by_key(|&node| {
        nodes[node]
            .tenants
            .iter()
            .map(|tenant| tenant.pods)
            .sum::<u32>()
    });
    let found = used
        .iter()
        .find_map(|&node| consolidate_one(offers, node_pools, nodes, node));
    found.into_iter().collect()
}

fn consolidate_one(
    offers: &[Offer],
    node_pools: &[NodePool],
    nodes: &[NodeView],
    node: usize,
) -> Option<Consolidation> {
    let pods = left_over(nodes, node)?;
    if pods.is_empty() {
        return Some(Consolidation::Remove(node));
    }
    let (before, after) = (counted(&nodes[..node]), counted(&nodes[node + 1..]));
    let left = left_of(node_pools, offers, before.chain(after));
    let price = offers[nodes[node].offer?].price;
    let holds = |offer: &Offer| {
        let mut room = Room::of_offer(offer);
        let fits = pods.iter().all(|&(tenant, pods)| {
            let taken = room.takes(tenant.requests, pods);
            room.take(tenant.requests, taken);
            taken == pods && tenant.reach.holds(offer.node)
        });
        fits && left[offer.node_pool].admit(offer.capacity)
    };
    let cheaper = (0..offers.len()).filter(|&offer| offers[offer].price < price);
    let offer = cheapest(offers, cheaper.filter(|&offer| holds(&offers[offer])))?;
    Some(Consolidation::Replace { node, offer })
}

#[cfg(test)]
mod tests {
    use super::super::{Reach, Tenant};
    use super::*;
    use crate::scenario::{Amount, Disruption, NodePoolBudget};
    use engine::Duration;

    fn shape(cpus: u64, price: f64) -> Offer {
        Offer {
            allocatable: cpus_of(1_000 * cpus),
            pods_max: 110,
            min: 0,
            max: u32::MAX,
            price,
            capacity: cpus_of(1_000 * cpus),
            node_pool: 0,
            node: 0,
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

    fn ordered(demands: &[Demand]) -> Vec<usize> {
        order(&shapes(), &[NodePool::default()], &[], demands)
    }

    fn consolidated(nodes: &[NodeView]) -> Vec<Consolidation> {
        consolidate(&shapes(), &[NodePool::default()], nodes, Time::ZERO)
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
            assert_eq!(ordered(&demands), machines, "{why}");
        }
        let mut apart = demand(1_000, 3);
        apart.apart = true;
        assert_eq!(ordered(&[apart]), [0, 0, 0]);
        let mut picky = demand(1_000, 1);
        picky.allowed = vec![false, true, true];
        assert_eq!(ordered(&[picky]), [1]);
    }

    fn node(offer: usize, used_milli: u64) -> NodeView {
        let tenant = Tenant {
            requests: cpus_of(500),
            pods: (used_milli / 500) as u32,
            replaced: true,
            reach: Reach::Everywhere,
        };
        NodeView {
            offer: Some(offer),
            phase: NodePhase::Ready,
            allocatable: shapes()[offer].allocatable,
            pods_max: 110,
            requested: cpus_of(used_milli),
            pods: tenant.pods,
            tenants: (used_milli > 0).then_some(tenant).into_iter().collect(),
            calm_since: Time::ZERO,
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
            assert_eq!(consolidated(&nodes), expected, "{why}");
        }
        let mut bare = node(1, 1_000);
        bare.tenants[0].replaced = false;
        // The bare pod stays. Six of the other node's seven fit beside it, two cores hold one.
        let expected = [Replace { node: 0, offer: 0 }];
        assert_eq!(consolidated(&[node(1, 3_500), bare]), expected);
    }

    /// Two NodePools: the shapes of the first are those of all, the second has a machine of two.
    fn two_pools(disruption: Disruption) -> (Vec<Offer>, [NodePool; 2]) {
        let mut offers = shapes();
        offers.push(Offer {
            node_pool: 1,
            ..shape(2, 0.10)
        });
        let first = NodePool {
            disruption,
            ..NodePool::default()
        };
        (offers, [first, NodePool::default()])
    }

    fn budget(nodes: Amount, reasons: &[DisruptionReason]) -> NodePoolBudget {
        NodePoolBudget {
            nodes,
            reasons: reasons.to_vec(),
        }
    }

    #[test]
    fn pods_move_only_where_labels_and_taints_let_them() {
        let mut offers = shapes();
        offers[0].node = 2;
        for (reach, expected) in [
            ([true, true, true], vec![Consolidation::Remove(1)]),
            (
                [false, true, true],
                vec![Consolidation::Replace { node: 1, offer: 0 }],
            ),
            ([false, true, false], vec![]),
        ] {
            let mut moved = node(1, 1_000);
            moved.tenants[0].reach = Reach::Some(reach.into());
            let mut stays = node(1, 2_000);
            stays.tenants[0].replaced = false;
            let absent = NodeView {
                phase: NodePhase::Absent,
                ..node(0, 0)
            };
            let nodes = [stays, moved, absent];
            let found = consolidate(&offers, &[NodePool::default()], &nodes, Time::ZERO);
            assert_eq!(found, expected, "{reach:?}");
        }
    }

    #[test]
    fn each_node_pool_has_its_policy_and_its_budgets() {
        use Amount::{Count, Percent};
        use Consolidates::{Empty, EmptyOrUnderutilized, Never};
        use DisruptionReason::{Drifted, Underutilized};
        // Three empty nodes of a NodePool as said, and one of another.
        for (consolidates, budgets, expected, why) in [
            (EmptyOrUnderutilized, vec![], vec![0, 1, 2, 3], "no budget"),
            (
                Empty,
                vec![budget(Count(2), &[])],
                vec![0, 1, 3],
                "two of three",
            ),
            (
                Empty,
                vec![budget(Count(3), &[]), budget(Percent(34), &[])],
                vec![0, 1, 3],
                "a third and a bit of three, rounded up",
            ),
            (
                Empty,
                vec![budget(Count(2), &[]), budget(Percent(10), &[])],
                vec![0, 3],
                "the least counts",
            ),
            (
                Empty,
                vec![
                    budget(Count(0), &[Underutilized, Drifted]),
                    budget(Count(1), &[DisruptionReason::Empty]),
                ],
                vec![0, 3],
                "of those for its reason",
            ),
            (Empty, vec![budget(Count(0), &[])], vec![3], "none"),
            (Never, vec![], vec![3], "never"),
        ] {
            let (offers, pools) = two_pools(Disruption {
                consolidates,
                after: Duration::ZERO,
                budgets,
            });
            let nodes = [node(0, 0), node(0, 0), node(0, 0)];
            let mut other = node(0, 0);
            other.offer = Some(3);
            let nodes: Vec<_> = nodes.into_iter().chain([other]).collect();
            let expected: Vec<_> = expected.into_iter().map(Consolidation::Remove).collect();
            let found = consolidate(&offers, &pools, &nodes, Time::ZERO);
            assert_eq!(found, expected, "{why}");
        }
        // Nodes with pods go under one policy alone, if a budget for that reason lets them.
        for (consolidates, budgets, goes) in [
            (EmptyOrUnderutilized, vec![], true),
            (
                EmptyOrUnderutilized,
                vec![budget(Count(0), &[Underutilized])],
                false,
            ),
            (
                EmptyOrUnderutilized,
                vec![budget(Count(0), &[DisruptionReason::Empty])],
                true,
            ),
            (Empty, vec![], false),
            (Never, vec![], false),
        ] {
            let (offers, pools) = two_pools(Disruption {
                consolidates,
                after: Duration::ZERO,
                budgets,
            });
            let nodes = [node(1, 3_000), node(1, 1_000)];
            let found = consolidate(&offers, &pools, &nodes, Time::ZERO);
            assert_eq!(!found.is_empty(), goes);
        }
    }

    #[test]
    fn nodes_go_when_no_pod_has_come_or_gone_for_long_enough() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let (offers, pools) = two_pools(Disruption {
            after: Duration::from_secs(300),
            budgets: Vec::new(),
            ..Disruption::default()
        });
        let calm_since = |seconds, used| NodeView {
            calm_since: at(seconds),
            ..node(1, used)
        };
        for (nodes, removed) in [
            ([calm_since(100, 0), calm_since(200, 0)], vec![0]),
            ([calm_since(100, 0), calm_since(101, 0)], vec![0]),
            ([calm_since(101, 0), calm_since(100, 1_000)], vec![1]),
            ([calm_since(101, 0), calm_since(101, 1_000)], vec![]),
        ] {
            let found = consolidate(&offers, &pools, &nodes, at(400));
            let removed: Vec<_> = removed.into_iter().map(Consolidation::Remove).collect();
            assert_eq!(found, removed);
        }
    }

    #[test]
    fn limits_count_all_shapes_of_a_node_pool_at_their_largest() {
        let limits = |cpu_milli, memory_bytes, nodes| Limits {
            cpu_milli,
            memory_bytes,
            nodes,
        };
        let none = limits(None, None, None);
        for (limits, there, expected, why) in [
            (none, 0, vec![2, 2, 2], "sixteen cores each"),
            (
                limits(Some(17_000), None, None),
                0,
                vec![2],
                "one core is left",
            ),
            (
                limits(Some(20_000), None, None),
                0,
                vec![2, 1],
                "four cores are left for four of the pods",
            ),
            (
                limits(Some(20_000), None, None),
                1,
                vec![2],
                "the node that is there counts",
            ),
            (
                limits(None, Some(6 << 32), None),
                0,
                vec![1, 0],
                "24 GiB: four and two cores",
            ),
            (
                limits(None, None, Some(1)),
                0,
                vec![2, 2, 2],
                "nodes of the batch do not count towards the limit of nodes",
            ),
            (limits(None, None, Some(1)), 1, vec![], "those before it do"),
        ] {
            let pool = NodePool {
                limits,
                ..NodePool::default()
            };
            let nodes = vec![node(1, 4_000); there];
            let found = order(&shapes(), &[pool], &nodes, &[demand(1_000, 48)]);
            assert_eq!(found, expected, "{why}");
        }
        // A pod that fits two cores leaves open which machine it will be: the largest counts.
        let pool = NodePool {
            limits: limits(Some(18_000), None, None),
            ..NodePool::default()
        };
        let mut apart = demand(1_000, 3);
        apart.apart = true;
        let found = order(&shapes(), &[pool], &[], &[apart]);
        assert_eq!(found, [0, 0], "sixteen, then two");
    }

    #[test]
    fn the_first_node_pool_with_a_machine_for_a_pod_has_it() {
        let (offers, mut pools) = two_pools(Disruption::default());
        let mut demand = demand(1_000, 4);
        demand.allowed.push(true);
        let found = |pools: &[NodePool]| order(&offers, pools, &[], &[demand.clone()]);
        assert_eq!(found(&pools), [1], "four cores of the first");
        pools[0].limits.cpu_milli = Some(2_000);
        assert_eq!(found(&pools), [0, 3], "two cores of each");
        pools[0].limits.cpu_milli = Some(1_000);
        assert_eq!(found(&pools), [3, 3], "none of the first");
    }
}
