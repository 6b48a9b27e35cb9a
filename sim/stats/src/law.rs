//! Parameters of service laws from what people know about them, and their moments.
//!
//! What it models: lognormal from two of (median, mean, p99), hyperexponential with balanced
//! means, bounded Pareto moments. Leaves out: laws that need no computation. Sources: the
//! laws' definitions. Validated in `tests/promises/oracles.rs`.

use crate::distribution::normal_quantile;

/// A lognormal law: ln X is normal with mean `mu` and standard deviation `sigma`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lognormal {
    /// Mean of ln X.
    pub mu: f64,
    /// Standard deviation of ln X.
    pub sigma: f64,
}

impl Lognormal {
    /// From the median and a higher quantile `p`: σ = ln(quantile/median)/z.
    #[must_use]
    pub fn from_median(median: f64, p: f64, quantile: f64) -> Self {
        Self {
            mu: libm::log(median),
            sigma: libm::log(quantile / median) / normal_quantile(p),
        }
    }

    /// From the mean and a higher quantile `p`, the law with the smaller spread:
    /// σ = z − √(z² − 2 ln(quantile/mean)). `None` if no lognormal has them.
    #[must_use]
    pub fn from_mean(mean: f64, p: f64, quantile: f64) -> Option<Self> {
        let z = normal_quantile(p);
        let square = z * z - 2.0 * libm::log(quantile / mean);
        let sigma = z - libm::sqrt(square.max(0.0));
        (square >= 0.0 && sigma >= 0.0).then(|| Self {
            mu: libm::log(mean) - sigma * sigma / 2.0,
            sigma,
        })
    }

    /// From the mean and the squared coefficient of variation: σ² = ln(1 + c²).
    #[must_use]
    pub fn from_moments(mean: f64, squared_variation: f64) -> Self {
        let square = libm::log1p(squared_variation);
        Self {
            mu: libm::log(mean) - square / 2.0,
            sigma: libm::sqrt(square),
        }
    }

    /// `E[X]` = exp(μ + σ²/2).
    #[must_use]
    pub fn mean(&self) -> f64 {
        libm::exp(self.mu + self.sigma * self.sigma / 2.0)
    }

    /// `E[X²]` = exp(2μ + 2σ²).
    #[must_use]
    pub fn second_moment(&self) -> f64 {
        libm::exp(2.0 * (self.mu + self.sigma * self.sigma))
    }

    /// Greatest ratio of the `p` quantile to the mean that any lognormal reaches: exp(z²/2).
    #[must_use]
    pub fn greatest_quantile_over_mean(p: f64) -> f64 {
        let z = normal_quantile(p);
        libm::exp(z * z / 2.0)
    }
}

/// A mixture of two exponentials: rate `first` with probability `probability`, else `second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyperexponential {
    /// Probability of the first rate.
    pub probability: f64,
    /// First rate.
    pub first: f64,
    /// Second rate.
    pub second: f64,
}

impl Hyperexponential {
    /// With balanced means: p = ½(1 + √((c² − 1)/(c² + 1))), rates 2p/m and 2(1 − p)/m.
    ///
    /// # Panics
    /// If the squared coefficient of variation is below one.
    #[must_use]
    pub fn balanced(mean: f64, squared_variation: f64) -> Self {
        assert!(
            squared_variation >= 1.0,
            "a hyperexponential varies at least as an exponential"
        );
        let root = libm::sqrt((squared_variation - 1.0) / (squared_variation + 1.0));
        let probability = 0.5 * (1.0 + root);
        Self {
            probability,
            first: 2.0 * probability / mean,
            second: 2.0 * (1.0 - probability) / mean,
        }
    }

    /// `E[X]`.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.probability / self.first + (1.0 - self.probability) / self.second
    }

    /// `E[X²]`.
    #[must_use]
    pub fn second_moment(&self) -> f64 {
        2.0 * self.probability / (self.first * self.first)
            + 2.0 * (1.0 - self.probability) / (self.second * self.second)
    }

    /// `E[e^(−sX)]`.
    #[must_use]
    pub fn transform(&self, s: f64) -> f64 {
        self.probability * self.first / (self.first + s)
            + (1.0 - self.probability) * self.second / (self.second + s)
    }
}

/// `E[Xⁿ]` of the Pareto law with exponent `alpha` bounded to [`low`, `high`], for
/// `order` ≠ `alpha`.
#[must_use]
pub fn bounded_pareto_moment(alpha: f64, low: f64, high: f64, order: f64) -> f64 {
    let scale = alpha * libm::pow(low, alpha) / (1.0 - libm::pow(low / high, alpha));
    let power = order - alpha;
    scale * (libm::pow(high, power) - libm::pow(low, power)) / power
}

/// `E[Xⁿ]` of the Weibull law: scaleⁿ Γ(1 + n/shape).
#[must_use]
pub fn weibull_moment(shape: f64, scale: f64, order: f64) -> f64 {
    libm::pow(scale, order) * libm::exp(libm::lgamma(1.0 + order / shape))
}
