//! What changes the number of pods and machines, and what keeps it from falling.

use super::WorkloadId;
pub use crate::kubernetes::amount::Amount;
use engine::Duration;

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// Namespace; with `name` unique in its cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What it scales.
    pub workload: WorkloadId,
    /// Fewest replicas, at least 1.
    pub replicas_min: u32,
    /// Most replicas.
    pub replicas_max: u32,
    /// What it looks at, at least one.
    pub metrics: Vec<Metric>,
    /// How fast it may move; `None` where the object has no `behavior` takes the controller's
    /// older way.
    pub behavior: Option<ScalingBehavior>,
}

/// How fast an autoscaler may move.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingBehavior {
    /// How fast it may add.
    pub up: ScalingRules,
    /// How fast it may take away.
    pub down: ScalingRules,
}

/// What an autoscaler looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// CPU use as a share of the pods' requests: the target, in percent.
    CpuUtilization(u32),
    /// CPU use per pod: the target, in thousandths of a core.
    CpuAverage(u64),
    /// Requests that a pod answers per second: the target per pod.
    RequestsAverage(f64),
}

/// How fast an autoscaler may move in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// `stabilizationWindowSeconds`.
    pub stabilization: Duration,
    /// Which policy decides.
    pub select: SelectPolicy,
    /// The policies.
    pub policies: Vec<ScalingPolicy>,
    /// Share by which the metric may be off before anything happens, if not the controller's
    /// own; heard from 1.35 on.
    pub tolerance: Option<f64>,
}

/// Which of several policies decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows most.
    Max,
    /// The one that allows least.
    Min,
    /// No move in this direction.
    Disabled,
}

/// A bound on the change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// How much: pods, or percent of the pods at the start of the period.
    pub amount: Amount,
    /// Within which time.
    pub period: Duration,
}
