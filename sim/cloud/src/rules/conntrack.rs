//! Connections that a node's kernel tracks, and which of them kube-proxy cleans away.
//!
//! Models: the first packet of a flow decides where all of it goes; when rules change, TCP
//! connections stay as they are, and UDP flows are forgotten that go to an endpoint which is
//! gone, so that their next packet meets the new rules. Up to 1.31 a kube-proxy goes by what has
//! changed since its last sync: it forgets as well all flows to a service that had no endpoint
//! before, and to a service, address or port that is gone. Since 1.32 it looks through the table
//! itself, for flows that go to no endpoint of their service, but for services that have none.
//! Approximated: since 1.32 too it looks at every sync, not only after a change of endpoints of UDP.
//! Leaves out: how long entries live, which is in the data path; the size of the table.
//! Sources: kubernetes/kubernetes v1.30.5 pkg/proxy/conntrack/cleanup.go and
//! endpointschangetracker.go; v1.36 pkg/proxy/conntrack/cleanup.go, CleanStaleEntries; issue 139628.
//! Validated by: this file's tests.

use super::{Input, Protocol};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What tells one connection from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Protocol.
    pub protocol: Protocol,
    /// Source.
    pub from: SocketAddr,
    /// Destination, before it is translated.
    pub to: SocketAddr,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it really goes.
    pub to: SocketAddr,
    /// Whether it goes with the node's address as its source.
    pub masqueraded: bool,
    /// Whether there was an answer.
    pub answered: bool,
}

/// Connections under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    entries: BTreeMap<Flow, Entry>,
}

impl Connections {
    /// What is known of a flow.
    pub fn get(&self, flow: &Flow) -> Option<Entry> {
        self.entries.get(flow).copied()
    }

    /// A first packet has passed.
    pub fn track(&mut self, flow: Flow, entry: Entry) {
        self.entries.insert(flow, entry);
    }

    /// An answer has come.
    pub fn answered(&mut self, flow: &Flow) {
        if let Some(entry) = self.entries.get_mut(flow) {
            entry.answered = true;
        }
    }

    /// Forgets what the change of rules has made wrong. Says how many flows.
    pub fn clean(&mut self, stale: &Stale) -> usize {
        let before = self.entries.len();
        self.entries
            .retain(|flow, entry| !stale.contains(flow, entry));
        before - self.entries.len()
    }
}

/// A service port at one of its addresses; without an address at those of nodes.
type Front = (Option<IpAddr>, u16);

/// First minor version that looks through the table itself.
const RECONCILED_FROM_MINOR: u32 = 32;

/// By what a kube-proxy knows that UDP flows are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaning {
    /// By what changed since its last sync.
    ByChange,
    /// By where they go.
    ByState,
}

impl Cleaning {
    /// That of a minor version of Kubernetes.
    pub fn of_minor(minor: u32) -> Cleaning {
        if minor < RECONCILED_FROM_MINOR {
            Cleaning::ByChange
        } else {
            Cleaning::ByState
        }
    }

    /// Whether a sync forgets a flow to `to`, through a port whose serving endpoints were `had` at
    /// the last sync and are `has` now.
    pub fn forgets<E: PartialEq>(self, to: &E, had: &[E], has: &[E]) -> bool {
        match self {
            Cleaning::ByChange => {
                let came = had.is_empty() && !has.is_empty();
                came || had.contains(to) && !has.contains(to)
            }
            Cleaning::ByState => !has.is_empty() && !has.contains(to),
        }
    }
}

/// What tells UDP flows that are wrong after a change of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    cleaning: Cleaning,
    before: Fronts,
    after: Fronts,
}

/// Serving endpoints of UDP ports.
type Fronts = BTreeMap<Front, Vec<SocketAddr>>;

impl Stale {
    /// What a sync cleans away that makes rules of `after` where those of `before` were.
    pub fn between(before: &Input, after: &Input) -> Stale {
        Stale {
            cleaning: Cleaning::of_minor(after.kubernetes_minor),
            before: fronts(before),
            after: fronts(after),
        }
    }

    fn contains(&self, flow: &Flow, entry: &Entry) -> bool {
        let at = |address| {
            let front = (address, flow.to.port());
            match (self.before.get(&front), self.after.get(&front)) {
                (had, Some(has)) => {
                    let had = had.map_or(&[][..], Vec::as_slice);
                    self.cleaning.forgets(&entry.to, had, has)
                }
                (Some(_), None) => self.cleaning == Cleaning::ByChange,
                (None, None) => false,
            }
        };
        flow.protocol == Protocol::Udp && (at(Some(flow.to.ip())) || at(None))
    }
}

