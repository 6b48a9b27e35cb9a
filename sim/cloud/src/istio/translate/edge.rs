//! What a gateway listens for: servers of the Gateways that choose it, with the VirtualServices
//! that bind to them.
//!
//! Routes of VirtualServices that share a host are put together, the older first, and what takes
//! everything comes last.

use super::chains::chains_of;
use super::compile::Compiler;
use super::delegates::Merged;
use super::registry::{Proxy, World};
use super::route::{self, Route, Router};
use super::scope;
use super::tables::{Edge, VirtualHost};
use crate::istio::authentication::selects;
use crate::istio::config::{
    Gateway, GatewayName, HostNamespace, Server, ServerHost, ServerTls, ServerTlsMode,
};
use crate::istio::host;
use crate::istio::push::Role;
use std::collections::BTreeMap;

/// What a gateway listens for.
pub(super) fn edges(compiler: &mut Compiler, world: &World<'_>, proxy: &Proxy) -> Vec<Edge> {
    let gateways = world.objects.gateways.iter();
    let mut gateways: Vec<&Gateway> = gateways
        .filter(|it| selects(&it.selector, &proxy.labels) && is_near(it, proxy))
        .collect();
    gateways.sort_by_cached_key(|it| it.identity.age_order());
    let mut plain: BTreeMap<u16, Vec<(&Gateway, &Server)>> = BTreeMap::new();
    let mut edges = Vec::new();
    for gateway in gateways {
        for server in &gateway.servers {
            if is_plain(server) {
                plain
                    .entry(server.port)
                    .or_default()
                    .push((gateway, server));
            } else {
                edges.push(edge(compiler, world, proxy, &[(gateway, server)]));
            }
        }
    }
    for servers in plain.values() {
        edges.push(edge(compiler, world, proxy, servers));
    }
    edges.sort_by_key(|edge| edge.port);
    edges
}

/// Whether a proxy stands where a gateway looks for it.
fn is_near(gateway: &Gateway, proxy: &Proxy) -> bool {
    !gateway.is_of_gateway_api || gateway.identity.namespace == proxy.namespace
}

/// Whether a server takes plain requests.
fn is_plain(server: &Server) -> bool {
    let redirects = |tls: &ServerTls| tls.redirects_to_https;
    server.protocol.is_http() && server.tls.as_ref().is_none_or(redirects)
}

/// Whether a server passes encrypted connections on.
fn passes_on(server: &Server) -> bool {
    let mode = server.tls.as_ref().map(|tls| tls.mode);
    matches!(
        mode,
        Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
    )
}

fn edge(
    compiler: &mut Compiler,
    world: &World<'_>,
    proxy: &Proxy,
    servers: &[(&Gateway, &Server)],
) -> Edge {
    let (owner, first) = servers[0];
    let (port, called, owner) = (first.port, &first.port_name, &owner.identity);
    let mut edge = Edge {
        name: match is_plain(first) {
            true => format!("http.{port}"),
            false => format!("https.{port}.{called}.{}.{}", owner.name, owner.namespace),
        },
        port: first.port,
        protocol: Some(first.protocol),
        tls: first.tls.as_ref().map(|tls| tls.mode),
        ..Edge::default()
    };
    edge.table.port = first.port;
    let mut hosts: BTreeMap<String, (usize, Vec<Route>)> = BTreeMap::new();
    for (gateway, server) in servers {
        let tls = server.tls.as_ref();
        let redirects = tls.is_some_and(|tls| tls.redirects_to_https);
        for ServerHost { host, .. } in &server.hosts {
            // A host may be there for several namespaces.
            if !edge.hosts.contains(host) {
                edge.hosts.push(host.clone());
            }
            if redirects {
                edge.redirected.push(host.clone());
            }
        }
        let name = GatewayName::Object {
            namespace: gateway.identity.namespace.clone(),
            name: gateway.identity.name.clone(),
        };
        let router = Router {
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            gateway: &name,
            port: server.port,
        };
        let seen = scope::seen(&compiler.virtual_services, &name, &proxy.namespace);
        let (mut finder, all) = compiler.finder(world, proxy, Role::Gateway);
        for index in seen {
            let it = &all[index as usize];
            let common = intersection(&server.hosts, &gateway.identity.namespace, it);
            if common.is_empty() {
                continue;
            }
            if redirects {
                edge.redirected.extend(common.iter().cloned());
            }
            let carries_requests = server.protocol.decrypted().is_http();
            if passes_on(server) || !carries_requests {
                edge.chains.extend(chains_of(it, router, &mut finder));
                continue;
            }
            let routes = route::routes(it, router, &mut finder);
            for host in common {
                let (_, all) = hosts.entry(host).or_insert((it.index, Vec::new()));
                all.extend(routes.iter().cloned());
            }
        }
    }
    for (host, (virtual_service, mut routes)) in hosts {
        // Stable: whatever takes everything comes last.
        routes.sort_by_key(|route| route.conditions.is_catch_all());
        let added = compiler.add_host(VirtualHost {
            host: host.clone(),
            service: None,
            virtual_service: Some(virtual_service),
            routes: routes.into(),
        });
        edge.table.others.push((host, added));
    }
    edge
}

/// Hosts that a server and a VirtualService have in common: of two, the narrower.
fn intersection(hosts: &[ServerHost], own: &str, it: &Merged) -> Vec<String> {
    let names = |entry: &&ServerHost| match &entry.namespace {
        HostNamespace::Any => true,
        HostNamespace::Own => it.namespace == own,
        HostNamespace::None => false,
        HostNamespace::Named(name) => *name == it.namespace,
    };
    let mut common = Vec::new();
    for entry in hosts.iter().filter(names) {
        for said in &it.hosts {
            let narrower = if host::is_subset(said, &entry.host) {
                said
            } else if host::is_subset(&entry.host, said) {
                &entry.host
            } else {
                continue;
            };
            if !common.contains(narrower) {
                common.push(narrower.clone());
            }
        }
    }
    common
}
