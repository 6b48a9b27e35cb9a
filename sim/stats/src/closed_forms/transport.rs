//! What protocols and kernels cost, counted: round trips, timers, CPU quota, zone crossings.
//!
//! What it models: lossless round-trip counts of connection set-up, ideal slow start, SYN
//! timers, quota of the completely fair scheduler, uniform balancing over zones. Leaves out:
//! loss recovery, pacing. Sources: RFC 9293, 5246, 8446, 9000; Linux's ip-sysctl
//! documentation; Mathis and others 1997. Validated by rows of
//! `tests/data/closed-forms.csv`.

/// How a client's connection comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The connection exists.
    KeptAlive,
    /// TCP without encryption.
    Tcp,
    /// TCP and a full TLS 1.2 handshake.
    Tls12,
    /// TCP and a resumed TLS 1.2 session.
    Tls12Resumed,
    /// TCP and TLS 1.3.
    Tls13,
    /// TCP and TLS 1.3 with early data.
    Tls13EarlyData,
    /// QUIC.
    Quic,
    /// QUIC with early data.
    QuicEarlyData,
}

impl Setup {
    /// Round trips from the start of the connection to the first byte of the response.
    #[must_use]
    pub fn round_trips(self) -> u32 {
        let request = 1;
        let handshakes = match self {
            Setup::KeptAlive | Setup::QuicEarlyData => 0,
            Setup::Tcp | Setup::Tls13EarlyData | Setup::Quic => 1,
            Setup::Tls13 | Setup::Tls12Resumed => 2,
            Setup::Tls12 => 3,
        };
        handshakes + request
    }
}

/// Round trips that slow start takes to send so many bytes, doubling from `window_segments`.
#[must_use]
pub fn slow_start_rounds(bytes: u64, segment_bytes: u64, window_segments: u64) -> u32 {
    let (mut sent, mut window, mut rounds) = (0, window_segments * segment_bytes, 0);
    while sent < bytes {
        sent += window;
        window *= 2;
        rounds += 1;
    }
    rounds
}

/// Seconds until a connection attempt to nowhere fails: `linear` retransmissions at equal
/// distances of `timeout`, then `retries` that double, and the wait after the last.
#[must_use]
pub fn connect_timeout(retries: u32, linear: u32, timeout: f64) -> f64 {
    timeout * (f64::from(linear) + f64::from((1_u32 << (retries + 1)) - 1))
}

/// Bytes per second of Reno under random loss: MSS/RTT · √(3/(2p)); an approximation.
#[must_use]
pub fn mathis_throughput(segment_bytes: f64, round_trip: f64, loss: f64) -> f64 {
    segment_bytes / round_trip * libm::sqrt(1.5 / loss)
}

/// When a burst ends that starts with a period: each of `threads` has `work` to do and
/// together they may use `quota` of CPU time in each `period`.
#[must_use]
pub fn throttled_completion(work: f64, threads: u32, quota: f64, period: f64) -> f64 {
    let per_period = (quota / f64::from(threads)).min(period);
    let full_periods = libm::ceil(work / per_period) - 1.0;
    full_periods * period + (work - full_periods * per_period)
}

/// Share of requests that leave their zone when endpoints are spread evenly over `zones` and
/// chosen uniformly.
#[must_use]
pub fn zone_crossing_share(zones: u32) -> f64 {
    (f64::from(zones) - 1.0) / f64::from(zones)
}