fn fronts(input: &Input) -> Fronts {
    let mut fronts = BTreeMap::new();
    for service in &input.services {
        let addresses: Vec<IpAddr> = std::iter::once(service.cluster_ip)
            .chain(service.external_ips.iter().copied())
            .chain(service.load_balancer_ips.iter().copied())
            .collect();
        let udp = service.ports.iter();
        for port in udp.filter(|port| port.protocol == Protocol::Udp) {
            let serving = port.endpoints.iter().filter(|one| one.serving);
            let serving: Vec<SocketAddr> = serving.map(|one| one.address).collect();
            let at = addresses.iter().map(|address| (Some(*address), port.port));
            let at = at.chain(port.node_port.map(|number| (None, number)));
            fronts.extend(at.map(|front| (front, serving.clone())));
        }
    }
    fronts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Endpoint, Service, ServicePort};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn input(endpoints: &[&str], kubernetes_minor: u32) -> Input {
        let endpoint = |text: &&str| Endpoint {
            address: address(text),
            node: None,
            ready: true,
            serving: true,
            terminating: false,
            zone_hints: Vec::new(),
            node_hints: Vec::new(),
        };
        let port = |protocol, node_port| ServicePort {
            name: String::new(),
            protocol,
            port: 53,
            node_port,
            endpoints: endpoints.iter().map(endpoint).collect(),
        };
        let service = Service {
            namespace: "default".into(),
            name: "names".into(),
            cluster_ip: "10.96.0.10".parse().unwrap(),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            internal_local: false,
            external_local: false,
            affinity: None,
            health_check_node_port: None,
            ports: vec![port(Protocol::Udp, Some(30_053)), port(Protocol::Tcp, None)],
        };
        Input {
            services: vec![service],
            kubernetes_minor,
            ..Input::default()
        }
    }

    /// Flows of both protocols to the cluster address and a node's, one to each endpoint.
    fn connections(endpoints: &[&str]) -> Connections {
        let mut connections = Connections::default();
        for (port, to) in (1..).zip(endpoints) {
            let from = SocketAddr::new("10.1.0.9".parse().unwrap(), port);
            let entry = Entry {
                to: address(to),
                masqueraded: false,
                answered: true,
            };
            for (protocol, front) in [
                (Protocol::Udp, "10.96.0.10:53"),
                (Protocol::Udp, "192.168.0.1:30053"),
                (Protocol::Tcp, "10.96.0.10:53"),
            ] {
                let to = address(front);
                connections.track(Flow { protocol, from, to }, entry);
            }
        }
        connections
    }

    /// How many of six flows to two endpoints are cleaned away by a change.
    fn cleaned(before: &[&str], after: Option<&[&str]>, minor: u32) -> usize {
        let nothing = Input {
            kubernetes_minor: minor,
            ..Input::default()
        };
        let after = after.map_or(nothing, |after| input(after, minor));
        let stale = Stale::between(&input(before, minor), &after);
        connections(&["10.1.0.1:53", "10.1.0.2:53"]).clean(&stale)
    }

    #[test]
    fn udp_flows_leave_an_endpoint_that_is_gone_and_tcp_connections_do_not() {
        let both = &["10.1.0.1:53", "10.1.0.2:53"][..];
        for minor in [28, 31, 32, 36] {
            assert_eq!(cleaned(both, Some(both), minor), 0);
            assert_eq!(cleaned(both, Some(&both[..1]), minor), 2);
        }
        assert_eq!(cleaned(&both[..1], Some(both), 31), 0);
    }

    #[test]
    fn a_service_that_loses_its_last_endpoint_keeps_its_udp_flows_since_1_32() {
        let both = &["10.1.0.1:53", "10.1.0.2:53"][..];
        assert_eq!(cleaned(both, Some(&[]), 31), 4);
        assert_eq!(cleaned(both, Some(&[]), 32), 0);
    }

    #[test]
    fn all_udp_flows_of_a_service_that_gets_endpoints_or_goes_are_cleaned_away() {
        assert_eq!(cleaned(&[], Some(&["10.1.0.3:53"]), 31), 4);
        assert_eq!(cleaned(&["10.1.0.3:53"], None, 31), 4);
        // What goes where it should is let alone, and what nobody serves any more as well.
        assert_eq!(cleaned(&[], Some(&["10.1.0.3:53"]), 32), 4);
        assert_eq!(cleaned(&[], Some(&["10.1.0.1:53"]), 32), 2);
        assert_eq!(cleaned(&["10.1.0.3:53"], None, 32), 0);
    }
}
