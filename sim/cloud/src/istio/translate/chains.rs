//! Ways of connections that are not read as requests: by addresses and by names of TLS.

use super::compile::{Compiler, Finder};
use super::delegates::Merged;
use super::registry::{Proxy, World};
use super::route::{Choice, Lookup, Router, To};
use super::scope::Egress;
use super::tables::{Bind, Chain};
use crate::istio::config::{
    Destination, GatewayName, HeaderChanges, TcpMatch, TlsMatch, WeightedDestination,
};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use crate::istio::push::Role;
use crate::istio::range;
use ipnet::IpNet;
use std::collections::BTreeSet;

/// A port of a service as a listener takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listened {
    pub(super) service: u32,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) bind: Bind,
}

impl Compiler {
    /// Ways of connections to a port of a service: those that VirtualServices say, then the plain
    /// one where they leave something to it. Where clients encrypt by themselves `tls` routes hold,
    /// by the name that they ask for, else `tcp` routes, up to the first that takes everything.
    pub(super) fn chains(
        &mut self,
        world: &World<'_>,
        proxy: &Proxy,
        egress: &Egress,
        listened: Listened,
    ) -> Vec<Chain> {
        let Listened { port, bind, .. } = listened;
        let service = &world.services[listened.service as usize];
        let name = &service.host;
        let router = Router {
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            gateway: &GatewayName::Mesh,
            port,
        };
        let (mut finder, all) = self.finder(world, proxy, Role::Sidecar);
        let speaking = egress
            .virtual_services
            .iter()
            .map(|&index| &all[index as usize]);
        let mut speaking =
            speaking.filter(|it| it.hosts.iter().any(|of| host::is_subset(name, of)));
        let ranges = service.ranges.as_slice();
        let is_tls = listened.protocol.is_tls();
        let mut chains: Vec<Chain> = Vec::new();
        let is_done = match is_tls {
            true => {
                for it in speaking {
                    for chain in encrypted(it, ranges, router, &mut finder) {
                        chain.join(&mut chains);
                    }
                }
                !chains.is_empty()
            }
            false => speaking.any(|it| opaque(it, ranges, router, &mut finder, &mut chains)),
        };
        if is_done {
            return chains;
        }
        let destination = Destination {
            host: name.clone(),
            subset: None,
            port: Some(port),
        };
        let plain = WeightedDestination {
            destination,
            weight: 1,
        };
        // Where no address tells services apart the name does that clients ask for.
        let by_name = is_tls && (bind == Bind::Any || !ranges.is_empty());
        let plain = Chain {
            server_names: by_name.then(|| name.clone()).into_iter().collect(),
            ranges: ranges.to_vec(),
            ..chain(&[plain], port, &mut finder)
        };
        plain.join(&mut chains);
        chains
    }
}

impl Chain {
    /// Adds itself to others, unless one of them takes the same connections.
    pub(super) fn join(self, others: &mut Vec<Chain>) {
        let key = |chain: &Chain| {
            let names = chain.server_names.iter();
            let ranges = chain.ranges.iter().map(IpNet::trunc);
            (
                names.cloned().collect::<BTreeSet<String>>(),
                ranges.collect::<BTreeSet<IpNet>>(),
            )
        };
        if !others.iter().any(|other| key(other) == key(&self)) {
            others.push(self);
        }
    }
}

/// Ways that `tls` routes of a VirtualService say, to addresses in `ranges` unless they say others.
fn encrypted(
    it: &Merged,
    ranges: &[IpNet],
    router: Router<'_>,
    finder: &mut Finder<'_>,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for route in &it.tls {
        let meant = route.matches.iter();
        for said in meant.filter(|it| router.is_meant_by_connection(&it.source)) {
            chains.push(Chain {
                ranges: or_all(read(&said.destination_subnets), ranges),
                ..chain(&route.destinations, router.port, finder).named(&said.sni_hosts)
            });
        }
    }
    chains
}

/// Adds ways that `tcp` routes of a VirtualService say; whether one of them takes everything, so
/// that nothing comes after it.
fn opaque(
    it: &Merged,
    ranges: &[IpNet],
    router: Router<'_>,
    finder: &mut Finder<'_>,
    chains: &mut Vec<Chain>,
) -> bool {
    for route in &it.tcp {
        let mut to = |ranges: Vec<IpNet>| Chain {
            ranges,
            ..chain(&route.destinations, router.port, finder)
        };
        let meant = route.matches.iter();
        let mut meant = meant
            .filter(|it| router.is_meant_by_connection(&it.source))
            .peekable();
        let takes_all = |said: &TcpMatch| said.destination_subnets.is_empty();
        if route.matches.is_empty() || meant.clone().any(takes_all) {
            to(ranges.to_vec()).join(chains);
            return true;
        }
        if meant.peek().is_some() {
            let said = meant.flat_map(|said| read(&said.destination_subnets));
            to(said.collect()).join(chains);
        }
    }
    false
}

