//! Whether a canary is as good as the version that is there.
//!
//! Models: two thresholds on the canary alone, as Flagger's `thresholdRange` and a condition of
//! Argo Rollouts have them, and two tests against the stable version at the same time: Fisher's
//! exact test of the shares of failures, and the rank-sum test of the latencies of answers without
//! error. With less than a minimum sample of either version a look says nothing.
//! Approximated: whoever looks ten times at what is as good condemns it more often than the level
//! of one test says; the level is therefore shared among all tests that a release may take.
//! Leaves out: answers that depend on each other, as those of one overloaded pod do.
//! Sources: argoproj/argo-rollouts docs/features/analysis.md; fluxcd/flagger
//! docs/gitbook/usage/metrics.md; spinnaker/kayenta, whose judge uses the rank-sum test too.
//! Validated by: the tests below, and the share of wrong verdicts over many replications in the
//! crate's tests.

use super::scrape::Tally;
use crate::scenario::{CanaryAnalysis, Comparator};
use stats::{Failures, fisher_exact, rank_sum};

/// What a look finds, as Argo Rollouts calls it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judgement {
    /// Nothing against it.
    Successful,
    /// It is bad.
    Failed(Why),
    /// Nothing can be said.
    Inconclusive,
}

/// What is wrong with a canary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Why {
    /// Too few of its answers are without an error.
    SuccessRate(f64),
    /// A quantile of its latencies is too great: so many nanoseconds.
    Latency(u64),
    /// It is worse than the stable version, with this probability by chance.
    Worse(Comparator, f64),
}

/// Judges what is known of a canary and of the stable version, if there is any of it; tests are
/// believed up to a probability of `level`.
pub(crate) fn judge(
    analysis: &CanaryAnalysis,
    level: f64,
    canary: &Tally,
    stable: Option<&Tally>,
) -> Judgement {
    let enough = |tally: &Tally| tally.answers() >= analysis.sample_min.max(1);
    if !enough(canary) {
        return Judgement::Inconclusive;
    }
    if let Some(why) = beyond_threshold(analysis, canary) {
        return Judgement::Failed(why);
    }
    let Some(stable) = stable.filter(|_| !analysis.comparisons.is_empty()) else {
        return Judgement::Successful;
    };
    if !enough(stable) {
        return Judgement::Inconclusive;
    }
    let tests = analysis.comparisons.iter().map(|&comparator| {
        let chance = chance(comparator, analysis, canary, stable);
        (comparator, chance)
    });
    let condemning = tests.filter(|(_, chance)| *chance <= level);
    match condemning.min_by(|left, right| left.1.total_cmp(&right.1)) {
        Some((comparator, chance)) => Judgement::Failed(Why::Worse(comparator, chance)),
        None => Judgement::Successful,
    }
}

fn beyond_threshold(analysis: &CanaryAnalysis, canary: &Tally) -> Option<Why> {
    let rate = canary.succeeded as f64 / canary.answers() as f64;
    if analysis.success_rate_min.is_some_and(|least| rate < least) {
        return Some(Why::SuccessRate(rate));
    }
    let (p, greatest) = analysis.latency_max?;
    let latency = canary.latency.quantile_ns(p)?;
    (latency > greatest.as_nanos()).then_some(Why::Latency(latency))
}

