//! Compiles what proxies are told. Whatever is equal for several proxies is compiled once.

use super::cluster::{self, ClusterName, Discovery, Part};
use super::delegates::{self, Merged};
use super::edge;
use super::keys::{self, is_hash};
use super::listen::listen;
use super::place;
use super::registry::{Endpoint, Proxy, Service, World};
use super::route::{self, Lookup, Route, Router};
use super::rules::{Rules, policy};
use super::scope::{self, Led, Ports, Twins};
use super::tables::{Directory, Index, Scope, Tables, View, Viewer, VirtualHost};
use super::waypoint;
use crate::istio::authentication::Sent;
use crate::istio::config::{Destination, GatewayName, Labels, Retries};
use crate::istio::locality::Locality;
use crate::istio::protocol::Protocol;
use crate::istio::push::Role;
use crate::istio::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What decides about a scope: proxies with an equal key know the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeKey {
    namespace: String,
    sidecar: Option<usize>,
    role: Role,
    /// Those labels that some object asks for.
    labels: Labels,
}

/// What decides about endpoints: proxies with an equal key are told the same.
type ViewerKey = (Locality, u32, Option<u32>, Labels);

/// What decides about routes of a VirtualService: itself, the port, and the scope, if it matters.
pub(super) type RoutesKey = (u32, u16, u32);

/// What decides about a host: port, service or name, VirtualService, and where its routes are from.
type HostKey = (u16, Result<u32, String>, Option<RoutesKey>, bool);

/// Numbers of clusters' names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<ClusterName, u32>,
}

impl Names {
    fn number(&mut self, all: &mut Vec<ClusterName>, name: ClusterName) -> u32 {
        let next = all.len() as u32;
        *self.numbers.entry(name).or_insert_with_key(|name| {
            all.push(name.clone());
            next
        })
    }
}

/// A host of a VirtualService.
#[derive(Clone, Debug)]
pub(super) enum Spoken {
    /// One name, and the services of this name.
    Host(String, Vec<u32>),
    /// All names that end so.
    Wildcard(String),
}

/// Compiles what proxies are told, and keeps it.
#[derive(Clone)]
pub struct Compiler {
    pub(super) virtual_services: Vec<Merged>,
    /// What each VirtualService speaks of.
    pub(super) spoken_of: Vec<Arc<[Spoken]>>,
    /// For each VirtualService, what it leads to.
    leads_to: Vec<Vec<Led>>,
    /// Whether routes of each depend on who asks.
    depends_on_source: Vec<bool>,
    pub(super) rules: Rules,
    twins: Arc<Twins>,
    /// Labels of proxies that some object asks for.
    scope_labels: BTreeSet<String>,
    viewer_labels: BTreeSet<String>,
    has_hashes: bool,
    names: Names,
    scopes: BTreeMap<ScopeKey, u32>,
    viewers: BTreeMap<ViewerKey, u32>,
    /// Of services, under rules, and whether for gateways.
    clusters: BTreeMap<(u32, Option<u32>, bool), Arc<[u32]>>,
    routes: BTreeMap<RoutesKey, Arc<[Route]>>,
    hosts: BTreeMap<HostKey, u32>,
    /// What has been compiled.
    pub tables: Tables,
}

/// What routes look up, for proxies of a scope.
pub(super) struct Finder<'a> {
    pub world: &'a World<'a>,
    pub directory: &'a Directory,
    pub rules: &'a Rules,
    names: &'a mut Names,
    all: &'a mut Vec<ClusterName>,
    pub namespace: &'a str,
    pub labels: &'a Labels,
    pub role: Role,
}

impl Finder<'_> {
    fn service(&self, host: &str) -> Option<(u32, &Service)> {
        let number = *self.directory.by_host.get(host)?.first()?;
        Some((number, &self.world.services[number as usize]))
    }
}

