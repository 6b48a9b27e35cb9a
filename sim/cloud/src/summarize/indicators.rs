//! Kubernetes' service-level indicators, and the measures that a scenario asks for.
//!
//! Indicators are kept per series step, so quantiles are at most 1.6 % off, and a window is as
//! coarse as `seriesStep`. What had not come to its end when the run did is left out.

use super::tally::steps_inside;
use super::{Study, seconds, verdicts, words};
use crate::record::{IndicatorStep, Record, Sketch};
use crate::scenario::{ClusterId, Indicator, Statistic};
use crate::summary::{MeasureSummary, RecoverySummary};
use engine::Time;
use stats::{Estimate, ratio_interval, section_interval};

/// What was found of each measure that the scenario asks for.
pub(super) fn asked(study: &Study<'_>, recovery: &[RecoverySummary]) -> Vec<MeasureSummary> {
    let measures = study.scenario.measures.iter();
    measures
        .map(|measure| {
            let (statement, unit) = words::measure(study, measure);
            MeasureSummary {
                statement,
                unit,
                found: verdicts::found(study, recovery, measure),
            }
        })
        .collect()
}

/// A statistic of an indicator, of one cluster or of all; `None` if nothing was counted.
pub(super) fn estimate(
    study: &Study<'_>,
    cluster: Option<ClusterId>,
    indicator: Indicator,
    statistic: Statistic,
    window: Option<(Time, Time)>,
) -> Option<Estimate> {
    let inside = window.map(|window| steps_inside(study, window));
    let counts = |step: &&IndicatorStep| {
        let inside = inside.as_ref();
        inside.is_none_or(|steps| steps.contains(&step.step))
    };
    let of_record = |record: &&Record| {
        let mut all = (Sketch::default(), 0);
        let of_it = record.indicators.iter().filter(|counted| {
            cluster.is_none_or(|cluster| counted.cluster == cluster)
                && indicator.covers(counted.indicator)
        });
        for step in of_it.flat_map(|counted| &counted.steps).filter(counts) {
            all.0.merge(&step.latency);
            all.1 += step.latency_sum_ns;
        }
        all
    };
    let each: Vec<(Sketch, u128)> = study.records.iter().map(of_record).collect();
    if each.iter().all(|(latencies, _)| latencies.count() == 0) {
        return None;
    }
    match statistic {
        Statistic::Mean => Some(mean(&each, study.confidence())),
        Statistic::Quantile(p) => quantile(&each, p, study.confidence()),
    }
}

fn mean(each: &[(Sketch, u128)], confidence: f64) -> Estimate {
    let sums: Vec<f64> = each.iter().map(|(_, sum_ns)| seconds(*sum_ns)).collect();
    let counts = each.iter().map(|(latencies, _)| latencies.count() as f64);
    ratio_interval(&sums, &counts.collect::<Vec<_>>(), confidence)
}

/// Pooled over replications, with sections.
fn quantile(each: &[(Sketch, u128)], p: f64, confidence: f64) -> Option<Estimate> {
    let in_seconds = |nanos: u64| seconds(u128::from(nanos));
    let mut pooled = Sketch::default();
    each.iter()
        .for_each(|(latencies, _)| pooled.merge(latencies));
    let sections = each
        .iter()
        .filter_map(|(latencies, _)| latencies.quantile_ns(p));
    let sections: Vec<f64> = sections.map(in_seconds).collect();
    let centre = in_seconds(pooled.quantile_ns(p)?);
    Some(section_interval(
        centre,
        &sections,
        pooled.count(),
        p,
        confidence,
    ))
}
