//! What each kind of hop does: attempts, failures and latency per caller, service,
//! answering workload and zones.

use super::MeasurePlan;
use crate::record::{CallKey, CallRecord, FailureCounts, Reason, Sketch};
use engine::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct CallMeter {
    records: BTreeMap<CallKey, CallRecord>,
}

impl CallMeter {
    pub(super) fn ended(
        &mut self,
        plan: &MeasurePlan,
        now: Time,
        key: CallKey,
        started: Time,
        outcome: Result<(), Reason>,
    ) {
        if started < plan.from {
            return;
        }
        let record = self.records.entry(key).or_insert_with(|| CallRecord {
            key,
            attempts: 0,
            succeeded: 0,
            failures: FailureCounts::default(),
            latency_sum_ns: 0,
            latency: Sketch::default(),
        });
        record.attempts += 1;
        match outcome {
            Ok(()) => {
                let latency = now.since(started);
                record.succeeded += 1;
                record.latency_sum_ns += u128::from(latency.as_nanos());
                record.latency.record(latency);
            }
            Err(reason) => record.failures[reason as usize] += 1,
        }
    }

    pub(super) fn records(&mut self) -> Vec<CallRecord> {
        std::mem::take(&mut self.records).into_values().collect()
    }
}
