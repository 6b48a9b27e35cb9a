//! Gateways that nobody writes down as a Deployment: what an installation of Istio brings, and what
//! istiod makes for Gateways of the Gateway API.
//!
//! Models: gateways that an IstioOperator describes, and the ingress and the egress gateway of
//! Istio's profiles, where a Gateway chooses them by their labels and no pod of the manifests has
//! these, with their autoscalers; a Deployment with one replica and a Service for each Gateway that
//! istiod serves.
//! Sources: istio/istio manifests/charts/gateways, manifests/profiles and
//! manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml; `cloud::facts`.

use super::services::ServiceView;
use super::workloads::{Role, WorkloadView, key};
use super::{MeshFrame, Notes, Span, View, istio, sidecars};
use crate::istio::installation::{Component, GatewayPort, KNOWN, Known};
use crate::kubernetes::Objects;
use crate::kubernetes::autoscaler::Autoscaler;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::config::{Labels, Object, PodSettings};
use cloud::scenario::{
    self, Behavior, Resources, ServiceKind, ServicePort, Station, Transport, WorkloadKind,
};
use engine::{Distribution, Duration};
use std::collections::BTreeSet;

/// A gateway that an installation brings.
pub(super) struct Installed {
    component: Component,
    /// Whether it is there only because a Gateway chooses it.
    is_assumed: bool,
}

impl Installed {
    /// What it is like.
    pub(super) fn component(&self) -> &Component {
        &self.component
    }

    /// Its autoscaler.
    pub(super) fn autoscaler(&self) -> Option<Autoscaler> {
        self.component.autoscaler()
    }
}

/// Gateways that the installation describes, and those of its profile that Gateways of any stage
/// choose and nothing brings.
pub(super) fn needed(stages: &[Objects], notes: &mut Notes) -> Vec<Installed> {
    let described = &stages[0].istio.components;
    let has_pods = |component: &Component| {
        let mut workloads = stages[0].workloads.iter();
        workloads.any(|it| {
            (&it.metadata.namespace, &it.metadata.name) == (&component.namespace, &component.name)
        })
    };
    let mut names = BTreeSet::new();
    let mut needed = Vec::new();
    for component in described.iter().filter(|it| it.is_enabled && !has_pods(it)) {
        if names.insert((&component.namespace, &component.name)) {
            needed.push(Installed {
                component: component.clone(),
                is_assumed: false,
            });
        }
    }
    for (kind, known) in KNOWN.iter().enumerate() {
        let is_described = described.iter().any(|it| it.kind == kind);
        if let Some(span) = chosen(known, stages).filter(|_| !is_described) {
            needed.push(Installed {
                component: Component::usual(kind, span),
                is_assumed: true,
            });
        }
    }
    if !needed.is_empty() {
        for fact in [
            facts::ISTIO_GATEWAY_REPLICAS.id,
            facts::ISTIO_GATEWAY_REPLICAS_MIN.id,
            facts::ISTIO_GATEWAY_REPLICAS_MAX.id,
            facts::ISTIO_GATEWAY_CPU_UTILIZATION_PERCENT.id,
            facts::ISTIO_GATEWAY_CPU_REQUEST_MILLI.id,
            facts::ISTIO_GATEWAY_CPU_LIMIT_MILLI.id,
            facts::ISTIO_GATEWAY_MEMORY_REQUEST_BYTES.id,
        ] {
            notes.facts.insert(fact);
        }
    }
    needed
}

/// Where a Gateway chooses a known gateway that no pods of the manifests are.
fn chosen(known: &Known, stages: &[Objects]) -> Option<Span> {
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
    asking.map(|asking| asking.span)
}

/// A Deployment of proxies, and the Service before it.
struct Brought {
    namespace: String,
    name: String,
    labels: Labels,
    replicas: u32,
    requests: Resources,
    cpu_limit_milli: Option<u64>,
    service: ServiceKind,
    ports: Vec<GatewayPort>,
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
    for Installed {
        component,
        is_assumed,
    } in installed
    {
        let Component {
            namespace,
            name,
            replicas,
            ..
        } = component.clone();
        if *is_assumed {
            notes.assumptions.insert(format!(
                "`{namespace}/{name}`: {replicas} replica of Istio's gateway, as its profiles install it, because a Gateway chooses it and the manifests do not contain it"
            ));
        }
        let brought = Brought {
            namespace,
            name,
            labels: component.labels.clone(),
            replicas,
            requests: component.requests,
            cpu_limit_milli: Some(component.cpu_limit_milli),
            service: component.service.clone(),
            ports: component.ports.clone(),
            span: component.span,
        };
        bring(view, objects, mesh, brought, notes);
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
            replicas: notes.fact(&facts::ISTIO_GATEWAY_REPLICAS),
            requests: Resources {
                cpu_milli: resources.cpu_request_milli.unwrap_or(0),
                memory_bytes: resources.memory_request_bytes.unwrap_or(0),
            },
            cpu_limit_milli: resources.cpu_limit_milli,
            service: made.service,
            ports: ports
                .map(|(name, port)| GatewayPort {
                    name: Some(name),
                    port,
                    target: port,
                    node_port: None,
                })
                .collect(),
            span: gateway.metadata.span,
        };
        bring(view, objects, mesh, brought, notes);
    }
}

/// Adds a gateway, unless the manifests contain its Deployment or its Service.
fn bring(
    view: &mut View,
    objects: &Objects,
    mesh: &MeshFrame,
    brought: Brought,
    notes: &mut Notes,
) {
    let workload_key = key(&brought.namespace, &brought.name, WorkloadKind::Deployment);
    let workload = view.workloads.entry(workload_key.clone());
    let workload = workload.or_insert_with(|| {
        let mut workload =
            WorkloadView::bare(WorkloadKind::Deployment, brought.replicas, brought.span);
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
    let ports = ports.map(|it| ServicePort {
        name: it.name,
        port: it.port,
        target_port: it.target,
        node_port: it.node_port,
        transport: Transport::Tcp,
    });
    let service = ServiceView::bare(brought.service, ports.collect(), workload_key, brought.span);
    view.services
        .entry((brought.namespace, brought.name))
        .or_insert(service);
}

/// What stands beside a proxy that is alone: nothing reaches it.
pub(super) fn unused() -> (Station, Behavior) {
    let nothing = Distribution::constant(Duration::ZERO);
    (Station::fifo(1), Behavior::alone(nothing))
}
