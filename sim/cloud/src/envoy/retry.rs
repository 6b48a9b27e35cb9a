//! Retries: which failures are tried again, when, and on which hosts.
//!
//! Models: the conditions of `retry_on`, for answers and for streams that were cut (an overflow
//! is never tried again, a cut stream counts as a server error); the number of retries; the hold
//! on `max_retries` or the budget from the scheduling of a retry until its attempt is decided;
//! pauses drawn from 0 up to, and without, base times 2^(n-1) in whole milliseconds, capped (the
//! documentation prints (2^n - 1) times the base; the code counts); hosts that were tried;
//! priorities that were tried.
//! Approximated: of hosts that were tried the last eight are remembered, Envoy remembers all;
//! from the first update of priorities on each retry leaves out all that were tried, where Envoy
//! looks again only at every multiple of the frequency.
//! Leaves out: pauses that the upstream asks for by headers, hedging, retriable headers.
//! Sources: envoyproxy/envoy source/common/router/retry_state_impl.cc,
//! source/common/common/backoff_strategy.cc, source/extensions/retry.
//! Validated by: the traces below and recordings of attempts, pauses and flags.

use super::breaker::Breakers;
use crate::facts;
use engine::{Draw, Duration};
use std::ops::BitOr;

/// Conditions on which to retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u16);

impl RetryOn {
    /// Never.
    pub const NEVER: RetryOn = RetryOn(0);
    /// `5xx`: any server error, and any stream that was cut.
    pub const SERVER_ERROR: RetryOn = RetryOn(1);
    /// `gateway-error`: 502, 503, 504, and any stream that was cut.
    pub const GATEWAY_ERROR: RetryOn = RetryOn(1 << 1);
    /// `reset`: any stream that was cut.
    pub const RESET: RetryOn = RetryOn(1 << 2);
    /// `reset-before-request`: a stream that was cut before the request was sent.
    pub const RESET_BEFORE_REQUEST: RetryOn = RetryOn(1 << 3);
    /// `connect-failure`: a connection that was refused or took too long.
    pub const CONNECT_FAILURE: RetryOn = RetryOn(1 << 4);
    /// `refused-stream`: the upstream said that it has done nothing.
    pub const REFUSED_STREAM: RetryOn = RetryOn(1 << 5);
    /// `retriable-4xx`: 409.
    pub const CONFLICT: RetryOn = RetryOn(1 << 6);
    /// `retriable-status-codes`: those that the policy lists.
    pub const STATUS_CODES: RetryOn = RetryOn(1 << 7);
    /// `cancelled` of gRPC.
    pub const CANCELLED: RetryOn = RetryOn(1 << 8);
    /// `deadline-exceeded` of gRPC.
    pub const DEADLINE_EXCEEDED: RetryOn = RetryOn(1 << 9);
    /// `internal` of gRPC.
    pub const INTERNAL: RetryOn = RetryOn(1 << 10);
    /// `resource-exhausted` of gRPC.
    pub const RESOURCE_EXHAUSTED: RetryOn = RetryOn(1 << 11);
    /// `unavailable` of gRPC.
    pub const UNAVAILABLE: RetryOn = RetryOn(1 << 12);

    /// The condition of this name; `None` if Envoy knows none.
    pub fn named(name: &str) -> Option<RetryOn> {
        Some(match name {
            "5xx" => RetryOn::SERVER_ERROR,
            "gateway-error" => RetryOn::GATEWAY_ERROR,
            "reset" => RetryOn::RESET,
            "reset-before-request" => RetryOn::RESET_BEFORE_REQUEST,
            "connect-failure" => RetryOn::CONNECT_FAILURE,
            "refused-stream" => RetryOn::REFUSED_STREAM,
            "retriable-4xx" => RetryOn::CONFLICT,
            "retriable-status-codes" => RetryOn::STATUS_CODES,
            "cancelled" => RetryOn::CANCELLED,
            "deadline-exceeded" => RetryOn::DEADLINE_EXCEEDED,
            "internal" => RetryOn::INTERNAL,
            "resource-exhausted" => RetryOn::RESOURCE_EXHAUSTED,
            "unavailable" => RetryOn::UNAVAILABLE,
            _ => return None,
        })
    }

    /// All conditions of a list with commas; Envoy passes over names that it does not know.
    pub fn listed(names: &str) -> RetryOn {
        let known = names
            .split(',')
            .filter_map(|name| RetryOn::named(name.trim()));
        known.fold(RetryOn::NEVER, |all, condition| all | condition)
    }

