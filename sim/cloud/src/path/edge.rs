//! Gateways of Istio: proxies that stand alone in their pods and take in what comes to the mesh,
//! or leaves it. Waypoints find the ways of requests as they do.
//!
//! Models: what a gateway listens for by the servers that the Gateways give it which choose it;
//! connections to ports that no server has, which are refused; the end of TLS, with its round
//! trip and its work on new connections; requests that are told to ask again over TLS; routes by
//! host, path, method and headers; connections that are passed on by the name that they ask for.
//! From there a request goes its way like one of a sidecar.
//!
//! Approximated: clients from outside speak what a port takes, and their own work on handshakes
//! takes no time; what is passed on by name is sent on request by request; a server counts for
//! the port of the gateway's service, or of its pod, that has its number; of the servers of a port
//! whose name is asked for in TLS takes a connection, and whose host is asked for each request.
//! Leaves out: certificates of gateways and of their clients, which are always good; connections
//! to a gateway of another network.
//! Sources: istio/istio pilot/pkg/networking/core/gateway.go, pilot/pkg/model/gateway.go;
//! [`crate::istio::translate`].
//! Validated by: requests through gateways in the crate's tests, and Bookinfo's.

use super::attributes::{Asked, ENCRYPTED, PLAIN};
use super::route::{Asking, Destination, Patched, Way};
use super::{Endpoint, Listener};
use crate::domain::Domain;
use crate::envoy::flags::Flag;
use crate::istio::authentication::{Outcome as Meeting, Sent};
use crate::istio::config::ServerTlsMode;
use crate::istio::translate::route::Route;
use crate::istio::translate::route_patches::RoutePlace;
use crate::istio::translate::tables::{Chain, Edge, Index, Scope, without_port};
use crate::record::Reason;
use crate::scenario::{Role, ServiceId};

/// Requests that take the same way through gateways, or through waypoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entering {
    pub(super) generation: u32,
    pub(super) scope: u32,
    pub(super) port: u16,
    pub(super) asked: Asked,
    /// The service that is asked, at a waypoint.
    pub(super) of: Option<ServiceId>,
    /// Whose patches change the way.
    pub(super) patched: Option<Patched>,
}

impl Entering {
    fn spread(&self) -> u32 {
        let asked = self.asked.0.wrapping_mul(5);
        let of = self.of.map_or(0, |service| 1 + service.0);
        asked ^ self.scope.wrapping_mul(3) ^ u32::from(self.port) ^ of.wrapping_mul(7)
    }
}

/// What a port of a gateway takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Plaintext, or TLS that it passes on.
    Anything,
    /// TLS that it ends.
    Tls,
    /// Mutual TLS with the mesh's certificates.
    Mesh,
    /// TLS, but not for the name that was asked for.
    Nothing,
}

impl Takes {
    /// What comes of a connection on which a proxy sends this; others send what a port takes,
    /// but that they have no certificate of the mesh.
    pub(super) fn meets(self, sent: Option<Sent>) -> Meeting {
        match (self, sent) {
            (Takes::Anything, None | Some(Sent::Plaintext)) => Meeting::Plaintext,
            (Takes::Anything, Some(Sent::OtherTls)) => Meeting::ApplicationTls,
            (Takes::Tls, None | Some(Sent::OtherTls)) => Meeting::Mutual,
            (Takes::Mesh, Some(Sent::IstioMutual)) => Meeting::Mutual,
            (_, Some(Sent::Plaintext)) | (Takes::Nothing, None) => Meeting::Reset,
            _ => Meeting::HandshakeFails,
        }
    }
}

