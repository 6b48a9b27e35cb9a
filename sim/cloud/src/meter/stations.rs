//! What stations do: waits, times in the station, busy capacity, numbers in the system.
//!
//! Integrals run over the measured time only; at the end the integral of the number in the
//! system must equal the sum of the times that requests spent inside it (Little's law as an
//! identity), to the nanosecond.

use super::{MeasurePlan, histogram, step_of};
use crate::record::{WaitStep, WorkloadRecord};
use crate::scenario::{ClusterId, WorkloadId};
use engine::{Duration, Time};
use hdrhistogram::Histogram;

/// A level that changes at instants and is integrated over time.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    value: i64,
    measured: u128,
}

#[derive(Debug)]
pub(super) struct StationMeter {
    plan: MeasurePlan,
    advanced: Time,
    in_system: Level,
    busy_milli: Level,
    capacity_milli: Level,
    busy_steps: Vec<u128>,
    capacity_steps: Vec<u128>,
    /// Areas in the present step, and when it ends.
    busy_step: u128,
    capacity_step: u128,
    step_end: Time,
    wait_steps: Vec<WaitStep>,
    /// Time spent inside the measured time by requests that have left.
    inside_ns: u128,
    arrived: u64,
    finished: u64,
    rejected: u64,
    lost: u64,
    started: u64,
    waited: u64,
    wait: Option<Histogram<u64>>,
    wait_sum_ns: u128,
    sojourn: Option<Histogram<u64>>,
    sojourn_sum_ns: u128,
    sojourn_square_sum_ns2: u128,
}

/// Records a duration; one beyond the histogram's range would be a model error.
pub(super) fn record(histogram: &mut Histogram<u64>, value: Duration) {
    histogram
        .record(value.as_nanos())
        .expect("the histogram grows to any duration of a run");
}

impl StationMeter {
    pub(super) fn new(plan: MeasurePlan) -> Self {
        StationMeter {
            plan,
            advanced: Time::ZERO,
            in_system: Level::default(),
            busy_milli: Level::default(),
            capacity_milli: Level::default(),
            busy_steps: Vec::new(),
            capacity_steps: Vec::new(),
            busy_step: 0,
            capacity_step: 0,
            step_end: Time::ZERO + plan.step,
            wait_steps: Vec::new(),
            inside_ns: 0,
            arrived: 0,
            finished: 0,
            rejected: 0,
            lost: 0,
            started: 0,
            waited: 0,
            wait: None,
            wait_sum_ns: 0,
            sojourn: None,
            sojourn_sum_ns: 0,
            sojourn_square_sum_ns2: 0,
        }
    }

    /// The step of an instant, without a division where it is the present one.
    fn step_at(&self, at: Time) -> usize {
        let to_end = self.step_end.saturating_since(at);
        if !to_end.is_zero() && to_end <= self.plan.step {
            return self.busy_steps.len();
        }
        step_of(&self.plan, at)
    }

    /// Adds the levels' areas since the last call, split at step boundaries.
    fn advance(&mut self, now: Time) {
        if now == self.advanced {
            return;
        }
        let measured_from = self.advanced.max(self.plan.from);
        if now > measured_from {
            let width = u128::from(now.since(measured_from).as_nanos());
            for level in [
                &mut self.in_system,
                &mut self.busy_milli,
                &mut self.capacity_milli,
            ] {
                level.measured += level.value as u128 * width;
            }
        }
        while self.step_end < now {
            self.advance_steps(self.step_end);
            self.end_step();
        }
        self.advance_steps(now);
    }

    /// Adds the areas since `advanced` to the present step.
    fn advance_steps(&mut self, now: Time) {
        let width = u128::from(now.since(self.advanced).as_nanos());
        self.busy_step += self.busy_milli.value as u128 * width;
        self.capacity_step += self.capacity_milli.value as u128 * width;
        self.advanced = now;
    }

    fn end_step(&mut self) {
        self.busy_steps.push(std::mem::take(&mut self.busy_step));
        self.capacity_steps
            .push(std::mem::take(&mut self.capacity_step));
        self.step_end += self.plan.step;
    }

    fn counts(&self, at: Time) -> bool {
        at >= self.plan.from
    }

    pub(super) fn arrived(&mut self, now: Time) {
        self.advance(now);
        self.in_system.value += 1;
        self.arrived += u64::from(self.counts(now));
    }

