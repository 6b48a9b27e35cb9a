//! What users see: requests, failures, latency from the intended start, over time.

use super::{MeasurePlan, histogram, step_of};
use crate::record::{FailureCounts, Reason, StepRecord, TrafficRecord};
use engine::Time;
use hdrhistogram::Histogram;

#[derive(Debug)]
pub(super) struct TrafficMeter {
    sent: u64,
    succeeded: u64,
    failures: FailureCounts,
    attempts: u64,
    latency: Histogram<u64>,
    latency_sum_ns: u128,
    steps: Vec<StepRecord>,
    /// Intended starts of failed requests; they end out of order, so they are merged last.
    failed_starts: Vec<Time>,
}

impl TrafficMeter {
    pub(super) fn new() -> Self {
        TrafficMeter {
            sent: 0,
            succeeded: 0,
            failures: FailureCounts::default(),
            attempts: 0,
            latency: histogram(),
            latency_sum_ns: 0,
            steps: Vec::new(),
            failed_starts: Vec::new(),
        }
    }

    fn step(&mut self, plan: &MeasurePlan, at: Time) -> &mut StepRecord {
        let position = step_of(plan, at);
        if position >= self.steps.len() {
            self.steps.resize_with(position + 1, StepRecord::default);
        }
        &mut self.steps[position]
    }

    pub(super) fn started(&mut self, plan: &MeasurePlan, now: Time) {
        self.step(plan, now).sent += 1;
        if now >= plan.from {
            self.sent += 1;
        }
    }

    pub(super) fn ended(
        &mut self,
        plan: &MeasurePlan,
        now: Time,
        intended: Time,
        attempts: u32,
        outcome: Result<(), Reason>,
    ) {
        let latency = now.since(intended);
        let step = self.step(plan, intended);
        step.attempts += u64::from(attempts);
        match outcome {
            Ok(()) => {
                step.succeeded += 1;
                step.latency_sum_ns += u128::from(latency.as_nanos());
                step.latency.record(latency);
            }
            Err(_) => step.failed += 1,
        }
        if intended < plan.from {
            return;
        }
        self.attempts += u64::from(attempts);
        match outcome {
            Ok(()) => {
                self.succeeded += 1;
                self.latency_sum_ns += u128::from(latency.as_nanos());
                super::stations::record(&mut self.latency, latency);
            }
            Err(reason) => {
                self.failures[reason as usize] += 1;
                self.failed_starts.push(intended);
            }
        }
    }

    pub(super) fn record(&mut self, plan: &MeasurePlan) -> TrafficRecord {
        let failed: u64 = self.failures.iter().sum();
        assert!(
            self.sent >= self.succeeded + failed,
            "more requests ended ({} + {failed}) than were sent ({}, {:?})",
            self.succeeded,
            self.sent,
            plan.seed
        );
        let mut starts = std::mem::take(&mut self.failed_starts);
        starts.sort_unstable();
        let mut failing: Vec<(Time, Time)> = Vec::new();
        for start in starts {
            match failing.last_mut() {
                Some((_, last)) if start.since(*last) <= plan.quiet => *last = start,
                _ => failing.push((start, start)),
            }
        }
        let last_step = step_of(plan, plan.until);
        self.steps
            .resize_with(last_step.max(1), StepRecord::default);
        TrafficRecord {
            sent: self.sent,
            succeeded: self.succeeded,
            failures: self.failures,
            in_flight: self.sent - self.succeeded - failed,
            attempts: self.attempts,
            latency: std::mem::replace(&mut self.latency, histogram()),
            latency_sum_ns: self.latency_sum_ns,
            steps: std::mem::take(&mut self.steps),
            failing,
        }
    }
}
