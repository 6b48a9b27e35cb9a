//! The history of a workload: the revisions of its pods that are kept, and how they are counted.
//!
//! Models: a revision has an object (a ReplicaSet of a Deployment, a ControllerRevision of the
//! others) from when its controller first works on it, with a number above all others'; one
//! that comes back gets the highest number again. Of former revisions the newest are kept: a
//! Deployment's once its rollout is complete or it is paused, and not those that have pods; of
//! the other kinds those that no pod is of. What is not kept cannot be gone back to.
//! Sources: kubernetes/kubernetes pkg/controller/deployment/sync.go, cleanupDeployment;
//! pkg/controller/statefulset, truncateHistory; pkg/controller/daemon/update.go, cleanupHistory;
//! kubernetes/kubectl pkg/polymorphichelpers/rollback.go; [`crate::facts`].
//! Validated by: rollbacks to revisions that are kept and that are not, in the crate's tests.

use super::controllers::is_deployed;
use crate::domain::Domain;
use crate::scenario::{WorkloadId, WorkloadKind};
use std::collections::BTreeSet;

impl Domain<'_> {
    /// The revision that a workload's pods shall be of has an object, and the highest number.
    pub(super) fn number_revision(&mut self, workload: WorkloadId) {
        let controller = &mut self.workloads[workload.index()].controller;
        let numbers = controller.revisions.iter().map(|revision| revision.number);
        let highest = numbers.max().flatten();
        let number = &mut controller.revisions[controller.current as usize].number;
        if number.is_none() || *number < highest {
            *number = Some(highest.unwrap_or(0) + 1);
        }
    }

    /// The revision before the newest, or the one of this number, if it is kept.
    pub(super) fn kept_revision(&self, workload: WorkloadId, number: Option<u32>) -> Option<u32> {
        let revisions = &self.workloads[workload.index()].controller.revisions;
        let mut kept: Vec<(u32, u32)> = (0..)
            .zip(revisions)
            .filter_map(|(position, revision)| Some((revision.number?, position)))
            .collect();
        kept.sort_unstable();
        let found = match number {
            Some(number) => kept.iter().find(|(kept, _)| *kept == number),
            None => kept.iter().rev().nth(1),
        };
        found.map(|&(_, position)| position)
    }

    /// Former revisions beyond the limit go, the oldest first.
    pub(super) fn clean_history(&mut self, workload: WorkloadId) {
        let is_deployed = is_deployed(self.kind(workload));
        let state = &self.workloads[workload.index()];
        let controller = &state.controller;
        if controller.revisions.len() <= 1 {
            return;
        }
        let pods = state.pods.iter().map(|&pod| &self.pods[pod as usize]);
        // What ends is nobody's replica any more, but still a pod of its ControllerRevision.
        let pods = pods.filter(|pod| !is_deployed || !pod.deleted);
        let mut live: BTreeSet<u32> = pods.map(|pod| pod.revision).collect();
        if self.kind(workload) == WorkloadKind::StatefulSet {
            live.insert(controller.settled);
        }
        let mut former: Vec<(u32, u32)> = (0..)
            .zip(&controller.revisions)
            .filter(|(position, _)| *position != controller.current)
            .filter(|(position, _)| is_deployed || !live.contains(position))
            .filter_map(|(position, revision)| Some((revision.number?, position)))
            .collect();
        former.sort_unstable();
        let beyond = former
            .len()
            .saturating_sub(controller.rollout.history_max as usize);
        let revisions = &mut self.workloads[workload.index()].controller.revisions;
        for (_, position) in former.into_iter().take(beyond) {
            let revision = &mut revisions[position as usize];
            if !live.contains(&position) && (!is_deployed || revision.replica_set.wanted == 0) {
                revision.number = None;
            }
        }
    }
}
