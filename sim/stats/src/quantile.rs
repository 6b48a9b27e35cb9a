//! Quantiles of requests over replications.
//!
//! What it models: the quantile of all requests of all replications together, type 1 (the
//! least value whose share reaches p, to within one histogram bucket, of which the middle is
//! told), with a sectioning interval: centre P pooled, S² = Σ(q_r − P)²/(R − 1),
//! P ± t·S/√R. The pooled centre avoids the bias of averaging quantiles of short runs, and
//! spread over replications allows for waiting times that depend on each other; an interval
//! that takes requests for independent draws covers a true p99 only one time in five.
//! Leaves out: sequential procedures. Sources: sectioning as in Asmussen and Glynn,
//! Stochastic Simulation, 2007, III.5. Validated by coverage on M/M/1 in `tests/promises/coverage.rs`.

use crate::estimate::{Estimate, Method};
use crate::interval::student_t_factor;
use crate::sample::quantile_rank;
use core::borrow::Borrow;
use hdrhistogram::Histogram;

/// Observations that must be expected beyond the quantile, on its rarer side, in each
/// replication before an interval is given: with 50 (p99 of 5 000 requests of M/M/1 at 80 %
/// load) a nominal 95 % covers 90 %, with 10 only 71 %.
pub const EXCEEDANCES_MIN: f64 = 50.0;

/// The pooled quantile `p` with its sectioning interval from one histogram per replication,
/// each value times `unit` (1e-9 turns recorded nanoseconds into seconds). Takes histograms
/// or references to them. `None` if nothing was recorded; without an interval where fewer
/// than two replications recorded anything or fewer than [`EXCEEDANCES_MIN`] observations per
/// replication are expected beyond the quantile. Ends below zero are moved onto it.
///
/// Each call merges all histograms: ask for several quantiles with [`quantile_intervals`].
///
/// # Panics
/// If `p` is not in [0, 1] or `confidence` not inside (0, 1).
#[must_use]
pub fn quantile_interval<H: Borrow<Histogram<u64>>>(
    per_replication: &[H],
    p: f64,
    confidence: f64,
    unit: f64,
) -> Option<Estimate> {
    quantile_intervals(per_replication, &[p], confidence, unit)[0]
}

/// As [`quantile_interval`] for several **ascending** probabilities in one pass; one answer
/// each, in the same order.
///
/// # Panics
/// If the probabilities do not ascend or leave [0, 1], or `confidence` is not inside (0, 1).
#[must_use]
pub fn quantile_intervals<H: Borrow<Histogram<u64>>>(
    per_replication: &[H],
    probabilities: &[f64],
    confidence: f64,
    unit: f64,
) -> Vec<Option<Estimate>> {
    assert!(
        probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && probabilities.is_sorted(),
        "probabilities must ascend within [0, 1]"
    );
    let sections: Vec<&Histogram<u64>> = per_replication
        .iter()
        .map(Borrow::borrow)
        .filter(|histogram| !histogram.is_empty())
        .collect();
    let Some(pooled) = pool(&sections) else {
        return vec![None; probabilities.len()];
    };
    let centres = values_at(&pooled, probabilities);
    let per_section: Vec<Vec<u64>> = sections
        .iter()
        .map(|section| values_at(section, probabilities))
        .collect();
    probabilities
        .iter()
        .enumerate()
        .map(|(index, &p)| {
            let values: Vec<f64> = per_section
                .iter()
                .map(|section| section[index] as f64 * unit)
                .collect();
            let centre = centres[index] as f64 * unit;
            Some(section_interval(
                centre,
                &values,
                pooled.len(),
                p,
                confidence,
            ))
        })
        .collect()
}

/// All histograms in one; `None` of none. The result takes the first one's precision and
/// grows as needed.
#[must_use]
pub fn pool<H: Borrow<Histogram<u64>>>(histograms: &[H]) -> Option<Histogram<u64>> {
    let (first, rest) = histograms.split_first()?;
    let mut pooled = first.borrow().clone();
    pooled.auto(true);
    for histogram in rest {
        pooled
            .add(histogram.borrow())
            .expect("a histogram that may grow takes every other one");
    }
    Some(pooled)
}

/// The type 1 quantile of one histogram, as the middle of its bucket; `None` if it is empty.
#[must_use]
pub fn histogram_quantile(histogram: &Histogram<u64>, p: f64) -> Option<u64> {
    (!histogram.is_empty()).then(|| values_at(histogram, &[p])[0])
}

