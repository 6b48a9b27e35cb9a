//! Gateways that nobody writes down as a Deployment: what an installation of Istio brings, and what
//! istiod makes for Gateways of the Gateway API.
//!
//! Models: the ingress and the egress gateway of Istio's profiles, where a Gateway chooses them by
//! their labels and no pod of the manifests has these; a Deployment with one replica and a Service
//! for each Gateway that istiod serves.
//! Leaves out: the autoscalers that come with those of profiles, so they keep the number that they
//! begin with.
//! Sources: istio/istio manifests/charts/gateways, manifests/profiles and
//! manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml; `cloud::facts`.

use super::services::ServiceView;
use super::workloads::{Role, WorkloadView, key};
use super::{MeshFrame, Notes, Span, View, istio, sidecars};
use crate::istio::installation::{KNOWN, NAMESPACE};
use crate::kubernetes::Objects;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::config::{Labels, Object, PodSettings};
use cloud::scenario::{
    self, Behavior, Resources, ServiceKind, ServicePort, Station, Transport, WorkloadKind,
};
use engine::{Distribution, Duration};

/// A gateway that somebody needs, by its place among the known ones, and who does.
pub(super) type Installed = (usize, Span);

/// Gateways that Gateways of any stage choose and none brings.
pub(super) fn needed(stages: &[Objects]) -> Vec<Installed> {
    let needed = KNOWN.iter().enumerate().filter_map(|(number, known)| {
        let labels = known.labels();
        let brought = |stage: &Objects| {
            let workloads = stage.workloads.iter();
            let mut pods = workloads.map(|workload| &workload.template.placement.labels);
            pods.any(|pod| pod.get("istio").is_some_and(|name| name == known.istio))
        };
        if stages.iter().any(brought) {
            return None;
        }
        let mut written = stages.iter().flat_map(|stage| &stage.istio.written);
        let asking = written.find(|written| match &written.object {
            Object::Gateway(gateway) => {
                !gateway.selector.is_empty() && selects(&gateway.selector, &labels)
            }
            _ => false,
        });
        asking.map(|asking| (number, asking.span))
    });
    needed.collect()
}

/// A Deployment of proxies, and the Service before it.
struct Brought {
    namespace: String,
    name: String,
    labels: Labels,
    requests: Resources,
    cpu_limit_milli: Option<u64>,
    service: ServiceKind,
    /// Name, port, and port of the pods.
    ports: Vec<(String, u16, u16)>,
    span: Span,
}

/// Adds gateways to a stage.
pub(super) fn install(
    view: &mut View,
    objects: &Objects,
    mesh: &MeshFrame,
    installed: &[Installed],
    notes: &mut Notes,
) {
    for &(number, span) in installed {
        let known = &KNOWN[number];
        let ports = known.ports.iter();
        let brought = Brought {
            namespace: NAMESPACE.to_owned(),
            name: known.name.to_owned(),
            labels: known.labels(),
            requests: Resources {
                cpu_milli: notes.fact(&facts::ISTIO_GATEWAY_CPU_REQUEST_MILLI),
                memory_bytes: notes.fact(&facts::ISTIO_GATEWAY_MEMORY_REQUEST_BYTES),
            },
            cpu_limit_milli: Some(notes.fact(&facts::ISTIO_GATEWAY_CPU_LIMIT_MILLI)),
            service: known.service.clone(),
            ports: ports
                .map(|&(name, port, target)| (name.to_owned(), port, target))
                .collect(),
            span,
        };
        let replicas = bring(view, objects, mesh, brought, notes);
        notes.assumptions.insert(format!(
            "`{NAMESPACE}/{}`: {replicas} replica of Istio's gateway, as its profiles install it, because a Gateway chooses it and the manifests do not contain it",
            known.name
        ));
    }
    for gateway in &objects.istio.gateways {
        let Some(made) = gateway.made() else {
            continue;
        };
        let resources = istio::proxy_resources(&objects.istio);
        let ports = made.ports.into_iter();
        let brought = Brought {
            namespace: gateway.metadata.namespace.clone(),
            name: made.name,
            labels: made.labels,
            requests: Resources {
                cpu_milli: resources.cpu_request_milli.unwrap_or(0),
                memory_bytes: resources.memory_request_bytes.unwrap_or(0),
            },
            cpu_limit_milli: resources.cpu_limit_milli,
            service: made.service,
            ports: ports.map(|(name, port)| (name, port, port)).collect(),
            span: gateway.metadata.span,
        };
        bring(view, objects, mesh, brought, notes);
    }
}

/// Adds a gateway, unless the manifests contain its Deployment or its Service. Says how many pods
/// it begins with.
fn bring(
    view: &mut View,
    objects: &Objects,
    mesh: &MeshFrame,
    brought: Brought,
    notes: &mut Notes,
) -> u32 {
    let replicas = notes.fact(&facts::ISTIO_GATEWAY_REPLICAS);
    let workload_key = key(&brought.namespace, &brought.name, WorkloadKind::Deployment);
    let workload = view.workloads.entry(workload_key.clone());
    let workload = workload.or_insert_with(|| {
        let mut workload = WorkloadView::bare(WorkloadKind::Deployment, replicas, brought.span);
        workload.placement.labels = brought.labels;
        workload.placement.requests = brought.requests;
        workload.cpu_limit_milli = brought.cpu_limit_milli;
        workload
    });
    if workload.role == Role::Server {
        let silent = PodSettings::default();
        let settings = sidecars::settings(&silent, (&brought.namespace, workload), objects);
        let costs = sidecars::costs(mesh, notes);
        sidecars::stand_alone(workload, (scenario::Role::Gateway, costs), settings, notes);
    }
    let ports = brought.ports.into_iter();
    let ports = ports.map(|(name, port, target_port)| ServicePort {
        name: Some(name),
        port,
        target_port,
        node_port: None,
        transport: Transport::Tcp,
    });
    let service = ServiceView::bare(brought.service, ports.collect(), workload_key, brought.span);
    view.services
        .entry((brought.namespace, brought.name))
        .or_insert(service);
    replicas
}

/// What stands beside a proxy that is alone: nothing reaches it.
pub(super) fn unused() -> (Station, Behavior) {
    let nothing = Distribution::constant(Duration::ZERO);
    (Station::fifo(1), Behavior::alone(nothing))
}
