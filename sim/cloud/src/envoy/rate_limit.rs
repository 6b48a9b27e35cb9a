//! Local rate limits: a bucket of tokens in each proxy, shared by its workers.
//!
//! Models: a bucket that begins full and gains tokens steadily; a request without one is
//! answered with 429 (RL).
//! Approximated: before 1.33 tokens came all at once at each interval; here they come evenly.
//! Leaves out: descriptors; buckets per connection; the global service.
//! Sources: envoyproxy/envoy source/extensions/filters/common/local_ratelimit.
//! Validated by: the tests below.

use crate::kubernetes::bucket::Bucket;
use engine::{Duration, Time};

/// The limit of one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    bucket: Bucket,
}

impl RateLimit {
    /// A bucket of `max` tokens that gains `fill` in each interval.
    ///
    /// # Panics
    /// If no tokens come.
    pub fn new(max: u32, fill: u32, interval: Duration) -> Self {
        assert!(fill > 0, "a bucket without tokens lets nobody through");
        let each = Duration::from_nanos(interval.as_nanos() / u64::from(fill));
        RateLimit {
            bucket: Bucket::new(each, max),
        }
    }

    /// Whether a request passes.
    pub fn passes(&mut self, now: Time) -> bool {
        self.bucket.try_take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut limit = RateLimit::new(4, 2, Duration::from_secs(1));
        let at = |seconds| Time::from_secs_f64(seconds);
        let mut passed = |seconds: f64, asked: u32| -> usize {
            (0..asked).filter(|_| limit.passes(at(seconds))).count()
        };
        assert_eq!(passed(0.0, 10), 4);
        assert_eq!([passed(0.4, 3), passed(0.5, 3), passed(1.5, 5)], [0, 1, 2]);
        assert_eq!(passed(100.0, 10), 4);
    }
}
