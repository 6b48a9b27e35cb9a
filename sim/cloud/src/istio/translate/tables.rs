//! What proxies are told, as tables with dense numbers: strings stand beside them for people.

use super::cluster::{Cluster, ClusterName};
use super::place::Assignment;
use super::registry::Proxy;
use super::route::{Choice, Route};
use crate::istio::config::{OutboundMode, ServerTlsMode};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that was compiled for any proxy.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Names of clusters.
    pub names: Vec<ClusterName>,
    /// Clusters. There may be several of one name, for proxies that see different rules.
    pub clusters: Vec<Cluster>,
    /// Hosts with their routes.
    pub hosts: Vec<VirtualHost>,
    /// What proxies of one kind know.
    pub scopes: Vec<Scope>,
    /// What proxies of one place are told of endpoints.
    pub viewers: Vec<Viewer>,
    /// Endpoints of clusters.
    pub assignments: Vec<Assignment>,
    /// Names of services.
    pub directory: Directory,
}

/// What one proxy is told: which scope, and which viewer it is. Equal proxies share both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// Its scope.
    pub scope: u32,
    /// Which viewer it is.
    pub viewer: u32,
}

/// No number.
const NONE: u32 = u32::MAX;

/// A table from dense numbers to dense numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(Vec<u32>);

impl Index {
    /// What a number stands for.
    pub fn get(&self, key: u32) -> Option<u32> {
        self.0.get(key as usize).copied().filter(|it| *it != NONE)
    }

    /// Makes a number stand for another.
    pub fn set(&mut self, key: u32, value: u32) {
        let key = key as usize;
        if self.0.len() <= key {
            self.0.resize(key + 1, NONE);
        }
        self.0[key] = value;
    }

    /// Forgets a number.
    pub fn unset(&mut self, key: u32) {
        if let Some(value) = self.0.get_mut(key as usize) {
            *value = NONE;
        }
    }
}

/// What proxies of one place are told of endpoints.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// One of them.
    pub proxy: Proxy,
    /// Assignments by cluster.
    pub assignments: Index,
}

/// A host with its routes, of which the first that matches is taken.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// Its name.
    pub host: String,
    /// The service, if it is one.
    pub service: Option<u32>,
    /// The VirtualService that speaks of it, by its place in the configuration.
    pub virtual_service: Option<usize>,
    /// Its routes.
    pub routes: Arc<[Route]>,
}

/// Hosts that requests at a port may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// The port.
    pub port: u16,
    /// Services and their hosts, ascending by service.
    pub services: Vec<(u32, u32)>,
    /// Other hosts, with or without wildcard.
    pub others: Vec<(String, u32)>,
}

/// Connections that take a way, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Names that the client asks for: any if empty.
    pub server_names: Vec<String>,
    /// Ranges that it connects to: any if empty.
    pub ranges: Vec<IpNet>,
    /// Clusters by weight.
    pub choices: Vec<Choice>,
    /// Sum of the weights.
    pub total: u64,
}

impl Chain {
    /// The same for clients that ask for one of these names; `*` is any, even none.
    #[must_use]
    pub(super) fn named(mut self, names: &[String]) -> Chain {
        if !names.iter().any(|name| name == "*") {
            self.server_names = names.to_vec();
        }
        self
    }

    /// Whether all connections take it that no other takes.
    pub fn takes_all(&self) -> bool {
        self.server_names.is_empty() && self.ranges.is_empty()
    }

    /// Of several the one that a connection takes: to the narrowest range, then by the narrowest
    /// name, as Envoy looks them up; of equal ones the first. What a narrower range lets go no
    /// wider one takes.
    pub fn taking<'a>(
        chains: &'a [Chain],
        address: IpAddr,
        server_name: Option<&str>,
    ) -> Option<&'a Chain> {
        let narrowest = chains.iter().filter_map(|it| it.range_of(address)).max()?;
        let of_range = chains
            .iter()
            .filter(|it| it.range_of(address) == Some(narrowest));
        let fitting = of_range.filter_map(|chain| Some((chain, chain.name_of(server_name)?)));
        let found = fitting.min_by(|left, right| host::specificity(left.1, right.1));
        found.map(|(chain, _)| chain)
    }

    /// How narrow the range is that holds an address: nothing where any will do.
    fn range_of(&self, address: IpAddr) -> Option<Option<u8>> {
        let holding = self.ranges.iter().filter(|range| range.contains(&address));
        match self.ranges.is_empty() {
            true => Some(None),
            false => Some(Some(holding.map(IpNet::prefix_len).max()?)),
        }
    }

    /// The name by which it takes clients that ask for one.
    fn name_of(&self, asked: Option<&str>) -> Option<&str> {
        match self.server_names.is_empty() {
            true => Some("*"),
            false => host::most_specific(asked?, self.server_names.iter().map(String::as_str)),
        }
    }
}

