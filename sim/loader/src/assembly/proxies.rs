//! L7 proxies: what they are, where they run, and in which order their routes are tried.
//!
//! Models: one kind of proxy for every controller, with workers that are free while a backend
//! works; a route per host and match, the most specific first.
//! Leaves out: what controllers differ in; that listeners of one gateway on different ports may
//! serve different routes.
//! Sources: `cloud::facts` for cost and number; Gateway API GEP-1762 for names.

use super::labels::LabelIndex;
use super::services::ServiceView;
use super::workloads::{Role, WorkloadView, key};
use super::{Notes, ServiceKey, Span, View, WorkloadKey, gateways, ingresses};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::shape::nearest;
use crate::value::IntegerOrText;
use cloud::facts;
use cloud::scenario::{
    Balance, Behavior, Discipline, PathMatch, Resources, RouteMatch, ServiceKind, ServicePort,
    Station, Transport, WorkloadKind,
};
use engine::{Distribution, Duration};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A proxy, before it has a position.
#[derive(Clone, Debug)]
pub(super) struct ProxyView {
    pub(super) workload: WorkloadKey,
    pub(super) service: ServiceKey,
    pub(super) routes: Vec<NamedRoute>,
    pub(super) balance: Balance,
}

/// A route that names its backends.
#[derive(Clone, Debug)]
pub(super) struct NamedRoute {
    pub(super) matches: RouteMatch,
    pub(super) backends: Vec<NamedBackend>,
    pub(super) timeout: Option<Duration>,
}

/// A backend by name.
#[derive(Clone, Debug)]
pub(super) struct NamedBackend {
    /// Service and position of its port; `None` if there is no such thing.
    pub(super) target: Option<(ServiceKey, u32)>,
    pub(super) weight: u32,
}

/// Adds a proxy for each class of ingresses and for each gateway.
pub(super) fn add(
    view: &mut View,
    objects: &Objects,
    index: &LabelIndex,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    ingresses::add(view, objects, index, notes, diagnostics);
    gateways::add(view, objects, index, notes, diagnostics);
}

/// Where a proxy runs and how it is reached: what the manifests contain, or else what its
/// controller would make.
pub(super) struct Site<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: String,
    pub(super) ports: Vec<(String, u16)>,
    pub(super) span: Span,
}

impl Site<'_> {
    /// The first of `candidates` that users can reach through a service, or else a new proxy.
    pub(super) fn find_or_install(
        self,
        view: &mut View,
        candidates: &[WorkloadKey],
        notes: &mut Notes,
    ) -> (WorkloadKey, ServiceKey) {
        let reached = candidates.iter().filter_map(|workload| {
            let from_outside = |kind: &ServiceKind| {
                matches!(kind, ServiceKind::LoadBalancer | ServiceKind::NodePort)
            };
            let mut services = view.services.iter();
            let service = services.find(|(_, service)| {
                from_outside(&service.kind) && service.backends.contains(workload)
            });
            service.map(|(service, _)| (workload.clone(), service.clone()))
        });
        let found = reached.min();
        match found {
            Some((workload, service)) => {
                if let Some(view) = view.workloads.get_mut(&workload) {
                    view.role = Role::Proxy;
                }
                (workload, service)
            }
            None => self.install(view, notes),
        }
    }

    fn install(mut self, view: &mut View, notes: &mut Notes) -> (WorkloadKey, ServiceKey) {
        let taken = |view: &View, name: &str| {
            let service = (self.namespace.to_owned(), name.to_owned());
            view.services.contains_key(&service)
                || view.aliases.contains_key(&service)
                || view
                    .workloads
                    .contains_key(&key(self.namespace, name, WorkloadKind::Deployment))
        };
        while taken(view, &self.name) {
            self.name.push_str("-proxy");
        }
        let replicas = notes.fact(&facts::L7_PROXY_REPLICAS);
        let workload_key = key(self.namespace, &self.name, WorkloadKind::Deployment);
        let mut workload = WorkloadView::bare(WorkloadKind::Deployment, replicas, self.span);
        workload.role = Role::Proxy;
        workload.placement.labels = BTreeMap::from([("app".to_owned(), self.name.clone())]);
        workload.placement.requests = Resources {
            cpu_milli: notes.fact(&facts::L7_PROXY_CPU_MILLI),
            memory_bytes: notes.fact(&facts::L7_PROXY_MEMORY_BYTES),
        };
        view.workloads.insert(workload_key.clone(), workload);
        let port = |(name, port)| ServicePort {
            name: Some(name),
            port,
            target_port: port,
            node_port: None,
            transport: Transport::Tcp,
        };
        let ports = self.ports.into_iter().map(port).collect();
        let service = ServiceView::bare(
            ServiceKind::LoadBalancer,
            ports,
            workload_key.clone(),
            self.span,
        );
        let service_key = (self.namespace.to_owned(), self.name.clone());
        view.services.insert(service_key.clone(), service);
        notes.assumptions.insert(format!(
            "`{}/{}`: {replicas} replicas of a proxy behind a load balancer, because the manifests do not contain one",
            self.namespace, self.name
        ));
        (workload_key, service_key)
    }
}

