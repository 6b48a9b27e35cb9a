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
use crate::scenario::{
    Amount, Autoscaler, ScalingBehavior, ScalingPolicy, ScalingRules, SelectPolicy,
};
use engine::{Duration, Time};
use proposal::{PodSample, Proposal, Tolerance};

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

impl ScalingRules {
    /// What holds upwards where `behavior` says nothing.
    pub fn default_up() -> ScalingRules {
        let period = facts::HPA_POLICY_PERIOD.value;
        let pods = Amount::Count(facts::HPA_SCALE_UP_PODS.value);
        let percent = Amount::Percent(facts::HPA_SCALE_UP_PERCENT.value);
        let policy = |amount| ScalingPolicy { amount, period };
        ScalingRules {
            stabilization: facts::HPA_SCALE_UP_STABILIZATION.value,
            select: SelectPolicy::Max,
            policies: vec![policy(pods), policy(percent)],
            tolerance: None,
        }
    }

    /// What holds downwards where `behavior` says nothing.
    pub fn default_down() -> ScalingRules {
        ScalingRules {
            stabilization: facts::HPA_SCALE_DOWN_STABILIZATION.value,
            select: SelectPolicy::Max,
            policies: vec![ScalingPolicy {
                amount: Amount::Percent(facts::HPA_SCALE_DOWN_PERCENT.value),
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
    scaler: &Autoscaler,
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
    if replicas > scaler.replicas_max {
        decision.rescale = Some((scaler.replicas_max, Reason::AboveMaximum));
    } else if replicas < scaler.replicas_min {
        decision.rescale = Some((scaler.replicas_min, Reason::BelowMinimum));
    } else {
        let tolerance = tolerance(scaler, settings);
        let proposals: Vec<_> = scaler
            .metrics
            .iter()
            .map(|metric| proposal::propose(metric, pods, replicas, now, settings, tolerance))
            .collect();
        let measured = |proposal: &Option<Proposal>| proposal.map(|known| known.measured);
        decision.measured = proposals.iter().map(measured).collect();
        let Some((wanted, metric)) = greatest(&proposals, replicas) else {
            return decision;
        };
        let to = limits::normalize(scaler, settings, memory, replicas, wanted, now);
        let reason = if wanted > replicas {
            Reason::AboveTarget(metric)
        } else {
            Reason::BelowTarget
        };
        decision.rescale = (to != replicas).then_some((to, reason));
    }
    if let (Some((to, _)), Some(behavior)) = (decision.rescale, &scaler.behavior) {
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
fn tolerance(scaler: &Autoscaler, settings: &Settings) -> Tolerance {
    let own = |rules: fn(&ScalingBehavior) -> &ScalingRules| {
        let behavior = scaler.behavior.as_ref().filter(|_| settings.minor >= 35);
        behavior
            .and_then(|behavior| rules(behavior).tolerance)
            .unwrap_or(settings.tolerance)
    };
    Tolerance {
        up: own(|behavior| &behavior.up),
        down: own(|behavior| &behavior.down),
    }
}
