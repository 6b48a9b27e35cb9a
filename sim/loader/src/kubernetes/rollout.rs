//! How changed pods take the place of the others, as a manifest says it.
//!
//! Models: both strategies of Deployments; partition and order of StatefulSets; surge and
//! unavailable pods; `minReadySeconds`, `progressDeadlineSeconds`, `revisionHistoryLimit`,
//! `paused`. A StatefulSet's `maxUnavailable` counts from the release that has its feature gate on.
//! Approximates: `OnDelete`: a timeline that deletes pods cannot choose which.
//! Sources: k8s.io/api apps/v1 types.go (1.36); kubernetes/kubernetes pkg/apis/apps/v1/defaults.go,
//! pkg/apis/apps/validation.

use super::pod::natural;
use crate::diagnostic::{Code, Diagnostics};
use crate::shape::{Field, Kind, NATURAL, Shape};
use crate::tree::Node;
use crate::value::INTEGER_OR_PERCENT;
use cloud::scenario::{Amount, Rollout, Strategy, WorkloadKind};
use engine::Duration;

const SURGE: Field = Field::modelled("maxSurge", INTEGER_OR_PERCENT);
const UNAVAILABLE: Field = Field::modelled("maxUnavailable", INTEGER_OR_PERCENT);

/// `minReadySeconds` of every kind.
pub(super) const MIN_READY: Field = Field::modelled("minReadySeconds", NATURAL);
/// `progressDeadlineSeconds` of a Deployment.
pub(super) const PROGRESS_DEADLINE: Field = Field::modelled("progressDeadlineSeconds", NATURAL);
/// `revisionHistoryLimit` of every kind that has revisions.
pub(super) const REVISIONS: Field = Field::modelled("revisionHistoryLimit", NATURAL);
/// `paused` of a Deployment.
pub(super) const PAUSED: Field = Field::modelled("paused", Kind::Bool);
/// `podManagementPolicy` of a StatefulSet.
pub(super) const POD_MANAGEMENT: Field = Field::modelled(
    "podManagementPolicy",
    Kind::OneOf(&["OrderedReady", "Parallel"]),
);

static DEPLOYMENT_UPDATE: Shape = Shape::new("RollingUpdateDeployment", &[SURGE, UNAVAILABLE]);
/// Fields of a Deployment's `strategy`.
pub(super) static DEPLOYMENT_STRATEGY: Shape = Shape::new(
    "DeploymentStrategy",
    &[
        Field::modelled("type", Kind::OneOf(&["RollingUpdate", "Recreate"])),
        Field::modelled("rollingUpdate", Kind::Map(&DEPLOYMENT_UPDATE)),
    ],
);

const UPDATE_TYPE: Field = Field::approximated(
    "type",
    Kind::OneOf(&["RollingUpdate", "OnDelete"]),
    "under `OnDelete` pods stay as they are, also when they are replaced",
);
static STATEFUL_SET_UPDATE: Shape = Shape::new(
    "RollingUpdateStatefulSetStrategy",
    &[Field::modelled("partition", NATURAL), UNAVAILABLE],
);
/// Fields of a StatefulSet's `updateStrategy`.
pub(super) static STATEFUL_SET_STRATEGY: Shape = Shape::new(
    "StatefulSetUpdateStrategy",
    &[
        UPDATE_TYPE,
        Field::modelled("rollingUpdate", Kind::Map(&STATEFUL_SET_UPDATE)),
    ],
);
static DAEMON_SET_UPDATE: Shape = Shape::new(
    "RollingUpdateDaemonSet",
    &[
        Field::ignored(
            "maxSurge",
            INTEGER_OR_PERCENT,
            "a node never holds two pods of a DaemonSet",
        ),
        UNAVAILABLE,
    ],
);
/// Fields of a DaemonSet's `updateStrategy`.
pub(super) static DAEMON_SET_STRATEGY: Shape = Shape::new(
    "DaemonSetUpdateStrategy",
    &[
        UPDATE_TYPE,
        Field::modelled("rollingUpdate", Kind::Map(&DAEMON_SET_UPDATE)),
    ],
);

/// What a checked `spec` says of rollouts, with what the API server fills in.
pub(super) fn read(
    spec: Option<&Node>,
    kind: WorkloadKind,
    diagnostics: &mut Diagnostics,
) -> Rollout {
    let mut rollout = Rollout::of(kind);
    let Some(spec) = spec else {
        return rollout;
    };
    let seconds = |key| natural(spec.get(key)).map(|seconds| Duration::from_secs(seconds.into()));
    rollout.min_ready = seconds("minReadySeconds").unwrap_or(rollout.min_ready);
    rollout.progress_deadline =
        seconds("progressDeadlineSeconds").unwrap_or(rollout.progress_deadline);
    rollout.history_max = natural(spec.get("revisionHistoryLimit")).unwrap_or(rollout.history_max);
    rollout.paused = spec.get("paused").and_then(Node::bool) == Some(true);
    rollout.parallel = spec.get("podManagementPolicy").and_then(Node::str) == Some("Parallel");
    let strategy = spec.get("strategy").or_else(|| spec.get("updateStrategy"));
    if let Some(strategy) = strategy {
        rollout.strategy = chosen(strategy, rollout.strategy, diagnostics);
    }
    rollout
}

fn chosen(node: &Node, default: Strategy, diagnostics: &mut Diagnostics) -> Strategy {
    let kind = node.get("type").and_then(Node::str);
    if kind == Some("Recreate") {
        return Strategy::Recreate;
    }
    let Strategy::RollingUpdate {
        mut surge,
        mut unavailable,
        mut partition,
    } = default
    else {
        return default;
    };
    let said = |key| node.at(&["rollingUpdate", key]);
    surge = said("maxSurge")
        .and_then(|node| amount(node, diagnostics))
        .unwrap_or(surge);
    unavailable = said("maxUnavailable")
        .and_then(|node| amount(node, diagnostics))
        .unwrap_or(unavailable);
    partition = natural(said("partition")).unwrap_or(partition);
    let explicit = said("maxSurge").or(said("maxUnavailable"));
    if let (Some(node), true) = (explicit, is_none(surge) && is_none(unavailable)) {
        let message = "with no surge and no pod unavailable no pod can ever be replaced";
        diagnostics
            .report(Code::Conflict, node.span, message)
            .help("raise `maxSurge` or `maxUnavailable`");
    }
    if kind == Some("OnDelete") {
        (surge, unavailable, partition) = (Amount::Count(0), Amount::Count(0), u32::MAX);
    }
    Strategy::RollingUpdate {
        surge,
        unavailable,
        partition,
    }
}

fn is_none(amount: Amount) -> bool {
    matches!(amount, Amount::Count(0) | Amount::Percent(0))
}

/// A number of pods, or a share of them; a share that the API server rejects is reported.
pub(super) fn amount(node: &Node, diagnostics: &mut Diagnostics) -> Option<Amount> {
    if let Some(count) = node.integer() {
        return u32::try_from(count).ok().map(Amount::Count);
    }
    let text = node.str()?;
    let percent = text.strip_suffix('%')?.parse().ok();
    if percent.is_none() {
        let message = format!("`{text}` is no whole percentage");
        diagnostics
            .report(Code::WrongValue, node.span, message)
            .help("shares of pods are whole hundredths, as `25%`");
    }
    percent.map(Amount::Percent)
}
