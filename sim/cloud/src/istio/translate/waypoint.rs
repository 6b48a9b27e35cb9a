//! What a waypoint does: for each port of each service that is reached through it, the routes of
//! requests; and what they have to pass there.
//!
//! Models: routes of all VirtualServices for the mesh that name the service, of the namespace of
//! the service or of the waypoint, one after the other; matches on labels of who asks never
//! match; a service of which none speaks has the route that a sidecar would give it. Since Istio
//! 1.26 connections that are not HTTP go where the first route of TLS for its name alone says,
//! else the first of TCP. Policies
//! and tokens that are attached to the service, to the waypoint or to the class of all.
//! Approximated: a service that routes lead to is known as every sidecar of the waypoint's
//! namespace would know it. Leaves out: what is asked of pods directly.
//! Sources: istio/istio pilot/pkg/networking/core/{listener_waypoint,waypoint,httproute}.go,
//! pilot/pkg/model/policyattachment.go.

use super::chains;
use super::cluster::Cluster;
use super::compile::Compiler;
use super::delegates::Merged;
use super::inbound::{Filters, Inbound, InboundTable};
use super::registry::{Proxy, Service, World};
use super::route::{self, Route, Router};
use super::scope;
use super::tables::{Passed, VirtualHost};
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::Guard;
use crate::istio::config::{
    GATEWAY_NAME, GatewayName, Labels, OnBehalf, WaypointName, WaypointUse,
};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use crate::istio::push::Role;

/// The port at which waypoints take tunnels.
const TUNNELS: u16 = 15_008;

/// How the waypoint is called that a proxy is an instance of.
fn name_of(proxy: &Proxy) -> WaypointName {
    WaypointName {
        namespace: proxy.namespace.clone(),
        name: proxy.labels.get(GATEWAY_NAME).cloned().unwrap_or_default(),
    }
}

/// The service of a use, if it exists.
fn service_of<'a>(world: &World<'a>, used: &WaypointUse) -> Option<(u32, &'a Service)> {
    let name = used.host(world.domain);
    let mut all = (0..).zip(world.services);
    all.find(|(_, service)| service.host == name)
}

/// A service that is reached through a waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Through {
    /// The service.
    pub service: u32,
    /// That of its waypoint.
    pub waypoint: u32,
    /// Whether gateways go that way as well: where it has an address, if somebody said so.
    pub is_for_gateways: bool,
}

/// Services that are reached through waypoints, ascending.
pub fn services(world: &World<'_>) -> Vec<Through> {
    let uses = world.objects.waypoint_uses.iter();
    let mut all: Vec<Through> = uses
        .filter_map(|used| {
            let name = used.waypoint.as_ref()?;
            let name = host::service(&name.name, &name.namespace, world.domain);
            let mut services = (0..).zip(world.services);
            let (waypoint, _) = services.find(|(_, service)| service.host == name)?;
            let (service, described) = service_of(world, used)?;
            Some(Through {
                service,
                waypoint,
                is_for_gateways: used.is_for_gateways && !described.addresses.is_empty(),
            })
        })
        .collect();
    all.sort_unstable();
    all
}

/// The cluster by which a gateway reaches a service through its waypoint: its pods are the
/// waypoint's, whatever the subset; none if that takes no tunnels.
pub fn cluster_through(world: &World<'_>, cluster: &Cluster, waypoint: u32) -> Option<Cluster> {
    let mut ports = world.services[waypoint as usize].ports.iter();
    let port = ports.position(|port| port.number == TUNNELS)?;
    Some(Cluster {
        service: waypoint,
        port: port as u32,
        subset: None,
        ..cluster.clone()
    })
}

/// Ports that pass a waypoint, by service and port.
pub(super) fn passed(compiler: &mut Compiler, world: &World<'_>, proxy: &Proxy) -> Vec<Passed> {
    let name = name_of(proxy);
    let uses = world.objects.waypoint_uses.iter();
    let ours = uses.filter(|used| used.waypoint.as_ref() == Some(&name));
    let services = ours.filter_map(|used| service_of(world, used));
    let mut passed = Vec::new();
    for (service, described) in services {
        let tcp = described.ports.iter();
        for port in tcp.filter(|port| port.protocol != Protocol::Udp) {
            let is_http = port.protocol.is_http() || port.protocol == Protocol::Sniffed;
            let host = routed_host(compiler, world, proxy, (service, port.number), is_http)
                .unwrap_or_else(|| compiler.plain_host(world, proxy, service, port.number));
            passed.push(Passed {
                service,
                port: port.number,
                host,
                is_http,
            });
        }
    }
    passed.sort_by_key(|it| (it.service, it.port));
    passed
}

/// A service with the routes of all VirtualServices that speak of it here, if one does.
fn routed_host(
    compiler: &mut Compiler,
    world: &World<'_>,
    proxy: &Proxy,
    (service, port): (u32, u16),
    is_http: bool,
) -> Option<u32> {
    let described = &world.services[service as usize];
    let nobody = Labels::new();
    let gateway = GatewayName::Mesh;
    // Of connections neither labels nor the namespace of who asks are known.
    let router = Router {
        namespace: if is_http { &proxy.namespace } else { "" },
        labels: &nobody,
        gateway: &gateway,
        port,
    };
    let seen = scope::seen(&compiler.virtual_services, &gateway, &proxy.namespace);
    let (mut finder, all) = compiler.finder(world, proxy, Role::Waypoint);
    let speaks = |it: &&Merged| {
        let is_near = [&proxy.namespace, &described.namespace].contains(&&it.namespace);
        let mut hosts = it.hosts.iter();
        is_near && hosts.any(|said| host::is_subset(&described.host, said))
    };
    let ours = seen.into_iter().map(|index| &all[index as usize]);
    let ours: Vec<&Merged> = ours.filter(speaks).collect();
    let routes: Vec<Route> = if is_http {
        let routes = ours
            .iter()
            .flat_map(|it| route::routes(it, router, &mut finder));
        routes.collect()
    } else if world.version.routes_connections_at_waypoints() {
        let way = chains::way_through(&ours, &described.host, router, &mut finder);
        way.into_iter().map(route::of_connections).collect()
    } else {
        Vec::new()
    };
    let virtual_service = ours.first().map(|it| it.index);
    (!routes.is_empty()).then(|| {
        compiler.add_host(VirtualHost {
            host: described.host.clone(),
            service: Some(service),
            virtual_service,
            routes: routes.into(),
        })
    })
}

/// What requests to a service have to pass at a waypoint.
pub fn table(world: &World<'_>, proxy: &Proxy, service: u32) -> InboundTable {
    let name = name_of(proxy);
    let uses = world.objects.waypoint_uses.iter();
    let mut ours = uses.filter(|used| used.waypoint.as_ref() == Some(&name));
    let used = ours.find(|used| service_of(world, used).is_some_and(|(it, _)| it == service));
    let on = used.map(|used| OnBehalf {
        waypoint: &name,
        service: &used.identity,
        root_namespace: &world.mesh.root_namespace,
    });
    let ports = world.services[service as usize].ports.iter();
    let ports = ports.map(|port| Inbound {
        port: port.number,
        application: None,
        protocol: port.protocol,
        service: Some(service),
        mode: ServerMode::Strict,
        pool: None,
        limited: None,
        retries: None,
    });
    let policies = &world.objects.authorization_policies;
    InboundTable::of(
        ports.collect(),
        on.map(|on| Guard::at_waypoint(policies, on))
            .unwrap_or_default(),
        on.map(|on| Filters::at_waypoint(world, on))
            .unwrap_or_default(),
    )
}
