//! How stale views are: the time from a change to its being applied.

use super::MeasurePlan;
use crate::record::{ViewKind, ViewRecord};
use engine::{Duration, Time};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct ViewMeter {
    /// Updates, sum of ages in nanoseconds, greatest age.
    kinds: BTreeMap<ViewKind, (u64, u128, Duration)>,
}

impl ViewMeter {
    pub(super) fn applied(&mut self, plan: &MeasurePlan, now: Time, kind: ViewKind, changed: Time) {
        if changed < plan.from {
            return;
        }
        let age = now.since(changed);
        let entry = self.kinds.entry(kind).or_default();
        entry.0 += 1;
        entry.1 += u128::from(age.as_nanos());
        entry.2 = entry.2.max(age);
    }

    pub(super) fn records(&mut self, partition: u32) -> Vec<ViewRecord> {
        std::mem::take(&mut self.kinds)
            .into_iter()
            .map(
                |(kind, (updates, staleness_sum_ns, staleness_max))| ViewRecord {
                    kind,
                    partition,
                    updates,
                    staleness_sum_ns,
                    staleness_max,
                },
            )
            .collect()
    }
}
