//! Services of a stage: their pods by selector, their ports, and machines whose addresses are
//! written by hand.

use super::labels::LabelIndex;
use super::workloads::key;
use super::{Inline, Notes, ServiceKey, Span, View, WorkloadKey, WorkloadView, external, ports};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::selector::selects;
use crate::kubernetes::service::{Addressing, Service};
use crate::kubernetes::{Metadata, Objects};
use cloud::scenario::{
    Balance, GivenAddresses, ServiceKind, ServicePort, TrafficDistribution, TrafficPolicy,
    Transport, WorkloadKind,
};
use engine::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// A service, before it has a position.
#[derive(Clone, Debug)]
pub(super) struct ServiceView {
    pub(super) kind: ServiceKind,
    pub(super) ports: Vec<ServicePort>,
    pub(super) backends: BTreeSet<WorkloadKey>,
    pub(super) session_affinity: Option<Duration>,
    pub(super) internal_policy: TrafficPolicy,
    pub(super) external_policy: TrafficPolicy,
    pub(super) distribution: Option<TrafficDistribution>,
    pub(super) publish_not_ready: bool,
    pub(super) given: GivenAddresses,
    pub(super) balance: Balance,
    pub(super) span: Span,
}

impl ServiceView {
    /// A service with these ports and one workload behind it.
    pub(super) fn bare(
        kind: ServiceKind,
        ports: Vec<ServicePort>,
        backend: WorkloadKey,
        span: Span,
    ) -> ServiceView {
        ServiceView {
            kind,
            ports,
            backends: BTreeSet::from([backend]),
            session_affinity: None,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            distribution: None,
            publish_not_ready: false,
            given: GivenAddresses::default(),
            balance: Balance::Random,
            span,
        }
    }
}

/// More pairs of a service and a workload behind it than this are refused: they grow with the
/// product of both, and so could outgrow any memory.
const PAIRS_MAX: usize = 1_000_000;

/// Adds the services of the manifests and of workloads that are declared inline.
pub(super) fn add(
    view: &mut View,
    objects: &Objects,
    inline: &[Inline],
    index: &LabelIndex,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    let mut pairs_left = PAIRS_MAX;
    let mut taken = BTreeMap::new();
    if objects
        .services
        .iter()
        .any(|service| service.session_affinity.is_some())
    {
        notes
            .facts
            .insert(cloud::facts::SESSION_AFFINITY_TIMEOUT.id);
    }
    for service in &objects.services {
        let Metadata {
            namespace,
            name,
            span,
            ..
        } = &service.metadata;
        let service_key = (namespace.clone(), name.clone());
        if let Some(address) = service.given.cluster_ip
            && let Some(other) = taken.insert(address, name)
        {
            let message = format!("the Service `{other}` has the clusterIP {address} too");
            diagnostics.report(Code::WrongValue, *span, message);
        }
        let kind = match &service.addressing {
            Addressing::ExternalName(target) => {
                view.aliases.insert(service_key, target.clone());
                continue;
            }
            Addressing::ClusterIp => ServiceKind::ClusterIp,
            Addressing::Headless => ServiceKind::Headless,
            Addressing::NodePort => ServiceKind::NodePort,
            Addressing::LoadBalancer => ServiceKind::LoadBalancer,
        };
        let (ports, backends) = match &service.selector {
            Some(selector) => by_selector(view, service, selector, index, diagnostics),
            None => external::add(view, service, &objects.slices, diagnostics),
        };
        let Some(left) = pairs_left.checked_sub(backends.len()) else {
            let message = format!("services select more than {PAIRS_MAX} workloads in all");
            diagnostics.report(Code::OverBudget, *span, message);
            return;
        };
        pairs_left = left;
        let service = ServiceView {
            kind,
            ports,
            backends,
            session_affinity: service.session_affinity,
            internal_policy: service.internal_policy,
            external_policy: service.external_policy,
            distribution: service.distribution,
            publish_not_ready: service.publish_not_ready,
            given: service.given.clone(),
            balance: Balance::Random,
            span: *span,
        };
        view.services.insert(service_key, service);
    }
    for workload in inline {
        let port = ServicePort {
            name: None,
            port: 80,
            target_port: 80,
            node_port: None,
            transport: Transport::Tcp,
        };
        let backend = key("default", &workload.name, WorkloadKind::Inline);
        let service = ServiceView {
            balance: workload.balance,
            ..ServiceView::bare(workload.service.clone(), vec![port], backend, workload.span)
        };
        let service_key: ServiceKey = ("default".to_owned(), workload.name.clone());
        if view.services.insert(service_key, service).is_some() {
            let message = format!(
                "a Service of the manifests is called `{}` too",
                workload.name
            );
            diagnostics.report(Code::DuplicateObject, workload.span, message);
        }
    }
}

