//! Connections that a node's kernel tracks, and which of them kube-proxy cleans away.
//!
//! Models: the first packet of a flow decides where all of it goes; when rules change, TCP
//! connections stay as they are, and UDP flows are forgotten that go to an endpoint which is
//! gone, or to a service that had no endpoint before, or to a service, address or port that is
//! gone, so that their next packet meets the new rules.
//! Leaves out: time-outs of entries, the size of the table.
//! Sources: kubernetes/kubernetes v1.30.5 pkg/proxy/conntrack/cleanup.go and
//! endpointschangetracker.go.
//! Validated by: this file's tests.

use super::{Input, Protocol};
use std::collections::{BTreeMap, BTreeSet};
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

/// UDP flows that are wrong after a change of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Those to one of these, whatever they go to.
    fronts: BTreeSet<Front>,
    /// Those to one of these that go to this endpoint.
    endpoints: BTreeSet<(Front, SocketAddr)>,
}

impl Stale {
    /// What a sync cleans away that makes rules of `after` where those of `before` were.
    pub fn between(before: &Input, after: &Input) -> Stale {
        let (before, after) = (fronts(before), fronts(after));
        let mut stale = Stale::default();
        for (front, had) in &before {
            let Some(has) = after.get(front) else {
                stale.fronts.insert(*front);
                continue;
            };
            if had.is_empty() && !has.is_empty() {
                stale.fronts.insert(*front);
            }
            let gone = had.difference(has);
            stale.endpoints.extend(gone.map(|gone| (*front, *gone)));
        }
        stale
    }

    fn contains(&self, flow: &Flow, entry: &Entry) -> bool {
        let at = |address| {
            let front = (address, flow.to.port());
            self.fronts.contains(&front) || self.endpoints.contains(&(front, entry.to))
        };
        flow.protocol == Protocol::Udp && (at(Some(flow.to.ip())) || at(None))
    }
}

/// Serving endpoints of UDP ports.
fn fronts(input: &Input) -> BTreeMap<Front, BTreeSet<SocketAddr>> {
    let mut fronts = BTreeMap::new();
    for service in &input.services {
        let addresses: Vec<IpAddr> = std::iter::once(service.cluster_ip)
            .chain(service.external_ips.iter().copied())
            .chain(service.load_balancer_ips.iter().copied())
            .collect();
        let udp = service.ports.iter();
        for port in udp.filter(|port| port.protocol == Protocol::Udp) {
            let serving = port.endpoints.iter().filter(|one| one.serving);
            let serving: BTreeSet<SocketAddr> = serving.map(|one| one.address).collect();
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

    fn input(endpoints: &[&str]) -> Input {
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
    fn cleaned(before: &[&str], after: Option<&[&str]>) -> usize {
        let after = after.map_or_else(Input::default, input);
        let stale = Stale::between(&input(before), &after);
        connections(&["10.1.0.1:53", "10.1.0.2:53"]).clean(&stale)
    }

    #[test]
    fn udp_flows_leave_an_endpoint_that_is_gone_and_tcp_connections_do_not() {
        let both = &["10.1.0.1:53", "10.1.0.2:53"][..];
        assert_eq!(cleaned(both, Some(both)), 0);
        assert_eq!(cleaned(both, Some(&both[..1])), 2);
        assert_eq!(cleaned(both, Some(&[])), 4);
        assert_eq!(cleaned(&both[..1], Some(both)), 0);
    }

    #[test]
    fn all_udp_flows_of_a_service_that_gets_endpoints_or_goes_are_cleaned_away() {
        assert_eq!(cleaned(&[], Some(&["10.1.0.3:53"])), 4);
        assert_eq!(cleaned(&["10.1.0.3:53"], None), 4);
    }
}
