//! Machines that Karpenter's NodePools let it order.
//!
//! The scenario's `nodePools` with a `max` are the machines that the cloud offers, so many to each
//! NodePool among the manifests that takes them; it says what their nodes look like. NodePools
//! come by weight, the first by name of equal ones, and the first that takes a machine has what
//! is there of it at the start. What fulfils none is never ordered, and stays if it is there.

use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::kubernetes::node::ZONE;
use crate::kubernetes::node_pool::NodePool;
use cloud::scenario::{Cluster, LabelOperator, MachinePool, Node, ProvisionerKind};
use std::collections::BTreeSet;

/// The label of a node that names its NodePool.
const NODE_POOL: &str = "karpenter.sh/nodepool";

/// Lets NodePools decide what is ordered.
pub(super) fn apply(cluster: &mut Cluster, objects: &Objects, diagnostics: &mut Diagnostics) {
    if objects.node_pools.is_empty() {
        return;
    }
    let karpenter = cluster
        .provisioner
        .take_if(|provisioner| provisioner.kind == ProvisionerKind::Karpenter);
    let Some(mut provisioner) = karpenter else {
        for pool in &objects.node_pools {
            let message = format!(
                "no Karpenter orders machines of NodePool `{}`",
                pool.metadata.name
            );
            diagnostics
                .report(Code::NodePoolUnused, pool.metadata.span, message)
                .help("give the cluster `provisioner: {kind: karpenter}`, and a `max` to the `nodePools` that stand for the machines of its cloud");
        }
        return;
    };
    let mut pools: Vec<&NodePool> = objects.node_pools.iter().collect();
    pools.sort_by_key(|pool| (std::cmp::Reverse(pool.weight), &pool.metadata.name));
    let mut parted = Parted::default();
    let mut next = 0;
    for offer in std::mem::take(&mut provisioner.pools) {
        let range = offer.nodes.start as usize..offer.nodes.end as usize;
        parted
            .nodes
            .extend_from_slice(&cluster.nodes[next..range.start]);
        next = range.end;
        parted.part(&offer, &cluster.nodes[range], &cluster.zones, &pools);
    }
    parted.nodes.extend_from_slice(&cluster.nodes[next..]);
    cluster.nodes = parted.nodes;
    provisioner.pools = parted.pools;
    provisioner.node_pools = pools.iter().map(|pool| pool.rules.clone()).collect();
    cluster.provisioner = Some(provisioner);
    let used: BTreeSet<&str> = parted.used.iter().map(String::as_str).collect();
    for pool in &pools {
        if !used.contains(pool.metadata.name.as_str()) {
            let message = format!("no machine fulfils NodePool `{}`", pool.metadata.name);
            diagnostics
                .report(Code::NodePoolUnused, pool.metadata.span, message)
                .help(
                    "compare its requirements with zones and labels of the scenario's `nodePools`",
                );
        }
    }
}

/// The machines of a cluster, parted among NodePools.
#[derive(Default)]
struct Parted {
    nodes: Vec<Node>,
    pools: Vec<MachinePool>,
    /// Names of the NodePools that have machines.
    used: Vec<String>,
}

impl Parted {
    /// Gives each NodePool the machines of an offer that it takes.
    fn part(
        &mut self,
        offer: &MachinePool,
        machines: &[Node],
        zones: &[String],
        all: &[&NodePool],
    ) {
        // A machine that is there at the start is the first NodePool's that takes it.
        let mut there: Vec<_> = (0..machines.len())
            .map(|machine| machine < offer.count as usize)
            .collect();
        let mut named = vec![false; machines.len()];
        for (position, pool) in all.iter().enumerate() {
            let mut taken: Vec<_> = (0..machines.len())
                .filter(|&machine| fulfils(&machines[machine], zones, pool))
                .collect();
            taken.sort_by_key(|&machine| !there[machine]);
            if taken.is_empty() {
                continue;
            }
            self.used.push(pool.metadata.name.clone());
            let first = self.nodes.len() as u32;
            self.pools.push(MachinePool {
                nodes: first..first + taken.len() as u32,
                count: taken.iter().filter(|&&machine| there[machine]).count() as u32,
                node_pool: position,
                ..offer.clone()
            });
            for machine in taken {
                there[machine] = false;
                let mut node = dressed(machines[machine].clone(), pool);
                if std::mem::replace(&mut named[machine], true) {
                    node.name = format!("{}-{}", node.name, pool.metadata.name);
                }
                self.nodes.push(node);
            }
        }
        let kept = machines.iter().zip(there).filter(|(_, there)| *there);
        self.nodes.extend(kept.map(|(node, _)| node.clone()));
    }
}

/// Whether a machine fulfils what a NodePool requires of labels that it has.
fn fulfils(node: &Node, zones: &[String], pool: &NodePool) -> bool {
    let mut labels = node.labels.clone();
    labels.insert(ZONE.to_owned(), zones[node.zone.index()].clone());
    pool.requirements
        .iter()
        .filter(|requirement| labels.contains_key(&requirement.key))
        .all(|requirement| requirement.holds(&labels))
}

/// A machine with the labels and taints that a NodePool gives its node.
fn dressed(mut node: Node, pool: &NodePool) -> Node {
    for requirement in &pool.requirements {
        if let (LabelOperator::In, [value]) = (requirement.operator, &requirement.values[..])
            && requirement.key != ZONE
        {
            node.labels.insert(requirement.key.clone(), value.clone());
        }
    }
    node.labels.extend(pool.labels.clone());
    node.labels
        .insert(NODE_POOL.to_owned(), pool.metadata.name.clone());
    node.taints.extend(pool.taints.iter().cloned());
    node
}