fn by_selector(
    view: &View,
    service: &Service,
    selector: &BTreeMap<String, String>,
    index: &LabelIndex,
    diagnostics: &mut Diagnostics,
) -> (Vec<ServicePort>, BTreeSet<WorkloadKey>) {
    let backends: Vec<_> = index
        .candidates_in(&service.metadata.namespace, selector)
        .iter()
        .filter_map(|key| view.workloads.get_key_value(key))
        .filter(|(_, workload)| selects(selector, &workload.placement.labels))
        .collect();
    if backends.is_empty() {
        report_nothing_selected(view, service, selector, index, diagnostics);
    } else if backends.iter().all(|(_, workload)| workload.replicas == 0) {
        let message = format!(
            "no workload behind `{}` has a replica",
            service.metadata.name
        );
        diagnostics.report(Code::NoEndpoints, service.selector_span, message);
    }
    let mut ports = ports::resolve(service, &backends, diagnostics);
    if ports.is_empty() {
        ports = declared(&backends);
    }
    (
        ports,
        backends.into_iter().map(|(key, _)| key.clone()).collect(),
    )
}

/// A headless service without ports leads to whatever its pods listen on.
fn declared(backends: &[(&WorkloadKey, &WorkloadView)]) -> Vec<ServicePort> {
    let numbers: BTreeMap<(u16, Transport), Option<String>> = backends
        .iter()
        .flat_map(|(_, view)| &view.ports)
        .map(|port| ((port.number, port.transport), port.name.clone()))
        .collect();
    let port = |((number, transport), name)| ServicePort {
        name,
        port: number,
        target_port: number,
        node_port: None,
        transport,
    };
    numbers.into_iter().map(port).collect()
}

fn report_nothing_selected(
    view: &View,
    service: &Service,
    selector: &BTreeMap<String, String>,
    index: &LabelIndex,
    diagnostics: &mut Diagnostics,
) {
    let wanted: Vec<_> = selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let Metadata {
        name, namespace, ..
    } = &service.metadata;
    let message = format!(
        "the selector ({}) of `{name}` matches no workload in namespace `{namespace}`",
        wanted.join(", ")
    );
    let elsewhere = index.candidates(selector).iter().find(|key| {
        view.workloads
            .get(*key)
            .is_some_and(|found| selects(selector, &found.placement.labels))
    });
    let help = match (elsewhere, nearly_selected(view, namespace, selector)) {
        (Some((other, workload, _)), _) => Some(format!(
            "`{workload}` has these labels, but in namespace `{other}`"
        )),
        (None, Some((workload, label, Some(value)))) => {
            Some(format!("`{workload}` has `{label}: {value}`"))
        }
        (None, Some((workload, label, None))) => {
            Some(format!("`{workload}` has no label `{label}`"))
        }
        (None, None) => None,
    };
    let found = diagnostics.report(Code::SelectsNothing, service.selector_span, message);
    found.help = help;
}

/// The workload that has the most of the labels, with the first one that it lacks.
fn nearly_selected<'a>(
    view: &'a View,
    namespace: &str,
    selector: &'a BTreeMap<String, String>,
) -> Option<(&'a str, &'a str, Option<&'a str>)> {
    let score = |workload: &WorkloadView| {
        let labels = &workload.placement.labels;
        let same = selector
            .iter()
            .filter(|(key, value)| labels.get(*key) == Some(*value))
            .count();
        let keys = selector
            .keys()
            .filter(|key| labels.contains_key(*key))
            .count();
        (same, keys)
    };
    // The first few hundred will do: a suggestion is a courtesy.
    let first = (namespace.to_owned(), String::new(), "");
    let candidates = view
        .workloads
        .range(first..)
        .take(300)
        .filter(|(key, _)| key.0 == namespace);
    let (key, workload) = candidates
        .map(|(key, workload)| (score(workload), key, workload))
        .filter(|(score, ..)| *score > (0, 0))
        .max_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(left.1)))
        .map(|(_, key, workload)| (key, workload))?;
    let labels = &workload.placement.labels;
    let (label, _) = selector
        .iter()
        .find(|(label, value)| labels.get(*label) != Some(*value))?;
    Some((&key.1, label, labels.get(label).map(String::as_str)))
}
