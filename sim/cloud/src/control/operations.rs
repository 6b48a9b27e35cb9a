//! Operators at the API server: cordon, drain, deletion of pods.
//!
//! Models: a cordoned node takes no new pods; a drain cordons, refuses pods that nobody replaces
//! unless it is forced, leaves the pods of DaemonSets alone, and asks for the eviction of all
//! others at once: what a budget forbids it asks again every 5 s. Deleted pods have their grace
//! period, or the operator's.
//! Approximated: an operator whose request finds no API server asks again at the same pace; what
//! lies on the local disk of a pod keeps nobody from evicting it.
//! Sources: kubernetes/kubectl pkg/drain; [`crate::kubernetes::budget`]; [`crate::facts`].
//! Validated by: drains computed by hand, in the crate's tests.

use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::kubernetes::budget::Answer;
use crate::scenario::{Action, BarePods, Change, Drain, PodChoice, WorkloadId, WorkloadKind};
use crate::snapshot::journal::Happening;
use engine::Duration;

impl Domain<'_> {
    /// A node takes no new pods, or takes them again.
    pub(super) fn cordon(&mut self, node: u32, cordoned: bool, context: &mut Clock<'_, Self>) {
        let Some(state) = self.nodes.get_mut(node as usize) else {
            return; // The ideal network has no machines.
        };
        let was = std::mem::replace(&mut state.cordoned, cordoned);
        if was != cordoned {
            self.tell(context.now(), Happening::Cordoned { node, cordoned });
        }
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_cordoned(node, cordoned);
        }
        if !cordoned {
            self.retry_pending(context);
        }
    }

    /// A drain, which is the change at `at` of the timeline, begins.
    pub(super) fn drain(&mut self, drain: &Drain, at: (u32, u32), context: &mut Clock<'_, Self>) {
        self.cordon(drain.node, true, context);
        if self.nodes.is_empty() {
            return;
        }
        let pods = self.pods_on(drain.node);
        let kind = |pod: &u32| self.kind(self.pods[*pod as usize].workload);
        let is_bare = |pod: &u32| kind(pod) == WorkloadKind::Pod;
        if drain.bare == BarePods::Refuse && pods.iter().any(is_bare) {
            return;
        }
        let evicted = pods
            .iter()
            .filter(|pod| kind(pod) != WorkloadKind::DaemonSet);
        for &pod in evicted {
            let (entry, change) = at;
            let event = Event::Evicted { pod, entry, change };
            context.after(self.operator_write(context.now()), event);
        }
    }

    /// A drain asks for the eviction of a pod.
    pub(crate) fn evict(
        &mut self,
        pod: u32,
        (entry, change): (u32, u32),
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        let timeline = &self.topology.scenario.timeline[entry as usize];
        let Action::Apply { changes, .. } = &timeline.action else {
            return;
        };
        let Change::Drain(drain) = &changes[change as usize] else {
            return;
        };
        let expired = drain
            .timeout
            .is_some_and(|timeout| timeline.at + timeout < now);
        if expired || self.pods[pod as usize].released {
            return;
        }
        let answer = match self.is_ideal() || self.is_writable() {
            true => self.eviction_answer(pod, context),
            false => Answer::TooManyRequests,
        };
        match answer {
            Answer::Counted | Answer::Free => self.delete_within(pod, drain.grace, context),
            Answer::TooManyRequests => {
                let event = Event::Evicted { pod, entry, change };
                context.after(facts::EVICTION_RETRY.value, event);
            }
            // An error that no patience cures: the operator is told, and the pod stays.
            Answer::SeveralBudgets => {}
        }
    }

    /// A pod is deleted by somebody outside, with another grace period than its own if he says.
    fn delete_within(&mut self, pod: u32, grace: Option<Duration>, context: &mut Clock<'_, Self>) {
        self.pods[pod as usize].grace = grace;
        self.delete_pod(pod, Duration::ZERO, context);
    }

    /// Pods of a workload are deleted.
    pub(super) fn delete_chosen(
        &mut self,
        workload: WorkloadId,
        choice: PodChoice,
        context: &mut Clock<'_, Self>,
    ) {
        let chosen = match choice {
            PodChoice::Drawn(count) => self.draw_running(workload, count, "deleted", context.now()),
            PodChoice::Ordinal(ordinal) => {
                let pods = self.workloads[workload.index()].pods.iter().copied();
                pods.filter(|&pod| self.pods[pod as usize].ordinal == Some(ordinal))
                    .collect()
            }
        };
        for pod in chosen {
            self.delete_within(pod, None, context);
        }
    }

    /// So many of a workload's running pods, drawn at random for what is done to them.
    pub(crate) fn draw_running(
        &self,
        workload: WorkloadId,
        count: u32,
        what: &str,
        now: engine::Time,
    ) -> Vec<u32> {
        let Some(cluster) = self.cluster else {
            return Vec::new();
        };
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let name = format!("pods {what} of {}/{}", described.namespace, described.name);
        let mut draw = engine::Stream::new(self.seed, &name).draw(now.as_nanos(), 0);
        let pods = self.workloads[workload.index()].pods.iter().copied();
        let mut running: Vec<u32> = pods
            .filter(|&pod| self.pods[pod as usize].phase == Phase::Running)
            .collect();
        let count = count.min(running.len() as u32);
        let drawn = (0..count).map(|_| {
            let chosen = draw.below(running.len() as u32);
            running.swap_remove(chosen as usize)
        });
        drawn.collect()
    }
}
