//! Statistics of one sample.
//!
//! What it models: moments, quantiles under two stated definitions, distribution-free
//! intervals for quantiles of independent draws, and the Kolmogorov-Smirnov distance. Leaves
//! out: weights. The rank intervals hold for **independent** observations only: requests of
//! one run are not (see [`crate::quantile_interval`]). Sources: Hyndman and Fan 1996 for the
//! types of quantiles; ranks from the binomial law. Validated in `tests/promises/oracles.rs`.

use crate::distribution::binomial_cdf;

/// Arithmetic mean; `None` of nothing. Exact for equal values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    // Summing distances from the first value keeps equal values free of rounding.
    let shifted: f64 = values.iter().map(|value| value - first).sum();
    Some(first + shifted / values.len() as f64)
}

/// Sample variance with divisor n − 1; `None` of fewer than two values.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    let squares: f64 = values
        .iter()
        .map(|value| (value - centre) * (value - centre))
        .sum();
    Some(squares / (values.len() - 1) as f64)
}

/// The 1-based rank of the `p` quantile among `count` ordered observations, type 1: the least
/// rank whose share reaches `p`. A few units in the last place of `p · count` are forgiven, so
/// that 0.07 of 100 is rank 7.
pub(crate) fn quantile_rank(p: f64, count: u64) -> u64 {
    let product = p * count as f64;
    let rank = libm::ceil(product - 4.0 * f64::EPSILON * product) as u64;
    rank.clamp(1, count.max(1))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut ordered = values.to_vec();
    ordered.sort_by(f64::total_cmp);
    ordered
}

/// Quantile of type 1: the least observation x with F̂(x) ≥ `p`; `None` of nothing.
#[must_use]
pub fn quantile_type_1(values: &[f64], p: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let rank = quantile_rank(p, values.len() as u64) as usize;
    Some(sorted(values)[rank - 1])
}

/// Quantile of type 7: linear interpolation at position (n − 1) `p`; `None` of nothing.
#[must_use]
pub fn quantile_type_7(values: &[f64], p: f64) -> Option<f64> {
    let ordered = sorted(values);
    let last = ordered.len().checked_sub(1)?;
    let position = (last as f64 * p).clamp(0.0, last as f64);
    let below = libm::floor(position) as usize;
    let above = (below + 1).min(last);
    let share = position - below as f64;
    Some(ordered[below] + share * (ordered[above] - ordered[below]))
}

/// Order statistics that enclose a quantile of independent draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankInterval {
    /// 1-based rank of the lower end; 0 if the sample is too small for one.
    pub lower: u64,
    /// 1-based rank of the upper end; n + 1 if the sample is too small for one.
    pub upper: u64,
    /// Exact coverage of [X(lower), X(upper)) for a continuous law.
    pub coverage: f64,
}

/// Ranks of the equal-tailed distribution-free interval for the `p` quantile from `count`
/// **independent** draws: the largest l with B(l − 1) ≤ α/2 and the smallest u with
/// B(u − 1) ≥ 1 − α/2, B the binomial distribution function of `count` and `p`.
///
/// # Panics
/// If `p` or `confidence` is not inside (0, 1).
#[must_use]
pub fn rank_interval(count: u64, p: f64, confidence: f64) -> RankInterval {
    assert!(p > 0.0 && p < 1.0, "a quantile inside (0, 1) is needed");
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence inside (0, 1) is needed"
    );
    let tail = (1.0 - confidence) / 2.0;
    let below = |rank: u64| binomial_cdf(rank as i64 - 1, count, p);
    // `first_rank` finds the least rank in 0..=count+1 for which the condition holds.
    let first_rank = |holds: &dyn Fn(u64) -> bool| {
        let (mut low, mut high) = (0, count + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    };
    let lower = first_rank(&|rank| below(rank) > tail).saturating_sub(1);
    let upper = first_rank(&|rank| below(rank) >= 1.0 - tail);
    RankInterval {
        lower,
        upper,
        coverage: below(upper) - below(lower),
    }
}

/// Smallest number of independent draws whose greatest bounds the `p` quantile from above
/// with the given one-sided confidence: ⌈ln(1 − confidence) / ln p⌉.
#[must_use]
pub fn draws_for_upper_bound(p: f64, confidence: f64) -> u64 {
    libm::ceil(libm::log(1.0 - confidence) / libm::log(p)) as u64
}

/// Smallest number of independent draws that give a finite equal-tailed two-sided interval
/// for the upper quantile `p` ≥ ½: ⌈ln(α/2) / ln p⌉.
#[must_use]
pub fn draws_for_two_sided(p: f64, confidence: f64) -> u64 {
    draws_for_upper_bound(p, 1.0 - (1.0 - confidence) / 2.0)
}

/// Kolmogorov-Smirnov distance of a sample from a continuous distribution function.
#[must_use]
pub fn kolmogorov_smirnov_distance(values: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let count = values.len() as f64;
    sorted(values)
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let probability = cdf(value);
            let above = (index + 1) as f64 / count - probability;
            let below = probability - index as f64 / count;
            above.max(below)
        })
        .fold(0.0, f64::max)
}

/// Distance at which the Kolmogorov-Smirnov test rejects at level `alpha`, for many
/// observations and a law whose parameters were not fitted to them.
#[must_use]
pub fn kolmogorov_smirnov_critical(count: u64, alpha: f64) -> f64 {
    crate::distribution::kolmogorov_quantile(1.0 - alpha) / libm::sqrt(count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_forgive_rounding() {
        assert_eq!(quantile_rank(0.07, 100), 7);
        assert_eq!(quantile_rank(0.99, 100), 99);
        assert_eq!(quantile_rank(0.991, 100), 100);
        assert_eq!(quantile_rank(0.0, 100), 1);
        assert_eq!(quantile_rank(1.0, 100), 100);
    }

    #[test]
    fn quantiles_of_four() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile_type_1(&values, 0.5), Some(2.0));
        assert_eq!(quantile_type_7(&values, 0.5), Some(2.5));
        assert_eq!(quantile_type_7(&values, 1.0), Some(4.0));
        assert_eq!(quantile_type_1(&[], 0.5), None);
        assert_eq!(quantile_type_7(&[], 0.5), None);
    }

    #[test]
    fn equal_values_have_no_variance() {
        assert_eq!(mean(&[0.1; 7]), Some(0.1));
        assert_eq!(variance(&[0.1; 7]), Some(0.0));
        assert_eq!(variance(&[0.1]), None);
    }

    #[test]
    fn a_small_sample_has_no_upper_rank() {
        let ranks = rank_interval(367, 0.99, 0.95);
        assert_eq!(ranks.upper, 368);
        assert_eq!(rank_interval(368, 0.99, 0.95).upper, 368);
    }
}
