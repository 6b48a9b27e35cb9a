//! From the objects of a cluster to what is simulated: names become positions.
//!
//! A timeline may apply further manifests. What the cluster holds before and after is a list of
//! *stages*; whatever is there at any stage gets its position at once, with no replicas until
//! its stage, and what differs between two stages becomes changes.
//!
//! Models: selectors, named ports, addresses written by hand, names of the cluster's own DNS,
//! ingresses and gateways as proxies with routes in their order of precedence.
//! Leaves out: changes of ports after the start.
//! Validated by the tests of its files and by the shipped scenarios.

mod ambient;
mod autoscalers;
mod budgets;
mod entries;
mod external;
mod gateways;
mod ingresses;
mod istio;
mod istio_gateways;
mod labels;
mod machines;
mod names;
mod node_pools;
mod ports;
mod proxies;
mod services;
mod sidecars;
#[cfg(test)]
mod tests;
mod waypoints;
mod workloads;

pub use machines::MachineFrame;
pub use names::{Destination, Unresolved};

use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::kube_proxy::{self, Overrides};
use crate::kubernetes::{ContainerPort, Metadata, Objects};
use crate::source::Span;
use cloud::scenario::{
    Balance, Behavior, Change, Cluster, ClusterDns, Mesh, Node, Provisioner, Proxy, ProxyId,
    Resources, RootCertificate, Route, RouteBackend, Service, ServiceId, ServiceKind, ServiceRules,
    Site, Station, Template, Workload, WorkloadId, WorkloadKind, ZoneId,
};
use engine::Duration;
use istio_gateways::Installed;
use labels::LabelIndex;
use proxies::{NamedRoute, ProxyView};
use services::ServiceView;
use std::collections::{BTreeMap, BTreeSet};
use workloads::{Role, WorkloadView};

/// What is known of a cluster apart from its manifests.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Name.
    pub name: String,
    /// Region.
    pub region: String,
    /// Kubernetes minor version.
    pub kubernetes_minor: u32,
    /// Names of the zones, at least one.
    pub zones: Vec<String>,
    /// Machines; Node objects among the manifests replace them.
    pub nodes: Vec<Node>,
    /// What orders machines, unless Node objects replace them.
    pub provisioner: Option<Provisioner>,
    /// The cluster's DNS.
    pub dns: ClusterDns,
    /// What goes before a KubeProxyConfiguration among the manifests.
    pub kube_proxy: Overrides,
    /// Its service mesh.
    pub mesh: Option<MeshFrame>,
    /// Places outside of clusters.
    pub sites: Vec<Site>,
    /// Machines there that it has to do with.
    pub machines: Vec<MachineFrame>,
}

/// Istio in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshFrame {
    /// Minor version.
    pub istio_minor: u32,
    /// Namespaces that are labelled for injection beside what manifests say.
    pub injected_namespaces: Vec<String>,
    /// Namespaces that are labelled for ztunnel beside what manifests say.
    pub ambient_namespaces: Vec<String>,
    /// CPU time of a sidecar for a request and its answer.
    pub proxy_cost: Duration,
    /// The root of its certificates, if it may end within the run.
    pub root: Option<RootCertificate>,
}

/// A workload that is declared in the scenario, with a service of its name on port 80 in the
/// namespace `default`.
#[derive(Clone, Debug)]
pub struct Inline {
    /// Name.
    pub name: String,
    /// How many pods.
    pub replicas: u32,
    /// What each pod requests.
    pub requests: Resources,
    /// How requests are spread without a network.
    pub balance: Balance,
    /// Type of its service.
    pub service: ServiceKind,
    /// Where it is written.
    pub span: Span,
}

/// How workloads serve that nobody described.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// How one pod serves.
    pub station: Station,
    /// What it does with a request.
    pub behavior: Behavior,
}

/// A cluster, and what is known about it besides.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// The cluster at its first stage. Workloads other than proxies serve by the defaults until
    /// somebody replaces their `station`, `behavior` and `start_up`.
    pub cluster: Cluster,
    /// Where each workload comes from.
    pub origins: Vec<Origin>,
    /// Where each service is written.
    pub service_spans: Vec<Span>,
    /// What changes with each stage after the first.
    pub changes: Vec<Vec<Change>>,
    /// What was assumed, for the user to read.
    pub assumptions: Vec<String>,
    /// Identifiers of the facts that were used.
    pub facts: BTreeSet<&'static str>,
    names: names::Names,
}

