//! Retries, detection, repair and error budgets.
//!
//! What it models: independent attempts, consecutive failures, periodic probes, components
//! that fail and are repaired at constant rates. Leaves out: failures with a common cause.
//! Sources: renewal theory and birth-death balance; Beyer and others, The Site Reliability
//! Workbook, 2018, chapter 5, for burn rates. Validated by rows of
//! `tests/data/closed-forms.csv`.

use crate::distribution::{binomial_cdf, gamma_quantile};

/// Success probability of a request with `retries` beyond the first attempt, each failing
/// alone with probability `failure`.
#[must_use]
pub fn retry_success(failure: f64, retries: u32) -> f64 {
    1.0 - libm::pow(failure, f64::from(retries + 1))
}

/// Expected attempts of such a request: (1 − f^(r+1))/(1 − f).
#[must_use]
pub fn retry_attempts(failure: f64, retries: u32) -> f64 {
    retry_success(failure, retries) / (1.0 - failure)
}

/// Expected attempts at the leaf per user request, where each of `layers` retries what the
/// one below it gave up on.
#[must_use]
pub fn layered_attempts(failure: f64, retries: u32, layers: u32) -> f64 {
    let (mut attempts, mut failure) = (1.0, failure);
    for _ in 0..layers {
        attempts *= retry_attempts(failure, retries);
        failure = 1.0 - retry_success(failure, retries);
    }
    attempts
}

/// Expected requests until `consecutive` errors in a row: (q⁻ᵏ − 1)/(1 − q).
#[must_use]
pub fn requests_to_ejection(error: f64, consecutive: u32) -> f64 {
    (libm::pow(error, -f64::from(consecutive)) - 1.0) / (1.0 - error)
}

/// Mean time until `consecutive` requests have met a dead host that gets Poisson traffic.
#[must_use]
pub fn ejection_time_mean(rate: f64, consecutive: u32) -> f64 {
    f64::from(consecutive) / rate
}

/// The same time, not exceeded with probability `p`: Erlang's law.
#[must_use]
pub fn ejection_time_quantile(rate: f64, consecutive: u32, p: f64) -> f64 {
    gamma_quantile(f64::from(consecutive), p) / rate
}

/// Mean time from a failure at a uniform instant to the last of `consecutive` failed probes,
/// one per `period`, each of which fails at once.
#[must_use]
pub fn probe_detection_mean(period: f64, consecutive: u32) -> f64 {
    period * (f64::from(consecutive) - 0.5)
}

/// Share of time up, from mean times up and down.
#[must_use]
pub fn availability(up_mean: f64, down_mean: f64) -> f64 {
    up_mean / (up_mean + down_mean)
}

/// Probability of being up at `t` after being up at zero, at constant rates of failure and
/// repair.
#[must_use]
pub fn point_availability(failure_rate: f64, repair_rate: f64, t: f64) -> f64 {
    let sum = failure_rate + repair_rate;
    (repair_rate + failure_rate * libm::exp(-sum * t)) / sum
}

/// Probability of no failure within `t` at a constant rate.
#[must_use]
pub fn no_outage(failure_rate: f64, t: f64) -> f64 {
    libm::exp(-failure_rate * t)
}

/// Probability that at least `needed` of `count` are up, each alone with probability `up`.
#[must_use]
pub fn needed_of_count(count: u32, needed: u32, up: f64) -> f64 {
    binomial_cdf(i64::from(count - needed), u64::from(count), 1.0 - up)
}

/// Share of time that at least `needed` of `count` components are up, each failing at a
/// constant rate, one of them repaired at a time.
#[must_use]
pub fn needed_of_count_one_crew(
    count: u32,
    needed: u32,
    failure_rate: f64,
    repair_rate: f64,
) -> f64 {
    let (mut weight, mut up, mut total) = (1.0, 1.0, 1.0);
    for failed in 1..=count {
        weight *= f64::from(count - failed + 1) * failure_rate / repair_rate;
        total += weight;
        if count - failed >= needed {
            up += weight;
        }
    }
    up / total
}

/// Mean time until fewer than `count` − 1 of `count` components are up for the first time,
/// from all up, one repaired at a time: ((2n − 1)λ + μ)/(n(n − 1)λ²).
#[must_use]
pub fn second_failure_mean(count: u32, failure_rate: f64, repair_rate: f64) -> f64 {
    let n = f64::from(count);
    ((2.0 * n - 1.0) * failure_rate + repair_rate) / (n * (n - 1.0) * failure_rate * failure_rate)
}

/// Share of time up with a perfect standby: only `switching` of each failure is felt, less
/// than the repair takes.
#[must_use]
pub fn failover_availability(up_mean: f64, repair_mean: f64, switching: f64) -> f64 {
    1.0 - switching / (up_mean + repair_mean)
}

/// Expected failures while one of `endpoints` is dead and still sent its share of `rate`.
#[must_use]
pub fn stale_endpoint_failures(rate: f64, stale: f64, endpoints: u32) -> f64 {
    rate * stale / f64::from(endpoints)
}

/// Time of full outage that an objective allows in a window.
#[must_use]
pub fn error_budget(objective: f64, window: f64) -> f64 {
    (1.0 - objective) * window
}

/// Burn rate at which `consumed` of a period's budget is gone after `window`.
#[must_use]
pub fn burn_rate(consumed: f64, window: f64, period: f64) -> f64 {
    consumed * period / window
}
