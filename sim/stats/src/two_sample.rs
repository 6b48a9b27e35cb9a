//! Tests of whether one sample is worse than another, as a canary is judged by.
//!
//! What it models: the exact test of Fisher for shares of failures, and the rank-sum test of
//! Wilcoxon, Mann and Whitney for values such as latencies, with the normal law for its sum and
//! the correction for ties, as histograms are full of them. Both are one-sided: small where
//! the first sample is too bad to be like the second by chance. Leaves out: samples whose values
//! depend on each other, and looking more than once (divide the level by the number of looks).
//! Sources: Fisher 1935; Mann and Whitney 1947; Lehmann, Nonparametrics, 1975.
//! Validated by: tables worked out by hand, the hypergeometric law of `statrs`, and the share of
//! false alarms under equal laws, in this file's tests.

use crate::distribution::normal_cdf;

/// Failures out of a number of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many failed.
    pub failed: u64,
    /// Of how many.
    pub trials: u64,
}

/// Probability of so many failures or more among the trials of `suspect`, were all failures of
/// both spread over all trials by chance. One if either has no trials.
///
/// # Panics
/// If more failed than were tried.
#[must_use]
pub fn fisher_exact(suspect: Failures, reference: Failures) -> f64 {
    for sample in [suspect, reference] {
        assert!(sample.failed <= sample.trials, "{sample:?} cannot be");
    }
    let failed = suspect.failed + reference.failed;
    let most = failed.min(suspect.trials);
    // No more failures are left to the reference than it had: every term can be.
    let terms = (suspect.failed..=most).map(|count| {
        let log = log_choose(suspect.trials, count) + log_choose(reference.trials, failed - count)
            - log_choose(suspect.trials + reference.trials, failed);
        libm::exp(log)
    });
    terms.sum::<f64>().min(1.0)
}

/// Logarithm of the number of ways to choose `count` of `all`.
fn log_choose(all: u64, count: u64) -> f64 {
    let log_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    log_factorial(all) - log_factorial(count) - log_factorial(all - count)
}

/// Probability that values as great as those of `suspect`, by their ranks, come out of the law
/// of `reference` by chance. Each sample holds values with how often each was seen,
/// ascending by value. One half if either is empty or all values are equal.
///
/// The normal law is good from about eight values in each.
///
/// # Panics
/// If values do not ascend.
#[must_use]
pub fn rank_sum(suspect: &[(u64, u64)], reference: &[(u64, u64)]) -> f64 {
    for sample in [suspect, reference] {
        assert!(
            sample.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "values ascend"
        );
    }
    let total = |sample: &[(u64, u64)]| sample.iter().map(|(_, count)| count).sum::<u64>() as f64;
    let (ours, theirs) = (total(suspect), total(reference));
    let all = ours + theirs;
    if ours == 0.0 || theirs == 0.0 {
        return 0.5;
    }
    let (mut at, mut other) = (suspect.iter().peekable(), reference.iter().peekable());
    let (mut below, mut ranks, mut ties) = (0.0, 0.0, 0.0);
    loop {
        let values = [
            at.peek().map(|(value, _)| *value),
            other.peek().map(|(value, _)| *value),
        ];
        let Some(value) = values.into_iter().flatten().min() else {
            break;
        };
        let mine = at
            .next_if(|(own, _)| *own == value)
            .map_or(0, |(_, count)| *count) as f64;
        let others = other
            .next_if(|(own, _)| *own == value)
            .map_or(0, |(_, count)| *count) as f64;
        let tied = mine + others;
        // All equal values share the mean of their ranks.
        ranks += mine * (below + (tied + 1.0) / 2.0);
        ties += tied * tied * tied - tied;
        below += tied;
    }
    let expected = ours * (all + 1.0) / 2.0;
    let variance = ours * theirs / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 0.5;
    }
    // The sum moves in steps of a half at least.
    let z = (ranks - expected - 0.5) / libm::sqrt(variance);
    1.0 - normal_cdf(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{DiscreteCDF, Hypergeometric};

    fn of(failed: u64, trials: u64) -> Failures {
        Failures { failed, trials }
    }

    #[test]
    fn tea_is_tasted_as_fisher_had_it() {
        // All four right of eight: one in seventy; three of four: seventeen in seventy.
        assert!((fisher_exact(of(4, 4), of(0, 4)) - 1.0 / 70.0).abs() < 1e-12);
        assert!((fisher_exact(of(3, 4), of(1, 4)) - 17.0 / 70.0).abs() < 1e-12);
        assert!((fisher_exact(of(0, 4), of(4, 4)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_tail_is_hypergeometric() {
        for (suspect, reference) in [
            (of(3, 50), of(10, 950)),
            (of(12, 400), of(8, 3_600)),
            (of(1, 10), of(0, 10_000)),
            (of(200, 1_000), of(150, 1_000)),
        ] {
            let law = Hypergeometric::new(
                suspect.trials + reference.trials,
                suspect.failed + reference.failed,
                suspect.trials,
            )
            .unwrap();
            let expected = law.sf(suspect.failed - 1);
            let ours = fisher_exact(suspect, reference);
            assert!(
                (ours / expected - 1.0).abs() < 1e-6,
                "{suspect:?}: {ours} {expected}"
            );
        }
    }

    #[test]
    fn nothing_tried_says_nothing() {
        assert_eq!(fisher_exact(of(0, 0), of(3, 100)), 1.0);
        assert_eq!(rank_sum(&[], &[(1, 5)]), 0.5);
        assert_eq!(rank_sum(&[(7, 4)], &[(7, 9)]), 0.5);
    }

    #[test]
    fn ranks_by_hand() {
        // 2 4 6 against 1 3 5: ranks 2 + 4 + 6 = 12, expected 10.5, variance 5.25.
        let suspect = [(2, 1), (4, 1), (6, 1)];
        let reference = [(1, 1), (3, 1), (5, 1)];
        let z = (12.0 - 10.5 - 0.5) / libm::sqrt(5.25);
        assert!((rank_sum(&suspect, &reference) - (1.0 - normal_cdf(z))).abs() < 1e-12);
        // Ties: 1 1 2 2 against 1 2 2 3. Ranks 2, 2, 5.5, 5.5; variance 16 / 12 (9 - 84 / 56).
        let suspect = [(1, 2), (2, 2)];
        let reference = [(1, 1), (2, 2), (3, 1)];
        let z =
            (2.0 + 2.0 + 5.5 + 5.5 - 18.0 - 0.5) / libm::sqrt(16.0 / 12.0 * (9.0 - 84.0 / 56.0));
        assert!((rank_sum(&suspect, &reference) - (1.0 - normal_cdf(z))).abs() < 1e-12);
    }

    #[test]
    fn equal_laws_raise_the_alarm_as_often_as_the_level_says() {
        // A multiplicative generator is random enough here.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 33
        };
        let mut sample = |size: usize| {
            let mut counts = std::collections::BTreeMap::new();
            for _ in 0..size {
                *counts.entry(next() % 50).or_insert(0) += 1;
            }
            counts.into_iter().collect::<Vec<(u64, u64)>>()
        };
        let alarms = (0..2_000)
            .filter(|_| rank_sum(&sample(40), &sample(200)) < 0.05)
            .count();
        // 100 expected, with a standard deviation of 9.7.
        assert!((60..=140).contains(&alarms), "{alarms}");
    }
}