impl Lookup for Finder<'_> {
    /// A sidecar takes the port that was asked for, a proxy that is alone the only one of a
    /// service.
    fn name(&mut self, destination: &Destination, port: u16) -> u32 {
        let only = match (self.role, self.service(&destination.host)) {
            (Role::Gateway | Role::Waypoint, Some((_, service))) => {
                match service.ports.as_slice() {
                    [only] => Some(only.number),
                    _ => None,
                }
            }
            _ => None,
        };
        let name = ClusterName {
            host: destination.host.clone(),
            port: destination.port.or(only).unwrap_or(port),
            subset: destination.subset.clone(),
        };
        self.names.number(self.all, name)
    }

    fn is_hashed(&self, destination: &Destination) -> bool {
        let Some((number, service)) = self.service(&destination.host) else {
            return false;
        };
        let own = self.rules.own(self.namespace);
        let rule = self.rules.find(own, self.labels, number, service);
        let rule = rule.map(|rule| self.rules.get(rule));
        let mut subsets = rule.iter().flat_map(|rule| &rule.subsets);
        let subset = subsets.find(|it| Some(&it.name) == destination.subset.as_ref());
        let port = destination.port.unwrap_or_default();
        let policy = policy(rule, subset, port).common.load_balancer;
        policy.is_some_and(|it| is_hash(it.policy.as_ref()))
    }

    fn default_retries(&self) -> Option<&Retries> {
        self.world.mesh.retries.as_ref()
    }

    fn version(&self) -> Version {
        self.world.version
    }
}

impl Compiler {
    /// A compiler of a world, which holds until an object or a service of it changes.
    pub fn new(world: &World<'_>) -> Self {
        let virtual_services = delegates::merged(world);
        let directory = directory(world);
        let services = |host: &str| directory.by_host.get(host).cloned().unwrap_or_default();
        let speak = |host: &String| match host.starts_with('*') {
            true => Spoken::Wildcard(host.clone()),
            false => Spoken::Host(host.clone(), services(host)),
        };
        let spoken_of = virtual_services.iter();
        let spoken_of = spoken_of.map(|it| it.hosts.iter().map(speak).collect());
        let leads_to = virtual_services.iter().map(|it| {
            let hosts = scope::hosts_of(it).into_iter();
            let led = hosts.map(|(host, ports)| (services(host), ports));
            led.collect()
        });
        let rules = Rules::new(world);
        let depends = virtual_services
            .iter()
            .map(keys::depends_on_source)
            .collect();
        Compiler {
            spoken_of: spoken_of.collect(),
            leads_to: leads_to.collect(),
            depends_on_source: depends,
            scope_labels: keys::scope_labels(&virtual_services, &rules),
            viewer_labels: keys::viewer_labels(world),
            has_hashes: keys::has_hashes(world),
            virtual_services,
            rules,
            twins: Arc::new(Twins::new(world.services)),
            names: Names::default(),
            scopes: BTreeMap::new(),
            viewers: BTreeMap::new(),
            clusters: BTreeMap::new(),
            routes: BTreeMap::new(),
            hosts: BTreeMap::new(),
            tables: Tables {
                directory,
                ..Tables::default()
            },
        }
    }

    /// What decides about a proxy's scope.
    pub fn scope_key(&self, world: &World<'_>, proxy: &Proxy, role: Role) -> ScopeKey {
        let sidecar = match role {
            Role::Sidecar => scope::sidecar(world, &proxy.namespace, &proxy.labels),
            Role::Gateway | Role::Waypoint => None,
        };
        ScopeKey {
            namespace: proxy.namespace.clone(),
            sidecar: sidecar.map(|(index, _)| index),
            role,
            labels: match role {
                Role::Sidecar => keys::only(&proxy.labels, &self.scope_labels),
                // They are chosen by any of their labels.
                Role::Gateway | Role::Waypoint => proxy.labels.clone(),
            },
        }
    }

    /// What a proxy is told. Compiles what is new in it.
    pub fn view(
        &mut self,
        world: &World<'_>,
        endpoints: &[Vec<Endpoint>],
        proxy: &Proxy,
        role: Role,
    ) -> View {
        let view = self.view_without_endpoints(world, proxy, role);
        self.assign(world, endpoints, view);
        view
    }

    /// What a proxy is told but for endpoints. Compiles what is new in it.
    pub fn view_without_endpoints(&mut self, world: &World<'_>, proxy: &Proxy, role: Role) -> View {
        let key = self.scope_key(world, proxy, role);
        let scope = match self.scopes.get(&key) {
            Some(scope) => *scope,
            None => {
                let number = self.tables.scopes.len() as u32;
                let scope = self.scope(world, proxy, &key, number);
                self.tables.scopes.push(scope);
                self.scopes.insert(key, number);
                number
            }
        };
        let viewer = self.viewer(proxy);
        View { scope, viewer }
    }