fn read(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| range::read(text)).collect()
}

fn or_all(said: Vec<IpNet>, all: &[IpNet]) -> Vec<IpNet> {
    match said.is_empty() {
        true => all.to_vec(),
        false => said,
    }
}

/// The way of connections that a gateway takes in plaintext, or decrypts: the first that a
/// VirtualService says. Of a TLSRoute there is none but those of TLS, which act here since Istio
/// 1.30.
pub(super) fn way_in(it: &Merged, router: Router<'_>, finder: &mut Finder<'_>) -> Option<Chain> {
    let of_tcp = it.tcp.iter().find(|route| {
        let mut said = route.matches.iter();
        route.matches.is_empty() || said.any(|it| router.is_meant_at_gateway(&it.source))
    });
    let of_tls = it.tls.iter().find(|route| {
        let mut said = route.matches.iter();
        said.any(|it| router.is_meant_at_gateway(&it.source))
    });
    let ends_tls = it.is_of_gateway_api && finder.version().routes_what_gateways_decrypt();
    let destinations = match (of_tcp, of_tls.filter(|_| ends_tls)) {
        (Some(route), _) => &route.destinations,
        (None, Some(route)) => &route.destinations,
        (None, None) => return None,
    };
    Some(chain(destinations, router.port, finder))
}

/// Ways of connections that a gateway passes on encrypted. A match whose names are `known` at the
/// port in part is left out.
pub(super) fn ways_past(
    it: &Merged,
    router: Router<'_>,
    known: &mut BTreeSet<String>,
    finder: &mut Finder<'_>,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for route in &it.tls {
        let said = route.matches.iter();
        for said in said.filter(|it| router.is_meant_at_gateway(&it.source)) {
            if said.sni_hosts.iter().any(|name| known.contains(name)) {
                continue;
            }
            known.extend(said.sni_hosts.iter().cloned());
            chains.push(chain(&route.destinations, router.port, finder).named(&said.sni_hosts));
        }
    }
    chains
}

/// Where connections to a port of a service go from a waypoint, if a VirtualService says so: ways
/// of TLS count where they name the service itself.
pub(super) fn way_through(
    services: &[&Merged],
    host: &str,
    router: Router<'_>,
    finder: &mut Finder<'_>,
) -> Option<Vec<Choice>> {
    let all = || services.iter();
    let of_tls = all().flat_map(|it| &it.tls).find(|route| {
        let mut said = route.matches.iter();
        let names_it = |it: &TlsMatch| it.sni_hosts.len() == 1 && it.sni_hosts[0] == host;
        route.matches.is_empty()
            || said.any(|it| names_it(it) && router.is_meant_by_connection(&it.source))
    });
    let of_tcp = all().flat_map(|it| &it.tcp).find(|route| {
        let mut said = route.matches.iter();
        route.matches.is_empty() || said.any(|it| router.is_meant_by_connection(&it.source))
    });
    let destinations = of_tls.map(|route| &route.destinations);
    let destinations = destinations.or_else(|| of_tcp.map(|route| &route.destinations))?;
    Some(chain(destinations, router.port, finder).choices)
}

fn chain(destinations: &[WeightedDestination], port: u16, finder: &mut Finder<'_>) -> Chain {
    let is_alone = destinations.len() == 1;
    let counts = destinations.iter().filter(|it| is_alone || it.weight > 0);
    let choices: Vec<Choice> = counts
        .map(|it| Choice {
            to: To::Cluster(finder.name(&it.destination, port)),
            weight: if is_alone { 1 } else { it.weight },
            headers: HeaderChanges::default(),
        })
        .collect();
    Chain {
        server_names: Vec::new(),
        ranges: Vec::new(),
        total: choices.iter().map(|it| u64::from(it.weight)).sum(),
        choices,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::istio::config::{Labels, Source};

    #[test]
    fn matches_of_connections_ask_for_all_that_they_say_and_those_of_http_do_not() {
        let labels = |app: &str| Labels::from([("app".to_owned(), app.to_owned())]);
        let own = labels("browser");
        let router = Router {
            namespace: "default",
            labels: &own,
            gateway: &GatewayName::Mesh,
            port: 5_432,
        };
        let source = |app: &str, namespace: &str| Source {
            port: None,
            labels: labels(app),
            namespace: Some(namespace.to_owned()),
            gateways: vec![GatewayName::Mesh],
        };
        assert!(router.is_meant_by_connection(&source("browser", "default")));
        for (app, namespace) in [("web", "default"), ("browser", "away")] {
            let other = source(app, namespace);
            assert!(!router.is_meant_by_connection(&other), "{app} {namespace}");
            // Gateways alone decide about requests.
            assert!(router.is_meant(&other), "{app} {namespace}");
        }
    }
}
