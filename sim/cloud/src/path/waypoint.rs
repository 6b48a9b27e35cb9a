//! Waypoints: proxies between ztunnels, which route requests to the services of the ambient mesh
//! that are reached through them, and let them pass or not.
//!
//! Models: a connection to such a service goes through a tunnel to one of the waypoint's pods,
//! which the client's ztunnel picks as it picks those of any service, and stays with it and with
//! one of its threads; there each request passes the policies that are attached, knowing its
//! client by the tunnel, and finds its way as at a gateway, over connections of the waypoint's
//! own: whoever serves it sees the waypoint. Gateways go the same way where the service says so;
//! other gateways, clients with a sidecar, and clients outside of the mesh pass it by. Ztunnels do
//! not ask a waypoint yet that has never had a pod that serves.
//!
//! Approximated: a waypoint's tunnels to ztunnels, and gateways' to it, are connections of pools
//! with mutual TLS, which carry a request each at a time. Leaves out: connections to pods past a
//! service; waypoints of other clusters; what `inspect` could show of its listeners.
//! Sources: istio/ztunnel src/proxy/outbound.rs, src/state.rs; istio/istio
//! pilot/pkg/serviceregistry/ambient/waypoints.go, pilot/pkg/xds/endpoints;
//! [`crate::istio::translate::waypoint`].
//! Validated by: latencies worked out by hand, and who gets where, in the crate's tests.

use super::attributes::PLAIN;
use super::edge::Entering;
use super::route::{Asking, Way};
use super::{Endpoint, Listener};
use crate::domain::Domain;
use crate::scenario::ServiceId;

impl Domain<'_> {
    /// The service whose pods a ztunnel sends a connection to a service to, by what it was told.
    pub(super) fn waypoint_for(&self, node: u32, service: ServiceId) -> Option<ServiceId> {
        let ztunnel = self.nodes[node as usize].ztunnel.as_ref()?;
        let translation = self.translation.as_ref()?;
        let waypoint = translation.waypoint_of(ztunnel.generation, service)?;
        ztunnel
            .has_known(&self.endpoint_log, waypoint)
            .then_some(waypoint)
    }

    /// Who takes a tunnel at a waypoint: there is nothing to be asked of itself.
    pub(super) fn taken_at_waypoint(&mut self, endpoint: Endpoint) -> Option<Listener> {
        let workload = self.pods[endpoint.pod as usize].workload;
        let own = &self.workloads[workload.index()].services;
        if own.contains(&endpoint.service) {
            return None;
        }
        self.thread_for_connection(endpoint.pod)
            .map(Listener::Waypoint)
    }

    /// The port of its service that an endpoint stands for.
    pub(super) fn port_asked(&self, endpoint: Endpoint) -> u16 {
        let cluster = self.cluster.expect("endpoints stand in clusters");
        let described = &self.topology.cluster(cluster).services[endpoint.service.index()];
        let port = described.ports.get(endpoint.port as usize);
        port.map_or(0, |port| port.port)
    }

    /// The way of a request through a waypoint; none where that does not speak for its service
    /// any more.
    pub(super) fn find_way_through(&mut self, kind: Entering, service: ServiceId) -> Option<Way> {
        let attributes = self.ways.attributed.get(kind.asked)?.clone();
        let translation = self.translation.as_ref().expect("a mesh translates");
        let asking =
            Asking::at_edge(service, kind.port, attributes).made_plain(translation.path_rules());
        let tables = translation.tables(kind.generation);
        let scope = &tables.scopes[kind.scope as usize];
        let passed = *scope.passed(service.0, kind.port)?;
        let by_name = scope.by_name.clone();
        let routes = tables.hosts[passed.host as usize].routes.clone();
        let way = self.routed_way(kind, &asking, &by_name, asking.find(&routes, PLAIN));
        Some(match passed.is_http {
            true => way,
            // Connections are not tried again.
            false => Way {
                retries: None,
                ..way
            },
        })
    }
}