/// Which addresses a listener of a sidecar stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bind {
    /// All that no other listener stands for.
    #[default]
    Any,
    /// This one.
    Address(IpAddr),
    /// Those of the pods of a headless service.
    Pods(u32),
}

/// What a sidecar listens for, on its application's behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// Port.
    pub port: u16,
    /// Addresses.
    pub bind: Bind,
    /// Which table routes requests, if connections may carry HTTP.
    pub http: Option<u32>,
    /// The host that takes all requests, whatever they name: where the first bytes decide, a
    /// service has routes of its own.
    pub only: Option<u32>,
    /// Ways of other connections.
    pub chains: Vec<Chain>,
}

/// What a gateway listens for.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// What its routes are called.
    pub name: String,
    /// Port.
    pub port: u16,
    /// What it carries.
    pub protocol: Option<Protocol>,
    /// Hosts that it takes.
    pub hosts: Vec<String>,
    /// Encryption.
    pub tls: Option<ServerTlsMode>,
    /// Hosts whose plain requests are told to ask again encrypted.
    pub redirected: Vec<String>,
    /// Routes of requests.
    pub table: RouteTable,
    /// Ways of connections that are passed on.
    pub chains: Vec<Chain>,
}

impl Edge {
    /// Whether requests come to it without TLS.
    pub fn is_plain(&self) -> bool {
        self.protocol.is_none_or(|it| !it.is_tls())
    }

    /// Whether a plain request for a name is told to ask again encrypted: of the hosts that include
    /// it the narrowest counts.
    pub fn redirects(&self, authority: &str) -> bool {
        let routed = self.table.others.iter().map(|(host, _)| host);
        let all = routed.chain(&self.redirected).map(String::as_str);
        let found = host::most_specific(without_port(authority), all);
        found.is_some_and(|found| self.redirected.iter().any(|host| host == found))
    }

    /// Names by which clients of TLS come to it.
    fn names(&self) -> impl Iterator<Item = &str> {
        let hosts = self.hosts.iter().filter(|_| self.chains.is_empty());
        let named = self.chains.iter().flat_map(|chain| &chain.server_names);
        let takes_all = self.chains.iter().any(Chain::takes_all);
        let any = takes_all.then_some("*");
        hosts.chain(named).map(String::as_str).chain(any)
    }

    /// Whether requests are routed one by one, and not connections.
    pub(crate) fn carries_requests(&self) -> bool {
        let is_http = self.protocol.is_some_and(|it| it.decrypted().is_http());
        let passes_on = matches!(
            self.tls,
            Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
        );
        is_http && (self.is_plain() || !passes_on)
    }
}

/// What proxies of one kind know.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Their namespace.
    pub namespace: String,
    /// The Sidecar that holds, by its place in the configuration.
    pub sidecar: Option<usize>,
    /// Services, ascending.
    pub services: Vec<u32>,
    /// Clusters.
    pub clusters: Vec<u32>,
    /// Clusters by the numbers of their names.
    pub by_name: Index,
    /// VirtualServices that count, by their places in the configuration.
    pub virtual_services: Vec<usize>,
    /// Tables of routes.
    pub tables: Vec<RouteTable>,
    /// Listeners by port and address.
    pub listeners: Vec<Listener>,
    /// What becomes of connections that no listener takes, and of requests for unknown hosts.
    pub unknown: OutboundMode,
    /// What a gateway listens for.
    pub edges: Vec<Edge>,
    /// What passes a waypoint, by service and port.
    pub passed: Vec<Passed>,
}

/// A port of a service that is reached through a waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The service.
    pub service: u32,
    /// Its port.
    pub port: u16,
    /// The host with its routes.
    pub host: u32,
    /// Whether requests are routed one by one, or may be.
    pub is_http: bool,
}

/// What becomes of a connection that an application opens.
#[derive(Clone, Copy, Debug)]
pub enum Outbound<'a> {
    /// A listener takes it.
    Listener(&'a Listener),
    /// It goes where it wants, and nothing holds for it.
    Passthrough,
    /// It is closed.
    BlackHole,
}

