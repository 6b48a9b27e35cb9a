//! Intervals for shares of independent trials, and how many trials a claim takes.
//!
//! What it models: binomial counts. Leaves out: dependence between trials; failures of one
//! run come in clusters, so prefer [`crate::share_interval`] where there are replications.
//! Sources: Clopper and Pearson 1934; Wilson 1927; the rule of three; Fleiss' normal
//! approximation for two arms. Validated in `tests/promises/oracles.rs`.

use crate::distribution::{beta_quantile, normal_quantile};

fn assert_confidence(confidence: f64) {
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence inside (0, 1) is needed, not {confidence}"
    );
}

/// Exact two-sided interval for a share from `successes` of `trials`, equal tails: the
/// α/2 quantile of Beta(x, n − x + 1) and the 1 − α/2 quantile of Beta(x + 1, n − x).
///
/// # Panics
/// If there are more successes than trials or `confidence` is not inside (0, 1).
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    assert_confidence(confidence);
    assert!(successes <= trials, "more successes than trials");
    let tail = (1.0 - confidence) / 2.0;
    let (x, rest) = (successes as f64, (trials - successes) as f64);
    let low = if successes == 0 {
        0.0
    } else {
        beta_quantile(x, rest + 1.0, tail)
    };
    let high = if successes == trials {
        1.0
    } else {
        beta_quantile(x + 1.0, rest, 1.0 - tail)
    };
    (low, high)
}

/// Wilson's score interval for a share from `successes` of `trials`; (0, 1) without trials.
///
/// # Panics
/// If there are more successes than trials or `confidence` is not inside (0, 1).
#[must_use]
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    assert_confidence(confidence);
    assert!(successes <= trials, "more successes than trials");
    if trials == 0 {
        return (0.0, 1.0);
    }
    let z = normal_quantile(1.0 - (1.0 - confidence) / 2.0);
    let n = trials as f64;
    let share = successes as f64 / n;
    let centre = share + z * z / (2.0 * n);
    let spread = z * libm::sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));
    let scale = 1.0 + z * z / n;
    let low = if successes == 0 {
        0.0
    } else {
        (centre - spread) / scale
    };
    let high = if successes == trials {
        1.0
    } else {
        (centre + spread) / scale
    };
    (low.max(0.0), high.min(1.0))
}

/// One-sided upper bound of a probability after no event in `trials`: 1 − α^(1/n), which is
/// about 3/n at 95 %. One without trials.
///
/// # Panics
/// If `confidence` is not inside (0, 1).
#[must_use]
pub fn rule_of_three(trials: u64, confidence: f64) -> f64 {
    assert_confidence(confidence);
    if trials == 0 {
        return 1.0;
    }
    -libm::expm1(libm::log1p(-confidence) / trials as f64)
}

/// Requests that must all succeed before a failure probability of at most `target` may be
/// claimed: ⌈ln(1 − confidence) / ln(1 − target)⌉.
///
/// # Panics
/// If an argument is not inside (0, 1).
#[must_use]
pub fn requests_to_claim(target: f64, confidence: f64) -> u64 {
    assert_confidence(confidence);
    assert!(
        target > 0.0 && target < 1.0,
        "a target inside (0, 1) is needed"
    );
    libm::ceil(libm::log1p(-confidence) / libm::log1p(-target)) as u64
}

/// Trials after which a plain estimate of a small probability has the given relative
/// half-width: (z/ε)² (1 − p)/p. Not rounded up.
///
/// # Panics
/// If `confidence` is not inside (0, 1).
#[must_use]
pub fn trials_for_relative_half_width(probability: f64, relative: f64, confidence: f64) -> f64 {
    assert_confidence(confidence);
    let z = normal_quantile(1.0 - (1.0 - confidence) / 2.0);
    z * z * (1.0 - probability) / (relative * relative * probability)
}

/// Trials per arm to tell two probabilities apart with a two-sided test of level `alpha` and
/// the given `power`, by the normal approximation for equal arms (Fleiss). Not rounded up.
#[must_use]
pub fn trials_per_arm(first: f64, second: f64, alpha: f64, power: f64) -> f64 {
    let pooled = (first + second) / 2.0;
    let under_equal = libm::sqrt(2.0 * pooled * (1.0 - pooled));
    let under_different = libm::sqrt(first * (1.0 - first) + second * (1.0 - second));
    let sum =
        normal_quantile(1.0 - alpha / 2.0) * under_equal + normal_quantile(power) * under_different;
    let difference = first - second;
    sum * sum / (difference * difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trials_say_nothing() {
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
        assert_eq!(wilson(0, 0, 0.95), (0.0, 1.0));
        assert_eq!(rule_of_three(0, 0.95), 1.0);
    }

    #[test]
    fn the_rule_of_three_and_its_inverse_agree() {
        let trials = requests_to_claim(1e-4, 0.95);
        assert!(rule_of_three(trials, 0.95) <= 1e-4);
        assert!(rule_of_three(trials - 1, 0.95) > 1e-4);
        assert!((rule_of_three(10_000, 0.95) * 10_000.0 - 3.0).abs() < 0.01);
    }
}
