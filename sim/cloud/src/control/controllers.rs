//! Controllers of pods: ReplicaSets, StatefulSets, DaemonSets.
//!
//! Models: level-triggered looks: whatever changes a workload or one of its pods has its
//! controller look one turn later, once for all that has happened by then; a look compares
//! what is wanted with what the API holds, and creates and deletes pods. Many are created in
//! batches that double. Pods that want a sidecar are refused while no istiod answers, and tried
//! again with the pauses of the controllers' work queues. What a look counts is what a Deployment knows of its ReplicaSets.
//! Approximated: one turn stands for watch, queue, and write.
//! Former revisions go as [`super::history`] says.
//! Leaves out: a limit to the number of a controller's requests.
//! Sources: kubernetes/kubernetes pkg/controller; [`crate::facts`].
//! Validated by: rollouts, scalings and replacements in the crate's tests.

use super::api::Client;
use super::progress::Progress;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::daemon::{self, Daemon};
use crate::kubernetes::kubelet::Plan;
use crate::kubernetes::rolling::{Limits, Revision};
use crate::kubernetes::slow_start;
use crate::kubernetes::stateful::{self, Action, Member, PodManagement, Wanted};
use crate::kubernetes::victims::{self, Candidate};
use crate::path::name_service::Resolver;
use crate::scenario::{Rollout, Strategy, Template, WorkloadId, WorkloadKind};
use crate::snapshot::journal::Happening;
use engine::{Duration, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the controllers of a workload know.
#[derive(Clone, Debug)]
pub(crate) struct ControllerState<'t> {
    /// What its pods were to look like, oldest first; at least one.
    pub(crate) revisions: Vec<RevisionState<'t>>,
    /// How one takes the place of another.
    pub(crate) rollout: Rollout,
    /// Which one they shall look like.
    pub(crate) current: u32,
    /// Which one all pods of a StatefulSet have come to last.
    pub(super) settled: u32,
    /// Replicas that a Deployment has shared out last.
    pub(crate) shared_out: u32,
    /// Whether a look is in the calendar.
    is_due: bool,
    /// The same, at the level of a Deployment.
    pub(crate) deployment_is_due: bool,
    /// How far its rollout is.
    pub(crate) progress: Progress,
    /// What it does about pods that are refused.
    refusals: Refusals,
}

/// Refusals of a workload's pods since the last that was not refused.
#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    count: u32,
    /// When the controller tries again.
    next: Time,
}

/// A revision of a workload's pods; of a Deployment, a ReplicaSet.
#[derive(Clone, Debug)]
pub(crate) struct RevisionState<'t> {
    /// What its pods look like.
    pub(crate) template: &'t Template,
    /// How kubectl counts it, the newest highest; `None` while there is no object of it.
    pub(crate) number: Option<u32>,
    /// What the scheduler takes them for.
    pub(super) class: WorkloadId,
    /// Position among the partition's behaviours.
    pub(crate) behavior: u32,
    /// What its pods ask of their kubelets.
    pub(super) plan: Arc<Plan>,
    /// How its pods look services up.
    pub(crate) resolver: Resolver,
    /// What it is asked for, and what its status says.
    pub(crate) replica_set: Revision,
}

impl<'t> ControllerState<'t> {
    /// What is known of a workload at the start.
    pub(crate) fn new(rollout: Rollout) -> Self {
        ControllerState {
            revisions: Vec::new(),
            rollout,
            current: 0,
            settled: 0,
            shared_out: 0,
            is_due: false,
            deployment_is_due: false,
            progress: Progress::default(),
            refusals: Refusals::default(),
        }
    }

    /// Pods that are available, as the statuses of a Deployment's ReplicaSets say.
    pub(crate) fn available(&self) -> u32 {
        let revisions = self.revisions.iter();
        revisions
            .map(|revision| revision.replica_set.available)
            .sum()
    }
}

/// Whether a Deployment stands above a workload's ReplicaSets.
pub(crate) fn is_deployed(kind: WorkloadKind) -> bool {
    matches!(kind, WorkloadKind::Deployment | WorkloadKind::Inline)
}

