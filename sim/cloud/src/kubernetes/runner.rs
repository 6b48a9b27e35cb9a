//! When kube-proxy rewrites its rules, and whether all of them.
//!
//! Models: the runner between "something changed" and a sync. What is asked while it may not
//! run coalesces into one run. Up to 1.33 a token bucket with a burst of two: when it is empty,
//! a run waits until `minSyncPeriod` after the end of the one before. From 1.34 on no burst: each
//! run waits that long. A failed run is tried again after `syncPeriod` unless another comes
//! first, and one comes an hour after the last at the latest. The first sync, made when the
//! lists of services and slices have arrived, is full and does not count for the limit; so are
//! those after a failure, after somebody flushed the rules or moved the node to another zone,
//! and once an hour.
//! Approximated: the release in which the burst went is taken to be 1.34.
//! Leaves out: what a sync writes and how long it takes.
//! Sources: kubernetes/kubernetes v1.30.5 pkg/util/async/bounded_frequency_runner.go and
//! pkg/proxy/iptables/proxier.go, later pkg/proxy/runner; pacing and start-up measured on 1.36.2.
//! Validated by: sequences worked out by hand and the measured distances, below.

use super::bucket::Bucket;
use crate::facts;
use engine::{Duration, Time};

/// How runs are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// Two may follow each other at once.
    Burst,
    /// Each keeps its distance from the end of the one before.
    Spaced,
}

impl Pacing {
    /// As in Kubernetes 1.`minor`.
    pub fn of_minor(minor: u32) -> Self {
        if minor >= facts::KUBE_PROXY_SPACED_FROM_MINOR.value {
            Pacing::Spaced
        } else {
            Pacing::Burst
        }
    }
}

/// Settings of the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Least distance of runs: `minSyncPeriod`.
    pub min: Duration,
    /// When a failed run is tried again: `syncPeriod`.
    pub retry: Duration,
    /// A run comes at least so often, and a full one too.
    pub max: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Periods {
            min: facts::KUBE_PROXY_MIN_SYNC_PERIOD.value,
            retry: facts::KUBE_PROXY_SYNC_PERIOD.value,
            max: facts::KUBE_PROXY_FULL_SYNC_PERIOD.value,
        }
    }
}

/// What a sync rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything, with the checks of all jumps.
    Full,
    /// The common chains, and the services that changed.
    Partial,
}

/// How a sync went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rules are in force.
    Done,
    /// They are as they were.
    Failed,
}

/// What the runner is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the lists; nothing is written before.
    Unsynced,
    /// The next run begins then.
    Due(Time),
    /// A run is under way.
    Running(Extent),
}

/// The runner of one kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runner {
    pacing: Pacing,
    periods: Periods,
    bucket: Bucket,
    state: State,
    /// End of the last run that counts, or the start of the process.
    ended: Time,
    /// When the next sync is full in any case.
    full_due: Time,
    /// Something has changed since the run under way began.
    asked: bool,
    full_wanted: bool,
    /// No sync has succeeded yet; the first does not count for the limit.
    first: bool,
}

impl Runner {
    /// The runner of a process that starts now, without lists.
    pub fn starting(pacing: Pacing, periods: Periods, now: Time) -> Self {
        Runner {
            pacing,
            periods,
            bucket: Bucket::new(periods.min, facts::KUBE_PROXY_SYNC_BURST.value),
            state: State::Unsynced,
            ended: now,
            full_due: now,
            asked: false,
            full_wanted: false,
            first: true,
        }
    }

    /// A runner that is idle, has just had a run that ended at `ended`, and will rewrite
    /// everything at `full_due`.
    pub fn settled(pacing: Pacing, periods: Periods, ended: Time, full_due: Time) -> Self {
        let mut runner = Runner::starting(pacing, periods, ended);
        runner.first = false;
        runner.full_due = full_due;
        runner.state = State::Due(full_due);
        runner
    }

