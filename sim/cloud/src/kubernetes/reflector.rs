//! How a watch that broke comes back.
//!
//! Models: client-go's reflector, which tries again after 0.8 s, doubling up to 30 s, each
//! pause up to twice as long by jitter, and starts over after two minutes without trouble; and
//! a connection into silence, which breaks only when a ping has gone unanswered, 30 and 15 s
//! after the last packet. If the network is back before that, what was sent arrives with TCP's
//! next retransmission.
//! Approximated: the last packet before the silence came right before it, as on connections
//! that renew leases.
//! Sources: kubernetes/client-go tools/cache/reflector.go; [`crate::facts`].
//! Validated by: the least and greatest pauses, and every outage's bounds, below.

use crate::facts;
use engine::{Draw, Duration, Time};

/// Pauses between attempts to open a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pause: Duration,
    last: Option<Time>,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            pause: facts::WATCH_BACKOFF.value,
            last: None,
        }
    }
}

impl Backoff {
    /// How long to wait after an attempt that failed now.
    pub fn next(&mut self, now: Time, draw: &mut Draw) -> Duration {
        let quiet = self.last.map_or(Duration::MAX, |last| now.since(last));
        if quiet > facts::WATCH_BACKOFF_RESET.value {
            self.pause = facts::WATCH_BACKOFF.value;
        }
        self.last = Some(now);
        let pause = self.pause;
        self.pause = (pause * 2).min(facts::WATCH_BACKOFF_MAX.value);
        pause.mul_f64(1.0 + facts::WATCH_BACKOFF_JITTER.value * draw.uniform())
    }
}

/// How a client loses its API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The other end closes or refuses: noticed at once.
    Refused,
    /// Packets vanish.
    Silent,
}

/// When a watch that broke at `broke` is open again, if the API server answers from `back` on.
pub fn reopened(how: Break, broke: Time, back: Time, draw: &mut Draw) -> Time {
    let first = match how {
        Break::Refused => broke,
        Break::Silent => {
            let ping = facts::API_CONNECTION_IDLE.value + facts::API_CONNECTION_PING_TIMEOUT.value;
            if back < broke + ping {
                return retransmitted(broke, back);
            }
            broke + ping
        }
    };
    let mut backoff = Backoff::default();
    let mut attempt = first;
    while attempt < back || attempt == broke {
        attempt += backoff.next(attempt, draw);
    }
    attempt
}

/// When data sent at `sent` is sent again for the first time at `back` or later.
fn retransmitted(sent: Time, back: Time) -> Time {
    let mut pause = facts::TCP_RETRANSMISSION_TIMEOUT_MIN.value;
    let mut again = sent + pause;
    while again < back {
        pause = pause * 2;
        again += pause;
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_to_their_greatest_and_start_over() {
        let stream = Stream::new(Seed::default(), "pauses");
        let mut seen = [(f64::MAX, 0.0_f64); 8];
        for client in 0..2_000 {
            let mut draw = stream.draw(client, 0);
            let mut backoff = Backoff::default();
            let mut now = Time::ZERO;
            for (least, greatest) in &mut seen {
                let pause = backoff.next(now, &mut draw);
                now += pause;
                *least = least.min(pause.as_secs_f64());
                *greatest = greatest.max(pause.as_secs_f64());
            }
            let pause = backoff.next(now + Duration::from_secs(121), &mut draw);
            assert!(pause < Duration::from_millis(1_600));
        }
        let pauses = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0];
        for ((least, greatest), pause) in seen.into_iter().zip(pauses) {
            assert!(
                least >= pause && least < pause * 1.01,
                "{least} for {pause}"
            );
            assert!(greatest < pause * 2.0 && greatest > pause * 1.99);
        }
    }

    #[test]
    fn a_watch_is_back_within_a_minute_of_a_long_outage() {
        let stream = Stream::new(Seed::default(), "outages");
        let lags: Vec<f64> = (0..4_000)
            .map(|client| {
                let mut draw = stream.draw(client, 0);
                let back = at(600);
                let reopened = reopened(Break::Refused, Time::ZERO, back, &mut draw);
                reopened.since(back).as_secs_f64()
            })
            .collect();
        let greatest = lags.iter().copied().fold(0.0, f64::max);
        let mean = lags.iter().sum::<f64>() / lags.len() as f64;
        assert!(greatest < 60.0 && greatest > 55.0, "{greatest}");
        // Pauses of 30 to 60 s: what is left of one has mean E[P^2] / 2 E[P] = 2100 / 90.
        assert!((mean - 2_100.0 / 90.0).abs() < 1.0, "{mean}");
    }

    #[test]
    fn a_blip_is_over_after_the_first_pause() {
        let stream = Stream::new(Seed::default(), "blips");
        for client in 0..1_000 {
            let mut draw = stream.draw(client, 0);
            let reopened = reopened(Break::Refused, at(10), at(10), &mut draw);
            let lag = reopened.since(at(10)).as_secs_f64();
            assert!((0.8..1.6).contains(&lag), "{lag}");
        }
    }

    #[test]
    fn silence_is_noticed_after_45_s() {
        let mut draw = Stream::new(Seed::default(), "silence").draw(0, 0);
        let again = reopened(Break::Silent, at(100), at(110), &mut draw);
        // Sent again 0.2, 0.6, 1.4, 3.0, 6.2 and 12.6 s after.
        assert_eq!(again, at(100) + Duration::from_millis(12_600));
        let again = reopened(Break::Silent, at(100), at(146), &mut draw);
        let lag = again.since(at(145)).as_secs_f64();
        assert!((1.0..4.8).contains(&lag), "{lag}");
    }
}
