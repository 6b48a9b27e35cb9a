//! One server, one queue.
//!
//! What it models: M/M/1 (also from an empty start), M/G/1 means, waits of M/D/1 and M/H2/1,
//! G/M/1, processor sharing, two priorities, and bounds for G/G/1. Leaves out: vacations,
//! batches. Sources: the formulas named at each function; textbooks of queueing theory such as
//! Gross and Harris. Validated by rows of `tests/data/closed-forms.csv`.

use crate::distribution::{poisson_probability, poisson_tail};
use crate::law::Hyperexponential;
use crate::special::{bisect, bisect_upwards};

/// M/M/1, first come first served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mm1 {
    /// Arrivals per second.
    pub arrival_rate: f64,
    /// Services per second of a busy server, more than arrivals.
    pub service_rate: f64,
}

impl Mm1 {
    /// Load ρ.
    #[must_use]
    pub fn load(&self) -> f64 {
        self.arrival_rate / self.service_rate
    }

    fn spare(&self) -> f64 {
        self.service_rate - self.arrival_rate
    }

    /// Mean number in the system.
    #[must_use]
    pub fn number_mean(&self) -> f64 {
        self.load() / (1.0 - self.load())
    }

    /// Mean time in the system.
    #[must_use]
    pub fn sojourn_mean(&self) -> f64 {
        1.0 / self.spare()
    }

    /// Mean time in the queue.
    #[must_use]
    pub fn wait_mean(&self) -> f64 {
        self.load() / self.spare()
    }

    /// Time in the system not exceeded with probability `p`: it is exponential.
    #[must_use]
    pub fn sojourn_quantile(&self, p: f64) -> f64 {
        -libm::log1p(-p) / self.spare()
    }

    /// Time in the queue not exceeded with probability `p`.
    #[must_use]
    pub fn wait_quantile(&self, p: f64) -> f64 {
        (libm::log(self.load() / (1.0 - p)) / self.spare()).max(0.0)
    }

    /// lim t·Var of the time average of the number in the system over t:
    /// 2ρ(1 + ρ)/(μ(1 − ρ)⁴) (Whitt 1989).
    #[must_use]
    pub fn number_variance_constant(&self) -> f64 {
        let load = self.load();
        2.0 * load * (1.0 + load) / (self.service_rate * fourth(1.0 - load))
    }

    /// lim n·Var of the mean wait of n customers:
    /// ρ(2 + 5ρ − 4ρ² + ρ³)/((1 − ρ)⁴ μ²) (Daley 1968).
    #[must_use]
    pub fn wait_variance_constant(&self) -> f64 {
        let load = self.load();
        let polynomial = 2.0 + load * (5.0 + load * (-4.0 + load));
        load * polynomial / (fourth(1.0 - load) * self.service_rate * self.service_rate)
    }

    /// Expected wait of the `n`-th customer (1 is the first) to an empty system, by the chain
    /// of numbers that arrivals find.
    #[must_use]
    pub fn transient_wait_mean(&self, n: usize) -> f64 {
        let rates = self.arrival_rate + self.service_rate;
        let (arrival, departure) = (self.arrival_rate / rates, self.service_rate / rates);
        let mut found = vec![1.0];
        for _ in 1..n {
            // From the most present downwards: what is left passes through each number until
            // the next arrival comes first.
            let mut next = vec![0.0; found.len() + 1];
            let mut passing = 0.0;
            for number in (1..next.len()).rev() {
                passing += found[number - 1];
                next[number] = passing * arrival;
                passing *= departure;
            }
            next[0] = passing;
            found = next;
        }
        let number: f64 = found
            .iter()
            .enumerate()
            .map(|(number, p)| number as f64 * p)
            .sum();
        number / self.service_rate
    }

    /// P(the number reaches `level` before zero | it starts at one): (1/ρ − 1)/(ρ⁻ⁿ − 1), the
    /// gambler's ruin.
    #[must_use]
    pub fn overflow_probability(&self, level: u32) -> f64 {
        let inverse = 1.0 / self.load();
        (inverse - 1.0) / (libm::pow(inverse, f64::from(level)) - 1.0)
    }
}

fn fourth(value: f64) -> f64 {
    value * value * (value * value)
}

/// Mean wait of M/G/1, first come first served: `λE[S²]/(2(1 − ρ))` (Pollaczek and Khinchine).
#[must_use]
pub fn pollaczek_khinchine_wait(arrival_rate: f64, mean: f64, second_moment: f64) -> f64 {
    arrival_rate * second_moment / (2.0 * (1.0 - arrival_rate * mean))
}

