//! Objectives and expectations, judged on estimates with their intervals.
//!
//! A verdict is met if the whole interval satisfies the comparison, missed if no part of it
//! does, and undecided otherwise: also where nothing was measured or no interval can be given.
//!
//! A measure in a window is taken from the steps of the time series that lie inside it as a
//! whole, so its ends are as coarse as `seriesStep`, and its latency quantiles are at most 1.6 %
//! off. A window that reaches beyond the run is cut off at its end. Recovery and flags know no
//! window.

use super::tally::{Tallies, quantile_of_steps, steps_inside};
use super::workloads::Across;
use super::{Study, canaries, flags, indicators, recovery, words};
use crate::scenario::{Comparison, Measure, Quantity, TrafficId};
use crate::summary::{Outcome, RecoverySummary, Verdict};
use stats::{Estimate, quantile_interval};

/// All objectives, then all expectations.
pub(super) fn judge_all(study: &Study<'_>, recovery: &[RecoverySummary]) -> Vec<Verdict> {
    let objectives = study
        .scenario
        .objectives
        .iter()
        .map(|objective| ("objective", &objective.measure, objective.comparison, None));
    let expectations = study.scenario.expectations.iter().map(|expectation| {
        let because = expectation.because.clone();
        (
            "expectation",
            &expectation.measure,
            expectation.comparison,
            because,
        )
    });
    objectives
        .chain(expectations)
        .map(|(kind, measure, comparison, because)| {
            let found = found(study, recovery, measure);
            let (statement, unit) = words::statement(study, measure, comparison);
            Verdict {
                kind,
                statement,
                unit,
                because,
                found,
                outcome: judge(found.as_ref(), comparison),
            }
        })
        .collect()
}

/// Judges an estimate, or that there is none. An end that is not known may be anywhere.
pub(super) fn judge(found: Option<&Estimate>, comparison: Comparison) -> Outcome {
    let Some(found) = found else {
        return Outcome::Undecided;
    };
    let low = found.low.unwrap_or(f64::NEG_INFINITY);
    let high = found.high.unwrap_or(f64::INFINITY);
    let (least, greatest) = match comparison {
        Comparison::AtMost(bound) => (f64::NEG_INFINITY, bound),
        Comparison::AtLeast(bound) => (bound, f64::INFINITY),
        Comparison::Between(least, greatest) => (least, greatest),
    };
    if low >= least && high <= greatest {
        Outcome::Met
    } else if high < least || low > greatest {
        Outcome::Missed
    } else {
        Outcome::Undecided
    }
}

/// What was found of a measure; `None` if nothing was measured.
pub(super) fn found(
    study: &Study<'_>,
    recovery: &[RecoverySummary],
    measure: &Measure,
) -> Option<Estimate> {
    measured(study, recovery, measure).filter(|found| found.samples > 0)
}

fn measured(
    study: &Study<'_>,
    recovery: &[RecoverySummary],
    measure: &Measure,
) -> Option<Estimate> {
    let steps = measure.window.map(|window| steps_inside(study, window));
    let tallies = |id: Option<TrafficId>| match &steps {
        Some(steps) => Tallies::of_steps(study, id, steps.clone()),
        None => Tallies::whole(&study.traffic(id), study),
    };
    match measure.quantity {
        Quantity::Availability(id) => Some(tallies(id).availability()),
        Quantity::LatencyMean(id) => Some(tallies(id).latency_mean()),
        Quantity::Throughput(id) => Some(tallies(id).throughput()),
        Quantity::Attempts(id) => Some(tallies(id).attempts()),
        Quantity::LatencyQuantile(id, p) => match steps {
            Some(steps) => quantile_of_steps(study, id, steps, p),
            None => whole_quantile(study, id, p),
        },
        Quantity::Utilization(cluster, workload) => {
            let across = Across::of(study, cluster, workload)?;
            Some(match steps {
                Some(steps) => across.utilization_of_steps(&steps),
                None => across.utilization(),
            })
        }
        Quantity::WaitMean(cluster, workload) => {
            let across = Across::of(study, cluster, workload)?;
            Some(match steps {
                Some(steps) => across.wait_mean_of_steps(&steps),
                None => across.wait_mean(),
            })
        }
        Quantity::Recovery(traffic, entry) => {
            let position = recovery::position(study, entry as usize, traffic)?;
            recovered(study, &recovery[position])
        }
        Quantity::Canary(entry, asked) => canaries::estimate(study, entry, asked),
        Quantity::Indicator(cluster, indicator, statistic) => {
            indicators::estimate(study, cluster, indicator, statistic, measure.window)
        }
        Quantity::Flagged(filter) => flags::share(study, &filter),
    }
}

fn whole_quantile(study: &Study<'_>, id: Option<TrafficId>, p: f64) -> Option<Estimate> {
    let records = study.traffic(id);
    let histograms: Vec<_> = records.iter().map(|record| &record.latency).collect();
    quantile_interval(&histograms, p, study.confidence(), 1e-9)
}

/// A fault that nobody felt in any replication is over at once.
fn recovered(study: &Study<'_>, recovery: &RecoverySummary) -> Option<Estimate> {
    if recovery.unclear > 0 {
        return None;
    }
    let replications = u32::try_from(study.records.len()).expect("replications fit 32 bits");
    let at_once = Estimate::exact(0.0, replications);
    Some(recovery.recovery.unwrap_or(at_once))
}
