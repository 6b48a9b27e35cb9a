//! What each kind of hop does: attempts, failures and latency per caller, service,
//! answering workload and zones.

use super::MeasurePlan;
use crate::record::{CallKey, CallRecord, Caller, FailureCounts, Reason, Sketch};
use engine::Time;
use std::collections::BTreeMap;

/// Attempts of few kinds come again and again: their records are looked for here first.
const REMEMBERED: usize = 64;

#[derive(Debug)]
pub(super) struct CallMeter {
    records: Vec<CallRecord>,
    /// Position of each kind's record.
    positions: BTreeMap<CallKey, u32>,
    /// The kind that was seen last at each place of a small table.
    remembered: [Option<(CallKey, u32)>; REMEMBERED],
}

impl Default for CallMeter {
    fn default() -> Self {
        CallMeter {
            records: Vec::new(),
            positions: BTreeMap::new(),
            remembered: [None; REMEMBERED],
        }
    }
}

/// Where a kind is remembered: any spread will do.
fn place(key: &CallKey) -> usize {
    let caller = match key.caller {
        Caller::Traffic(traffic) => traffic.0,
        Caller::Workload(cluster, workload) => 17 + 7 * workload.0 + cluster.0,
    };
    let service = key.service.map_or(0, |(_, service)| service);
    let zones = key.caller_zone.unwrap_or(3) + 4 * key.answered.map_or(3, |(_, zone)| zone);
    (caller.wrapping_mul(5) ^ service.wrapping_mul(11) ^ zones.wrapping_mul(3)) as usize
        % REMEMBERED
}

impl CallMeter {
    fn record(&mut self, key: CallKey) -> &mut CallRecord {
        let place = place(&key);
        let position = match self.remembered[place] {
            Some((remembered, position)) if remembered == key => position,
            _ => {
                let records = &mut self.records;
                let position = *self.positions.entry(key).or_insert_with(|| {
                    records.push(CallRecord {
                        key,
                        attempts: 0,
                        succeeded: 0,
                        failures: FailureCounts::default(),
                        latency_sum_ns: 0,
                        latency: Sketch::default(),
                    });
                    records.len() as u32 - 1
                });
                self.remembered[place] = Some((key, position));
                position
            }
        };
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