    fn has(self, any: RetryOn) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for RetryOn {
    type Output = RetryOn;

    fn bitor(self, other: RetryOn) -> RetryOn {
        RetryOn(self.0 | other.0)
    }
}

/// How an attempt went wrong before there was an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A limit refused it.
    Overflow,
    /// The connection was refused or did not come up in time.
    ConnectFailure,
    /// The upstream refused the stream and has done nothing.
    RefusedStream,
    /// The connection ended, or the upstream reset the stream.
    Remote,
    /// The proxy reset it; so it does when the attempt's time is up.
    Local,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// An answer of gRPC with this status of its own.
    Grpc(u8),
    /// The stream was cut, before or after the request was sent.
    Cut(Cut, Sent),
}

/// Whether the request had begun to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// No: the upstream has seen nothing of it.
    Nothing,
    /// Some or all of it.
    Begun,
}

/// A route's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// When to retry.
    pub on: RetryOn,
    /// How often.
    pub retries: u32,
    /// The statuses of `retriable-status-codes`.
    pub status_codes: Vec<u16>,
    /// Range of the first pause.
    pub base: Duration,
    /// Greatest range.
    pub max: Duration,
    /// How long one attempt may take.
    pub per_try_timeout: Option<Duration>,
    /// Whether hosts that were tried are not wanted.
    pub previous_hosts: bool,
    /// How many more picks a retry makes if it gets a host that it does not want.
    pub host_selections: u32,
    /// After how many attempts priorities that were tried are left out, if they are.
    pub previous_priorities: Option<u32>,
}

impl RetryPolicy {
    /// A policy of Envoy that says only when.
    pub fn on(on: RetryOn) -> Self {
        let base = facts::ENVOY_RETRY_BASE.value;
        RetryPolicy {
            on,
            retries: facts::ENVOY_RETRIES.value,
            status_codes: Vec::new(),
            base,
            max: base.saturating_mul(u64::from(facts::ENVOY_RETRY_MAX_FACTOR.value)),
            per_try_timeout: None,
            previous_hosts: false,
            host_selections: facts::ENVOY_HOST_SELECTIONS.value,
            previous_priorities: None,
        }
    }

    /// Whether an outcome is one to retry on.
    pub fn covers(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Status(status) => self.covers_status(status),
            Outcome::Grpc(status) => match status {
                1 => self.on.has(RetryOn::CANCELLED),
                4 => self.on.has(RetryOn::DEADLINE_EXCEEDED),
                8 => self.on.has(RetryOn::RESOURCE_EXHAUSTED),
                13 => self.on.has(RetryOn::INTERNAL),
                14 => self.on.has(RetryOn::UNAVAILABLE),
                _ => false,
            },
            Outcome::Cut(Cut::Overflow, _) => false,
            Outcome::Cut(cut, sent) => self.covers_cut(cut, sent),
        }
    }

    fn covers_status(&self, status: u16) -> bool {
        let server_error = status / 100 == 5;
        let gateway_error = (502..=504).contains(&status);
        self.on.has(RetryOn::SERVER_ERROR) && server_error
            || self.on.has(RetryOn::GATEWAY_ERROR) && gateway_error
            || self.on.has(RetryOn::CONFLICT) && status == 409
            || self.on.has(RetryOn::STATUS_CODES) && self.status_codes.contains(&status)
    }

    fn covers_cut(&self, cut: Cut, sent: Sent) -> bool {
        let always = RetryOn::SERVER_ERROR | RetryOn::GATEWAY_ERROR | RetryOn::RESET;
        self.on.has(always)
            || self.on.has(RetryOn::RESET_BEFORE_REQUEST) && sent == Sent::Nothing
            || self.on.has(RetryOn::REFUSED_STREAM) && cut == Cut::RefusedStream
            || self.on.has(RetryOn::CONNECT_FAILURE) && cut == Cut::ConnectFailure
    }

    /// The pause before the `retry`-th retry, from 1.
    pub fn pause(&self, retry: u32, draw: &mut Draw) -> Duration {
        let milliseconds = |duration: Duration| duration.as_nanos() / 1_000_000;
        let doublings = retry.saturating_sub(1).min(31);
        let range = milliseconds(self.base).max(1) << doublings;
        let range = range
            .min(milliseconds(self.max).max(1))
            .min(u64::from(u32::MAX));
        Duration::from_millis(u64::from(draw.below(range as u32)))
    }
}

