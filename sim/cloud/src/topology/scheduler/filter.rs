//! Which nodes can take a pod at all, and what keeps it off the others.

use super::class::{Class, Crowd, Domains, Spread};
use super::{NodeState, Scheduler, sampling};
use crate::scenario::{WorkloadId, WorkloadKind};
use std::collections::BTreeMap;
use std::fmt;

/// Why no node takes a pod: how many nodes there are and what is wrong with how many.
/// Displayed as kube-scheduler's event says it, without its remark on preemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    nodes: usize,
    /// By their texts.
    reasons: BTreeMap<String, u32>,
}

impl fmt::Display for Unschedulable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return write!(f, "no nodes available to schedule pods");
        }
        // kube-scheduler sorts the texts, numbers included.
        let mut texts: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        texts.sort_unstable();
        write!(
            f,
            "0/{} nodes are available: {}.",
            self.nodes,
            texts.join(", ")
        )
    }
}

/// What keeps a pod off a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason<'s> {
    Cordoned,
    OtherNodeName,
    Taint { key: &'s str, value: &'s str },
    NodeAffinity,
    PodsMax,
    Cpu,
    Memory,
    SpreadLabelMissing,
    Spread,
    AntiAffinity,
    AntiAffinityOfOthers,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Reason::Cordoned => "node(s) were unschedulable",
            Reason::OtherNodeName => "node(s) didn't match the requested node name",
            Reason::Taint { key, value } => {
                return write!(f, "node(s) had untolerated taint {{{key}: {value}}}");
            }
            Reason::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Reason::PodsMax => "Too many pods",
            Reason::Cpu => "Insufficient cpu",
            Reason::Memory => "Insufficient memory",
            Reason::SpreadLabelMissing => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Reason::Spread => "node(s) didn't match pod topology spread constraints",
            Reason::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Reason::AntiAffinityOfOthers => {
                "node(s) didn't satisfy existing pods anti-affinity rules"
            }
        };
        f.write_str(text)
    }
}

impl Scheduler {
    /// Nodes that can take one more pod of `workload`, at least one: as many as are enough, or of
    /// a DaemonSet the first.
    pub(super) fn filter(&mut self, workload: WorkloadId) -> Result<Vec<usize>, Unschedulable> {
        let class = &self.classes[workload.index()];
        let crowded = Crowded::new(self, class);
        let mut candidates = Vec::new();
        if class.kind == WorkloadKind::DaemonSet {
            let takes = |node: &usize| self.takes(class, workload, *node, &crowded);
            candidates.extend((0..self.nodes.len()).find(takes));
        } else {
            let enough = sampling::enough(self.present);
            let mut looked_at = 0;
            for node in self.search.nodes() {
                looked_at += 1;
                if self.takes(class, workload, node, &crowded) {
                    candidates.push(node);
                    if candidates.len() == enough {
                        break;
                    }
                }
            }
            self.search.advance(looked_at);
        }
        if candidates.is_empty() {
            return Err(self.reasons(workload));
        }
        Ok(candidates)
    }

    fn takes(
        &self,
        class: &Class,
        workload: WorkloadId,
        node: usize,
        crowded: &Crowded<'_>,
    ) -> bool {
        let state = &self.nodes[node];
        let mut takes = state.present;
        self.against(class, workload, node, state, crowded, |_| takes = false);
        takes
    }

    /// What is wrong with the nodes for a pod that none takes.
    fn reasons(&self, workload: WorkloadId) -> Unschedulable {
        let class = &self.classes[workload.index()];
        let crowded = Crowded::new(self, class);
        let mut reasons = BTreeMap::new();
        let nodes = self.nodes.iter().enumerate();
        for (index, state) in nodes.filter(|(_, state)| state.present) {
            self.against(class, workload, index, state, &crowded, |reason| {
                *reasons.entry(reason.to_string()).or_insert(0) += 1;
            });
        }
        Unschedulable {
            nodes: self.present,
            reasons,
        }
    }

    /// Tells what the first plugin that objects says against a node: only the plugin for
    /// resources may have several reasons.
    fn against<'s>(
        &'s self,
        class: &Class,
        workload: WorkloadId,
        index: usize,
        state: &'s NodeState,
        crowded: &Crowded<'_>,
        mut tell: impl FnMut(Reason<'s>),
    ) {
        if !state.available {
            // The node controller's taint; it is never tolerated here, so that no pod starts
            // on a machine that is gone.
            return tell(Reason::Taint {
                key: "node.kubernetes.io/unreachable",
                value: "",
            });
        }
        if !state.open {
            return tell(Reason::Taint {
                key: self.emptying_taint,
                value: "",
            });
        }
        if class.stopped_by_cordon(&state.node) {
            return tell(Reason::Cordoned);
        }
        if !class.named(&state.node) {
            return tell(Reason::OtherNodeName);
        }
        if let Some((key, value)) = class.untolerated(&state.node) {
            return tell(Reason::Taint { key, value });
        }
        // The DaemonSet controller aims each pod at one node by its affinity.
        let aimed_elsewhere =
            class.kind == WorkloadKind::DaemonSet && self.bound[workload.index()].has(index as u32);
        if !class.selected[index] || aimed_elsewhere {
            return tell(Reason::NodeAffinity);
        }
        if !lacking(class, state, &mut tell)
            && let Some(reason) = crowded.against(index)
        {
            tell(reason);
        }
    }
}

