//! Pods and what keeps them: Deployments, ReplicaSets, autoscalers.

use super::journal::{Counts, Told};
use super::names;
use super::read::Reader;
use super::{
    AutoscalerSnapshot, DeploymentSnapshot, PodSnapshot, ReplicaSetSnapshot, TargetSnapshot,
};
use crate::control::controllers::is_deployed;
use crate::facts;
use crate::kubernetes::kubelet::ContainerState;
use crate::scenario::{Metric, Workload, WorkloadId, WorkloadKind};
use engine::{Duration, Time};

/// Label of what belongs to one revision of a Deployment.
const HASH_LABEL: &str = "pod-template-hash";

/// The pods whose objects are there.
pub(super) fn pods(reader: &Reader<'_>, now: Time) -> Vec<PodSnapshot> {
    let pods = (0..).zip(&reader.domain.pods);
    pods.filter(|(_, pod)| !pod.released)
        .filter(|(_, pod)| reader.workload(pod.workload).kind != WorkloadKind::External)
        .map(|(position, _)| pod(reader, position, now))
        .collect()
}

fn pod(reader: &Reader<'_>, position: u32, now: Time) -> PodSnapshot {
    let state = &reader.domain.pods[position as usize];
    let called = &reader.pods[position as usize];
    let notes = reader.journal.pods.get(&position).copied();
    let notes = notes.unwrap_or_default();
    let is_bound = called.node.is_some() || reader.domain.is_ideal();
    let restarts = notes.told.starts.saturating_sub(1);
    PodSnapshot {
        namespace: reader.namespace(position).to_owned(),
        name: called.pod.clone(),
        status: match state.deleted {
            true => "Terminating",
            false => status(&notes.told, now),
        },
        ready: notes.told.state == Some(ContainerState::Running) && notes.told.ready,
        sidecar_ready: match reader.domain.role(position).is_alone() {
            true => None, // It is the pod's only container.
            false => state.sidecar.as_ref().map(|sidecar| sidecar.is_ready),
        },
        restarts,
        restarted: notes.told.exited.filter(|_| restarts > 0),
        created: state.created,
        node: called.node.clone(),
        address: (is_bound && reader.has_address(position)).then_some(called.address),
    }
}

/// What kubectl says of a pod that nobody has deleted.
fn status(told: &Told, now: Time) -> &'static str {
    let was_started = told.starts > 0;
    if let Some(error) = told.image_error {
        return error;
    }
    match told.state {
        None if was_started => "Unknown",
        None => "Pending",
        Some(ContainerState::Running) => "Running",
        Some(ContainerState::BackOff) => {
            // The pause is not in the status before the kubelet looks again.
            let since = told
                .exited
                .map_or(Duration::MAX, |exited| now.since(exited));
            match since < facts::POD_RESYNC_AFTER_FAILURE.value {
                true => told.exit_reason,
                false => "CrashLoopBackOff",
            }
        }
        Some(ContainerState::Preparing | ContainerState::Creating) if !was_started => {
            "ContainerCreating"
        }
        // What was left of its container after its machine had lost its power.
        Some(ContainerState::Preparing) => "Unknown",
        Some(ContainerState::Creating) => told.exit_reason,
    }
}

/// The Deployments.
pub(super) fn deployments(reader: &Reader<'_>) -> Vec<DeploymentSnapshot> {
    let deployed = all(reader).filter(|(_, workload)| is_deployed(workload.kind));
    deployed
        .map(|(id, workload)| {
            let state = &reader.domain.workloads[id.index()];
            let sets = sets(reader, id);
            let sum = |what: fn(&Counts) -> u32| sets.iter().map(|(counts, _)| what(counts)).sum();
            let current = sets.get(state.controller.current as usize);
            DeploymentSnapshot {
                namespace: workload.namespace.clone(),
                name: workload.name.clone(),
                desired: state.replicas,
                ready: sum(|counts| counts.ready),
                updated: current.map_or(0, |(counts, _)| counts.current),
                available: sum(|counts| counts.available),
                created: Time::ZERO,
                container: workload.name.clone(),
                image: reader.image(id, state.controller.current),
                selector: workload.template.placement.labels.clone(),
            }
        })
        .collect()
}

