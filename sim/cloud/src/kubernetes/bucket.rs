//! Token buckets, as Kubernetes' clients and controllers limit themselves.
//!
//! Models: a bucket that holds `burst` tokens and gains one per `interval`; a taker that may
//! not wait (`TryAccept`) and one that waits for its turn (`Wait`), who owes a token meanwhile.
//! Exact: the level is kept as the instant at which the bucket was, or will be, empty.
//! Sources: golang.org/x/time/rate and k8s.io/client-go/util/flowcontrol.
//! Validated by: sequences worked out by hand, below.

use engine::{Duration, Time};

/// A token bucket. An interval of zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// With this many nanoseconds more on the clock than shown, the bucket is full at zero.
    empty_at: u64,
}

impl Bucket {
    /// A full bucket that gains a token every `interval`.
    pub fn new(interval: Duration, burst: u32) -> Self {
        Bucket {
            interval,
            burst,
            empty_at: 0,
        }
    }

    /// A full bucket of `rate` tokens per second.
    ///
    /// # Panics
    /// If the rate is not above zero.
    pub fn of_rate(rate: f64, burst: u32) -> Self {
        assert!(rate > 0.0, "a bucket without tokens lets nobody through");
        Bucket::new(Duration::from_secs_f64(1.0 / rate), burst)
    }

    /// What the bucket holds when full, as time.
    fn full(&self) -> u64 {
        self.interval
            .saturating_mul(u64::from(self.burst))
            .as_nanos()
    }

    /// The clock, set ahead so that a bucket may be full at the start of a run.
    fn clock(&self, now: Time) -> u64 {
        now.as_nanos().saturating_add(self.full())
    }

    /// Takes a token if there is one now.
    pub fn try_take(&mut self, now: Time) -> bool {
        let clock = self.clock(now);
        let empty_at = self.empty_at.max(clock - self.full());
        let taken = clock - empty_at.min(clock) >= self.interval.as_nanos();
        if taken {
            self.empty_at = empty_at + self.interval.as_nanos();
        }
        taken
    }

    /// Takes a token, waiting for it if need be, and says how long.
    pub fn take(&mut self, now: Time) -> Duration {
        let clock = self.clock(now);
        self.empty_at = self.empty_at.max(clock - self.full()) + self.interval.as_nanos();
        Duration::from_nanos(self.empty_at.saturating_sub(clock))
    }

    /// How long somebody who asks now would wait.
    pub fn wait(&self, now: Time) -> Duration {
        let mut asked = *self;
        asked.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::of_rate(10.0, 3);
        let waits: Vec<u64> = (0..5)
            .map(|_| bucket.take(at(0)).as_nanos() / 1_000_000)
            .collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        // Two tokens are owed at 0; at 300 ms one is there again.
        assert_eq!(bucket.wait(at(300)), Duration::ZERO);
        assert!(bucket.try_take(at(300)));
        assert!(!bucket.try_take(at(300)));
        assert_eq!(bucket.wait(at(350)), Duration::from_millis(50));
        assert!(bucket.try_take(at(400)));
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let mut bucket = Bucket::of_rate(1.0, 2);
        let taken = (0..4).filter(|_| bucket.try_take(at(1_000_000))).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn no_interval_is_no_limit() {
        let mut bucket = Bucket::new(Duration::ZERO, 1);
        assert!((0..100).all(|_| bucket.take(at(5)).is_zero() && bucket.try_take(at(5))));
    }
}
