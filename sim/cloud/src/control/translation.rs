//! What istiod makes of services and of Istio's objects for proxies.
//!
//! Models: generations: the objects of the start, and one generation more for each change of
//! them. Each is translated by [`crate::istio::translate`] as far as proxies ask for it; what
//! equal proxies are told is translated once. A proxy acts on the generation that it was told.
//!
//! Leaves out: services of other clusters, gateways between networks.
//! Validated by: what requests meet whose sidecars were told of rules, in the crate's tests.

use super::known_services::{absent, described, host_of_entries, words};
use crate::envoy::paths::PathRules;
use crate::facts;
use crate::istio::ambient;
use crate::istio::authentication::ClientMode;
use crate::istio::config::{
    Configuration, Created, DestinationRule, ExternalAuthorization, Istio, Labels, LimitDomain,
    Object, PathNormalization, ProviderKind,
};
use crate::istio::host;
use crate::istio::locality::Distribution;
use crate::istio::network::Gateways;
use crate::istio::protocol::Protocol;
use crate::istio::push::{Changed, Kind, Role};
use crate::istio::translate::cluster::{Cluster, ClusterName};
use crate::istio::translate::inbound::{self, InboundTable, Named};
use crate::istio::translate::patches::Patches;
use crate::istio::translate::place::Assignment;
use crate::istio::translate::registry::{Endpoint, Proxy, Service, World};
use crate::istio::translate::waypoint::{self, Through};
use crate::istio::translate::{Compiler, Tables, View};
use crate::istio::version::Version;
use crate::scenario::{self, ServiceId, ServiceKind};
use engine::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that istiod translates.
#[derive(Clone)]
pub(crate) struct Translation {
    istio: Istio,
    gateways: Gateways,
    /// As if all of them existed.
    services: Vec<Service>,
    /// As the scenario describes them.
    described: Arc<[scenario::Service]>,
    /// Which of their endpoints ztunnels prefer.
    preferred_by_ztunnels: Vec<Distribution>,
    /// Those that do not exist yet.
    later: Vec<ServiceId>,
    generations: Vec<Generation>,
    /// Numbers of clusters that hold for all generations.
    clusters: BTreeMap<ClusterName, u32>,
    assignments: BTreeMap<Assigned, Arc<Assignment>>,
    /// What was written during the run, one after the other.
    news: Vec<News>,
    /// Namespaces, ascending.
    namespaces: Vec<String>,
}

/// Something that was written during the run.
#[derive(Clone)]
pub(crate) struct News {
    kind: Kind,
    namespace: String,
    name: String,
    /// The host that it speaks of, where it speaks of one.
    host: String,
    /// With which generation.
    generation: u32,
}

impl News {
    fn of(object: &Object, generation: u32) -> News {
        let identity = object.identity();
        News {
            kind: kind_of(object),
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
            host: match object {
                Object::DestinationRule(rule) => rule.host.clone(),
                Object::ServiceEntry(entry) => entry.hosts.first().cloned().unwrap_or_default(),
                Object::WaypointUse(used) => used.host(facts::CLUSTER_DOMAIN.value),
                _ => String::new(),
            },
            generation,
        }
    }

    /// The host that it speaks of, where it speaks of one.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

fn kind_of(object: &Object) -> Kind {
    match object {
        Object::VirtualService(_) => Kind::VirtualService,
        Object::DestinationRule(_) => Kind::DestinationRule,
        Object::Gateway(_) => Kind::Gateway,
        Object::ServiceEntry(_) => Kind::Service,
        Object::WorkloadEntry(_) => Kind::WorkloadEntry,
        Object::WorkloadGroup(_) => Kind::WorkloadGroup,
        Object::Sidecar(_) => Kind::Sidecar,
        Object::PeerAuthentication(_) => Kind::PeerAuthentication,
        Object::RequestAuthentication(_) => Kind::RequestAuthentication,
        Object::AuthorizationPolicy(_) => Kind::AuthorizationPolicy,
        Object::ProxyConfig(_) => Kind::ProxyConfig,
        Object::Telemetry(_) => Kind::Telemetry,
        Object::EnvoyFilter(_) => Kind::EnvoyFilter,
        // A service that is reached through another proxy from now on is another service.
        Object::WaypointUse(_) => Kind::Service,
    }
}

/// Objects between two changes, and what was made of them.
#[derive(Clone)]
struct Generation {
    objects: Configuration,
    /// Services as proxies may know them; those that do not exist keep their places.
    services: Vec<Service>,
    compiler: Compiler,
    /// Services that are reached through waypoints.
    waypoints: Vec<Through>,
    /// When they were written.
    written: Time,
}

/// What endpoints are told of: generation, cluster, viewer, the service behind it and the version of
/// its endpoints.
type Assigned = (u32, u32, u32, (ServiceId, u32));

impl std::fmt::Debug for Translation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Translation of {} generations", self.generations.len())
    }
}

