//! Demand that changes over time, and buckets that limit it.
//!
//! What it models: a sinusoidal Poisson process, infinitely many servers under it, and a
//! token bucket that each fill tops up. Sources: Eick, Massey and Whitt 1993. Validated by
//! rows of `tests/data/closed-forms.csv`.

use crate::distribution::poisson_tail;
use core::f64::consts::PI;

/// A rate that follows mean + amplitude · sin(2πt/period).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sinusoid {
    /// Mean rate.
    pub mean: f64,
    /// Amplitude, at most the mean.
    pub amplitude: f64,
    /// Period.
    pub period: f64,
}

impl Sinusoid {
    fn frequency(&self) -> f64 {
        2.0 * PI / self.period
    }

    /// Expected arrivals in [from, until]: mean and variance of their Poisson number.
    #[must_use]
    pub fn expected(&self, from: f64, until: f64) -> f64 {
        let frequency = self.frequency();
        let swing = libm::cos(frequency * from) - libm::cos(frequency * until);
        self.mean * (until - from) + self.amplitude / frequency * swing
    }

    /// Mean number present at time `t` of the periodic regime with infinitely many
    /// exponential servers: mean/μ + amplitude (μ sin ωt − ω cos ωt)/(μ² + ω²).
    #[must_use]
    pub fn present_exponential(&self, service_rate: f64, t: f64) -> f64 {
        let frequency = self.frequency();
        let phase = frequency * t;
        let lagged = service_rate * libm::sin(phase) - frequency * libm::cos(phase);
        self.mean / service_rate
            + self.amplitude * lagged / (service_rate * service_rate + frequency * frequency)
    }

    /// The same where every stay lasts `service_time`.
    #[must_use]
    pub fn present_deterministic(&self, service_time: f64, t: f64) -> f64 {
        self.expected(t - service_time, t)
    }
}

/// Share of Poisson arrivals turned away by a bucket that holds `tokens` and is full again
/// after each fill: E(N − tokens)⁺/E N with E N = `mean_per_fill`.
#[must_use]
pub fn token_bucket_rejected(mean_per_fill: f64, tokens: u64) -> f64 {
    let at_least = if tokens == 0 {
        1.0
    } else {
        poisson_tail(tokens - 1, mean_per_fill)
    };
    at_least - tokens as f64 * poisson_tail(tokens, mean_per_fill) / mean_per_fill
}