/// Where a workload comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where its name is written.
    pub span: Span,
    /// Sum of its containers' CPU limits, if all have one.
    pub cpu_limit_milli: Option<u64>,
    /// Whether it is a proxy, whose work is described by facts.
    pub is_proxy: bool,
}

/// Namespace and name of a service.
type ServiceKey = (String, String);

/// Namespace, name and kind of a workload.
type WorkloadKey = (String, String, &'static str);

/// One stage, by names.
#[derive(Debug, Default)]
struct View {
    workloads: BTreeMap<WorkloadKey, WorkloadView>,
    services: BTreeMap<ServiceKey, ServiceView>,
    /// Names that stand for other names.
    aliases: BTreeMap<ServiceKey, String>,
    proxies: BTreeMap<String, ProxyView>,
}

impl View {
    fn new(
        objects: &Objects,
        inline: &[Inline],
        (frame, hosts, gateways): (&Frame, &machines::Hosts, &[Installed]),
        notes: &mut Notes,
        diagnostics: &mut Diagnostics,
    ) -> View {
        let mut view = View::default();
        workloads::add(&mut view, objects, inline);
        machines::add(&mut view, frame);
        if let Some(mesh) = &frame.mesh {
            istio_gateways::install(&mut view, objects, mesh, gateways, notes);
            waypoints::install(&mut view, objects, mesh, notes);
            sidecars::inject(&mut view, objects, mesh, notes, diagnostics);
            sidecars::give_machines(&mut view, objects, (frame, mesh), notes);
            ambient::enrol(&mut view, objects, mesh, diagnostics);
        }
        let index = LabelIndex::new(&view);
        services::add(&mut view, objects, inline, &index, notes, diagnostics);
        view.services.extend(hosts.clone());
        proxies::add(&mut view, objects, &index, notes, diagnostics);
        view
    }
}

/// What is to be told besides the cluster.
#[derive(Debug, Default)]
struct Notes {
    assumptions: BTreeSet<String>,
    facts: BTreeSet<&'static str>,
}

impl Notes {
    /// Reads a fact, and remembers that it was used.
    fn fact<T: Copy>(&mut self, fact: &cloud::facts::Fact<T>) -> T {
        self.facts.insert(fact.id);
        fact.value
    }
}

/// Puts a cluster together. `stages` holds its objects before and after each `apply`; the first
/// is the start, and there must be at least one.
pub fn assemble(
    frame: &Frame,
    stages: &[Objects],
    inline: &[Inline],
    defaults: &Defaults,
    diagnostics: &mut Diagnostics,
) -> Assembly {
    let mut notes = Notes::default();
    let hosts = machines::hosts(frame, stages);
    let gateways = match frame.mesh {
        Some(_) => istio_gateways::needed(stages, &mut notes),
        None => Vec::new(),
    };
    let views: Vec<View> = stages
        .iter()
        .map(|objects| {
            let frame = (frame, &hosts, gateways.as_slice());
            View::new(objects, inline, frame, &mut notes, diagnostics)
        })
        .collect();
    let minor = frame.mesh.as_ref().map_or(0, |mesh| mesh.istio_minor);
    let uses: Vec<_> = stages
        .iter()
        .map(|objects| waypoints::uses(objects, inline, minor))
        .collect();
    for objects in stages {
        check_namespaces(objects, diagnostics);
    }
    let brought: Vec<_> = gateways.iter().map(Installed::component).collect();
    for objects in stages {
        crate::istio::references::check(objects, &brought, diagnostics);
        crate::istio::conflicts::check(&objects.istio.written, diagnostics);
        istio::check_mesh(frame.mesh.as_ref(), objects, diagnostics);
        entries::check(frame, objects, diagnostics);
        waypoints::check(objects, minor, diagnostics);
    }
    for ((view, objects), uses) in views.iter().zip(stages).zip(&uses) {
        ambient::check(view, objects, uses, diagnostics);
    }
    for view in &views {
        check_replicas(view, diagnostics);
    }
    let (zones, nodes) = machines(frame, &stages[0]);
    check_node_names(&views[0], &nodes, diagnostics);
    let positions = Positions::of(&views);
    let mut cluster = Cluster {
        name: frame.name.clone(),
        region: frame.region.clone(),
        kubernetes_minor: frame.kubernetes_minor,
        zones,
        nodes,
        workloads: Vec::new(),
        services: Vec::new(),
        proxies: Vec::new(),
        autoscalers: Vec::new(),
        budgets: Vec::new(),
        provisioner: frame
            .provisioner
            .clone()
            .filter(|_| stages[0].nodes.is_empty()),
        dns: frame.dns,
        service_rules: ServiceRules {
            // It is read when the processes start.
            configuration: kube_proxy::configuration(
                stages[0].kube_proxy.as_ref(),
                &frame.kube_proxy,
            ),
            other_services: frame.kube_proxy.other_services,
        },
        mesh: frame.mesh.as_ref().map(|mesh| Mesh {
            root: mesh.root,
            native_sidecars: istio::native_sidecars(&stages[0].istio),
            ..Mesh::new(mesh.istio_minor)
        }),
        istio: istio::of_start(stages, &uses[0]),
        sites: frame.sites.clone(),
        machines: machines::described(frame, &positions),
        later_services: match frame.mesh {
            Some(_) => machines::later_services(&views, &positions),
            None => Vec::new(),
        },
        ztunnel: frame
            .mesh
            .as_ref()
            .and_then(|mesh| ambient::ztunnel(&views, mesh, &mut notes)),
    };
    node_pools::apply(&mut cluster, &stages[0], diagnostics);
    let mut origins = Vec::new();
    for key in positions.workloads.keys() {
        let (position, found) = first(&views, |view| view.workloads.get(key));
        let workload = workload(
            key,
            found,
            if position == 0 { found.replicas } else { 0 },
            defaults,
            &mut notes,
        );
        cluster.workloads.push(workload);
        origins.push(Origin {
            span: found.span,
            cpu_limit_milli: found.cpu_limit_milli,
            is_proxy: found.role != Role::Server,
        });
    }
    let mut service_spans = Vec::new();
    for key in positions.services.keys() {
        let (_, found) = first(&views, |view| view.services.get(key));
        let backends = views[0]
            .services
            .get(key)
            .map(|at_start| positions.backends(at_start))
            .unwrap_or_default();
        cluster.services.push(service(key, found, backends));
        service_spans.push(found.span);
    }
    for name in positions.proxies.keys() {
        let (_, found) = first(&views, |view| view.proxies.get(name));
        let routes = views[0]
            .proxies
            .get(name)
            .map(|at_start| positions.routes(&at_start.routes))
            .unwrap_or_default();
        cluster.proxies.push(Proxy {
            name: name.clone(),
            workload: positions.workloads[&found.workload],
            service: positions.services[&found.service],
            routes,
            balance: found.balance,
        });
    }
    let brought = gateways.iter().filter_map(Installed::autoscaler);
    cluster.autoscalers = autoscalers::of_start(
        stages,
        brought.collect(),
        &views[0],
        &positions,
        &mut notes,
        diagnostics,
    );
    cluster.budgets = budgets::of_start(stages, &views[0], &positions, diagnostics);
    let changes = views
        .windows(2)
        .zip(stages.windows(2))
        .zip(uses.windows(2))
        .map(|((views, objects), uses)| {
            let mut changes = positions.changes(&views[0], &views[1], &cluster);
            let new = machines::new_services(&views[0], &views[1], &positions);
            if frame.mesh.is_some() && !new.is_empty() {
                changes.push(Change::Services(new));
            }
            let of_istio = (&objects[0], uses[0].as_slice());
            changes.extend(istio::changes(of_istio, (&objects[1], &uses[1])));
            changes
        })
        .collect();
    let names = names::Names::new(&views, &positions);
    let Notes { assumptions, facts } = notes;
    let assumptions = assumptions.into_iter().collect();
    Assembly {
        cluster,
        origins,
        service_spans,
        changes,
        assumptions,
        facts,
        names,
    }
}

impl Assembly {
    /// What a pod of a namespace reaches under `host` or `host:port`, where the port is a number
    /// or a name.
    pub fn resolve(&self, from_namespace: &str, address: &str) -> Result<Destination, Unresolved> {
        self.names
            .resolve(from_namespace, address, &self.cluster.services)
    }

    /// The service that a name stands for there, where it is the name of another service.
    pub fn stood_for(&self, from_namespace: &str, host: &str) -> Option<&cloud::scenario::Service> {
        let service = self.names.stood_for(from_namespace, host)?;
        self.cluster.services.get(service.index())
    }
}

/// The first stage that has something, and what it has; everything with a position has one.
fn first<'a, T>(views: &'a [View], of: impl Fn(&'a View) -> Option<&'a T>) -> (usize, &'a T) {
    views
        .iter()
        .enumerate()
        .find_map(|(position, view)| of(view).map(|found| (position, found)))
        .expect("positions are given to what some stage has")
}

/// Positions of everything that any stage has.
struct Positions {
    workloads: BTreeMap<WorkloadKey, WorkloadId>,
    services: BTreeMap<ServiceKey, ServiceId>,
    proxies: BTreeMap<String, ProxyId>,
}

impl Positions {
    fn of(views: &[View]) -> Positions {
        Positions {
            workloads: numbered(views.iter().flat_map(|view| view.workloads.keys())),
            services: numbered(views.iter().flat_map(|view| view.services.keys())),
            proxies: numbered(views.iter().flat_map(|view| view.proxies.keys())),
        }
    }

    fn backends(&self, service: &ServiceView) -> Vec<WorkloadId> {
        service
            .backends
            .iter()
            .map(|key| self.workloads[key])
            .collect()
    }

    fn routes(&self, routes: &[NamedRoute]) -> Vec<Route> {
        let backend = |backend: &proxies::NamedBackend| RouteBackend {
            service: backend
                .target
                .as_ref()
                .map(|(service, _)| self.services[service]),
            port: backend.target.as_ref().map_or(0, |(_, port)| *port),
            weight: backend.weight,
        };
        routes
            .iter()
            .map(|route| Route {
                matches: route.matches.clone(),
                backends: route.backends.iter().map(backend).collect(),
                timeout: route.timeout,
            })
            .collect()
    }

    /// What differs between two stages, in the order of positions.
    fn changes(&self, before: &View, after: &View, cluster: &Cluster) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, &id) in &self.workloads {
            let (old, new) = (before.workloads.get(key), after.workloads.get(key));
            let replicas = |view: Option<&WorkloadView>| view.map_or(0, |view| view.replicas);
            if replicas(old) != replicas(new) {
                changes.push(Change::Replicas(id, replicas(new)));
            }
            let (Some(old), Some(new)) = (old, new) else {
                continue;
            };
            if old.rollout != new.rollout {
                changes.push(Change::Rollout(id, new.rollout));
            }
            if !new.looks_like(old) {
                let mut template = cluster.workloads[id.index()].template.clone();
                new.look(&mut template);
                changes.push(Change::Template(id, Box::new(template)));
            }
        }
        for (key, &id) in &self.services {
            let backends = |view: &View| {
                view.services
                    .get(key)
                    .map(|service| self.backends(service))
                    .unwrap_or_default()
            };
            if backends(before) != backends(after) {
                changes.push(Change::Backends(id, backends(after)));
            }
        }
        for (name, &id) in &self.proxies {
            let routes = |view: &View| {
                view.proxies
                    .get(name)
                    .map(|proxy| self.routes(&proxy.routes))
                    .unwrap_or_default()
            };
            if routes(before) != routes(after) {
                changes.push(Change::Routes(id, routes(after)));
            }
        }
        changes
    }
}

