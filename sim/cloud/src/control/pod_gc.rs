//! Pods that nobody else removes: the pod garbage collector, and nodes that are out of service.
//!
//! Models: an operator's taint `node.kubernetes.io/out-of-service` on a node: pods that do not
//! tolerate it are deleted at once, and those of a node that is lost, of which no kubelet will
//! ever say that they have ended, are removed by force at the collector's next pass, so that a
//! StatefulSet can replace them. Pods whose node is no object any more are removed by force at
//! the pass that finds it gone for the quarantine; until then they stand as they were, ready and
//! behind their services, though nobody answers. What is removed while its container runs on,
//! cut off, ends when its kubelet is heard. A new leader remembers no quarantine.
//! Approximated: the collector's own calls take no time; the taint is the only one that an
//! operator gives while a cluster runs.
//! Leaves out: finished pods beyond the threshold of 12 500, as no pod here finishes for good;
//! the detachment of volumes.
//! Sources: kubernetes/kubernetes pkg/controller/podgc/gc_controller.go, pkg/controller/tainteviction;
//! KEP-2268; [`crate::facts`].
//! Validated by: nodes that are lost, tainted and taken away, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::eviction::{self, Grid};
use crate::snapshot::journal::Happening;
use engine::{Duration, Time};
use std::collections::BTreeSet;

/// What the collector knows, and what is left of pods that it has removed.
#[derive(Debug)]
pub(crate) struct Garbage {
    grid: Grid,
    /// Whether a pass is in the calendar.
    is_due: bool,
    /// Pods whose node is no object any more, and which pass saw that first.
    orphans: Vec<(u32, Option<Time>)>,
    /// Pods without an object whose containers run on.
    unheard: Vec<u32>,
}

impl Garbage {
    /// A collector whose first pass is at an instant.
    pub(super) fn new(first: Time) -> Self {
        Garbage {
            grid: Grid {
                first,
                period: facts::POD_GC_PERIOD.value,
            },
            is_due: false,
            orphans: Vec::new(),
            unheard: Vec::new(),
        }
    }

    /// A new leader begins with a pass, and with no memory.
    pub(super) fn restarts(&mut self, now: Time) {
        self.grid.first = now;
        for (_, seen) in &mut self.orphans {
            *seen = None;
        }
    }
}

impl Domain<'_> {
    /// An operator says that a node is out of service, or that it is not.
    pub(super) fn put_out_of_service(
        &mut self,
        node: u32,
        out: bool,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(state) = self.nodes.get_mut(node as usize) else {
            return; // The ideal network has no machines.
        };
        let is_registered = state.machine.is_registered();
        if !is_registered || std::mem::replace(&mut state.out_of_service, out) == out {
            return;
        }
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.set_taint(node, &eviction::out_of_service(), out);
        }
        self.count_daemons(context);
        if out {
            self.await_expulsions(node, context);
            self.await_collection(context);
        } else {
            self.retry_pending(context);
        }
    }

    /// The pods of a node out of service are deleted, each after what it tolerates.
    pub(super) fn await_expulsions(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let pods = self.pods_on(node);
        let stays: BTreeSet<Duration> = pods
            .iter()
            .filter_map(|&pod| self.stay_out_of_service(pod))
            .collect();
        for stay in stays {
            let event = Event::Expelled { node, stay };
            context.after(stay + facts::TAINT_DELETION_DELAY.value, event);
        }
    }

    /// How long a pod stays on a node that is out of service; `None` is for ever.
    fn stay_out_of_service(&self, pod: u32) -> Option<Duration> {
        let tolerations = &self.template(pod).placement.tolerations;
        eviction::stay_out_of_service(tolerations)
    }

    /// Pods of a node out of service that tolerate so much are deleted.
    pub(crate) fn expelled(&mut self, node: u32, stay: Duration, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.nodes[node as usize].out_of_service
            || self.api_write(Client::ControllerManager, now).is_none()
        {
            return;
        }
        for pod in self.pods_on(node) {
            let goes = self.stay_out_of_service(pod) == Some(stay);
            if goes && !self.pods[pod as usize].deleted {
                self.tell(now, Happening::Evicted { pod });
                self.delete_pod(pod, Duration::ZERO, context);
            }
        }
    }

    /// A machine has gone with its node, and these pods with it: their objects are left.
    pub(super) fn orphan(&mut self, pods: Vec<u32>, context: &mut Clock<'_, Self>) {
        for pod in pods {
            self.pod_dies(pod, context);
            let state = &mut self.pods[pod as usize];
            state.life = None;
            state.orphaned = true;
            self.give_room_back(pod);
            self.lifecycle.garbage.orphans.push((pod, None));
        }
        self.await_collection(context);
    }

    /// The collector looks at its next pass, if it has anything to look at.
    pub(super) fn await_collection(&mut self, context: &mut Clock<'_, Self>) {
        let is_idle = self.lifecycle.garbage.orphans.is_empty()
            && !self.nodes.iter().any(|node| node.out_of_service);
        let garbage = &mut self.lifecycle.garbage;
        if !is_idle && !std::mem::replace(&mut garbage.is_due, true) {
            context.schedule(garbage.grid.after(context.now()), Event::Collection);
        }
    }

    /// A pass of the collector.
    pub(crate) fn collect(&mut self, context: &mut Clock<'_, Self>) {
        self.lifecycle.garbage.is_due = false;
        if !self.can_act(Client::ControllerManager) {
            return; // It looks again when it can.
        }
        for node in 0..self.nodes.len() as u32 {
            let state = &self.nodes[node as usize];
            if state.out_of_service && state.heartbeat.is_lost() {
                for pod in self.pods_on(node) {
                    if self.pods[pod as usize].deleted {
                        self.remove_by_force(pod, context);
                    }
                }
            }
        }
        self.collect_orphans(context);
        self.await_collection(context);
    }

    fn collect_orphans(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let quarantine = facts::POD_GC_QUARANTINE.value;
        let orphans = std::mem::take(&mut self.lifecycle.garbage.orphans);
        for (pod, seen) in orphans {
            let since = seen.unwrap_or(now);
            if self.pods[pod as usize].released {
                continue;
            }
            if since + quarantine <= now {
                self.release(pod, context);
            } else {
                self.lifecycle.garbage.orphans.push((pod, Some(since)));
            }
        }
    }

    /// A pod's object goes whatever its kubelet says; what runs of it is not told.
    fn remove_by_force(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let is_off = self.pods[pod as usize]
            .node
            .is_some_and(|node| self.levers.is_off(node));
        if !is_off {
            self.lifecycle.garbage.unheard.push(pod);
        }
        self.release(pod, context);
    }

    /// A kubelet lists its pods, or its machine has lost its power: containers of pods that
    /// have no object end.
    pub(super) fn end_unheard(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let (here, elsewhere) = std::mem::take(&mut self.lifecycle.garbage.unheard)
            .into_iter()
            .partition(|&pod| self.pods[pod as usize].node == Some(node));
        self.lifecycle.garbage.unheard = elsewhere;
        let here: Vec<u32> = here;
        for pod in here {
            self.pod_dies(pod, context);
        }
    }
}
