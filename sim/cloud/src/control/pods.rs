//! Pods: objects that controllers create and delete, and what becomes of a pod's requests.
//!
//! Models: a pod is created, bound to a node, lives there under its kubelet, is asked to end,
//! and its object leaves when the kubelet has let it go. A pod that finds no node is Pending
//! until something changes. A container that ends takes its requests with it; its node, or
//! the load balancer before it, tells the clients.
//!
//! Sources: kubernetes/kubernetes pkg/controller, pkg/scheduler; [`crate::facts`].
//! Validated by: the lives of pods computed by hand in the crate's tests.

use crate::control::api::Client;
use crate::domain::{Clock, Domain, Event, Phase, Pod};
use crate::envoy::flags::Flag;
use crate::facts;
use crate::kubernetes::back_off::BackOff;
use crate::kubernetes::kubelet::Life;
use crate::meter::{Observation, StationId};
use crate::path::link::Address;
use crate::path::link::Packet;
use crate::path::sidecar::SidecarState;
use crate::path::station::Station;
use crate::path::usage::Counters;
use crate::path::{Call, CallRef, Endpoint, Identity, Owner, Reply};
use crate::record::Reason;
use crate::scenario::{WorkloadId, WorkloadKind};
use crate::snapshot::journal::Happening;
use crate::topology::PartitionKind;
use engine::{Duration, Time};

