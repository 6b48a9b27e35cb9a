//! The service controller of a cloud: which nodes load balancers are told of.
//!
//! Models: all balancers are told of the nodes that exist, are not being deleted, are not excluded
//! by their label and do not have the cluster autoscaler's taint. The controller looks when a
//! node registers, when its object goes and when its exclusion changes, as soon as it hears of it;
//! one that begins to lead looks at all. Whether nodes are Ready does not count, nor does a
//! cordon. The taint alone is no reason to look, so that a node that the cluster autoscaler
//! empties stays until there is another; Karpenter labels a node when it begins to empty it. Every
//! 100 s the controller is shown its nodes again, which changes nothing: it looks at what differs.
//! Without an API server that it hears from balancers keep the nodes that they have.
//!
//! Approximated: it stands, leads and hears with the controller manager; the cloud does what it is
//! told in no time and does not fail; a node has its provider's id when it registers. A machine
//! that the cluster autoscaler took away has a node until the controller manager finds it lost and
//! the cloud's own lifecycle controller asks for it, at the same period.
//! Leaves out: retries after 5 to 300 s when the cloud fails, balancers of a class, labels that
//! change.
//! Sources: kubernetes/cloud-provider v0.28.0 to v0.36.1 controllers/service/controller.go
//! (stableNodeSetPredicates, shouldSyncUpdatedNode), controllers/nodelifecycle; KEP-3458;
//! kubernetes-sigs/karpenter pkg/controllers/node/termination/terminator/terminator.go.
//! Validated by: nodes that come, go, are excluded and fall silent, in the crate's tests.

use super::api::Client;
use super::machines::Machine;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::meter::Observation;
use crate::record::ViewKind;
use engine::Time;
use std::collections::BTreeMap;

/// What the controller has yet to look at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceController {
    /// Since when the set of nodes has changed.
    changed: Option<Time>,
}

impl ServiceController {
    /// A new leader is shown all nodes as new ones.
    pub(super) fn starts(&mut self, now: Time) {
        self.changed.get_or_insert(now);
    }
}

/// Whether a node's labels keep it from load balancers.
fn is_excluded(labels: &BTreeMap<String, String>, minor: u32) -> bool {
    // As Go reads a boolean; what is none excludes too.
    const FALSE: [&str; 6] = ["0", "f", "F", "false", "FALSE", "False"];
    let value = labels.get(facts::LOAD_BALANCER_EXCLUSION.value);
    let heeded = minor >= facts::LOAD_BALANCER_EXCLUSION_VALUE_MINOR.value;
    value.is_some_and(|value| !heeded || !FALSE.contains(&value.as_str()))
}

impl Domain<'_> {
    /// Whether load balancers should have a node.
    pub(crate) fn is_balanced(&self, node: u32) -> bool {
        let cluster = self.cluster.expect("nodes belong to clusters");
        let labels = &self.topology.cluster(cluster).nodes[node as usize].labels;
        let machine = self.nodes[node as usize].machine;
        let goes = match machine {
            Machine::Leaving { drains } => drains.is_some() || !self.is_karpenter(),
            _ => false,
        };
        machine.is_registered() && !goes && !is_excluded(labels, self.minor())
    }

    /// The set of nodes has changed in a way that the controller looks at.
    pub(crate) fn balanced_nodes_changed(&mut self, context: &mut Clock<'_, Self>) {
        if self.balancers.is_empty() {
            return;
        }
        self.service_controller.starts(context.now());
        self.await_telling(context);
    }

    /// The controller looks once it has heard of what it has yet to look at.
    pub(super) fn await_telling(&mut self, context: &mut Clock<'_, Self>) {
        let heard = self.watch(Client::ControllerManager);
        if let (Some(_), Some(delay)) = (self.service_controller.changed, heard) {
            context.after(delay, Event::BalancersTold);
        }
    }

    /// The controller tells all balancers which nodes there are.
    pub(crate) fn tell_balancers(&mut self, context: &mut Clock<'_, Self>) {
        if self.watch(Client::ControllerManager).is_none() {
            return; // It looks when it hears again.
        }
        let Some(changed) = self.service_controller.changed.take() else {
            return;
        };
        for node in 0..self.nodes.len() as u32 {
            let told = self.is_balanced(node);
            for balancer in 0..self.balancers.len() {
                let state = &mut self.balancers[balancer];
                if state.knows(node) == told {
                    continue;
                }
                if state.tell(node, told) {
                    let kind = ViewKind::LoadBalancer;
                    let applied = Observation::ViewApplied { kind, changed };
                    self.meters.observe(context.now(), applied);
                }
                self.await_check(balancer as u32, node, context);
            }
        }
    }

    /// A node's machine is gone: so is its object, at once or when that is found out.
    pub(super) fn await_end_of_node(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if self.is_karpenter() {
            return self.balanced_nodes_changed(context);
        }
        let found = self.finds_missing(node, context.now());
        if !self.balancers.is_empty() {
            context.schedule(found, Event::NodeSetChanges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_the_label_counts_since_1_34() {
        for (value, before, since) in [
            (None, false, false),
            (Some("true"), true, true),
            (Some(""), true, true),
            (Some("karpenter"), true, true),
            (Some("false"), true, false),
            (Some("False"), true, false),
            (Some("0"), true, false),
            (Some("no"), true, true),
        ] {
            let label = value.map(|value| {
                let key = "node.kubernetes.io/exclude-from-external-load-balancers";
                (key.to_owned(), value.to_owned())
            });
            let labels = label.into_iter().collect();
            let found = [28, 33, 34, 36].map(|minor| is_excluded(&labels, minor));
            assert_eq!(found, [before, before, since, since], "{value:?}");
        }
    }
}
