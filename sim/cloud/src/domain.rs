//! One partition of the simulation: a cluster, a user network, or the global DNS.
//!
//! Its parts are spread over the rooms `path`, `control` and `fault`, each of which adds
//! methods; here is what they share: the closed set of events, and the state.

use crate::balance;
use crate::fault::Levers;
use crate::meter::{MeasurePlan, Meters, Observation};
use crate::path::request::Source;
use crate::path::station::Station;
use crate::path::{Call, Plan, Task};
use crate::scenario::{Behavior, ClusterId, NetworkModel, TrafficId, TrafficSource, WorkloadId};
use crate::slab::{Key, Slab};
use crate::topology::{PartitionKind, Topology};
use engine::{Context, PartitionId, Seed, Stream, Time};
use std::ops::Range;

/// The engine as a partition of type `D` sees it.
pub(crate) type Clock<'c, D> = Context<'c, D>;

/// Everything that can happen inside a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The next request of an open source starts.
    Arrival(u32),
    /// A user of a closed population has thought.
    Thought { source: u32, user: u32 },
    /// A worker has done a request's own work.
    Served(Key),
    /// The next completion under processor sharing.
    Shared { pod: u32, generation: u32 },
    /// A caller's patience with an attempt ends.
    TimedOut { attempt: u16, call: Key },
    /// The pause before an attempt is over.
    Retry(Key),
}

/// What crosses between partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {}

/// A pod, from being created on; never forgotten, so that a stale view can point at it.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) workload: WorkloadId,
    pub(crate) zone: u32,
    pub(crate) station: Station,
    /// How often it was restarted on its node.
    pub(crate) restarts: u32,
    pub(crate) phase: Phase,
}

/// The life of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Running,
}

/// What a workload's pods share.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadState {
    /// Position among the partition's behaviours.
    pub(crate) behavior: u32,
    /// Draws of service times and own errors.
    pub(crate) service_times: Stream,
    /// Draws of whether calls are made.
    pub(crate) calls: Stream,
}

/// A behaviour with its calls as plans.
#[derive(Clone, Debug)]
pub(crate) struct BehaviorState<'t> {
    pub(crate) described: &'t Behavior,
    /// Plans of each step.
    pub(crate) steps: Vec<Range<u32>>,
}

/// What the chooser of a service's endpoints remembers when there are no connections.
#[derive(Clone, Debug)]
pub(crate) struct ServiceState {
    /// Ready pods.
    pub(crate) ready: Vec<u32>,
    pub(crate) turn: balance::Turn,
    pub(crate) stream: Stream,
}

/// A partition at work.
pub(crate) struct Domain<'t> {
    pub(crate) topology: &'t Topology,
    pub(crate) seed: Seed,
    pub(crate) id: u16,
    /// The cluster, if it is one.
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) meters: Meters,
    pub(crate) levers: Levers,

    pub(crate) sources: Vec<Source<'t>>,
    /// Position in `sources` of each traffic source, if it is here.
    pub(crate) source_of_traffic: Vec<u32>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) calls: Slab<Call>,

    pub(crate) behaviors: Vec<BehaviorState<'t>>,
    pub(crate) workloads: Vec<WorkloadState>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) tasks: Slab<Task>,
    pub(crate) services: Vec<ServiceState>,
}

