//! Which nodes can take a pod at all, and what keeps it off the others.

use super::class::{Class, Crowd, Domains, Spread};
use super::{NodeState, Scheduler};
use crate::scenario::{WorkloadId, WorkloadKind};
use std::collections::BTreeMap;
use std::fmt;

/// Why no node takes a pod: how many nodes there are and what is wrong with how many.
/// Displayed as kube-scheduler's event says it, without its remark on preemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    nodes: usize,
    reasons: BTreeMap<Reason, u32>,
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Cordoned,
    OtherNodeName,
    Taint { key: String, value: String },
    NodeAffinity,
    PodsMax,
    Cpu,
    Memory,
    SpreadLabelMissing,
    Spread,
    AntiAffinity,
    AntiAffinityOfOthers,
}

impl fmt::Display for Reason {
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
    /// The nodes that can take one more pod of `workload`, ascending, at least one.
    pub(super) fn filter(&self, workload: WorkloadId) -> Result<Vec<usize>, Unschedulable> {
        let class = &self.classes[workload.index()];
        let crowded = Crowded::new(self, class);
        let mut reasons = BTreeMap::new();
        let mut candidates = Vec::new();
        for (index, state) in self.nodes.iter().enumerate() {
            let against = self.against(class, workload, index, state, &crowded);
            if against.is_empty() {
                candidates.push(index);
            }
            for reason in against {
                *reasons.entry(reason).or_insert(0) += 1;
            }
        }
        if candidates.is_empty() {
            return Err(Unschedulable {
                nodes: self.nodes.len(),
                reasons,
            });
        }
        Ok(candidates)
    }

    /// What the first plugin that objects says against a node: only the plugin for resources
    /// may have several reasons.
    fn against(
        &self,
        class: &Class,
        workload: WorkloadId,
        index: usize,
        state: &NodeState,
        crowded: &Crowded<'_>,
    ) -> Vec<Reason> {
        if !state.available {
            // The node controller's taint; it is never tolerated here, so that no pod starts
            // on a machine that is gone.
            return vec![Reason::Taint {
                key: "node.kubernetes.io/unreachable".to_owned(),
                value: String::new(),
            }];
        }
        if class.stopped_by_cordon(&state.node) {
            return vec![Reason::Cordoned];
        }
        if !class.named(&state.node) {
            return vec![Reason::OtherNodeName];
        }
        if let Some((key, value)) = class.untolerated(&state.node) {
            let (key, value) = (key.to_owned(), value.to_owned());
            return vec![Reason::Taint { key, value }];
        }
        // The DaemonSet controller aims each pod at one node by its affinity.
        let aimed_elsewhere =
            class.kind == WorkloadKind::DaemonSet && self.count(index, &[workload]) > 0;
        if !class.selected[index] || aimed_elsewhere {
            return vec![Reason::NodeAffinity];
        }
        let full = lacking(class, state);
        if !full.is_empty() {
            return full;
        }
        crowded.against(index).into_iter().collect()
    }
}

/// What a node has too little of.
fn lacking(class: &Class, state: &NodeState) -> Vec<Reason> {
    let (node, request) = (&state.node, class.placement.requests);
    let cpu = state.requested.cpu_milli + request.cpu_milli;
    let memory = state.requested.memory_bytes + request.memory_bytes;
    let mut reasons = Vec::new();
    if state.pods >= node.pods_max {
        reasons.push(Reason::PodsMax);
    }
    if request.cpu_milli > 0 && cpu > node.allocatable.cpu_milli {
        reasons.push(Reason::Cpu);
    }
    if request.memory_bytes > 0 && memory > node.allocatable.memory_bytes {
        reasons.push(Reason::Memory);
    }
    reasons
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

    fn against(&self, node: usize) -> Option<Reason> {
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
        let topology = |spread: &Spread| &self.topologies[spread.crowd.topology];
        let counted: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| class.selected[node])
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
                let pods = self.staying(node, &spread.crowd.workloads);
                *counts[domain].get_or_insert(0) += pods;
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
        for (node, domain) in topology.of_node.iter().enumerate() {
            if let Some(domain) = domain {
                occupied[*domain] |= self.count(node, &crowd.workloads) > 0;
            }
        }
        Occupied { topology, occupied }
    }
}
