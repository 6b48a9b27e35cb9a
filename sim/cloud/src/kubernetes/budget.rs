//! PodDisruptionBudgets: how many pods may be evicted, and which.
//!
//! Models: the disruption controller's count (percentages round up on both sides), and what
//! the eviction subresource makes of it: a pod that serves nobody is not counted, a pod under
//! two budgets cannot be evicted, an eviction uses up the budget until the controller has
//! counted again, and its pod is not counted as healthy for two minutes.
//! Leaves out: scales of custom resources; at most 2,000 pods under eviction per budget.
//! Sources: kubernetes/kubernetes pkg/controller/disruption, pkg/registry/core/pod/storage
//! (eviction.go).
//! Validated by: 163 budgets recorded of kube-controller-manager 1.36.2, below.

use super::amount::Amount;

/// How many pods a budget asks to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// At least so many are healthy.
    MinAvailable(Amount),
    /// At most so many are not.
    MaxUnavailable(Amount),
}

/// What may be done to pods that are not ready (`unhealthyPodEvictionPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unhealthy {
    /// They may go if enough others are healthy.
    #[default]
    IfHealthyBudget,
    /// They may always go.
    AlwaysAllow,
}

/// A budget's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Pods that the controllers of its pods want.
    pub expected: u32,
    /// Pods that have to be healthy.
    pub desired: u32,
    /// Pods that are ready, not stopping, and not just evicted.
    pub healthy: u32,
    /// How many may be evicted now.
    pub allowed: u32,
}

/// The disruption controller's count.
pub fn count(demand: Demand, expected: u32, healthy: u32) -> Status {
    let desired = match demand {
        Demand::MinAvailable(amount) => amount.rounded_up(expected),
        Demand::MaxUnavailable(amount) => expected.saturating_sub(amount.rounded_up(expected)),
    };
    let allowed = match expected {
        0 => 0,
        _ => healthy.saturating_sub(desired),
    };
    Status {
        expected,
        desired,
        healthy,
        allowed,
    }
}

/// A pod that is to be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evictee {
    /// Not started, finished, or stopping already: of no use to any budget.
    Idle,
    /// Started and not ready.
    NotReady,
    /// Ready.
    Ready,
}

/// The answer to an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The pod is deleted, and the budget has one less until it is counted again.
    Counted,
    /// The pod is deleted; no budget is touched.
    Free,
    /// It would violate the budget: try again (429).
    TooManyRequests,
    /// More than one budget covers the pod, which is an error (500).
    SeveralBudgets,
}

/// Whether a pod may be evicted under the budgets that cover it.
pub fn evict(pod: Evictee, budgets: &[(Status, Unhealthy)]) -> Answer {
    if pod == Evictee::Idle {
        return Answer::Free;
    }
    let (status, unhealthy) = match budgets {
        [] => return Answer::Free,
        [only] => *only,
        _ => return Answer::SeveralBudgets,
    };
    if pod == Evictee::NotReady {
        let enough = status.desired > 0 && status.healthy >= status.desired;
        if enough || unhealthy == Unhealthy::AlwaysAllow {
            return Answer::Free;
        }
    }
    match status.allowed {
        0 => Answer::TooManyRequests,
        _ => Answer::Counted,
    }
}

#[cfg(test)]
mod tests;