impl<'t> Domain<'t> {
    /// Adds a revision of a workload's pods and gives its position.
    pub(crate) fn add_revision(
        &mut self,
        workload: WorkloadId,
        template: &'t Template,
        class: WorkloadId,
    ) -> u32 {
        let plan = Arc::new(self.plan_of(workload, template));
        let behavior = self.add_behavior(workload, &template.behavior);
        let cluster = self.cluster.expect("workloads are of clusters");
        let cluster = self.topology.cluster(cluster);
        let namespace = &cluster.workloads[workload.index()].namespace;
        let resolver = Resolver::new(&template.dns, namespace, &cluster.dns);
        let controller = &mut self.workloads[workload.index()].controller;
        controller.revisions.push(RevisionState {
            template,
            number: None,
            class,
            behavior,
            plan,
            resolver,
            replica_set: Revision::default(),
        });
        controller.revisions.len() as u32 - 1
    }

    /// The revision that a pod is of.
    pub(crate) fn revision(&self, pod: u32) -> &RevisionState<'t> {
        let state = &self.pods[pod as usize];
        let controller = &self.workloads[state.workload.index()].controller;
        &controller.revisions[state.revision as usize]
    }

    /// What the scheduler takes a pod for.
    pub(super) fn class_of(&self, pod: u32) -> WorkloadId {
        self.revision(pod).class
    }

    /// What a pod looks like.
    pub(crate) fn template(&self, pod: u32) -> &'t Template {
        self.revision(pod).template
    }

    /// All pods of a workload are there and as wanted.
    pub(crate) fn settle(&mut self, workload: WorkloadId) {
        let limits = self.limits(workload);
        let state = &mut self.workloads[workload.index()];
        let replicas = state.replicas;
        state.controller.shared_out = replicas;
        state.controller.revisions[0].number = Some(1);
        state.controller.revisions[0].replica_set = Revision {
            wanted: replicas,
            available: replicas,
            most: replicas + limits.surge,
        };
    }
}