impl Scope {
    /// What becomes of a connection that an application opens to an address, which may be that of
    /// a service's pod.
    pub fn outbound(&self, service: Option<u32>, address: IpAddr, port: u16) -> Outbound<'_> {
        let find = |bind| {
            let key = (port, bind);
            let found = self
                .listeners
                .binary_search_by(|it| (it.port, it.bind).cmp(&key));
            found.ok().map(|index| &self.listeners[index])
        };
        let of_pods = service.and_then(|service| find(Bind::Pods(service)));
        let of_address = of_pods.or_else(|| find(Bind::Address(address)));
        if let Some(listener) = of_address.or_else(|| find(Bind::Any)) {
            return Outbound::Listener(listener);
        }
        match self.unknown {
            OutboundMode::RegistryOnly => Outbound::BlackHole,
            OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => Outbound::Passthrough,
        }
    }

    /// The host that a request at one of the listeners names; unknown ones pass or are answered
    /// with 502, by [`Scope::unknown`].
    pub fn host(&self, directory: &Directory, listener: &Listener, authority: &str) -> Option<u32> {
        let table = &self.tables[listener.http? as usize];
        let found = || table.find(directory, &self.namespace, authority);
        listener.only.or_else(found)
    }

    /// What a waypoint does with what is asked of a service at a port.
    pub fn passed(&self, service: u32, port: u16) -> Option<&Passed> {
        let key = (service, port);
        let found = self
            .passed
            .binary_search_by_key(&key, |it| (it.service, it.port));
        found.ok().map(|index| &self.passed[index])
    }

    /// What a gateway does at a port, for a client that asks for this name in TLS.
    pub fn edge(&self, port: u16, server_name: Option<&str>) -> Option<&Edge> {
        let mut edges = self.edges.iter().filter(|it| it.port == port);
        match server_name {
            None => edges.next(),
            Some(name) => edges
                .filter_map(|edge| Some((edge, host::most_specific(name, edge.names())?)))
                .min_by(|left, right| host::specificity(left.1, right.1))
                .map(|(edge, _)| edge),
        }
    }
}

impl Scope {
    /// How many listeners and configurations of routes a gateway is told: one listener for each
    /// port, and routes for each server that carries requests.
    pub fn edge_resources(&self) -> (u32, u32) {
        let ports: BTreeSet<u16> = self.edges.iter().map(|edge| edge.port).collect();
        let routed = self.edges.iter().filter(|edge| edge.carries_requests());
        (ports.len() as u32, routed.count() as u32)
    }
}

impl RouteTable {
    /// The host that a request names, seen from a namespace.
    pub fn find(&self, directory: &Directory, namespace: &str, authority: &str) -> Option<u32> {
        let name = without_port(authority).to_lowercase();
        let of_service = |service: u32| {
            let found = self.services.binary_search_by_key(&service, |it| it.0);
            found.ok().map(|index| self.services[index].1)
        };
        let known = directory.services(namespace, &name);
        if let Some(host) = known.iter().find_map(|&service| of_service(service)) {
            return Some(host);
        }
        // Below a headless service each of its pods may have a name.
        let mut above = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
        let of_pods = above.find_map(|above| {
            let known = directory.services(namespace, above).iter();
            let mut headless = known.filter(|&service| directory.headless.contains(service));
            headless.find_map(|&service| of_service(service))
        });
        if of_pods.is_some() {
            return of_pods;
        }
        let others = self.others.iter();
        let others = others.map(|(host, number)| (host.as_str(), *number));
        // ServiceEntries may name hosts by a wildcard, which stand together in the directory.
        let wildcards = directory.by_host.range("*".to_owned().."+".to_owned());
        let wildcards = wildcards.flat_map(|(host, services)| {
            let known = services.iter().filter_map(|&service| of_service(service));
            known.map(move |number| (host.as_str(), number))
        });
        let all: Vec<(&str, u32)> = others.chain(wildcards).collect();
        let found = host::most_specific(&name, all.iter().map(|it| it.0))?;
        all.iter().find(|it| it.0 == found).map(|it| it.1)
    }
}

/// The host of an authority.
pub(crate) fn without_port(authority: &str) -> &str {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => authority,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Services by name and address.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// By full name.
    pub by_host: BTreeMap<String, Vec<u32>>,
    /// By address.
    pub by_address: BTreeMap<IpAddr, Vec<u32>>,
    /// Those of Kubernetes whose names lead to their pods.
    pub headless: BTreeSet<u32>,
    /// Domain of the cluster's names.
    pub domain: String,
}

impl Directory {
    /// Services that a name means to an application of a namespace: in full, or as short as its
    /// resolver completes it, or an address.
    pub fn services(&self, namespace: &str, name: &str) -> &[u32] {
        if let Some(services) = self.by_host.get(name) {
            return services;
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.by_address.get(&address).map_or(&[], Vec::as_slice);
        }
        let domain = &self.domain;
        let full = match name.split('.').count() {
            1 => format!("{name}.{namespace}.svc.{domain}"),
            2 => format!("{name}.svc.{domain}"),
            3 => format!("{name}.{domain}"),
            _ => return &[],
        };
        self.by_host.get(&full).map_or(&[], Vec::as_slice)
    }
}
