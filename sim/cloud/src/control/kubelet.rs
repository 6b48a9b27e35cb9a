//! Kubelets: what the lives of their pods come to.
//!
//! Models: every life of [`crate::kubernetes::kubelet`] on its node's clock: what happens to
//! a container happens at once, what its kubelet finds out reaches the API server one write
//! later. A pod that is told to stop refuses new connections although stale rules may still
//! lead to it; whoever has one is served until it drains.
//! A kubelet that stands still leaves its containers as they are; one that cannot write says
//! later what it has found.
//! Approximated: while a kubelet stands still, the lives of its pods do, whatever their
//! applications would have done by themselves; one pause of [`facts::POD_SANDBOX`] stands for
//! volumes, network and sandbox. The ideal network has kubelets that know all at once.
//! Sources: kubernetes/kubernetes pkg/kubelet; [`crate::facts`].
//! Validated by: lives and the endpoint race computed by hand in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::kubernetes::back_off::Pauses;
use crate::kubernetes::kubelet::{Life, Pace, Plan, Probed, Told};
use crate::meter::Observation;
use crate::scenario::{Component, Indicator, Template, WorkloadId, WorkloadKind};
use crate::snapshot::journal::Happening;
use engine::{Duration, Time};

impl Domain<'_> {
    /// What a workload's pods ask of their kubelets.
    pub(crate) fn plan_of(&self, workload: WorkloadId, template: &Template) -> Plan {
        let on_nodes = !self.is_ideal() && self.kind(workload) != WorkloadKind::External;
        let pause = match on_nodes {
            true => facts::POD_SANDBOX.value + facts::CONTAINER_START.value,
            false => Duration::ZERO,
        };
        let own = template.start_up.saturating_sub(pause);
        let described = !matches!(
            self.kind(workload),
            WorkloadKind::Inline | WorkloadKind::External
        );
        // A container of a manifest runs before its application serves; without a probe that
        // asks, its pod is ready then. What is declared in a few words is ready when it serves.
        let (init, start_up) = match described {
            true => (Duration::ZERO, own),
            false => (own, Duration::ZERO),
        };
        Plan {
            init,
            start_up,
            probes: template.probes,
            pre_stop: template.termination.pre_stop,
            grace: template.termination.grace,
            on_stop: template.termination.on_stop,
            waits_for_proxy: on_nodes && self.holds_application(template),
        }
    }

    /// How fast the kubelet of a node is; machines outside of nodes know all at once.
    pub(crate) fn pace(&self, node: Option<u32>) -> Pace {
        let restarts = Pauses {
            first: facts::RESTART_BACKOFF.value,
            max: facts::RESTART_BACKOFF_MAX.value,
        };
        let grace_min = facts::TERMINATION_GRACE_PERIOD_MIN.value;
        let Some(node) = node else {
            return Pace {
                sandbox: Duration::ZERO,
                container: Duration::ZERO,
                relist: Duration::ZERO,
                phase: Time::ZERO,
                grace_min,
                restarts,
            };
        };
        let slow = self.levers.speed(node).disk_factor;
        let relist = facts::PLEG_RELIST_PERIOD.value;
        let phase = self.kubelets.draw(u64::from(node), 0).uniform();
        Pace {
            sandbox: facts::POD_SANDBOX.value.mul_f64(slow),
            container: facts::CONTAINER_START.value.mul_f64(slow),
            relist,
            phase: Time::ZERO + relist.mul_f64(phase),
            grace_min,
            restarts,
        }
    }

    /// A kubelet writes what it finds, as soon as it can.
    pub(super) fn write_status(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let delay = match self.pods[pod as usize].node {
            Some(node) => self.api_write(Client::Kubelet(node), context.now()),
            None => Some(Duration::ZERO),
        };
        if let Some(delay) = delay {
            context.after(delay, Event::PodStatus(pod));
        }
    }

    /// Whether the process of a pod's kubelet stands still.
    pub(super) fn has_still_kubelet(&self, pod: u32) -> bool {
        let node = self.pods[pod as usize].node;
        node.is_some_and(|node| self.levers.control.stands(Component::Kubelet(node)))
    }

    /// A kubelet that stood still works again.
    pub(super) fn kubelet_acts(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for pod in self.pods_on(node) {
            self.live(pod, context, Life::wake);
            self.pull_retried(pod, context);
        }
    }

    /// A kubelet that was silent hears what was written meanwhile, and writes what it has found.
    pub(super) fn kubelet_catches_up(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        for pod in self.pods_on(node) {
            if self.pods[pod as usize].life.is_none() {
                self.begin_life(pod, context.now(), context);
            }
            if self.pods[pod as usize].deleted {
                self.end_life(pod, context);
            }
            self.pod_status_written(pod, context);
        }
    }

    /// Something happens to a pod's life; what comes of it happens too.
    pub(crate) fn live(
        &mut self,
        pod: u32,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut Life, Time, &mut Vec<Told>),
    ) {
        let Some(life) = &mut self.pods[pod as usize].life else {
            return;
        };
        let mut told = Vec::new();
        happens(life, context.now(), &mut told);
        for &told in &told {
            self.act_on(pod, told, context);
        }
        if self.journal.is_some() {
            self.tell_of_life(pod, &told, context.now());
        }
        self.await_wake(pod, context);
    }

    /// Whoever looks hears what has come of a pod's life.
    fn tell_of_life(&mut self, pod: u32, told: &[Told], now: Time) {
        let mut failed = None;
        for told in told {
            let happening = match *told {
                Told::Pull => Happening::ImageWanted { pod },
                Told::Started => Happening::Started { pod },
                Told::Exited => Happening::Exited { pod },
                Told::Unhealthy(probed) => {
                    // One that is not ready lives on.
                    failed = Some(probed).filter(|&probed| probed != Probed::Readiness);
                    Happening::Unhealthy { pod, probed }
                }
                Told::Killing => Happening::Killing {
                    pod,
                    probed: failed,
                },
                Told::BackOff(_) => Happening::BackOff { pod },
                Told::Serves
                | Told::Drains
                | Told::Ready
                | Told::NotReady
                | Told::Gone
                | Told::Prepared
                | Told::Ending => continue,
            };
            self.tell(now, happening);
        }
        self.note_container(pod);
    }

    /// Enters the next event of a pod's life into the calendar, if it is not there.
    pub(crate) fn await_wake(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        let next = state.life.as_ref().and_then(|life| life.next());
        if let Some(next) = next.filter(|&next| next < state.wakes_at) {
            state.wakes_at = next;
            context.schedule(next.max(context.now()), Event::PodWakes(pod));
        }
    }

    /// Something in a pod's life falls due.
    pub(crate) fn pod_wakes(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if state.wakes_at <= context.now() {
            state.wakes_at = Time::MAX;
        }
        if !self.has_still_kubelet(pod) {
            self.live(pod, context, Life::wake);
        }
    }

    fn act_on(&mut self, pod: u32, told: Told, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        match told {
            Told::Pull => {
                state.pulls_from = context.now();
                self.want_image(pod, context);
            }
            Told::Started => {
                self.proxy_follows(pod, context);
                self.ztunnel_may_hear_of(pod, context);
                let state = &mut self.pods[pod as usize];
                state.phase = Phase::Starting;
                state.hung_by = None;
                self.count_start(pod, context.now());
                self.await_out_of_memory(pod, context);
            }
            Told::Serves => {
                state.phase = Phase::Running;
                state.counters.start(context.now());
                self.add_capacity(pod, 1, context.now());
            }
            Told::Drains => {
                state.phase = Phase::Terminating;
                let idle = state.station.present == 0;
                if state.sidecar.is_none() {
                    let life = state.incarnation();
                    self.announce_closing(pod, life, context);
                }
                if idle {
                    self.live(pod, context, Life::drained);
                }
            }
            Told::Exited => self.container_exited(pod, context),
            Told::Prepared => self.proxy_is_made(pod, context),
            Told::Ending => self.proxy_hears_of_end(pod, context),
            Told::Ready | Told::NotReady => self.write_status(pod, context),
            Told::Gone => {
                self.proxy_is_gone(pod, context);
                self.write_status(pod, context);
            }
            Told::Unhealthy(_) | Told::Killing | Told::BackOff(_) => {}
        }
    }

    /// Counts how long a pod took to start: until others see in its status that it has. What a
    /// kubelet cannot write is not counted.
    fn count_start(&mut self, pod: u32, now: Time) {
        let state = &self.pods[pod as usize];
        let stateless = self.kind(state.workload) != WorkloadKind::StatefulSet;
        let (Some(node), Some(life), Some(created)) = (state.node, &state.life, state.counts_from)
        else {
            return;
        };
        if state.restarts > 0 || !stateless {
            return;
        }
        let Some(written) = self.status_seen_after(Client::Kubelet(node), now) else {
            return;
        };
        let seen = life.notices_at().unwrap_or(now) + written;
        let pulled = now.saturating_since(state.pulls_from + life.container());
        let took = Observation::Took {
            indicator: Indicator::PodStartup(Some(state.workload)),
            began: created,
            latency: seen.since(created).saturating_sub(life.init() + pulled),
        };
        self.meters.observe(now, took);
    }

    /// A pod's container has ended; clients hear of it unless the node is gone with it.
    fn container_exited(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let served = matches!(
            self.pods[pod as usize].phase,
            Phase::Running | Phase::Terminating
        );
        let state = &self.pods[pod as usize];
        let node = state.node;
        let life = state.incarnation();
        let is_cut_off = node.is_some_and(|node| self.levers.node(node).is_some())
            || self.machine_off(pod).is_some();
        // A proxy outlives the container of its application, and drains for longer.
        let stays = state.has_sidecar() && (!state.deleted || self.proxy_outlives(pod));
        let stays = stays && !is_cut_off;
        if stays {
            self.application_dies(pod, context);
            self.proxy_is_left(pod, context);
        } else {
            self.pod_dies(pod, context);
        }
        if served && !is_cut_off && !stays {
            self.announce_closing(pod, life, context);
        }
        self.pods[pod as usize].restarts += 1;
    }

    /// A draining pod has finished what it had begun.
    pub(crate) fn pod_idle(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        self.live(pod, context, Life::drained);
    }

    /// What a kubelet has found out about a pod is written.
    pub(crate) fn pod_status_written(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(life) = &self.pods[pod as usize].life else {
            return;
        };
        if life.is_gone() {
            return self.release(pod, context);
        }
        let ready = life.is_ready() && self.has_ready_sidecar(pod);
        self.note_container(pod);
        self.set_ready(pod, ready, context);
    }

    /// The API server holds a pod ready, or not.
    pub(crate) fn set_ready(&mut self, pod: u32, ready: bool, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if std::mem::replace(&mut state.ready, ready) == ready {
            return;
        }
        state.ready_since = context.now();
        let workload = state.workload;
        self.readiness_changed(workload, context);
        self.pods_changed(workload, context);
    }

    /// A kubelet hears that a pod is to end.
    pub(crate) fn pod_hears_of_end(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        if !self.has_still_kubelet(pod) {
            self.end_life(pod, context);
        }
    }

    fn end_life(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let grace = self.pods[pod as usize].grace;
        self.live(pod, context, |life, now, told| {
            life.delete(grace, now, told);
        });
    }
}
