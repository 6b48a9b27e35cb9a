//! Containers: they crash, hang, or run out of memory.
//!
//! A crash is no lever: their kubelets start the containers again. The memory of a workload's
//! containers is one: while it is short, each container is killed so long after the fault began
//! or the container started. Who hangs is drawn when the fault begins; being started again cures
//! a container, as does the end of the fault.

use super::{Levers, Owner};
use crate::domain::{Clock, Domain, Event};
use crate::kubernetes::kubelet::Life;
use crate::scenario::{ClusterId, Fault, WorkloadId};
use crate::snapshot::journal::Happening;
use engine::{Duration, Time};

pub(super) fn shorten_memory(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    workload: WorkloadId,
    after: Duration,
) {
    if owner.is(cluster) {
        let lever = &mut levers.workloads[workload.index()].memory_lasts;
        *lever = Some(lever.map_or(after, |other| other.min(after)));
    }
}

impl Domain<'_> {
    /// What a fault that begins does once to the pods that it finds.
    pub(super) fn strike(&mut self, entry: u32, fault: &Fault, context: &mut Clock<'_, Self>) {
        let now = context.now();
        match *fault {
            Fault::PodKill {
                cluster,
                workload,
                count,
            } if self.cluster == Some(cluster) => {
                for pod in self.draw_running(workload, count, "killed", now) {
                    self.kill_pod(pod, context);
                }
            }
            Fault::ContainerCrash {
                cluster,
                workload,
                count,
            } if self.cluster == Some(cluster) => {
                for pod in self.draw_running(workload, count, "crashed", now) {
                    self.live(pod, context, Life::crash);
                }
            }
            Fault::Hang {
                cluster,
                workload,
                count,
            } if self.cluster == Some(cluster) => {
                for pod in self.draw_running(workload, count, "hung", now) {
                    self.pods[pod as usize].hung_by.get_or_insert(entry);
                    self.live(pod, context, |life, now, told| life.hang(true, now, told));
                }
            }
            _ => {}
        }
    }

    /// A fault has ended: who hangs because of it answers again.
    pub(super) fn release_hung(&mut self, entry: u32, context: &mut Clock<'_, Self>) {
        for pod in 0..self.pods.len() as u32 {
            if self.pods[pod as usize].hung_by == Some(entry) {
                self.pods[pod as usize].hung_by = None;
                self.live(pod, context, |life, now, told| life.hang(false, now, told));
                self.answer_held(pod, context);
            }
        }
    }

    /// The memory of a workload's containers has become short, or is not any more.
    pub(super) fn memory_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        for index in 0..self.workloads.len() {
            let workload = WorkloadId::from(index);
            let (was, is) = (before.workload(workload), self.levers.workload(workload));
            if was.memory_lasts != is.memory_lasts {
                for pod in self.workloads[index].pods.clone() {
                    self.await_out_of_memory(pod, context);
                }
            }
        }
    }

    /// When a container that starts now, or meets the fault now, is out of memory.
    pub(crate) fn await_out_of_memory(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let workload = self.pods[pod as usize].workload;
        let lasts = self.levers.workload(workload).memory_lasts;
        let at = lasts.map_or(Time::MAX, |lasts| context.now().saturating_add(lasts));
        self.pods[pod as usize].out_of_memory_at = at;
        if at < Time::MAX {
            context.schedule(at, Event::OutOfMemory(pod));
        }
    }

    /// The kernel kills a container, if this is still its time.
    pub(crate) fn out_of_memory(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        if self.pods[pod as usize].out_of_memory_at == context.now() {
            self.tell(context.now(), Happening::OutOfMemory { pod });
            self.live(pod, context, Life::crash);
        }
    }
}