/// What to do about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Final,
    /// It would be tried again, but the retries are used up (URX).
    LimitExceeded,
    /// It would be tried again, but too many retries are under way (UO).
    Overflow,
    /// It is tried again after this pause.
    After(Duration),
}

/// Hosts that were tried.
const HOSTS_REMEMBERED: usize = 8;

/// The retries of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    made: u32,
    holds: bool,
    hosts: [u32; HOSTS_REMEMBERED],
    tried: u32,
}

impl Retries {
    /// How many were made or are under way.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// An attempt goes to this host.
    pub fn attempt(&mut self, host: u32) {
        self.hosts[self.tried as usize % HOSTS_REMEMBERED] = host;
        self.tried += 1;
    }

    /// Whether this request has tried a host.
    pub fn has_tried(&self, host: u32) -> bool {
        let known = (self.tried as usize).min(HOSTS_REMEMBERED);
        self.hosts[..known].contains(&host)
    }

    /// Whether the next attempt leaves out priorities that were tried.
    pub fn leaves_priorities(&self, policy: &RetryPolicy) -> bool {
        policy
            .previous_priorities
            .is_some_and(|frequency| frequency > 0 && self.tried >= frequency)
    }

    /// An attempt has an outcome: what to do where nothing limits how many retries are under way.
    pub fn decide_unlimited(
        &mut self,
        policy: &RetryPolicy,
        outcome: Outcome,
        draw: &mut Draw,
    ) -> Verdict {
        if !policy.covers(outcome) {
            return Verdict::Final;
        }
        if self.made >= policy.retries {
            return Verdict::LimitExceeded;
        }
        self.made += 1;
        Verdict::After(policy.pause(self.made, draw))
    }

    /// An attempt has an outcome: what to do.
    pub fn decide(
        &mut self,
        policy: &RetryPolicy,
        outcome: Outcome,
        breakers: &mut Breakers,
        draw: &mut Draw,
    ) -> Verdict {
        self.release(breakers);
        let verdict = self.decide_unlimited(policy, outcome, draw);
        if matches!(verdict, Verdict::After(_)) {
            let answered = !matches!(outcome, Outcome::Cut(..));
            if !breakers.try_take_retry(answered) {
                return Verdict::Overflow;
            }
            self.holds = true;
        }
        verdict
    }

