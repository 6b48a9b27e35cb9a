//! The stream between a proxy and istiod: how it begins, ends of age, and comes back.
//!
//! Models: the rate at which an istiod takes new streams, without a burst; Envoy's pauses before
//! it connects again, uniform below a bound that doubles from 500 ms to 30 s and starts over
//! with the first answer; those of a ztunnel, which double from 10 ms to 15 s; the age at which istiod asks a proxy to go, 30 min less or more a
//! tenth, which spreads proxies over its replicas again; how long a silent peer goes unnoticed.
//! Approximated: the agent between Envoy and istiod only passes on what happens on either side.
//! Sources: istio/istio pilot/pkg/xds/{ads,discovery}.go, pkg/keepalive/options.go;
//! envoyproxy/envoy source/common/common/backoff_strategy.cc; istio/ztunnel
//! src/xds/client.rs; grpc/grpc-go internal/transport/http2_server.go.
//! Validated by: bounds and means over many draws and a wave of reconnects, below.

use super::queue::Limits;
use crate::facts;
use crate::kubernetes::bucket::Bucket;
use engine::{Draw, Duration};

/// The bucket that new streams of one istiod take their tokens from. A stream that comes waits
/// for its token.
pub fn entrance(limits: Limits) -> Bucket {
    Bucket::of_rate(f64::from(limits.streams_per_second), 1)
}

/// Pauses before a proxy connects again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// How many times in a row it has tried in vain.
    failures: u32,
}

impl Reconnect {
    /// Nothing has been tried yet.
    pub const NEW: Reconnect = Reconnect { failures: 0 };

    /// The stream has ended, or could not be had: how long until Envoy's next try.
    pub fn pause(&mut self, draw: &mut Draw) -> Duration {
        let doublings = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let bound = facts::ENVOY_RECONNECT_BASE.value.saturating_mul(doublings);
        let bound = bound.min(facts::ENVOY_RECONNECT_MAX.value);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(draw.uniform())
    }

    /// The same of a ztunnel.
    pub fn pause_of_ztunnel(&mut self) -> Duration {
        let doublings = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let pause = facts::ZTUNNEL_RECONNECT_FIRST
            .value
            .saturating_mul(doublings);
        self.failures = self.failures.saturating_add(1);
        pause.min(facts::ZTUNNEL_RECONNECT_MAX.value)
    }

    /// istiod has answered.
    pub fn answered(&mut self) {
        self.failures = 0;
    }
}

/// The age at which istiod asks this stream to end.
pub fn age(draw: &mut Draw) -> Duration {
    let jitter = facts::ISTIOD_STREAM_AGE_JITTER.value * (2.0 * draw.uniform() - 1.0);
    facts::ISTIOD_STREAM_AGE.value.mul_f64(1.0 + jitter)
}

/// How long one end goes on believing in a peer that has fallen silent, from the last word.
pub fn silence() -> Duration {
    facts::ISTIO_KEEPALIVE_PERIOD.value + facts::ISTIO_KEEPALIVE_TIMEOUT.value
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream, Time};

    #[test]
    fn pauses_are_uniform_below_a_bound_that_doubles() {
        let stream = Stream::new(Seed::default(), "reconnect");
        let mut sums = [0.0; 9];
        let mut greatest = [0.0_f64; 9];
        for proxy in 0..20_000 {
            let mut draw = stream.draw(proxy, 0);
            let mut reconnect = Reconnect::default();
            for (sum, greatest) in sums.iter_mut().zip(&mut greatest) {
                let pause = reconnect.pause(&mut draw).as_secs_f64();
                *sum += pause / 20_000.0;
                *greatest = greatest.max(pause);
            }
        }
        let bounds = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0];
        for ((mean, greatest), bound) in sums.iter().zip(greatest).zip(bounds) {
            assert!((mean / bound - 0.5).abs() < 0.01, "{mean} of {bound}");
            assert!(greatest <= bound && greatest > 0.99 * bound);
        }
    }

    #[test]
    fn pauses_of_ztunnels_double_up_to_15_s() {
        let mut reconnect = Reconnect::NEW;
        let pauses = [(); 13].map(|()| reconnect.pause_of_ztunnel());
        let doubled = (0..11).map(|number| Duration::from_millis(10 << number));
        assert!(pauses[..11].iter().copied().eq(doubled));
        assert_eq!(pauses[11..], [Duration::from_secs(15); 2]);
        reconnect.answered();
        assert_eq!(reconnect.pause_of_ztunnel(), Duration::from_millis(10));
    }

    #[test]
    fn an_answer_starts_the_pauses_over() {
        let mut draw = Stream::new(Seed::default(), "").draw(0, 0);
        let mut reconnect = Reconnect::default();
        for _ in 0..40 {
            reconnect.pause(&mut draw);
        }
        reconnect.answered();
        assert!(reconnect.pause(&mut draw) < Duration::from_millis(500));
    }

    #[test]
    fn streams_end_of_age_between_27_and_33_minutes() {
        let stream = Stream::new(Seed::default(), "age");
        let ages = (0..20_000).map(|proxy| age(&mut stream.draw(proxy, 0)).as_secs_f64() / 60.0);
        let ages: Vec<f64> = ages.collect();
        let mean = ages.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 30.0).abs() < 0.05, "{mean}");
        assert!(ages.iter().all(|age| (27.0..33.0).contains(age)));
    }

    #[test]
    fn a_thousand_proxies_need_a_thousand_tokens() {
        // Two processors: 25 streams a second, the first at once.
        let mut entrance = entrance(Limits::of(30, 2));
        let now = Time::ZERO + Duration::from_secs(100);
        let last = (0..1000).map(|_| entrance.take(now)).max().unwrap();
        assert_eq!(last, Duration::from_millis(999 * 40));
    }
}
