//! Ways of connections that are not read as requests: by addresses and by names of TLS.

use super::compile::{Compiler, Finder};
use super::delegates::Merged;
use super::registry::{Proxy, ServicePort, World};
use super::route::{Choice, Lookup, Router, To};
use super::scope::Egress;
use super::tables::Chain;
use crate::istio::config::{
    Destination, GatewayName, HeaderChanges, TcpMatch, TlsMatch, WeightedDestination,
};
use crate::istio::host;
use crate::istio::push::Role;
use crate::istio::range;
use ipnet::IpNet;
use std::collections::BTreeSet;

impl Compiler {
    /// Ways of connections to a port of a service: those that VirtualServices say, of TLS for
    /// clients that encrypt by themselves and else of TCP, then the plain one where they leave
    /// something to it.
    pub(super) fn chains(
        &mut self,
        world: &World<'_>,
        proxy: &Proxy,
        egress: &Egress,
        service: u32,
        port: &ServicePort,
    ) -> Vec<Chain> {
        let name = &world.services[service as usize].host;
        let router = Router {
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            gateway: &GatewayName::Mesh,
            port: port.number,
        };
        let (mut finder, all) = self.finder(world, proxy, Role::Sidecar);
        let services = egress.virtual_services.iter();
        let services = services.map(|&index| &all[index as usize]);
        let ours = services.filter(|it| it.hosts.iter().any(|of| host::is_subset(name, of)));
        let mut chains = Vec::new();
        for it in ours {
            if port.protocol.is_tls() {
                chains.extend(chains_of_tls(it, router, &mut finder));
            } else if !chains.iter().any(Chain::takes_all) {
                chains.extend(chains_of_tcp(it, router, &mut finder));
            }
        }
        let is_left_out = match port.protocol.is_tls() {
            true => !chains.is_empty(),
            false => chains.iter().any(Chain::takes_all),
        };
        if is_left_out {
            return chains;
        }
        let destination = Destination {
            host: name.clone(),
            subset: None,
            port: Some(port.number),
        };
        let plain = WeightedDestination {
            destination,
            weight: 1,
        };
        chains.push(chain(&[plain], port.number, &mut finder));
        chains
    }
}

fn ranges(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| range::read(text)).collect()
}

/// Ways of encrypted connections that a VirtualService says, for a router.
fn chains_of_tls(it: &Merged, router: Router<'_>, finder: &mut Finder<'_>) -> Vec<Chain> {
    let mut chains = Vec::new();
    for route in &it.tls {
        let said = route.matches.iter();
        for said in said.filter(|it| router.is_meant_by_connection(&it.source)) {
            chains.push(Chain {
                ranges: ranges(&said.destination_subnets),
                ..chain(&route.destinations, router.port, finder).named(&said.sni_hosts)
            });
        }
    }
    chains
}

/// Ways of other connections that it says, up to the first that takes everything.
fn chains_of_tcp(it: &Merged, router: Router<'_>, finder: &mut Finder<'_>) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let everything = [TcpMatch::default()];
    for route in &it.tcp {
        let said = match route.matches.as_slice() {
            [] => &everything[..],
            said => said,
        };
        let plain = chain(&route.destinations, router.port, finder);
        for said in said
            .iter()
            .filter(|it| router.is_meant_by_connection(&it.source))
        {
            chains.push(Chain {
                ranges: ranges(&said.destination_subnets),
                ..plain.clone()
            });
            if said.destination_subnets.is_empty() {
                return chains;
            }
        }
    }
    chains
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
