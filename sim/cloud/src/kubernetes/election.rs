//! Who leads: the leases of kube-controller-manager and kube-scheduler.
//!
//! Models: a leader that renews every 2 s, and gives up, and exits, when it could not for 10 s;
//! standbys that look every 2 to 4.4 s and take over when they have seen no renewal for 15 s by
//! their own clock; the kubelet's pauses before it starts an exited process again, from none
//! for the first over 10 s doubling to 300 s, starting over after ten minutes of work. A
//! process that starts while the API server cannot be reached exits again.
//! Left out: leases that are handed over on a regular stop.
//! Sources: kubernetes/client-go tools/leaderelection; kubernetes/kubernetes pkg/kubelet;
//! [`crate::facts`].
//! Validated by: bounds and means over many draws, below.

use crate::facts;
use engine::{Draw, Duration, Time};

/// A pause of a standby between two looks at the lease.
fn look(draw: &mut Draw) -> Duration {
    let retry = facts::LEADER_RETRY_PERIOD.value;
    retry.mul_f64(1.0 + facts::LEADER_JITTER.value * draw.uniform())
}

/// From an arbitrary instant to a standby's next look: what is left of a pause that this
/// instant falls into, so that long pauses count for more.
pub fn next_look(draw: &mut Draw) -> Duration {
    let least = facts::LEADER_RETRY_PERIOD.value.as_secs_f64();
    let greatest = least * (1.0 + facts::LEADER_JITTER.value);
    let square = least * least + draw.uniform() * (greatest * greatest - least * least);
    Duration::from_secs_f64(square.sqrt() * draw.uniform())
}

/// From the last renewal by a leader to the takeover by one standby that looks on.
pub fn takeover(draw: &mut Draw) -> Duration {
    let seen = next_look(draw);
    let mut now = seen;
    while now <= seen + facts::LEADER_LEASE_DURATION.value {
        now += look(draw);
    }
    now
}

/// From a leader's crash to the takeover by the first of so many standbys; `None` if there is
/// none. The last renewal was up to one period before the crash.
pub fn takeover_after_crash(standbys: u32, draw: &mut Draw) -> Option<Duration> {
    let renewed_before = facts::LEADER_RETRY_PERIOD.value.mul_f64(draw.uniform());
    let first = (0..standbys).map(|_| takeover(draw)).min()?;
    Some(first - renewed_before)
}

/// When a leader exits that cannot reach the API server from `since` on. It notices at its
/// next renewal.
pub fn gives_up(since: Time, draw: &mut Draw) -> Time {
    let next_renewal = facts::LEADER_RETRY_PERIOD.value.mul_f64(draw.uniform());
    since + next_renewal + facts::LEADER_RENEW_DEADLINE.value
}

/// The pauses before the process of a static pod is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// The pause before the next start but the coming one.
    pause: Duration,
    exited: Option<Time>,
}

impl Restarts {
    /// The process has exited: how long until it is started again.
    pub fn exited(&mut self, now: Time) -> Duration {
        let least = facts::RESTART_BACKOFF.value;
        let quiet = self.exited.map_or(Duration::MAX, |last| now.since(last));
        let expired = quiet > facts::RESTART_BACKOFF_RESET.value;
        let pause = if expired { Duration::ZERO } else { self.pause };
        self.exited = Some(now);
        self.pause = (pause * 2).max(least).min(facts::RESTART_BACKOFF_MAX.value);
        pause
    }
}

/// When a process that exited at `exited` is up for good, if it can only stay up from `back`
/// on: each start before that ends in another exit.
pub fn up_again(restarts: &mut Restarts, exited: Time, back: Time) -> Time {
    let mut exited = exited;
    loop {
        let started = exited + restarts.exited(exited);
        if started >= back {
            return started;
        }
        exited = started + facts::CONTROLLER_START_FAILURE.value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn spread(draws: u64, what: impl Fn(&mut Draw) -> Duration) -> (f64, f64, f64) {
        let stream = Stream::new(Seed::default(), "election");
        let values = (0..draws).map(|index| what(&mut stream.draw(index, 0)).as_secs_f64());
        values.fold((f64::MAX, 0.0, 0.0), |(least, mean, greatest), value| {
            let mean = mean + value / draws as f64;
            (least.min(value), mean, greatest.max(value))
        })
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_standby_takes_over_within_its_bounds() {
        // It sees the last renewal within a pause of at most 4.4 s, and then looks until more
        // than 15 s have passed: at most one more pause.
        let (least, mean, greatest) = spread(20_000, takeover);
        assert!((15.0..15.4).contains(&least), "{least}");
        assert!((23.2..23.8).contains(&greatest), "{greatest}");
        // What is left of a pause, twice: E[P^2] / 2 E[P] = 10.72 / 6.4 each; 15 s is many
        // pauses, so that the second is nearly as random as the first.
        assert!((mean - (15.0 + 2.0 * 1.675)).abs() < 0.05, "{mean}");
    }

    #[test]
    fn of_two_standbys_the_first_takes_over() {
        let (_, one, _) = spread(20_000, |draw| takeover_after_crash(1, draw).unwrap());
        let (least, two, greatest) = spread(20_000, |draw| takeover_after_crash(2, draw).unwrap());
        assert!((one - (18.35 - 1.0)).abs() < 0.05, "{one}");
        assert!(two < one - 0.5 && least > 13.0 && greatest < 15.0 + 2.0 * 4.4);
        assert_eq!(
            takeover_after_crash(0, &mut Stream::new(Seed::default(), "").draw(0, 0)),
            None
        );
    }

    #[test]
    fn a_leader_gives_up_ten_seconds_after_its_next_renewal() {
        let (least, mean, greatest) = spread(20_000, |draw| gives_up(at(50), draw).since(at(50)));
        assert!((10.0..10.01).contains(&least), "{least}");
        assert!((mean - 11.0).abs() < 0.02, "{mean}");
        assert!((11.99..12.0).contains(&greatest), "{greatest}");
    }

    #[test]
    fn static_pods_come_back_with_pauses() {
        let mut restarts = Restarts::default();
        let mut pauses = Vec::new();
        let mut now = at(0);
        for _ in 0..8 {
            let pause = restarts.exited(now);
            pauses.push(pause.as_nanos() / 1_000_000_000);
            now += pause + Duration::from_secs(1);
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(
            restarts.exited(now + Duration::from_secs(601)),
            Duration::ZERO
        );
    }

    #[test]
    fn the_restart_loop_may_outlast_the_outage() {
        // Exits at 11 s, started at once and again after 10, 20, 40, 80, 160 and 300 s, each
        // time for a second: 11, 22, 43, 84, 165, 326, 627.
        let up = up_again(&mut Restarts::default(), at(11), at(600));
        assert_eq!(up, at(627));
        let up = up_again(&mut Restarts::default(), at(11), at(5));
        assert_eq!(up, at(11));
        let up = up_again(&mut Restarts::default(), at(11), at(327));
        assert_eq!(up, at(627));
    }
}
