//! Operations that find nothing to act on when their time comes.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use cloud::scenario::{
    Action, Change, Cluster, ClusterId, PodChoice, Scenario, Workload, WorkloadId, WorkloadKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the timeline has done so far.
struct State<'a> {
    scenario: &'a Scenario,
    /// Workloads with an earlier revision of their pods.
    revised: BTreeSet<(ClusterId, WorkloadId)>,
    /// Replica counts that are not those of the start.
    scaled: BTreeMap<(ClusterId, WorkloadId), u32>,
    /// Nodes that take no new pods.
    cordoned: BTreeSet<(ClusterId, u32)>,
}

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let mut state = State::of_start(whole.scenario);
    let places = whole.places.timeline.iter();
    for (entry, span) in whole.scenario.timeline.iter().zip(places) {
        if let Action::Apply { cluster, changes } = &entry.action {
            for change in changes {
                state.look_at(*cluster, change, *span, diagnostics);
            }
        }
    }
}

impl<'a> State<'a> {
    fn of_start(scenario: &'a Scenario) -> State<'a> {
        let cordoned = scenario.clusters.iter().enumerate().flat_map(|(at, of)| {
            let nodes = (0..).zip(&of.nodes);
            nodes
                .filter(|(_, node)| node.unschedulable)
                .map(move |(node, _)| (ClusterId::from(at), node))
        });
        State {
            scenario,
            revised: BTreeSet::new(),
            scaled: BTreeMap::new(),
            cordoned: cordoned.collect(),
        }
    }

    fn of(&self, cluster: ClusterId) -> &'a Cluster {
        &self.scenario.clusters[cluster.index()]
    }

    fn look_at(
        &mut self,
        cluster: ClusterId,
        change: &Change,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        match change {
            Change::Template(workload, _) => {
                self.revised.insert((cluster, *workload));
            }
            Change::Replicas(workload, replicas) => {
                self.scaled.insert((cluster, *workload), *replicas);
            }
            Change::Rollback(workload) => {
                let is_revised = self.revised.contains(&(cluster, *workload));
                let of = &self.of(cluster).workloads[workload.index()];
                rolled_back(of, is_revised, span, diagnostics);
            }
            Change::Cordon(node) => {
                self.cordoned.insert((cluster, *node));
            }
            Change::Drain(drain) => {
                self.cordoned.insert((cluster, drain.node));
            }
            Change::Uncordon(node) => {
                if !self.cordoned.remove(&(cluster, *node)) {
                    let name = &self.of(cluster).nodes[*node as usize].name;
                    let message = format!("`{name}` takes new pods already");
                    diagnostics
                        .report(Code::NothingToActOn, span, message)
                        .help("`uncordon` comes after `cordon` or `drain`; remove it, or move it");
                }
            }
            Change::DeletePods(workload, choice) => {
                self.deleted((cluster, *workload), *choice, span, diagnostics);
            }
            Change::Rollout(..) | Change::Backends(..) | Change::Routes(..) => {}
        }
    }

    /// Pods are deleted that the workload does not want at that time.
    fn deleted(
        &self,
        (cluster, workload): (ClusterId, WorkloadId),
        choice: PodChoice,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        let of = self.of(cluster);
        let described = &of.workloads[workload.index()];
        let mut autoscalers = of.autoscalers.iter();
        // Nobody knows how many pods an autoscaler will want, nor how many nodes suit a DaemonSet.
        if described.kind == WorkloadKind::DaemonSet
            || autoscalers.any(|autoscaler| autoscaler.workload == workload)
        {
            return;
        }
        let scaled = self.scaled.get(&(cluster, workload));
        let replicas = *scaled.unwrap_or(&described.replicas);
        let name = &described.name;
        let (message, help) = match choice {
            PodChoice::Ordinal(ordinal) if ordinal >= replicas => (
                format!("there is no pod `{name}-{ordinal}`"),
                match replicas {
                    0 => "it has no replicas then".to_owned(),
                    _ => format!("its last pod then is `{name}-{}`", replicas - 1),
                },
            ),
            PodChoice::Drawn(count) if count > replicas => (
                format!("`{name}` has fewer than {count} pods"),
                format!("it has {replicas} then; delete no more than these"),
            ),
            _ => return,
        };
        diagnostics
            .report(Code::NothingToActOn, span, message)
            .help(help);
    }
}

fn rolled_back(of: &Workload, is_revised: bool, span: Span, diagnostics: &mut Diagnostics) {
    let name = &of.name;
    let (message, help) = match of.kind {
        WorkloadKind::Pod | WorkloadKind::ReplicaSet | WorkloadKind::External => (
            format!("`{name}` is not rolled out, so it has no revisions"),
            "Deployments, StatefulSets and DaemonSets have some",
        ),
        _ if is_revised => return,
        _ => (
            format!("`{name}` has no earlier revision to go back to"),
            "put an `apply` that changes its pod template before it",
        ),
    };
    diagnostics
        .report(Code::NoEarlierRevision, span, message)
        .help(help);
}