    /// Endpoints of a cluster as a viewer is told of them, from those of its service.
    pub fn assignment(
        &self,
        world: &World<'_>,
        cluster: u32,
        viewer: u32,
        endpoints: &[Endpoint],
    ) -> place::Assignment {
        let cluster = &self.tables.clusters[cluster as usize];
        let rule = cluster.rule.map(|rule| self.rules.get(rule));
        let proxy = &self.tables.viewers[viewer as usize].proxy;
        place::assignment(world, cluster, rule, endpoints, proxy)
    }

    /// Endpoints of a waypoint, of which these are, as a gateway is told of them for a cluster that
    /// it reaches through it.
    pub fn assignment_through(
        &self,
        world: &World<'_>,
        (cluster, waypoint): (u32, u32),
        viewer: u32,
        endpoints: &[Endpoint],
    ) -> place::Assignment {
        let cluster = &self.tables.clusters[cluster as usize];
        let proxy = &self.tables.viewers[viewer as usize].proxy;
        let through = waypoint::cluster_through(world, cluster, waypoint);
        let mut assignment = through.map_or_else(place::Assignment::default, |cluster| {
            place::assignment(world, &cluster, None, endpoints, proxy)
        });
        let groups = assignment.groups.iter_mut();
        for host in groups.flat_map(|group| &mut group.hosts) {
            host.sent = Sent::IstioMutual;
        }
        assignment
    }

    /// All DestinationRules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The DestinationRules that a merged rule is made of, by their places in the configuration.
    pub fn objects_of_rule(&self, rule: u32) -> &[usize] {
        &self.rules.get(rule).from
    }

    fn viewer(&mut self, proxy: &Proxy) -> u32 {
        let labels = keys::only(&proxy.labels, &self.viewer_labels);
        let key = (proxy.locality.clone(), proxy.cluster, proxy.network, labels);
        let viewers = &mut self.tables.viewers;
        *self.viewers.entry(key).or_insert_with(|| {
            viewers.push(Viewer {
                proxy: proxy.clone(),
                assignments: Index::default(),
            });
            viewers.len() as u32 - 1
        })
    }

    /// Fills in assignments that a view lacks.
    fn assign(&mut self, world: &World<'_>, endpoints: &[Vec<Endpoint>], view: View) {
        let viewer = &mut self.tables.viewers[view.viewer as usize];
        for &number in &self.tables.scopes[view.scope as usize].clusters {
            if viewer.assignments.get(number).is_some() {
                continue;
            }
            let cluster = &self.tables.clusters[number as usize];
            let rule = cluster.rule.map(|rule| self.rules.get(rule));
            let of_service = endpoints.get(cluster.service as usize);
            let of_service = of_service.map_or(&[][..], Vec::as_slice);
            let assignment = place::assignment(world, cluster, rule, of_service, &viewer.proxy);
            viewer
                .assignments
                .set(number, self.tables.assignments.len() as u32);
            self.tables.assignments.push(assignment);
        }
    }

    /// Endpoints of a service have changed: what was told of them is compiled anew, for all who
    /// have been told.
    pub fn endpoints_changed(
        &mut self,
        world: &World<'_>,
        endpoints: &[Vec<Endpoint>],
        service: u32,
    ) {
        let of_service = endpoints.get(service as usize);
        let of_service = of_service.map_or(&[][..], Vec::as_slice);
        let clusters = self.tables.clusters.iter().zip(0..);
        for (cluster, number) in clusters.filter(|(it, _)| it.service == service) {
            let rule = cluster.rule.map(|rule| self.rules.get(rule));
            for viewer in &self.tables.viewers {
                if let Some(assignment) = viewer.assignments.get(number) {
                    self.tables.assignments[assignment as usize] =
                        place::assignment(world, cluster, rule, of_service, &viewer.proxy);
                }
            }
        }
    }

