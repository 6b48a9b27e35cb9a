//! When there are enough replications.
//!
//! What it models: the relative-precision rule with Hoad's look-ahead, planning from a pilot,
//! and the constants of a fully sequential selection. Leaves out: several quantities at once
//! (ask for each and take the greatest answer). Sources: Law, Simulation Modeling and
//! Analysis (γ/(1 + γ)); Hoad, Robinson and Davies 2010 (look-ahead); Kim and Nelson 2001.
//! Validated by unit tests and rows in `tests/promises/oracles.rs`.

use crate::interval::mean_interval;

/// γ/(1 + γ): the half-width over |Ȳ| that bounds the error relative to the true mean by γ.
fn adjusted(relative_precision: f64) -> f64 {
    relative_precision / (1.0 + relative_precision)
}

/// Whether the t interval of the mean is within the relative precision γ:
/// h/|Ȳ| ≤ γ/(1 + γ). Never with fewer than two values.
#[must_use]
pub fn enough_replications(values: &[f64], confidence: f64, relative_precision: f64) -> bool {
    mean_interval(values, confidence)
        .relative_half_width()
        .is_some_and(|width| width <= adjusted(relative_precision))
}

/// Replications that would reach the relative precision γ, judged from a pilot:
/// ⌈n₀ (h₀/h)²⌉, at least the pilot's own number; `u32::MAX` if it cannot be told (fewer than
/// two values, or a mean of zero).
#[must_use]
pub fn replications_needed(values: &[f64], confidence: f64, relative_precision: f64) -> u32 {
    let pilot = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let Some(width) = mean_interval(values, confidence).relative_half_width() else {
        return u32::MAX;
    };
    let factor = width / adjusted(relative_precision);
    // A cast from f64 stops at the greatest u32.
    pilot.max(libm::ceil(f64::from(pilot) * factor * factor) as u32)
}

/// What a [`SequentialRule`] says about the replications so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Run until there are this many.
    Continue {
        /// Replications in total to have before asking again.
        until: u32,
    },
    /// The precision was first reached with this many, and held through the look-ahead or to
    /// the cap.
    Reached {
        /// Replications at which it was first reached.
        at: u32,
    },
    /// The cap was met first.
    NotReached,
}

/// Adds replications until the mean is precise enough and stays so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequentialRule {
    /// Confidence of the interval.
    pub confidence: f64,
    /// Relative precision γ.
    pub relative_precision: f64,
    /// Replications before the first judgement, at least 2.
    pub minimum: u32,
    /// Cap on replications.
    pub maximum: u32,
    /// k of the look-ahead f = ⌊(k/100)·max(n, 100)⌋: the precision must hold for f further
    /// replications too, lest a lucky start stop the study. 5 is usual, 0 looks at once.
    pub look_ahead_percent: u32,
}

impl SequentialRule {
    /// f = ⌊(k/100)·max(n, 100)⌋ after `replications`.
    #[must_use]
    pub fn look_ahead(&self, replications: u32) -> u32 {
        let product = u64::from(self.look_ahead_percent) * u64::from(replications.max(100));
        u32::try_from(product / 100).unwrap_or(u32::MAX)
    }

    /// Judges the values so far, one per replication in the order of replications.
    #[must_use]
    pub fn judge(&self, values: &[f64]) -> Verdict {
        let have = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let mut first = self.minimum.max(2);
        let mut checked = first;
        // Restart after every failure; stop where a stretch of f + 1 successes is complete.
        while checked <= have {
            let within = enough_replications(
                &values[..checked as usize],
                self.confidence,
                self.relative_precision,
            );
            if !within {
                first = checked + 1;
            } else if checked - first >= self.look_ahead(first) {
                return Verdict::Reached { at: first };
            }
            checked += 1;
        }
        if have >= self.maximum {
            // No replication is left to look ahead with: what holds at the cap counts.
            return if first < checked {
                Verdict::Reached { at: first }
            } else {
                Verdict::NotReached
            };
        }
        let until = first.saturating_add(self.look_ahead(first));
        Verdict::Continue {
            until: until.clamp(have + 1, self.maximum),
        }
    }
}

/// η of Kim and Nelson's fully sequential selection among `systems` with `pilot` replications
/// each (c = 1): ½[(2α/(k − 1))^(−2/(n₀ − 1)) − 1]; h² = 2η(n₀ − 1).
#[must_use]
pub fn kim_nelson_eta(systems: u32, pilot: u32, alpha: f64) -> f64 {
    let base = 2.0 * alpha / f64::from(systems - 1);
    0.5 * (libm::pow(base, -2.0 / f64::from(pilot - 1)) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: SequentialRule = SequentialRule {
        confidence: 0.95,
        relative_precision: 0.05,
        minimum: 10,
        maximum: 100,
        look_ahead_percent: 5,
    };

    fn alternating(count: usize, distance: f64) -> Vec<f64> {
        (0..count)
            .map(|i| {
                if i % 2 == 0 {
                    1.0 + distance
                } else {
                    1.0 - distance
                }
            })
            .collect()
    }

    #[test]
    fn look_ahead_grows_after_a_hundred() {
        assert_eq!(RULE.look_ahead(10), 5);
        assert_eq!(RULE.look_ahead(300), 15);
    }

    #[test]
    fn a_steady_quantity_is_reached_after_the_look_ahead() {
        assert_eq!(
            RULE.judge(&alternating(10, 0.01)),
            Verdict::Continue { until: 15 }
        );
        assert_eq!(
            RULE.judge(&alternating(14, 0.01)),
            Verdict::Continue { until: 15 }
        );
        assert_eq!(
            RULE.judge(&alternating(15, 0.01)),
            Verdict::Reached { at: 10 }
        );
    }

    #[test]
    fn a_lucky_start_does_not_stop_the_study() {
        let mut values = alternating(12, 0.01);
        values.extend([9.0, 0.2, 3.0]);
        assert_eq!(RULE.judge(&values), Verdict::Continue { until: 21 });
    }

    #[test]
    fn the_cap_is_told() {
        assert_eq!(RULE.judge(&alternating(100, 0.9)), Verdict::NotReached);
        let tight = SequentialRule {
            maximum: 12,
            ..RULE
        };
        assert_eq!(
            tight.judge(&alternating(12, 0.01)),
            Verdict::Reached { at: 10 }
        );
        let mut late = alternating(11, 0.01);
        late.push(9.0);
        assert_eq!(tight.judge(&late), Verdict::NotReached);
    }

    #[test]
    fn planning_scales_with_the_square() {
        let values = alternating(10, 0.2);
        let coarse = replications_needed(&values, 0.95, 0.02 / 0.98);
        let fine = replications_needed(&values, 0.95, 0.01 / 0.99);
        assert!((f64::from(fine) / f64::from(coarse) - 4.0).abs() < 0.02);
        assert_eq!(replications_needed(&values[..1], 0.95, 0.05), u32::MAX);
        assert_eq!(replications_needed(&[1.0; 4], 0.95, 0.05), 4);
        assert!(!enough_replications(&[1.0], 0.95, 0.05));
    }
}
