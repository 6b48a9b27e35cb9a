//! Cases that follow from Istio's rules.

mod bookinfo;
mod clusters;
mod endpoints;
mod gateways;
mod inbound;
mod large;
mod routes;
mod scopes;

use super::cluster::Cluster;
use super::registry::{Endpoint, Health, Proxy, Service, ServicePort, World};
use super::route::{Action, Request, Route, To};
use super::tables::{Chain, Outbound, Scope};
use super::{Compiler, View};
use crate::istio::config::*;
use crate::istio::locality::{Distribution, Locality};
use crate::istio::network::Gateways;
use crate::istio::protocol::Protocol;
use crate::istio::push::Role;
use crate::istio::version::Version;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// A mesh to be translated.
struct Mesh {
    services: Vec<Service>,
    endpoints: Vec<Vec<Endpoint>>,
    objects: Configuration,
    config: MeshConfig,
    gateways: Gateways,
    version: Version,
}

impl Default for Mesh {
    fn default() -> Self {
        Mesh {
            services: Vec::new(),
            endpoints: Vec::new(),
            objects: Configuration::default(),
            config: MeshConfig::default(),
            gateways: Gateways::default(),
            version: Version::new(30),
        }
    }
}

fn labels(text: &str) -> Labels {
    let pairs = text
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn identity(namespace: &str, name: &str, created: i64) -> Identity {
    Identity {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        created: Created::Before(created),
    }
}

fn host(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.cluster.local")
}

fn proxy(namespace: &str, text: &str) -> Proxy {
    Proxy {
        namespace: namespace.to_owned(),
        labels: labels(text),
        locality: Locality::parse("eu/a"),
        cluster: 0,
        network: None,
    }
}

impl Mesh {
    fn world(&self) -> World<'_> {
        World {
            services: &self.services,
            objects: &self.objects,
            mesh: &self.config,
            domain: "cluster.local",
            gateways: &self.gateways,
            version: self.version,
        }
    }

    /// Adds a service with ports, each as `name:number`.
    fn service(&mut self, name: &str, namespace: &str, ports: &str) -> usize {
        let number = self.services.len();
        let ports = ports.split_whitespace().filter_map(|it| it.split_once(':'));
        let address = Ipv4Addr::new(10, 96, (number / 250) as u8, (number % 250) as u8 + 1);
        self.services.push(Service {
            host: host(name, namespace),
            namespace: namespace.to_owned(),
            created: Created::Before(number as i64),
            addresses: vec![IpAddr::V4(address)],
            ranges: Vec::new(),
            ports: ports
                .map(|(name, number)| {
                    let number = number.parse().unwrap();
                    ServicePort {
                        number,
                        name: name.to_owned(),
                        protocol: Protocol::of_port(number, Some(name), None, name == "udp"),
                    }
                })
                .collect(),
            resolution: Resolution::Static,
            location: Location::Internal,
            export_to: ExportTo::Default,
            distribution: Distribution::Any,
            publishes_unready: false,
            is_of_entry: false,
        });
        self.endpoints.push(Vec::new());
        number
    }

    /// Adds an endpoint of a service at a place.
    fn endpoint(&mut self, service: usize, text: &str, place: &str) -> &mut Endpoint {
        let last = self.endpoints[service].len() as u8 + 1;
        let it = &self.services[service];
        self.endpoints[service].push(Endpoint {
            workload: 0,
            address: IpAddr::V4(Ipv4Addr::new(10, 1, service as u8, last)),
            targets: it.ports.iter().map(|port| Some(port.number)).collect(),
            labels: labels(text),
            locality: Locality::parse(place),
            cluster: 0,
            network: None,
            namespace: it.namespace.clone(),
            weight: 1,
            health: Health::Ready,
            has_sidecar: true,
        });
        self.endpoints[service].last_mut().unwrap()
    }

    fn told(&self, proxy: &Proxy) -> Told {
        self.told_as(proxy, Role::Sidecar)
    }

    fn told_as(&self, proxy: &Proxy, role: Role) -> Told {
        let mut compiler = Compiler::new(&self.world());
        let view = compiler.view(&self.world(), &self.endpoints, proxy, role);
        Told { compiler, view }
    }
}

/// What a proxy is told.
struct Told {
    compiler: Compiler,
    view: View,
}

/// A request by its authority, path and headers.
fn get<'a>(
    authority: &'a str,
    path: &'a str,
    headers: &'a BTreeMap<String, String>,
) -> Request<'a> {
    Request {
        method: "GET",
        scheme: "http",
        authority,
        path,
        headers,
        token: None,
    }
}

impl Told {
    fn scope(&self) -> &Scope {
        &self.compiler.tables.scopes[self.view.scope as usize]
    }

