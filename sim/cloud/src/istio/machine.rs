//! Health checks of applications on machines, by the agent beside them.
//!
//! Models: a first check after an initial delay and one each period from then on; thresholds;
//! that only changes are told, so that a machine that has never been healthy is not in service.
//! Exact: each step, with the counters as they are kept.
//! Sources: istio/istio pkg/istio-agent/health/health_check.go.
//! Validated by: traces worked out by hand, below.

use crate::facts;
use crate::kubernetes::probe::Probe;
use engine::Duration;

/// How an application is checked where its group does not say.
pub fn default_probe() -> Probe {
    Probe {
        initial_delay: Duration::ZERO,
        period: facts::MACHINE_PROBE_PERIOD.value,
        timeout: facts::MACHINE_PROBE_TIMEOUT.value,
        success_threshold: facts::MACHINE_PROBE_SUCCESSES.value,
        failure_threshold: facts::MACHINE_PROBE_FAILURES.value,
    }
}

/// Health, as it is told to istiod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// In service.
    Healthy,
    /// Not in service.
    Unhealthy,
}

/// What the agent has counted and told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    successes: u32,
    failures: u32,
    told: Option<Health>,
}

impl Checks {
    /// A check has ended. Returns what is told to istiod because of it.
    pub fn check(&mut self, succeeded: bool, probe: Probe) -> Option<Health> {
        let (count, other, threshold, health) = if succeeded {
            let threshold = probe.success_threshold;
            (
                &mut self.successes,
                &mut self.failures,
                threshold,
                Health::Healthy,
            )
        } else {
            let threshold = probe.failure_threshold;
            (
                &mut self.failures,
                &mut self.successes,
                threshold,
                Health::Unhealthy,
            )
        };
        *count = count.saturating_add(1);
        *other = 0;
        let turns = *count == threshold && self.told != Some(health);
        turns.then(|| {
            *count = 0;
            self.told = Some(health);
            health
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told after each check, `+` for a success.
    fn told(checks: &str, success_threshold: u32, failure_threshold: u32) -> String {
        let probe = Probe {
            success_threshold,
            failure_threshold,
            ..default_probe()
        };
        let mut state = Checks::default();
        let told = checks
            .chars()
            .map(|it| match state.check(it == '+', probe) {
                Some(Health::Healthy) => 'H',
                Some(Health::Unhealthy) => 'U',
                None => '.',
            });
        told.collect()
    }

    #[test]
    fn only_changes_are_told() {
        assert_eq!(told("+++--+-", 1, 1), "H..U.HU");
        assert_eq!(told("--+", 1, 1), "U.H");
    }

    #[test]
    fn thresholds_count_in_a_row() {
        assert_eq!(told("+-++---+-+--++", 2, 3), "...H..U......H");
    }
}
