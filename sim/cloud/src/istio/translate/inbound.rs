//! What a sidecar takes in for its application: by port, with the mutual TLS that the port asks
//! for and the policies that guard the workload.
//!
//! Ports are those of the services that the workload is an endpoint of, or those that its Sidecar
//! lists, if it lists any. Connections to other ports pass through, guarded as well.

use super::registry::{Proxy, World};
use super::route::{RetryPolicy, inbound_retries};
use super::scope;
use crate::istio::authentication::{Policies, ServerMode, selects};
use crate::istio::authorization::Guard;
use crate::istio::config::ConnectionPool;
use crate::istio::protocol::Protocol;

/// A port of the workload that a service names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The service.
    pub service: u32,
    /// Which of its ports.
    pub port: u32,
    /// The workload's port.
    pub target: u16,
}

/// A port that a sidecar takes connections at.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// The workload's port.
    pub port: u16,
    /// Where the application listens, if the Sidecar says another place.
    pub application: Option<String>,
    /// What it carries.
    pub protocol: Protocol,
    /// The service, if one names it.
    pub service: Option<u32>,
    /// Which connections are taken.
    pub mode: ServerMode,
    /// Connections to the application.
    pub pool: Option<ConnectionPool>,
    /// Further attempts at the application; only requests have any.
    pub retries: Option<RetryPolicy>,
}

/// All that a sidecar takes in.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundTable {
    /// Ports, ascending.
    pub ports: Vec<Inbound>,
    /// Modes of ports that nobody names but a policy.
    exceptions: Vec<(u16, ServerMode)>,
    /// Which connections are taken at all other ports.
    others: ServerMode,
    /// Who may do what.
    pub guard: Guard,
}

impl InboundTable {
    /// The port, if it is one that is named.
    pub fn find(&self, port: u16) -> Option<&Inbound> {
        let found = self.ports.binary_search_by_key(&port, |it| it.port);
        found.ok().map(|index| &self.ports[index])
    }

    /// Ports that nobody names but a policy, and which connections are taken there.
    pub fn exceptions(&self) -> impl Iterator<Item = (u16, ServerMode)> {
        let named = |port: u16| self.find(port).is_some();
        let exceptions = self.exceptions.iter().copied();
        exceptions.filter(move |(port, _)| !named(*port))
    }

    /// Which connections are taken at ports that nobody names at all.
    pub fn others(&self) -> ServerMode {
        self.others
    }

    /// Which connections are taken at a port.
    pub fn mode(&self, port: u16) -> ServerMode {
        if let Some(inbound) = self.find(port) {
            return inbound.mode;
        }
        let mut exceptions = self.exceptions.iter();
        let exception = exceptions.find(|(number, _)| *number == port);
        exception.map_or(self.others, |(_, mode)| *mode)
    }
}

/// What a sidecar takes in. `named` are the ports of its workload that services name.
pub fn inbound(world: &World<'_>, proxy: &Proxy, named: &[Named]) -> InboundTable {
    let policies = Policies {
        all: &world.objects.peer_authentications,
        root_namespace: &world.mesh.root_namespace,
    };
    let mode = |port| policies.of_port(&proxy.namespace, &proxy.labels, port);
    let sidecar = scope::sidecar(world, &proxy.namespace, &proxy.labels).map(|(_, it)| it);
    let pool = sidecar.and_then(|it| it.inbound_pool.clone());
    let retries = |protocol: Protocol| {
        let may = protocol.is_http() && !protocol.is_http2();
        may.then(|| inbound_retries(world.version)).flatten()
    };
    let mut ports: Vec<Inbound> = match sidecar {
        Some(sidecar) if !sidecar.ingress.is_empty() => {
            let listed = sidecar.ingress.iter();
            let listed = listed.map(|it| Inbound {
                port: it.port,
                application: it.default_endpoint.clone(),
                protocol: it.protocol,
                service: None,
                mode: mode(it.port),
                pool: it.pool.clone().or_else(|| pool.clone()),
                retries: retries(it.protocol),
            });
            listed.collect()
        }
        _ => {
            let mut named = named.to_vec();
            named.sort_by_key(|it| (it.target, world.services[it.service as usize].created));
            // A service that does not exist yet has no ports.
            let of = |it: &Named| {
                let service = &world.services[it.service as usize];
                let protocol = service.ports.get(it.port as usize)?.protocol;
                Some(Inbound {
                    port: it.target,
                    application: None,
                    protocol,
                    service: Some(it.service),
                    mode: mode(it.target),
                    pool: pool.clone(),
                    retries: retries(protocol),
                })
            };
            let carried = named.iter().filter_map(of);
            carried.filter(|it| it.protocol != Protocol::Udp).collect()
        }
    };
    // Of several for one port the oldest service counts: sorting keeps their order.
    ports.sort_by_key(|it| it.port);
    ports.dedup_by_key(|it| it.port);
    let ours = policies.all.iter().filter(|it| {
        it.identity.namespace == proxy.namespace && selects(&it.selector, &proxy.labels)
    });
    let said = ours.flat_map(|it| it.ports.keys().copied());
    InboundTable {
        ports,
        exceptions: said.map(|port| (port, mode(port))).collect(),
        // Port 0 is nobody's: what holds for it holds for all that nobody names.
        others: mode(0),
        guard: Guard::of(
            &world.objects.authorization_policies,
            &world.mesh.root_namespace,
            &proxy.namespace,
            &proxy.labels,
        ),
    }
}
