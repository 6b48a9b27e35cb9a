//! What is the same for all pods of a workload, worked out once: which nodes its rules
//! allow, and which workloads' pods its spread and its anti-affinity count.

use super::labels::{self, HOSTNAME, LabelledNode, ZONE};
use crate::facts;
use crate::scenario::{
    Cluster, Placement, Resources, SpreadConstraint, TaintEffect, Toleration, Workload, WorkloadId,
    WorkloadKind,
};
use std::collections::BTreeMap;

/// The domains of one node label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Domains {
    /// The label.
    pub(super) key: String,
    /// Domain of each node; `None` for nodes without the label.
    pub(super) of_node: Vec<Option<usize>>,
    /// Number of domains.
    pub(super) count: usize,
}

impl Domains {
    /// Whether each node is a domain of its own by definition.
    pub(super) fn is_hostname(&self) -> bool {
        self.key == HOSTNAME
    }
}

/// A set of pods in the domains of a topology.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Crowd {
    /// Position of the topology among the scheduler's.
    pub(super) topology: usize,
    /// Workloads whose pods belong to it.
    pub(super) workloads: Vec<WorkloadId>,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spread {
    /// The pods that count.
    pub(super) crowd: Crowd,
    /// Whether the pod itself will count.
    pub(super) counts_itself: bool,
    /// Greatest difference between two domains.
    pub(super) skew_max: u32,
}

/// What is the same for all pods of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class {
    pub(super) kind: WorkloadKind,
    pub(super) placement: Placement,
    /// Own tolerations and those that its controller adds.
    pub(super) tolerations: Vec<Toleration>,
    /// Requests, with an assumption for what is not requested; only for scores.
    pub(super) counted: Resources,
    /// For each node, whether node selector and node affinity allow it.
    pub(super) selected: Vec<bool>,
    /// Constraints that must hold.
    pub(super) spread_required: Vec<Spread>,
    /// Constraints that should hold.
    pub(super) spread_preferred: Vec<Spread>,
    /// Whether a node without one of the preferred constraints' labels gets no score.
    pub(super) spread_needs_labels: bool,
    /// Pods that it may not share a domain with.
    pub(super) avoids: Vec<Crowd>,
    /// Pods that may not share a domain with it.
    pub(super) avoided_by: Vec<Crowd>,
}

impl Class {
    pub(super) fn new<'a>(
        cluster: &Cluster,
        id: WorkloadId,
        workload: &Workload,
        nodes: impl Iterator<Item = &'a LabelledNode> + Clone,
        topologies: &mut Vec<Domains>,
    ) -> Self {
        let placement = &workload.template.placement;
        let mut topology = |key: &str| topology_of(topologies, key, nodes.clone());
        let (required, preferred): (Vec<_>, Vec<_>) = placement
            .spread
            .iter()
            .partition(|constraint| constraint.required);
        let mut spreads = |constraints: Vec<&SpreadConstraint>| -> Vec<Spread> {
            constraints
                .into_iter()
                .map(|constraint| Spread {
                    crowd: Crowd {
                        topology: topology(&constraint.topology_key),
                        workloads: selected_workloads(cluster, workload, &constraint.selector),
                    },
                    counts_itself: labels::selects(&constraint.selector, &placement.labels),
                    skew_max: constraint.skew_max,
                })
                .collect()
        };
        let spread_required = spreads(required);
        let mut spread_preferred = spreads(preferred);
        let spread_needs_labels = !placement.spread.is_empty();
        if placement.spread.is_empty() {
            spread_preferred = default_spread(cluster, id, workload, &mut topology);
        }
        let avoids = placement
            .anti_affinity
            .iter()
            .map(|term| Crowd {
                topology: topology(&term.topology_key),
                workloads: selected_workloads(cluster, workload, &term.selector),
            })
            .collect();
        Class {
            kind: workload.kind,
            placement: placement.clone(),
            tolerations: tolerations(workload),
            counted: counted(placement.requests),
            selected: nodes
                .clone()
                .map(|node| selected(placement, node))
                .collect(),
            spread_required,
            spread_preferred,
            spread_needs_labels,
            avoids,
            avoided_by: avoiders(cluster, workload, &mut topology),
        }
    }

    /// The first taint of a node that keeps the pod away, if any. A pod bound by hand only
    /// meets the kubelet, which looks at `NoExecute` alone.
    pub(super) fn untolerated<'a>(&self, node: &'a LabelledNode) -> Option<(&'a str, &'a str)> {
        node.taints
            .iter()
            .filter(|taint| match taint.effect {
                TaintEffect::NoSchedule => self.placement.node_name.is_none(),
                TaintEffect::NoExecute => true,
                TaintEffect::PreferNoSchedule => false,
            })
            .find(|taint| !labels::tolerates(&self.tolerations, taint))
            .map(|taint| (taint.key.as_str(), taint.value.as_str()))
    }

    /// Whether the cordon of a node keeps the pod away.
    pub(super) fn stopped_by_cordon(&self, node: &LabelledNode) -> bool {
        node.unschedulable
            && self.placement.node_name.is_none()
            && !labels::tolerates(&self.tolerations, &labels::cordon())
    }

    /// Whether `nodeName` allows a node.
    pub(super) fn named(&self, node: &LabelledNode) -> bool {
        self.placement
            .node_name
            .as_ref()
            .is_none_or(|name| *name == node.name)
    }

    /// Whether a DaemonSet wants a pod on this node, the one at `index`.
    pub(super) fn wants(&self, node: &LabelledNode, index: usize) -> bool {
        self.named(node)
            && self.selected[index]
            && !self.stopped_by_cordon(node)
            && self.untolerated(node).is_none()
    }
}

