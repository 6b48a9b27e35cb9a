//! Several servers, one queue or none.
//!
//! What it models: Erlang's loss and delay systems, bounded queues, impatience, retrials.
//! Leaves out: general service laws with a queue (no closed form). Sources: Erlang 1917;
//! birth-death balance; Garnett, Mandelbaum and Reiman 2002 for M/M/c+M; Falin and Templeton
//! 1997 for retrials. Validated by rows of `tests/data/closed-forms.csv`.

use crate::special::bisect_upwards;

/// Blocking probability of M/G/c/c with offered load `load` = `λE[S]` (Erlang B), by the
/// recursion from no server up.
#[must_use]
pub fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocking, count| {
        load * blocking / (f64::from(count) + load * blocking)
    })
}

/// Fewest servers whose blocking probability is at most `blocking_max`.
#[must_use]
pub fn servers_for_blocking(load: f64, blocking_max: f64) -> u32 {
    let mut blocking = 1.0;
    let mut servers = 0;
    while blocking > blocking_max {
        servers += 1;
        blocking = load * blocking / (f64::from(servers) + load * blocking);
    }
    servers
}

/// M/M/c, first come first served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    /// Arrivals per second.
    pub arrival_rate: f64,
    /// Services per second of one busy server.
    pub service_rate: f64,
    /// Servers, more than λ/μ.
    pub servers: u32,
}

impl Mmc {
    fn spare(&self) -> f64 {
        f64::from(self.servers) * self.service_rate - self.arrival_rate
    }

    /// P(wait > 0) (Erlang C).
    #[must_use]
    pub fn waiting_probability(&self) -> f64 {
        let load = self.arrival_rate / self.service_rate;
        let blocking = erlang_b(self.servers, load);
        blocking / (1.0 - load / f64::from(self.servers) * (1.0 - blocking))
    }

    /// Mean time in the queue.
    #[must_use]
    pub fn wait_mean(&self) -> f64 {
        self.waiting_probability() / self.spare()
    }

    /// Mean time in the system.
    #[must_use]
    pub fn sojourn_mean(&self) -> f64 {
        self.wait_mean() + 1.0 / self.service_rate
    }

    /// Time in the queue not exceeded with probability `p`.
    #[must_use]
    pub fn wait_quantile(&self, p: f64) -> f64 {
        (libm::log(self.waiting_probability() / (1.0 - p)) / self.spare()).max(0.0)
    }

    /// P(time in the system > `t`).
    #[must_use]
    pub fn sojourn_tail(&self, t: f64) -> f64 {
        let difference = self.spare() - self.service_rate;
        // (1 − e^(−dt))/d, which is t where both rates coincide.
        let overlap = if difference == 0.0 {
            t
        } else {
            -libm::expm1(-difference * t) / difference
        };
        let waiting = self.waiting_probability() * self.service_rate;
        libm::exp(-self.service_rate * t) * (1.0 + waiting * overlap)
    }

    /// Time in the system not exceeded with probability `p`.
    #[must_use]
    pub fn sojourn_quantile(&self, p: f64) -> f64 {
        bisect_upwards(1.0 / self.service_rate, |t| self.sojourn_tail(t) > 1.0 - p)
    }
}

/// What balance says of a birth-death process from 0 up: probabilities of the numbers.
fn birth_death(levels: u32, ratio: impl Fn(u32) -> f64) -> Vec<f64> {
    let mut weights = vec![1.0];
    for level in 1..=levels {
        let last = weights[level as usize - 1];
        weights.push(last * ratio(level));
    }
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

fn mean_of(probabilities: &[f64]) -> f64 {
    probabilities
        .iter()
        .enumerate()
        .map(|(number, p)| number as f64 * p)
        .sum()
}

/// M/M/c/K: at most `capacity` in the system, those in service included; others are lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Mmck {
    /// Arrivals per second, the lost ones included.
    pub arrival_rate: f64,
    numbers: Vec<f64>,
}

impl Mmck {
    /// From rates, servers and capacity.
    ///
    /// # Panics
    /// If there are more servers than places.
    #[must_use]
    pub fn new(arrival_rate: f64, service_rate: f64, servers: u32, capacity: u32) -> Self {
        assert!(servers <= capacity, "every server is a place");
        let numbers = birth_death(capacity, |number| {
            arrival_rate / (f64::from(number.min(servers)) * service_rate)
        });
        Self {
            arrival_rate,
            numbers,
        }
    }

    /// Probability that an arrival is lost.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.numbers[self.numbers.len() - 1]
    }

    /// Served per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.arrival_rate * (1.0 - self.loss())
    }

    /// Mean time in the system of those that are let in.
    #[must_use]
    pub fn sojourn_mean(&self) -> f64 {
        mean_of(&self.numbers) / self.throughput()
    }
}

/// M/M/c+M (Erlang A): whoever waits gives up after an exponential time.
#[derive(Clone, Debug, PartialEq)]
pub struct Impatient {
    arrival_rate: f64,
    servers: u32,
    impatience_rate: f64,
    numbers: Vec<f64>,
}

impl Impatient {
    /// From rates, servers and the rate of giving up, which must be positive.
    #[must_use]
    pub fn new(arrival_rate: f64, service_rate: f64, servers: u32, impatience_rate: f64) -> Self {
        let leaving = |number: u32| {
            let waiting = f64::from(number.saturating_sub(servers));
            f64::from(number.min(servers)) * service_rate + waiting * impatience_rate
        };
        // From where twice as many leave as come, each further number is at most half as
        // likely as the last: two hundred of them leave nothing out.
        let mut levels = servers;
        while leaving(levels) < 2.0 * arrival_rate {
            levels += 1;
        }
        let numbers = birth_death(levels + 200, |number| arrival_rate / leaving(number));
        Self {
            arrival_rate,
            servers,
            impatience_rate,
            numbers,
        }
    }

    /// Share of arrivals that give up: θL_q/λ.
    #[must_use]
    pub fn abandoning(&self) -> f64 {
        let waiting = mean_of(&self.numbers[self.servers as usize..]);
        self.impatience_rate * waiting / self.arrival_rate
    }

    /// P(wait > 0).
    #[must_use]
    pub fn waiting_probability(&self) -> f64 {
        self.numbers[self.servers as usize..].iter().sum()
    }
}

/// Mean number in the orbit of an M/M/1 whose blocked clients try again after exponential
/// times of rate `retry_rate`, for ever: ρ(λ + ρθ)/(θ(1 − ρ)).
#[must_use]
pub fn retrial_orbit_mean(arrival_rate: f64, service_rate: f64, retry_rate: f64) -> f64 {
    let load = arrival_rate / service_rate;
    load * (arrival_rate + load * retry_rate) / (retry_rate * (1.0 - load))
}
