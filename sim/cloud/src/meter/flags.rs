//! What sidecars log of requests: status and response flags, per source, service and version.
//!
//! Requests that went well are counted at a place that is remembered; only the others are
//! sorted by what was logged of them.

use super::MeasurePlan;
use crate::envoy::flags::Flags;
use crate::memo::Memo;
use crate::record::{Logged, Reporter};
use crate::scenario::WorkloadId;
use engine::Time;
use std::collections::BTreeMap;

/// Which requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlagKey {
    /// Whose sidecar tells.
    pub(crate) reporter: Reporter,
    /// Who asked, if that is known.
    pub(crate) source: Option<WorkloadId>,
    /// The service that was asked.
    pub(crate) service: u32,
    /// Workload and revision of the pod that it was sent to.
    pub(crate) answered: Option<(WorkloadId, u32)>,
}

/// The status of what went well.
const OK: u16 = 200;

#[derive(Debug)]
struct Counted {
    key: FlagKey,
    fine: u64,
    others: BTreeMap<Logged, u64>,
}

#[derive(Debug, Default)]
pub(super) struct FlagMeter {
    all: Vec<Counted>,
    positions: Memo<FlagKey>,
}

/// Where a key is remembered: any spread will do.
fn spread(key: &FlagKey) -> u32 {
    let workload = |of: Option<WorkloadId>| of.map_or(0, |of| of.0 + 1);
    let (answered, revision) = key.answered.map_or((0, 0), |(of, it)| (of.0 + 1, it));
    workload(key.source)
        .wrapping_mul(7)
        .wrapping_add(key.service.wrapping_mul(3))
        .wrapping_add(answered.wrapping_mul(5))
        .wrapping_add(revision)
        .wrapping_mul(2)
        .wrapping_add(key.reporter as u32)
}

impl FlagMeter {
    pub(super) fn passed(
        &mut self,
        plan: &MeasurePlan,
        key: FlagKey,
        arrived: Time,
        (status, flags): Logged,
    ) {
        if arrived < plan.from {
            return;
        }
        let position = match self.positions.get(spread(&key), &key) {
            Some(position) => position,
            None => self.add(key),
        };
        let counted = &mut self.all[position as usize];
        if status == OK && flags == Flags::default() {
            counted.fine += 1;
        } else {
            *counted.others.entry((status, flags)).or_default() += 1;
        }
    }

    fn add(&mut self, key: FlagKey) -> u32 {
        let position = self.all.len() as u32;
        self.all.push(Counted {
            key,
            fine: 0,
            others: BTreeMap::new(),
        });
        self.positions.insert(key, position);
        position
    }

    /// Everything that was counted, ascending by key.
    pub(super) fn take(&mut self) -> Vec<(FlagKey, BTreeMap<Logged, u64>)> {
        let mut all: Vec<_> = std::mem::take(&mut self.all)
            .into_iter()
            .map(|counted| {
                let mut counts = counted.others;
                if counted.fine > 0 {
                    counts.insert((OK, Flags::default()), counted.fine);
                }
                (counted.key, counts)
            })
            .collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }
}
