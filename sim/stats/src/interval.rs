//! Intervals from independent replications.
//!
//! What it models: means, ratios of sums and shares over replications, and paired
//! differences. Leaves out: single long runs (batch means): their coverage is worse than
//! that of twenty replications. Sources: Student's t; the classical ratio estimator with the
//! delta method; Clopper and Pearson 1934 where failures are too few for a t. Validated by
//! coverage on M/M/1 in `tests/promises/coverage.rs` and by properties in `tests/promises/properties.rs`.

use crate::distribution::student_t_quantile;
use crate::estimate::{Estimate, Method};
use crate::proportion::{clopper_pearson, rule_of_three};
use crate::sample::{mean, variance};

/// With fewer failures (or successes) than this in all replications, Student's t on shares is
/// too narrow, and [`share_interval`] covers the exact binomial interval as well.
pub const FEW_EVENTS: u64 = 10;

/// Student's t for a two-sided interval from `replications` values.
pub(crate) fn student_t_factor(replications: usize, confidence: f64) -> f64 {
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence inside (0, 1) is needed, not {confidence}"
    );
    student_t_quantile((replications - 1) as f64, 1.0 - (1.0 - confidence) / 2.0)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Mean of one value per replication with Student's t interval: Ȳ ± t·S/√n. Without an
/// interval from fewer than two values; zero from `samples: 0` if there is none.
///
/// # Panics
/// If a value is not a number or `confidence` is not inside (0, 1).
#[must_use]
pub fn mean_interval(values: &[f64], confidence: f64) -> Estimate {
    let centre = mean(values).unwrap_or(0.0);
    let Some(variance) = variance(values) else {
        return Estimate::point_of(centre, count(values.len()));
    };
    let half_width =
        student_t_factor(values.len(), confidence) * libm::sqrt(variance / values.len() as f64);
    Estimate::between(
        centre,
        centre - half_width,
        centre + half_width,
        count(values.len()),
        Method::StudentT,
    )
}

/// Mean of `a` − `b` with Student's t interval on the pairwise differences; the same index
/// must be the same replication under common random numbers.
///
/// # Panics
/// If the lengths differ, a value is not a number or `confidence` is not inside (0, 1).
#[must_use]
pub fn paired_difference(a: &[f64], b: &[f64], confidence: f64) -> Estimate {
    assert_eq!(
        a.len(),
        b.len(),
        "pairs need equally many values on both sides"
    );
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    mean_interval(&differences, confidence)
}

/// Ratio of sums over replications, one numerator and one denominator each: r = Σx/Σd, with
/// the delta method's t interval r ± t·√(Σ(xᵢ − r dᵢ)²/(R − 1)/R)/d̄. Replications with a zero
/// denominator count (they say how much it varies). Zero from `samples: 0` if the
/// denominators add up to zero; without an interval from fewer than two replications.
///
/// # Panics
/// If the lengths differ, a value is not a number or `confidence` is not inside (0, 1).
#[must_use]
pub fn ratio_interval(numerators: &[f64], denominators: &[f64], confidence: f64) -> Estimate {
    assert_eq!(
        numerators.len(),
        denominators.len(),
        "each numerator needs its denominator"
    );
    let total: f64 = denominators.iter().sum();
    if total == 0.0 {
        return Estimate::point_of(0.0, 0);
    }
    let replications = numerators.len();
    let ratio = numerators.iter().sum::<f64>() / total;
    if replications < 2 {
        return Estimate::point_of(ratio, count(replications));
    }
    let residual_squares: f64 = numerators
        .iter()
        .zip(denominators)
        .map(|(numerator, denominator)| {
            let residual = numerator - ratio * denominator;
            residual * residual
        })
        .sum();
    let n = replications as f64;
    let half_width = student_t_factor(replications, confidence)
        * libm::sqrt(residual_squares / (n - 1.0) / n)
        / (total / n).abs();
    Estimate::between(
        ratio,
        ratio - half_width,
        ratio + half_width,
        count(replications),
        Method::StudentT,
    )
}

