//! Deployments: one ReplicaSet per revision of their pods, and how one takes over.
//!
//! Models: a changed Deployment has a new ReplicaSet, an earlier one whose revision comes
//! back has its old one, as long as that is kept; looks of the Deployment controller that share
//! a changed replica count out in proportion, else take one step of the rollout. A paused
//! Deployment is scaled but not rolled out: it has no ReplicaSet for pods that have changed
//! meanwhile, and cannot be rolled back. Bare pods change in place.
//! Leaves out: new pods of DaemonSets are placed as the first ones were.
//! Sources: kubernetes/kubernetes pkg/controller/deployment; [`crate::facts`].
//! Validated by: rollouts in the crate's tests, whose limits hold at every instant.

use super::api::Client;
use super::controllers::is_deployed;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::rolling::{self, Revision, Step};
use crate::scenario::{Rollout, Strategy, Template, WorkloadId, WorkloadKind};
use crate::snapshot::journal::Happening;

impl<'t> Domain<'t> {
    /// A workload's pods shall look otherwise, by the change at `at` of the timeline.
    pub(crate) fn change_pods(
        &mut self,
        workload: WorkloadId,
        template: &'t Template,
        at: (u32, u32),
        context: &mut Clock<'_, Self>,
    ) {
        let revisions = &self.workloads[workload.index()].controller.revisions;
        let mut known = (0..).zip(revisions);
        let kept = known.find(|(_, kept)| kept.number.is_some() && *kept.template == *template);
        if let Some((revision, _)) = kept {
            return self.roll_out(workload, revision, context);
        }
        let cluster = self.cluster.expect("workloads run in clusters");
        let classes = &self.topology.clusters[cluster.index()].classes;
        let class = classes.get(&at).copied().unwrap_or(workload);
        let revision = self.add_revision(workload, template, class);
        self.roll_out(workload, revision, context);
    }
}

impl Domain<'_> {
    /// A workload's pods shall look as before the last change, or as in the revision of this
    /// number. The operator is refused what is not kept, and a Deployment that is paused.
    pub(crate) fn roll_back(
        &mut self,
        workload: WorkloadId,
        to: Option<u32>,
        context: &mut Clock<'_, Self>,
    ) {
        let is_paused = self.rollout(workload).paused;
        if let Some(revision) = self.kept_revision(workload, to).filter(|_| !is_paused) {
            self.roll_out(workload, revision, context);
        }
    }

    /// How a workload's pods change shall change.
    pub(super) fn change_rollout(
        &mut self,
        workload: WorkloadId,
        rollout: Rollout,
        context: &mut Clock<'_, Self>,
    ) {
        let controller = &mut self.workloads[workload.index()].controller;
        let before = std::mem::replace(&mut controller.rollout, rollout);
        if before.paused && !rollout.paused {
            self.rollout_resumes(workload, context);
        }
        self.reconcile(workload, context);
    }

    /// A workload's pods shall be of this revision.
    fn roll_out(&mut self, workload: WorkloadId, revision: u32, context: &mut Clock<'_, Self>) {
        let controller = &mut self.workloads[workload.index()].controller;
        controller.current = revision;
        let behavior = controller.revisions[revision as usize].behavior;
        if matches!(
            self.kind(workload),
            WorkloadKind::Pod | WorkloadKind::External
        ) {
            for pod in self.workloads[workload.index()].pods.clone() {
                self.pods[pod as usize].behavior = behavior;
            }
        }
        self.rollout_begins(workload, context);
        self.reconcile(workload, context);
    }

    /// A Deployment or what it knows of its ReplicaSets has changed.
    pub(crate) fn deployment_changed(
        &mut self,
        workload: WorkloadId,
        context: &mut Clock<'_, Self>,
    ) {
        let is_due = &mut self.workloads[workload.index()]
            .controller
            .deployment_is_due;
        if !std::mem::replace(is_due, true) {
            let event = Event::DeploymentLooks(workload);
            context.after(facts::REPLACEMENT_DELAY.value, event);
        }
    }

    /// The Deployment controller looks.
    pub(crate) fn deployment_looks(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        debug_assert!(is_deployed(self.kind(workload)));
        if !self.can_act(Client::ControllerManager) {
            let controller = &mut self.workloads[workload.index()].controller;
            controller.deployment_is_due = false;
            return;
        }
        let Rollout {
            strategy, paused, ..
        } = self.rollout(workload);
        if !paused {
            self.number_revision(workload);
        }
        self.note_progress(workload, context);
        let limits = self.limits(workload);
        let state = &mut self.workloads[workload.index()];
        let replicas = state.replicas;
        let controller = &mut state.controller;
        controller.deployment_is_due = false;
        // The old ones, oldest first, and the new one last, if it is there.
        let current = controller.current as usize;
        let mut order: Vec<usize> = (0..controller.revisions.len()).collect();
        order.retain(|&revision| revision != current);
        order.extend(controller.revisions[current].number.map(|_| current));
        let seen = order.iter().map(|&at| controller.revisions[at].replica_set);
        let seen: Vec<Revision> = seen.collect();
        let scaled = std::mem::replace(&mut controller.shared_out, replicas) != replicas;
        let wanted = if scaled {
            rolling::proportional(replicas, limits, &seen)
        } else if paused {
            after(Step::Rest, &seen)
        } else {
            let (new, old) = seen.split_last().expect("there is a new one");
            let step = match strategy {
                Strategy::RollingUpdate { .. } => {
                    rolling::rolling_step(replicas, limits, old, *new)
                }
                Strategy::Recreate => {
                    let current = controller.current;
                    let others = state.pods.iter();
                    let others = others
                        .filter(|&&pod| self.pods[pod as usize].revision != current)
                        .count();
                    rolling::recreate_step(replicas, old, others as u32, new.wanted)
                }
            };
            after(step, &seen)
        };
        let mut changed = false;
        for (at, to) in order.into_iter().zip(wanted) {
            let controller = &mut self.workloads[workload.index()].controller;
            let replica_set = &mut controller.revisions[at].replica_set;
            replica_set.most = replicas + limits.surge;
            let from = std::mem::replace(&mut replica_set.wanted, to);
            if from != to {
                changed = true;
                let revision = at as u32;
                let scaled = Happening::ReplicaSetScaled {
                    workload,
                    revision,
                    from,
                    to,
                };
                self.tell(context.now(), scaled);
            }
        }
        if changed {
            self.pods_changed(workload, context);
            self.deployment_changed(workload, context);
        } else if paused || self.has_rolled_out(workload) {
            self.clean_history(workload);
        }
    }
}

/// What the ReplicaSets are asked for after a step, in the order in which they were seen.
fn after(step: Step, seen: &[Revision]) -> Vec<u32> {
    let mut wanted: Vec<u32> = seen.iter().map(|revision| revision.wanted).collect();
    let new = wanted.len() - 1;
    match step {
        Step::Rest => {}
        Step::New(count) => wanted[new] = count,
        Step::Old(counts) => wanted[..new].copy_from_slice(&counts),
    }
    wanted
}