    /// The request ends, whatever it waits for.
    pub fn release(&mut self, breakers: &mut Breakers) {
        if self.holds {
            self.holds = false;
            breakers.give_retry();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::breaker::{Budget, Thresholds};
    use super::*;
    use engine::{Seed, Stream};

    fn breakers() -> Breakers {
        Breakers::new(Thresholds::default())
    }

    fn draw(address: u64) -> Draw {
        Stream::new(Seed::default(), "retry").draw(address, 0)
    }

    fn on(names: &str) -> RetryPolicy {
        RetryPolicy::on(RetryOn::listed(names))
    }

    #[test]
    fn conditions_cover_what_they_say() {
        let statuses = |names: &str| -> Vec<u16> {
            let policy = on(names);
            let all = [200, 404, 409, 500, 502, 503, 504];
            all.into_iter()
                .filter(|&status| policy.covers(Outcome::Status(status)))
                .collect()
        };
        assert_eq!(statuses("5xx"), [500, 502, 503, 504]);
        assert_eq!(statuses("gateway-error"), [502, 503, 504]);
        assert_eq!(statuses("retriable-4xx"), [409]);
        assert_eq!(statuses("connect-failure, reset, nonsense"), []);
        let cuts = |names: &str| -> Vec<Cut> {
            let policy = on(names);
            let all = [
                Cut::Overflow,
                Cut::ConnectFailure,
                Cut::RefusedStream,
                Cut::Remote,
                Cut::Local,
            ];
            let covered = |&cut: &Cut| policy.covers(Outcome::Cut(cut, Sent::Begun));
            all.into_iter().filter(covered).collect()
        };
        let all_but_overflow = [
            Cut::ConnectFailure,
            Cut::RefusedStream,
            Cut::Remote,
            Cut::Local,
        ];
        for names in ["5xx", "gateway-error", "reset"] {
            assert_eq!(cuts(names), all_but_overflow, "{names}");
        }
        assert_eq!(cuts("connect-failure"), [Cut::ConnectFailure]);
        assert_eq!(cuts("refused-stream"), [Cut::RefusedStream]);
        assert_eq!(cuts("reset-before-request"), []);
        let unsent = Outcome::Cut(Cut::Remote, Sent::Nothing);
        assert!(on("reset-before-request").covers(unsent));
        assert!(on("cancelled,unavailable").covers(Outcome::Grpc(14)));
        assert!(!on("cancelled,unavailable").covers(Outcome::Grpc(13)));
    }

    #[test]
    fn pauses_are_drawn_from_zero_up_to_a_doubling_range() {
        let policy = on("5xx");
        for (retry, range) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (60, 250)] {
            let pauses: Vec<u64> = (0..20_000)
                .map(|request| policy.pause(retry, &mut draw(request)).as_nanos() / 1_000_000)
                .collect();
            let mean = pauses.iter().sum::<u64>() as f64 / 20_000.0;
            let exact = (range - 1) as f64 / 2.0;
            assert!((mean - exact).abs() < 0.03 * exact, "{retry}: {mean}");
            let (least, most) = (pauses.iter().min(), pauses.iter().max());
            assert_eq!((least, most), (Some(&0), Some(&(range - 1))), "{retry}");
        }
    }

    #[test]
    fn a_request_retries_as_often_as_it_may_and_holds_one_at_a_time() {
        let policy = RetryPolicy {
            retries: 2,
            ..on("5xx")
        };
        let (mut retries, mut breakers) = (Retries::default(), breakers());
        let failed = Outcome::Status(500);
        for made in 1..=2 {
            let verdict = retries.decide(&policy, failed, &mut breakers, &mut draw(made));
            assert!(matches!(verdict, Verdict::After(_)), "{verdict:?}");
            assert_eq!(breakers.retries(), 1);
        }
        let verdict = retries.decide(&policy, failed, &mut breakers, &mut draw(3));
        assert_eq!((verdict, breakers.retries()), (Verdict::LimitExceeded, 0));
    }

    #[test]
    fn a_success_ends_it_and_gives_back_what_it_held() {
        let (mut retries, mut breakers) = (Retries::default(), breakers());
        let policy = on("5xx");
        retries.decide(&policy, Outcome::Status(503), &mut breakers, &mut draw(0));
        let verdict = retries.decide(&policy, Outcome::Status(200), &mut breakers, &mut draw(1));
        assert_eq!((verdict, breakers.retries()), (Verdict::Final, 0));
        // So does a caller who goes away during the pause.
        let mut other = Retries::default();
        other.decide(&policy, Outcome::Status(503), &mut breakers, &mut draw(2));
        other.release(&mut breakers);
        other.release(&mut breakers);
        assert_eq!(breakers.retries(), 0);
    }

    #[test]
    fn too_many_retries_under_way_are_refused() {
        let thresholds = Thresholds {
            budget: Some(Budget {
                percent: 20.0,
                min: 1,
            }),
            ..Thresholds::default()
        };
        let mut breakers = Breakers::new(thresholds);
        let policy = on("5xx");
        let verdicts: Vec<Verdict> = (0..2)
            .map(|request| {
                let mut retries = Retries::default();
                retries.decide(
                    &policy,
                    Outcome::Status(500),
                    &mut breakers,
                    &mut draw(request),
                )
            })
            .collect();
        assert!(
            matches!(verdicts[..], [Verdict::After(_), Verdict::Overflow]),
            "{verdicts:?}"
        );
    }

    #[test]
    fn hosts_that_were_tried_are_known() {
        let mut retries = Retries::default();
        assert!(!retries.has_tried(0));
        (3..12).for_each(|host| retries.attempt(host));
        assert!((4..12).all(|host| retries.has_tried(host)) && !retries.has_tried(3));
    }

    #[test]
    fn priorities_are_left_after_so_many_attempts() {
        let policy = RetryPolicy {
            previous_priorities: Some(2),
            ..on("5xx")
        };
        let mut retries = Retries::default();
        let leaves: Vec<bool> = (0..3)
            .map(|host| {
                retries.attempt(host);
                retries.leaves_priorities(&policy)
            })
            .collect();
        assert_eq!(leaves, [false, true, true]);
        assert!(!retries.leaves_priorities(&on("5xx")));
    }
}