    /// When the next run begins, unless one is under way or the lists are awaited.
    pub fn due(&self) -> Option<Time> {
        match self.state {
            State::Due(at) => Some(at),
            State::Unsynced | State::Running(_) => None,
        }
    }

    /// Whether a run is under way.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// The lists have arrived: the first sync begins now, without asking the limit.
    pub fn lists_arrived(&mut self, now: Time) {
        if self.state == State::Unsynced {
            self.state = State::Due(now);
        }
    }

    /// Something has changed.
    pub fn ask(&mut self, now: Time) {
        match self.state {
            State::Unsynced => {}
            State::Running(_) => self.asked = true,
            State::Due(at) => self.state = State::Due(at.min(self.earliest(now))),
        }
    }

    /// The rules were flushed, or the node's zone changed: the next sync is full.
    pub fn ask_full(&mut self, now: Time) {
        self.full_wanted = true;
        self.ask(now);
    }

    /// When a run that is asked for now may begin.
    fn earliest(&self, now: Time) -> Time {
        let spaced = now.max(self.ended.saturating_add(self.periods.min));
        match self.pacing {
            Pacing::Burst if self.bucket.wait(now).is_zero() => now,
            Pacing::Burst | Pacing::Spaced => spaced,
        }
    }

    /// A run begins: what it rewrites.
    ///
    /// # Panics
    /// If none is due.
    pub fn begin(&mut self, now: Time) -> Extent {
        let State::Due(due) = self.state else {
            panic!("a sync begins that is not due");
        };
        assert!(due <= now, "a sync begins before its time");
        if !self.first {
            self.bucket.try_take(now);
        }
        let extent = match self.first || self.full_wanted || self.full_due <= now {
            true => Extent::Full,
            false => Extent::Partial,
        };
        self.full_wanted = false;
        self.asked = false;
        self.state = State::Running(extent);
        extent
    }

