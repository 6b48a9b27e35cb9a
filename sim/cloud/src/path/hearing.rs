//! At which ports machines listen.
//!
//! Models: a machine that says where it listens refuses connections to other ports. Sidecars ask
//! it at the port of its entry, or else of its ServiceEntry; who knows it by its name alone asks
//! at the port that it was told.
//!
//! Approximated: a proxy on the machine takes connections to any port.
//! Source: istio/istio 86c9f01f pilot/pkg/serviceregistry/serviceentry/conversion.go.
//! Validated by: who is answered at which port, in `tests/promises/machines.rs`.

use super::{CallRef, Endpoint, Owner};
use crate::domain::Domain;
use crate::scenario::ServiceKind;

impl Domain<'_> {
    /// Whether somebody listens at the port that a connection comes to.
    pub(super) fn hears(&self, from: CallRef, endpoint: Endpoint) -> bool {
        let pod = &self.pods[endpoint.pod as usize];
        if pod.site.is_none() {
            return true;
        }
        let cluster = self.cluster.expect("machines belong to clusters");
        let cluster = self.topology.cluster(cluster);
        let Some(machines) = cluster.machines_of(pod.workload) else {
            return true;
        };
        let service = &cluster.services[endpoint.service.index()];
        let port = service.ports.get(endpoint.port as usize);
        let Some(port) = port.filter(|_| !machines.listens.is_empty()) else {
            return true;
        };
        let is_here = from.partition == self.id;
        let call = self.calls.get(from.call).filter(|_| is_here);
        let is_told = call.is_some_and(|call| matches!(call.owner, Owner::Line(_)));
        let asked = match (is_told, &service.kind) {
            (true, _) => self.port_of_entry(endpoint.pod, endpoint.service, port),
            (false, ServiceKind::Host { .. }) => port.port,
            (false, _) => port.target_port,
        };
        machines.listens.contains(&asked)
    }
}