impl Domain<'_> {
    pub(crate) fn rollout(&self, workload: WorkloadId) -> Rollout {
        self.workloads[workload.index()].controller.rollout
    }

    /// How far a rolling update of a workload may go from what is wanted.
    pub(crate) fn limits(&self, workload: WorkloadId) -> Limits {
        let replicas = self.workloads[workload.index()].replicas;
        match self.rollout(workload).strategy {
            Strategy::RollingUpdate {
                surge, unavailable, ..
            } => Limits::resolve(surge, unavailable, replicas),
            Strategy::Recreate => Limits {
                surge: 0,
                unavailable: replicas,
            },
        }
    }

    /// What is wanted of a workload has changed.
    pub(crate) fn reconcile(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        if is_deployed(self.kind(workload)) {
            self.deployment_changed(workload, context);
        } else {
            self.pods_changed(workload, context);
        }
    }

    /// One of a workload's pods has changed, or what is wanted of them: its controller looks.
    pub(crate) fn pods_changed(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        self.budgets_changed(Some(workload), context);
        let is_due = &mut self.workloads[workload.index()].controller.is_due;
        if !std::mem::replace(is_due, true) {
            let event = Event::ControllerLooks(workload);
            context.after(facts::REPLACEMENT_DELAY.value, event);
        }
    }

    /// The controller of a workload's pods looks.
    pub(crate) fn controller_looks(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let kind = self.kind(workload);
        self.workloads[workload.index()].controller.is_due = false;
        if !self.can_act(Client::ControllerManager) {
            return;
        }
        let state = &self.workloads[workload.index()];
        let replicas = state.replicas;
        match kind {
            WorkloadKind::Pod | WorkloadKind::External => {}
            WorkloadKind::ReplicaSet => {
                let revision = state.controller.current;
                let pods = self.active(workload, |_| true);
                self.replica_set_looks(workload, revision, replicas, pods, context);
            }
            WorkloadKind::Deployment | WorkloadKind::Inline => {
                for revision in 0..state.controller.revisions.len() as u32 {
                    let pods = self.active(workload, |of| of == revision);
                    let revisions = &self.workloads[workload.index()].controller.revisions;
                    let wanted = revisions[revision as usize].replica_set.wanted;
                    self.replica_set_looks(workload, revision, wanted, pods, context);
                }
                self.count_available(workload, context);
            }
            WorkloadKind::StatefulSet => {
                self.number_revision(workload);
                self.stateful_set_looks(workload, context);
                self.clean_history(workload);
            }
            WorkloadKind::DaemonSet => {
                self.number_revision(workload);
                self.daemon_set_looks(workload, context);
                self.clean_history(workload);
            }
        }
        self.note_sets(workload, context.now());
    }

    /// Pods of these revisions whose end was not asked for, oldest first.
    fn active(&self, workload: WorkloadId, of: impl Fn(u32) -> bool) -> Vec<u32> {
        let pods = self.workloads[workload.index()].pods.iter().copied();
        pods.filter(|&pod| {
            let pod = &self.pods[pod as usize];
            !pod.deleted && of(pod.revision)
        })
        .collect()
    }

    fn replica_set_looks(
        &mut self,
        workload: WorkloadId,
        revision: u32,
        wanted: u32,
        pods: Vec<u32>,
        context: &mut Clock<'_, Self>,
    ) {
        let present = pods.len() as u32;
        if present < wanted {
            self.create_pods(workload, revision, wanted - present, context);
        } else if present > wanted {
            let many = (present - wanted).min(facts::CONTROLLER_BURST.value);
            for pod in self.victims(workload, pods, many as usize, context.now()) {
                self.delete(pod, context);
            }
        }
    }

    /// A controller deletes a pod.
    fn delete(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        if let Some(wait) = self.write_wait(Client::ControllerManager, context.now()) {
            self.tell(context.now(), Happening::Deleted { pod });
            self.delete_pod(pod, wait, context);
        }
    }

    /// Creates pods in batches; each batch waits for the writes of the one before.
    fn create_pods(
        &mut self,
        workload: WorkloadId,
        revision: u32,
        missing: u32,
        context: &mut Clock<'_, Self>,
    ) {
        if missing == 0 || self.is_refused(workload, revision, context) {
            return;
        }
        let mut wait = Duration::ZERO;
        for batch in slow_start::batches(missing) {
            for _ in 0..batch {
                let limit = self.write_wait(Client::ControllerManager, context.now());
                let wait = wait.max(limit.unwrap_or_default());
                self.create_pod(workload, revision, None, wait, context);
            }
            wait += facts::API_WRITE_DELAY.value;
        }
        if missing > facts::CONTROLLER_BURST.value {
            self.pods_changed(workload, context);
        }
    }

    /// Whether a new pod is refused, because the API server cannot ask istiod about its sidecar;
    /// its controller then tries again, after pauses that double.
    fn is_refused(
        &mut self,
        workload: WorkloadId,
        revision: u32,
        context: &mut Clock<'_, Self>,
    ) -> bool {
        let now = context.now();
        let istiod_answers = self.istiod_answers(now);
        let controller = &mut self.workloads[workload.index()].controller;
        let template = controller.revisions[revision as usize].template;
        let refusals = &mut controller.refusals;
        if istiod_answers || template.sidecar.is_none() {
            *refusals = Refusals::default();
            return false;
        }
        let pause = facts::CONTROLLER_RETRY_FIRST.value;
        let pause = pause.saturating_mul(1 << refusals.count.min(32));
        let pause = pause.min(facts::CONTROLLER_RETRY_MAX.value);
        refusals.count += 1;
        // What waits already is not put off.
        if refusals.next <= now || refusals.next > now + pause {
            refusals.next = now + pause;
            context.after(pause, Event::ControllerLooks(workload));
        }
        self.tell(now, Happening::Refused { workload, revision });
        true
    }

    /// So many of these pods, in the order in which a ReplicaSet deletes them.
    fn victims(&self, workload: WorkloadId, pods: Vec<u32>, many: usize, now: Time) -> Vec<u32> {
        let mut colocated = BTreeMap::new();
        if is_deployed(self.kind(workload)) {
            for pod in self.active(workload, |_| true) {
                *colocated.entry(self.pods[pod as usize].node).or_insert(0) += 1;
            }
        }
        let candidate = |pod: u32| {
            let state = &self.pods[pod as usize];
            let life = state.life.as_ref();
            Candidate {
                assigned: life.is_some(),
                running: life.is_some_and(|life| life.is_running()),
                ready_since: state.ready.then_some(state.ready_since),
                deletion_cost: 0,
                colocated: colocated.get(&state.node).copied().unwrap_or(0),
                restarts: state.restarts,
                created: state.created,
                uid: u128::from(state.uid),
            }
        };
        let mut pods: Vec<_> = pods.into_iter().map(|pod| (pod, candidate(pod))).collect();
        victims::order(&mut pods, now);
        pods.into_iter().take(many).map(|(pod, _)| pod).collect()
    }

    /// Whether a pod is available; `Err` says when it will be, if it stays ready.
    fn availability(&self, pod: u32, now: Time) -> Result<bool, Time> {
        let state = &self.pods[pod as usize];
        if !state.ready || state.deleted {
            return Ok(false);
        }
        let from = state.ready_since + self.rollout(state.workload).min_ready;
        if state.ready_since == Time::ZERO || from <= now {
            Ok(true)
        } else {
            Err(from)
        }
    }

    /// The same, with a look in the calendar for when it will be.
    fn is_available(&self, pod: u32, context: &mut Clock<'_, Self>) -> bool {
        match self.availability(pod, context.now()) {
            Ok(available) => available,
            Err(from) => {
                let workload = self.pods[pod as usize].workload;
                context.schedule(from, Event::ControllerLooks(workload));
                false
            }
        }
    }

    /// The statuses of a Deployment's ReplicaSets are written; the Deployment hears of news.
    fn count_available(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let count = self.workloads[workload.index()].controller.revisions.len();
        let mut available = vec![0; count];
        for pod in self.workloads[workload.index()].pods.clone() {
            if self.is_available(pod, context) {
                available[self.pods[pod as usize].revision as usize] += 1;
            }
        }
        let controller = &mut self.workloads[workload.index()].controller;
        let is_rolling = controller.revisions.len() > 1;
        for (revision, available) in controller.revisions.iter_mut().zip(available) {
            revision.replica_set.available = available;
        }
        if is_rolling {
            self.deployment_changed(workload, context);
        }
    }

    fn stateful_set_looks(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let pods = self.workloads[workload.index()].pods.clone();
        let mut members = vec![Member::Absent; pods.len()];
        let mut of_ordinal = BTreeMap::new();
        for pod in pods {
            let available = self.is_available(pod, context);
            let state = &self.pods[pod as usize];
            let ordinal = state.ordinal.expect("pods of StatefulSets are numbered");
            let revision = state.revision;
            of_ordinal.insert(ordinal, pod);
            if members.len() <= ordinal as usize {
                members.resize(ordinal as usize + 1, Member::Absent);
            }
            members[ordinal as usize] = match (state.deleted, available) {
                (true, _) => Member::Terminating,
                (false, true) => Member::Ready { revision },
                (false, false) => Member::NotReady { revision },
            };
        }
        let wanted = self.stateful_wanted(workload);
        let is_new = |member: &Member| matches!(member, Member::Ready { revision } if *revision == wanted.update);
        if members.iter().all(is_new) {
            self.workloads[workload.index()].controller.settled = wanted.update;
        }
        for action in stateful::look(wanted, &members) {
            match action {
                Action::Create { ordinal, revision } => {
                    if self.is_refused(workload, revision, context) {
                        return;
                    }
                    let wait = Duration::ZERO;
                    self.create_pod(workload, revision, Some(ordinal), wait, context);
                }
                Action::Delete { ordinal } => self.delete(of_ordinal[&ordinal], context),
            }
        }
    }

    fn stateful_wanted(&self, workload: WorkloadId) -> Wanted {
        let state = &self.workloads[workload.index()];
        let rollout = self.rollout(workload);
        Wanted {
            replicas: state.replicas,
            management: match rollout.parallel {
                true => PodManagement::Parallel,
                false => PodManagement::OrderedReady,
            },
            partition: match rollout.strategy {
                Strategy::RollingUpdate { partition, .. } => partition,
                Strategy::Recreate => 0,
            },
            current: state.controller.settled,
            update: state.controller.current,
            unavailable_max: (self.minor() >= facts::STATEFUL_SET_UNAVAILABLE_FROM_MINOR.value)
                .then(|| self.limits(workload).unavailable.max(1)),
        }
    }

    fn daemon_set_looks(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let state = &self.workloads[workload.index()];
        let current = state.controller.current;
        // A pod whose node is gone holds nobody's place.
        let pods = state.pods.iter().copied();
        let pods = pods.filter(|&pod| !self.pods[pod as usize].orphaned);
        let pods: Vec<u32> = pods.collect();
        // A pod that is stopping holds its node's place until it is gone.
        let missing = state.replicas.saturating_sub(pods.len() as u32);
        let mut daemons = Vec::new();
        for &pod in &pods {
            let available = self.is_available(pod, context);
            let state = &self.pods[pod as usize];
            daemons.push(match (state.deleted, state.revision == current) {
                (true, _) => Daemon::Absent,
                (false, true) => Daemon::New { available },
                (false, false) => Daemon::Old { available },
            });
        }
        daemons.extend(vec![Daemon::Absent; missing as usize]);
        let limits = self.limits(workload);
        for position in daemon::replace(&daemons, limits.unavailable) {
            self.delete(pods[position], context);
        }
        self.create_pods(workload, current, missing, context);
    }
}
