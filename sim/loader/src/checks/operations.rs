//! Operations, and faults of pods, that find nothing to act on when their time comes.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use cloud::scenario::{
    Action, Change, Cluster, ClusterId, Fault, PodChoice, Rollout, Scenario, Template, Workload,
    WorkloadId, WorkloadKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the timeline has done so far.
struct State<'a> {
    scenario: &'a Scenario,
    /// The revisions of workloads, if these have more than one.
    histories: BTreeMap<(ClusterId, WorkloadId), History<'a>>,
    /// How changed pods take the place of others, where that has changed.
    rollouts: BTreeMap<(ClusterId, WorkloadId), Rollout>,
    /// Replica counts that are not those of the start.
    scaled: BTreeMap<(ClusterId, WorkloadId), u32>,
    /// Nodes that will not come back.
    out_of_service: BTreeSet<(ClusterId, u32)>,
    /// Nodes that take no new pods.
    cordoned: BTreeSet<(ClusterId, u32)>,
}

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let mut state = State::of_start(whole.scenario);
    let places = whole.places.timeline.iter();
    for (entry, span) in whole.scenario.timeline.iter().zip(places) {
        match &entry.action {
            Action::Apply { cluster, changes } => {
                for change in changes {
                    state.look_at(*cluster, change, *span, diagnostics);
                }
            }
            Action::Fault { fault, .. } => state.struck(fault, *span, diagnostics),
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
            histories: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            scaled: BTreeMap::new(),
            out_of_service: BTreeSet::new(),
            cordoned: cordoned.collect(),
        }
    }

    fn of(&self, cluster: ClusterId) -> &'a Cluster {
        &self.scenario.clusters[cluster.index()]
    }

    fn history(&mut self, at: (ClusterId, WorkloadId)) -> &mut History<'a> {
        let described = &self.of(at.0).workloads[at.1.index()];
        let start = History {
            revisions: vec![(1, &described.template)],
        };
        self.histories.entry(at).or_insert(start)
    }

    fn look_at(
        &mut self,
        cluster: ClusterId,
        change: &'a Change,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        match change {
            Change::Template(workload, template) => {
                self.history((cluster, *workload)).apply(template);
            }
            Change::Rollout(workload, rollout) => {
                self.rollouts.insert((cluster, *workload), *rollout);
            }
            Change::Replicas(workload, replicas) => {
                self.scaled.insert((cluster, *workload), *replicas);
            }
            Change::Rollback(workload, to) => {
                let rollout = self.rollouts.get(&(cluster, *workload)).copied();
                let of = &self.of(cluster).workloads[workload.index()];
                let rollout = rollout.unwrap_or(of.rollout);
                let history = self.history((cluster, *workload));
                rolled_back(of, rollout, history, *to, span, diagnostics);
            }
            Change::Cordon(node) => {
                if !self.cordoned.insert((cluster, *node)) {
                    let name = &self.of(cluster).nodes[*node as usize].name;
                    let message = format!("`{name}` takes no new pods already");
                    diagnostics
                        .report(Code::NothingToActOn, span, message)
                        .help("a node is cordoned once, also by `drain`; remove it, or put `uncordon` before it");
                }
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
            Change::OutOfService(node) => {
                if !self.out_of_service.insert((cluster, *node)) {
                    let name = &self.of(cluster).nodes[*node as usize].name;
                    let message = format!("`{name}` is out of service already");
                    diagnostics
                        .report(Code::NothingToActOn, span, message)
                        .help("remove it, or put `in-service` before it");
                }
            }
            Change::InService(node) => {
                if !self.out_of_service.remove(&(cluster, *node)) {
                    let name = &self.of(cluster).nodes[*node as usize].name;
                    let message = format!("`{name}` is in service already");
                    diagnostics
                        .report(Code::NothingToActOn, span, message)
                        .help("`in-service` comes after `out-of-service`; remove it, or move it");
                }
            }
            Change::DeletePods(workload, choice) => {
                self.deleted((cluster, *workload), *choice, span, diagnostics);
            }
            Change::Backends(..)
            | Change::Routes(..)
            | Change::Istio(_)
            | Change::Services(_)
            | Change::Join(_)
            | Change::Canary(_) => {}
        }
    }

    /// How many pods are wanted at that time: nobody knows how many pods an autoscaler will want,
    /// nor how many nodes suit a DaemonSet.
    fn replicas(&self, at: (ClusterId, WorkloadId)) -> Option<u32> {
        let of = self.of(at.0);
        let described = &of.workloads[at.1.index()];
        let mut autoscalers = of.autoscalers.iter();
        if described.kind == WorkloadKind::DaemonSet
            || autoscalers.any(|autoscaler| autoscaler.workload == at.1)
        {
            return None;
        }
        Some(*self.scaled.get(&at).unwrap_or(&described.replicas))
    }

    /// A fault strikes more pods than the workload wants at that time.
    fn struck(&self, fault: &Fault, span: Span, diagnostics: &mut Diagnostics) {
        let (at, count) = match fault {
            Fault::PodKill {
                cluster,
                workload,
                count,
            }
            | Fault::ContainerCrash {
                cluster,
                workload,
                count,
            }
            | Fault::Hang {
                cluster,
                workload,
                count,
            } => ((*cluster, *workload), *count),
            _ => return,
        };
        let Some(replicas) = self.replicas(at).filter(|replicas| count > *replicas) else {
            return;
        };
        let name = &self.of(at.0).workloads[at.1.index()].name;
        let message = format!("`{name}` has fewer than {count} pods");
        diagnostics
            .report(Code::NothingToActOn, span, message)
            .help(format!(
                "it has {replicas} then, and the fault strikes no more than these; lower `count`"
            ));
    }

    /// Pods are deleted that the workload does not want at that time.
    fn deleted(
        &self,
        (cluster, workload): (ClusterId, WorkloadId),
        choice: PodChoice,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(replicas) = self.replicas((cluster, workload)) else {
            return;
        };
        let name = &self.of(cluster).workloads[workload.index()].name;
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

/// What a workload's pods were to look like, as kubectl counts it, oldest first.
struct History<'a> {
    revisions: Vec<(u32, &'a Template)>,
}

impl<'a> History<'a> {
    /// A template is the newest revision; one that was there before is it again.
    fn apply(&mut self, template: &'a Template) {
        let newest = self.revisions.last().map_or(0, |(number, _)| *number);
        self.revisions.retain(|(_, known)| *known != template);
        self.revisions.push((newest + 1, template));
    }

    /// Former revisions that are kept once a rollout has ended; the newest is none of them.
    fn kept(&self, most: u32) -> &[(u32, &'a Template)] {
        let (_, former) = self.revisions.split_last().expect("there is a newest");
        &former[former.len().saturating_sub(most as usize)..]
    }
}

fn rolled_back(
    of: &Workload,
    rollout: Rollout,
    history: &mut History<'_>,
    to: Option<u32>,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let name = &of.name;
    let kept = history.kept(rollout.history_max);
    let found = match to {
        Some(to) => kept.iter().find(|(number, _)| *number == to),
        None => kept.last(),
    };
    let (message, help) = match of.kind {
        WorkloadKind::Pod | WorkloadKind::ReplicaSet | WorkloadKind::External => (
            format!("`{name}` is not rolled out, so it has no revisions"),
            "Deployments, StatefulSets and DaemonSets have some".to_owned(),
        ),
        _ if rollout.paused => (
            format!("`{name}` is paused then, and cannot be rolled back"),
            "put an `apply` of its manifest without `paused` before it".to_owned(),
        ),
        _ if let Some(&(_, template)) = found => return history.apply(template),
        _ if history.revisions.len() > kept.len() + 1 => (
            match to {
                Some(to) => format!("revision {to} of `{name}` may be cleaned up by then"),
                None => format!("`{name}` keeps no former revision once its rollout has ended"),
            },
            format!(
                "`revisionHistoryLimit` is {}: raise it",
                rollout.history_max
            ),
        ),
        _ => (
            match to {
                Some(to) => format!("`{name}` has no former revision {to} to go back to"),
                None => format!("`{name}` has no earlier revision to go back to"),
            },
            "put an `apply` that changes its pod template before it".to_owned(),
        ),
    };
    diagnostics
        .report(Code::NoEarlierRevision, span, message)
        .help(help);
}