fn numbered<'a, K: Ord + Clone + 'a, I: From<usize>>(
    keys: impl Iterator<Item = &'a K>,
) -> BTreeMap<K, I> {
    let keys: BTreeSet<_> = keys.cloned().collect();
    keys.into_iter()
        .enumerate()
        .map(|(position, key)| (key, I::from(position)))
        .collect()
}

fn workload(
    key: &WorkloadKey,
    view: &WorkloadView,
    replicas: u32,
    defaults: &Defaults,
    notes: &mut Notes,
) -> Workload {
    let (station, behavior) = match view.role {
        Role::Proxy => proxies::serving(notes),
        Role::Gateway => istio_gateways::unused(),
        Role::Server => (defaults.station.clone(), defaults.behavior.clone()),
    };
    let start_up = match view.kind {
        WorkloadKind::Inline | WorkloadKind::External => notes.fact(&cloud::facts::POD_START_UP),
        // Its containers serve as soon as they run, unless somebody says otherwise.
        _ => notes.fact(&cloud::facts::POD_SANDBOX) + notes.fact(&cloud::facts::CONTAINER_START),
    };
    let account = view.service_account.as_deref();
    Workload {
        namespace: key.0.clone(),
        name: key.1.clone(),
        kind: view.kind,
        version: view.version(),
        replicas,
        rollout: view.rollout,
        template: Template {
            placement: view.placement.clone(),
            image: view.image.clone(),
            start_up,
            probes: view.probes,
            termination: view.termination,
            service_account: account
                .unwrap_or(cloud::facts::SERVICE_ACCOUNT.value)
                .to_owned(),
            dns: view.dns.clone(),
            station,
            behavior,
            sidecar: view.sidecar.clone(),
            is_ambient: view.is_ambient,
        },
    }
}

