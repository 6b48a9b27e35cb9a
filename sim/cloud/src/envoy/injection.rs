//! Faults that are injected on purpose, requests that are mirrored, and routes by weight.
//!
//! Models: a delay and an abort with independent probabilities, the delay first; they happen
//! before the router, so a delay does not count against the route's timeout and an abort is not
//! tried again. Mirrors are sent and forgotten, so they press back on nobody. Of routes with
//! weights one is chosen in proportion; weights are relative to their sum.
//! Leaves out: limits on active faults; limits of rate on responses.
//! Sources: envoyproxy/envoy source/extensions/filters/http/fault/fault_filter.cc,
//! source/common/router/config_impl.cc.
//! Validated by: the tests below and recorded shares of delays, aborts and mirrors.

use engine::{Draw, Duration};

/// A probability in millionths, as Envoy holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u32);

impl Millionths {
    /// All of them.
    pub const ALL: Millionths = Millionths(1_000_000);

    /// A percentage.
    pub fn of_percent(percent: f64) -> Self {
        Millionths((percent.clamp(0.0, 100.0) * 10_000.0).round() as u32)
    }

    /// Whether this one is among them.
    pub fn include(self, draw: &mut Draw) -> bool {
        draw.below(Millionths::ALL.0) < self.0
    }
}

/// What a fault filter does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many are delayed, and for how long.
    pub delay: Option<(Millionths, Duration)>,
    /// How many are aborted, and with which status.
    pub abort: Option<(Millionths, u16)>,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// It waits (DI).
    pub delay: Option<Duration>,
    /// After that it is answered with this status (FI).
    pub abort: Option<u16>,
}

impl Faults {
    /// What happens to a request.
    pub fn inject(&self, draw: &mut Draw) -> Injection {
        let delayed = self.delay.filter(|(share, _)| share.include(draw));
        let aborted = self.abort.filter(|(share, _)| share.include(draw));
        Injection {
            delay: delayed.map(|(_, delay)| delay),
            abort: aborted.map(|(_, status)| status),
        }
    }
}

/// Which of the routes with these weights a request takes; `None` if all weigh nothing.
pub fn route(weights: &[u32], draw: &mut Draw) -> Option<usize> {
    if let [weight] = weights {
        return (*weight > 0).then_some(0); // Nothing is left to chance.
    }
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut sought = draw.word().checked_rem(total)?;
    weights.iter().position(|&weight| {
        let found = sought < u64::from(weight);
        sought = sought.wrapping_sub(u64::from(weight));
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    #[test]
    fn delays_and_aborts_are_independent() {
        let faults = Faults {
            delay: Some((Millionths::of_percent(30.0), Duration::from_millis(50))),
            abort: Some((Millionths::of_percent(10.0), 503)),
        };
        let stream = Stream::new(Seed::default(), "faults");
        let mut counts = [0u32; 3];
        for request in 0..100_000 {
            let injection = faults.inject(&mut stream.draw(request, 0));
            counts[0] += u32::from(injection.delay.is_some());
            counts[1] += u32::from(injection.abort.is_some());
            counts[2] += u32::from(injection.delay.is_some() && injection.abort.is_some());
        }
        for (count, share) in counts.iter().zip([0.3, 0.1, 0.03]) {
            assert!(
                (f64::from(*count) / 1e5 - share).abs() < 0.005,
                "{counts:?}"
            );
        }
        let none = Faults::default().inject(&mut stream.draw(0, 0));
        assert_eq!(none, Injection::default());
    }

    #[test]
    fn routes_share_by_weight() {
        let stream = Stream::new(Seed::default(), "routes");
        let mut counts = [0u32; 3];
        for request in 0..50_000 {
            let route = route(&[9, 0, 1], &mut stream.draw(request, 0));
            counts[route.unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!(
            (f64::from(counts[0]) / 5e4 - 0.9).abs() < 0.006,
            "{counts:?}"
        );
        assert_eq!(route(&[0, 0], &mut stream.draw(0, 0)), None);
    }

    #[test]
    fn percentages_are_held_in_millionths() {
        assert_eq!(Millionths::of_percent(0.0001), Millionths(1));
        assert_eq!(Millionths::of_percent(100.0), Millionths::ALL);
        let mut draw = Stream::new(Seed::default(), "all").draw(0, 0);
        assert!((0..1_000).all(|_| Millionths::ALL.include(&mut draw)));
        assert!((0..1_000).all(|_| !Millionths(0).include(&mut draw)));
    }
}
