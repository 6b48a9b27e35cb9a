//! What a replication that somebody will look at keeps beside its state: the events that
//! Kubernetes would record, and what the API server holds of things that decide nothing.
//!
//! A replication that nobody looks at has no journal, and all that [`Domain::tell`] costs it is
//! to see that.

use crate::control::api::Client;
use crate::control::canaries::CanaryNews;
use crate::domain::Domain;
use crate::kubernetes::autoscaling::Reason;
use crate::kubernetes::kubelet::{ContainerState, Probed};
use crate::scenario::{PullPolicy, WorkloadId};
use crate::topology::scheduler::Unschedulable;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// Something that Kubernetes records as an event, or that a snapshot shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    /// A pod was bound to its node.
    Scheduled { pod: u32 },
    /// No node takes a pod.
    FailedScheduling { pod: u32, why: Unschedulable },
    /// A controller's pod was refused, because nobody could be asked about its sidecar.
    Refused { workload: WorkloadId, revision: u32 },
    /// A pod's container is to be made, from its image.
    ImageWanted { pod: u32 },
    /// The image is there.
    ImagePresent { pod: u32 },
    /// It is not, and must not be pulled.
    ImageForbidden { pod: u32 },
    /// It is being pulled.
    Pulling { pod: u32 },
    /// It was, in so much time, and so long after it was wanted.
    Pulled {
        pod: u32,
        took: Duration,
        waited: Duration,
    },
    /// It could not be.
    PullFailed { pod: u32 },
    /// A pod's container is killed for want of memory.
    OutOfMemory { pod: u32 },
    /// Its container runs.
    Started { pod: u32 },
    /// It has ended.
    Exited { pod: u32 },
    /// Its kubelet stops it, for the sake of a probe if not of the pod's end.
    Killing { pod: u32, probed: Option<Probed> },
    /// A probe has failed for good.
    Unhealthy { pod: u32, probed: Probed },
    /// A restart has to wait.
    BackOff { pod: u32 },
    /// A node was cordoned, or is not any more.
    Cordoned { node: u32, cordoned: bool },
    /// A node was found lost.
    NodeNotReady { node: u32 },
    /// So its pods are not ready.
    PodNotReady { pod: u32 },
    /// It is heard again.
    NodeReady { node: u32 },
    /// A pod of a node with the taint that evicts is deleted.
    Evicted { pod: u32 },
    /// It stays after all.
    Spared { pod: u32 },
    /// A Deployment asks another number of pods of a ReplicaSet.
    ReplicaSetScaled {
        workload: WorkloadId,
        revision: u32,
        from: u32,
        to: u32,
    },
    /// A controller has created a pod.
    Created { pod: u32 },
    /// It has deleted one.
    Deleted { pod: u32 },
    /// An autoscaler asks for another number of replicas.
    Rescaled {
        autoscaler: u32,
        to: u32,
        reason: Reason,
    },
    /// A component has another leader.
    LeaderElected { which: u8, number: u32 },
    /// Something has become of a canary release.
    Canary { canary: u32, news: CanaryNews },
}

impl Happening {
    /// A pull that has ended well; the journal knows when it began.
    pub(crate) fn pulled(pod: u32) -> Self {
        Happening::Pulled {
            pod,
            took: Duration::ZERO,
            waited: Duration::ZERO,
        }
    }
}

/// What is known of a pod beyond what decides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PodNotes {
    /// How often its container was started.
    starts: u32,
    /// When it ended last.
    exited: Option<Time>,
    /// When it ran out of memory last.
    out_of_memory: Option<Time>,
    /// When its image was wanted last.
    wanted: Time,
    /// When the pull of it began.
    pulling: Time,
    /// What the API server was told last.
    pub(super) told: Told,
}

/// What the API server was told of a pod's container.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) state: Option<ContainerState>,
    pub(super) ready: bool,
    /// How often it was started.
    pub(super) starts: u32,
    /// When it ended last.
    pub(super) exited: Option<Time>,
    /// Why it ended, as its status says.
    pub(super) exit_reason: &'static str,
    /// What keeps its image away, as its status says.
    pub(super) image_error: Option<&'static str>,
}

/// What the status of a ReplicaSet says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Pods.
    pub(super) current: u32,
    /// Ready ones.
    pub(super) ready: u32,
    /// Those of them that are available.
    pub(super) available: u32,
}

/// What a replication that somebody will look at keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(super) happenings: Vec<(Time, Happening)>,
    /// By position of the pod.
    pub(super) pods: BTreeMap<u32, PodNotes>,
    /// By workload, for each revision: what the status says, and when it was created.
    pub(super) sets: BTreeMap<WorkloadId, Vec<(Counts, Time)>>,
}

impl Journal {
    /// Notes what a container has come to.
    fn note(&mut self, now: Time, happening: &mut Happening) {
        match happening {
            Happening::Started { pod } => self.notes(*pod).starts += 1,
            Happening::Exited { pod } => self.notes(*pod).exited = Some(now),
            Happening::OutOfMemory { pod } => self.notes(*pod).out_of_memory = Some(now),
            Happening::ImageWanted { pod } => self.notes(*pod).wanted = now,
            Happening::Pulling { pod } => self.notes(*pod).pulling = now,
            Happening::Pulled { pod, took, waited } => {
                let notes = self.notes(*pod);
                *took = now.since(notes.pulling);
                *waited = now.since(notes.wanted);
            }
            _ => {}
        }
    }