impl Translation {
    /// What istiod makes of a cluster.
    pub(crate) fn new(cluster: &scenario::Cluster) -> Self {
        let minor = cluster.mesh.as_ref().map(|mesh| mesh.istio_minor);
        let mut istio = Istio {
            version: minor.map_or(Version::default(), Version::new),
            ..cluster.istio.clone().unwrap_or_default()
        };
        let mut objects = std::mem::take(&mut istio.objects);
        objects.retain(|namespace| istio.reads_objects_of(namespace));
        istio.objects = objects;
        let services = (0..).zip(&cluster.services);
        let services = services.map(|(number, service)| {
            let name = (service.namespace.clone(), service.name.clone());
            let said = istio.services.get(&name).cloned().unwrap_or_default();
            let distribution = words(&istio, service).for_envoys(istio.version);
            Service {
                distribution,
                ..described(service, number, said)
            }
        });
        let services = services.collect();
        let preferred = cluster.services.iter();
        let preferred = preferred.map(|it| words(&istio, it).for_ztunnels(istio.version));
        let workloads = cluster.workloads.iter().map(|workload| &workload.namespace);
        let named = cluster.services.iter().map(|service| &service.namespace);
        let root = std::iter::once(&istio.mesh.root_namespace);
        let namespaces: BTreeSet<String> = workloads.chain(named).chain(root).cloned().collect();
        let mut translation = Translation {
            gateways: Gateways::default(),
            services,
            described: cluster.services.clone().into(),
            preferred_by_ztunnels: preferred.collect(),
            later: cluster.later_services.clone(),
            generations: Vec::new(),
            clusters: BTreeMap::new(),
            assignments: BTreeMap::new(),
            news: Vec::new(),
            namespaces: namespaces.into_iter().collect(),
            istio,
        };
        let objects = translation.istio.objects.clone();
        translation.begin(objects, Time::ZERO);
        translation
    }

    /// Objects are written: those with the same names give way. Begins a generation.
    pub(crate) fn write(&mut self, objects: &[Object], now: Time) {
        let newest = self
            .generations
            .last()
            .expect("there is a first generation");
        let mut all = newest.objects.clone();
        let read = |it: &&Object| self.istio.reads_objects_of(&it.identity().namespace);
        for object in objects.iter().filter(read) {
            all.write(object.clone(), now);
            let generation = self.generations.len() as u32;
            self.news.push(News::of(object, generation));
        }
        self.begin(all, now);
    }

    /// Services exist from now on. Begins a generation.
    pub(crate) fn exist(&mut self, services: &[ServiceId], now: Time) {
        self.later.retain(|service| !services.contains(service));
        for service in services {
            let is_looked_at = self.looks_at(*service);
            let known = &mut self.services[service.index()];
            known.created = Created::At(now);
            if !is_looked_at {
                continue;
            }
            self.news.push(News {
                kind: Kind::Service,
                namespace: known.namespace.clone(),
                name: String::new(),
                host: known.host.clone(),
                generation: self.generations.len() as u32,
            });
        }
        let newest = self.newest() as usize;
        let objects = self.generations[newest].objects.clone();
        self.begin(objects, now);
    }

    /// Whether istiod looks at a service.
    pub(crate) fn looks_at(&self, service: ServiceId) -> bool {
        self.istio
            .looks_at(&self.described[service.index()].namespace)
    }

    fn begin(&mut self, objects: Configuration, written: Time) {
        let all = (0..).map(ServiceId).zip(&self.services);
        let listed = all.map(|(number, service)| {
            let described = &self.described[number.index()];
            match described.kind {
                ServiceKind::Host { .. } => {
                    host_of_entries(&self.istio, described, service, &objects)
                }
                _ if self.later.contains(&number) || !self.looks_at(number) => absent(service),
                _ => service.clone(),
            }
        });
        let services: Vec<Service> = listed.collect();
        let world = world(&self.istio, &self.gateways, &services, &objects);
        let compiler = Compiler::new(&world);
        let waypoints = waypoint::services(&world);
        self.generations.push(Generation {
            objects,
            services,
            compiler,
            waypoints,
            written,
        });
    }