/// How probable it is that a canary as good as the stable version comes out so bad.
fn chance(
    comparator: Comparator,
    analysis: &CanaryAnalysis,
    canary: &Tally,
    stable: &Tally,
) -> f64 {
    match comparator {
        Comparator::Failures => {
            let failures = |tally: &Tally| Failures {
                failed: tally.failed,
                trials: tally.answers(),
            };
            fisher_exact(failures(canary), failures(stable))
        }
        Comparator::Latency => {
            let stretch = 1.0 + analysis.latency_tolerance;
            // Integers that are stretched stay apart.
            let stretched = stable.latency.values().map(|(latency, count)| {
                let latency = (latency as f64 * stretch).round() as u64;
                (latency, count)
            });
            let canary: Vec<(u64, u64)> = canary.latency.values().collect();
            rank_sum(&canary, &stretched.collect::<Vec<_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Looks;
    use engine::Duration;

    fn analysis() -> CanaryAnalysis {
        CanaryAnalysis {
            interval: Duration::from_secs(30),
            scrape_interval: Duration::from_secs(15),
            success_rate_min: None,
            latency_max: None,
            comparisons: vec![Comparator::Failures, Comparator::Latency],
            latency_tolerance: 0.0,
            significance: 0.05,
            looks: Looks::Corrected,
            sample_min: 20,
            failure_limit: 0,
            starting_step: 0,
        }
    }

    fn tally(failed: u64, latencies_ms: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        (0..failed).for_each(|_| tally.count(None));
        for latency in latencies_ms {
            tally.count(Some(Duration::from_millis(latency)));
        }
        tally
    }

    #[test]
    fn too_few_answers_say_nothing() {
        let (few, many) = (tally(10, 0..5), tally(0, 0..200));
        let judged = |canary, stable| judge(&analysis(), 0.05, canary, Some(stable));
        assert_eq!(judged(&few, &many), Judgement::Inconclusive);
        assert_eq!(judged(&many, &few), Judgement::Inconclusive);
        assert_eq!(judged(&many, &many), Judgement::Successful);
        // Where all requests go to the canary there is nothing to compare it with.
        assert_eq!(judge(&analysis(), 0.05, &many, None), Judgement::Successful);
    }

    #[test]
    fn failures_and_slowness_are_found() {
        let stable = tally(2, (0..2_000).map(|at| 10 + at % 50));
        let failing = tally(12, (0..388).map(|at| 10 + at % 50));
        let judged = |canary: &Tally| judge(&analysis(), 0.01, canary, Some(&stable));
        assert!(matches!(
            judged(&failing),
            Judgement::Failed(Why::Worse(Comparator::Failures, _))
        ));
        let slow = tally(0, (0..400).map(|at| 18 + at % 50));
        assert!(matches!(
            judged(&slow),
            Judgement::Failed(Why::Worse(Comparator::Latency, _))
        ));
        let fast = tally(0, (0..400).map(|at| 5 + at % 50));
        assert_eq!(judged(&fast), Judgement::Successful);
    }

    #[test]
    fn what_is_tolerated_is_no_failure() {
        let stable = tally(0, (0..2_000).map(|at| 100 + at % 50));
        let slower = tally(0, (0..2_000).map(|at| 108 + at % 54));
        let mut analysis = analysis();
        let judged = |analysis: &CanaryAnalysis| judge(analysis, 0.001, &slower, Some(&stable));
        assert!(matches!(judged(&analysis), Judgement::Failed(_)));
        analysis.latency_tolerance = 0.1;
        assert_eq!(judged(&analysis), Judgement::Successful);
    }

    #[test]
    fn thresholds_are_of_the_canary_alone() {
        let bad = tally(10, (0..90).map(|at| 10 + at));
        let mut thresholds = CanaryAnalysis {
            comparisons: Vec::new(),
            success_rate_min: Some(0.95),
            ..analysis()
        };
        let judged = |analysis: &CanaryAnalysis| judge(analysis, 0.05, &bad, None);
        assert_eq!(
            judged(&thresholds),
            Judgement::Failed(Why::SuccessRate(0.9))
        );
        thresholds.success_rate_min = Some(0.9);
        assert_eq!(judged(&thresholds), Judgement::Successful);
        thresholds.latency_max = Some((0.5, Duration::from_millis(40)));
        assert!(matches!(
            judged(&thresholds),
            Judgement::Failed(Why::Latency(_))
        ));
    }

    #[test]
    fn looks_share_the_significance() {
        let mut analysis = analysis();
        assert_eq!(analysis.level(5), 0.05 / 10.0);
        analysis.failure_limit = 5;
        assert_eq!(analysis.level(5), 0.05 / 20.0);
        analysis.looks = Looks::Uncorrected;
        assert_eq!(analysis.level(5), 0.05);
    }
}
