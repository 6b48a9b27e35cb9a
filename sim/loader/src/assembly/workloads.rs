//! Workloads of a stage: those of the manifests and those declared inline.

use super::{ContainerPort, Inline, Notes, Span, View, WorkloadKey};
use crate::kubernetes::{Objects, workload};
use cloud::scenario::{Placement, WorkloadKind};
use engine::Duration;
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
    pub(super) readiness_delay: Duration,
    /// Host names of its pods under the service of the same index.
    pub(super) host_names: Option<HostNames>,
    pub(super) span: Span,
}

/// Names of single pods below the name of a headless service.
#[derive(Clone, Debug)]
pub(super) struct HostNames {
    pub(super) service: String,
    pub(super) hosts: Vec<String>,
}

/// What a workload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It answers requests by itself and by calls.
    Server,
    /// It forwards requests by routes.
    Proxy,
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
            readiness_delay: Duration::ZERO,
            host_names: None,
            span,
        }
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
pub(super) fn add(view: &mut View, objects: &Objects, inline: &[Inline], notes: &mut Notes) {
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
    if !view.workloads.is_empty() {
        notes.facts.insert(cloud::facts::POD_START_UP.id);
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
        readiness_delay: template.readiness_delay,
        host_names: host_names(workload),
        span: workload.metadata.span,
    }
}

/// More names than this are not listed one by one.
const HOST_NAMES_MAX: u32 = 10_000;

fn host_names(workload: &workload::Workload) -> Option<HostNames> {
    if workload.kind == WorkloadKind::StatefulSet {
        let first = workload.first_ordinal;
        let ordinals = first..first.saturating_add(workload.replicas.min(HOST_NAMES_MAX));
        let hosts = ordinals.map(|ordinal| format!("{}-{ordinal}", workload.metadata.name));
        return Some(HostNames {
            service: workload.service_name.clone()?,
            hosts: hosts.collect(),
        });
    }
    let (hostname, subdomain) = (
        workload.template.hostname.clone()?,
        workload.template.subdomain.clone()?,
    );
    Some(HostNames {
        service: subdomain,
        hosts: vec![hostname],
    })
}
