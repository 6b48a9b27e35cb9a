//! What one traffic source did in some part of each replication, as counts, and the estimates
//! that follow from counts alone.

use super::{Study, seconds};
use crate::record::{Sketch, TrafficRecord};
use crate::scenario::TrafficId;
use engine::Time;
use stats::{Estimate, mean_interval, ratio_interval, share_interval};
use std::ops::Range;

/// Counts of one replication.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    succeeded: u64,
    failed: u64,
    attempts: u64,
    latency_sum_ns: u128,
    seconds: f64,
}

/// One tally per replication.
pub(super) struct Tallies {
    each: Vec<Tally>,
    confidence: f64,
}

impl Tallies {
    /// Of the whole measured time.
    pub(super) fn whole(records: &[&TrafficRecord], study: &Study<'_>) -> Self {
        let whole = |(record, seconds): (&&TrafficRecord, f64)| Tally {
            succeeded: record.succeeded,
            failed: record.failures.iter().sum(),
            attempts: record.attempts,
            latency_sum_ns: record.latency_sum_ns,
            seconds,
        };
        Tallies {
            each: records.iter().zip(study.measured_s()).map(whole).collect(),
            confidence: study.confidence(),
        }
    }

    /// Of a range of steps.
    pub(super) fn of_steps(study: &Study<'_>, id: Option<TrafficId>, steps: Range<usize>) -> Self {
        let step_s = study.scenario.run.series_step.as_secs_f64();
        let inside = |record: &TrafficRecord| {
            let mut tally = Tally {
                seconds: steps.len() as f64 * step_s,
                ..Tally::default()
            };
            for step in part(&record.steps, &steps) {
                tally.succeeded += step.succeeded;
                tally.failed += step.failed;
                tally.attempts += step.attempts;
                tally.latency_sum_ns += step.latency_sum_ns;
            }
            tally
        };
        Tallies {
            each: study.traffic(id).into_iter().map(inside).collect(),
            confidence: study.confidence(),
        }
    }

    /// Share answered without error.
    pub(super) fn availability(&self) -> Estimate {
        let succeeded: Vec<u64> = self.each.iter().map(|tally| tally.succeeded).collect();
        let ended: Vec<u64> = self
            .each
            .iter()
            .map(|tally| tally.succeeded + tally.failed)
            .collect();
        share_interval(&succeeded, &ended, self.confidence)
    }

    /// Answered without error, per second.
    pub(super) fn throughput(&self) -> Estimate {
        let rates: Vec<f64> = self
            .each
            .iter()
            .filter(|tally| tally.seconds > 0.0)
            .map(|tally| tally.succeeded as f64 / tally.seconds)
            .collect();
        mean_interval(&rates, self.confidence)
    }

    /// Attempts per request that ended.
    pub(super) fn attempts(&self) -> Estimate {
        self.ratio(
            |tally| tally.attempts as f64,
            |tally| (tally.succeeded + tally.failed) as f64,
        )
    }

    /// Mean latency of those answered, in seconds.
    pub(super) fn latency_mean(&self) -> Estimate {
        self.ratio(
            |tally| seconds(tally.latency_sum_ns),
            |tally| tally.succeeded as f64,
        )
    }

    fn ratio(
        &self,
        numerator: impl Fn(&Tally) -> f64,
        denominator: impl Fn(&Tally) -> f64,
    ) -> Estimate {
        let numerators: Vec<f64> = self.each.iter().map(numerator).collect();
        let denominators: Vec<f64> = self.each.iter().map(denominator).collect();
        ratio_interval(&numerators, &denominators, self.confidence)
    }
}

/// What there is of a range of steps; a series may end early.
pub(super) fn part<'a, T>(series: &'a [T], steps: &Range<usize>) -> &'a [T] {
    let end = steps.end.min(series.len());
    &series[steps.start.min(end)..end]
}

/// The steps of the run that lie inside a window as a whole.
pub(super) fn steps_inside(study: &Study<'_>, (start, end): (Time, Time)) -> Range<usize> {
    let step_ns = study.scenario.run.series_step.as_nanos();
    let first = start.as_nanos().div_ceil(step_ns) as usize;
    let end = end.min(Time::ZERO + study.scenario.run.duration);
    let last = (end.as_nanos() / step_ns) as usize;
    first..last.max(first)
}

/// A latency quantile of a range of steps: pooled over replications, with sections.
pub(super) fn quantile_of_steps(
    study: &Study<'_>,
    id: Option<TrafficId>,
    steps: Range<usize>,
    p: f64,
) -> Option<Estimate> {
    let mut pooled = Sketch::default();
    let mut sections = Vec::new();
    for record in study.traffic(id) {
        let mut section = Sketch::default();
        for step in part(&record.steps, &steps) {
            section.merge(&step.latency);
        }
        sections.extend(
            section
                .quantile_ns(p)
                .map(|nanos| seconds(u128::from(nanos))),
        );
        pooled.merge(&section);
    }
    let centre = seconds(u128::from(pooled.quantile_ns(p)?));
    let confidence = study.confidence();
    Some(stats::section_interval(
        centre,
        &sections,
        pooled.count(),
        p,
        confidence,
    ))
}
