//! A node's rules as tables: from a packet to what becomes of its connection, without a walk.
//!
//! Models and sources: as `decision.rs`.
//! Approximated: if two services share an address and a port, the first takes all of it.
//! Validated by: walks over the generated rules of random worlds, in `iptables/walk/tests.rs`.

use super::iptables::takes_node_ports;
use super::iptables::walk::Packet;
use super::{Client, Decision, DetectLocal, Door, Input, Masquerade, Place, Plan, Protocol};
use super::{Service, ServicePort, decide, plan};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The tables of a node.
#[derive(Clone, Debug)]
pub struct Compiled<'i> {
    input: &'i Input,
    masquerade: Masquerade,
    ports: Vec<Front<'i>>,
    /// Position of a port by its address.
    addresses: BTreeMap<(IpAddr, Protocol, u16), (usize, At)>,
    /// Position of a port by its number on nodes.
    node_ports: BTreeMap<(Protocol, u16), usize>,
}

#[derive(Clone, Debug)]
struct Front<'i> {
    service: &'i Service,
    port: &'i ServicePort,
    plan: Plan,
}

/// Kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Cluster,
    External,
    Balancer,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// One of these endpoints gets it, each as likely as the others; with affinity, the one
    /// that got the client's last connection.
    Endpoints(Vec<Chosen>),
    /// Refused at once.
    Refused,
    /// Dropped.
    Dropped,
    /// Not of any service's concern.
    Untouched,
}

/// An endpoint that may get a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the node's address takes the place of the client's.
    pub masqueraded: bool,
}

impl<'i> Compiled<'i> {
    /// Compiles what a node's kube-proxy knows.
    pub fn new(input: &'i Input) -> Compiled<'i> {
        let mut compiled = Compiled {
            input,
            masquerade: masquerade(input),
            ports: Vec::new(),
            addresses: BTreeMap::new(),
            node_ports: BTreeMap::new(),
        };
        for service in &input.services {
            for port in &service.ports {
                compiled.add(service, port);
            }
        }
        compiled
    }

    fn add(&mut self, service: &'i Service, port: &'i ServicePort) {
        let position = self.ports.len();
        let external = service.external_ips.iter().map(|one| (*one, At::External));
        let balancer = &service.load_balancer_ips;
        let balancer = balancer.iter().map(|one| (*one, At::Balancer));
        let cluster = std::iter::once((service.cluster_ip, At::Cluster));
        for (address, at) in cluster.chain(external).chain(balancer) {
            let key = (address, port.protocol, port.port);
            self.addresses.entry(key).or_insert((position, at));
        }
        if let Some(number) = port.node_port {
            let key = (port.protocol, number);
            self.node_ports.entry(key).or_insert(position);
        }
        self.ports.push(Front {
            service,
            port,
            plan: plan(self.input, service, port),
        });
    }

    /// What becomes of the first packet of a connection.
    pub fn fate(&self, packet: &Packet) -> Fate {
        let Some((front, door)) = self.knock(packet) else {
            return Fate::Untouched;
        };
        match decide(
            front.plan.standing,
            door,
            self.client(packet),
            self.masquerade,
        ) {
            Decision::Refuse => Fate::Refused,
            Decision::Drop => Fate::Dropped,
            Decision::Untouched => Fate::Untouched,
            Decision::Endpoint { local, masquerade } => {
                let selection = &front.plan.selection;
                let among = if local {
                    &selection.local
                } else {
                    &selection.cluster
                };
                let endpoints = among.iter().map(|&at| front.port.endpoints[at].address);
                Fate::Endpoints(
                    endpoints
                        .map(|address| self.chosen(packet, address, masquerade))
                        .collect(),
                )
            }
        }
    }

    /// The port that a packet is for, and its door.
    fn knock(&self, packet: &Packet) -> Option<(&Front<'i>, Door)> {
        let (protocol, to) = (packet.flow.protocol, packet.flow.to);
        let address = (to.ip(), protocol, to.port());
        if let Some(&(position, at)) = self.addresses.get(&address) {
            let front = &self.ports[position];
            let door = match at {
                At::Cluster => Door::Cluster,
                At::External => Door::External,
                At::Balancer => Door::Balancer {
                    allowed: self.lets_in(front.service, packet.flow.from.ip()),
                },
            };
            return Some((front, door));
        }
        if !self.is_own(to.ip()) {
            return None;
        }
        let position = *self.node_ports.get(&(protocol, to.port()))?;
        let open = takes_node_ports(self.input, to.ip());
        Some((&self.ports[position], Door::NodePort { open }))
    }

    /// A service's load balancer may be an address of the node for the node itself, so that a
    /// range which holds the node lets the balancer's own addresses in too.
    fn lets_in(&self, service: &Service, source: IpAddr) -> bool {
        let ranges = &service.source_ranges;
        let within = |address: &IpAddr| ranges.iter().any(|range| range.contains(address));
        let primary = self.input.node.addresses.iter().find(|one| one.is_ipv4());
        ranges.is_empty()
            || within(&source)
            || (primary.is_some_and(within) && service.load_balancer_ips.contains(&source))
    }

    fn client(&self, packet: &Packet) -> Client {
        let place = match packet.interface {
            None if self.is_own(packet.flow.to.ip()) => Place::Itself,
            None => Place::Process,
            Some(_) => Place::Interface,
        };
        Client {
            known: self.is_known(packet),
            place,
        }
    }

    /// Whether the node takes the sender for one of its pods.
    fn is_known(&self, packet: &Packet) -> bool {
        let source = packet.flow.from.ip();
        let interface = packet.interface.as_deref().unwrap_or_default();
        let of = |ranges: &[ipnet::IpNet]| {
            let first = ranges.iter().find(|range| range.addr().is_ipv4());
            first.is_some_and(|range| range.contains(&source))
        };
        match &self.input.configuration.detect_local {
            DetectLocal::ClusterCidr => of(&self.input.configuration.cluster_cidrs),
            DetectLocal::NodeCidr => of(&self.input.node.pod_cidrs),
            DetectLocal::BridgeInterface(name) => interface == name,
            DetectLocal::InterfaceNamePrefix(prefix) => interface.starts_with(prefix),
            DetectLocal::None => false,
        }
    }

    /// Whoever calls himself through a service must be masqueraded, or answers would not come
    /// back this way. What stays on the node is not masqueraded on its way in.
    fn chosen(&self, packet: &Packet, address: SocketAddr, masquerade: bool) -> Chosen {
        let leaves = packet.interface.is_none() || !self.is_own(address.ip());
        let hairpin = address.ip() == packet.flow.from.ip();
        Chosen {
            address,
            masqueraded: leaves && (masquerade || hairpin),
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.input.node.addresses.contains(&address)
    }
}

fn masquerade(input: &Input) -> Masquerade {
    let configuration = &input.configuration;
    let known = |ranges: &[ipnet::IpNet]| ranges.iter().any(|range| range.addr().is_ipv4());
    let tells = match &configuration.detect_local {
        DetectLocal::ClusterCidr => known(&configuration.cluster_cidrs),
        DetectLocal::NodeCidr => known(&input.node.pod_cidrs),
        DetectLocal::BridgeInterface(_) | DetectLocal::InterfaceNamePrefix(_) => true,
        DetectLocal::None => false,
    };
    match tells {
        _ if configuration.masquerade_all => Masquerade::All,
        true => Masquerade::Others,
        false => Masquerade::None,
    }
}