fn tolerations(workload: &Workload) -> Vec<Toleration> {
    let mut tolerations = workload.template.placement.tolerations.clone();
    if workload.kind == WorkloadKind::DaemonSet {
        tolerations.extend(labels::daemon_tolerations());
    }
    tolerations
}

fn selected(placement: &Placement, node: &LabelledNode) -> bool {
    labels::selects(&placement.node_selector, &node.labels)
        && (placement.node_affinity.is_empty()
            || labels::one_term_holds(&placement.node_affinity, &node.labels))
}

fn counted(requests: Resources) -> Resources {
    let or = |request, assumed| if request == 0 { assumed } else { request };
    Resources {
        cpu_milli: or(requests.cpu_milli, facts::SCHEDULER_CPU_MILLI_UNSET.value),
        memory_bytes: or(
            requests.memory_bytes,
            facts::SCHEDULER_MEMORY_BYTES_UNSET.value,
        ),
    }
}

/// Workloads of the namespace of `workload` whose pods the selector matches.
fn selected_workloads(
    cluster: &Cluster,
    workload: &Workload,
    selector: &BTreeMap<String, String>,
) -> Vec<WorkloadId> {
    workloads_where(cluster, |other| {
        other.namespace == workload.namespace
            && labels::selects(selector, &other.template.placement.labels)
    })
}

fn workloads_where(cluster: &Cluster, matches: impl Fn(&Workload) -> bool) -> Vec<WorkloadId> {
    let workloads = cluster.workloads.iter().enumerate();
    workloads
        .filter(|(_, workload)| matches(workload))
        .map(|(index, _)| WorkloadId::from(index))
        .collect()
}

/// The constraints of pods without any: a controller's pods are spread among themselves, bare
/// pods among those that share all their services, and bare pods without a service not at all.
fn default_spread(
    cluster: &Cluster,
    id: WorkloadId,
    workload: &Workload,
    topology: &mut impl FnMut(&str) -> usize,
) -> Vec<Spread> {
    let workloads = match workload.kind {
        WorkloadKind::Pod => companions(cluster, id),
        _ => vec![id],
    };
    if workloads.is_empty() {
        return Vec::new();
    }
    [
        (HOSTNAME, facts::SCHEDULER_DEFAULT_SKEW_NODE.value),
        (ZONE, facts::SCHEDULER_DEFAULT_SKEW_ZONE.value),
    ]
    .map(|(key, skew_max)| Spread {
        crowd: Crowd {
            topology: topology(key),
            workloads: workloads.clone(),
        },
        counts_itself: true,
        skew_max,
    })
    .into()
}

/// Workloads that stand behind every service that `id` stands behind.
fn companions(cluster: &Cluster, id: WorkloadId) -> Vec<WorkloadId> {
    let mut services = cluster
        .services
        .iter()
        .filter(|service| service.backends.contains(&id))
        .map(|service| &service.backends);
    let Some(first) = services.next() else {
        return Vec::new();
    };
    services.fold(first.clone(), |common, backends| {
        let both = common.into_iter();
        both.filter(|workload| backends.contains(workload))
            .collect()
    })
}

/// For each anti-affinity term of any workload that is about `workload`: whose, and where.
fn avoiders(
    cluster: &Cluster,
    workload: &Workload,
    topology: &mut impl FnMut(&str) -> usize,
) -> Vec<Crowd> {
    let mut crowds = Vec::new();
    for (index, other) in cluster.workloads.iter().enumerate() {
        for term in &other.template.placement.anti_affinity {
            if other.namespace == workload.namespace
                && labels::selects(&term.selector, &workload.template.placement.labels)
            {
                crowds.push(Crowd {
                    topology: topology(&term.topology_key),
                    workloads: vec![WorkloadId::from(index)],
                });
            }
        }
    }
    crowds
}

/// Position of the topology of a label, added if it is new.
fn topology_of<'a>(
    topologies: &mut Vec<Domains>,
    key: &str,
    nodes: impl Iterator<Item = &'a LabelledNode>,
) -> usize {
    if let Some(position) = topologies.iter().position(|topology| topology.key == key) {
        return position;
    }
    let mut numbers = BTreeMap::new();
    let of_node = nodes
        .map(|node| {
            let value = node.labels.get(key)?;
            let next = numbers.len();
            Some(*numbers.entry(value).or_insert(next))
        })
        .collect();
    topologies.push(Domains {
        key: key.to_owned(),
        of_node,
        count: numbers.len(),
    });
    topologies.len() - 1
}
