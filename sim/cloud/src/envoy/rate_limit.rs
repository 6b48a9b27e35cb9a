//! Local rate limits: a bucket of tokens in each proxy, shared by its workers.
//!
//! Models: a bucket that begins full; since 1.31 tokens come steadily, before that all at once
//! at each interval after it was made; a request without one is answered with 429 (RL).
//! Leaves out: buckets per connection.
//! Sources: envoyproxy/envoy source/extensions/filters/common/local_ratelimit,
//! source/common/common/token_bucket_impl.cc, changelogs/1.31.0.yaml.
//! Validated by: the tests below, and the share that is refused of Poisson arrivals.

use crate::kubernetes::bucket::Bucket;
use engine::{Duration, Time};

/// The limit of one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    tokens: Tokens,
}

/// How tokens come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    Steady(Bucket),
    Timed {
        since: Time,
        interval: Duration,
        max: u32,
        fill: u32,
        /// Tokens after this many intervals.
        left: u32,
        filled: u64,
    },
}

impl RateLimit {
    /// A bucket of `max` tokens that gains `fill` in each interval, steadily.
    ///
    /// # Panics
    /// If no tokens come.
    pub fn steady(max: u32, fill: u32, interval: Duration) -> Self {
        assert!(fill > 0, "a bucket without tokens lets nobody through");
        let each = Duration::from_nanos(interval.as_nanos() / u64::from(fill));
        RateLimit {
            tokens: Tokens::Steady(Bucket::new(each, max)),
        }
    }

    /// A bucket of `max` tokens that is made now, and gains `fill` at the end of each interval.
    ///
    /// # Panics
    /// If no tokens come.
    pub fn timed(max: u32, fill: u32, interval: Duration, now: Time) -> Self {
        assert!(
            fill > 0 && !interval.is_zero(),
            "a bucket without tokens lets nobody through"
        );
        RateLimit {
            tokens: Tokens::Timed {
                since: now,
                interval,
                max,
                fill,
                left: max,
                filled: 0,
            },
        }
    }

    /// Whether a request passes.
    pub fn passes(&mut self, now: Time) -> bool {
        match &mut self.tokens {
            Tokens::Steady(bucket) => bucket.try_take(now),
            Tokens::Timed {
                since,
                interval,
                max,
                fill,
                left,
                filled,
            } => {
                let fills = now.saturating_since(*since).as_nanos() / interval.as_nanos();
                let more = (fills - *filled).saturating_mul(u64::from(*fill));
                let tokens = (u64::from(*left).saturating_add(more)).min(u64::from(*max));
                *filled = fills;
                *left = (tokens as u32).saturating_sub(1);
                tokens > 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limit: &mut RateLimit, seconds: f64, asked: u32) -> usize {
        let now = Time::from_secs_f64(seconds);
        (0..asked).filter(|_| limit.passes(now)).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut limit = RateLimit::steady(4, 2, Duration::from_secs(1));
        let mut passed = |seconds, asked| passed(&mut limit, seconds, asked);
        assert_eq!(passed(0.0, 10), 4);
        assert_eq!([passed(0.4, 3), passed(0.5, 3), passed(1.5, 5)], [0, 1, 2]);
        assert_eq!(passed(100.0, 10), 4);
    }

    #[test]
    fn a_timer_brings_all_tokens_at_once() {
        let since = Time::from_secs_f64(0.5);
        let mut limit = RateLimit::timed(4, 3, Duration::from_secs(1), since);
        let mut passed = |seconds, asked| passed(&mut limit, seconds, asked);
        assert_eq!(passed(0.5, 10), 4);
        assert_eq!([passed(1.4, 3), passed(1.5, 2), passed(2.4, 5)], [0, 2, 1]);
        assert_eq!(passed(100.0, 10), 4);
    }
}
