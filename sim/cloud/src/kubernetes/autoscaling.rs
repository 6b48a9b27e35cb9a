//! The HorizontalPodAutoscaler: from what the pods use to how many there should be.
//!
//! Models: `autoscaling/v2` as its controller runs it every sync: a proposal per metric
//! ([`proposal`]), the greatest of them, stabilization over both windows, then the rate that
//! the policies allow ([`limits`]), and the events that later policies are measured from.
//! An object without `behavior` takes the older path: the greatest recommendation of the
//! scale-down window, and at most the greater of twice the replicas and four.
//!
//! Approximated: the metrics are a pod's CPU and its rate of requests. Leaves out: memory,
//! Object and External metrics, scaling to and from zero.
//! Sources: kubernetes/kubernetes `pkg/controller/podautoscaler` (v1.20.2, and v1.33 where it
//! differs), KEP-4951; [`crate::facts`].
//! Validated by: sequences of recommendations worked out by hand.

pub mod limits;
pub mod proposal;
#[cfg(test)]
mod tests;

use crate::facts;
use engine::{Duration, Time};
use proposal::{Metric, PodSample, Proposal, Tolerance};

/// What a HorizontalPodAutoscaler asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Fewest replicas, at least 1.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// The metrics, at least one.
    pub metrics: Vec<Metric>,
    /// `spec.behavior`, with its defaults filled in.
    pub behavior: Option<Behavior>,
}

/// How fast it may scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Upwards.
    pub up: Rules,
    /// Downwards.
    pub down: Rules,
}

/// How fast it may scale in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Recommendations of this long count.
    pub stabilization: Duration,
    /// Which policy holds if there are several.
    pub select: Select,
    /// The policies, at least one unless scaling is disabled.
    pub policies: Vec<Policy>,
    /// Share of the target that is no reason to scale, if not the controller's own; heard
    /// from 1.35 on.
    pub tolerance: Option<f64>,
}

/// Which policy of several holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the greatest change.
    Max,
    /// The one that allows the least.
    Min,
    /// None: no scaling in this direction.
    Disabled,
}

/// How much may change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// This much.
    pub step: Step,
    /// Within this long.
    pub period: Duration,
}

/// How much may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A number of pods.
    Pods(u32),
    /// Percent of the replicas at the start of the period.
    Percent(u32),
}

/// The controller's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Kubernetes minor version.
    pub minor: u32,
    /// Share of the target that is no reason to scale.
    pub tolerance: f64,
    /// How long after its start a pod's CPU counts only once it is ready.
    pub cpu_initialization_period: Duration,
    /// How long after its start a pod that turned unready was never ready.
    pub initial_readiness_delay: Duration,
    /// Recommendations of this long hold replicas up, where `behavior` says nothing.
    pub downscale_stabilization: Duration,
}

impl Rules {
    /// What holds upwards where `behavior` says nothing.
    pub fn default_up() -> Rules {
        let period = facts::HPA_POLICY_PERIOD.value;
        let step = Step::Pods(facts::HPA_SCALE_UP_PODS.value);
        let doubling = Step::Percent(facts::HPA_SCALE_UP_PERCENT.value);
        Rules {
            stabilization: facts::HPA_SCALE_UP_STABILIZATION.value,
            select: Select::Max,
            policies: vec![
                Policy { step, period },
                Policy {
                    step: doubling,
                    period,
                },
            ],
            tolerance: None,
        }
    }

    /// What holds downwards where `behavior` says nothing.
    pub fn default_down() -> Rules {
        Rules {
            stabilization: facts::HPA_SCALE_DOWN_STABILIZATION.value,
            select: Select::Max,
            policies: vec![Policy {
                step: Step::Percent(facts::HPA_SCALE_DOWN_PERCENT.value),
                period: facts::HPA_POLICY_PERIOD.value,
            }],
            tolerance: None,
        }
    }
}