/// Share of successes pooled over replications, within [0, 1].
///
/// - No failure at all, or no success: the exact one-sided bound on the pooled counts (the
///   rule of three), so that "100 %" is never claimed.
/// - Fewer than [`FEW_EVENTS`] failures or successes, or the same share in every replication (a
///   coincidence that Student's t takes for certainty): Student's t widened to hold the exact
///   binomial interval.
/// - Otherwise the delta method's t interval of [`ratio_interval`], which allows for failures
///   that come in clusters; none from fewer than two replications.
/// - No trial: value 1 within [0, 1] from `samples: 0`; nothing failed and nothing is known.
///
/// The exact intervals treat requests as independent and report the trials as `samples`.
///
/// # Panics
/// If the lengths differ, a replication has more successes than trials, or `confidence` is
/// not inside (0, 1).
#[must_use]
pub fn share_interval(successes: &[u64], totals: &[u64], confidence: f64) -> Estimate {
    assert_eq!(
        successes.len(),
        totals.len(),
        "each count of successes needs its total"
    );
    assert!(
        successes.iter().zip(totals).all(|(some, all)| some <= all),
        "more successes than trials"
    );
    let succeeded: u64 = successes.iter().sum();
    let trials: u64 = totals.iter().sum();
    let failed = trials - succeeded;
    let samples = u32::try_from(trials).unwrap_or(u32::MAX);
    let bound = rule_of_three(trials, confidence);
    if failed == 0 {
        return Estimate::between(1.0, 1.0 - bound, 1.0, samples, Method::ClopperPearson);
    }
    if succeeded == 0 {
        return Estimate::between(0.0, 0.0, bound, samples, Method::ClopperPearson);
    }
    let numerators: Vec<f64> = successes.iter().map(|&value| value as f64).collect();
    let denominators: Vec<f64> = totals.iter().map(|&value| value as f64).collect();
    let over_replications = ratio_interval(&numerators, &denominators, confidence);
    let (Some(low), Some(high)) = (over_replications.low, over_replications.high) else {
        return over_replications;
    };
    let (low, high) = (low.max(0.0), high.min(1.0));
    let value = over_replications.value;
    if failed.min(succeeded) >= FEW_EVENTS && low < high {
        return Estimate::between(
            value,
            low,
            high,
            over_replications.samples,
            Method::StudentT,
        );
    }
    let (exact_low, exact_high) = clopper_pearson(succeeded, trials, confidence);
    Estimate::between(
        value,
        low.min(exact_low),
        high.max(exact_high),
        samples,
        Method::ClopperPearson,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-12 * right.abs().max(1.0)
    }

    #[test]
    fn a_mean_by_hand() {
        // Mean 3, variance 2.5, t(4; 0.975) = 2.776445105198...
        let estimate = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95);
        let half_width = 2.776_445_105_197_98 * libm::sqrt(0.5);
        assert!(close(estimate.value, 3.0));
        assert!(close(estimate.half_width().unwrap(), half_width));
        assert_eq!((estimate.samples, estimate.method), (5, Method::StudentT));
    }

    #[test]
    fn one_replication_gives_no_interval() {
        assert_eq!(mean_interval(&[2.0], 0.95), Estimate::point(2.0));
        assert_eq!(mean_interval(&[], 0.95).samples, 0);
        assert_eq!(share_interval(&[90], &[100], 0.95).low, None);
        assert_eq!(ratio_interval(&[3.0], &[2.0], 0.95), Estimate::point(1.5));
    }

    #[test]
    fn a_ratio_with_equal_denominators_is_a_mean() {
        let values = [3.0, 5.0, 4.0, 8.0];
        let ratio = ratio_interval(&values, &[2.0; 4], 0.9);
        let mean = mean_interval(&[1.5, 2.5, 2.0, 4.0], 0.9);
        assert!(close(ratio.value, mean.value));
        assert!(close(ratio.low.unwrap(), mean.low.unwrap()));
        assert!(close(ratio.high.unwrap(), mean.high.unwrap()));
    }

    #[test]
    fn a_ratio_by_hand() {
        // r = 5/3, residuals -2/3 and 2/3, standard error 2/3 over the mean denominator 3/2.
        let ratio = ratio_interval(&[1.0, 4.0], &[1.0, 2.0], 0.95);
        assert!(close(ratio.value, 5.0 / 3.0));
        let half_width = 12.706_204_736_174_7 * 4.0 / 9.0;
        assert!(close(ratio.half_width().unwrap(), half_width));
    }

    #[test]
    fn a_share_with_many_failures_is_a_ratio() {
        let share = share_interval(&[90, 80], &[100, 100], 0.95);
        let ratio = ratio_interval(&[90.0, 80.0], &[100.0, 100.0], 0.95);
        assert_eq!((share.value, share.low), (ratio.value, ratio.low));
        // t(1; 0.975) · 0.05 reaches beyond one.
        assert_eq!(share.high, Some(1.0));
    }

    #[test]
    fn nothing_failed_is_not_certainty() {
        let estimate = share_interval(&[1000; 3], &[1000; 3], 0.95);
        assert_eq!(estimate.value, 1.0);
        assert_eq!(estimate.high, Some(1.0));
        let low = estimate.low.unwrap();
        assert!((1.0 - low) * 3000.0 > 2.9 && (1.0 - low) * 3000.0 < 3.0);
        let mirrored = share_interval(&[0; 3], &[1000; 3], 0.95);
        assert!(close(mirrored.high.unwrap(), 1.0 - low));
        assert_eq!(mirrored.low, Some(0.0));
    }

    #[test]
    fn the_same_few_failures_everywhere_are_not_certainty() {
        let estimate = share_interval(&[999; 2], &[1000; 2], 0.95);
        assert_eq!(estimate.method, Method::ClopperPearson);
        assert!(estimate.half_width().unwrap() > 1e-3);
    }

    #[test]
    fn clustered_failures_widen_the_interval() {
        let spread = share_interval(&[950; 10], &[1000; 10], 0.95);
        let mut clustered = [1000; 10];
        clustered[3] = 500;
        let clustered = share_interval(&clustered, &[1000; 10], 0.95);
        assert_eq!(spread.value, clustered.value);
        assert_eq!(spread.method, Method::ClopperPearson);
        assert!(spread.half_width().unwrap() > 0.004);
        assert!(clustered.half_width().unwrap() > 0.05);
        assert_eq!(clustered.method, Method::StudentT);
    }

    #[test]
    fn no_trial_says_nothing() {
        let estimate = share_interval(&[0, 0], &[0, 0], 0.95);
        assert_eq!((estimate.low, estimate.high), (Some(0.0), Some(1.0)));
        assert_eq!(estimate.samples, 0);
    }

    #[test]
    fn pairs_cancel_what_they_share() {
        let a = [10.0, 20.0, 30.0, 40.0];
        let b = [9.0, 19.0, 29.0, 39.0];
        let estimate = paired_difference(&a, &b, 0.95);
        assert_eq!((estimate.value, estimate.half_width()), (1.0, Some(0.0)));
    }
}
