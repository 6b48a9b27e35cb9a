//! Laws of random durations, sampled from addressed draws.
//!
//! What is modelled: twelve ways to state a law, validated when it is constructed, each with its
//! exact mean and second moment. Left out: laws with negative values, and truncation other than of
//! the Pareto law. A sample is rounded once, to whole nanoseconds, and saturates at
//! [`Duration::MAX`].
//!
//! Sources: exponential and normal variates by the ziggurat method; gamma, Weibull and Pareto laws
//! by `rand_distr`, all over `libm`; the lognormal law as a power of two, whose table is faster than
//! a natural exponential; the bounded Pareto law by inversion; the
//! hyperexponential law of two moments with balanced means by W. Whitt, "Approximating a Point
//! Process by a Renewal Process, I", Operations Research 30 (1982).
//!
//! Validated against exact first and second moments, and by golden samples.

use core::fmt;

use rand_distr::Distribution as _;

use crate::float::LibmFloat;
use crate::random::Draw;
use crate::time::Duration;
use crate::ziggurat;

/// The 99th percentile of the standard normal law.
const NORMAL_P99: f64 = 2.326_347_874_040_841;
/// Probabilities may miss a sum of one by this much.
const PROBABILITY_SLACK: f64 = 1e-6;
const NANOS_PER_SECOND: f64 = 1e9;

/// A law of random durations; always valid once constructed. Parameters are in seconds.
///
/// # Examples
/// ```
/// use hybridsim_engine::{Distribution, Seed, Stream};
///
/// let service = Distribution::lognormal_from_median(0.004, 0.030)?;
/// let stream = Stream::new(Seed { master: 42, replication: 0 }, "service time of reviews");
/// let (request, attempt) = (1_234, 1);
/// let time = service.sample(&mut stream.draw(request, attempt));
/// assert_eq!(time, service.sample(&mut stream.draw(request, attempt)));
/// assert!((service.mean() - 0.005_82).abs() < 1e-5);
/// # Ok::<(), hybridsim_engine::DistributionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    law: Law,
    /// Seconds.
    mean: f64,
    /// Square seconds.
    second_moment: f64,
}

/// How to sample; scales are in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
enum Law {
    Constant(Duration),
    Exponential {
        mean: f64,
    },
    Lognormal {
        /// Logarithms to base 2, of the median in nanoseconds and of a standard deviation's factor.
        log_median: f64,
        log_deviation: f64,
    },
    Gamma(rand_distr::Gamma<LibmFloat>),
    Weibull(rand_distr::Weibull<LibmFloat>),
    Pareto(rand_distr::Pareto<LibmFloat>),
    BoundedPareto {
        least: f64,
        greatest: f64,
        /// Probability that the unbounded law stays within the bound.
        within: f64,
        inverse_shape: f64,
    },
    Uniform {
        low: f64,
        width: f64,
    },
    /// Cumulated probability and mean of each branch.
    Hyperexponential(Box<[(f64, f64)]>),
    /// Cumulated probability and value of each step, ascending.
    Empirical(Box<[(f64, Duration)]>),
}

/// Why parameters make no law.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DistributionError {
    /// A parameter must be positive and finite.
    NotPositive {
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
    },
    /// A parameter must be at least zero, and finite.
    Negative {
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
    },
    /// One parameter must be greater than another.
    OutOfOrder {
        /// The parameter that must be less, and its value.
        lesser: (&'static str, f64),
        /// The parameter that must be greater, and its value.
        greater: (&'static str, f64),
    },
    /// A hyperexponential law varies at least as much as an exponential one.
    VariationBelowOne {
        /// The coefficient of variation.
        variation: f64,
    },
    /// Probabilities must sum to one.
    Probabilities {
        /// What they sum to.
        sum: f64,
    },
    /// A law needs at least one branch or value.
    Empty {
        /// What there is none of.
        what: &'static str,
    },
}

impl fmt::Display for DistributionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive { parameter, value } => {
                write!(
                    formatter,
                    "the {parameter} must be positive, but is {value}"
                )
            }
            Self::Negative { parameter, value } => {
                write!(
                    formatter,
                    "the {parameter} must not be negative, but is {value}"
                )
            }
            Self::OutOfOrder { lesser, greater } => write!(
                formatter,
                "the {} ({}) must be greater than the {} ({}); without any spread, use a constant",
                greater.0, greater.1, lesser.0, lesser.1
            ),
            Self::VariationBelowOne { variation } => write!(
                formatter,
                "the coefficient of variation of a hyperexponential law is at least 1, but is \
                 {variation}; use a gamma or lognormal law for less"
            ),
            Self::Probabilities { sum } => {
                write!(
                    formatter,
                    "the probabilities must sum to 1, but sum to {sum}"
                )
            }
            Self::Empty { what } => write!(formatter, "at least one {what} is needed"),
        }
    }
}

