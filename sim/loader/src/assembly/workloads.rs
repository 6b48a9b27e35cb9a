//! Workloads of a stage: those of the manifests and those declared inline.

use super::{ContainerPort, Inline, Span, View, WorkloadKey};
use crate::kubernetes::{Objects, workload};
use cloud::scenario::{
    Image, Placement, PodDns, Probes, Rollout, Sidecar, Template, Termination, WorkloadKind,
};
use std::collections::BTreeMap;

/// A workload, before it has a position.
#[derive(Clone, Debug)]
pub(super) struct WorkloadView {
    pub(super) kind: WorkloadKind,
    pub(super) role: Role,
    pub(super) replicas: u32,
    pub(super) placement: Placement,
    pub(super) ports: Vec<ContainerPort>,
    pub(super) cpu_limit_milli: Option<u64>,
    pub(super) image: Option<Image>,
    pub(super) probes: Probes,
    pub(super) termination: Termination,
    pub(super) service_account: Option<String>,
    pub(super) dns: PodDns,
    pub(super) rollout: Rollout,
    /// Annotations of its pods.
    pub(super) has_host_network: bool,
    /// The proxy beside its application.
    pub(super) sidecar: Option<Sidecar>,
    /// Whether the ztunnel of its node carries its connections.
    pub(super) is_ambient: bool,
    /// Names of its single pods, where they have some.
    pub(super) host_names: Option<HostNames>,
    pub(super) span: Span,
}

/// Names of single pods below the name of a headless service.
#[derive(Clone, Debug)]
pub(super) struct HostNames {
    pub(super) service: String,
    /// The name of the only pod, or what stands before `-` and a number.
    pub(super) name: String,
    /// The numbers: the first, and how many.
    pub(super) ordinals: Option<(u32, u32)>,
}

impl HostNames {
    /// Whether a pod has this name.
    pub(super) fn contains(&self, host: &str) -> bool {
        let Some((first, count)) = self.ordinals else {
            return host == self.name;
        };
        let ordinal = host
            .strip_prefix(&self.name)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|number| number.parse::<u32>().ok());
        ordinal
            .and_then(|ordinal| ordinal.checked_sub(first))
            .is_some_and(|position| position < count)
    }
}

/// What a workload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It answers requests by itself and by calls.
    Server,
    /// It forwards requests by routes.
    Proxy,
    /// It does so as a gateway or a waypoint of Istio.
    Gateway,
}

impl WorkloadView {
    /// A workload without containers.
    pub(super) fn bare(kind: WorkloadKind, replicas: u32, span: Span) -> WorkloadView {
        WorkloadView {
            kind,
            role: Role::Server,
            replicas,
            placement: Placement::default(),
            ports: Vec::new(),
            cpu_limit_milli: None,
            image: None,
            probes: Probes::default(),
            termination: Termination::default(),
            service_account: None,
            dns: PodDns::default(),
            rollout: Rollout::of(kind),
            has_host_network: false,
            sidecar: None,
            is_ambient: false,
            host_names: None,
            span,
        }
    }

    /// Whether it is a set of pods that selectors can mean; inline workloads have a service of
    /// their own.
    pub(super) fn has_pods(&self) -> bool {
        !matches!(self.kind, WorkloadKind::External | WorkloadKind::Inline)
    }

    /// Whether its pods look like those of another.
    pub(super) fn looks_like(&self, other: &WorkloadView) -> bool {
        self.placement == other.placement
            && self.image == other.image
            && self.probes == other.probes
            && self.termination == other.termination
            && self.sidecar == other.sidecar
            && self.is_ambient == other.is_ambient
            && self.dns == other.dns
    }

    /// Gives a template its look.
    pub(super) fn look(&self, template: &mut Template) {
        template.placement = self.placement.clone();
        template.image = self.image.clone();
        template.probes = self.probes;
        template.termination = self.termination;
        template.sidecar = self.sidecar.clone();
        template.is_ambient = self.is_ambient;
        template.dns = self.dns.clone();
    }

    /// The version that its labels name.
    pub(super) fn version(&self) -> Option<String> {
        let labels = &self.placement.labels;
        labels
            .get("version")
            .or_else(|| labels.get("app.kubernetes.io/version"))
            .cloned()
    }
}

/// Name of a kind, for keys.
pub(super) fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::ReplicaSet => "ReplicaSet",
        WorkloadKind::StatefulSet => "StatefulSet",
        WorkloadKind::DaemonSet => "DaemonSet",
        WorkloadKind::Pod => "Pod",
        WorkloadKind::External => "External",
        WorkloadKind::Inline => "Inline",
    }
}

/// The key of a workload.
pub(super) fn key(namespace: &str, name: &str, kind: WorkloadKind) -> WorkloadKey {
    (namespace.to_owned(), name.to_owned(), kind_name(kind))
}

/// Adds the workloads of the manifests and of the scenario.
pub(super) fn add(view: &mut View, objects: &Objects, inline: &[Inline]) {
    for workload in &objects.workloads {
        let metadata = &workload.metadata;
        let key = key(&metadata.namespace, &metadata.name, workload.kind);
        view.workloads.insert(key, from_manifest(workload));
    }
    for workload in inline {
        let mut bare = WorkloadView::bare(WorkloadKind::Inline, workload.replicas, workload.span);
        bare.placement.requests = workload.requests;
        bare.placement.labels = BTreeMap::from([("app".to_owned(), workload.name.clone())]);
        view.workloads
            .insert(key("default", &workload.name, WorkloadKind::Inline), bare);
    }
}

fn from_manifest(workload: &workload::Workload) -> WorkloadView {
    let template = &workload.template;
    WorkloadView {
        kind: workload.kind,
        role: Role::Server,
        replicas: workload.replicas,
        placement: template.placement.clone(),
        ports: template.ports.clone(),
        cpu_limit_milli: template.cpu_limit_milli,
        image: template.image.clone(),
        probes: template.probes,
        termination: template.termination,
        service_account: template.service_account.clone(),
        dns: template.dns.clone(),
        rollout: workload.rollout,
        has_host_network: template.has_host_network,
        sidecar: None,
        is_ambient: false,
        host_names: host_names(workload),
        span: workload.metadata.span,
    }
}

fn host_names(workload: &workload::Workload) -> Option<HostNames> {
    if workload.kind == WorkloadKind::StatefulSet {
        return Some(HostNames {
            service: workload.service_name.clone()?,
            name: workload.metadata.name.clone(),
            ordinals: Some((workload.first_ordinal, workload.replicas)),
        });
    }
    let template = &workload.template;
    Some(HostNames {
        service: template.subdomain.clone()?,
        name: template.hostname.clone()?,
        ordinals: None,
    })
}
