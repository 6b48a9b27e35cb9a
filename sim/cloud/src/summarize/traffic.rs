//! What users saw: totals, latency, the percentile curve and the series over time.

use super::tally::Tallies;
use super::{Study, failures, seconds};
use crate::record::{FailureCounts, Sketch, StepRecord, TrafficRecord};
use crate::scenario::TrafficId;
use crate::summary::{CurvePoint, Latency, SeriesPoint, TrafficSummary};
use hdrhistogram::Histogram;
use stats::{Estimate, quantile_intervals};

/// Decades of rarity that a percentile curve shows: up to 99.9999 %.
const CURVE_DECADES: u32 = 6;

/// Each source, and all together where there are several.
pub(super) fn summaries(study: &Study<'_>) -> Vec<TrafficSummary> {
    let sources = &study.scenario.traffic;
    let mut summaries: Vec<TrafficSummary> = (0..sources.len())
        .map(|index| {
            let id = TrafficId::from(index);
            summary(&sources[index].name, &study.traffic(Some(id)), study)
        })
        .collect();
    if sources.len() > 1 {
        summaries.push(summary("all", &study.traffic(None), study));
    }
    summaries
}

fn summary(name: &str, records: &[&TrafficRecord], study: &Study<'_>) -> TrafficSummary {
    let tallies = Tallies::whole(records, study);
    let histograms: Vec<&Histogram<u64>> = records.iter().map(|record| &record.latency).collect();
    TrafficSummary {
        name: name.to_owned(),
        requests: records.iter().map(|record| record.sent).sum(),
        succeeded: records.iter().map(|record| record.succeeded).sum(),
        failures: failures(records.iter().map(|record| &record.failures)),
        in_flight: records.iter().map(|record| record.in_flight).sum(),
        availability: tallies.availability(),
        throughput: tallies.throughput(),
        attempts: tallies.attempts(),
        latency: latency(&tallies, &histograms, study.confidence()),
        series: series(records, study),
        percentile_curve: percentile_curve(&histograms, study.confidence()),
    }
}

fn latency(tallies: &Tallies, histograms: &[&Histogram<u64>], confidence: f64) -> Latency {
    let quantiles = quantiles(histograms, &[0.5, 0.9, 0.95, 0.99, 0.999], confidence);
    Latency {
        mean: tallies.latency_mean(),
        p50: quantiles[0],
        p90: quantiles[1],
        p95: quantiles[2],
        p99: quantiles[3],
        p999: quantiles[4],
        max: histograms
            .iter()
            .filter(|histogram| !histogram.is_empty())
            .map(|histogram| seconds(u128::from(histogram.max())))
            .fold(0.0, f64::max),
    }
}

/// Quantiles in seconds at ascending probabilities; nothing of nothing.
pub(super) fn quantiles(
    histograms: &[&Histogram<u64>],
    probabilities: &[f64],
    confidence: f64,
) -> Vec<Estimate> {
    quantile_intervals(histograms, probabilities, confidence, 1e-9)
        .into_iter()
        .map(|estimate| estimate.unwrap_or_else(Estimate::nothing))
        .collect()
}

/// Probabilities 0.1, … 0.9, 0.91, … 0.99, 0.991, … while at least one request lies beyond.
fn curve_probabilities(requests: u64) -> Vec<f64> {
    (0..CURVE_DECADES)
        .map(|decade| 10_u64.pow(decade + 1))
        .flat_map(|scale| (1..=9).map(move |part| (10 - part, scale)))
        .take_while(|&(beyond, scale)| requests * beyond >= scale)
        .map(|(beyond, scale)| (scale - beyond) as f64 / scale as f64)
        .collect()
}

fn percentile_curve(histograms: &[&Histogram<u64>], confidence: f64) -> Vec<CurvePoint> {
    let requests = histograms.iter().map(|histogram| histogram.len()).sum();
    let probabilities = curve_probabilities(requests);
    quantiles(histograms, &probabilities, confidence)
        .into_iter()
        .zip(probabilities)
        .map(|(estimate, probability)| CurvePoint {
            probability,
            latency: estimate.value,
            interval: estimate.low.zip(estimate.high),
        })
        .collect()
}

fn series(records: &[&TrafficRecord], study: &Study<'_>) -> Vec<SeriesPoint> {
    let run = &study.scenario.run;
    let width_s = run.series_step.min(run.duration).as_secs_f64();
    let steps = records
        .iter()
        .map(|record| record.steps.len())
        .max()
        .unwrap_or(0);
    (0..steps)
        .map(|index| {
            let across: Vec<&StepRecord> = records
                .iter()
                .filter_map(|record| record.steps.get(index))
                .collect();
            let time_s = index as f64 * run.series_step.as_secs_f64();
            point(time_s, width_s, &across)
        })
        .collect()
}

/// One step over all replications.
fn point(time_s: f64, width_s: f64, across: &[&StepRecord]) -> SeriesPoint {
    let sum = |count: fn(&StepRecord) -> u64| across.iter().map(|step| count(step)).sum::<u64>();
    let ended = sum(|step| step.succeeded + step.failed);
    let shares = across.iter().filter_map(|step| {
        let ended = step.succeeded + step.failed;
        (ended > 0).then(|| step.succeeded as f64 / ended as f64)
    });
    let availability_range = shares.fold(None, |range: Option<(f64, f64)>, share| {
        let (low, high) = range.unwrap_or((share, share));
        Some((low.min(share), high.max(share)))
    });
    let mut pooled = Sketch::default();
    across.iter().for_each(|step| pooled.merge(&step.latency));
    let quantile = |p| {
        pooled
            .quantile_ns(p)
            .map(|nanos| seconds(u128::from(nanos)))
    };
    SeriesPoint {
        time_s,
        rate: sum(|step| step.sent) as f64 / across.len() as f64 / width_s,
        availability: (ended > 0).then(|| sum(|step| step.succeeded) as f64 / ended as f64),
        availability_range,
        p50: quantile(0.5),
        p99: quantile(0.99),
    }
}

/// All sources of one replication as if they were one. Stretches of failures are not merged:
/// recovery is told per source.
pub(super) fn together(sources: &[TrafficRecord]) -> TrafficRecord {
    let sum = |count: fn(&TrafficRecord) -> u64| sources.iter().map(count).sum::<u64>();
    let mut failures = FailureCounts::default();
    for source in sources {
        failures
            .iter_mut()
            .zip(source.failures)
            .for_each(|(total, count)| *total += count);
    }
    let histograms: Vec<&Histogram<u64>> = sources.iter().map(|source| &source.latency).collect();
    TrafficRecord {
        sent: sum(|source| source.sent),
        succeeded: sum(|source| source.succeeded),
        failures,
        in_flight: sum(|source| source.in_flight),
        attempts: sum(|source| source.attempts),
        latency: stats::pool(&histograms).unwrap_or_else(crate::meter::histogram),
        latency_sum_ns: sources.iter().map(|source| source.latency_sum_ns).sum(),
        steps: steps_together(sources),
        failing: Vec::new(),
    }
}

fn steps_together(sources: &[TrafficRecord]) -> Vec<StepRecord> {
    let count = sources
        .iter()
        .map(|source| source.steps.len())
        .max()
        .unwrap_or(0);
    let mut steps = vec![StepRecord::default(); count];
    for source in sources {
        for (total, step) in steps.iter_mut().zip(&source.steps) {
            total.sent += step.sent;
            total.succeeded += step.succeeded;
            total.failed += step.failed;
            total.attempts += step.attempts;
            total.latency_sum_ns += step.latency_sum_ns;
            total.latency.merge(&step.latency);
        }
    }
    steps
}