    /// The run under way has ended.
    ///
    /// # Panics
    /// If none is under way.
    pub fn end(&mut self, outcome: Outcome, now: Time) {
        let State::Running(extent) = self.state else {
            panic!("a sync ends that has not begun");
        };
        if !self.first {
            self.ended = now;
        }
        let next = match outcome {
            Outcome::Failed => self.periods.retry,
            Outcome::Done => self.periods.max,
        };
        self.full_wanted |= outcome == Outcome::Failed;
        self.first &= outcome == Outcome::Failed;
        if (outcome, extent) == (Outcome::Done, Extent::Full) {
            self.full_due = now.saturating_add(self.periods.max);
        }
        self.state = State::Due(now.saturating_add(next));
        if self.asked {
            self.ask(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: u64 = 50;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn milliseconds(time: Time) -> u64 {
        time.as_nanos() / 1_000_000
    }

    /// A runner whose last sync, a full one, ended at the start.
    fn idle(pacing: Pacing) -> Runner {
        Runner::settled(pacing, Periods::default(), at(0), at(3_600_000))
    }

    /// When syncs of 50 ms begin if they are asked for at these milliseconds.
    fn begins(pacing: Pacing, asked: &[u64]) -> Vec<u64> {
        let periods = Periods::default();
        let mut runner = idle(pacing);
        let mut asked = asked.iter().copied().peekable();
        let mut begins = Vec::new();
        loop {
            let next = asked.peek().copied();
            match runner.due().filter(|due| *due < Time::ZERO + periods.max) {
                Some(due) if next.is_none_or(|next| due <= at(next)) => {
                    begins.push(milliseconds(due));
                    assert_eq!(runner.begin(due), Extent::Partial);
                    let end = milliseconds(due) + SYNC;
                    while let Some(during) = asked.next_if(|&next| next < end) {
                        runner.ask(at(during));
                    }
                    runner.end(Outcome::Done, at(end));
                }
                _ => match asked.next() {
                    Some(now) => runner.ask(at(now)),
                    None => return begins,
                },
            }
        }
    }

    #[test]
    fn without_burst_a_run_waits_from_the_end_of_the_one_before() {
        // Asked while idle: at once. Asked during and after it: one run, 1 s after its end.
        let asked = [10_000, 10_010, 10_200, 10_900];
        assert_eq!(begins(Pacing::Spaced, &asked), [10_000, 11_050]);
    }

    #[test]
    fn with_burst_two_follow_each_other() {
        // The second takes the second token as the first ends. 390 ms of the third have come
        // back when it is asked for: it waits for 1 s from the end of the second, at 10,100.
        let asked = [10_000, 10_010, 10_400];
        assert_eq!(begins(Pacing::Burst, &asked), [10_000, 10_050, 11_100]);
        // Who asks again while it waits gets the token that has come meanwhile.
        let asked = [10_000, 10_010, 10_400, 11_020];
        assert_eq!(begins(Pacing::Burst, &asked), [10_000, 10_050, 11_020]);
    }

    #[test]
    fn the_burst_went_after_1_33() {
        assert_eq!(Pacing::of_minor(33), Pacing::Burst);
        assert_eq!(Pacing::of_minor(34), Pacing::Spaced);
    }

    #[test]
    fn a_failed_run_is_tried_again_in_full() {
        let mut runner = idle(Pacing::Spaced);
        runner.ask(at(5_000));
        assert_eq!(runner.begin(at(5_000)), Extent::Partial);
        runner.end(Outcome::Failed, at(5_100));
        assert_eq!(runner.due(), Some(at(35_100)));
        // Another change does not wait for that.
        runner.ask(at(5_200));
        assert_eq!(runner.due(), Some(at(6_100)));
        assert_eq!(runner.begin(at(6_100)), Extent::Full);
        runner.end(Outcome::Done, at(6_200));
        assert_eq!(runner.due(), Some(at(3_606_200)));
        runner.ask(at(9_000));
        assert_eq!(runner.begin(at(9_000)), Extent::Partial);
    }

    #[test]
    fn one_comes_every_hour_and_is_full() {
        let mut runner = idle(Pacing::Burst);
        assert_eq!(runner.due(), Some(at(3_600_000)));
        assert_eq!(runner.begin(at(3_600_000)), Extent::Full);
        runner.end(Outcome::Done, at(3_600_100));
        assert_eq!(runner.due(), Some(at(7_200_100)));
    }

    #[test]
    fn flushed_rules_make_the_next_sync_full_even_if_one_is_under_way() {
        let mut runner = idle(Pacing::Spaced);
        runner.ask(at(5_000));
        runner.begin(at(5_000));
        runner.ask_full(at(5_010));
        runner.end(Outcome::Done, at(5_100));
        assert_eq!(runner.due(), Some(at(6_100)));
        assert_eq!(runner.begin(at(6_100)), Extent::Full);
    }

    #[test]
    fn the_first_sync_waits_for_the_lists_and_does_not_count() {
        for (pacing, next) in [(Pacing::Spaced, 1_000), (Pacing::Burst, 230)] {
            let mut runner = Runner::starting(pacing, Periods::default(), at(0));
            runner.ask(at(10));
            assert_eq!(runner.due(), None, "nothing is written without lists");
            runner.lists_arrived(at(60));
            assert_eq!(runner.begin(at(60)), Extent::Full);
            runner.ask(at(100));
            runner.end(Outcome::Done, at(230));
            // Measured on 1.36: 1.00 s after the process started, 0.77 s after that sync.
            assert_eq!(runner.due(), Some(at(next)));
            assert_eq!(runner.begin(at(next)), Extent::Partial);
        }
    }

    #[test]
    fn a_first_sync_that_fails_comes_again() {
        let mut runner = Runner::starting(Pacing::Spaced, Periods::default(), at(0));
        runner.lists_arrived(at(60));
        runner.begin(at(60));
        runner.end(Outcome::Failed, at(200));
        assert_eq!(runner.due(), Some(at(30_200)));
        assert_eq!(runner.begin(at(30_200)), Extent::Full);
    }
}
