//! What a sidecar listens for: tables of routes, and listeners by port and address.
//!
//! Hosts of HTTP are told apart by what requests say, so that one listener for a port takes all;
//! other ports are listened for at the service's addresses. Of VirtualServices that speak of one
//! service the first counts; an exact host counts before a wildcard.

use super::chains::Listened;
use super::compile::{Compiler, Spoken};
use super::registry::{Proxy, World};
use super::scope::Egress;
use super::tables::{Bind, Listener, RouteTable, Scope};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use std::collections::{BTreeMap, BTreeSet};

/// Where hosts that are no services are asked for, whatever services of their VirtualService say.
const USUAL_PORT: u16 = 80;

/// Whether requests at a port are routed one by one, or may be.
fn routes_requests(protocol: Protocol) -> bool {
    protocol.is_http() || protocol == Protocol::Sniffed
}

/// Whether an egress listener speaks for a port: its own, or any that no other claims.
fn counts(own: Option<u16>, claimed: &BTreeSet<u16>, port: u16) -> bool {
    match own {
        Some(own) => own == port,
        None => !claimed.contains(&port),
    }
}

/// Listeners by port and addresses, each with what it carries.
type Building = BTreeMap<(u16, Bind), (Listener, Protocol)>;

/// An egress listener of a sidecar on its way to tables.
struct Egressing<'a> {
    compiler: &'a mut Compiler,
    world: &'a World<'a>,
    proxy: &'a Proxy,
    /// The scope's number.
    scope: u32,
    egress: &'a Egress,
    /// Ports that other egress listeners have for themselves.
    claimed: &'a BTreeSet<u16>,
    tables: BTreeMap<u16, RouteTable>,
}

/// Adds tables of routes and listeners of a sidecar to its scope.
pub(super) fn listen(
    compiler: &mut Compiler,
    world: &World<'_>,
    proxy: &Proxy,
    egress: &[Egress],
    number: u32,
    scope: &mut Scope,
) {
    let claimed: BTreeSet<u16> = egress.iter().filter_map(|it| it.port).collect();
    let mut listeners = Building::new();
    for egress in egress {
        let mut egressing = Egressing {
            compiler,
            world,
            proxy,
            scope: number,
            egress,
            claimed: &claimed,
            tables: BTreeMap::new(),
        };
        egressing.fill_tables();
        egressing.drop_unasked();
        egressing.add_listeners(scope.tables.len() as u32, &mut listeners);
        scope.tables.extend(egressing.tables.into_values());
    }
    scope.listeners = listeners
        .into_values()
        .map(|(listener, _)| listener)
        .collect();
}

impl<'a> Egressing<'a> {
    /// Whether this egress listener speaks for a port.
    fn counts(&self, port: u16) -> bool {
        counts(self.egress.port, self.claimed, port)
    }

