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

/// A level that changes at instants and is integrated over the measured time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    value: i64,
    /// When it changed last.
    since: Time,
    measured: u128,
}

impl Level {
    fn advance(&mut self, now: Time, from: Time) {
        let measured_from = self.since.max(from);
        if now > measured_from {
            self.measured += area(self.value, now.since(measured_from));
        }
        self.since = now;
    }

    pub(super) fn change(&mut self, change: i64, now: Time, from: Time) {
        self.advance(now, from);
        self.value += change;
    }

    /// What it has added up to since the measured time began.
    pub(super) fn measured(&self) -> u128 {
        self.measured
    }
}

/// What a level adds up to over a time.
fn area(value: i64, width: Duration) -> u128 {
    u128::from(value as u64) * u128::from(width.as_nanos())
}

/// A level that is also integrated over each step of the run.
#[derive(Clone, Debug)]
struct SteppedLevel {
    level: Level,
    /// Areas of the steps that are over.
    steps: Vec<u128>,
    /// Area in the present one, and when that ends.
    step: u128,
    step_end: Time,
}

impl SteppedLevel {
    fn new(plan: &MeasurePlan) -> Self {
        SteppedLevel {
            level: Level::default(),
            steps: Vec::new(),
            step: 0,
            step_end: Time::ZERO + plan.step,
        }
    }

    fn advance(&mut self, now: Time, plan: &MeasurePlan) {
        let value = self.level.value;
        let mut since = self.level.since;
        while self.step_end < now {
            let rest = area(value, self.step_end.since(since));
            self.steps.push(std::mem::take(&mut self.step) + rest);
            since = self.step_end;
            self.step_end += plan.step;
        }
        self.step += area(value, now.since(since));
        self.level.advance(now, plan.from);
    }

    fn change(&mut self, change: i64, now: Time, plan: &MeasurePlan) {
        self.advance(now, plan);
        self.level.value += change;
        debug_assert!(self.level.value >= 0, "a capacity below zero");
    }

    /// Areas of all steps, the present one included.
    fn close(&mut self, until: Time, plan: &MeasurePlan) -> Vec<u128> {
        self.advance(until, plan);
        self.steps.push(self.step);
        std::mem::take(&mut self.steps)
    }
}

#[derive(Debug)]
pub(super) struct StationMeter {
    plan: MeasurePlan,
    in_system: Level,
    busy_milli: SteppedLevel,
    capacity_milli: SteppedLevel,
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
            in_system: Level::default(),
            busy_milli: SteppedLevel::new(&plan),
            capacity_milli: SteppedLevel::new(&plan),
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
        let to_end = self.busy_milli.step_end.saturating_since(at);
        if !to_end.is_zero() && to_end <= self.plan.step {
            return self.busy_milli.steps.len();
        }
        step_of(&self.plan, at)
    }

    fn counts(&self, at: Time) -> bool {
        at >= self.plan.from
    }

    pub(super) fn arrived(&mut self, now: Time) {
        self.in_system.advance(now, self.plan.from);
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
        if wait.is_zero() {
            return; // Most do not wait: they are counted as a whole in the end.
        }
        self.waited += 1;
        self.wait_sum_ns += u128::from(wait.as_nanos());
        record(self.wait.get_or_insert_with(histogram), wait);
    }

    pub(super) fn finished(&mut self, now: Time, arrived: Time, lost: bool) {
        self.in_system.advance(now, self.plan.from);
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
        self.busy_milli.change(change, now, &self.plan);
    }

    pub(super) fn capacity(&mut self, now: Time, change: i64) {
        self.capacity_milli.change(change, now, &self.plan);
    }

    pub(super) fn close(
        &mut self,
        cluster: ClusterId,
        workload: WorkloadId,
        residual: impl Iterator<Item = Time>,
    ) -> WorkloadRecord {
        let until = self.plan.until;
        self.in_system.advance(until, self.plan.from);
        let steps = step_of(&self.plan, until).max(1);
        let close = |level: &mut SteppedLevel| {
            let mut areas = level.close(until, &self.plan);
            areas.truncate(steps);
            let thousandth = |area| area / 1_000;
            (
                level.level.measured,
                areas.into_iter().map(thousandth).collect(),
            )
        };
        if self.started > 0 {
            let wait = self.wait.get_or_insert_with(histogram);
            let at_once = wait.record_n(0, self.started - self.waited);
            at_once.expect("a histogram holds zero");
        }
        let (busy, busy_steps_ns) = close(&mut self.busy_milli);
        let (capacity, capacity_steps_ns) = close(&mut self.capacity_milli);
        self.wait_steps.truncate(steps);
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
        let unlimited = capacity == 0;
        assert!(
            unlimited || busy <= capacity,
            "{workload:?} of {cluster:?} was busier than it has workers ({replication:?})"
        );
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
            busy_ns: busy / 1_000,
            capacity_ns: capacity / 1_000,
            busy_steps_ns,
            capacity_steps_ns,
            wait_steps: std::mem::take(&mut self.wait_steps),
        }
    }
}