    fn notes(&mut self, pod: u32) -> &mut PodNotes {
        self.pods.entry(pod).or_default()
    }
}

impl Domain<'_> {
    /// Somebody will look at this partition: keeps a journal from its start.
    pub(super) fn keep_journal(&mut self) {
        let mut journal = Journal::default();
        for (pod, state) in (0..).zip(&self.pods) {
            if state.life.is_some() {
                journal.note(Time::ZERO, &mut Happening::Started { pod });
            }
        }
        self.journal = Some(Box::new(journal));
        for pod in 0..self.pods.len() as u32 {
            self.note_container(pod);
        }
        for workload in 0..self.workloads.len() {
            self.note_sets(workload.into(), Time::ZERO);
        }
        self.tell_of_pending();
    }

    /// The scheduler has tried at the start already.
    fn tell_of_pending(&mut self) {
        let Some(cluster) = self.cluster else {
            return;
        };
        let plan = &self.topology.clusters[cluster.index()];
        let waiting: Vec<u32> = self
            .workloads
            .iter()
            .flat_map(|state| state.pending.iter().copied())
            .collect();
        for pod in waiting {
            let workload = self.pods[pod as usize].workload;
            let mut pending = plan.pending.iter();
            if let Some((_, why)) = pending.find(|(other, _)| *other == workload) {
                let why = why.clone();
                self.tell(Time::ZERO, Happening::FailedScheduling { pod, why });
            }
        }
    }

    /// Something has happened that whoever looks wants to know.
    #[inline]
    pub(crate) fn tell(&mut self, now: Time, happening: Happening) {
        if self.journal.is_some() {
            self.keep(now, happening);
        }
    }

    fn keep(&mut self, now: Time, mut happening: Happening) {
        let is_recorded = self.is_recorded(&happening);
        let Some(journal) = &mut self.journal else {
            return;
        };
        journal.note(now, &mut happening);
        if is_recorded {
            journal.happenings.push((now, happening));
        }
    }

    /// Whether who sees something can write it down.
    fn is_recorded(&self, happening: &Happening) -> bool {
        let kubelet = match *happening {
            Happening::ImageWanted { pod }
            | Happening::ImagePresent { pod }
            | Happening::ImageForbidden { pod }
            | Happening::Pulling { pod }
            | Happening::Pulled { pod, .. }
            | Happening::PullFailed { pod }
            | Happening::OutOfMemory { pod }
            | Happening::Started { pod }
            | Happening::Exited { pod }
            | Happening::Killing { pod, .. }
            | Happening::Unhealthy { pod, .. }
            | Happening::BackOff { pod } => self.pods[pod as usize].node,
            _ => None,
        };
        match kubelet {
            Some(node) => self.works(Client::Kubelet(node)),
            None => self.is_writable(),
        }
    }

    /// A kubelet says how a pod's container is, if it can.
    #[inline]
    pub(crate) fn note_container(&mut self, pod: u32) {
        if self.journal.is_some() {
            self.note_told(pod);
        }
    }

    fn note_told(&mut self, pod: u32) {
        let state = &self.pods[pod as usize];
        let is_heard = state
            .node
            .is_none_or(|node| self.works(Client::Kubelet(node)));
        let image_error = self.image_error(pod);
        let (Some(life), Some(journal)) = (&state.life, &mut self.journal) else {
            return;
        };
        if is_heard {
            let notes = journal.notes(pod);
            let memory = notes.exited.is_some() && notes.exited == notes.out_of_memory;
            notes.told = Told {
                state: life.container_state(),
                ready: life.is_ready(),
                starts: notes.starts,
                exited: notes.exited,
                exit_reason: if memory { "OOMKilled" } else { "Error" },
                image_error,
            };
        }
    }

    /// What keeps the image of a pod's container away.
    fn image_error(&self, pod: u32) -> Option<&'static str> {
        let state = &self.pods[pod as usize];
        let waits = state.life.as_ref().is_some_and(|life| life.is_pulling());
        let image = self.template(pod).image.as_ref();
        let forbidden = image.is_some_and(|image| image.policy == PullPolicy::Never);
        match (waits, state.pull_failed) {
            (true, true) => Some("ImagePullBackOff"),
            (true, false) if forbidden => Some("ErrImageNeverPull"),
            _ => None,
        }
    }

    /// A controller has written the status of a workload's ReplicaSets.
    #[inline]
    pub(crate) fn note_sets(&mut self, workload: WorkloadId, now: Time) {
        if self.journal.is_some() {
            self.note_counts(workload, now);
        }
    }

    fn note_counts(&mut self, workload: WorkloadId, now: Time) {
        let state = &self.workloads[workload.index()];
        let mut counts = vec![Counts::default(); state.controller.revisions.len()];
        for &pod in &state.pods {
            let pod = &self.pods[pod as usize];
            if !pod.deleted {
                let counts = &mut counts[pod.revision as usize];
                counts.current += 1;
                counts.ready += u32::from(pod.ready);
            }
        }
        let revisions = state.controller.revisions.iter();
        for (counts, revision) in counts.iter_mut().zip(revisions) {
            counts.available = revision.replica_set.available.min(counts.ready);
        }
        if let Some(journal) = &mut self.journal {
            let sets = journal.sets.entry(workload).or_default();
            sets.resize(counts.len(), (Counts::default(), now));
            for (set, counts) in sets.iter_mut().zip(counts) {
                set.0 = counts;
            }
        }
    }
}
