//! Waiting for several at once, and choosing among several.
//!
//! What it models: fan-out over independent servers, quorums, hedging, fork-join of two
//! queues, and the power of d choices with very many servers. Leaves out: joining the shorter
//! of two queues (in [`super::levels`], as it has no formula). Sources: order statistics;
//! Flatto and Hahn 1984, Nelson and Tantawi 1988; Dean and Barroso 2013; Mitzenmacher 1996
//! and Vvedenskaya, Dobrushin and Karpelevich 1996. Validated by rows of
//! `tests/data/closed-forms.csv`.

/// Mean of the `rank`-th fastest of `count` independent exponentials of the given rate; the
/// slowest is `rank` = `count`.
#[must_use]
pub fn ordered_exponential_mean(count: u32, rank: u32, rate: f64) -> f64 {
    (count - rank + 1..=count)
        .map(|left| 1.0 / (f64::from(left) * rate))
        .sum()
}

/// Quantile `p` of the slowest of `count` independent exponentials.
#[must_use]
pub fn slowest_exponential_quantile(count: u32, rate: f64, p: f64) -> f64 {
    -libm::log1p(-leaf_probability(count, p)) / rate
}

/// Probability that at least one of `count` independent answers is slow.
#[must_use]
pub fn any_slow(count: u32, slow: f64) -> f64 {
    -libm::expm1(f64::from(count) * libm::log1p(-slow))
}

/// What each of `count` independent answers must reach for all to reach `p` together.
#[must_use]
pub fn leaf_probability(count: u32, p: f64) -> f64 {
    libm::exp(libm::log(p) / f64::from(count))
}

/// Mean response of two M/M/1 queues that a request forks to and joins from:
/// (12 − ρ)/8 · 1/(μ − λ).
#[must_use]
pub fn fork_join_two_mean(arrival_rate: f64, service_rate: f64) -> f64 {
    let load = arrival_rate / service_rate;
    (12.0 - load) / 8.0 / (service_rate - arrival_rate)
}

/// A second copy of an exponential request after a delay, the first answer wins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// Rate of each copy's time.
    pub rate: f64,
    /// When the second copy starts.
    pub delay: f64,
}

impl Hedge {
    /// Share of requests that send a second copy: the extra load.
    #[must_use]
    pub fn second_copies(&self) -> f64 {
        libm::exp(-self.rate * self.delay)
    }

    /// Mean time to the first answer.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let second = self.second_copies();
        (1.0 - second + second / 2.0) / self.rate
    }

    /// Time not exceeded with probability `p`.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        let alone = -libm::log1p(-p) / self.rate;
        if alone <= self.delay {
            alone
        } else {
            (self.delay + alone) / 2.0
        }
    }
}

/// Mean sojourn when each arrival takes the shortest of `choices` queues drawn among
/// infinitely many M/M/1 at the given load per server: Σ ρ^((dⁱ − d)/(d − 1))/μ.
///
/// # Panics
/// If there are fewer than two choices.
#[must_use]
pub fn power_of_choices_sojourn_mean(choices: u32, load: f64, service_rate: f64) -> f64 {
    assert!(choices >= 2, "one choice is M/M/1");
    let d = f64::from(choices);
    let (mut sum, mut exponent) = (0.0, 0.0);
    loop {
        let term = libm::pow(load, exponent);
        if term < 1e-18 {
            return sum / service_rate;
        }
        sum += term;
        exponent = d * exponent + d;
    }
}