    fn scope(&mut self, world: &World<'_>, proxy: &Proxy, key: &ScopeKey, number: u32) -> Scope {
        let sidecar = key.sidecar.map(|index| &world.objects.sidecars[index]);
        let namespace = &proxy.namespace;
        let egress = scope::egress(
            world,
            &self.virtual_services,
            &self.twins,
            namespace,
            sidecar,
        );
        let mut known: BTreeMap<u32, Ports> = BTreeMap::new();
        for listener in &egress {
            let ports = Ports::of(listener.only_port);
            for &service in &listener.services {
                let own = known.entry(service).and_modify(|own| own.join(&ports));
                own.or_insert_with(|| ports.clone());
            }
        }
        for listener in &egress {
            scope::destinations(world, &mut known, listener, namespace, &self.leads_to);
        }
        let said = sidecar.and_then(|sidecar| sidecar.outbound.as_ref());
        let virtual_services = egress.iter().flat_map(|it| &it.virtual_services);
        let virtual_services: BTreeSet<usize> = virtual_services
            .map(|&index| self.virtual_services[index as usize].index)
            .collect();
        let mut scope = Scope {
            namespace: namespace.clone(),
            sidecar: key.sidecar,
            services: known.keys().copied().collect(),
            clusters: Vec::new(),
            by_name: Index::default(),
            virtual_services: virtual_services.into_iter().collect(),
            tables: Vec::new(),
            listeners: Vec::new(),
            unknown: said.map_or(world.mesh.outbound, |said| said.mode),
            edges: Vec::new(),
            passed: Vec::new(),
        };
        let own = self.rules.own(namespace);
        let services = scope.services.iter().map(|&service| {
            let it = &world.services[service as usize];
            (service, self.rules.find(own, &proxy.labels, service, it))
        });
        for (service, rule) in services.collect::<Vec<(u32, Option<u32>)>>() {
            for &cluster in self
                .clusters_of(world, (service, rule), key.role.is_alone())
                .iter()
            {
                let name = self.tables.clusters[cluster as usize].name;
                let port = self.tables.names[name as usize].port;
                if known[&service].have(port) {
                    scope.clusters.push(cluster);
                    scope.by_name.set(name, cluster);
                }
            }
        }
        match key.role {
            Role::Sidecar => listen(self, world, proxy, &egress, number, &mut scope),
            Role::Gateway => scope.edges = edge::edges(self, world, proxy),
            Role::Waypoint => scope.passed = waypoint::passed(self, world, proxy),
        }
        scope
    }

    /// Clusters of a service under a rule. Proxies that are alone share those of sidecars, but where
    /// these go to whom the client connected to.
    fn clusters_of(
        &mut self,
        world: &World<'_>,
        part: (u32, Option<u32>),
        is_alone: bool,
    ) -> Arc<[u32]> {
        let common = self.built(world, part, Role::Sidecar);
        let mut all = common.iter();
        let clusters = &self.tables.clusters;
        let differs = all.any(|&it| clusters[it as usize].discovery == Discovery::Original);
        match is_alone && differs {
            true => self.built(world, part, Role::Gateway),
            false => common,
        }
    }

    fn built(
        &mut self,
        world: &World<'_>,
        (service, rule): (u32, Option<u32>),
        role: Role,
    ) -> Arc<[u32]> {
        let it = &world.services[service as usize];
        let key = (service, rule, role == Role::Gateway);
        if let Some(clusters) = self.clusters.get(&key) {
            return clusters.clone();
        }
        let mut clusters = Vec::new();
        let found = rule.map(|number| (number, self.rules.get(number)));
        let subsets = found.map_or(&[][..], |(_, rule)| rule.subsets.as_slice());
        for (port, index) in it.ports.iter().zip(0..) {
            if port.protocol == Protocol::Udp {
                continue;
            }
            let numbers = (0..subsets.len() as u32).map(Some);
            for subset in std::iter::once(None).chain(numbers) {
                let name = ClusterName {
                    host: it.host.clone(),
                    port: port.number,
                    subset: subset.map(|subset| subsets[subset as usize].name.clone()),
                };
                let name = self.names.number(&mut self.tables.names, name);
                let part = Part {
                    service,
                    port: index,
                    rule: found,
                    subset,
                    role,
                };
                clusters.push(self.tables.clusters.len() as u32);
                self.tables
                    .clusters
                    .push(cluster::cluster(world, part, name));
            }
        }
        let clusters: Arc<[u32]> = clusters.into();
        self.clusters.insert(key, clusters.clone());
        clusters
    }

