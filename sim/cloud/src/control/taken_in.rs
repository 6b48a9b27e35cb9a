//! What proxies take in for pods: tables that istiod makes of policies and services, each made
//! once for all proxies that are told the same.
//!
//! Models: a table counts for a generation of Istio's objects and an edition of which services
//! pods stand behind, which a proxy knows with the endpoints that follow from it. Whoever
//! remembers a table, or what came of one, remembers its number beside it: what has another
//! number does not count.
//!
//! Approximated: where the backends of a service change and its endpoints do not, proxies know of
//! it with the next endpoints that they are told of.
//! Validated by: who gets in after a service has changed, in the crate's tests.

use crate::domain::Domain;
use crate::istio::translate::inbound::{InboundTable, Named};
use crate::scenario::{ServiceId, WorkloadId};
use crate::view::View;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What takes connections in for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Taker {
    /// The sidecar, or the proxy that is alone in its pod.
    Sidecar,
    /// The ztunnel of its node.
    Ztunnel,
    /// The waypoint that the pod is, for a service.
    Waypoint(ServiceId),
}

/// The number of a table: who is told it for which pods, and of what it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableNumber {
    taker: Taker,
    pub(crate) workload: WorkloadId,
    revision: u32,
    generation: u32,
    edition: u32,
}

impl TableNumber {
    /// Whether it is of what a sidecar, or a proxy that is alone in its pod, takes in.
    pub(crate) fn is_of_sidecar(self) -> bool {
        self.taker == Taker::Sidecar
    }
}

/// Which services pods stand behind, from one change of that to the next.
#[derive(Clone, Debug)]
struct Edition {
    /// What is known of endpoints by those who know of it.
    known_with: View,
    /// The services in front of each workload.
    behind: Arc<[Vec<ServiceId>]>,
}

/// All editions, and tables by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct TakenIn {
    editions: Vec<Edition>,
    tables: BTreeMap<TableNumber, Arc<InboundTable>>,
}

impl TakenIn {
    /// The edition that is known with a view of endpoints.
    fn edition(&self, view: View) -> u32 {
        let known = |edition: &Edition| edition.known_with.position() <= view.position();
        let newest = self.editions.iter().rposition(known);
        newest.expect("everybody knows the first edition") as u32
    }
}

impl Domain<'_> {
    /// Workloads stand behind other services from now on, or do so at first.
    pub(super) fn backends_moved(&mut self) {
        let workloads = self.workloads.iter();
        let behind = workloads
            .map(|workload| workload.services.clone())
            .collect();
        // The endpoints that follow are the next to be published.
        let next = match self.taken_in.editions.is_empty() {
            true => 0,
            false => self.endpoint_log.len() + 1,
        };
        self.taken_in.editions.push(Edition {
            known_with: View::at(next),
            behind,
        });
    }

    /// Pods have become endpoints of other services for istiod alone, as was just published.
    pub(super) fn entries_moved(&mut self) {
        let newest = self.taken_in.editions.last().expect("there is a first one");
        let edition = Edition {
            known_with: View::at(self.endpoint_log.len()),
            ..newest.clone()
        };
        self.taken_in.editions.push(edition);
    }

    /// The number of what is taken in for a pod by who was told of a generation, and of these
    /// endpoints.
    pub(crate) fn table_number(
        &self,
        taker: Taker,
        pod: u32,
        (generation, view): (u32, View),
    ) -> TableNumber {
        let state = &self.pods[pod as usize];
        TableNumber {
            taker,
            workload: state.workload,
            revision: state.revision,
            generation,
            edition: self.taken_in.edition(view),
        }
    }

    /// The table of a number, which is one of this pod.
    pub(crate) fn table(&mut self, number: TableNumber, pod: u32) -> Arc<InboundTable> {
        if let Some(known) = self.taken_in.tables.get(&number) {
            return known.clone();
        }
        let named = self.ports_in(number.edition, pod);
        let proxy = self.standing(pod).proxy();
        let translation = self.translation.as_ref().expect("a mesh translates");
        let generation = number.generation;
        let table = match number.taker {
            Taker::Sidecar => translation.inbound(generation, &proxy, &named),
            Taker::Ztunnel => translation.for_ztunnels(generation, &proxy, &named),
            Taker::Waypoint(service) => translation.at_waypoint(generation, &proxy, service),
        };
        let table = Arc::new(table);
        self.taken_in.tables.insert(number, table.clone());
        table
    }

    /// Ports of a pod that services name, as far as is known with a view of endpoints.
    pub(crate) fn named_ports(&self, pod: u32, view: View) -> Vec<Named> {
        self.ports_in(self.taken_in.edition(view), pod)
    }

    fn ports_in(&self, edition: u32, pod: u32) -> Vec<Named> {
        let cluster = self.cluster.expect("pods stand in clusters");
        let services = (0..).zip(&self.topology.cluster(cluster).services);
        let workload = self.pods[pod as usize].workload;
        let edition = &self.taken_in.editions[edition as usize];
        let mut behind = edition.behind[workload.index()].clone();
        if self.has_registry() {
            behind.extend(self.services_of_entries(pod, edition.known_with));
        }
        let services = services.filter(|(number, _)| behind.contains(&ServiceId(*number)));
        let named = services.flat_map(|(service, described)| {
            let ports = (0..).zip(&described.ports);
            ports.map(move |(port, described)| Named {
                service,
                port,
                target: described.target_port,
            })
        });
        named.collect()
    }
}
