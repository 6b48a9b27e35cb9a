//! The kubelet's pauses before it tries again: restarts of containers, pulls of images.
//!
//! Models: a pause that doubles up to a greatest one, and starts afresh after a calm of twice
//! that. The first restart of a container is at once, the pause counts from its end. The
//! first pull is at once too, the pause counts from the failure.
//! Approximated: the kubelet looks again at the instant at which the pause is over, as it does
//! since it knows that instant; before, it looked every 10 to 15 s.
//! Leaves out: the gates of Kubernetes 1.32 and later that shorten the pauses, off by default.
//! Sources: kubernetes/client-go util/flowcontrol/backoff.go, kubernetes/kubernetes
//! pkg/kubelet/kuberuntime and pkg/kubelet/images.
//! Validated by: the sequences of pauses, below.

use engine::{Duration, Time};

/// How pauses grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The first.
    pub first: Duration,
    /// The greatest.
    pub max: Duration,
}

/// The pauses of one container or one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    /// The pause in force and when it came into force.
    last: Option<(Duration, Time)>,
}

impl BackOff {
    /// How long to wait from now on, after what ended or failed at `failed`.
    pub fn remaining(&self, failed: Time, now: Time, pauses: Pauses) -> Duration {
        match self.last {
            Some((pause, since)) if !is_calm(since, failed, pauses) => {
                failed.saturating_add(pause).saturating_since(now)
            }
            _ => Duration::ZERO,
        }
    }

    /// What ended or failed at `failed` is tried again now, so the next pause is longer.
    pub fn tried(&mut self, failed: Time, now: Time, pauses: Pauses) {
        let pause = match self.last {
            Some((pause, since)) if !is_calm(since, failed, pauses) => {
                pause.saturating_mul(2).min(pauses.max)
            }
            _ => pauses.first,
        };
        self.last = Some((pause, now));
    }
}

/// Whether all went well for so long that it counts as stable.
fn is_calm(since: Time, failed: Time, pauses: Pauses) -> bool {
    failed.saturating_since(since) > pauses.max.saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;

    fn restarts() -> Pauses {
        Pauses {
            first: facts::RESTART_BACKOFF.value,
            max: facts::RESTART_BACKOFF_MAX.value,
        }
    }

    /// The pauses of a container that runs for so long each time, in seconds.
    fn pauses_of(runs: &[u64]) -> Vec<f64> {
        let mut back_off = BackOff::default();
        let mut now = Time::ZERO;
        let mut pauses = Vec::new();
        for &run in runs {
            now += Duration::from_secs(run);
            let failed = now;
            let pause = back_off.remaining(failed, now, restarts());
            pauses.push(pause.as_secs_f64());
            now += pause;
            back_off.tried(failed, now, restarts());
        }
        pauses
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        assert_eq!(
            pauses_of(&[1; 9]),
            [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
        );
    }

    #[test]
    fn ten_calm_minutes_forgive_all() {
        assert_eq!(
            pauses_of(&[1, 1, 1, 600, 601, 1, 1]),
            [0.0, 10.0, 20.0, 40.0, 0.0, 10.0, 20.0]
        );
    }

    #[test]
    fn time_that_has_passed_counts() {
        let mut back_off = BackOff::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        back_off.tried(at(0), at(0), restarts());
        let remaining = |now| back_off.remaining(at(5), at(now), restarts()).as_secs_f64();
        assert_eq!(
            [5, 6, 14, 15, 16].map(remaining),
            [10.0, 9.0, 1.0, 0.0, 0.0]
        );
    }
}
