//! Which of the nodes that can take a pod is the best: kube-scheduler's integer scores from
//! 0 to 100 per plugin, weighted and added.

use super::class::{Class, Spread};
use super::{NodeState, Scheduler, labels};
use crate::facts;
use crate::scenario::{Resources, TaintEffect, Toleration, WorkloadId};
use std::cmp::Reverse;

/// Greatest score of a plugin.
const SCORE_MAX: u64 = 100;

impl Scheduler {
    /// The candidate with the greatest score; of several, the one with the fewest pods, and
    /// of those the first.
    pub(super) fn best(&self, workload: WorkloadId, candidates: &[usize]) -> usize {
        let class = &self.classes[workload.index()];
        let taints = self.taint_scores(class, candidates);
        let spread = self.spread_scores(class, candidates);
        let scores = candidates.iter().zip(taints.iter().zip(&spread));
        let total = |state: &NodeState, taints: u64, spread: u64| {
            least_allocated(class, state) * facts::SCHEDULER_WEIGHT_LEAST_ALLOCATED.value
                + balanced_allocation(class, state)
                    * facts::SCHEDULER_WEIGHT_BALANCED_ALLOCATION.value
                + taints * facts::SCHEDULER_WEIGHT_TAINT_TOLERATION.value
                + spread * facts::SCHEDULER_WEIGHT_TOPOLOGY_SPREAD.value
        };
        let (&best, _) = scores
            .max_by_key(|&(&node, (&taints, &spread))| {
                let state = &self.nodes[node];
                (
                    total(state, taints, spread),
                    Reverse(state.pods),
                    Reverse(node),
                )
            })
            .expect("a pod that passed the filters has a candidate");
        best
    }

    /// TaintToleration: the fewer taints to be avoided, relative to the worst candidate.
    fn taint_scores(&self, class: &Class, candidates: &[usize]) -> Vec<u64> {
        // A toleration of another effect alone says nothing about these taints.
        let tolerations: Vec<Toleration> = class
            .tolerations
            .iter()
            .filter(|toleration| {
                toleration
                    .effect
                    .is_none_or(|effect| effect == TaintEffect::PreferNoSchedule)
            })
            .cloned()
            .collect();
        let counts: Vec<u64> = candidates
            .iter()
            .map(|&node| {
                let taints = self.nodes[node].node.taints.iter();
                taints
                    .filter(|taint| taint.effect == TaintEffect::PreferNoSchedule)
                    .filter(|taint| !labels::tolerates(&tolerations, taint))
                    .count() as u64
            })
            .collect();
        let greatest = counts.iter().copied().max().unwrap_or(0);
        counts
            .iter()
            .map(|count| match greatest {
                0 => SCORE_MAX,
                _ => SCORE_MAX - SCORE_MAX * count / greatest,
            })
            .collect()
    }