fn service(key: &ServiceKey, view: &ServiceView, backends: Vec<WorkloadId>) -> Service {
    Service {
        namespace: key.0.clone(),
        name: key.1.clone(),
        kind: view.kind.clone(),
        ports: view.ports.clone(),
        backends,
        session_affinity: view.session_affinity,
        internal_policy: view.internal_policy,
        external_policy: view.external_policy,
        distribution: view.distribution,
        publish_not_ready: view.publish_not_ready,
        given: view.given.clone(),
        balance: view.balance,
    }
}

/// Zones and machines: those of the manifests, if they have any.
fn machines(frame: &Frame, objects: &Objects) -> (Vec<String>, Vec<Node>) {
    if objects.nodes.is_empty() {
        return (frame.zones.clone(), frame.nodes.clone());
    }
    // A machine without the label of a zone stands in the first one.
    let named: BTreeSet<_> = objects
        .nodes
        .iter()
        .filter_map(|node| node.zone().map(str::to_owned))
        .collect();
    let unnamed = objects.nodes.iter().any(|node| node.zone().is_none());
    let mut zones: Vec<_> = named.into_iter().collect();
    if unnamed && !zones.contains(&frame.zones[0]) {
        zones.insert(0, frame.zones[0].clone());
    }
    let zone = |node: &crate::kubernetes::node::Node| {
        let name = node.zone().unwrap_or(&frame.zones[0]);
        ZoneId::from(zones.iter().position(|zone| zone == name).unwrap_or(0))
    };
    let nodes = objects.nodes.iter().map(|node| Node {
        name: node.metadata.name.clone(),
        zone: zone(node),
        allocatable: node.allocatable,
        pods_max: node.pods_max,
        labels: node.metadata.labels.clone(),
        taints: node.taints.clone(),
        unschedulable: node.unschedulable,
    });
    let nodes = nodes.collect();
    (zones, nodes)
}

