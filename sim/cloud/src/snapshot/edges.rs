//! Listeners and routes of a gateway for what comes from outside.
//!
//! Leaves out: its listeners for checks of itself and for its statistics.

use super::outbound::ANY;
use super::proxies::{ChainSnapshot, Known, ListenerSnapshot, RouteSnapshot, To};
use crate::istio::translate::tables::Edge;

impl Known<'_> {
    /// Listeners by port.
    pub(super) fn edge_listeners(&self) -> Vec<ListenerSnapshot> {
        let mut listeners: Vec<ListenerSnapshot> = Vec::new();
        for edge in &self.scope.edges {
            let chains = self.edge_chains(edge);
            match listeners.last_mut().filter(|last| last.port == edge.port) {
                Some(last) => last.chains.extend(chains),
                None => listeners.push(ListenerSnapshot {
                    address: Some(ANY),
                    port: edge.port,
                    chains,
                }),
            }
        }
        listeners
    }

    fn edge_chains(&self, edge: &Edge) -> Vec<ChainSnapshot> {
        if !edge.chains.is_empty() {
            return edge.chains.iter().map(|chain| self.chain(chain)).collect();
        }
        let is_told_apart = !edge.is_plain() && !edge.hosts.iter().any(|host| host == "*");
        vec![ChainSnapshot {
            server_names: match is_told_apart {
                true => edge.hosts.clone(),
                false => Vec::new(),
            },
            ..ChainSnapshot::all(To::Routes(edge.name.clone()))
        }]
    }

    /// Routes by server.
    pub(super) fn edge_routes(&self) -> Vec<RouteSnapshot> {
        let edges = self.scope.edges.iter();
        let hosts = edges.flat_map(|edge| edge.table.others.iter().map(move |host| (edge, host)));
        let routes = hosts.flat_map(|(edge, (name, host))| {
            let known = &self.tables.hosts[*host as usize];
            let full = format!("{name}:{}", edge.port);
            self.routes_of(known, &edge.name, &full, std::slice::from_ref(name))
        });
        routes.collect()
    }
}