    fn name(&self, number: u32) -> String {
        let known = self.scope().by_name.get(number).is_some();
        let name = self.compiler.tables.names[number as usize].to_string();
        if known {
            name
        } else {
            format!("{name} (unknown)")
        }
    }

    fn cluster(&self, name: &str) -> &Cluster {
        let tables = &self.compiler.tables;
        let clusters = self.scope().clusters.iter();
        let mut clusters = clusters.map(|&number| &tables.clusters[number as usize]);
        let of_name = |it: &&Cluster| tables.names[it.name as usize].to_string() == name;
        clusters.find(of_name).unwrap_or_else(|| panic!("{name}"))
    }

    fn clusters(&self) -> Vec<String> {
        let tables = &self.compiler.tables;
        let clusters = self.scope().clusters.iter();
        let mut names: Vec<String> = clusters
            .map(|&number| self.name(tables.clusters[number as usize].name))
            .collect();
        names.sort();
        names
    }

    /// The listener that takes requests for a host at a port, found by the port alone.
    fn route(&self, port: u16, request: &Request<'_>) -> Option<&Route> {
        let anywhere = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
        let Outbound::Listener(listener) = self.scope().outbound(None, anywhere, port) else {
            return None;
        };
        let tables = &self.compiler.tables;
        let host = self
            .scope()
            .host(&tables.directory, listener, request.authority)?;
        let mut routes = tables.hosts[host as usize].routes.iter();
        routes.find(|route| route.conditions.matches(request))
    }

    /// Clusters that a request may go to, with their weights.
    fn shares(&self, port: u16, request: &Request<'_>) -> Vec<String> {
        match self.route(port, request).map(|route| &route.action) {
            Some(Action::Forward { choices, total }) => choices
                .iter()
                .map(|choice| match choice.to {
                    To::Cluster(name) => {
                        format!("{}/{total} {}", choice.weight, self.name(name))
                    }
                    To::Nowhere(status) => format!("{}/{total} {status}", choice.weight),
                })
                .collect(),
            Some(Action::Redirect(redirect)) => vec![format!("redirect {}", redirect.status)],
            Some(Action::Respond { status, .. }) => vec![format!("respond {status}")],
            None => vec!["no route".to_owned()],
        }
    }

    /// Endpoints of a cluster: address or gateway, priority and weight.
    fn hosts(&self, name: &str) -> Vec<(u32, u32, super::place::Host)> {
        let tables = &self.compiler.tables;
        let wanted = self.cluster(name);
        let number = self.scope().clusters.iter();
        let number = number
            .copied()
            .find(|&number| std::ptr::eq(&tables.clusters[number as usize], wanted));
        let viewer = &tables.viewers[self.view.viewer as usize];
        let assignment = viewer.assignments.get(number.unwrap()).unwrap();
        let groups = &tables.assignments[assignment as usize].groups;
        let each = groups.iter().flat_map(|group| {
            let hosts = group.hosts.iter();
            hosts.map(|host| (group.priority, group.weight, *host))
        });
        each.collect()
    }
}

fn no_headers() -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn destination(host: &str, subset: Option<&str>) -> Destination {
    Destination {
        host: host.to_owned(),
        subset: subset.map(str::to_owned),
        port: None,
    }
}

fn to(host: &str, subset: Option<&str>, weight: u32) -> HttpDestination {
    HttpDestination {
        target: Target::Host(destination(host, subset)),
        weight,
        headers: HeaderChanges::default(),
    }
}

/// A VirtualService for sidecars.
fn virtual_service(
    (namespace, name, created): (&str, &str, i64),
    hosts: &[&str],
    http: Vec<HttpRoute>,
) -> VirtualService {
    VirtualService {
        identity: identity(namespace, name, created),
        hosts: hosts.iter().map(|host| host.to_string()).collect(),
        gateways: vec![GatewayName::Mesh],
        http,
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Default,
        is_of_gateway_api: false,
    }
}

fn forward(destinations: Vec<HttpDestination>) -> HttpRoute {
    HttpRoute::plain(Vec::new(), HttpAction::Forward(destinations))
}

/// A DestinationRule with subsets by the label `version`.
fn destination_rule(
    (namespace, name, created): (&str, &str, i64),
    host: &str,
    versions: &[&str],
) -> DestinationRule {
    DestinationRule {
        identity: identity(namespace, name, created),
        host: host.to_owned(),
        policy: TrafficPolicy::default(),
        subsets: versions
            .iter()
            .map(|version| Subset {
                name: version.to_string(),
                labels: labels(&format!("version={version}")),
                policy: TrafficPolicy::default(),
            })
            .collect(),
        export_to: ExportTo::Default,
        selector: Labels::new(),
    }
}