    pub(super) fn finder<'a>(
        &'a mut self,
        world: &'a World<'a>,
        proxy: &'a Proxy,
        role: Role,
    ) -> (Finder<'a>, &'a [Merged]) {
        let finder = Finder {
            world,
            directory: &self.tables.directory,
            rules: &self.rules,
            names: &mut self.names,
            all: &mut self.tables.names,
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            role,
        };
        (finder, &self.virtual_services)
    }

    /// Adds a host that is nobody else's.
    pub(super) fn add_host(&mut self, host: VirtualHost) -> u32 {
        self.tables.hosts.push(host);
        self.tables.hosts.len() as u32 - 1
    }

    /// Routes of a VirtualService at a port, as proxies of a scope see them.
    pub(super) fn routes_of(
        &mut self,
        world: &World<'_>,
        proxy: &Proxy,
        index: u32,
        port: u16,
        scope: u32,
    ) -> (RoutesKey, Arc<[Route]>) {
        let is_shared = !self.depends_on_source[index as usize] && !self.has_hashes;
        let key = (index, port, if is_shared { u32::MAX } else { scope });
        if let Some(routes) = self.routes.get(&key) {
            return (key, routes.clone());
        }
        let (mut finder, all) = self.finder(world, proxy, Role::Sidecar);
        let router = Router {
            namespace: &proxy.namespace,
            labels: &proxy.labels,
            gateway: &GatewayName::Mesh,
            port,
        };
        let routes = route::routes(&all[index as usize], router, &mut finder);
        let routes: Arc<[Route]> = routes.into();
        self.routes.insert(key, routes.clone());
        (key, routes)
    }

    /// The host of a service that no VirtualService speaks of.
    pub(super) fn plain_host(
        &mut self,
        world: &World<'_>,
        proxy: &Proxy,
        service: u32,
        port: u16,
    ) -> u32 {
        let it = &world.services[service as usize];
        let destination = Destination {
            host: it.host.clone(),
            subset: None,
            port: Some(port),
        };
        let has_hashes = self.has_hashes;
        let (finder, _) = self.finder(world, proxy, Role::Sidecar);
        let is_hashed = has_hashes && finder.is_hashed(&destination);
        let key: HostKey = (port, Ok(service), None, is_hashed);
        if let Some(host) = self.hosts.get(&key) {
            return *host;
        }
        let (mut finder, _) = self.finder(world, proxy, Role::Sidecar);
        let name = finder.name(&destination, port);
        let routes = vec![route::plain(name, &finder, is_hashed)];
        let host = self.add_host(VirtualHost {
            host: it.host.clone(),
            service: Some(service),
            virtual_service: None,
            routes: routes.into(),
        });
        self.hosts.insert(key, host);
        host
    }

    pub(super) fn routed_host(
        &mut self,
        world: &World<'_>,
        of: Result<u32, String>,
        port: u16,
        (routes_key, routes): (RoutesKey, Arc<[Route]>),
    ) -> u32 {
        let key: HostKey = (port, of, Some(routes_key), false);
        if let Some(host) = self.hosts.get(&key) {
            return *host;
        }
        let service = key.1.as_ref().ok().copied();
        let name = match &key.1 {
            Ok(service) => world.services[*service as usize].host.clone(),
            Err(name) => name.clone(),
        };
        let host = self.add_host(VirtualHost {
            host: name,
            service,
            virtual_service: Some(self.virtual_services[routes_key.0 as usize].index),
            routes,
        });
        self.hosts.insert(key, host);
        host
    }
}

fn directory(world: &World<'_>) -> Directory {
    let mut directory = Directory {
        domain: world.domain.to_owned(),
        ..Directory::default()
    };
    for (service, number) in world.services.iter().zip(0..) {
        let by_host = &mut directory.by_host;
        by_host
            .entry(service.host.clone())
            .or_default()
            .push(number);
        if service.is_headless() {
            directory.headless.insert(number);
        }
        for address in &service.addresses {
            let by_address = &mut directory.by_address;
            by_address.entry(*address).or_default().push(number);
        }
    }
    directory
}
