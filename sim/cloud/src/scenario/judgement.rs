//! What was promised, what the author says comes out, and the measures of both.

use super::{CanaryMeasure, ClusterId, Indicator, ServiceId, Statistic, TrafficId, WorkloadId};
use crate::envoy::flags::Flag;
use engine::Time;

/// What users were promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What is measured.
    pub measure: Measure,
    /// How it must compare.
    pub comparison: Comparison,
}

/// What the author of the scenario says will come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Why, in the author's words.
    pub because: Option<String>,
    /// What is measured.
    pub measure: Measure,
    /// How it must compare.
    pub comparison: Comparison,
}

/// A measure that can be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Which quantity.
    pub quantity: Quantity,
    /// Only requests whose intended start lies in this window (start, end); whole run else.
    pub window: Option<(Time, Time)>,
}

/// A quantity. Traffic `None` stands for all traffic together. Durations are compared in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// Share of requests answered without error, 0 to 1.
    Availability(Option<TrafficId>),
    /// Mean latency of answered requests.
    LatencyMean(Option<TrafficId>),
    /// Latency quantile of answered requests, 0 < p < 1.
    LatencyQuantile(Option<TrafficId>, f64),
    /// Answered requests per second.
    Throughput(Option<TrafficId>),
    /// Busy share of a workload's workers, 0 to 1.
    Utilization(ClusterId, WorkloadId),
    /// Mean wait in a workload's queue.
    WaitMean(ClusterId, WorkloadId),
    /// Time from the start of a timeline entry's fault (position in the timeline) to the
    /// intended start of the last request that failed before its users were served again.
    Recovery(TrafficId, u32),
    /// Attempts per request.
    Attempts(Option<TrafficId>),
    /// What became of the canary release that a timeline entry (position in the timeline) asks
    /// for.
    Canary(u32, CanaryMeasure),
    /// A service-level indicator of Kubernetes, of one cluster or of all.
    Indicator(Option<ClusterId>, Indicator, Statistic),
    /// Share of requests that sidecars log with a flag, 0 to 1.
    Flagged(FlagFilter),
}

/// Which requests are looked at for a response flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagFilter {
    /// The flag.
    pub flag: Flag,
    /// Who asked; all if nothing is said.
    pub source: Option<(ClusterId, WorkloadId)>,
    /// Who is asked; all if nothing is said.
    pub service: Option<(ClusterId, ServiceId)>,
}

/// How a measure must compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Between the two, both included.
    Between(f64, f64),
}