/// P(wait ≤ `t`) of M/D/1, first come first served.
///
/// Franx's form (Operations Research Letters 29, 2001): sums of positive terms, where
/// Erlang's alternating series loses all digits for long waits.
#[must_use]
pub fn deterministic_wait_cdf(arrival_rate: f64, service_time: f64, t: f64) -> f64 {
    if t < 0.0 {
        return 0.0;
    }
    let services = libm::floor(t / service_time) as usize + 1;
    let load = arrival_rate * service_time;
    let queued = deterministic_queue_cdf(load, services);
    let exponent = (services as f64 * service_time - t) * arrival_rate;
    (0..services)
        .map(|j| queued[services - 1 - j] * poisson_probability(j as u64, exponent))
        .sum()
}

/// P(at most 0, 1, 2, … wait) of M/D/1, the first `count` of them.
fn deterministic_queue_cdf(load: f64, count: usize) -> Vec<f64> {
    let none = poisson_probability(0, load);
    // Level crossing between n and n + 1 gives a recursion without subtraction.
    let mut number = vec![1.0 - load];
    for n in 0..count {
        let mut crossing = number[0] * poisson_tail(n as u64, load);
        for (i, probability) in number.iter().enumerate().skip(1) {
            crossing += probability * poisson_tail((n + 1 - i) as u64, load);
        }
        number.push(crossing / none);
    }
    let mut sum = number[0];
    number[1..]
        .iter()
        .map(|probability| {
            sum += probability;
            sum
        })
        .collect()
}

/// Wait of M/D/1 not exceeded with probability `p`.
#[must_use]
pub fn deterministic_wait_quantile(arrival_rate: f64, service_time: f64, p: f64) -> f64 {
    let below = |t: f64| deterministic_wait_cdf(arrival_rate, service_time, t) < p;
    if !below(0.0) {
        return 0.0;
    }
    bisect_upwards(service_time, below)
}

/// Wait of M/H2/1, first come first served, not exceeded with probability `p`: the
/// transform of Pollaczek and Khinchine has two poles, so the wait is a mixture of two
/// exponentials and zero.
#[must_use]
pub fn hyperexponential_wait_quantile(
    arrival_rate: f64,
    service: &Hyperexponential,
    p: f64,
) -> f64 {
    let (first, second) = (service.first, service.second);
    let other = 1.0 - service.probability;
    let sum = first + second - arrival_rate;
    let product = first * second - arrival_rate * (service.probability * second + other * first);
    let root = libm::sqrt(sum * sum - 4.0 * product);
    let fast = (sum + root) / 2.0;
    let slow = product / fast;
    let idle = 1.0 - arrival_rate * service.mean();
    let weight =
        |pole: f64, distance: f64| idle * (first - pole) * (second - pole) / (distance * pole);
    let (slow_weight, fast_weight) = (weight(slow, fast - slow), weight(fast, slow - fast));
    let tail = |t: f64| slow_weight * libm::exp(-slow * t) + fast_weight * libm::exp(-fast * t);
    if tail(0.0) <= 1.0 - p {
        return 0.0;
    }
    bisect_upwards(1.0 / slow, |t| tail(t) > 1.0 - p)
}

/// G/M/1, first come first served: all of it follows from σ, the share of arrivals that wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gm1 {
    /// Probability that an arrival waits: the root of σ = A*(μ(1 − σ)) in (0, 1).
    pub waiting_probability: f64,
    /// Services per second of a busy server.
    pub service_rate: f64,
}

impl Gm1 {
    /// From the Laplace transform of the gaps between arrivals.
    #[must_use]
    pub fn new(service_rate: f64, gap_transform: impl Fn(f64) -> f64) -> Self {
        // A*(μ(1 − σ)) − σ is positive below the root and negative between it and one, where
        // it vanishes again: stay off that end.
        let waiting_probability = bisect(0.0, 1.0 - 1e-12, |sigma| {
            gap_transform(service_rate * (1.0 - sigma)) > sigma
        });
        Self {
            waiting_probability,
            service_rate,
        }
    }

    /// D/M/1: equal gaps.
    #[must_use]
    pub fn deterministic(gap: f64, service_rate: f64) -> Self {
        Self::new(service_rate, |s| libm::exp(-s * gap))
    }