    /// Ports of a service whose requests are routed here.
    fn http_ports(&self, service: u32) -> impl Iterator<Item = u16> + use<'a> {
        let (own, claimed) = (self.egress.port, self.claimed);
        let ports = self.world.services[service as usize].ports.iter();
        let ports = ports.filter(|it| routes_requests(it.protocol));
        let ports = ports.map(|it| it.number);
        ports.filter(move |&port| counts(own, claimed, port))
    }

    fn table(&mut self, port: u16) -> &mut RouteTable {
        let table = self.tables.entry(port).or_default();
        table.port = port;
        table
    }

    fn fill_tables(&mut self) {
        let bound = self.bind_all();
        for &service in &self.egress.services {
            for port in self.http_ports(service) {
                let host = match bound.get(&(service, port)) {
                    Some(host) => *host,
                    None => self
                        .compiler
                        .plain_host(self.world, self.proxy, service, port),
                };
                self.table(port).services.push((service, host));
            }
        }
    }

    /// Services that VirtualServices speak of, at each of their ports; other hosts go into the
    /// tables at once. A wildcard speaks of services that no VirtualService names, of wildcards
    /// the longest, of equal ones the first.
    fn bind_all(&mut self) -> BTreeMap<(u32, u16), u32> {
        let egress = self.egress;
        let lets_in = |it: &u32| egress.services.binary_search(it).is_ok();
        let mut bound = BTreeMap::new();
        let by_wildcard = self.by_wildcard();
        for &index in &egress.virtual_services {
            let spoken_of = self.compiler.spoken_of[index as usize].clone();
            let is_of_gateway_api =
                self.compiler.virtual_services[index as usize].is_of_gateway_api;
            let mut ports = BTreeSet::new();
            // Each host, with the services that it names.
            let mut hosts: Vec<(&String, Vec<u32>)> = Vec::new();
            for spoken in spoken_of.iter() {
                let (name, known): (_, Vec<u32>) = match spoken {
                    Spoken::Host(name, services) => {
                        (name, services.iter().copied().filter(lets_in).collect())
                    }
                    Spoken::Wildcard(name) => {
                        let services = egress.services.iter().copied();
                        let fits = |it: &u32| host::is_subset(self.host(*it), name);
                        (name, services.filter(fits).collect())
                    }
                };
                for &service in &known {
                    let is_meant = match spoken {
                        Spoken::Host(..) => true,
                        Spoken::Wildcard(_) => by_wildcard.get(&service) == Some(&index),
                    };
                    if is_meant {
                        self.bind(index, service, &mut ports, &mut bound);
                    }
                }
                hosts.push((name, known));
            }
            // Routes of the Gateway API speak of nothing but services.
            if !is_of_gateway_api {
                self.add_others(index, &hosts, ports);
            }
        }
        bound
    }

    /// Which VirtualService speaks of each service by a wildcard.
    fn by_wildcard(&self) -> BTreeMap<u32, u32> {
        let spoken_of = |index: u32| self.compiler.spoken_of[index as usize].iter();
        let indices = self.egress.virtual_services.iter().copied();
        let mut named: BTreeSet<u32> = BTreeSet::new();
        let mut wildcards: Vec<(&String, u32)> = Vec::new();
        for index in indices {
            for spoken in spoken_of(index) {
                match spoken {
                    Spoken::Host(_, services) => named.extend(services),
                    Spoken::Wildcard(name) => wildcards.push((name, index)),
                }
            }
        }
        wildcards.sort_by(|left, right| host::specificity(left.0, right.0));
        let services = self.egress.services.iter().copied();
        let unnamed = services.filter(|it| !named.contains(it));
        let found = unnamed.filter_map(|service| {
            let fits = |(name, _): &&(&String, u32)| host::is_subset(self.host(service), name);
            Some((service, wildcards.iter().find(fits)?.1))
        });
        found.collect()
    }

    fn host(&self, service: u32) -> &'a str {
        &self.world.services[service as usize].host
    }

    /// Binds a service to a VirtualService at each port where another has not been first, and
    /// remembers the ports. Routes of the Gateway API hold for services of their own namespace, and
    /// for clients of it.
    fn bind(
        &mut self,
        index: u32,
        service: u32,
        ports: &mut BTreeSet<u16>,
        bound: &mut BTreeMap<(u32, u16), u32>,
    ) {
        let said = &self.compiler.virtual_services[index as usize];
        let of_service = &self.world.services[service as usize].namespace;
        let mut namespaces = [of_service, &self.proxy.namespace].into_iter();
        if said.is_of_gateway_api && namespaces.all(|it| *it != said.namespace) {
            return;
        }
        for port in self.http_ports(service) {
            ports.insert(port);
            if bound.contains_key(&(service, port)) {
                continue;
            }
            let routes = self
                .compiler
                .routes_of(self.world, self.proxy, index, port, self.scope);
            if !routes.1.is_empty() {
                let host = self
                    .compiler
                    .routed_host(self.world, Ok(service), port, routes);
                bound.insert((service, port), host);
            }
        }
    }

    /// Hosts of a VirtualService that are no services at a port: known at the ports of its
    /// services, and at the usual one.
    fn add_others(&mut self, index: u32, hosts: &[(&String, Vec<u32>)], mut ports: BTreeSet<u16>) {
        ports.insert(USUAL_PORT);
        ports.retain(|&port| self.counts(port));
        for port in ports {
            let has_port = |service: &u32| {
                let mut ports = self.world.services[*service as usize].ports.iter();
                ports.any(|it| it.number == port)
            };
            let others = hosts.iter().filter(|(_, of)| !of.iter().any(has_port));
            let others: Vec<&String> = others.map(|(name, _)| *name).collect();
            if others.is_empty() {
                continue;
            }
            let routes = self
                .compiler
                .routes_of(self.world, self.proxy, index, port, self.scope);
            if routes.1.is_empty() {
                continue;
            }
            for name in others {
                let mut known = self.table(port).others.iter();
                if known.any(|(known, _)| known == name) {
                    continue;
                }
                let of = Err(name.clone());
                let added = self
                    .compiler
                    .routed_host(self.world, of, port, routes.clone());
                self.table(port).others.push((name.clone(), added));
            }
        }
    }

    /// Leaves out what no listener asks for: other hosts are asked for where a service shares its
    /// port with all others.
    fn drop_unasked(&mut self) {
        let mut shared = BTreeSet::new();
        for &service in &self.egress.services {
            for port in &self.world.services[service as usize].ports {
                let protocol = self.egress.protocol.unwrap_or(port.protocol);
                let stands_alone = protocol == Protocol::Sniffed
                    && !self.binds(service, protocol).contains(&Bind::Any);
                if routes_requests(protocol) && !stands_alone {
                    shared.insert(port.number);
                }
            }
        }
        for table in self.tables.values_mut() {
            if !shared.contains(&table.port) {
                table.others.clear();
            }
        }
        self.tables
            .retain(|_, table| !table.services.is_empty() || !table.others.is_empty());
    }

    /// The addresses of a service's listeners.
    fn binds(&self, service: u32, protocol: Protocol) -> Vec<Bind> {
        if let Some(address) = self.egress.bind {
            return vec![Bind::Address(address)];
        }
        let described = &self.world.services[service as usize];
        if protocol.is_http() || !described.ranges.is_empty() {
            return vec![Bind::Any];
        }
        if described.is_headless() {
            return vec![Bind::Pods(service)];
        }
        let addresses = described.addresses.iter();
        match described.addresses.is_empty() {
            true => vec![Bind::Any],
            false => addresses.copied().map(Bind::Address).collect(),
        }
    }

    /// Adds listeners for the ports of all services; `first` is the number of the first table.
    fn add_listeners(&mut self, first: u32, listeners: &mut Building) {
        let table_of: BTreeMap<u16, u32> = self.tables.keys().copied().zip(first..).collect();
        let mut services = self.egress.services.clone();
        services.sort_by_key(|&it| self.world.services[it as usize].created);
        for service in services {
            for port in &self.world.services[service as usize].ports {
                let protocol = self.egress.protocol.unwrap_or(port.protocol);
                if self.counts(port.number) && protocol != Protocol::Udp {
                    let http = table_of.get(&port.number).copied();
                    self.add_listener((service, port.number, protocol), http, listeners);
                }
            }
        }
    }

    /// Adds what reaches a port of a service.
    fn add_listener(
        &mut self,
        (service, port, protocol): (u32, u16, Protocol),
        http: Option<u32>,
        listeners: &mut Building,
    ) {
        for bind in self.binds(service, protocol) {
            let (listener, carried) = listeners.entry((port, bind)).or_insert_with(|| {
                let listener = Listener {
                    port,
                    bind,
                    ..Listener::default()
                };
                (listener, protocol)
            });
            // Servers that speak first do not share a port with others.
            let alone = [Protocol::Mongo, Protocol::Mysql];
            if *carried != protocol {
                if alone.contains(carried) || alone.contains(&protocol) {
                    continue;
                }
                *carried = Protocol::Sniffed;
            }
            if routes_requests(protocol) && listener.http.is_none() {
                listener.http = http;
                let is_own = protocol == Protocol::Sniffed && bind != Bind::Any;
                listener.only = http.filter(|_| is_own).and_then(|_| {
                    let services = &self.tables[&port].services;
                    let found = services.binary_search_by_key(&service, |it| it.0);
                    found.ok().map(|found| services[found].1)
                });
            }
            if !protocol.is_http() {
                let listened = Listened {
                    service,
                    port,
                    protocol,
                    bind,
                };
                let chains = self
                    .compiler
                    .chains(self.world, self.proxy, self.egress, listened);
                let (listener, _) = listeners.get_mut(&(port, bind)).expect("made just now");
                for chain in chains {
                    chain.join(&mut listener.chains);
                }
            }
        }
    }
}
