//! Pods: how they come, serve and go.
//!
//! Models: a controller that keeps the wanted number of pods of each workload: a missing one
//! is created after a delay, scheduled, bound and started; one too many is asked to stop,
//! leaves the endpoints, finishes what it has begun and is killed after its grace period. A
//! pod that finds no node is Pending until something changes. A pod that dies takes its
//! requests with it; its node, or the load balancer before it, tells the clients.
//!
//! Approximated: a stopping pod takes new connections until no node's rules lead to it any
//! more, as with a sleep before its end that is long enough; the others close when it is asked
//! to stop. Leaves out: probes, restarts of containers in place, rolling updates.
//! Sources: kubernetes/kubernetes pkg/controller, pkg/kubelet; [`crate::facts`].
//! Validated by: the lives of pods computed by hand in the crate's tests.

use crate::control::api::Client;
use crate::domain::{Clock, Domain, Event, Phase, Pod};
use crate::facts;
use crate::meter::Observation;
use crate::path::link::Packet;
use crate::path::station::Station;
use crate::path::usage::Counters;
use crate::path::{Identity, Owner};
use crate::record::Reason;
use crate::scenario::{WorkloadId, WorkloadKind};
use crate::topology::PartitionKind;
use engine::{Duration, Time};

/// How often a stopping pod is looked at.
const DRAIN_CHECK: Duration = Duration::from_secs(1);

