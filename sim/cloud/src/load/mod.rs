//! When requests start: arrival processes as pure generators of instants.
//!
//! Models: Poisson, constant, renewal, two-state modulated Poisson processes, replayed
//! instants; rates constant, piecewise linear or sinusoidal. Closed and paced populations live
//! in `path`, since their next request depends on the last answer.
//! Leaves out: sessions and self-similar sources.
//! Sources: thinning after Lewis and Shedler 1979; inversion of the cumulative rate for
//! evenly spaced requests.
//! Validated by: closed forms of queues fed by each process, and by counts in `tests`.

mod rate;

use crate::scenario::{Arrivals, RateProfile};
use engine::{Duration, Stream, Time};

pub(crate) use rate::rate_at;

/// Generates the instants of one source, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct ArrivalProcess<'a> {
    arrivals: &'a Arrivals,
    stream: Stream,
    /// How many instants were generated.
    count: u64,
    /// The last instant, in seconds for the continuous processes.
    last: Time,
    /// Of a modulated process: the state and when it ends.
    state: usize,
    state_until: Time,
    state_changes: u64,
}

/// Draws of one instant, told apart by their second address word.
const GAP: u64 = 0;
const STATE: u64 = 1 << 32;

impl<'a> ArrivalProcess<'a> {
    pub(crate) fn new(arrivals: &'a Arrivals, stream: Stream) -> Self {
        let mut process = ArrivalProcess {
            arrivals,
            stream,
            count: 0,
            last: Time::ZERO,
            state: 0,
            state_until: Time::MAX,
            state_changes: 0,
        };
        if let Arrivals::Modulated { sojourns, .. } = arrivals {
            // Start in the stationary law, so that the first requests are like any others.
            let share =
                sojourns[0].as_secs_f64() / (sojourns[0].as_secs_f64() + sojourns[1].as_secs_f64());
            process.state = usize::from(!process.stream.draw(0, STATE - 1).chance(share));
            process.state_until = process.next_state_change(Time::ZERO);
        }
        process
    }

    /// The next instant; `None` if there is none, ever.
    pub(crate) fn next(&mut self) -> Option<Time> {
        let number = self.count;
        self.count += 1;
        self.last = match self.arrivals {
            Arrivals::Poisson(profile) => self.thinned(profile, number)?,
            Arrivals::Constant(profile) => {
                rate::evenly_spaced(profile, number, || self.stream.draw(0, GAP).uniform())?
            }
            Arrivals::Renewal(gap) => self.last + gap.sample(&mut self.stream.draw(number, GAP)),
            Arrivals::Modulated { rates, .. } => self.modulated(*rates, number)?,
            Arrivals::Trace(instants) => *instants.get(usize::try_from(number).ok()?)?,
            Arrivals::Closed { .. } | Arrivals::Paced { .. } => return None,
        };
        Some(self.last)
    }

    /// Lewis and Shedler: candidates at the greatest rate, kept with the ratio of rates.
    fn thinned(&self, profile: &RateProfile, number: u64) -> Option<Time> {
        let greatest = rate::greatest(profile);
        if greatest <= 0.0 {
            return None;
        }
        let mut draw = self.stream.draw(number, GAP);
        let mut at = self.last;
        loop {
            at += exponential(&mut draw, greatest);
            if rate::ends_before(profile, at) {
                return None;
            }
            let ratio = rate_at(profile, at) / greatest;
            if ratio >= 1.0 || draw.chance(ratio) {
                return Some(at);
            }
        }
    }

    fn modulated(&mut self, rates: [f64; 2], number: u64) -> Option<Time> {
        if rates[0] <= 0.0 && rates[1] <= 0.0 {
            return None;
        }
        let mut draw = self.stream.draw(number, GAP);
        let mut at = self.last;
        loop {
            let rate = rates[self.state];
            if rate > 0.0 {
                let next = at + exponential(&mut draw, rate);
                if next <= self.state_until {
                    return Some(next);
                }
            }
            // The exponential gap forgets the past: begin anew at the change of state.
            at = self.state_until;
            self.state = 1 - self.state;
            self.state_until = self.next_state_change(at);
        }
    }

    fn next_state_change(&mut self, from: Time) -> Time {
        let Arrivals::Modulated { sojourns, .. } = self.arrivals else {
            return Time::MAX;
        };
        let mut draw = self.stream.draw(self.state_changes, STATE);
        self.state_changes += 1;
        from + exponential(&mut draw, 1.0 / sojourns[self.state].as_secs_f64())
    }
}

/// An exponential gap at `rate` per second.
fn exponential(draw: &mut engine::Draw, rate: f64) -> Duration {
    Duration::from_secs_f64(draw.exponential() / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Seed;

    fn count_until(arrivals: &Arrivals, replication: u32, until: Time) -> u64 {
        let seed = Seed {
            master: 7,
            replication,
        };
        let mut process = ArrivalProcess::new(arrivals, Stream::new(seed, "arrivals"));
        let mut count = 0;
        let mut last = Time::ZERO;
        while let Some(at) = process.next() {
            assert!(at >= last, "instants ascend");
            last = at;
            if at > until {
                break;
            }
            count += 1;
        }
        count
    }

    #[test]
    fn a_sinusoidal_poisson_process_has_the_integral_of_its_rate_as_mean_count() {
        // Oracle NHPP-count: rate 100 + 60 sin(2 pi t / 24) over [0, 12], here in seconds.
        let arrivals = Arrivals::Poisson(RateProfile::Sinusoid {
            mean: 100.0,
            amplitude: 60.0,
            period: Duration::from_secs(24),
        });
        let replications = 400;
        let total: u64 = (0..replications)
            .map(|replication| count_until(&arrivals, replication, Time::from_secs_f64(12.0)))
            .sum();
        let exact = 1_658.366_236_104_658_6;
        let standard_error = libm::sqrt(exact / f64::from(replications));
        let z = (total as f64 / f64::from(replications) - exact) / standard_error;
        assert!(z.abs() < 4.65, "z = {z}");
    }

    #[test]
    fn a_modulated_process_has_its_mean_rate() {
        let arrivals = Arrivals::Modulated {
            rates: [1.5, 0.1],
            sojourns: [Duration::from_secs(10), Duration::from_secs(10)],
        };
        let replications = 200;
        let total: u64 = (0..replications)
            .map(|replication| count_until(&arrivals, replication, Time::from_secs_f64(1000.0)))
            .sum();
        // Oracle MMPP-IDC: the variance of a count is 7.125 times its mean of 800.
        let standard_error = libm::sqrt(7.125 * 800.0 / f64::from(replications));
        let z = (total as f64 / f64::from(replications) - 800.0) / standard_error;
        assert!(z.abs() < 4.65, "z = {z}");
    }

    #[test]
    fn evenly_spaced_requests_follow_a_ramp() {
        let arrivals = Arrivals::Constant(RateProfile::Piecewise(vec![
            (Time::ZERO, 0.0),
            (Time::from_secs_f64(10.0), 10.0),
        ]));
        // The integral of the ramp over ten seconds is fifty.
        let count = count_until(&arrivals, 0, Time::from_secs_f64(10.0));
        assert!((49..=50).contains(&count), "{count}");
    }

    #[test]
    fn a_source_that_falls_silent_ends() {
        let arrivals = Arrivals::Poisson(RateProfile::Piecewise(vec![
            (Time::ZERO, 5.0),
            (Time::from_secs_f64(10.0), 5.0),
            (Time::from_secs_f64(10.0), 0.0),
        ]));
        let count = count_until(&arrivals, 0, Time::MAX);
        assert!((20..90).contains(&count), "{count}");
    }
}