fn check_node_names(view: &View, nodes: &[Node], diagnostics: &mut Diagnostics) {
    for ((_, name, _), workload) in &view.workloads {
        let Some(wanted) = &workload.placement.node_name else {
            continue;
        };
        if !nodes.iter().any(|node| node.name == *wanted) {
            let message = format!("`{name}` is bound to the node `{wanted}`, which does not exist");
            diagnostics.report(Code::NodeNotFound, workload.span, message);
        }
    }
}

/// Most pods of a cluster; Kubernetes itself supports 150 000.
const PODS_MAX: u64 = 1_000_000;

fn check_replicas(view: &View, diagnostics: &mut Diagnostics) {
    let mut total = 0_u64;
    for ((_, name, _), workload) in &view.workloads {
        total += u64::from(workload.replicas);
        if total > PODS_MAX {
            let message = format!(
                "with the {} pods of `{name}` the cluster has more than {PODS_MAX}",
                workload.replicas
            );
            diagnostics.report(Code::OverBudget, workload.span, message);
            return;
        }
    }
}

/// Namespaces that exist in every cluster.
const BUILT_IN: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Where manifests define namespaces, one that they use without defining it is likely misspelt.
fn check_namespaces(objects: &Objects, diagnostics: &mut Diagnostics) {
    let defined: BTreeSet<_> = objects
        .namespaces
        .iter()
        .map(|metadata| metadata.name.as_str())
        .collect();
    if defined.is_empty() {
        return;
    }
    let workloads = objects.workloads.iter().map(|workload| &workload.metadata);
    let services = objects.services.iter().map(|service| &service.metadata);
    let mut told = BTreeSet::new();
    for Metadata {
        namespace, span, ..
    } in workloads.chain(services)
    {
        let known = defined.contains(namespace.as_str()) || BUILT_IN.contains(&namespace.as_str());
        if !known && told.insert(namespace) {
            let message = format!("the namespace `{namespace}` is not defined");
            let found = diagnostics.report(Code::NamespaceNotFound, *span, message);
            if let Some(near) = crate::shape::nearest(namespace, defined.iter().copied()) {
                found.help(format!("did you mean `{near}`?"));
            }
        }
    }
}