impl Settings {
    /// The defaults of kube-controller-manager 1.`minor`.
    pub fn of(minor: u32) -> Settings {
        Settings {
            minor,
            tolerance: facts::HPA_TOLERANCE.value,
            cpu_initialization_period: facts::HPA_CPU_INITIALIZATION_PERIOD.value,
            initial_readiness_delay: facts::HPA_INITIAL_READINESS_DELAY.value,
            downscale_stabilization: facts::HPA_SCALE_DOWN_STABILIZATION.value,
        }
    }
}

/// Why replicas change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More than `maxReplicas`.
    AboveMaximum,
    /// Fewer than `minReplicas`.
    BelowMinimum,
    /// The metric at this position asks for more.
    AboveTarget(usize),
    /// Every metric asks for fewer.
    BelowTarget,
}

/// What a sync decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replicas to write and why; `None` writes nothing.
    pub rescale: Option<(u32, Reason)>,
    /// What each metric measured in its own unit, `None` where it could not; empty if the
    /// metrics were not asked.
    pub measured: Vec<Option<u64>>,
}

/// What the controller remembers of one autoscaler: lost when it restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Recommendations, before stabilization.
    recommendations: Vec<(Time, u32)>,
    /// Replicas added.
    ups: Vec<(Time, u32)>,
    /// Replicas taken away.
    downs: Vec<(Time, u32)>,
}

/// One sync: what the replicas should be, from `replicas` wanted now and its pods.
pub fn decide(
    bounds: &Bounds,
    settings: &Settings,
    memory: &mut Memory,
    replicas: u32,
    pods: &[PodSample],
    now: Time,
) -> Decision {
    if memory.recommendations.is_empty() {
        memory.recommendations.push((now, replicas));
    }
    let mut decision = Decision {
        rescale: None,
        measured: Vec::new(),
    };
    if replicas == 0 {
        return decision;
    }
    if replicas > bounds.max {
        decision.rescale = Some((bounds.max, Reason::AboveMaximum));
    } else if replicas < bounds.min {
        decision.rescale = Some((bounds.min, Reason::BelowMinimum));
    } else {
        let tolerance = tolerance(bounds, settings);
        let proposals: Vec<_> = bounds
            .metrics
            .iter()
            .map(|metric| proposal::propose(metric, pods, replicas, now, settings, tolerance))
            .collect();
        let measured = |proposal: &Option<Proposal>| proposal.map(|known| known.measured);
        decision.measured = proposals.iter().map(measured).collect();
        let Some((wanted, metric)) = greatest(&proposals, replicas) else {
            return decision;
        };
        let to = limits::normalize(bounds, settings, memory, replicas, wanted, now);
        let reason = if wanted > replicas {
            Reason::AboveTarget(metric)
        } else {
            Reason::BelowTarget
        };
        decision.rescale = (to != replicas).then_some((to, reason));
    }
    if let (Some((to, _)), Some(behavior)) = (decision.rescale, &bounds.behavior) {
        limits::remember(memory, behavior, replicas, to, now);
    }
    decision
}

/// The greatest proposal and its metric; `None` if no metric is known, or if one is unknown
/// and the others ask for fewer.
fn greatest(proposals: &[Option<Proposal>], replicas: u32) -> Option<(u32, usize)> {
    let mut greatest: Option<(u32, usize)> = None;
    for (position, proposal) in proposals.iter().enumerate() {
        if let Some(proposal) = proposal
            && greatest.is_none_or(|(most, _)| proposal.replicas > most)
        {
            greatest = Some((proposal.replicas, position));
        }
    }
    let unknown = proposals.iter().any(Option::is_none);
    greatest.filter(|(most, _)| !unknown || *most >= replicas)
}

/// The tolerance in each direction: an object's own counts from 1.35 on.
fn tolerance(bounds: &Bounds, settings: &Settings) -> Tolerance {
    let own = |rules: fn(&Behavior) -> &Rules| {
        let behavior = bounds.behavior.as_ref().filter(|_| settings.minor >= 35);
        behavior
            .and_then(|behavior| rules(behavior).tolerance)
            .unwrap_or(settings.tolerance)
    };
    Tolerance {
        up: own(|behavior| &behavior.up),
        down: own(|behavior| &behavior.down),
    }
}
