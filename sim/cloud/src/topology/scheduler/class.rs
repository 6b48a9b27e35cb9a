//! What is the same for all pods of a workload, worked out once: which nodes its rules
//! allow, and which workloads' pods its spread and its anti-affinity count.

use super::labels::{self, HOSTNAME, LabelledNode, ZONE};
use super::world::World;
use crate::facts;
use crate::scenario::{
    Cluster, Placement, Resources, TaintEffect, Toleration, Workload, WorkloadId, WorkloadKind,
};
use std::sync::Arc;

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
    pub(super) selected: Arc<Vec<bool>>,
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
    /// One with everything but [`Class::avoided_by`], which others say.
    pub(super) fn new(id: WorkloadId, world: &mut World<'_>) -> Self {
        let cluster = world.cluster;
        let workload = &cluster.workloads[id.index()];
        let placement = &workload.template.placement;
        let mut spreads = |required| -> Vec<Spread> {
            let constraints = placement.spread.iter();
            constraints
                .filter(|constraint| constraint.required == required)
                .map(|constraint| Spread {
                    crowd: Crowd {
                        topology: world.topology(&constraint.topology_key),
                        workloads: world.matching(&workload.namespace, &constraint.selector),
                    },
                    counts_itself: labels::selects(&constraint.selector, &placement.labels),
                    skew_max: constraint.skew_max,
                })
                .collect()
        };
        let spread_required = spreads(true);
        let mut spread_preferred = spreads(false);
        let spread_needs_labels = !placement.spread.is_empty();
        if placement.spread.is_empty() {
            spread_preferred = default_spread(id, world);
        }
        let terms = placement.anti_affinity.iter();
        let avoids = terms.map(|term| Crowd {
            topology: world.topology(&term.topology_key),
            workloads: world.matching(&workload.namespace, &term.selector),
        });
        Class {
            kind: workload.kind,
            placement: placement.clone(),
            tolerations: tolerations(workload),
            counted: counted(placement.requests),
            spread_required,
            spread_preferred,
            spread_needs_labels,
            avoids: avoids.collect(),
            avoided_by: Vec::new(),
            selected: world.selected(placement),
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

/// The constraints of pods without any: a controller's pods are spread among themselves, bare
/// pods among those that share all their services, and bare pods without a service not at all.
fn default_spread(id: WorkloadId, world: &mut World<'_>) -> Vec<Spread> {
    let workloads = match world.cluster.workloads[id.index()].kind {
        WorkloadKind::Pod => world.companions(id),
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
            topology: world.topology(key),
            workloads: workloads.clone(),
        },
        counts_itself: true,
        skew_max,
    })
    .into()
}

/// Classes of all workloads of a cluster, and the topologies that they speak of.
pub(super) fn all(cluster: &Cluster, nodes: &[Arc<LabelledNode>]) -> (Vec<Class>, Vec<Domains>) {
    let mut world = World::new(cluster, nodes);
    let ids = (0..cluster.workloads.len()).map(WorkloadId::from);
    let mut classes: Vec<Class> = ids.map(|id| Class::new(id, &mut world)).collect();
    for avoider in 0..classes.len() {
        for Crowd {
            topology,
            workloads,
        } in classes[avoider].avoids.clone()
        {
            for avoided in workloads {
                classes[avoided.index()].avoided_by.push(Crowd {
                    topology,
                    workloads: vec![WorkloadId::from(avoider)],
                });
            }
        }
    }
    (classes, world.topologies)
}
