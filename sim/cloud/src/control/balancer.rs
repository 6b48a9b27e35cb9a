//! Load balancers in front of nodes: which nodes they believe healthy.
//!
//! Models: each node is checked at an interval with its own phase; so many failures in a row
//! take it out, so many successes bring it back. Under external policy Local a node without an
//! endpoint of its own fails its check. A node that drops packets fails after the timeout. The
//! cloud's controller tells a balancer of a machine once its node is registered, which takes an API
//! server; without one a balancer keeps those that it has.
//! Leaves out: draining, weights, a balancer's own capacity, delays of its control plane.
//! Sources: kubernetes cloud providers; [`crate::facts`].
//! Validated by: the loss of a node, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::scenario::{Packets, ServiceId, TrafficPolicy};
use engine::{Duration, Time};

/// A load balancer's view.
#[derive(Clone, Debug)]
pub(crate) struct Balancer {
    pub(crate) service: ServiceId,
    nodes: Vec<Checked>,
    /// Nodes believed healthy, ascending.
    healthy: Vec<u32>,
}

/// What is known of one node.
#[derive(Clone, Copy, Debug)]
struct Checked {
    healthy: bool,
    /// Checks in a row that said otherwise.
    contrary: u32,
    /// When the node changed, as far as the checks can tell: for the meters.
    changed: Time,
}

impl Balancer {
    /// A balancer that has checked all nodes before the start.
    pub(crate) fn new(service: ServiceId, passing: impl Iterator<Item = bool>) -> Self {
        let nodes = passing.map(|healthy| Checked {
            healthy,
            contrary: 0,
            changed: Time::ZERO,
        });
        let mut balancer = Balancer {
            service,
            nodes: nodes.collect(),
            healthy: Vec::new(),
        };
        balancer.list_healthy();
        balancer
    }

    fn list_healthy(&mut self) {
        let nodes = (0..).zip(&self.nodes);
        self.healthy = nodes
            .filter(|(_, known)| known.healthy)
            .map(|(node, _)| node)
            .collect();
    }

    /// Nodes believed healthy, ascending.
    pub(crate) fn healthy(&self) -> &[u32] {
        &self.healthy
    }

    /// Takes note of a check; gives the first contrary one once it changes what is believed.
    fn note(&mut self, node: u32, passed: bool, now: Time) -> Option<Time> {
        let known = &mut self.nodes[node as usize];
        if passed == known.healthy {
            known.contrary = 0;
            return None;
        }
        if known.contrary == 0 {
            known.changed = now;
        }
        known.contrary += 1;
        let needed = if passed {
            facts::LOAD_BALANCER_CHECK_SUCCESSES.value
        } else {
            facts::LOAD_BALANCER_CHECK_FAILURES.value
        };
        if known.contrary < needed {
            return None;
        }
        known.healthy = passed;
        known.contrary = 0;
        let changed = known.changed;
        self.list_healthy();
        Some(changed)
    }
}

impl Domain<'_> {
    /// Sets the checks of all balancers going, each at its own phase.
    pub(crate) fn start_balancers(&mut self, context: &mut Clock<'_, Self>) {
        for balancer in 0..self.balancers.len() as u32 {
            for node in 0..self.nodes.len() as u32 {
                let service = self.balancers[balancer as usize].service;
                let stream = &self.services[service.index()].stream;
                let phase = stream.draw(u64::MAX, u64::from(node)).uniform();
                let first = facts::LOAD_BALANCER_CHECK_INTERVAL.value.mul_f64(phase);
                context.after(first, Event::NodeChecked { balancer, node });
            }
        }
    }

    /// A balancer checks a node.
    pub(crate) fn check_node(&mut self, balancer: u32, node: u32, context: &mut Clock<'_, Self>) {
        let again = Event::NodeChecked { balancer, node };
        context.after(facts::LOAD_BALANCER_CHECK_INTERVAL.value, again);
        let service = self.balancers[balancer as usize].service;
        let known = self.nodes[node as usize].machine.is_registered();
        let down = match known {
            true => self.levers.node(node),
            false => Some(Packets::Dropped),
        };
        let passed = down.is_none() && self.has_local_duty(service, node);
        let wait = match down {
            Some(Packets::Dropped) => facts::LOAD_BALANCER_CHECK_TIMEOUT.value,
            _ => Duration::ZERO,
        };
        let result = Event::NodeCheckEnds {
            balancer,
            node,
            passed,
        };
        context.after(wait, result);
    }

    /// Whether a node may take connections from outside for a service.
    pub(crate) fn has_local_duty(&self, service: ServiceId, node: u32) -> bool {
        let cluster = self.cluster.expect("balancers belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let view = &self.nodes[node as usize].view;
        described.external_policy == TrafficPolicy::Cluster
            || view
                .endpoints(&self.endpoint_log, service)
                .iter()
                .any(|&pod| self.pods[pod as usize].node == Some(node))
    }

    /// The result of a check is known.
    pub(crate) fn node_check_ends(
        &mut self,
        balancer: u32,
        node: u32,
        passed: bool,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        if let Some(changed) = self.balancers[balancer as usize].note(node, passed, now) {
            let kind = ViewKind::LoadBalancer;
            let applied = Observation::ViewApplied { kind, changed };
            self.meters.observe(now, applied);
        }
    }
}