impl<'t> Domain<'t> {
    /// A partition at the start of a replication.
    pub(crate) fn new(
        topology: &'t Topology,
        id: u16,
        seed: Seed,
        plan: MeasurePlan,
    ) -> Domain<'t> {
        let scenario = &topology.scenario;
        let kind = topology.partitions[usize::from(id)];
        let cluster = match kind {
            PartitionKind::Cluster(cluster) => Some(cluster),
            _ => None,
        };
        let workloads = cluster.map_or(0, |cluster| topology.cluster(cluster).workloads.len());
        let mut domain = Domain {
            topology,
            seed,
            id,
            cluster,
            meters: Meters::new(plan, scenario.traffic.len(), workloads),
            levers: Levers::at_rest(workloads),
            sources: Vec::new(),
            source_of_traffic: vec![u32::MAX; scenario.traffic.len()],
            plans: Vec::new(),
            calls: Slab::new(),
            behaviors: Vec::new(),
            workloads: Vec::new(),
            pods: Vec::new(),
            tasks: Slab::new(),
            services: Vec::new(),
        };
        domain.add_sources(kind);
        if let Some(cluster) = cluster {
            domain.add_cluster(cluster);
        }
        domain
    }

    /// The traffic sources that sit in this partition.
    fn add_sources(&mut self, kind: PartitionKind) {
        let scenario = &self.topology.scenario;
        for (index, traffic) in scenario.traffic.iter().enumerate() {
            let home = match traffic.source {
                TrafficSource::Users(_) if scenario.network == NetworkModel::Ideal => {
                    PartitionKind::Cluster(ClusterId(0))
                }
                TrafficSource::Users(users) => PartitionKind::Users(users),
                TrafficSource::Workload(cluster, _) | TrafficSource::Inside(cluster) => {
                    PartitionKind::Cluster(cluster)
                }
            };
            if home != kind {
                continue;
            }
            let id = TrafficId::from(index);
            let plan = self.plans.len() as u32;
            self.plans.push(Plan::of_traffic(id, traffic));
            self.source_of_traffic[index] = self.sources.len() as u32;
            self.sources.push(Source::new(id, traffic, plan, self.seed));
        }
    }

    fn add_cluster(&mut self, id: ClusterId) {
        let described = self.topology.cluster(id);
        for (index, workload) in described.workloads.iter().enumerate() {
            let name = format!(
                "{}/{:?}/{}/{}",
                described.name, workload.kind, workload.namespace, workload.name
            );
            let behavior = self.add_behavior(WorkloadId::from(index), &workload.behavior);
            let stream = |what: &str| Stream::new(self.seed, &format!("{what} of {name}"));
            self.workloads.push(WorkloadState {
                behavior,
                service_times: stream("service times"),
                calls: stream("calls"),
            });
        }
        for pod in &self.topology.clusters[id.index()].pods {
            let station = &described.workloads[pod.workload.index()].station;
            let capacity = Observation::Capacity(pod.workload, Station::capacity_milli(station));
            self.meters.observe(Time::ZERO, capacity);
            self.pods.push(Pod {
                workload: pod.workload,
                zone: pod.zone,
                station: Station::new(station),
                restarts: 0,
                phase: Phase::Running,
            });
        }
        for service in &described.services {
            let name = format!("{}/{}/{}", described.name, service.namespace, service.name);
            let ready = (0..self.pods.len() as u32)
                .filter(|&pod| service.backends.contains(&self.pods[pod as usize].workload));
            self.services.push(ServiceState {
                ready: ready.collect(),
                turn: balance::Turn::default(),
                stream: Stream::new(self.seed, &format!("endpoints of {name}")),
            });
        }
    }

    /// Adds a behaviour with plans for its calls and gives its position.
    pub(crate) fn add_behavior(&mut self, workload: WorkloadId, described: &'t Behavior) -> u32 {
        let cluster = self.cluster.expect("workloads run in clusters");
        let steps = described
            .steps
            .iter()
            .map(|step| {
                let first = self.plans.len() as u32;
                let plans = step.calls.iter();
                self.plans
                    .extend(plans.map(|call| Plan::of_call(cluster, workload, call)));
                first..self.plans.len() as u32
            })
            .collect();
        self.behaviors.push(BehaviorState { described, steps });
        self.behaviors.len() as u32 - 1
    }

    /// One of a workload's running pods, by turn.
    pub(crate) fn running_pod(&self, workload: WorkloadId, turn: u32) -> Option<u32> {
        let running = |pod: &&Pod| pod.workload == workload && pod.phase == Phase::Running;
        let count = self.pods.iter().filter(running).count() as u32;
        let position = turn.checked_rem(count)?;
        let mut running = (0u32..).zip(&self.pods).filter(|(_, pod)| running(pod));
        running.nth(position as usize).map(|(index, _)| index)
    }
}

impl engine::Partition for Domain<'_> {
    type Event = Event;
    type Message = Message;

    fn start(&mut self, context: &mut Clock<'_, Self>) {
        self.start_sources(context);
    }

    fn handle(&mut self, event: Event, context: &mut Clock<'_, Self>) {
        match event {
            Event::Arrival(source) => self.arrival(source, context),
            Event::Thought { source, user } => self.thought(source, user, context),
            Event::Served(task) => self.served(task, context),
            Event::Shared { pod, generation } => self.shared(pod, generation, context),
            Event::TimedOut { attempt, call } => self.timed_out(call, attempt, context),
            Event::Retry(call) => self.attempt(call, context),
        }
    }

    fn receive(&mut self, from: PartitionId, message: Message, context: &mut Clock<'_, Self>) {
        let _ = (from, context);
        match message {}
    }
}