    /// The generation that was the newest at a time.
    pub(crate) fn newest_at(&self, time: Time) -> u32 {
        let known = self.generations.iter();
        let known = known.filter(|generation| generation.written <= time);
        known.count().saturating_sub(1) as u32
    }

    /// Something that was written during the run.
    pub(crate) fn news(&self, number: u32) -> &News {
        &self.news[number as usize]
    }

    /// What has changed with the generations after one, up to another.
    pub(crate) fn changed(&self, after: u32, until: u32) -> impl Iterator<Item = Changed> {
        let news = (0..).zip(&self.news);
        news.filter(move |(_, news)| after < news.generation && news.generation <= until)
            .map(|(object, news)| Changed {
                kind: news.kind,
                namespace: self.namespace(&news.namespace),
                object,
            })
    }

    /// Where a VirtualService that was written stands in a generation.
    pub(crate) fn place(&self, generation: u32, news: u32) -> Option<usize> {
        let wanted = self.news(news);
        let services = &self.objects(generation).virtual_services;
        services.iter().position(|it| {
            let identity = &it.identity;
            (&identity.name, &identity.namespace) == (&wanted.name, &wanted.namespace)
        })
    }

    /// A number for a namespace; those without workloads and services share one.
    pub(crate) fn namespace(&self, name: &str) -> u32 {
        let known = self.namespaces.binary_search_by(|it| it.as_str().cmp(name));
        known.map_or(u32::MAX, |place| place as u32)
    }

    /// The number of the namespace whose policies count everywhere.
    pub(crate) fn root_namespace(&self) -> u32 {
        self.namespace(&self.istio.mesh.root_namespace)
    }

    /// When a generation was written.
    pub(crate) fn written(&self, generation: u32) -> Time {
        self.generations[generation as usize].written
    }

    /// What a proxy is told in a generation.
    pub(crate) fn view(&mut self, generation: u32, (proxy, role): (&Proxy, Role)) -> View {
        let generation = &mut self.generations[generation as usize];
        let world = world(
            &self.istio,
            &self.gateways,
            &generation.services,
            &generation.objects,
        );
        let compiler = &mut generation.compiler;
        compiler.view_without_endpoints(&world, proxy, role)
    }

    /// The newest generation.
    pub(crate) fn newest(&self) -> u32 {
        self.generations.len() as u32 - 1
    }

    /// The objects of a generation.
    pub(crate) fn objects(&self, generation: u32) -> &Configuration {
        &self.generations[generation as usize].objects
    }

    /// The object that a cluster of a generation has its rule from, the oldest if several are
    /// merged.
    pub(crate) fn rule_of(&self, generation: u32, cluster: u32) -> Option<&DestinationRule> {
        let generation = &self.generations[generation as usize];
        let rule = generation.compiler.tables.clusters[cluster as usize].rule?;
        let from = generation.compiler.objects_of_rule(rule).first()?;
        generation.objects.destination_rules.get(*from)
    }

    /// What a generation holds.
    pub(crate) fn tables(&self, generation: u32) -> &Tables {
        &self.generations[generation as usize].compiler.tables
    }

    /// What sidecars are told to take in at the ports that services name.
    pub(crate) fn inbound(&self, generation: u32, proxy: &Proxy, named: &[Named]) -> InboundTable {
        let of = &self.generations[generation as usize];
        let world = world(&self.istio, &self.gateways, &of.services, &of.objects);
        inbound::inbound(&world, Some(of.compiler.rules()), proxy, named)
    }

    /// What ztunnels are told to let in at the ports that services name.
    pub(crate) fn for_ztunnels(
        &self,
        generation: u32,
        proxy: &Proxy,
        named: &[Named],
    ) -> InboundTable {
        let of = &self.generations[generation as usize];
        let objects = Configuration {
            authorization_policies: ambient::told(&of.objects.authorization_policies),
            ..of.objects.clone()
        };
        let world = world(&self.istio, &self.gateways, &of.services, &objects);
        inbound::inbound(&world, None, proxy, named)
    }

    /// Which endpoints of a service ztunnels prefer.
    pub(crate) fn preferred_by_ztunnels(&self, service: ServiceId) -> Distribution {
        self.preferred_by_ztunnels[service.index()]
    }

    /// Labels by which a service of Kubernetes selects its endpoints, if it does.
    pub(crate) fn selector(&self, service: &scenario::Service) -> Option<&Labels> {
        let name = (service.namespace.clone(), service.name.clone());
        self.istio.services.get(&name).map(|said| &said.selector)
    }