    pub(super) fn rejected(&mut self, now: Time) {
        self.arrived += u64::from(self.counts(now));
        self.rejected += u64::from(self.counts(now));
    }

    pub(super) fn started(&mut self, now: Time, arrived: Time) {
        let wait = now.since(arrived);
        let position = self.step_at(arrived);
        if position >= self.wait_steps.len() {
            self.wait_steps.resize(position + 1, WaitStep::default());
        }
        self.wait_steps[position].started += 1;
        self.wait_steps[position].wait_sum_ns += u128::from(wait.as_nanos());
        if !self.counts(arrived) {
            return;
        }
        self.started += 1;
        self.waited += u64::from(!wait.is_zero());
        self.wait_sum_ns += u128::from(wait.as_nanos());
        record(self.wait.get_or_insert_with(histogram), wait);
    }

    pub(super) fn finished(&mut self, now: Time, arrived: Time, lost: bool) {
        self.advance(now);
        self.in_system.value -= 1;
        let inside_from = arrived.max(self.plan.from);
        if now > inside_from {
            self.inside_ns += u128::from(now.since(inside_from).as_nanos());
        }
        if !self.counts(arrived) {
            return;
        }
        if lost {
            self.lost += 1;
            return;
        }
        let sojourn = now.since(arrived);
        self.finished += 1;
        self.sojourn_sum_ns += u128::from(sojourn.as_nanos());
        let nanoseconds = u128::from(sojourn.as_nanos());
        self.sojourn_square_sum_ns2 += nanoseconds * nanoseconds;
        record(self.sojourn.get_or_insert_with(histogram), sojourn);
    }

    pub(super) fn busy(&mut self, now: Time, change: i64) {
        self.advance(now);
        self.busy_milli.value += change;
        debug_assert!(self.busy_milli.value >= 0, "busy capacity below zero");
    }

    pub(super) fn capacity(&mut self, now: Time, change: i64) {
        self.advance(now);
        self.capacity_milli.value += change;
        debug_assert!(self.capacity_milli.value >= 0, "capacity below zero");
    }

    pub(super) fn close(
        &mut self,
        cluster: ClusterId,
        workload: WorkloadId,
        residual: impl Iterator<Item = Time>,
    ) -> WorkloadRecord {
        let until = self.plan.until;
        self.advance(until);
        self.end_step();
        let mut present = 0;
        for arrived in residual {
            present += 1;
            let inside_from = arrived.max(self.plan.from);
            self.inside_ns += u128::from(until.since(inside_from).as_nanos());
        }
        let replication = self.plan.seed;
        assert_eq!(
            self.in_system.value, present,
            "requests in the pods of {workload:?} of {cluster:?} do not add up ({replication:?})"
        );
        assert_eq!(
            self.in_system.measured, self.inside_ns,
            "Little's law does not hold for {workload:?} of {cluster:?} ({replication:?})"
        );
        let unlimited = self.capacity_milli.measured == 0;
        assert!(
            unlimited || self.busy_milli.measured <= self.capacity_milli.measured,
            "{workload:?} of {cluster:?} was busier than it has workers ({replication:?})"
        );
        let thousandth = |values: &[u128]| values.iter().map(|value| value / 1_000).collect();
        let steps = step_of(&self.plan, until).max(1);
        self.busy_steps.truncate(steps);
        self.capacity_steps.truncate(steps);
        self.wait_steps.truncate(steps);
        WorkloadRecord {
            cluster,
            workload,
            arrived: self.arrived,
            finished: self.finished,
            rejected: self.rejected,
            lost: self.lost,
            started: self.started,
            waited: self.waited,
            wait: self.wait.take(),
            wait_sum_ns: self.wait_sum_ns,
            sojourn: self.sojourn.take(),
            sojourn_sum_ns: self.sojourn_sum_ns,
            sojourn_square_sum_ns2: self.sojourn_square_sum_ns2,
            in_system_ns: self.in_system.measured,
            busy_ns: self.busy_milli.measured / 1_000,
            capacity_ns: self.capacity_milli.measured / 1_000,
            busy_steps_ns: thousandth(&self.busy_steps),
            capacity_steps_ns: thousandth(&self.capacity_steps),
            wait_steps: std::mem::take(&mut self.wait_steps),
        }
    }
}