/// Tells what a node has too little of, and says whether there is anything.
fn lacking<'s>(class: &Class, state: &NodeState, tell: &mut impl FnMut(Reason<'s>)) -> bool {
    let (node, request) = (&state.node, class.placement.requests);
    let cpu = state.requested.cpu_milli + request.cpu_milli;
    let memory = state.requested.memory_bytes + request.memory_bytes;
    let lacks = [
        (state.pods >= node.pods_max, Reason::PodsMax),
        (
            request.cpu_milli > 0 && cpu > node.allocatable.cpu_milli,
            Reason::Cpu,
        ),
        (
            request.memory_bytes > 0 && memory > node.allocatable.memory_bytes,
            Reason::Memory,
        ),
    ];
    let mut lacks_any = false;
    for (_, reason) in lacks.into_iter().filter(|(lacks, _)| *lacks) {
        lacks_any = true;
        tell(reason);
    }
    lacks_any
}

/// What the other pods of the cluster say about the domains of a pod's rules.
struct Crowded<'a> {
    spread: Vec<SpreadCounts<'a>>,
    avoided: Vec<Occupied<'a>>,
    avoided_by: Vec<Occupied<'a>>,
}

struct SpreadCounts<'a> {
    spread: &'a Spread,
    topology: &'a Domains,
    /// Matching pods per domain.
    counts: Vec<u32>,
    /// The least of the domains that count.
    least: u32,
}

struct Occupied<'a> {
    topology: &'a Domains,
    /// Whether a domain holds one of the pods to keep away from.
    occupied: Vec<bool>,
}

impl<'a> Crowded<'a> {
    fn new(scheduler: &'a Scheduler, class: &'a Class) -> Self {
        // A pod bound by hand never meets the scheduler, only the kubelet.
        if class.placement.node_name.is_some() {
            return Crowded {
                spread: Vec::new(),
                avoided: Vec::new(),
                avoided_by: Vec::new(),
            };
        }
        let occupied = |crowds: &'a [Crowd]| -> Vec<Occupied<'a>> {
            crowds
                .iter()
                .map(|crowd| scheduler.occupied(crowd))
                .collect()
        };
        Crowded {
            spread: scheduler.spread_counts(class),
            avoided: occupied(&class.avoids),
            avoided_by: occupied(&class.avoided_by),
        }
    }

    fn against(&self, node: usize) -> Option<Reason<'static>> {
        for SpreadCounts {
            spread,
            topology,
            counts,
            least,
        } in &self.spread
        {
            let Some(domain) = topology.of_node[node] else {
                return Some(Reason::SpreadLabelMissing);
            };
            let with_pod = counts[domain] + u32::from(spread.counts_itself);
            if with_pod.saturating_sub(*least) > spread.skew_max {
                return Some(Reason::Spread);
            }
        }
        let hits = |rules: &[Occupied<'_>]| {
            rules
                .iter()
                .any(|rule| rule.topology.of_node[node].is_some_and(|domain| rule.occupied[domain]))
        };
        if hits(&self.avoided) {
            Some(Reason::AntiAffinity)
        } else if hits(&self.avoided_by) {
            Some(Reason::AntiAffinityOfOthers)
        } else {
            None
        }
    }
}

impl Scheduler {
    /// Counts per domain for each required spread constraint, over the nodes that node
    /// affinity allows and that have the labels of all these constraints. Taints do not keep
    /// a node out of the count (`nodeTaintsPolicy: Ignore`, the default); pods that have been
    /// told to end do not count.
    fn spread_counts<'a>(&'a self, class: &'a Class) -> Vec<SpreadCounts<'a>> {
        let constraints = &class.spread_required;
        if constraints.is_empty() {
            return Vec::new();
        }
        let topology = |spread: &Spread| &self.topologies[spread.crowd.topology];
        let counted: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].present && class.selected[node])
            .filter(|&node| {
                let mut constraints = constraints.iter();
                constraints.all(|spread| topology(spread).of_node[node].is_some())
            })
            .collect();
        let counts = |spread: &'a Spread| {
            let topology = topology(spread);
            let mut counts = vec![None; topology.count];
            for &node in &counted {
                let domain = topology.of_node[node].expect("only labelled nodes are counted");
                counts[domain].get_or_insert(0);
            }
            for (node, pods) in self.staying(&spread.crowd) {
                if counted.binary_search(&node).is_ok()
                    && let Some(domain) = topology.of_node[node]
                {
                    *counts[domain].get_or_insert(0) += pods;
                }
            }
            SpreadCounts {
                spread,
                topology,
                least: counts.iter().flatten().copied().min().unwrap_or(0),
                counts: counts.into_iter().map(Option::unwrap_or_default).collect(),
            }
        };
        constraints.iter().map(counts).collect()
    }

    /// Which domains hold pods of a crowd.
    fn occupied(&self, crowd: &Crowd) -> Occupied<'_> {
        let topology = &self.topologies[crowd.topology];
        let mut occupied = vec![false; topology.count];
        for held in self.crowd(crowd) {
            if let Some(domain) = topology.of_node[held.node as usize] {
                occupied[domain] = true;
            }
        }
        Occupied { topology, occupied }
    }
}
