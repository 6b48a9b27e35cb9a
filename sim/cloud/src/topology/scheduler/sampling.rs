//! How many nodes kube-scheduler looks at for a pod, and in which order.
//!
//! Models: `findNodesThatPassFilters`: the search ends when enough nodes have been found that can
//! take the pod; the next one begins where it ended. Nodes stand in the order in which the zones
//! take turns, as in the scheduler's node tree.
//! Approximated: sixteen nodes are looked at together in kube-scheduler, so that it may see a
//! few more than it needs.
//! Sources: kubernetes/kubernetes pkg/scheduler/schedule_one.go, backend/cache/node_tree.go; the
//! numbers in [`crate::facts`].
//! Validated by: the scheduler's tests.

use crate::facts;
use crate::scenario::ZoneId;
use std::collections::BTreeMap;

/// Where the scheduler looks next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Search {
    /// Nodes in the order of the search.
    order: std::sync::Arc<Vec<usize>>,
    /// Position in that order where the next search begins.
    next: usize,
}

impl Search {
    /// Begins with the first of these nodes, given by their zones.
    pub(super) fn new(zones: impl Iterator<Item = ZoneId>) -> Self {
        let mut turns = BTreeMap::new();
        let mut first_seen = BTreeMap::new();
        let mut order: Vec<(usize, usize, usize)> = Vec::new();
        for (node, zone) in zones.enumerate() {
            let place = first_seen.len();
            let place = *first_seen.entry(zone).or_insert(place);
            let turn = turns.entry(zone).or_insert(0);
            order.push((*turn, place, node));
            *turn += 1;
        }
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, _, node)| node).collect();
        Search {
            order: order.into(),
            next: 0,
        }
    }

    /// All nodes, from where the search begins.
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> {
        let (before, after) = self.order.split_at(self.next);
        after.iter().chain(before).copied()
    }

    /// So many nodes were looked at.
    pub(super) fn advance(&mut self, looked_at: usize) {
        if let Some(next) = (self.next + looked_at).checked_rem(self.order.len()) {
            self.next = next;
        }
    }
}

/// How many nodes that can take a pod are enough, in a cluster of so many.
pub(super) fn enough(nodes: usize) -> usize {
    let least = facts::SCHEDULER_NODES_LEAST.value as usize;
    if nodes < least {
        return nodes;
    }
    let shrink = nodes / facts::SCHEDULER_NODES_PER_PERCENT.value as usize;
    let percent = (facts::SCHEDULER_NODES_PERCENT.value as usize).saturating_sub(shrink);
    let percent = percent.max(facts::SCHEDULER_NODES_PERCENT_LEAST.value as usize);
    (nodes * percent / 100).max(least)
}
