//! Networks of queues: open (Jackson) and closed (mean value analysis, machine repair).
//!
//! What it models: product-form networks of exponential stations. Leaves out: blocking between
//! stations, several classes. Sources: Jackson 1957; Reiser and Lavenberg 1980; Burke's and
//! Reich's theorems for sojourns along a tandem. Validated by rows of
//! `tests/data/closed-forms.csv`.

use super::matrix::Matrix;
use super::single_server::Mm1;
use crate::special::bisect_upwards;

/// Mean time through a tandem of M/M/1 stations.
#[must_use]
pub fn tandem_sojourn_mean(arrival_rate: f64, service_rates: &[f64]) -> f64 {
    service_rates
        .iter()
        .map(|rate| 1.0 / (rate - arrival_rate))
        .sum()
}

/// Time through a tandem of M/M/1 stations not exceeded with probability `p`: the stations'
/// sojourns are independent exponentials. Their rates must differ.
#[must_use]
pub fn tandem_sojourn_quantile(arrival_rate: f64, service_rates: &[f64], p: f64) -> f64 {
    let spare: Vec<f64> = service_rates
        .iter()
        .map(|rate| rate - arrival_rate)
        .collect();
    let weight = |own: f64| -> f64 {
        let others = spare.iter().filter(|&&other| other != own);
        others.map(|other| other / (other - own)).product()
    };
    let tail = |t: f64| -> f64 {
        spare
            .iter()
            .map(|&rate| weight(rate) * libm::exp(-rate * t))
            .sum()
    };
    bisect_upwards(tandem_sojourn_mean(arrival_rate, service_rates), |t| {
        tail(t) > 1.0 - p
    })
}

/// Arrivals per second that a station sees when each departure comes back with the given
/// probability.
#[must_use]
pub fn feedback_rate(arrival_rate: f64, feedback: f64) -> f64 {
    arrival_rate / (1.0 - feedback)
}

/// Mean time through an open Jackson network of single servers: arrivals from outside per
/// station, service rates, and routing probabilities row by row (the rest leaves).
#[must_use]
pub fn jackson_sojourn_mean(external: &[f64], service_rates: &[f64], routing: &Matrix) -> f64 {
    let flow = &Matrix::identity(external.len()) + &routing.scaled(-1.0);
    let arrivals = flow.inverse().under(external);
    let number: f64 = arrivals
        .iter()
        .zip(service_rates)
        .map(|(&arrival_rate, &service_rate)| {
            Mm1 {
                arrival_rate,
                service_rate,
            }
            .number_mean()
        })
        .sum();
    number / external.iter().sum::<f64>()
}

/// Throughput and response time of a closed network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Cycles per second.
    pub throughput: f64,
    /// Time per cycle outside thinking.
    pub response: f64,
}

/// Exact mean value analysis of `users` who think and then visit single servers with the
/// given service demands per cycle.
#[must_use]
pub fn mean_value_analysis(users: u32, think: f64, demands: &[f64]) -> Closed {
    let mut queues = vec![0.0; demands.len()];
    let mut result = Closed {
        throughput: 0.0,
        response: demands.iter().sum(),
    };
    for present in 1..=users {
        let times: Vec<f64> = demands
            .iter()
            .zip(&queues)
            .map(|(demand, queue)| demand * (1.0 + queue))
            .collect();
        let response: f64 = times.iter().sum();
        let throughput = f64::from(present) / (think + response);
        for (queue, time) in queues.iter_mut().zip(&times) {
            *queue = throughput * time;
        }
        result = Closed {
            throughput,
            response,
        };
    }
    result
}

/// `users` who think for exponential times and then queue for one of `servers` (the machine
/// repair model).
#[must_use]
pub fn machine_repair(users: u32, think: f64, service: f64, servers: u32) -> Closed {
    let (mut weight, mut total, mut busy, mut present) = (1.0, 1.0, 0.0, 0.0);
    for number in 1..=users {
        let thinking = f64::from(users - number + 1);
        let working = f64::from(number.min(servers));
        weight *= thinking / think / (working / service);
        total += weight;
        busy += weight * working;
        present += weight * f64::from(number);
    }
    let throughput = busy / total / service;
    Closed {
        throughput,
        response: present / total / throughput,
    }
}

/// Upper bound of a closed network's throughput: min(N/(D + Z), 1/D_max).
#[must_use]
pub fn closed_throughput_bound(users: u32, think: f64, demands: &[f64]) -> f64 {
    let total: f64 = demands.iter().sum();
    let greatest = demands.iter().copied().fold(0.0, f64::max);
    (f64::from(users) / (total + think)).min(1.0 / greatest)
}
