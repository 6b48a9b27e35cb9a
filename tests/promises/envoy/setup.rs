//! What a rig is told, and what it saw.

use cloud::envoy::breaker::Thresholds;
use cloud::envoy::flags::Flags;
use cloud::envoy::hosts::{Health, Host, Settings};
use cloud::envoy::injection::{Faults, Millionths};
use cloud::envoy::outlier::{self, Happening};
use cloud::envoy::pool;
use cloud::envoy::rate_limit::RateLimit;
use cloud::envoy::retry::RetryPolicy;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// How a host fails while it is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Badness {
    /// It answers with this status.
    Status(u16),
    /// It refuses connections.
    Refuses,
    /// It takes requests and cuts them off: their connection, or with HTTP/2 their stream.
    Cuts,
    /// It takes requests and never answers.
    Silent,
}

/// One host behind the proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    pub host: Host,
    pub key: String,
    /// From the arrival of a request to its answer.
    pub delay: Duration,
    pub bad: Option<Badness>,
    /// While it is bad.
    pub bad_during: Vec<(Time, Time)>,
    /// Share of requests that it answers with 500 at random.
    pub failing: f64,
}

impl Upstream {
    pub fn badness(&self, now: Time) -> Option<Badness> {
        let is_bad = self
            .bad_during
            .iter()
            .any(|&(from, to)| from <= now && now < to);
        self.bad.filter(|_| is_bad)
    }
}

/// What policies by hash tell requests apart by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keys {
    /// Nothing.
    Absent,
    /// The first request carries `key-0`, the next one `key-1`.
    Numbered,
    /// All carry the same, with this hash.
    Same(u64),
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Each client asks again when it is answered.
    Closed {
        clients: u32,
        requests: u32,
        until: Time,
    },
    /// At a rate, whatever becomes of them.
    Open {
        rate: f64,
        poisson: bool,
        from: Time,
        until: Time,
    },
    /// Many at once.
    Bursts { size: u32, rounds: u32 },
}

/// What the rig is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub upstreams: Vec<Upstream>,
    pub settings: Settings,
    pub workers: u32,
    pub load: Load,
    pub keys: Keys,
    /// What an exchange with a host takes beyond the host's delay, on average.
    pub inside: Duration,
    /// What lies between client and proxy, on average.
    pub outside: Duration,
    pub connect: Duration,
    /// How late a pause before a retry ends.
    pub late: Duration,
    pub pool: pool::Settings,
    pub thresholds: Thresholds,
    pub outlier: Option<outlier::Settings>,
    /// When the first sweep comes.
    pub first_sweep: Duration,
    pub merge_window: Duration,
    pub retry: Option<RetryPolicy>,
    pub timeout: Option<Duration>,
    pub faults: Faults,
    pub rate_limit: Option<RateLimit>,
    pub mirror: Millionths,
    /// What health checks find, and when.
    pub checks: Vec<(Time, u32, Health)>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Final {
    pub status: u16,
    pub flags: Flags,
    /// Where the last attempt went.
    pub host: Option<u32>,
    pub attempts: u32,
    pub round: u32,
}

/// What the rig saw.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Which host each attempt went to.
    pub picks: Vec<(Time, u32)>,
    pub finals: Vec<Final>,
    pub happenings: Vec<(Time, Happening)>,
    pub counters: BTreeMap<&'static str, u64>,
    /// Connections opened, by host.
    pub opened: Vec<u32>,
    /// In which round each of them was.
    pub opened_in_round: Vec<u32>,
    /// Most requests at a host at once.
    pub most: Vec<u32>,
    /// From the end of a failed attempt to the next one's arrival, by retry.
    pub gaps: Vec<(u32, Duration)>,
    /// When failed requests ended.
    pub failures: Vec<Time>,
}

impl Log {
    pub fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }
}
