//! Gateways that an installation of Istio brings.
//!
//! Models: the ingress and the egress gateway of Istio's profiles, where a Gateway chooses them by
//! their labels and no pod of the manifests has these.
//! Leaves out: the autoscalers that come with them, so they keep the number that they begin with.
//! Sources: istio/istio manifests/charts/gateways and manifests/profiles; `cloud::facts`.

use super::services::ServiceView;
use super::workloads::{WorkloadView, key};
use super::{MeshFrame, Notes, Span, View, sidecars};
use crate::kubernetes::Objects;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::config::{Labels, Object, PodSettings};
use cloud::scenario::{
    Behavior, Resources, ServiceKind, ServicePort, Station, Transport, WorkloadKind,
};
use engine::{Distribution, Duration};

/// The namespace of what an installation brings.
const NAMESPACE: &str = "istio-system";

/// A gateway of a profile.
struct Known {
    name: &'static str,
    istio: &'static str,
    service: ServiceKind,
    /// Name, port, and port of the pods.
    ports: &'static [(&'static str, u16, u16)],
}

const KNOWN: [Known; 2] = [
    Known {
        name: "istio-ingressgateway",
        istio: "ingressgateway",
        service: ServiceKind::LoadBalancer,
        ports: &[
            ("status-port", 15_021, 15_021),
            ("http2", 80, 8_080),
            ("https", 443, 8_443),
            ("tcp-istiod", 15_012, 15_012),
            ("tls", 15_443, 15_443),
        ],
    },
    Known {
        name: "istio-egressgateway",
        istio: "egressgateway",
        service: ServiceKind::ClusterIp,
        ports: &[("http2", 80, 8_080), ("https", 443, 8_443)],
    },
];

impl Known {
    fn labels(&self) -> Labels {
        let pairs = [("app", self.name), ("istio", self.istio)];
        let owned = pairs.map(|(label, value)| (label.to_owned(), value.to_owned()));
        owned.into()
    }
}

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
        let replicas = notes.fact(&facts::ISTIO_GATEWAY_REPLICAS);
        let mut workload = WorkloadView::bare(WorkloadKind::Deployment, replicas, span);
        workload.placement.labels = known.labels();
        workload.placement.requests = Resources {
            cpu_milli: notes.fact(&facts::ISTIO_GATEWAY_CPU_REQUEST_MILLI),
            memory_bytes: notes.fact(&facts::ISTIO_GATEWAY_MEMORY_REQUEST_BYTES),
        };
        workload.cpu_limit_milli = Some(notes.fact(&facts::ISTIO_GATEWAY_CPU_LIMIT_MILLI));
        let silent = PodSettings::default();
        let settings = sidecars::settings(&silent, (NAMESPACE, &workload), objects);
        sidecars::make_gateway(&mut workload, settings, mesh, notes);
        let workload_key = key(NAMESPACE, known.name, WorkloadKind::Deployment);
        view.workloads.insert(workload_key.clone(), workload);
        let ports = known
            .ports
            .iter()
            .map(|&(name, port, target_port)| ServicePort {
                name: Some(name.to_owned()),
                port,
                target_port,
                node_port: None,
                transport: Transport::Tcp,
            });
        let ports = ports.collect();
        let service = ServiceView::bare(known.service.clone(), ports, workload_key, span);
        let service_key = (NAMESPACE.to_owned(), known.name.to_owned());
        view.services.entry(service_key).or_insert(service);
        notes.assumptions.insert(format!(
            "`{NAMESPACE}/{}`: {replicas} replica of Istio's gateway, as its profiles install it, because a Gateway chooses it and the manifests do not contain it",
            known.name
        ));
    }
}

/// What stands beside a proxy that is alone: nothing reaches it.
pub(super) fn unused() -> (Station, Behavior) {
    let nothing = Distribution::constant(Duration::ZERO);
    (Station::fifo(1), Behavior::alone(nothing))
}
