//! Laws fitted to positive observations by maximum likelihood, with their AIC.
//!
//! What it models: exponential, lognormal and Weibull. Leaves out: censored data, and tests of
//! fit with fitted parameters (Kolmogorov-Smirnov p-values do not hold there). Sources: the
//! likelihood equations; Akaike's information criterion 2k − 2 ln L. Validated in
//! `tests/promises/oracles.rs`.

use crate::sample::mean;
use crate::special::bisect_upwards;
use core::f64::consts::PI;

/// A fitted law: parameters and Akaike's information criterion (lower is better).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit<Parameters> {
    /// The parameters.
    pub parameters: Parameters,
    /// 2k − 2 ln L.
    pub akaike: f64,
}

fn logarithms(values: &[f64]) -> Vec<f64> {
    assert!(
        values.iter().all(|&value| value > 0.0),
        "observations must be positive"
    );
    values.iter().map(|&value| libm::log(value)).collect()
}

/// Exponential law: the rate is one over the mean. `None` of nothing.
#[must_use]
pub fn fit_exponential(values: &[f64]) -> Option<Fit<f64>> {
    let rate = 1.0 / mean(values)?;
    let likelihood = values.len() as f64 * (libm::log(rate) - 1.0);
    Some(Fit {
        parameters: rate,
        akaike: 2.0 - 2.0 * likelihood,
    })
}

/// Lognormal law: mean and standard deviation (divisor n) of the logarithms. `None` of nothing.
///
/// # Panics
/// If an observation is not positive.
#[must_use]
pub fn fit_lognormal(values: &[f64]) -> Option<Fit<crate::law::Lognormal>> {
    let logs = logarithms(values);
    let mu = mean(&logs)?;
    let n = logs.len() as f64;
    let sigma = libm::sqrt(logs.iter().map(|log| (log - mu) * (log - mu)).sum::<f64>() / n);
    let likelihood = -n * (mu + libm::log(sigma) + 0.5 * libm::log(2.0 * PI) + 0.5);
    Some(Fit {
        parameters: crate::law::Lognormal { mu, sigma },
        akaike: 4.0 - 2.0 * likelihood,
    })
}

/// Shape and scale of a Weibull law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weibull {
    /// Shape k.
    pub shape: f64,
    /// Scale.
    pub scale: f64,
}

/// Weibull law: the root of the profile equation Σxᵏ ln x/Σxᵏ − 1/k = mean of ln x. `None`
/// unless there are two observations that differ.
///
/// # Panics
/// If an observation is not positive.
#[must_use]
pub fn fit_weibull(values: &[f64]) -> Option<Fit<Weibull>> {
    let logs = logarithms(values);
    let centre = mean(&logs)?;
    if logs.iter().all(|log| *log == logs[0]) {
        return None;
    }
    // Powers relative to the greatest observation cannot overflow.
    let greatest = logs.iter().copied().fold(f64::MIN, f64::max);
    let power_sums = |shape: f64| {
        logs.iter().fold((0.0, 0.0), |(plain, weighted), log| {
            let power = libm::exp(shape * (log - greatest));
            (plain + power, weighted + power * log)
        })
    };
    let shape = bisect_upwards(1.0, |shape| {
        let (plain, weighted) = power_sums(shape);
        weighted / plain - 1.0 / shape < centre
    });
    let n = logs.len() as f64;
    let log_scale = greatest + libm::log(power_sums(shape).0 / n) / shape;
    let likelihood = n * (libm::log(shape) - shape * log_scale + (shape - 1.0) * centre - 1.0);
    Some(Fit {
        parameters: Weibull {
            shape,
            scale: libm::exp(log_scale),
        },
        akaike: 4.0 - 2.0 * likelihood,
    })
}
