//! HorizontalPodAutoscalers in time: from what pods use to how many are wanted.
//!
//! Models: metrics-server reads all pods at its own interval, and what it shows is older by
//! the kubelet's; each autoscaler looks at its own phase of the sync period, reads the scale and
//! the metrics, decides by [`crate::kubernetes::autoscaling`], and writes the scale. While the
//! controller manager cannot work it does nothing; a new one has forgotten the recommendations.
//!
//! Approximated: the kubelet's readings lag behind by one draw for the whole cluster; a decision
//! is made on what there is when the reads begin; a new process keeps the phases of the last.
//! Sources: kubernetes/kubernetes `pkg/controller/podautoscaler`,
//! kubernetes-sigs/metrics-server; [`crate::facts`].
//! Validated by: the delay from a step of load to the first new pod, and the replicas after
//! it, also where an outage or a restart lies between them, in the crate's tests.

use crate::control::api::Client;
use crate::domain::{Clock, Domain, Event, Phase, Pod};
use crate::facts;
use crate::kubernetes::autoscaling::proposal::{PodSample, SamplePhase};
use crate::kubernetes::autoscaling::{Decision, Memory, Settings, decide};
use crate::scenario::{Autoscaler, WorkloadId};
use crate::snapshot::journal::Happening;
use engine::{Duration, Stream, Time};

/// An autoscaler at work.
#[derive(Clone, Debug)]
pub(crate) struct AutoscalerState {
    memory: Memory,
    /// What it last decided, for those who ask.
    pub(crate) last: Decision,
}

impl AutoscalerState {
    pub(crate) fn new() -> Self {
        AutoscalerState {
            memory: Memory::default(),
            last: Decision {
                rescale: None,
                measured: Vec::new(),
            },
        }
    }
}

/// As which it reads and writes.
const CLIENT: Client = Client::ControllerManager;

impl Domain<'_> {
    fn autoscaler(&self, position: u32) -> &Autoscaler {
        let cluster = self.cluster.expect("autoscalers belong to clusters");
        &self.topology.cluster(cluster).autoscalers[position as usize]
    }

    /// Autoscalers and metrics-server begin, each at its own phase.
    pub(crate) fn start_autoscalers(&mut self, context: &mut Clock<'_, Self>) {
        if self.autoscalers.is_empty() {
            return;
        }
        let place = self.topology.partition_name(self.id);
        let phases = Stream::new(self.seed, &format!("autoscalers of {place}"));
        let phase = |number: usize, period: Duration| {
            period.mul_f64(phases.draw(number as u64, 0).uniform())
        };
        let count = self.autoscalers.len();
        for position in 0..count {
            let event = Event::AutoscalerSyncs(position as u32);
            context.after(phase(position, facts::HPA_SYNC_PERIOD.value), event);
        }
        self.metrics_age = phase(count, facts::METRICS_KUBELET_PERIOD.value);
        let first = phase(count + 1, facts::METRICS_RESOLUTION.value);
        context.after(first, Event::MetricsRead);
    }

    /// metrics-server reads the pods that some autoscaler looks at.
    pub(crate) fn metrics_read(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        for position in 0..self.autoscalers.len() as u32 {
            let workload = self.autoscaler(position).workload;
            for pod in self.workloads[workload.index()].pods.clone() {
                let state = &mut self.pods[pod as usize];
                state.counters.read(now, now + self.metrics_age);
            }
        }
        context.after(facts::METRICS_RESOLUTION.value, Event::MetricsRead);
    }

    /// A new process begins: what the last one remembered is lost.
    pub(super) fn autoscalers_restart(&mut self) {
        for autoscaler in &mut self.autoscalers {
            *autoscaler = AutoscalerState::new();
        }
    }

    /// An autoscaler looks.
    pub(crate) fn autoscaler_syncs(&mut self, position: u32, context: &mut Clock<'_, Self>) {
        let event = Event::AutoscalerSyncs(position);
        context.after(facts::HPA_SYNC_PERIOD.value, event);
        if !self.works(CLIENT) {
            return;
        }
        // The scale, and the metrics.
        let reads = self.api_read(CLIENT, context.now()) + self.api_read(CLIENT, context.now());
        let topology = self.topology;
        let cluster = self.cluster.expect("autoscalers belong to clusters");
        let described = topology.cluster(cluster);
        let scaler = &described.autoscalers[position as usize];
        let samples = self.samples(scaler.workload, context.now());
        let settings = Settings::of(described.kubernetes_minor);
        let replicas = self.workloads[scaler.workload.index()].replicas;
        let memory = &mut self.autoscalers[position as usize].memory;
        let decision = decide(scaler, &settings, memory, replicas, &samples, context.now());
        if let Some((replicas, reason)) = decision.rescale
            && let Some(write) = self.api_write(CLIENT, context.now())
        {
            let rescaled = Happening::Rescaled {
                autoscaler: position,
                to: replicas,
                reason,
            };
            self.tell(context.now(), rescaled);
            let event = Event::Scaled {
                workload: scaler.workload,
                replicas,
            };
            context.after(reads + write, event);
        }
        self.autoscalers[position as usize].last = decision;
    }

    /// A new number of replicas is written.
    pub(crate) fn scaled(
        &mut self,
        workload: WorkloadId,
        replicas: u32,
        context: &mut Clock<'_, Self>,
    ) {
        self.workloads[workload.index()].replicas = replicas;
        self.reconcile(workload, context);
    }

    /// The pods of a workload as the autoscaler's caches show them.
    fn samples(&self, workload: WorkloadId, now: Time) -> Vec<PodSample> {
        let cluster = self.cluster.expect("workloads run in clusters");
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let milli = described.template.placement.requests.cpu_milli;
        let request = (milli > 0).then_some(milli);
        let pods = self.workloads[workload.index()].pods.iter().copied();
        pods.map(|pod| sample(&self.pods[pod as usize], request, now))
            .collect()
    }
}

fn sample(pod: &Pod, cpu_request_milli: Option<u64>, now: Time) -> PodSample {
    PodSample {
        phase: match pod.phase {
            _ if pod.deleted => SamplePhase::Leaving,
            Phase::Starting => SamplePhase::Pending,
            Phase::Running | Phase::Terminating | Phase::Dead => SamplePhase::Running,
        },
        started: pod.created,
        ready: pod.ready,
        ready_changed: pod.ready_since,
        cpu_request_milli,
        // Nobody reads a container that is gone.
        usage: pod
            .counters
            .sample(now)
            .filter(|_| pod.phase == Phase::Running),
    }
}
