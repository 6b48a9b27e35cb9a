//! The elements and chains of one service port.

use super::generate::{local_source, octets, set_mark};
use super::list::ranges;
use super::{Family, Set, Table};
use crate::rules::{Endpoint, Input, Plan, Protocol, Service, ServicePort, names, plan};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Writes everything for one service.
pub(super) fn write_service(table: &mut Table, input: &Input, service: &Service) {
    let address = service.cluster_ip;
    table.insert("cluster-ips", octets(&address), address.to_string());
    for port in &service.ports {
        let plan = &plan(input, service, port);
        let one = Port {
            input,
            service,
            port,
            plan,
            base: names::nftables(service, port),
        };
        one.cluster_address(table);
        one.external_addresses(table);
        one.node_port(table);
        one.hairpin(table);
        one.affinity(table);
        one.chains(table);
    }
}

/// A service port with its names.
struct Port<'i> {
    input: &'i Input,
    service: &'i Service,
    port: &'i ServicePort,
    plan: &'i Plan,
    base: String,
}

/// A key of several parts: its text, and its place in listings. The kernel's bytes are compared
/// as one number whose last byte counts most.
fn key(addresses: &[IpAddr], protocol: Protocol, port: u16) -> (Vec<u8>, String) {
    let mut bytes: Vec<u8> = addresses.iter().flat_map(octets).collect();
    bytes.push(match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    });
    bytes.extend(port.to_be_bytes());
    bytes.reverse();
    let addresses: String = addresses.iter().map(|one| format!("{one} . ")).collect();
    (bytes, format!("{addresses}{} . {port}", protocol.name()))
}

