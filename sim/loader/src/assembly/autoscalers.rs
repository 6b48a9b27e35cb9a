//! Autoscalers: names of targets become positions, and what cannot work is told.

use super::workloads::{self, Role, WorkloadView};
use super::{Notes, Positions, View};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::kubernetes::autoscaler::Autoscaler;
use cloud::facts;
use cloud::scenario::{self, WorkloadKind};
use std::collections::BTreeSet;

/// The autoscalers of the first stage that act, by namespace and name, those among them that
/// come with an installation of Istio. Those that later stages add, remove or change are told:
/// they stay as they were.
pub(super) fn of_start(
    stages: &[Objects],
    brought: Vec<Autoscaler>,
    view: &View,
    positions: &Positions,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) -> Vec<scenario::Autoscaler> {
    let name = |it: &Autoscaler| (it.metadata.namespace.clone(), it.metadata.name.clone());
    let mut said = stages[0].autoscalers.clone();
    let own: BTreeSet<_> = said.iter().map(name).collect();
    said.extend(brought.into_iter().filter(|it| !own.contains(&name(it))));
    said.sort_by_cached_key(name);
    for pair in stages.windows(2) {
        report_changes(&pair[0].autoscalers, &pair[1].autoscalers, diagnostics);
    }
    let mut found = Vec::new();
    for autoscaler in &said {
        let Some((key, target)) = target(autoscaler, view, diagnostics) else {
            continue;
        };
        if !is_only(autoscaler, &said, diagnostics) || !is_measured(autoscaler, target, diagnostics)
        {
            continue;
        }
        if autoscaler.replicas.0 > autoscaler.replicas.1 {
            // Told where it was read.
            continue;
        }
        notes.facts.insert(facts::HPA_SYNC_PERIOD.id);
        found.push(scenario::Autoscaler {
            namespace: autoscaler.metadata.namespace.clone(),
            name: autoscaler.metadata.name.clone(),
            workload: positions.workloads[&key],
            replicas_min: autoscaler.replicas.0,
            replicas_max: autoscaler.replicas.1,
            metrics: autoscaler.metrics.clone(),
            behavior: autoscaler.behavior.clone(),
        });
    }
    found
}

/// What an autoscaler scales; a target that is not there, or cannot be scaled, is reported.
fn target<'v>(
    autoscaler: &Autoscaler,
    view: &'v View,
    diagnostics: &mut Diagnostics,
) -> Option<(super::WorkloadKey, &'v WorkloadView)> {
    let (kind, name) = &autoscaler.target;
    let namespace = &autoscaler.metadata.namespace;
    let scalable = match kind.as_str() {
        "Deployment" => Some(WorkloadKind::Deployment),
        "ReplicaSet" => Some(WorkloadKind::ReplicaSet),
        "StatefulSet" => Some(WorkloadKind::StatefulSet),
        _ => None,
    };
    let key = scalable.map(|kind| workloads::key(namespace, name, kind));
    let found = key.and_then(|key| Some((view.workloads.get(&key)?, key)));
    match found {
        Some((target, key)) if target.role != Role::Proxy => Some((key, target)),
        Some(_) => {
            let message = format!("{kind} `{name}` is a proxy, which is not scaled");
            diagnostics
                .report(Code::ScalesNothing, autoscaler.target_span, message)
                .help("set its `replicas`: work of proxies is described by facts, not by CPU");
            None
        }
        None => {
            let message = format!("there is no {kind} `{name}` in `{namespace}` to scale");
            diagnostics
                .report(Code::ScalesNothing, autoscaler.target_span, message)
                .help("Deployments, ReplicaSets and StatefulSets of its own namespace are scaled");
            None
        }
    }
}

/// Whether no other autoscaler has the same target: of several, none acts.
fn is_only(autoscaler: &Autoscaler, all: &[Autoscaler], diagnostics: &mut Diagnostics) -> bool {
    let (of, named) = (&autoscaler.metadata, &autoscaler.target);
    let same = |other: &&Autoscaler| {
        other.metadata.namespace == of.namespace
            && other.target == *named
            && other.metadata.name != of.name
    };
    let Some(other) = all.iter().find(same) else {
        return true;
    };
    let message = format!(
        "`{}` is scaled by `{}` as well",
        named.1, other.metadata.name
    );
    diagnostics
        .report(Code::ScalesNothing, autoscaler.target_span, message)
        .help("the controller then scales by neither; remove one of the two");
    false
}

/// Whether it has something to look at.
fn is_measured(
    autoscaler: &Autoscaler,
    target: &WorkloadView,
    diagnostics: &mut Diagnostics,
) -> bool {
    if target.placement.requests.cpu_milli == 0 && autoscaler.needs_cpu_requests() {
        let name = &autoscaler.target.1;
        let message =
            format!("`{name}` requests no CPU, so its use of it has no share to scale by");
        diagnostics
            .report(Code::NoCpuToScaleBy, autoscaler.target_span, message)
            .help("set `resources.requests.cpu`, or scale by `averageValue`");
    }
    !autoscaler.metrics.is_empty()
}

fn report_changes(before: &[Autoscaler], after: &[Autoscaler], diagnostics: &mut Diagnostics) {
    for new in after {
        let is = |old: &&Autoscaler| {
            (&old.metadata.namespace, &old.metadata.name)
                == (&new.metadata.namespace, &new.metadata.name)
        };
        let unchanged = before.iter().find(is).is_some_and(|old| {
            (&old.target, old.replicas, &old.metrics, &old.behavior)
                == (&new.target, new.replicas, &new.metrics, &new.behavior)
        });
        if !unchanged {
            let message = format!(
                "the autoscaler `{}` stays as it is at the start",
                new.metadata.name
            );
            diagnostics
                .report(Code::UnsupportedValue, new.metadata.span, message)
                .help("`apply` changes no autoscaler in this release");
        }
    }
}