/// The ReplicaSets, those of Deployments among them.
pub(super) fn replica_sets(reader: &Reader<'_>) -> Vec<ReplicaSetSnapshot> {
    let mut all_sets = Vec::new();
    for (id, workload) in all(reader) {
        let state = &reader.domain.workloads[id.index()];
        let is_deployed = is_deployed(workload.kind);
        if !is_deployed && workload.kind != WorkloadKind::ReplicaSet {
            continue;
        }
        let revisions = (0..).zip(&state.controller.revisions);
        let sets = revisions.zip(sets(reader, id));
        let kept = sets.filter(|((_, described), _)| described.number.is_some());
        for ((revision, described), (counts, created)) in kept {
            let mut selector = workload.template.placement.labels.clone();
            let (name, desired) = if is_deployed {
                let hash = names::template_hash(workload, revision);
                selector.insert(HASH_LABEL.to_owned(), hash);
                (reader.set_name(id, revision), described.replica_set.wanted)
            } else {
                (workload.name.clone(), state.replicas)
            };
            all_sets.push(ReplicaSetSnapshot {
                namespace: workload.namespace.clone(),
                name,
                desired,
                current: counts.current,
                ready: counts.ready,
                created: *created,
                container: workload.name.clone(),
                image: reader.image(id, revision),
                selector,
            });
        }
    }
    all_sets
}

fn all<'r>(reader: &'r Reader<'_>) -> impl Iterator<Item = (WorkloadId, &'r Workload)> {
    let workloads = reader.described.workloads.iter().enumerate();
    workloads.map(|(at, workload)| (at.into(), workload))
}

/// What the statuses of a workload's ReplicaSets say, and since when these are there.
fn sets<'r>(reader: &'r Reader<'_>, workload: WorkloadId) -> &'r [(Counts, Time)] {
    reader
        .journal
        .sets
        .get(&workload)
        .map_or(&[], Vec::as_slice)
}

/// The autoscalers.
pub(super) fn autoscalers(reader: &Reader<'_>) -> Vec<AutoscalerSnapshot> {
    let scalers = reader.described.autoscalers.iter();
    let scalers = scalers.zip(&reader.domain.autoscalers);
    scalers
        .map(|(scaler, state)| {
            let workload = reader.workload(scaler.workload);
            let measured = &state.last.measured;
            let metrics = scaler.metrics.iter().enumerate();
            AutoscalerSnapshot {
                namespace: scaler.namespace.clone(),
                name: scaler.name.clone(),
                reference: format!("{}/{}", kind(workload.kind), workload.name),
                targets: metrics
                    .map(|(at, metric)| target(*metric, measured.get(at).copied().flatten()))
                    .collect(),
                replicas_min: scaler.replicas_min,
                replicas_max: scaler.replicas_max,
                replicas: match measured.is_empty() {
                    true => 0,
                    false => reader.domain.workloads[scaler.workload.index()].replicas,
                },
                created: Time::ZERO,
            }
        })
        .collect()
}

fn kind(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment | WorkloadKind::Inline => "Deployment",
        WorkloadKind::ReplicaSet => "ReplicaSet",
        WorkloadKind::StatefulSet => "StatefulSet",
        WorkloadKind::DaemonSet => "DaemonSet",
        WorkloadKind::Pod | WorkloadKind::External => "Pod",
    }
}

fn target(metric: Metric, measured: Option<u64>) -> TargetSnapshot {
    let (resource, percent, target) = match metric {
        Metric::CpuUtilization(percent) => (Some("cpu"), true, u64::from(percent)),
        Metric::CpuAverage(milli) => (Some("cpu"), false, milli),
        Metric::RequestsAverage(rate) => (None, false, (rate * 1_000.0) as u64),
    };
    TargetSnapshot {
        resource,
        percent,
        measured,
        target,
    }
}