impl Port<'_> {
    fn chain(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.base)
    }

    /// The chain of a policy.
    fn policy(&self, local: bool) -> String {
        self.chain(if local { "local" } else { "service" })
    }

    fn endpoint_name(&self, prefix: &str, address: SocketAddr) -> String {
        let base = names::nftables_endpoint(self.service, self.port, address);
        format!("{prefix}-{base}")
    }

    fn reachable(&self) -> Vec<&Endpoint> {
        let positions = self.plan.selection.reachable().into_iter();
        positions.map(|at| &self.port.endpoints[at]).collect()
    }

    /// An element of a map; with `why`, its comment names the service port.
    fn map(&self, table: &mut Table, map: &str, address: Option<IpAddr>, to: &str, why: Why) {
        let protocol = self.port.protocol;
        let (order, key) = match address {
            Some(address) => key(&[address], protocol, self.port.port),
            None => key(&[], protocol, self.port.node_port.expect("a NodePort")),
        };
        let comment = match why {
            Why::Said => format!(" comment \"{}\"", names::port_name(self.service, self.port)),
            Why::Clear => String::new(),
        };
        table.insert(map, order, format!("{key}{comment} : {to}"));
    }

    /// What happens to traffic that finds no endpoint.
    fn refusal(&self) -> &'static str {
        if self.plan.selection.any {
            "drop"
        } else {
            "goto reject-chain"
        }
    }

    fn cluster_address(&self, table: &mut Table) {
        let address = Some(self.service.cluster_ip);
        if self.plan.standing.has_internal {
            let to = format!("goto {}", self.policy(self.service.internal_local));
            self.map(table, "service-ips", address, &to, Why::Clear);
        } else {
            let map = "no-endpoint-services";
            self.map(table, map, address, self.refusal(), Why::Said);
        }
    }

    fn external_addresses(&self, table: &mut Table) {
        let service = self.service;
        let external = format!("goto {}", self.chain("external"));
        for &address in service
            .external_ips
            .iter()
            .chain(&service.load_balancer_ips)
        {
            if self.plan.selection.any {
                self.map(table, "service-ips", Some(address), &external, Why::Clear);
            }
            if !self.plan.standing.has_external {
                let map = "no-endpoint-services";
                self.map(table, map, Some(address), self.refusal(), Why::Said);
            }
        }
        if self.firewalled() {
            let to = format!("goto {}", self.chain("firewall"));
            for &address in &service.load_balancer_ips {
                self.map(table, "firewall-ips", Some(address), &to, Why::Said);
            }
        }
    }

    fn node_port(&self, table: &mut Table) {
        if self.port.node_port.is_none() {
            return;
        }
        if self.plan.selection.any {
            let to = format!("goto {}", self.chain("external"));
            self.map(table, "service-nodeports", None, &to, Why::Clear);
        }
        if !self.plan.standing.has_external {
            let map = "no-endpoint-nodeports";
            self.map(table, map, None, self.refusal(), Why::Said);
        }
    }

    /// Endpoints of this node that may find themselves.
    fn hairpin(&self, table: &mut Table) {
        let node = Some(self.input.node.name.as_str());
        for endpoint in self.reachable() {
            if endpoint.node.as_deref() == node {
                let address = endpoint.address.ip();
                let port = endpoint.address.port();
                let (order, key) = key(&[address, address], self.port.protocol, port);
                table.insert("hairpin-connections", order, key);
            }
        }
    }

    /// Sets of the clients of each endpoint, and the chains that fill them.
    fn affinity(&self, table: &mut Table) {
        let Some(timeout) = self.service.affinity else {
            return;
        };
        for endpoint in self.reachable() {
            let address = endpoint.address;
            let clients = self.endpoint_name("affinity", address);
            let protocol = self.port.protocol.name();
            let rules = vec![
                format!("update @{clients} {{ {} saddr }}", table.family.name()),
                format!("meta l4proto {protocol} dnat to {address}"),
            ];
            table.sets.push(Set {
                name: clients,
                kind: table.family.address_type().to_owned(),
                comment: None,
                timeout_seconds: Some(timeout.as_nanos() / 1_000_000_000),
                elements: Vec::new(),
            });
            table.chain(self.endpoint_name("endpoint", address), rules);
        }
    }

    fn chains(&self, table: &mut Table) {
        let plan = self.plan;
        for (local, used, chosen) in [
            (false, plan.uses_cluster, &plan.selection.cluster),
            (true, plan.uses_local, &plan.selection.local),
        ] {
            if used {
                let rules = self.choice(table.family, chosen);
                table.chain(self.policy(local), rules);
            }
        }
        if plan.selection.any && plan.external {
            let rules = self.outside(table.family);
            table.chain(self.chain("external"), rules);
        }
        if self.firewalled() {
            let rules = vec![self.firewall(table.family)];
            table.chain(self.chain("firewall"), rules);
        }
    }

    /// Known clients to their endpoint, the others to any.
    fn choice(&self, family: Family, chosen: &[usize]) -> Vec<String> {
        let addresses = chosen.iter().map(|&at| self.port.endpoints[at].address);
        let count = chosen.len();
        if self.service.affinity.is_none() {
            let addresses: Vec<String> = addresses
                .enumerate()
                .map(|(at, address)| format!("{at} : {} . {}", address.ip(), address.port()))
                .collect();
            return vec![format!(
                "meta l4proto {} dnat {} to numgen random mod {count} map {{ {} }}",
                self.port.protocol.name(),
                family.name(),
                addresses.join(", ")
            )];
        }
        let ip = family.name();
        let mut rules = Vec::new();
        let mut chains = Vec::new();
        for (at, address) in addresses.enumerate() {
            let chain = self.endpoint_name("endpoint", address);
            let clients = self.endpoint_name("affinity", address);
            rules.push(format!("{ip} saddr @{clients} goto {chain}"));
            chains.push(format!("{at} : goto {chain}"));
        }
        let chains = chains.join(", ");
        rules.push(format!("numgen random mod {count} vmap {{ {chains} }}"));
        rules
    }

    fn outside(&self, family: Family) -> Vec<String> {
        let plan = self.plan;
        let mark = set_mark(self.input);
        let anywhere = self.policy(false);
        let mut rules = Vec::new();
        if plan.standing.external_local {
            if let Some(local) = local_source(self.input, family, "") {
                rules.push(format!(
                    "{local} goto {anywhere} comment \"short-circuit pod traffic\""
                ));
            }
            rules.push(format!(
                "fib saddr type local {mark} comment \"masquerade local traffic\""
            ));
            rules.push(format!(
                "fib saddr type local goto {anywhere} comment \"short-circuit local traffic\""
            ));
        } else {
            rules.push(format!("{mark} comment \"masquerade\""));
        }
        if plan.standing.has_external {
            rules.push(format!(
                "goto {}",
                self.policy(plan.standing.external_local)
            ));
        }
        rules
    }

    fn firewalled(&self) -> bool {
        !self.service.load_balancer_ips.is_empty() && !self.service.source_ranges.is_empty()
    }

    /// Who may come through the load balancer: nobody but these.
    fn firewall(&self, family: Family) -> String {
        let mut own = self.input.node.addresses.iter();
        let node = own.find(|address| family.holds(address));
        let allowed = &self.service.source_ranges;
        let to_itself = node.is_some_and(|node| allowed.iter().any(|range| range.contains(node)));
        let itself = self.service.load_balancer_ips.iter().filter(|_| to_itself);
        let itself = itself.map(|&address| IpNet::from(address));
        let sources: Vec<IpNet> = allowed.iter().copied().chain(itself).collect();
        format!("{} saddr != {} drop", family.name(), ranges(&sources))
    }
}

/// Whether an element says which service port it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It does.
    Said,
    /// Its target does.
    Clear,
}