impl Domain<'_> {
    /// Adds a pod on a node and gives its position.
    pub(crate) fn add_pod(
        &mut self,
        workload: WorkloadId,
        node: Option<u32>,
        phase: Phase,
        now: Time,
    ) -> u32 {
        let cluster = self.cluster.expect("pods run in clusters");
        let described = self.topology.cluster(cluster);
        let station = &described.workloads[workload.index()].station;
        self.pods.push(Pod {
            workload,
            node,
            zone: node.map_or(0, |node| described.nodes[node as usize].zone.0),
            station: Station::new(station),
            restarts: 0,
            phase,
            ready: false,
            released: false,
            kill_at: Time::MAX,
            created: now,
            ready_changed: now,
            counters: Counters::new(),
        });
        let pod = self.pods.len() as u32 - 1;
        if phase == Phase::Running {
            self.pods[pod as usize].ready = true;
            self.pods[pod as usize].counters.start(now);
            self.add_capacity(pod, 1, now);
        }
        pod
    }

    fn add_capacity(&mut self, pod: u32, sign: i64, now: Time) {
        let cluster = self.cluster.expect("pods run in clusters");
        let workload = self.pods[pod as usize].workload;
        let station = &self.topology.cluster(cluster).workloads[workload.index()].station;
        let change = sign * Station::capacity_milli(station);
        self.meters
            .observe(now, Observation::Capacity(workload, change));
    }

    /// Pods of a workload that count towards its replicas.
    fn active(&self, workload: WorkloadId) -> impl DoubleEndedIterator<Item = u32> + '_ {
        (0..self.pods.len() as u32).filter(move |&pod| {
            let pod = &self.pods[pod as usize];
            pod.workload == workload && !pod.released && pod.phase != Phase::Terminating
        })
    }

    /// A controller looks whether a workload has the pods it wants.
    pub(crate) fn reconcile(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let wanted = self.workloads[workload.index()].replicas as usize;
        let state = &self.workloads[workload.index()];
        let present = self.active(workload).count() + (state.coming + state.pending) as usize;
        for _ in present..wanted {
            let now = context.now();
            let Some(write) = self.api_write(Client::ControllerManager, now) else {
                return;
            };
            self.workloads[workload.index()].coming += 1;
            // The controller's delay holds a write of the ordinary kind already.
            let wait = write.saturating_sub(facts::API_WRITE_DELAY.value);
            let delay = facts::REPLACEMENT_DELAY.value + facts::SCHEDULING_DELAY.value;
            context.after(delay + wait, Event::PodScheduled(workload));
        }
        for _ in wanted..present {
            let pending = &mut self.workloads[workload.index()].pending;
            if *pending > 0 {
                *pending -= 1;
                continue;
            }
            let Some(pod) = self.least_worth_keeping(workload) else {
                return;
            };
            self.stop_pod(pod, context);
        }
    }

    /// The pod to stop first: one that is not ready, else the newest.
    fn least_worth_keeping(&self, workload: WorkloadId) -> Option<u32> {
        let not_ready = self
            .active(workload)
            .rev()
            .find(|&pod| !self.pods[pod as usize].ready);
        not_ready.or_else(|| self.active(workload).next_back())
    }

    /// A new pod is bound to a node, if there is one for it.
    pub(crate) fn schedule_pod(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        self.workloads[workload.index()].coming -= 1;
        let wanted = self.workloads[workload.index()].replicas as usize;
        if self.active(workload).count() >= wanted {
            return;
        }
        if self.api_write(Client::Scheduler, context.now()).is_none() {
            self.workloads[workload.index()].pending += 1;
            return;
        }
        let cluster = self.cluster.expect("pods run in clusters");
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let node = if self.is_ideal() || described.kind == WorkloadKind::External {
            None
        } else {
            match self
                .scheduler
                .as_mut()
                .map(|scheduler| scheduler.place(workload))
            {
                Some(Ok(node)) => Some(node),
                _ => {
                    self.workloads[workload.index()].pending += 1;
                    return;
                }
            }
        };
        let pod = self.add_pod(workload, node, Phase::Starting, context.now());
        let restarts = 0;
        context.after(described.start_up, Event::PodStarted { pod, restarts });
    }

    /// Room has come free, or a node: pending pods try again.
    pub(crate) fn retry_pending(&mut self, context: &mut Clock<'_, Self>) {
        for index in 0..self.workloads.len() {
            let state = &mut self.workloads[index];
            let pending = std::mem::take(&mut state.pending);
            state.coming += pending;
            for _ in 0..pending {
                let event = Event::PodScheduled(WorkloadId::from(index));
                context.after(facts::SCHEDULING_DELAY.value, event);
            }
        }
    }

    /// A pod has started and is ready.
    pub(crate) fn pod_started(&mut self, pod: u32, restarts: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if state.phase != Phase::Starting || state.restarts != restarts {
            return;
        }
        state.phase = Phase::Running;
        state.ready = true;
        state.ready_changed = context.now();
        state.counters.start(context.now());
        let workload = state.workload;
        self.add_capacity(pod, 1, context.now());
        self.readiness_changed(workload, context);
    }

    /// A pod is asked to stop.
    pub(crate) fn stop_pod(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        let (workload, phase) = (state.workload, state.phase);
        state.ready = false;
        if phase != Phase::Running {
            self.pod_dies(pod, context);
            self.release(pod, context);
            return;
        }
        state.phase = Phase::Terminating;
        self.readiness_changed(workload, context);
        self.announce_closing(pod, context);
        let kill_at = context.now() + facts::TERMINATION_GRACE_PERIOD.value;
        self.pods[pod as usize].kill_at = kill_at;
        context.after(DRAIN_CHECK, Event::DrainCheck(pod));
    }

    /// Whether a stopping pod has nothing left to do.
    pub(crate) fn check_drain(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        if state.phase != Phase::Terminating {
            return;
        }
        let idle = state.station.present == 0 && !self.is_known(pod);
        if idle || context.now() >= state.kill_at {
            self.pod_dies(pod, context);
            self.release(pod, context);
            return;
        }
        context.after(DRAIN_CHECK, Event::DrainCheck(pod));
    }

    /// Whether any node's rules still lead to a pod.
    fn is_known(&self, pod: u32) -> bool {
        let services = (0u32..).zip(&self.services);
        let mut services = services
            .filter(|(_, service)| service.backends.contains(&self.pods[pod as usize].workload))
            .map(|(index, _)| crate::scenario::ServiceId(index));
        services.any(|service| {
            self.nodes.iter().any(|node| {
                node.view
                    .endpoints(&self.endpoint_log, service)
                    .contains(&pod)
            })
        })
    }

    /// A pod stops serving at once: its requests are lost and its own calls are not awaited.
    pub(crate) fn pod_dies(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.pods[pod as usize];
        let (workload, serving) = (
            state.workload,
            matches!(state.phase, Phase::Running | Phase::Terminating),
        );
        state.phase = Phase::Dead;
        if !serving {
            return;
        }
        let busy = state.station.clear();
        self.meters.observe(now, Observation::Busy(workload, -busy));
        self.add_capacity(pod, -1, now);
        let lost: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.pod == pod)
            .map(|(key, _)| key)
            .collect();
        let lost = lost.into_iter().filter_map(|key| self.tasks.remove(key));
        let lost: Vec<_> = lost.collect();
        for task in &lost {
            let observation = Observation::Finished {
                workload,
                arrived: task.arrived,
                lost: true,
            };
            self.meters.observe(now, observation);
        }
        // Only when nothing of the pod is left may others act on its death.
        self.drop_calls_of(pod, context);
        for task in &lost {
            self.tell_of_death(pod, task, context);
        }
    }

    /// The client of a lost request hears of it, if anything is left to tell it.
    fn tell_of_death(&mut self, pod: u32, task: &crate::path::Task, context: &mut Clock<'_, Self>) {
        let reply = task.reply;
        if self.is_ideal() {
            return self.answered_at_no_distance(reply, Err(Reason::Reset), context);
        }
        let endpoint = self.endpoint(pod, task.service, task.entry);
        if self.fate(endpoint) == crate::path::service::Fate::Refused {
            let identity = task.identity;
            let packet = Packet::Reset { to: reply };
            self.send_back(reply, endpoint, packet, identity, context);
        }
    }

    /// Calls that a dead pod had out end with it; requests of users inside it fail.
    fn drop_calls_of(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let gone: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, call)| call.client == pod && self.plans[call.plan as usize].from_pod)
            .map(|(key, _)| key)
            .collect();
        for key in gone {
            self.release_outstanding(key);
            let call = self.calls.remove(key).expect("listed just now");
            if let Owner::User(asker) = call.owner {
                let attempts = u32::from(call.attempt);
                self.request_ended(asker, attempts, Err(Reason::Reset), context);
            }
        }
        let id = self.id;
        let own = crate::path::link::Address::Pod(id, pod);
        self.pools.retain(|(address, _), _| *address != own);
        self.lookups.retain(|(client, _), _| *client != pod);
    }

    /// A pod's place on its node is free again.
    pub(crate) fn release(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if std::mem::replace(&mut state.released, true) {
            return;
        }
        let workload = state.workload;
        if let (Some(node), Some(scheduler)) = (state.node, self.scheduler.as_mut()) {
            scheduler.release(node, workload);
            self.retry_pending(context);
        }
    }

    /// A pod closes its idle connections, wherever their clients are.
    pub(crate) fn announce_closing(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(cluster) = self.cluster else {
            return;
        };
        if self.is_ideal() {
            return;
        }
        let restarts = self.pods[pod as usize].restarts;
        self.forget_connections(cluster, pod, restarts);
        let identity = Identity {
            request: u64::from(pod),
            branch: u64::from(restarts),
        };
        for to in 0..self.topology.partitions.len() as u16 {
            let other = to != self.id;
            if other && self.topology.partitions[usize::from(to)] != PartitionKind::GlobalDns {
                let packet = Packet::Closed {
                    cluster,
                    pod,
                    restarts,
                };
                self.send_out(to, Duration::ZERO, packet, identity, context);
            }
        }
    }
}