    /// The service of the waypoint that a service is reached through, in a generation.
    pub(crate) fn waypoint_of(&self, generation: u32, service: ServiceId) -> Option<ServiceId> {
        let through = self.through(generation, service)?;
        Some(ServiceId(through.waypoint))
    }

    /// The same for gateways, which pass most waypoints by.
    pub(crate) fn waypoint_for_gateways(
        &self,
        generation: u32,
        service: ServiceId,
    ) -> Option<ServiceId> {
        let through = self.through(generation, service)?;
        let waypoint = ServiceId(through.waypoint);
        through.is_for_gateways.then_some(waypoint)
    }

    fn through(&self, generation: u32, service: ServiceId) -> Option<Through> {
        let all = &self.generations[generation as usize].waypoints;
        let found = all.binary_search_by_key(&service.0, |through| through.service);
        found.ok().map(|index| all[index])
    }

    /// What requests to a service have to pass at a waypoint.
    pub(crate) fn at_waypoint(
        &self,
        generation: u32,
        proxy: &Proxy,
        service: ServiceId,
    ) -> InboundTable {
        let of = &self.generations[generation as usize];
        let world = world(&self.istio, &self.gateways, &of.services, &of.objects);
        waypoint::table(&world, proxy, service.0)
    }

    /// Who decides about requests under this name.
    pub(crate) fn provider(&self, name: &str) -> Option<&ExternalAuthorization> {
        let mut providers = self.istio.mesh.providers.iter();
        let provider = providers.find(|provider| provider.name == name)?;
        match &provider.kind {
            ProviderKind::Authorization(provider) => Some(provider),
            _ => None,
        }
    }

    /// What a rate limit service limits under this name.
    pub(crate) fn limit_domain(&self, name: &str) -> Option<&LimitDomain> {
        let mut domains = self.istio.limits.iter();
        domains.find(|domain| domain.name == name)
    }

    /// The number of the service that is called so.
    pub(crate) fn service_of(&self, host: &str) -> Option<u32> {
        let known = self.services.iter().position(|it| it.host == host);
        known.map(|number| number as u32)
    }

    /// The trust domain of all certificates.
    pub(crate) fn trust_domain(&self) -> &str {
        &self.istio.mesh.trust_domain
    }

    /// The release.
    pub(crate) fn version(&self) -> Version {
        self.istio.version
    }

    /// A service, whether or not it exists.
    pub(crate) fn service(&self, service: u32) -> &Service {
        &self.services[service as usize]
    }

    /// Whether requests at a port of a service are told apart from others by their first bytes,
    /// and routed by a table of the service's own.
    pub(crate) fn is_sniffed(&self, service: u32, port: u16) -> bool {
        let service = self.service(service);
        let mut ports = service.ports.iter();
        let sniffed = |it: &Protocol| *it == Protocol::Sniffed;
        let found = ports.find(|it| it.number == port).map(|it| it.protocol);
        let is_known_by_address = !service.addresses.is_empty() || service.is_headless();
        is_known_by_address && found.as_ref().is_some_and(sniffed)
    }

    /// The service of a name, as istiod's resolver completes it, and the position of a port.
    pub(crate) fn service_named(&self, name: &str, port: u16) -> Option<(u32, Option<usize>)> {
        let directory = &self.tables(self.newest()).directory;
        let number = *directory
            .services(&self.istio.mesh.root_namespace, name)
            .first()?;
        let mut ports = self.service(number).ports.iter();
        Some((number, ports.position(|it| it.number == port)))
    }

    /// What a port of a service carries in a generation, if it is there: of a host that has no
    /// such port of its own, that of the most specific name with a star that includes it.
    pub(crate) fn protocol(&self, generation: u32, service: u32, port: u16) -> Option<Protocol> {
        let at_port = |service: &Service| {
            let mut ports = service.ports.iter();
            ports.find(|it| it.number == port).map(|it| it.protocol)
        };
        at_port(self.service_in(generation, service)).or_else(|| {
            let all = self.generations[generation as usize].services.iter();
            let wide: Vec<_> = all
                .filter(|it| it.host.starts_with('*') && at_port(it).is_some())
                .collect();
            let names = wide.iter().map(|it| it.host.as_str());
            let name = host::most_specific(&self.service(service).host, names)?;
            at_port(wide.into_iter().find(|it| it.host == name)?)
        })
    }

