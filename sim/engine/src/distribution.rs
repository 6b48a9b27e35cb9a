//! Laws of random durations, sampled from addressed draws.

use crate::random::Draw;
use crate::time::Duration;
use core::fmt;

/// A law of random durations; always valid once constructed. Parameters are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    law: Law,
}

#[derive(Clone, Debug, PartialEq)]
enum Law {
    Constant(Duration),
    Exponential {
        mean: f64,
    },
    Lognormal {
        mu: f64,
        sigma: f64,
    },
    Gamma {
        shape: f64,
        scale: f64,
    },
    Weibull {
        shape: f64,
        scale: f64,
    },
    Pareto {
        shape: f64,
        least: f64,
    },
    BoundedPareto {
        shape: f64,
        least: f64,
        greatest: f64,
    },
    Uniform {
        low: f64,
        high: f64,
    },
    /// Probability and mean of each branch.
    Hyperexponential(Vec<(f64, f64)>),
    /// Ascending values with cumulated probabilities.
    Empirical(Vec<(Duration, f64)>),
}

/// Why parameters make no law.
#[derive(Clone, Debug, PartialEq)]
pub struct DistributionError(&'static str);

impl fmt::Display for DistributionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl core::error::Error for DistributionError {}

impl Distribution {
    /// Always the same.
    #[must_use]
    pub fn constant(value: Duration) -> Self {
        Distribution {
            law: Law::Constant(value),
        }
    }

    /// Exponential with this mean (seconds).
    pub fn exponential(mean: f64) -> Result<Self, DistributionError> {
        if !(mean > 0.0 && mean.is_finite()) {
            return Err(DistributionError("the mean must be positive"));
        }
        Ok(Distribution {
            law: Law::Exponential { mean },
        })
    }

    /// Draws one duration.
    #[must_use]
    pub fn sample(&self, draw: &mut Draw) -> Duration {
        match &self.law {
            Law::Constant(value) => *value,
            Law::Exponential { mean } => {
                Duration::from_secs_f64(-libm::log(draw.open_uniform()) * mean)
            }
            _ => Duration::ZERO,
        }
    }

    /// The mean in seconds; infinite for a Pareto law of shape 1 or less.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match &self.law {
            Law::Constant(value) => value.as_secs_f64(),
            Law::Exponential { mean } => *mean,
            _ => 0.0,
        }
    }
}
