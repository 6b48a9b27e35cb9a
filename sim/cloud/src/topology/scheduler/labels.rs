//! Labels, selectors, affinity terms, taints and tolerations: what matches what.

use crate::scenario::{Cluster, LabelRequirement, Node, Resources, Taint, TaintEffect, Toleration};
use std::collections::BTreeMap;

/// Label with the name of the node itself.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
/// Label with the zone of the node.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
/// Label with the region of the node.
const REGION: &str = "topology.kubernetes.io/region";
/// Label with the operating system of the node: Linux unless it says otherwise.
const SYSTEM: (&str, &str) = ("kubernetes.io/os", "linux");
/// Label with the processor architecture of the node: that of most machines unless it says
/// otherwise.
const ARCHITECTURE: (&str, &str) = ("kubernetes.io/arch", "amd64");

/// What rules may ask of a node. Kubelets and cloud providers label every node with its
/// name, zone, region and kind of machine, so these labels exist even if nobody wrote them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LabelledNode {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) taints: Vec<Taint>,
    pub(super) unschedulable: bool,
    pub(super) allocatable: Resources,
    pub(super) pods_max: u32,
}

impl LabelledNode {
    pub(super) fn new(cluster: &Cluster, node: &Node) -> Self {
        let mut labels = node.labels.clone();
        for (key, value) in [
            (HOSTNAME, node.name.as_str()),
            (ZONE, &cluster.zones[node.zone.index()]),
            (REGION, cluster.region_label()),
            SYSTEM,
            ARCHITECTURE,
        ] {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        LabelledNode {
            name: node.name.clone(),
            labels,
            taints: node.taints.clone(),
            unschedulable: node.unschedulable,
            allocatable: node.allocatable,
            pods_max: node.pods_max,
        }
    }
}

/// Whether `labels` hold every pair of `selector`.
pub(super) fn selects(
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether one of the terms holds; a term without requirements never does.
pub(super) fn one_term_holds(
    terms: &[Vec<LabelRequirement>],
    labels: &BTreeMap<String, String>,
) -> bool {
    terms
        .iter()
        .any(|term| !term.is_empty() && term.iter().all(|requirement| requirement.holds(labels)))
}

/// Whether one of the tolerations covers the taint.
pub(super) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations
        .iter()
        .any(|toleration| toleration.covers(taint))
}

/// What a cordoned node amounts to for pods that tolerate it.
pub(super) fn cordon() -> Taint {
    Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    }
}

/// What the DaemonSet controller lets its pods tolerate.
pub(super) fn daemon_tolerations() -> impl Iterator<Item = Toleration> {
    let executing = ["not-ready", "unreachable"].map(|name| (name, TaintEffect::NoExecute));
    let scheduling = [
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
    ]
    .map(|name| (name, TaintEffect::NoSchedule));
    executing
        .into_iter()
        .chain(scheduling)
        .map(|(name, effect)| Toleration {
            key: Some(format!("node.kubernetes.io/{name}")),
            value: None,
            effect: Some(effect),
            lasts: None,
        })
}
