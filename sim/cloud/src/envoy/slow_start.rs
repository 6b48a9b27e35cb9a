//! Slow start: a host that has become healthy gets its weight little by little.
//!
//! Models: the share of its weight, max((t / window)^(1 / aggression), least share), where t is
//! the time since the host became healthy, in whole milliseconds and at least one. A host that
//! outlier detection lets back in does not start anew.
//! Sources: envoyproxy/envoy
//! source/extensions/load_balancing_policies/common/load_balancer_impl.cc, applySlowStartFactor.
//! Validated by: the shares of each second of a window, below and recorded.

use crate::facts;
use engine::{Duration, Time};

/// How a host's weight grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long it takes to have the whole weight.
    pub window: Duration,
    /// One over the power; one is a straight line.
    pub aggression: f64,
    /// Least share of the weight.
    pub share_min: f64,
}

impl SlowStart {
    /// A straight line, as Envoy draws it if it is only told the window.
    pub fn over(window: Duration) -> Self {
        SlowStart {
            window,
            aggression: facts::ENVOY_SLOW_START_AGGRESSION.value,
            share_min: facts::ENVOY_SLOW_START_MIN.value,
        }
    }

    /// The share of its weight that a host has which became healthy at `since`.
    pub fn share(&self, since: Time, now: Time) -> f64 {
        let age = milliseconds(now.saturating_since(since));
        let window = milliseconds(self.window);
        if age >= window {
            return 1.0;
        }
        let passed = age.max(1) as f64 / window as f64;
        let grown = match self.aggression {
            1.0 => passed,
            aggression => libm::pow(passed, 1.0 / aggression),
        };
        grown.max(self.share_min)
    }

    /// Whether hosts count as starting, if the last of them became healthy at `since`.
    pub(super) fn is_under_way(&self, since: Time, now: Time) -> bool {
        milliseconds(now.saturating_since(since)) <= milliseconds(self.window)
    }
}

/// Envoy counts whole milliseconds.
fn milliseconds(duration: Duration) -> u64 {
    duration.as_nanos() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(aggression: f64, seconds: &[f64]) -> Vec<f64> {
        let rule = SlowStart {
            aggression,
            ..SlowStart::over(Duration::from_secs(10))
        };
        let since = Time::from_secs_f64(100.0);
        seconds
            .iter()
            .map(|&age| rule.share(since, Time::from_secs_f64(100.0 + age)))
            .collect()
    }

    #[test]
    fn weights_grow_with_time() {
        let ages = [0.0, 0.5, 1.0, 2.5, 9.999, 10.0, 20.0];
        assert_eq!(shares(1.0, &ages), [0.1, 0.1, 0.1, 0.25, 0.9999, 1.0, 1.0]);
    }

    #[test]
    fn aggression_bends_the_line() {
        assert_eq!(shares(2.0, &[2.5]), [0.5]);
        assert_eq!(shares(0.5, &[5.0]), [0.25]);
        assert_eq!(shares(2.0, &[0.0]), [0.1], "0.01 at one millisecond");
    }
}
