//! What a sidecar listens for: tables of routes, and listeners by port and address.
//!
//! Hosts of HTTP are told apart by what requests say, so that one listener for a port takes all;
//! other ports are listened for at the service's addresses. Of VirtualServices that speak of one
//! service the first counts; an exact host counts before a wildcard.

use super::compile::{Compiler, Spoken};
use super::registry::{Proxy, ServicePort, World};
use super::scope::Egress;
use super::tables::{Listener, RouteTable, Scope};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where hosts that are no services are asked for, if no service of their VirtualService says.
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
    let mut listeners: BTreeMap<(u16, Option<IpAddr>), Listener> = BTreeMap::new();
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
        egressing.add_listeners(scope.tables.len() as u32, &mut listeners);
        scope.tables.extend(egressing.tables.into_values());
    }
    scope.listeners = listeners.into_values().collect();
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
    /// tables at once.
    fn bind_all(&mut self) -> BTreeMap<(u32, u16), u32> {
        let egress = self.egress;
        let lets_in = |it: &u32| egress.services.binary_search(it).is_ok();
        let mut bound = BTreeMap::new();
        let mut wildcards: Vec<(u32, String, u32)> = Vec::new();
        for &index in &self.egress.virtual_services {
            let spoken_of = self.compiler.spoken_of[index as usize].clone();
            let mut ports = BTreeSet::new();
            let mut others = Vec::new();
            for spoken in spoken_of.iter() {
                let before = others.len();
                match spoken {
                    Spoken::Host(name, services) => {
                        others.push(name);
                        for &service in services.iter().filter(|it| lets_in(it)) {
                            others.truncate(before);
                            self.bind(index, service, &mut ports, &mut bound);
                        }
                    }
                    Spoken::Wildcard(name) => {
                        let services = self.egress.services.iter();
                        let fits = |it: &&u32| host::is_subset(self.host(**it), name);
                        let known = wildcards.len();
                        let found = services.filter(fits);
                        wildcards.extend(found.map(|&it| (it, name.clone(), index)));
                        if known == wildcards.len() {
                            others.push(name);
                        }
                    }
                }
            }
            self.add_others(index, &others, ports);
        }
        // Of wildcards the longest counts, of equal ones the first.
        wildcards.sort_by(|left, right| {
            let by_service = left.0.cmp(&right.0);
            by_service.then_with(|| host::specificity(&left.1, &right.1))
        });
        for (service, _, index) in wildcards {
            self.bind(index, service, &mut BTreeSet::new(), &mut bound);
        }
        bound
    }

    fn host(&self, service: u32) -> &'a str {
        &self.world.services[service as usize].host
    }

    /// Binds a service to a VirtualService at each port where another has not been first, and
    /// remembers the ports.
    fn bind(
        &mut self,
        index: u32,
        service: u32,
        ports: &mut BTreeSet<u16>,
        bound: &mut BTreeMap<(u32, u16), u32>,
    ) {
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

    /// Hosts of a VirtualService that are no services: known at the ports of its services, or at
    /// the usual one.
    fn add_others(&mut self, index: u32, others: &[&String], mut ports: BTreeSet<u16>) {
        if others.is_empty() {
            return;
        }
        if ports.is_empty() {
            ports.insert(USUAL_PORT);
        }
        ports.retain(|&port| self.counts(port));
        for port in ports {
            let routes = self
                .compiler
                .routes_of(self.world, self.proxy, index, port, self.scope);
            if routes.1.is_empty() {
                continue;
            }
            for name in others {
                let mut known = self.table(port).others.iter();
                if known.any(|(known, _)| known == *name) {
                    continue;
                }
                let of = Err(name.to_string());
                let added = self
                    .compiler
                    .routed_host(self.world, of, port, routes.clone());
                self.table(port).others.push((name.to_string(), added));
            }
        }
    }

    /// Adds listeners for the ports of all services; `first` is the number of the first table.
    fn add_listeners(
        &mut self,
        first: u32,
        listeners: &mut BTreeMap<(u16, Option<IpAddr>), Listener>,
    ) {
        let table_of: BTreeMap<u16, u32> = self.tables.keys().copied().zip(first..).collect();
        for &service in &self.egress.services {
            for port in &self.world.services[service as usize].ports {
                if self.counts(port.number) && port.protocol != Protocol::Udp {
                    let http = table_of.get(&port.number).copied();
                    self.add_listener(service, port, http, listeners);
                }
            }
        }
        for (table, number) in self.tables.values().zip(first..) {
            if !table.others.is_empty() {
                let listener = listeners.entry((table.port, None)).or_default();
                listener.port = table.port;
                listener.http = listener.http.or(Some(number));
            }
        }
    }

    /// Adds what reaches a port of a service.
    fn add_listener(
        &mut self,
        service: u32,
        port: &ServicePort,
        http: Option<u32>,
        listeners: &mut BTreeMap<(u16, Option<IpAddr>), Listener>,
    ) {
        let is_http = port.protocol.is_http();
        let chains = if is_http {
            Vec::new()
        } else {
            self.compiler
                .chains(self.world, self.proxy, self.egress, service, port)
        };
        let known = &self.world.services[service as usize].addresses;
        let addresses: Vec<Option<IpAddr>> = if is_http || known.is_empty() {
            vec![None]
        } else {
            known.iter().copied().map(Some).collect()
        };
        for address in addresses {
            let listener = listeners.entry((port.number, address)).or_default();
            listener.port = port.number;
            listener.address = address;
            if routes_requests(port.protocol) {
                listener.http = listener.http.or(http);
            }
            if listener.chains.is_empty() {
                listener.chains = chains.clone();
            }
        }
    }
}