    /// PodTopologySpread: the fewer matching pods in the candidate's domains, weighted by how
    /// many domains there are, relative to the other candidates.
    pub(super) fn spread_scores(&self, class: &Class, candidates: &[usize]) -> Vec<u64> {
        let constraints = &class.spread_preferred;
        if constraints.is_empty() {
            return vec![0; candidates.len()];
        }
        // A node without one of the labels of a pod's own constraints neither counts nor scores.
        let takes_part = |node: usize| {
            let mut constraints = constraints.iter();
            !class.spread_needs_labels
                || constraints.all(|spread| self.domain(spread, node).is_some())
        };
        let scored: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|&node| takes_part(node))
            .collect();
        let tables: Vec<SpreadTable<'_>> = constraints
            .iter()
            .map(|spread| self.spread_table(class, spread, &scored, takes_part))
            .collect();
        let crowding: Vec<Option<u64>> = candidates
            .iter()
            .map(|&node| takes_part(node).then(|| self.crowding(&tables, node)))
            .collect();
        let least = crowding.iter().flatten().copied().min().unwrap_or(0);
        let greatest = crowding.iter().flatten().copied().max().unwrap_or(0);
        crowding
            .iter()
            .map(|crowding| match crowding {
                None => 0,
                Some(_) if greatest == 0 => SCORE_MAX,
                Some(crowding) => SCORE_MAX * (greatest + least - crowding) / greatest,
            })
            .collect()
    }

    fn domain(&self, spread: &Spread, node: usize) -> Option<usize> {
        self.topologies[spread.crowd.topology].of_node[node]
    }

    /// Matching pods per domain of a preferred constraint, over all nodes that node affinity
    /// allows, and the weight of a pod by the number of domains of `candidates`.
    fn spread_table<'a>(
        &'a self,
        class: &Class,
        spread: &'a Spread,
        candidates: &[usize],
        takes_part: impl Fn(usize) -> bool,
    ) -> SpreadTable<'a> {
        let topology = &self.topologies[spread.crowd.topology];
        let mut present = vec![false; topology.count];
        for &node in candidates {
            if let Some(domain) = topology.of_node[node] {
                present[domain] = true;
            }
        }
        let mut counts = vec![0; topology.count];
        for (node, pods) in self.staying(&spread.crowd) {
            if let Some(domain) = topology.of_node[node]
                && self.nodes[node].present
                && class.selected[node]
                && takes_part(node)
            {
                counts[domain] += pods;
            }
        }
        let domains = if topology.is_hostname() {
            candidates.len()
        } else {
            present.iter().filter(|present| **present).count()
        };
        SpreadTable {
            spread,
            counts,
            weight: libm::log((domains + 2) as f64),
        }
    }

    /// How crowded the domains of a node are, before normalisation.
    fn crowding(&self, tables: &[SpreadTable<'_>], node: usize) -> u64 {
        let crowding: f64 = tables
            .iter()
            .filter_map(|table| {
                let domain = self.domain(table.spread, node)?;
                let count = f64::from(table.counts[domain]);
                Some(count * table.weight + f64::from(table.spread.skew_max - 1))
            })
            .sum();
        libm::round(crowding) as u64
    }
}

struct SpreadTable<'a> {
    spread: &'a Spread,
    /// Matching pods per domain.
    counts: Vec<u32>,
    /// Weight of a pod, so that few large domains and many small ones count alike.
    weight: f64,
}

/// LeastAllocated: the mean share of CPU and memory that stays free with the pod.
fn least_allocated(class: &Class, state: &NodeState) -> u64 {
    // Machines may have so many bytes that a hundred times as many are no u64.
    let free_share = |[others, own]: [u64; 2], capacity: u64| {
        let free = u128::from(capacity).saturating_sub(u128::from(others) + u128::from(own));
        let share = (free * u128::from(SCORE_MAX)).checked_div(u128::from(capacity));
        share.map(|share| share as u64)
    };
    let Resources {
        cpu_milli,
        memory_bytes,
    } = state.node.allocatable;
    let shares = [
        free_share(
            [state.counted.cpu_milli, class.counted.cpu_milli],
            cpu_milli,
        ),
        free_share(
            [state.counted.memory_bytes, class.counted.memory_bytes],
            memory_bytes,
        ),
    ];
    let number = shares.iter().flatten().count() as u64;
    match number {
        0 => 0,
        _ => shares.iter().flatten().sum::<u64>() / number,
    }
}

/// BalancedAllocation: how close the shares of CPU and memory in use are with the pod. A pod
/// that requests nothing changes nothing and has no preference.
fn balanced_allocation(class: &Class, state: &NodeState) -> u64 {
    let request = class.placement.requests;
    if request == Resources::default() {
        return 0;
    }
    let Resources {
        cpu_milli,
        memory_bytes,
    } = state.node.allocatable;
    if cpu_milli == 0 || memory_bytes == 0 {
        return SCORE_MAX;
    }
    let share = |used: u64, capacity: u64| (used as f64 / capacity as f64).min(1.0);
    let cpu = share(state.requested.cpu_milli + request.cpu_milli, cpu_milli);
    let memory = share(
        state.requested.memory_bytes + request.memory_bytes,
        memory_bytes,
    );
    let deviation = (cpu - memory).abs() / 2.0;
    ((1.0 - deviation) * SCORE_MAX as f64) as u64
}
