//! How long a run lasts, how often it is replicated, and how it is analysed.

use engine::Duration;

/// How long, how often, and how to analyse it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPlan {
    /// Simulated time of one replication, warm-up included.
    pub duration: Duration,
    /// What part of it counts.
    pub analysis: Analysis,
    /// Master seed.
    pub seed: u64,
    /// How many replications.
    pub replications: Replications,
    /// Width of a step of every time series.
    pub series_step: Duration,
    /// Confidence of all intervals, between 0 and 1.
    pub confidence: f64,
}

/// Whether the start counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// From the start to the end: a failover, a release, an outage.
    Terminating,
    /// The long run: what comes before `warm_up` is discarded.
    SteadyState {
        /// How much to discard; `None` lets MSER-5 decide on pilot replications.
        warm_up: Option<Duration>,
    },
}

/// How many replications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replications {
    /// At least this many, 2 or more for an interval.
    pub min: u32,
    /// At most this many.
    pub max: u32,
    /// Stop between the two when each traffic source's mean latency is known to this
    /// relative half-width.
    pub precision: Option<f64>,
}
