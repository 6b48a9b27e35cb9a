//! What a workload's pods look like, and how a new look is rolled out.

use super::{Behavior, Placement, PodDns, Probes, Sidecar, Station, WorkloadKind};
use crate::facts;
use crate::kubernetes::amount::Amount;
use engine::Duration;

/// What the pods of a workload look like; a change of it is a new revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What decides where they may run.
    pub placement: Placement,
    /// Their image; `None` is there on every machine.
    pub image: Option<Image>,
    /// Time from being bound to a node, which has the image, until the application can serve.
    pub start_up: Duration,
    /// How they are probed.
    pub probes: Probes,
    /// How they end.
    pub termination: Termination,
    /// `serviceAccountName`: whom their certificates name.
    pub service_account: String,
    /// How they resolve names.
    pub dns: PodDns,
    /// How one of them serves.
    pub station: Station,
    /// What one of them does with a request.
    pub behavior: Behavior,
    /// The proxy beside it, if there is one.
    pub sidecar: Option<Sidecar>,
    /// Whether the ztunnel of its node carries its connections, in a cluster that has ztunnels.
    pub is_ambient: bool,
}

impl Template {
    /// Pods that may run anywhere, serve as soon as they are bound, are not probed, and end as
    /// pods do by default.
    pub fn plain(station: Station, behavior: Behavior) -> Template {
        Template {
            placement: Placement::default(),
            image: None,
            start_up: Duration::ZERO,
            probes: Probes::default(),
            termination: Termination::default(),
            service_account: facts::SERVICE_ACCOUNT.value.to_owned(),
            dns: PodDns::default(),
            station,
            behavior,
            sidecar: None,
            is_ambient: false,
        }
    }
}

/// What a container is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its reference, with its tag or digest.
    pub name: String,
    /// How much is pulled for it.
    pub bytes: u64,
    /// When it is pulled.
    pub policy: PullPolicy,
}

/// `imagePullPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// When the node does not have it.
    IfNotPresent,
    /// The registry is asked at every start of a container; what is there already is not
    /// pulled again.
    Always,
    /// Never: it has to be there.
    Never,
}

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
    /// `revisionHistoryLimit`: how many former revisions are kept.
    pub history_max: u32,
    /// `paused` of a Deployment: changed pods wait until it is not.
    pub paused: bool,
}

impl Rollout {
    /// What holds for a kind of workload that does not say.
    pub fn of(kind: WorkloadKind) -> Rollout {
        let quarter = Amount::Percent(facts::ROLLING_UPDATE_PERCENT.value);
        let (surge, unavailable) = match kind {
            WorkloadKind::DaemonSet | WorkloadKind::StatefulSet => (
                Amount::Count(0),
                Amount::Count(facts::SET_UNAVAILABLE_MAX.value),
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
            history_max: facts::REVISION_HISTORY_MAX.value,
            paused: false,
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
