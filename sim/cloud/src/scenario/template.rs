//! How a workload's pods live and end, and how a new look is rolled out.

use super::WorkloadKind;
use crate::facts;
use crate::kubernetes::amount::Amount;
use engine::Duration;

/// How a pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// How long its hook runs before it is told to stop.
    pub pre_stop: Duration,
    /// `terminationGracePeriodSeconds`: hook and stop together.
    pub grace: Duration,
    /// What the application does when told.
    pub on_stop: OnStop,
}

impl Default for Termination {
    fn default() -> Self {
        Termination {
            pre_stop: Duration::ZERO,
            grace: facts::TERMINATION_GRACE_PERIOD.value,
            on_stop: OnStop::Drain,
        }
    }
}

/// What an application does when it is told to stop (SIGTERM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// Takes no new connections, finishes what it has begun, and exits.
    Drain,
    /// Exits at once.
    Exit,
}

/// How changed pods take the place of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// In which way.
    pub strategy: Strategy,
    /// `minReadySeconds`: how long a pod must be ready to count as available.
    pub min_ready: Duration,
    /// `progressDeadlineSeconds`.
    pub progress_deadline: Duration,
    /// `podManagementPolicy: Parallel` of a StatefulSet; in order else.
    pub parallel: bool,
}

impl Rollout {
    /// What holds for a kind of workload that does not say.
    pub fn of(kind: WorkloadKind) -> Rollout {
        let quarter = Amount::Percent(facts::ROLLING_UPDATE_PERCENT.value);
        let (surge, unavailable) = match kind {
            WorkloadKind::DaemonSet => (
                Amount::Count(0),
                Amount::Count(facts::DAEMON_SET_UNAVAILABLE_MAX.value),
            ),
            _ => (quarter, quarter),
        };
        Rollout {
            strategy: Strategy::RollingUpdate {
                surge,
                unavailable,
                partition: 0,
            },
            min_ready: Duration::ZERO,
            progress_deadline: facts::PROGRESS_DEADLINE.value,
            parallel: false,
        }
    }
}

/// In which way changed pods take the place of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Some at a time.
    RollingUpdate {
        /// Pods above the wanted number.
        surge: Amount,
        /// Pods below it.
        unavailable: Amount,
        /// `partition` of a StatefulSet: ordinals below it stay as they are.
        partition: u32,
    },
    /// All old ones go before the first new one comes.
    Recreate,
}
