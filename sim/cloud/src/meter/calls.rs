//! What each kind of hop does: attempts, failures and latency per caller, service,
//! answering workload and zones.

use super::MeasurePlan;
use crate::memo::Memo;
use crate::record::{CallKey, CallRecord, Caller, FailureCounts, Reason, Sketch};
use engine::Time;

#[derive(Debug, Default)]
pub(super) struct CallMeter {
    records: Vec<CallRecord>,
    /// Position of each kind's record.
    positions: Memo<CallKey>,
}

fn spread(key: &CallKey) -> u32 {
    let caller = match key.caller {
        Caller::Traffic(traffic) => traffic.0,
        Caller::Workload(cluster, workload) => 17 + 7 * workload.0 + cluster.0,
    };
    let service = key.service.map_or(0, |(_, service)| service);
    // A sidecar's own attempt and that of the application behind it differ in who answered only.
    let answered = key
        .answered
        .map_or(3, |(workload, zone)| zone + 13 * workload.0);
    let zones = key.caller_zone.unwrap_or(3) + 4 * answered;
    caller.wrapping_mul(5) ^ service.wrapping_mul(11) ^ zones.wrapping_mul(3)
}

impl CallMeter {
    fn record(&mut self, key: CallKey) -> &mut CallRecord {
        let known = self.positions.get(spread(&key), &key);
        let position = known.unwrap_or_else(|| {
            let position = self.records.len() as u32;
            self.positions.insert(key, position);
            self.records.push(CallRecord {
                key,
                attempts: 0,
                succeeded: 0,
                failures: FailureCounts::default(),
                latency_sum_ns: 0,
                latency: Sketch::default(),
            });
            position
        });
        &mut self.records[position as usize]
    }

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
        let record = self.record(key);
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
        let mut records = std::mem::take(&mut self.records);
        records.sort_by_key(|record| record.key);
        records
    }
}