impl core::error::Error for DistributionError {}

fn positive(parameter: &'static str, value: f64) -> Result<f64, DistributionError> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(DistributionError::NotPositive { parameter, value })
    }
}

fn not_negative(parameter: &'static str, value: f64) -> Result<f64, DistributionError> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(DistributionError::Negative { parameter, value })
    }
}

fn ordered(
    lesser: (&'static str, f64),
    greater: (&'static str, f64),
) -> Result<(), DistributionError> {
    if lesser.1 < greater.1 {
        Ok(())
    } else {
        Err(DistributionError::OutOfOrder { lesser, greater })
    }
}

impl Distribution {
    /// Always the same.
    #[must_use]
    pub fn constant(value: Duration) -> Self {
        let seconds = value.as_secs_f64();
        Distribution {
            law: Law::Constant(value),
            mean: seconds,
            second_moment: seconds * seconds,
        }
    }

    /// Exponential with this mean (seconds).
    ///
    /// # Errors
    /// If the mean is not positive.
    pub fn exponential(mean: f64) -> Result<Self, DistributionError> {
        positive("mean", mean)?;
        Ok(Distribution {
            law: Law::Exponential {
                mean: mean * NANOS_PER_SECOND,
            },
            mean,
            second_moment: 2.0 * mean * mean,
        })
    }

    /// Lognormal with this median and 99th percentile (seconds).
    ///
    /// # Errors
    /// If the median is not positive, or the percentile is not greater.
    pub fn lognormal_from_median(median: f64, p99: f64) -> Result<Self, DistributionError> {
        positive("median", median)?;
        positive("99th percentile", p99)?;
        ordered(("median", median), ("99th percentile", p99))?;
        let sigma = libm::log(p99 / median) / NORMAL_P99;
        Ok(Self::lognormal(median, sigma))
    }

    /// Lognormal with this mean (seconds) and coefficient of variation.
    ///
    /// # Errors
    /// If either is not positive.
    pub fn lognormal_from_mean(mean: f64, variation: f64) -> Result<Self, DistributionError> {
        positive("mean", mean)?;
        positive("coefficient of variation", variation)?;
        let variance = libm::log1p(variation * variation);
        let median = mean * libm::exp(-0.5 * variance);
        Ok(Self::lognormal(median, libm::sqrt(variance)))
    }

    fn lognormal(median: f64, sigma: f64) -> Self {
        Distribution {
            law: Law::Lognormal {
                log_median: libm::log2(median * NANOS_PER_SECOND),
                log_deviation: sigma * core::f64::consts::LOG2_E,
            },
            mean: median * libm::exp(0.5 * sigma * sigma),
            second_moment: median * median * libm::exp(2.0 * sigma * sigma),
        }
    }

    /// Gamma with this mean (seconds) and coefficient of variation.
    ///
    /// # Errors
    /// If either is not positive.
    pub fn gamma(mean: f64, variation: f64) -> Result<Self, DistributionError> {
        positive("mean", mean)?;
        positive("coefficient of variation", variation)?;
        let square = variation * variation;
        let shape = positive("shape of the gamma law", 1.0 / square)?;
        let scale = positive("scale of the gamma law", mean * square * NANOS_PER_SECOND)?;
        let law = rand_distr::Gamma::new(LibmFloat(shape), LibmFloat(scale));
        Ok(Distribution {
            law: Law::Gamma(law.expect("shape and scale are positive")),
            mean,
            second_moment: mean * mean * (1.0 + square),
        })
    }

    /// Weibull with this shape and scale (seconds).
    ///
    /// # Errors
    /// If either is not positive.
    pub fn weibull(shape: f64, scale: f64) -> Result<Self, DistributionError> {
        positive("shape", shape)?;
        positive("scale", scale)?;
        let law = rand_distr::Weibull::new(LibmFloat(scale * NANOS_PER_SECOND), LibmFloat(shape));
        Ok(Distribution {
            law: Law::Weibull(law.expect("shape and scale are positive")),
            mean: scale * libm::tgamma(1.0 + 1.0 / shape),
            second_moment: scale * scale * libm::tgamma(1.0 + 2.0 / shape),
        })
    }

    /// Pareto with this shape and least value (seconds). Its mean is infinite for a shape of at
    /// most 1, its second moment for a shape of at most 2.
    ///
    /// # Errors
    /// If either is not positive.
    pub fn pareto(shape: f64, least: f64) -> Result<Self, DistributionError> {
        positive("shape", shape)?;
        positive("least value", least)?;
        let law = rand_distr::Pareto::new(LibmFloat(least * NANOS_PER_SECOND), LibmFloat(shape));
        let moment = |power: f64| {
            if shape > power {
                shape * libm::pow(least, power) / (shape - power)
            } else {
                f64::INFINITY
            }
        };
        Ok(Distribution {
            law: Law::Pareto(law.expect("shape and scale are positive")),
            mean: moment(1.0),
            second_moment: moment(2.0),
        })
    }

    /// Pareto with this shape between a least and a greatest value (seconds): the law under the
    /// condition that the greatest is not exceeded.
    ///
    /// # Errors
    /// If a parameter is not positive, or the greatest value is not greater than the least.
    pub fn bounded_pareto(
        shape: f64,
        least: f64,
        greatest: f64,
    ) -> Result<Self, DistributionError> {
        positive("shape", shape)?;
        positive("least value", least)?;
        positive("greatest value", greatest)?;
        ordered(("least value", least), ("greatest value", greatest))?;
        let log_ratio = libm::log(greatest / least);
        let within = -libm::expm1(-shape * log_ratio);
        // The integral of x^(power - shape - 1), in a form that is exact where power = shape.
        let moment = |power: f64| {
            let exponent = power - shape;
            let integral = if exponent == 0.0 {
                log_ratio
            } else {
                libm::expm1(exponent * log_ratio) / exponent
            };
            shape * libm::pow(least, power) * integral / within
        };
        Ok(Distribution {
            law: Law::BoundedPareto {
                least: least * NANOS_PER_SECOND,
                greatest: greatest * NANOS_PER_SECOND,
                within,
                inverse_shape: 1.0 / shape,
            },
            mean: moment(1.0),
            second_moment: moment(2.0),
        })
    }

    /// Uniform between two values (seconds).
    ///
    /// # Errors
    /// If the low value is negative, or the high one not greater.
    pub fn uniform(low: f64, high: f64) -> Result<Self, DistributionError> {
        not_negative("low value", low)?;
        positive("high value", high)?;
        ordered(("low value", low), ("high value", high))?;
        Ok(Distribution {
            law: Law::Uniform {
                low: low * NANOS_PER_SECOND,
                width: (high - low) * NANOS_PER_SECOND,
            },
            mean: 0.5 * (low + high),
            second_moment: (low * low + low * high + high * high) / 3.0,
        })
    }

    /// One of several exponential laws: probability and mean (seconds) of each.
    ///
    /// # Errors
    /// If there is none, a mean is not positive, a probability is negative, or the probabilities
    /// do not sum to one.
    pub fn hyperexponential(branches: Vec<(f64, f64)>) -> Result<Self, DistributionError> {
        for &(probability, mean) in &branches {
            not_negative("probability", probability)?;
            positive("mean", mean)?;
        }
        let sum = branches.iter().map(|&(probability, _)| probability).sum();
        if branches.is_empty() {
            return Err(DistributionError::Empty { what: "branch" });
        }
        if !((1.0 - PROBABILITY_SLACK)..=(1.0 + PROBABILITY_SLACK)).contains(&sum) {
            return Err(DistributionError::Probabilities { sum });
        }
        let moment = |term: fn(f64) -> f64| {
            let terms = branches
                .iter()
                .map(|&(probability, mean)| probability * term(mean));
            terms.sum::<f64>() / sum
        };
        let mean = moment(|mean| mean);
        let second_moment = moment(|mean| 2.0 * mean * mean);
        let nanos = branches.iter().map(|&(_, mean)| mean * NANOS_PER_SECOND);
        let weights = branches.iter().map(|&(probability, _)| probability);
        Ok(Distribution {
            law: Law::Hyperexponential(cumulate(weights.zip(nanos))),
            mean,
            second_moment,
        })
    }

    /// Hyperexponential of two branches with this mean (seconds) and coefficient of variation,
    /// where each branch contributes half of the mean.
    ///
    /// # Errors
    /// If the mean is not positive, or the coefficient of variation less than 1.
    pub fn hyperexponential_balanced(mean: f64, variation: f64) -> Result<Self, DistributionError> {
        positive("mean", mean)?;
        positive("coefficient of variation", variation)?;
        if variation < 1.0 {
            return Err(DistributionError::VariationBelowOne { variation });
        }
        let square = variation * variation;
        // 1 - root is written without a difference, which would lose all digits of a great
        // variation.
        let root = libm::sqrt((square - 1.0) / (square + 1.0));
        let rare = positive(
            "probability of the rarer branch",
            1.0 / ((square + 1.0) * (1.0 + root)),
        )?;
        let often = 1.0 - rare;
        Self::hyperexponential(vec![(often, 0.5 * mean / often), (rare, 0.5 * mean / rare)])
    }

    /// One of these values (seconds), each as often as its weight says.
    ///
    /// # Errors
    /// If there is none, a value is negative, or a weight is not positive.
    pub fn empirical(mut steps: Vec<(f64, f64)>) -> Result<Self, DistributionError> {
        for &(value, weight) in &steps {
            not_negative("value", value)?;
            positive("weight", weight)?;
        }
        if steps.is_empty() {
            return Err(DistributionError::Empty { what: "value" });
        }
        // Ascending, so that a greater uniform gives a greater value whatever the order of writing.
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sum = positive(
            "sum of the weights",
            steps.iter().map(|&(_, weight)| weight).sum(),
        )?;
        let moment = |term: fn(f64) -> f64| {
            let terms = steps
                .iter()
                .map(|&(value, weight)| weight / sum * term(value));
            terms.sum::<f64>()
        };
        let mean = moment(|value| value);
        let second_moment = moment(|value| value * value);
        let steps = steps.iter();
        let steps = steps.map(|&(value, weight)| (weight, Duration::from_secs_f64(value)));
        Ok(Distribution {
            law: Law::Empirical(cumulate(steps)),
            mean,
            second_moment,
        })
    }

    /// Draws one duration.
    #[inline]
    #[must_use]
    pub fn sample(&self, draw: &mut Draw) -> Duration {
        match self.law {
            Law::Constant(value) => value,
            Law::Exponential { mean } => {
                Duration::from_nanos_f64(ziggurat::exponential(draw) * mean)
            }
            _ => self.sample_rest(draw),
        }
    }

    /// What is too large to be inlined wherever something is sampled.
    fn sample_rest(&self, draw: &mut Draw) -> Duration {
        let nanos = match &self.law {
            Law::Constant(value) => return *value,
            Law::Exponential { mean } => ziggurat::exponential(draw) * mean,
            Law::Lognormal {
                log_median,
                log_deviation,
            } => libm::exp2(log_median + log_deviation * ziggurat::normal(draw)),
            Law::Gamma(law) => law.sample(draw).0,
            Law::Weibull(law) => law.sample(draw).0,
            Law::Pareto(law) => law.sample(draw).0,
            Law::BoundedPareto {
                least,
                greatest,
                within,
                inverse_shape,
            } => {
                let log_beyond = libm::log1p(-draw.open_uniform() * within);
                (least * libm::exp(-log_beyond * inverse_shape)).min(*greatest)
            }
            Law::Uniform { low, width } => low + width * draw.uniform(),
            Law::Hyperexponential(branches) => {
                let mean = *choose(branches, draw.uniform());
                ziggurat::exponential(draw) * mean
            }
            Law::Empirical(steps) => return *choose(steps, draw.uniform()),
        };
        Duration::from_nanos_f64(nanos)
    }

    /// The mean in seconds; infinite for a Pareto law of shape 1 or less.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The mean of the square, in square seconds; infinite for a Pareto law of shape 2 or less.
    #[must_use]
    pub fn second_moment(&self) -> f64 {
        self.second_moment
    }
}

/// Replaces weights by the shares of all weight up to and including each.
fn cumulate<T>(weighted: impl Iterator<Item = (f64, T)>) -> Box<[(f64, T)]> {
    let mut sum = 0.0;
    let mut shares: Vec<(f64, T)> = weighted
        .map(|(weight, value)| {
            sum += weight;
            (sum, value)
        })
        .collect();
    for (share, _) in &mut shares {
        *share /= sum;
    }
    shares.into_boxed_slice()
}

/// The first whose cumulated share is beyond `uniform`, which is less than the last share, 1.
fn choose<T>(shares: &[(f64, T)], uniform: f64) -> &T {
    let index = shares.partition_point(|&(share, _)| share <= uniform);
    &shares[index].1
}

#[cfg(test)]
mod tests;