    /// E_k/M/1: gaps are sums of `stages` exponentials. One of k servers fed in turn by a
    /// Poisson process of rate λ sees `stages` = k and `stage_rate` = λ.
    #[must_use]
    pub fn erlang(stages: u32, stage_rate: f64, service_rate: f64) -> Self {
        Self::new(service_rate, |s| {
            libm::pow(stage_rate / (stage_rate + s), f64::from(stages))
        })
    }

    /// H2/M/1: hyperexponential gaps.
    #[must_use]
    pub fn hyperexponential(gap: &Hyperexponential, service_rate: f64) -> Self {
        Self::new(service_rate, |s| gap.transform(s))
    }

    fn sojourn_rate(&self) -> f64 {
        self.service_rate * (1.0 - self.waiting_probability)
    }

    /// Mean time in the queue.
    #[must_use]
    pub fn wait_mean(&self) -> f64 {
        self.waiting_probability / self.sojourn_rate()
    }

    /// Mean time in the system.
    #[must_use]
    pub fn sojourn_mean(&self) -> f64 {
        1.0 / self.sojourn_rate()
    }

    /// Time in the system not exceeded with probability `p`: it is exponential.
    #[must_use]
    pub fn sojourn_quantile(&self, p: f64) -> f64 {
        -libm::log1p(-p) / self.sojourn_rate()
    }
}

/// What is known of a G/G/1 from two moments: rates and squared coefficients of variation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gg1 {
    /// Arrivals per second.
    pub arrival_rate: f64,
    /// Services per second of a busy server, more than arrivals.
    pub service_rate: f64,
    /// Squared coefficient of variation of gaps between arrivals.
    pub arrival_variation: f64,
    /// Squared coefficient of variation of service times.
    pub service_variation: f64,
}

impl Gg1 {
    fn load(&self) -> f64 {
        self.arrival_rate / self.service_rate
    }

    /// Kingman's upper bound of the mean wait: λ(σ_a² + σ_s²)/(2(1 − ρ)).
    #[must_use]
    pub fn wait_bound(&self) -> f64 {
        let gaps = self.arrival_variation / (self.arrival_rate * self.arrival_rate);
        let services = self.service_variation / (self.service_rate * self.service_rate);
        self.arrival_rate * (gaps + services) / (2.0 * (1.0 - self.load()))
    }

    /// Kingman's approximation of the mean wait: `ρ/(1 − ρ) · (c_a² + c_s²)/2 · E[S]`.
    #[must_use]
    pub fn wait_kingman(&self) -> f64 {
        let load = self.load();
        let variation = (self.arrival_variation + self.service_variation) / 2.0;
        load / (1.0 - load) * variation / self.service_rate
    }

    /// Marchal's approximation of the mean wait (1976), exact for M/G/1: the bound times
    /// ρ²(1 + c_s²)/(1 + ρ²c_s²).
    #[must_use]
    pub fn wait_marchal(&self) -> f64 {
        let square = self.load() * self.load();
        let scale =
            square * (1.0 + self.service_variation) / (1.0 + square * self.service_variation);
        scale * self.wait_bound()
    }
}

/// Mean sojourn of a job that needs `work` under M/G/1 processor sharing: work/(1 − ρ),
/// whatever the service law. With the mean work it is the mean of all jobs.
#[must_use]
pub fn shared_sojourn_mean(load: f64, work: f64) -> f64 {
    work / (1.0 - load)
}

/// Variance of the sojourn under M/M/1 processor sharing: (2 + ρ)/((2 − ρ)(μ − λ)²)
/// (Coffman, Muntz and Trotter 1970).
#[must_use]
pub fn shared_sojourn_variance(arrival_rate: f64, service_rate: f64) -> f64 {
    let load = arrival_rate / service_rate;
    let spare = service_rate - arrival_rate;
    (2.0 + load) / ((2.0 - load) * spare * spare)
}

/// Mean waits under M/M/1 with non-preemptive priorities and one service law, highest
/// priority first (Cobham 1954): W₀/((1 − σ_{k−1})(1 − σ_k)).
#[must_use]
pub fn priority_wait_means(arrival_rates: &[f64], service_rate: f64) -> Vec<f64> {
    let residual = arrival_rates.iter().sum::<f64>() / (service_rate * service_rate);
    let mut load_above = 0.0;
    arrival_rates
        .iter()
        .map(|rate| {
            let load = load_above + rate / service_rate;
            let wait = residual / ((1.0 - load_above) * (1.0 - load));
            load_above = load;
            wait
        })
        .collect()
}
