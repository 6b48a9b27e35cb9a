//! Ways of connections that are not read as requests: by addresses and by names of TLS.

use super::compile::{Compiler, Finder};
use super::delegates::Merged;
use super::registry::{Proxy, World};
use super::route::{Choice, Lookup, Router, To};
use super::scope::Egress;
use super::tables::Chain;
use crate::istio::config::{Destination, GatewayName, HeaderChanges, WeightedDestination};
use crate::istio::host;
use crate::istio::push::Role;
use crate::istio::range;
use ipnet::IpNet;

impl Compiler {
    /// Ways of connections to a port of a service: those that VirtualServices say, then the plain
    /// one.
    pub(super) fn chains(
        &mut self,
        world: &World<'_>,
        proxy: &Proxy,
        egress: &Egress,
        service: u32,
        port: u16,
    ) -> Vec<Chain> {
        let name = &world.services[service as usize].host;
        let router = Router {
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            gateway: &GatewayName::Mesh,
            port,
        };
        let (mut finder, all) = self.finder(world, proxy, Role::Sidecar);
        let mut chains = Vec::new();
        for &index in &egress.virtual_services {
            let it = &all[index as usize];
            let mut hosts = it.hosts.iter();
            if hosts.any(|of| host::is_subset(name, of)) {
                chains.extend(chains_of(it, router, &mut finder));
            }
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
        chains.push(chain(&[plain], port, &mut finder));
        chains
    }
}

/// Ways of connections that a VirtualService says, for a router.
pub(super) fn chains_of(it: &Merged, router: Router<'_>, finder: &mut Finder<'_>) -> Vec<Chain> {
    let ranges = |texts: &[String]| {
        let ranges = texts.iter().filter_map(|text| range::read(text));
        ranges.collect::<Vec<IpNet>>()
    };
    let mut chains = Vec::new();
    for route in &it.tls {
        for said in route
            .matches
            .iter()
            .filter(|it| router.is_meant_by_connection(&it.source))
        {
            chains.push(Chain {
                server_names: said.sni_hosts.clone(),
                ranges: ranges(&said.destination_subnets),
                ..chain(&route.destinations, router.port, finder)
            });
        }
    }
    for route in &it.tcp {
        let plain = chain(&route.destinations, router.port, finder);
        if route.matches.is_empty() {
            chains.push(plain.clone());
        }
        for said in route
            .matches
            .iter()
            .filter(|it| router.is_meant_by_connection(&it.source))
        {
            chains.push(Chain {
                ranges: ranges(&said.destination_subnets),
                ..plain.clone()
            });
        }
    }
    chains
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