/// How a pod of a proxy serves: its workers are free while a backend works.
pub(super) fn serving(notes: &mut Notes) -> (Station, Behavior) {
    let mean = notes.fact(&facts::L7_PROXY_SERVICE_TIME).as_secs_f64();
    let variation = notes.fact(&facts::SERVICE_TIME_VARIATION);
    let station = Station {
        discipline: Discipline::Fifo {
            workers: notes.fact(&facts::L7_PROXY_WORKERS),
        },
        queue_max: None,
    };
    let behavior = Behavior {
        service_time: Distribution::lognormal_from_mean(mean, variation)
            .expect("the facts describe a law"),
        steps: Vec::new(),
        error_rate: 0.0,
        response_bytes: notes.fact(&facts::HTTP_RESPONSE_BYTES),
        asynchronous: true,
        allows: Vec::new(),
    };
    (station, behavior)
}

/// The service and port that a route leads to; reports one that is not there.
pub(super) fn backend(
    view: &View,
    key: ServiceKey,
    port: &IntegerOrText,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Option<(ServiceKey, u32)> {
    let (namespace, name) = &key;
    let Some(service) = view.services.get(&key) else {
        let own = view
            .services
            .keys()
            .filter(|(of, _)| of == namespace)
            .map(|(_, name)| name.as_str());
        let message = match view.aliases.get(&key) {
            Some(target) => format!(
                "the backend `{name}` stands for the name `{target}`, which proxies do not follow here"
            ),
            None => format!("the backend `{name}` does not exist in namespace `{namespace}`"),
        };
        let found = diagnostics.report(Code::BackendNotFound, span, message);
        match nearest(name, own) {
            Some(near) => found.help(format!("did you mean `{near}`?")),
            None => found.help("requests that are sent there are answered with an error (500)"),
        };
        return None;
    };
    let is_named = |found: &ServicePort| match port {
        IntegerOrText::Integer(number) => i64::from(found.port) == *number,
        IntegerOrText::Text(name) => found.name.as_deref() == Some(name),
    };
    // Proxies speak HTTP, which goes over TCP.
    let takes = |found: &ServicePort| found.transport == Transport::Tcp;
    let position = service
        .ports
        .iter()
        .position(|found| takes(found) && is_named(found));
    if position.is_none() {
        let wanted = match port {
            IntegerOrText::Integer(number) => number.to_string(),
            IntegerOrText::Text(name) => format!("named `{name}`"),
        };
        let known: Vec<_> = service
            .ports
            .iter()
            .filter(|port| takes(port))
            .map(|port| port.port.to_string())
            .collect();
        let other = match service.ports.iter().any(is_named) {
            true => " for TCP",
            false => "",
        };
        diagnostics
            .report(
                Code::BackendNotFound,
                span,
                format!("the service `{name}` has no port {wanted}{other}"),
            )
            .help(format!("it has {}", known.join(", ")));
    }
    position.map(|position| (key, position as u32))
}

/// Sorts before less specific host names: exact ones, then wildcards by length, then all hosts.
pub(super) fn host_rank(host: Option<&str>) -> impl Ord + use<> {
    match host {
        None => (2, Reverse(0)),
        Some(host) if host.starts_with("*.") => (1, Reverse(host.len())),
        Some(host) => (0, Reverse(host.len())),
    }
}

/// Whether a path must be equal, and how long it is.
pub(super) fn path_measure(path: &PathMatch) -> (bool, usize) {
    match path {
        PathMatch::Any => (false, 0),
        PathMatch::Exact(path) => (true, path.len()),
        PathMatch::Prefix(path) => (false, path.len()),
    }
}