/// Values at ascending probabilities of a histogram that is not empty.
fn values_at(histogram: &Histogram<u64>, probabilities: &[f64]) -> Vec<u64> {
    let mut wanted = probabilities
        .iter()
        .map(|&p| quantile_rank(p, histogram.len()))
        .peekable();
    let mut values = Vec::with_capacity(probabilities.len());
    let mut seen = 0;
    for step in histogram.iter_recorded() {
        seen += step.count_since_last_iteration();
        while wanted.next_if(|&rank| rank <= seen).is_some() {
            values.push(histogram.median_equivalent(step.value_iterated_to()));
        }
    }
    debug_assert_eq!(
        values.len(),
        probabilities.len(),
        "every rank lies within the count"
    );
    values
}

/// The sectioning interval around a pooled quantile `p` of `observations` in all, from the same
/// quantile of each section (replication) that has any. Without an interval from fewer than two
/// sections or where fewer than [`EXCEEDANCES_MIN`] observations per section are expected beyond
/// the quantile. For quantities that are not negative: a lower end below zero is moved onto it.
///
/// # Panics
/// If `confidence` is not inside (0, 1).
#[must_use]
pub fn section_interval(
    centre: f64,
    sections: &[f64],
    observations: u64,
    p: f64,
    confidence: f64,
) -> Estimate {
    let samples = u32::try_from(sections.len()).unwrap_or(u32::MAX);
    let n = sections.len() as f64;
    let exceedances = observations as f64 / n * p.min(1.0 - p);
    if sections.len() < 2 || exceedances < EXCEEDANCES_MIN {
        return Estimate::point_of(centre, samples);
    }
    let squares: f64 = sections
        .iter()
        .map(|value| (value - centre) * (value - centre))
        .sum();
    let half_width =
        student_t_factor(sections.len(), confidence) * libm::sqrt(squares / (n - 1.0) / n);
    Estimate::between(
        centre,
        (centre - half_width).max(0.0),
        centre + half_width,
        samples,
        Method::Sectioning,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for value in values {
            histogram.record(value).unwrap();
        }
        histogram
    }

    #[test]
    fn the_least_value_whose_share_reaches_p() {
        let hundred = histogram(1..=100);
        assert_eq!(histogram_quantile(&hundred, 0.07), Some(7));
        assert_eq!(histogram_quantile(&hundred, 0.99), Some(99));
        assert_eq!(histogram_quantile(&hundred, 0.991), Some(100));
        assert_eq!(histogram_quantile(&hundred, 0.0), Some(1));
        assert_eq!(histogram_quantile(&histogram([]), 0.5), None);
    }

    #[test]
    fn pooled_centre_and_spread_of_sections_by_hand() {
        // Medians 100 and 200, pooled median 100 (199 of 400 below, type 1).
        let sections = [histogram([100; 200]), histogram([200; 200])];
        let estimate = quantile_interval(&sections, 0.5, 0.95, 1.0).unwrap();
        assert_eq!(
            (estimate.value, estimate.method),
            (100.0, Method::Sectioning)
        );
        // S² = 100²/1, t(1; 0.975) = 12.7062, half-width t·100/√2.
        let high = 100.0 + 12.706_204_736_174_7 * 100.0 / libm::sqrt(2.0);
        assert!((estimate.high.unwrap() - high).abs() < 1e-8 * high);
        assert_eq!(estimate.low, Some(0.0));
        let references: Vec<&Histogram<u64>> = sections.iter().collect();
        assert_eq!(
            quantile_interval(&references, 0.5, 0.95, 1.0),
            Some(estimate)
        );
    }

    #[test]
    fn no_interval_from_too_little() {
        let one = [histogram(1..=1000)];
        assert_eq!(quantile_interval(&one, 0.5, 0.95, 1.0).unwrap().low, None);
        let two = [histogram(1..=1000), histogram(1..=1000)];
        assert_eq!(quantile_interval(&two, 0.99, 0.95, 1.0).unwrap().low, None);
        assert!(
            quantile_interval(&two, 0.95, 0.95, 1.0)
                .unwrap()
                .low
                .is_some()
        );
        assert_eq!(quantile_interval(&[histogram([])], 0.5, 0.95, 1.0), None);
        assert_eq!(
            quantile_interval::<Histogram<u64>>(&[], 0.5, 0.95, 1.0),
            None
        );
    }

    #[test]
    fn buckets_are_told_by_their_middle() {
        let value = 1_000_000_000;
        let told = quantile_interval(&[histogram([value])], 0.5, 0.95, 1e-9)
            .unwrap()
            .value;
        assert!((told - 1.0).abs() < 5e-4);
    }

    #[test]
    fn histograms_of_unlike_range_are_pooled() {
        let mut small = Histogram::new_with_bounds(1, 1000, 3).unwrap();
        small.record(10).unwrap();
        let pooled = pool(&[small, histogram([1_000_000])]).unwrap();
        assert_eq!(pooled.len(), 2);
    }
}
