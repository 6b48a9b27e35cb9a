//! Whom a ztunnel lets in to the pods of its node.
//!
//! Models: ports that demand mutual TLS take connections of tunnels and of sidecars only;
//! AuthorizationPolicies know the client by its certificate and address, and the port; rules about HTTP count
//! as ztunnel is told of them ([`crate::istio::ambient`]). A connection that is denied is
//! closed, and so is one that stands when a ztunnel is told of a policy that denies it, and one to a
//! pod that it was not told of.
//!
//! Sources: istio/ztunnel src/state.rs, src/rbac.rs, src/proxy/connection_manager.rs.
//! Validated by: who gets in and who does not, in the crate's tests.

use super::Endpoint;
use crate::control::taken_in::Taker;
use crate::domain::Domain;
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::{self, Addresses, Answer};
use crate::istio::translate::inbound::InboundTable;
use crate::scenario::WorkloadId;
use std::net::IpAddr;
use std::sync::Arc;

impl Domain<'_> {
    /// What the ztunnel of a node was told of a pod there.
    fn table_at(&mut self, node: u32, pod: u32) -> Arc<InboundTable> {
        let knows = self.ztunnel(node).knows();
        let number = self.table_number(Taker::Ztunnel, pod, knows);
        self.table(number, pod)
    }

    /// Which connections are taken at a port of a pod.
    pub(super) fn mode_at(&mut self, node: u32, endpoint: Endpoint) -> ServerMode {
        let port = self.target_port(endpoint);
        self.table_at(node, endpoint.pod).mode(port)
    }

    /// Whether the ztunnel of a node lets a connection in, of a workload if it shows who it is.
    pub(super) fn lets_in_at(
        &mut self,
        node: u32,
        endpoint: Endpoint,
        client: Option<WorkloadId>,
        source: impl FnOnce(&Self) -> IpAddr,
    ) -> bool {
        if self.ztunnel(node).unheard.contains(&endpoint.pod) {
            return false;
        }
        let table = self.table_at(node, endpoint.pod);
        let port = self.target_port(endpoint);
        if client.is_none() && table.mode(port) == ServerMode::Strict {
            return false;
        }
        if table.guard.is_empty() {
            return true;
        }
        let principal = client.map(|client| self.principal(client));
        let source = match table.guard.asks_for_addresses() {
            true => source(self),
            false => Addresses::UNASKED.source,
        };
        let asked = authorization::Asked {
            principal: principal.as_deref(),
            source,
            remote: source,
            destination: IpAddr::V4(self.address_of(endpoint.pod)),
            port,
            server_name: None,
            http: None,
        };
        let verdict = table.guard.decide(&asked, |_| Answer::Allow);
        verdict.lets_through()
    }
}
