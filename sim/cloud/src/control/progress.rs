//! Progress of a Deployment: whether its rollout has ended, goes on, or stands still.
//!
//! Models: a rollout gets on when more pods are new, fewer are old, or more are ready; one that
//! has not for its deadline counts as failed, which changes nothing but what is said of it: pods
//! that get ready later still end it.
//! A paused one has no deadline, and its clock begins anew when it is resumed.
//! Sources: kubernetes/kubernetes pkg/controller/deployment/progress.go; [`crate::facts`].
//! Validated by: rollouts that stand still, in the crate's tests.

use super::api::Client;
use super::controllers::is_deployed;
use crate::domain::{Clock, Domain, Event};
use crate::scenario::WorkloadId;
use engine::Time;

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) verdict: Verdict,
    /// When it got on last.
    since: Time,
    status: Status,
    /// Whether the deadline is in the calendar.
    is_due: bool,
}

/// What a Deployment says of its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// `NewReplicaSetAvailable`.
    Complete,
    /// `ReplicaSetUpdated`.
    Progressing,
    /// `ProgressDeadlineExceeded`.
    DeadlineExceeded,
}

/// Pods of a Deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Status {
    updated: u32,
    old: u32,
    ready: u32,
    available: u32,
}

impl Status {
    /// Whether it is better in some way than an earlier one.
    fn gets_on_from(self, before: Status) -> bool {
        self.updated > before.updated
            || self.old < before.old
            || self.ready > before.ready
            || self.available > before.available
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            verdict: Verdict::Complete,
            since: Time::ZERO,
            status: Status::default(),
            is_due: false,
        }
    }
}

impl Domain<'_> {
    /// A workload's pods shall look otherwise: the clock of its rollout begins.
    pub(super) fn rollout_begins(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        if !is_deployed(self.kind(workload)) {
            return;
        }
        let status = self.status(workload);
        let progress = &mut self.workloads[workload.index()].controller.progress;
        progress.verdict = Verdict::Progressing;
        progress.since = context.now();
        progress.status = status;
        self.await_deadline(workload, context);
    }

    /// A rollout that was paused goes on: its clock begins anew.
    pub(super) fn rollout_resumes(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let progress = &mut self.workloads[workload.index()].controller.progress;
        if progress.verdict == Verdict::Progressing {
            progress.since = context.now();
            self.await_deadline(workload, context);
        }
    }

    /// Whether all pods of a Deployment are as they shall be.
    pub(super) fn has_rolled_out(&self, workload: WorkloadId) -> bool {
        let progress = &self.workloads[workload.index()].controller.progress;
        progress.verdict == Verdict::Complete
    }

    fn status(&self, workload: WorkloadId) -> Status {
        let state = &self.workloads[workload.index()];
        let controller = &state.controller;
        let mut status = Status {
            available: controller.available(),
            ..Status::default()
        };
        let pods = state.pods.iter().map(|&pod| &self.pods[pod as usize]);
        for pod in pods.filter(|pod| !pod.deleted) {
            match pod.revision == controller.current {
                true => status.updated += 1,
                false => status.old += 1,
            }
            status.ready += u32::from(pod.ready);
        }
        status
    }

    /// The Deployment controller looks at how far a rollout is.
    pub(super) fn note_progress(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let state = &self.workloads[workload.index()];
        if state.controller.progress.verdict == Verdict::Complete {
            return;
        }
        let status = self.status(workload);
        let state = &mut self.workloads[workload.index()];
        let replicas = state.replicas;
        let progress = &mut state.controller.progress;
        let is_complete =
            status.updated == replicas && status.old == 0 && status.available >= replicas;
        let gets_on = status.gets_on_from(progress.status);
        progress.status = status;
        if is_complete {
            progress.verdict = Verdict::Complete;
        } else if gets_on {
            progress.verdict = Verdict::Progressing;
            progress.since = context.now();
            self.await_deadline(workload, context);
        }
    }

    /// When a rollout that does not get on has failed.
    fn deadline(&self, workload: WorkloadId) -> Time {
        let controller = &self.workloads[workload.index()].controller;
        let since = controller.progress.since;
        since.saturating_add(controller.rollout.progress_deadline)
    }

    fn await_deadline(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let deadline = self.deadline(workload);
        let is_due = &mut self.workloads[workload.index()].controller.progress.is_due;
        if deadline < Time::MAX && !std::mem::replace(is_due, true) {
            context.schedule(deadline.max(context.now()), Event::ProgressDue(workload));
        }
    }

    /// A rollout may have stood still for too long.
    pub(crate) fn progress_due(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let controller = &mut self.workloads[workload.index()].controller;
        controller.progress.is_due = false;
        if controller.progress.verdict != Verdict::Progressing || controller.rollout.paused {
            return;
        }
        if self.deadline(workload) > context.now() {
            self.await_deadline(workload, context);
        } else if self.can_act(Client::ControllerManager) {
            let controller = &mut self.workloads[workload.index()].controller;
            controller.progress.verdict = Verdict::DeadlineExceeded;
        }
    }
}
