//! What one replication left behind of Kubernetes' service-level indicators.

use super::Sketch;
use crate::scenario::{ClusterId, Indicator};

/// One indicator of one cluster. Only what began in the measured time counts.
#[derive(Clone, Debug)]
pub struct IndicatorRecord {
    /// Cluster.
    pub cluster: ClusterId,
    /// Which indicator, and of what.
    pub indicator: Indicator,
    /// Over time, ascending; only steps in which something began.
    pub steps: Vec<IndicatorStep>,
}

/// What began in one series step.
#[derive(Clone, Debug, Default)]
pub struct IndicatorStep {
    /// Position of the step.
    pub step: usize,
    /// Sum of the latencies, exact.
    pub latency_sum_ns: u128,
    /// Latencies.
    pub latency: Sketch,
}
