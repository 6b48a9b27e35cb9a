//! Kubernetes' service-level indicators: latencies by the moment at which they began.

use super::{MeasurePlan, step_of};
use crate::record::{IndicatorRecord, IndicatorStep};
use crate::scenario::{ClusterId, Indicator};
use engine::{Duration, Time};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct IndicatorMeter {
    /// What began, by step.
    indicators: BTreeMap<Indicator, BTreeMap<usize, IndicatorStep>>,
}

impl IndicatorMeter {
    pub(super) fn took(
        &mut self,
        plan: &MeasurePlan,
        indicator: Indicator,
        began: Time,
        latency: Duration,
    ) {
        if began < plan.from {
            return;
        }
        let step = step_of(plan, began);
        let steps = self.indicators.entry(indicator).or_default();
        let entry = steps.entry(step).or_insert_with(|| IndicatorStep {
            step,
            ..IndicatorStep::default()
        });
        entry.latency_sum_ns += u128::from(latency.as_nanos());
        entry.latency.record(latency);
    }

    pub(super) fn records(&mut self, cluster: ClusterId) -> Vec<IndicatorRecord> {
        std::mem::take(&mut self.indicators)
            .into_iter()
            .map(|(indicator, steps)| IndicatorRecord {
                cluster,
                indicator,
                steps: steps.into_values().collect(),
            })
            .collect()
    }
}