impl Domain<'_> {
    /// What keeps a workload's pods.
    pub(crate) fn kind(&self, workload: WorkloadId) -> WorkloadKind {
        let cluster = self.cluster.expect("workloads run in clusters");
        self.topology.cluster(cluster).workloads[workload.index()].kind
    }

    /// Adds the object of a pod and gives its position.
    fn add_pod(&mut self, workload: WorkloadId, revision: u32, now: Time) -> u32 {
        let pod = self.pods.len() as u32;
        let state = &mut self.workloads[workload.index()];
        let look = &state.controller.revisions[revision as usize];
        let (station, behavior) = (&look.template.station, look.behavior);
        let sidecar = look.template.sidecar.as_ref();
        let cluster = self.cluster.expect("pods run in clusters");
        let machines = self.topology.cluster(cluster).machines_of(workload);
        let proxy = machines.and_then(|machines| machines.proxy.as_ref());
        let joined = proxy.is_none_or(|proxy| proxy.runs_at_start);
        state.pods.push(pod);
        self.pods.push(Pod {
            workload,
            revision,
            ordinal: None,
            behavior,
            node: None,
            zone: 0,
            came: 0,
            site: machines.map(|machines| machines.site),
            station: Station::new(station),
            sidecar: sidecar
                .filter(|_| joined)
                .map(|described| Box::new(SidecarState::new(described.threads))),
            restarts: 0,
            phase: Phase::Starting,
            life: None,
            wakes_at: Time::MAX,
            ready: false,
            ready_since: now,
            created: now,
            deleted: false,
            grace: None,
            released: false,
            orphaned: false,
            pulls: BackOff::default(),
            pull_failed: false,
            out_of_memory_at: Time::MAX,
            hung_by: None,
            counts_from: None,
            pulls_from: now,
            counters: Counters::new(),
            uid: self.uids.draw(u64::from(pod), 0).word(),
        });
        pod
    }

    /// Adds a pod that has been ready for long.
    pub(crate) fn establish_pod(&mut self, workload: WorkloadId, node: Option<u32>) {
        let now = Time::ZERO;
        let pod = self.add_pod(workload, 0, now);
        self.number(pod);
        self.put(pod, node);
        let plan = self.revision(pod).plan.clone();
        // A pod comes to its node at any instant; its probes stand on a grid through it.
        let phase = self.kubelets.draw(u64::from(pod), 1).uniform();
        let admitted = now + facts::PROBE_PERIOD.value.mul_f64(phase);
        let life = Life::established(plan, self.pace(node), admitted, now);
        let state = &mut self.pods[pod as usize];
        state.life = Some(Box::new(life));
        state.phase = Phase::Running;
        state.ready = true;
        state.counters.start(now);
        self.add_capacity(pod, 1, now);
        self.sidecar_starts(pod, now);
        self.sidecar_stands(pod, now);
        self.proxy_begins(pod);
    }

    /// Adds a pod that has found no node.
    pub(crate) fn add_pending_pod(&mut self, workload: WorkloadId) {
        let pod = self.add_pod(workload, 0, Time::ZERO);
        self.number(pod);
        self.workloads[workload.index()].pending.push(pod);
    }

    /// Gives the pod of a StatefulSet, or a machine, the number after those there are.
    fn number(&mut self, pod: u32) {
        let workload = self.pods[pod as usize].workload;
        let is_numbered = matches!(
            self.kind(workload),
            WorkloadKind::StatefulSet | WorkloadKind::External
        );
        if is_numbered {
            let count = self.workloads[workload.index()].pods.len() as u32;
            self.pods[pod as usize].ordinal = Some(count - 1);
        }
    }

    /// Puts a pod on its node.
    fn put(&mut self, pod: u32, node: Option<u32>) {
        let cluster = self.cluster.expect("pods run in clusters");
        let described = self.topology.cluster(cluster);
        let came = self.pods_came.entry(node).or_default();
        let state = &mut self.pods[pod as usize];
        state.came = *came;
        *came += 1;
        state.node = node;
        state.zone = node.map_or(0, |node| described.nodes[node as usize].zone.0);
    }

    /// A controller has a pod created; its turn with the scheduler comes after `wait`.
    pub(crate) fn create_pod(
        &mut self,
        workload: WorkloadId,
        revision: u32,
        ordinal: Option<u32>,
        wait: Duration,
        context: &mut Clock<'_, Self>,
    ) {
        let pod = self.add_pod(workload, revision, context.now());
        let state = &mut self.pods[pod as usize];
        state.ordinal = ordinal;
        state.counts_from = Some(context.now() + wait);
        self.tell(context.now(), Happening::Created { pod });
        let delay = wait + facts::SCHEDULING_DELAY.value;
        context.after(delay, Event::PodScheduled(pod));
    }

    /// Adds to what a workload's stations can do, for a pod that comes (1) or goes (-1).
    pub(crate) fn add_capacity(&mut self, pod: u32, sign: i64, now: Time) {
        let workload = self.pods[pod as usize].workload;
        let template = self.template(pod);
        let change = sign * Station::capacity_milli(&template.station);
        let application = StationId::Application(workload);
        self.meters
            .observe(now, Observation::Capacity(application, change));
    }

    /// A new pod is bound to a node, if there is one for it.
    pub(crate) fn schedule_pod(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        if state.released {
            return;
        }
        let workload = state.workload;
        let class = self.revision(pod).class;
        if self.api_write(Client::Scheduler, context.now()).is_none() {
            return self.workloads[workload.index()].pending.push(pod);
        }
        let outside = self.is_ideal() || self.kind(workload) == WorkloadKind::External;
        let node = match self.scheduler.as_mut().filter(|_| !outside) {
            None => None,
            Some(scheduler) => match scheduler.place(class) {
                Ok(node) => {
                    self.nodes[node as usize].pods.push(pod);
                    if self.pods[pod as usize].deleted {
                        scheduler.end(node, class);
                    }
                    Some(node)
                }
                Err(why) => {
                    self.tell(context.now(), Happening::FailedScheduling { pod, why });
                    self.pods[pod as usize].counts_from = None;
                    self.workloads[workload.index()].pending.push(pod);
                    return self.pod_found_no_node(context);
                }
            },
        };
        self.put(pod, node);
        self.note_move(pod, context.now());
        if node.is_some() {
            self.tell(context.now(), Happening::Scheduled { pod });
        }
        if let Some(watch) = self.kubelet_hears(node) {
            self.begin_life(pod, context.now() + watch, context);
        }
    }

    /// How long until the kubelet of a node hears of what is written now, if it does; machines
    /// outside of nodes hear at once.
    fn kubelet_hears(&self, node: Option<u32>) -> Option<Duration> {
        node.map_or(Some(Duration::ZERO), |node| {
            self.watch(Client::Kubelet(node))
        })
    }

    /// The kubelet of a pod hears of it.
    pub(super) fn begin_life(&mut self, pod: u32, now: Time, context: &mut Clock<'_, Self>) {
        let plan = self.revision(pod).plan.clone();
        let pace = self.pace(self.pods[pod as usize].node);
        let life = Life::admitted(plan, pace, now);
        self.pods[pod as usize].life = Some(Box::new(life));
        self.note_container(pod);
        self.await_wake(pod, context);
    }

    /// Room has come free, or a node: pending pods try again.
    pub(crate) fn retry_pending(&mut self, context: &mut Clock<'_, Self>) {
        for index in 0..self.workloads.len() {
            for pod in std::mem::take(&mut self.workloads[index].pending) {
                let delay = facts::SCHEDULING_DELAY.value;
                context.after(delay, Event::PodScheduled(pod));
            }
        }
    }

    /// A pod's end is asked for, and written after `wait`.
    pub(crate) fn delete_pod(&mut self, pod: u32, wait: Duration, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if state.released || std::mem::replace(&mut state.deleted, true) {
            return;
        }
        let node = state.node;
        let class = self.revision(pod).class;
        let is_bound = !self.pods[pod as usize].orphaned;
        if let (Some(node), Some(scheduler), true) = (node, self.scheduler.as_mut(), is_bound) {
            scheduler.end(node, class);
        }
        if wait.is_zero() {
            self.pod_deleted(pod, context);
        } else {
            context.after(wait, Event::PodDeleted(pod));
        }
    }

    /// A pod's end is written: it leaves its services, and its kubelet will hear of it.
    pub(crate) fn pod_deleted(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        let (workload, node) = (state.workload, state.node);
        if node.is_none() && state.life.is_none() {
            return self.release(pod, context);
        }
        let node = node.filter(|_| !state.orphaned);
        self.note_move(pod, context.now());
        self.readiness_changed(workload, context);
        self.pods_changed(workload, context);
        if let Some(watch) = self.kubelet_hears(node) {
            context.after(watch, Event::PodStops(pod));
        }
    }

    /// A pod ends at once, with all that is in it.
    pub(crate) fn pod_dies(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        // The sidecar first: it can tell nobody what becomes of the application.
        self.sidecar_dies(pod, context);
        self.application_dies(pod, context);
    }

    /// An application stops serving at once: its requests are lost and its own calls are not
    /// awaited.
    pub(crate) fn application_dies(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
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
        let station = StationId::Application(workload);
        self.meters.observe(now, Observation::Busy(station, -busy));
        self.add_capacity(pod, -1, now);
        let lost = self.tasks.take_out(|task| task.pod == pod);
        self.note_lost(station, lost.iter().map(|task| task.arrived), now);
        // Only when nothing of the pod is left may others act on its death.
        self.drop_calls_of(pod, context);
        for task in &lost {
            match task.reply {
                Reply::Passage(key) => {
                    self.flag(key, Flag::ConnectionTermination);
                    self.application_gone(key, context);
                }
                Reply::Datagram(_) => {} // Nobody is told.
                Reply::Call(to) => {
                    let endpoint = self.endpoint(pod, task.service, task.entry);
                    self.tell_of_death(to, endpoint, task.identity, context);
                }
            }
        }
    }

    /// Counts requests that were lost with what held them.
    pub(crate) fn note_lost(
        &mut self,
        station: StationId,
        arrivals: impl Iterator<Item = Time>,
        now: Time,
    ) {
        for arrived in arrivals {
            let observation = Observation::Finished {
                station,
                arrived,
                lost: true,
            };
            self.meters.observe(now, observation);
        }
    }

    /// The client of a lost request hears of it, if anything is left to tell it.
    pub(crate) fn tell_of_death(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        if self.is_ideal() {
            return self.answered_at_no_distance(to, Err(Reason::Reset), context);
        }
        if self.fate(endpoint) == crate::path::service::Fate::Refused {
            self.send_back(to, endpoint, Packet::Reset { to }, identity, context);
        }
    }

    /// Calls that a dead application had out end with it; requests of users inside it fail.
    fn drop_calls_of(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let of_it = |call: &Call| call.client == pod && !call.owner.is_sidecar();
        let plans = &self.plans;
        let calls = self.calls.iter();
        let gone = calls.filter(|(_, call)| of_it(call) && plans[call.plan as usize].from_pod);
        let gone: Vec<_> = gone.map(|(key, _)| key).collect();
        for key in gone {
            self.tell_of_leaving(key, context);
            self.release_outstanding(key);
            let call = self.calls.remove(key).expect("listed just now");
            if let Owner::User(asker) = call.owner {
                let attempts = u32::from(call.attempt);
                self.request_ended(asker, attempts, Err(Reason::Reset), context);
            }
        }
        let own = Address::Pod(self.id, pod);
        self.pools.forget(own);
        self.forget_tunnels(pod);
        self.lookups.retain(|(client, _), _| *client != pod);
        self.close_sockets(pod);
    }

    /// A pod's object goes, and its place on its node is free again.
    pub(crate) fn release(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &mut self.pods[pod as usize];
        if std::mem::replace(&mut state.released, true) {
            return;
        }
        state.life = None;
        state.ready = false;
        self.drop_certificate(pod);
        let state = &self.pods[pod as usize];
        let workload = state.workload;
        // One whose node is gone takes no room any more.
        let node = state.node.filter(|_| !state.orphaned);
        let owner = &mut self.workloads[workload.index()];
        owner.pods.retain(|&other| other != pod);
        owner.pending.retain(|&other| other != pod);
        if let Some(node) = node.filter(|_| self.scheduler.is_some()) {
            self.nodes[node as usize].pods.retain(|&other| other != pod);
            self.give_room_back(pod);
            self.retry_pending(context);
            self.may_be_empty(node, context);
        }
        self.readiness_changed(workload, context);
        self.pods_changed(workload, context);
    }

    /// A pod takes no room on its node any more.
    pub(super) fn give_room_back(&mut self, pod: u32) {
        let class = self.class_of(pod);
        let state = &self.pods[pod as usize];
        if let (Some(node), Some(scheduler)) = (state.node, self.scheduler.as_mut()) {
            match state.deleted {
                true => scheduler.release_ended(node, class),
                false => scheduler.release(node, class),
            }
        }
    }

    /// A pod closes the idle connections of one of its lives, wherever their clients are.
    pub(crate) fn announce_closing(
        &mut self,
        pod: u32,
        restarts: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(cluster) = self.cluster else {
            return;
        };
        if self.is_ideal() {
            return;
        }
        self.forget_connections(cluster, pod, restarts);
        self.forget_lines(pod, restarts, context);
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
