//! Load balancers in front of nodes: which nodes they believe healthy.
//!
//! Models: each node that the balancer was told of is checked at an interval with its own phase; so
//! many failures in a row take it out, so many successes bring it back. Under external policy
//! Local a node without an endpoint of its own fails its check. A node that drops packets fails
//! after the timeout. A check whose result changes nothing costs no event: checks are in the
//! calendar only while what they would find differs from what is believed, or a row of contrary
//! ones is open, and their instants follow from the phase.
//! Leaves out: draining, weights, a balancer's own capacity, delays of its control plane.
//! Sources: kubernetes cloud providers; [`crate::facts`].
//! Validated by: the loss of a node, the instants of its detection and the number of events, in
//! the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::eviction::Grid;
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::scenario::{Packets, ServiceId, TrafficPolicy};
use engine::Time;

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
    /// The balancer was told of it.
    told: bool,
    healthy: bool,
    /// Checks in a row that said otherwise.
    contrary: u32,
    /// Its next check is in the calendar.
    awaited: bool,
    /// When the node changed, as far as the checks can tell: for the meters.
    changed: Time,
}

impl Balancer {
    /// A balancer that has checked all nodes that it was told of before the start: by node,
    /// whether it was, and whether it passes.
    pub(crate) fn new(service: ServiceId, nodes: impl Iterator<Item = (bool, bool)>) -> Self {
        let nodes = nodes.map(|(told, passes)| Checked {
            told,
            healthy: told && passes,
            contrary: 0,
            awaited: false,
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

    /// Nodes that it sends connections to, ascending: those believed healthy, or all that it was
    /// told of if none is.
    pub(crate) fn targets(&self) -> impl Iterator<Item = u32> + Clone {
        let none = self.healthy.is_empty();
        let told = (0..).zip(&self.nodes).filter(move |_| none);
        let told = told.filter(|(_, known)| known.told).map(|(node, _)| node);
        self.healthy.iter().copied().chain(told)
    }

    /// Nodes believed healthy, ascending.
    #[cfg(test)]
    pub(crate) fn healthy(&self) -> &[u32] {
        &self.healthy
    }

    /// Whether it was told of a node.
    pub(crate) fn knows(&self, node: u32) -> bool {
        self.nodes[node as usize].told
    }

    /// Is told of a node, or that it is gone. Says whether it believed it healthy.
    pub(super) fn tell(&mut self, node: u32, told: bool) -> bool {
        let known = &mut self.nodes[node as usize];
        known.told = told;
        known.contrary = 0;
        let was_healthy = std::mem::take(&mut known.healthy);
        if was_healthy {
            self.list_healthy();
        }
        was_healthy
    }

    /// Whether checks that found this could change anything.
    fn is_open(&self, node: u32, passes: bool) -> bool {
        let known = &self.nodes[node as usize];
        known.told && (passes != known.healthy || known.contrary > 0)
    }

    /// Takes note of a check; gives the first contrary one once it changes what is believed.
    fn note(&mut self, node: u32, passed: bool, now: Time) -> Option<Time> {
        let known = &mut self.nodes[node as usize];
        if passed == known.healthy || !known.told {
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
    /// The balancer of a service, if it has one.
    pub(crate) fn balancer_of(&self, service: ServiceId) -> Option<usize> {
        let found = self
            .balancers
            .binary_search_by_key(&service, |one| one.service);
        found.ok()
    }

    /// The checks of a node by a balancer.
    pub(crate) fn checks(&self, balancer: u32, node: u32) -> Grid {
        let service = self.balancers[balancer as usize].service;
        let stream = &self.services[service.index()].stream;
        let phase = stream.draw(u64::MAX, u64::from(node)).uniform();
        let period = facts::LOAD_BALANCER_CHECK_INTERVAL.value;
        Grid {
            first: Time::ZERO + period.mul_f64(phase),
            period,
        }
    }

    /// Something about a node has changed that checks of all balancers could find.
    pub(super) fn checks_may_change(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for balancer in 0..self.balancers.len() as u32 {
            self.await_check(balancer, node, context);
        }
    }

    /// The rules of a node hold what was published since a position: under policy Local that
    /// decides about its checks.
    pub(super) fn rules_written(
        &mut self,
        node: u32,
        position: usize,
        context: &mut Clock<'_, Self>,
    ) {
        if self.balancers.is_empty() {
            return;
        }
        for position in position..self.nodes[node as usize].view.position() {
            let publication = self.endpoint_log.publication(position);
            let service = publication.map(|publication| publication.service);
            if let Some(balancer) = service.and_then(|service| self.balancer_of(service)) {
                self.await_check(balancer as u32, node, context);
            }
        }
    }

    /// Enters the next check of a node into the calendar, if it could change anything.
    pub(super) fn await_check(&mut self, balancer: u32, node: u32, context: &mut Clock<'_, Self>) {
        let state = &self.balancers[balancer as usize];
        let open = !state.nodes[node as usize].awaited
            && state.is_open(node, self.check_passes(balancer, node));
        if open {
            let next = self.checks(balancer, node).after(context.now());
            self.balancers[balancer as usize].nodes[node as usize].awaited = true;
            context.schedule(next, Event::NodeChecked { balancer, node });
        }
    }

    /// What is in the way of a check: how packets to the node are lost.
    fn lost_checks(&self, node: u32) -> Option<Packets> {
        match self.nodes[node as usize].machine.is_registered() {
            true => self.levers.node(node),
            false => Some(Packets::Dropped),
        }
    }

    /// Whether a node would pass a check now.
    fn check_passes(&self, balancer: u32, node: u32) -> bool {
        let service = self.balancers[balancer as usize].service;
        self.lost_checks(node).is_none() && self.has_local_duty(service, node)
    }

    /// A balancer checks a node.
    pub(crate) fn check_node(&mut self, balancer: u32, node: u32, context: &mut Clock<'_, Self>) {
        self.balancers[balancer as usize].nodes[node as usize].awaited = false;
        let passed = self.check_passes(balancer, node);
        if !self.balancers[balancer as usize].is_open(node, passed) {
            return;
        }
        if self.lost_checks(node) == Some(Packets::Dropped) {
            let wait = facts::LOAD_BALANCER_CHECK_TIMEOUT.value;
            context.after(wait, Event::NodeCheckFails { balancer, node });
        } else {
            self.node_check_ends(balancer, node, passed, context.now());
        }
        self.await_check(balancer, node, context);
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
    pub(crate) fn node_check_ends(&mut self, balancer: u32, node: u32, passed: bool, now: Time) {
        if let Some(changed) = self.balancers[balancer as usize].note(node, passed, now) {
            let kind = ViewKind::LoadBalancer;
            let applied = Observation::ViewApplied { kind, changed };
            self.meters.observe(now, applied);
        }
    }
}
