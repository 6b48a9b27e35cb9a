//! Listeners and routes of a sidecar for what its application sends.

use super::proxies::{
    ChainSnapshot, Known, ListenerSnapshot, PASSTHROUGH, PathSnapshot, RouteSnapshot,
    TargetCluster, To, full_name,
};
use crate::facts;
use crate::istio::config::OutboundMode;
use crate::istio::translate::route::{Action, Choice, Path, Route, To as Lead};
use crate::istio::translate::tables::{Bind, Chain, Listener, VirtualHost};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// Protocols by which a sidecar knows requests that are not encrypted.
pub(super) const PLAIN_HTTP: &[&str] = &["http/1.1", "h2c"];
/// What connections that are not encrypted are called.
pub(super) const PLAIN: &str = "raw_buffer";
/// Any address.
pub(super) const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl ChainSnapshot {
    /// One that takes everything.
    pub(super) fn all(to: To) -> Self {
        ChainSnapshot {
            server_names: Vec::new(),
            transport: None,
            applications: &[],
            ranges: Vec::new(),
            port: None,
            to,
        }
    }

    fn takes_all(&self) -> bool {
        *self == ChainSnapshot::all(self.to.clone())
    }
}

impl Known<'_> {
    pub(super) fn listeners(&self) -> Vec<ListenerSnapshot> {
        let listeners = self.scope.listeners.iter();
        listeners.map(|listener| self.listener(listener)).collect()
    }

    fn listener(&self, listener: &Listener) -> ListenerSnapshot {
        let port = listener.port;
        let by_address = |address: &IpAddr| self.tables.directory.by_address.get(address);
        let service = match &listener.bind {
            Bind::Any => None,
            Bind::Address(address) => by_address(address).and_then(|them| them.first()).copied(),
            Bind::Pods(service) => Some(*service),
        };
        let mut chains: Vec<ChainSnapshot> = Vec::new();
        if listener.http.is_some() {
            let own = listener
                .only
                .and_then(|host| self.tables.hosts[host as usize].service);
            let name = match own {
                Some(service) => full_host(&self.translation.service(service).host, port),
                None => port.to_string(),
            };
            chains.push(ChainSnapshot {
                transport: Some(PLAIN),
                applications: PLAIN_HTTP,
                ..ChainSnapshot::all(To::Routes(name))
            });
        }
        chains.extend(listener.chains.iter().map(|chain| self.chain(chain)));
        if !chains.iter().any(ChainSnapshot::takes_all) {
            chains.push(ChainSnapshot::all(self.unknown()));
        }
        let address = match listener.bind {
            Bind::Address(address) => address,
            Bind::Any | Bind::Pods(_) => ANY,
        };
        ListenerSnapshot {
            address: Some(service.map_or(address, |service| self.address(service, address))),
            port,
            chains,
        }
    }

    pub(super) fn chain(&self, chain: &Chain) -> ChainSnapshot {
        let only = match chain.choices.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let to = match only.map(|only| only.to) {
            Some(Lead::Nowhere(_)) => To::Nothing,
            Some(Lead::Cluster(name)) => To::Cluster(Some(self.name(name))),
            None => To::Cluster(None),
        };
        ChainSnapshot {
            server_names: chain.server_names.clone(),
            ranges: chain.ranges.iter().map(IpNet::to_string).collect(),
            ..ChainSnapshot::all(to)
        }
    }

    /// The listener for everything that no other takes.
    pub(super) fn catch_all(&self) -> ListenerSnapshot {
        let port = facts::ISTIO_OUTBOUND_PORT.value as u16;
        let itself = ChainSnapshot {
            port: Some(port),
            ..ChainSnapshot::all(To::Nothing)
        };
        ListenerSnapshot {
            address: Some(ANY),
            port,
            chains: vec![itself, ChainSnapshot::all(self.unknown())],
        }
    }

    /// Where connections go that nothing is said about.
    fn unknown(&self) -> To {
        match self.scope.unknown {
            OutboundMode::RegistryOnly => To::Nothing,
            OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => {
                To::Cluster(Some(PASSTHROUGH.to_owned()))
            }
        }
    }

    pub(super) fn routes(&self) -> Vec<RouteSnapshot> {
        let mut routes = Vec::new();
        for table in &self.scope.tables {
            for &(service, host) in &table.services {
                let known = &self.tables.hosts[host as usize];
                let full = full_host(&known.host, table.port);
                let (name, domains) = match self.translation.is_sniffed(service, table.port) {
                    true => (full.clone(), vec!["*".to_owned()]),
                    false => (table.port.to_string(), self.domains(service)),
                };
                routes.extend(self.routes_of(known, &name, &full, &domains));
            }
            for (name, host) in &table.others {
                let known = &self.tables.hosts[*host as usize];
                let full = full_host(name, table.port);
                let (port, domains) = (table.port.to_string(), [name.clone()]);
                routes.extend(self.routes_of(known, &port, &full, &domains));
            }
            if self.scope.unknown == OutboundMode::RegistryOnly {
                routes.push(RouteSnapshot {
                    name: table.port.to_string(),
                    virtual_host: "block_all".to_owned(),
                    domains: vec!["*".to_owned()],
                    path: PathSnapshot::Begins("/".to_owned()),
                    virtual_service: None,
                    clusters: Vec::new(),
                    settings: String::new(),
                });
            }
        }
        routes
    }

    pub(super) fn routes_of(
        &self,
        host: &VirtualHost,
        name: &str,
        full: &str,
        domains: &[String],
    ) -> Vec<RouteSnapshot> {
        let objects = self.translation.objects(self.generation);
        let said = host.virtual_service;
        let said = said.and_then(|place| objects.virtual_services.get(place));
        let route = |route: &Route| RouteSnapshot {
            name: name.to_owned(),
            virtual_host: full.to_owned(),
            domains: domains.to_vec(),
            path: match route.conditions.path() {
                Path::Is(path) => PathSnapshot::Is(path.to_owned()),
                Path::Begins(path) => PathSnapshot::Begins(path.to_owned()),
                Path::Below(path) => PathSnapshot::Below(path.to_owned()),
                Path::Matches(regex) => PathSnapshot::Matches(regex.to_owned()),
            },
            virtual_service: said.map(|said| full_name(&said.identity)),
            clusters: self.targets(&route.action),
            settings: self.settings(route),
        };
        host.routes.iter().map(route).collect()
    }

    fn targets(&self, action: &Action) -> Vec<TargetCluster> {
        let Action::Forward { choices, .. } = action else {
            return Vec::new();
        };
        let target = |choice: &Choice| TargetCluster {
            name: match choice.to {
                Lead::Cluster(name) => Some(self.name(name)),
                Lead::Nowhere(_) => None,
            },
            weight: choice.weight,
        };
        choices.iter().map(target).collect()
    }

    /// What holds for a route, apart from numbers that each configuration gives anew.
    fn settings(&self, route: &Route) -> String {
        let mirrors = route.mirrors.iter();
        let mirrors = mirrors.map(|(name, share)| (self.name(*name), *share));
        let mirrors: Vec<_> = mirrors.collect();
        let unnumbered = Route {
            action: match &route.action {
                Action::Forward { total, .. } => Action::Forward {
                    choices: Vec::new(),
                    total: *total,
                },
                other => other.clone(),
            },
            mirrors: Vec::new(),
            ..route.clone()
        };
        format!("{unnumbered:?} {mirrors:?}")
    }

    /// Names by which requests ask for a service, from the proxy's namespace.
    fn domains(&self, service: u32) -> Vec<String> {
        let described = self.translation.service(service);
        let host = &described.host;
        let mut domains = vec![host.clone()];
        let suffix = format!(".svc.{}", self.tables.directory.domain);
        if let Some(short) = host.strip_suffix(&suffix)
            && let Some((name, namespace)) = short.split_once('.')
        {
            if namespace == self.scope.namespace {
                domains.push(name.to_owned());
            }
            domains.extend([format!("{short}.svc"), short.to_owned()]);
        }
        if described.addresses.is_empty() {
            let wildcards: Vec<String> = domains.iter().map(|it| format!("*.{it}")).collect();
            domains.extend(wildcards);
        }
        domains.extend(self.addresses(service).map(|address| address.to_string()));
        domains
    }
}

/// A host with its port.
fn full_host(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}
