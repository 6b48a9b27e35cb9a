//! What a gateway listens for: servers of the Gateways that choose it, with the VirtualServices
//! that bind to them.
//!
//! Routes of VirtualServices that share a host are put together, the older first, and what takes
//! everything comes last. Connections that are not HTTP go where the first VirtualService says
//! that binds to their server, and those that stay encrypted by the names that they ask for.
//!
//! Sources: istio/istio 86c9f01 pilot/pkg/networking/core/gateway.go
//! (createGatewayTCPFilterChainOpts), pilot/pkg/model/gateway.go (mergeGateways).

use super::chains;
use super::compile::{Compiler, Finder};
use super::delegates::Merged;
use super::merge::{self, Owned};
use super::registry::{Proxy, World};
use super::route::{self, Route, Router};
use super::scope;
use super::tables::{Edge, VirtualHost};
use crate::istio::authentication::selects;
use crate::istio::config::{
    Gateway, GatewayName, HostNamespace, Server, ServerHost, ServerTlsMode,
};
use crate::istio::host;
use crate::istio::push::Role;
use std::collections::{BTreeMap, BTreeSet};

/// What a gateway listens for.
pub(super) fn edges(compiler: &mut Compiler, world: &World<'_>, proxy: &Proxy) -> Vec<Edge> {
    let gateways = world.objects.gateways.iter();
    let mut gateways: Vec<&Gateway> = gateways
        .filter(|it| selects(&it.selector, &proxy.labels) && is_near(it, proxy))
        .collect();
    gateways.sort_by_cached_key(|it| it.identity.age_order());
    let mut known: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let mut edges = Vec::new();
    for servers in merge::merged(gateways).listening {
        let first = servers[0];
        if first.1.carries_requests() {
            edges.push(edge(compiler, world, proxy, &servers));
        } else {
            let known = known.entry(first.1.port).or_default();
            edges.extend(connections(compiler, world, proxy, first, known));
        }
    }
    edges.sort_by_key(|edge| edge.port);
    edges
}

/// Whether a proxy stands where a gateway looks for it.
fn is_near(gateway: &Gateway, proxy: &Proxy) -> bool {
    let only = gateway.only_in.as_ref();
    only.is_none_or(|namespace| *namespace == proxy.namespace)
}

/// The name of a Gateway as routes bind to it.
fn name_of(gateway: &Gateway) -> GatewayName {
    GatewayName::Object {
        namespace: gateway.identity.namespace.clone(),
        name: gateway.identity.name.clone(),
    }
}

/// VirtualServices that bind to a server, each with the hosts that they have in common, and what
/// makes routes of them; `name` is the Gateway's.
fn bound<'a>(
    compiler: &'a mut Compiler,
    world: &'a World<'_>,
    proxy: &'a Proxy,
    name: &'a GatewayName,
    (gateway, server): Owned<'_>,
) -> (Router<'a>, Finder<'a>, Vec<(&'a Merged, Vec<String>)>) {
    let router = Router {
        namespace: &proxy.namespace,
        labels: &proxy.labels,
        gateway: name,
        port: server.port,
    };
    let seen = scope::seen(&compiler.virtual_services, name, &proxy.namespace);
    let (finder, all) = compiler.finder(world, proxy, Role::Gateway);
    let own = &gateway.identity.namespace;
    let seen = seen.into_iter().map(|index| &all[index as usize]);
    let bound = seen.map(|it| (it, intersection(&server.hosts, own, it)));
    let bound = bound.filter(|(_, common)| !common.is_empty()).collect();
    (router, finder, bound)
}

/// A server of connections; none if no route makes it one, so that nobody listens. Names that are
/// `known` at its port already are not taken twice.
fn connections(
    compiler: &mut Compiler,
    world: &World<'_>,
    proxy: &Proxy,
    (gateway, server): Owned<'_>,
    known: &mut BTreeSet<String>,
) -> Option<Edge> {
    let hosts = server.hosts.iter().map(|it| it.host.clone());
    let mut edge = Edge {
        hosts: hosts.collect(),
        ..bare(gateway, server)
    };
    let tls = server.tls.as_ref().map(|tls| tls.mode);
    if tls == Some(ServerTlsMode::AutoPassthrough) {
        return Some(edge);
    }
    let name = name_of(gateway);
    let (router, mut finder, bound) = bound(compiler, world, proxy, &name, (gateway, server));
    let mut bound = bound.into_iter().map(|(it, _)| it);
    if server.passes_on() {
        for it in bound {
            let ways = chains::ways_past(it, router, known, &mut finder);
            edge.chains.extend(ways);
        }
    } else {
        let way = bound.find_map(|it| chains::way_in(it, router, &mut finder))?;
        // Clients whose TLS ends here are told apart by the names of the server.
        edge.chains.push(match tls {
            Some(_) => way.named(&edge.hosts),
            None => way,
        });
    }
    (!edge.chains.is_empty()).then_some(edge)
}

/// A server without its hosts and routes.
fn bare(gateway: &Gateway, server: &Server) -> Edge {
    let (port, called, owner) = (server.port, &server.port_name, &gateway.identity);
    let mut edge = Edge {
        name: match server.protocol.is_http() {
            true => format!("http.{port}"),
            false => format!("https.{port}.{called}.{}.{}", owner.name, owner.namespace),
        },
        port,
        protocol: Some(server.protocol),
        tls: server.tls.as_ref().map(|tls| tls.mode),
        ..Edge::default()
    };
    edge.table.port = port;
    edge
}

fn edge(compiler: &mut Compiler, world: &World<'_>, proxy: &Proxy, servers: &[Owned<'_>]) -> Edge {
    let (owner, first) = servers[0];
    let mut edge = bare(owner, first);
    let mut hosts: BTreeMap<String, (usize, Vec<Route>)> = BTreeMap::new();
    for (gateway, server) in servers {
        let tls = server.tls.as_ref();
        // What comes encrypted needs not be told to.
        let redirects = !server.is_told_apart() && tls.is_some_and(|tls| tls.redirects_to_https);
        for ServerHost { host, .. } in &server.hosts {
            // A host may be there for several namespaces.
            if !edge.hosts.contains(host) {
                edge.hosts.push(host.clone());
            }
            if redirects {
                edge.redirected.push(host.clone());
            }
        }
        let name = name_of(gateway);
        let owned = (*gateway, *server);
        let (router, mut finder, bound) = bound(compiler, world, proxy, &name, owned);
        for (it, common) in bound {
            if redirects {
                edge.redirected.extend(common.iter().cloned());
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
            let Some(narrower) = host::narrower(said, &entry.host) else {
                continue;
            };
            if !common.iter().any(|known| known == narrower) {
                common.push(narrower.to_owned());
            }
        }
    }
    common
}