    /// What proxies do to paths.
    pub(crate) fn path_rules(&self) -> PathRules {
        let of = self.istio.mesh.path_normalization;
        PathRules {
            normalizes: of != PathNormalization::None,
            merges_slashes: matches!(
                of,
                PathNormalization::MergeSlashes | PathNormalization::DecodeAndMergeSlashes
            ),
            unescapes_slashes: of == PathNormalization::DecodeAndMergeSlashes,
        }
    }

    /// A service as a generation has it.
    pub(crate) fn service_in(&self, generation: u32, service: u32) -> &Service {
        &self.generations[generation as usize].services[service as usize]
    }

    /// A cluster of a generation.
    pub(crate) fn cluster(&self, generation: u32, cluster: u32) -> &Cluster {
        &self.tables(generation).clusters[cluster as usize]
    }

    /// The name that a proxy asks for in TLS which was told this of a cluster; nothing where it is
    /// that of the host which is asked.
    pub(crate) fn server_name(&self, generation: u32, told: &Cluster) -> Option<String> {
        let name = &self.tables(generation).names[told.name as usize];
        let of_mesh = !matches!(told.tls, Some(ClientMode::Simple | ClientMode::Mutual));
        let of_cluster = of_mesh.then(|| name.server_name());
        told.server_name.clone().or(of_cluster)
    }

    /// A cluster as a proxy with these patches is told of it.
    pub(crate) fn patched(&self, generation: u32, cluster: u32, by: &Patches) -> Cluster {
        let described = self.cluster(generation, cluster);
        let name = &self.tables(generation).names[described.name as usize];
        by.apply(name, described)
    }

    /// What EnvoyFilters of a generation change for a proxy.
    pub(crate) fn patches(&self, generation: u32, (proxy, role): (&Proxy, Role)) -> Patches {
        let filters = &self.objects(generation).envoy_filters;
        let of = (proxy.namespace.as_str(), &proxy.labels);
        Patches::of(filters, of, role, &self.istio.mesh.root_namespace)
    }

    /// Whether EnvoyFilters of a generation change anything.
    pub(crate) fn is_patched(&self, generation: u32) -> bool {
        let mut filters = self.objects(generation).envoy_filters.iter();
        filters.any(|filter| !filter.patches.is_empty())
    }

    /// The number of a cluster in a generation, as proxies of a scope know it.
    pub(crate) fn find(&self, generation: u32, scope: u32, lasting: u32) -> Option<u32> {
        let wanted = self.clusters.iter().find(|(_, number)| **number == lasting);
        let (wanted, _) = wanted.expect("numbers are given to names");
        let tables = self.tables(generation);
        let name = tables.names.iter().position(|name| name == wanted)?;
        tables.scopes[scope as usize].by_name.get(name as u32)
    }

    /// The number that a cluster's name has in all generations.
    pub(crate) fn lasting_number(&mut self, generation: u32, name: u32) -> u32 {
        let tables = &self.generations[generation as usize].compiler.tables;
        let name = &tables.names[name as usize];
        if let Some(number) = self.clusters.get(name) {
            return *number;
        }
        let number = self.clusters.len() as u32;
        self.clusters.insert(name.clone(), number);
        number
    }

    /// What is told of a cluster's endpoints; `endpoints` are those of the service behind it, in
    /// this version: its own, or its waypoint's.
    pub(crate) fn assignment(
        &mut self,
        asked: Assigned,
        endpoints: impl FnOnce() -> Vec<Endpoint>,
    ) -> Arc<Assignment> {
        if let Some(known) = self.assignments.get(&asked) {
            return known.clone();
        }
        let (generation, cluster, viewer, (behind, _)) = asked;
        let endpoints = endpoints();
        let own = self.cluster(generation, cluster).service;
        let of = &self.generations[generation as usize];
        let world = world(&self.istio, &self.gateways, &of.services, &of.objects);
        let assignment = match behind.0 == own {
            true => of.compiler.assignment(&world, cluster, viewer, &endpoints),
            false => {
                let through = (cluster, behind.0);
                of.compiler
                    .assignment_through(&world, through, viewer, &endpoints)
            }
        };
        let assignment = Arc::new(assignment);
        self.assignments.insert(asked, assignment.clone());
        assignment
    }
}

fn world<'a>(
    istio: &'a Istio,
    gateways: &'a Gateways,
    services: &'a [Service],
    objects: &'a Configuration,
) -> World<'a> {
    World {
        services,
        objects,
        mesh: &istio.mesh,
        domain: facts::CLUSTER_DOMAIN.value,
        gateways,
        version: istio.version,
    }
}