impl Domain<'_> {
    /// Whether a pod's proxy is a gateway.
    pub(crate) fn is_gateway(&self, pod: u32) -> bool {
        self.role(pod) == Role::Gateway
    }

    /// What a pod's proxy asks istiod as.
    pub(crate) fn role(&self, pod: u32) -> Role {
        let sidecar = self.template(pod).sidecar.as_ref();
        sidecar.map_or(Role::Sidecar, |sidecar| sidecar.role)
    }

    /// What a pod's proxy was told.
    fn scope_told(&mut self, pod: u32) -> &Scope {
        let (generation, view) = self.told(pod);
        let translation = self.translation.as_ref().expect("a mesh translates");
        &translation.tables(generation).scopes[view.scope as usize]
    }

    /// The port of a gateway's servers that a connection comes to, if one has it.
    fn edge_port(&mut self, endpoint: Endpoint) -> Option<u16> {
        let cluster = self.cluster.expect("endpoints stand in clusters");
        let service = &self.topology.cluster(cluster).services[endpoint.service.index()];
        let port = service.ports.get(endpoint.port as usize)?;
        let mut candidates = [port.port, port.target_port].into_iter();
        let scope = self.scope_told(endpoint.pod);
        candidates.find(|port| scope.edges.iter().any(|edge| edge.port == *port))
    }

    /// What a gateway takes at the port of an endpoint, if anything, from who asks for this name
    /// should it be encrypted; from who asks for an unknown one, what its first server takes.
    pub(super) fn taken_at_edge(
        &mut self,
        endpoint: Endpoint,
        name: Option<&str>,
    ) -> Option<Takes> {
        let port = self.edge_port(endpoint)?;
        let scope = self.scope_told(endpoint.pod);
        let edge = match name {
            Some(name) => scope.edge_for(port, name),
            None => scope.edge(port, None),
        };
        let Some(edge) = edge else {
            return Some(Takes::Nothing);
        };
        Some(match edge.tls.filter(|_| !edge.is_plain()) {
            None | Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough) => {
                Takes::Anything
            }
            Some(ServerTlsMode::IstioMutual) => Takes::Mesh,
            Some(_) => Takes::Tls,
        })
    }

    /// Whether a gateway reads what comes to an endpoint of its own as requests.
    pub(super) fn reads_at_edge(&mut self, endpoint: Endpoint, asked: Asked) -> bool {
        let Some(port) = self.edge_port(endpoint) else {
            return false;
        };
        let attributes = self.ways.attributed.get(asked);
        let Some(authority) = attributes.map(|it| it.said.authority.clone()) else {
            return false;
        };
        let edge = self.scope_told(endpoint.pod).edge_for(port, &authority);
        edge.is_some_and(Edge::carries_requests)
    }

    /// Whether a gateway reads requests at a port at all.
    pub(super) fn reads_at_edge_port(&mut self, endpoint: Endpoint) -> bool {
        let port = self.edge_port(endpoint);
        let scope = self.scope_told(endpoint.pod);
        let mut edges = scope.edges.iter().filter(|edge| Some(edge.port) == port);
        edges.any(Edge::carries_requests)
    }

    /// The way of a request that comes to a gateway or to a waypoint, by its number among all.
    pub(super) fn way_in_of(&mut self, endpoint: Endpoint, asked: Asked) -> Option<u32> {
        let is_waypoint = matches!(endpoint.listener, Listener::Waypoint(_));
        let port = match is_waypoint {
            true => self.port_asked(endpoint),
            false => self.edge_port(endpoint)?,
        };
        let (generation, view) = self.told(endpoint.pod);
        let kind = Entering {
            generation,
            scope: view.scope,
            port,
            asked,
            of: is_waypoint.then_some(endpoint.service),
            patched: self.patched(endpoint.pod),
        };
        if let Some(way) = self.ways.entering.get(kind.spread(), &kind) {
            return Some(way);
        }
        let way = match kind.of {
            Some(service) => self.find_way_through(kind, service)?,
            None => self.find_way_in(kind, endpoint)?,
        };
        let number = self.ways.add(way);
        self.ways.entering.insert(kind, number);
        Some(number)
    }

    fn find_way_in(&mut self, kind: Entering, endpoint: Endpoint) -> Option<Way> {
        let attributes = self.ways.attributed.get(kind.asked)?.clone();
        let translation = self.translation.as_mut().expect("a mesh translates");
        let asking = Asking::at_edge(endpoint.service, kind.port, attributes)
            .made_plain(translation.path_rules());
        let tables = translation.tables(kind.generation);
        let scope = &tables.scopes[kind.scope as usize];
        let authority = asking.authority();
        let way = |to| Way::plain(kind.generation, kind.asked, to);
        let Some(edge) = scope.edge_for(kind.port, authority) else {
            // No server takes a connection for this name.
            return Some(way(Destination::Answer(Err(Reason::Reset), 0)));
        };
        if edge.redirects(authority) {
            return Some(way(Destination::Answer(Ok(()), 0)));
        }
        let by_name = scope.by_name.clone();
        let name = without_port(authority);
        let everywhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        if !edge.carries_requests() {
            let Some(chain) = Chain::taking(&edge.chains, everywhere, Some(name)) else {
                return Some(way(Destination::Answer(Err(Reason::Reset), 0)));
            };
            let choices = chain.choices.clone();
            let choices: Vec<_> = choices.iter().map(|choice| (choice, kind.asked)).collect();
            return Some(way(asking.forward(
                translation,
                kind.generation,
                &by_name,
                &choices,
            )));
        }
        let host = edge
            .table
            .find(&tables.directory, &scope.namespace, authority);
        let scheme = match edge.is_plain() {
            true => PLAIN,
            false => ENCRYPTED,
        };
        let found = host.and_then(|host| asking.find(&tables.hosts[host as usize].routes, scheme));
        let sidecar = self.pods[endpoint.pod as usize].sidecar.as_ref();
        let patches = &sidecar.expect("a proxy that was asked").patches;
        let route = host.zip(found).map(|(host, route)| {
            let full = format!("{}:{}", tables.hosts[host as usize].host, edge.port);
            let find = |name: &str| edge.table.find(&tables.directory, &scope.namespace, name);
            let place = RoutePlace {
                configuration: &edge.name,
                is_at_gateway: true,
                host: &full,
                answers_to: &|domain| find(domain) == Some(host),
                route: route.name.as_deref(),
            };
            patches.routes_outbound.apply(place, route)
        });
        Some(self.routed_way(kind, &asking, &by_name, route.as_ref()))
    }

    /// The way of a request by the route that takes it, if one does.
    pub(super) fn routed_way(
        &mut self,
        kind: Entering,
        asking: &Asking,
        by_name: &Index,
        route: Option<&Route>,
    ) -> Way {
        let Some(route) = route else {
            let nowhere = Destination::Answer(Err(Reason::NoRoute), 0);
            return Way {
                flag: Some(Flag::NoRoute),
                ..Way::plain(kind.generation, kind.asked, nowhere)
            };
        };
        let changed = asking.changed(route, &mut self.ways.attributed);
        let translation = self.translation.as_mut().expect("a mesh translates");
        let way = asking.routed(translation, kind.generation, by_name, (route, &changed));
        Way {
            asked: kind.asked,
            ..way
        }
    }
}

impl Scope {
    /// What a gateway does at a port with who asks for an authority: over TLS its name chooses
    /// among servers.
    fn edge_for(&self, port: u16, authority: &str) -> Option<&Edge> {
        let first = self.edge(port, None)?;
        match first.is_plain() {
            true => Some(first),
            false => self.edge(port, Some(without_port(authority))),
        }
    }
}
