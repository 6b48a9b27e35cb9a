//! ReplicaSets: which of their pods go first when there are too many.
//!
//! Models: the order of the ReplicaSet controller: pods that serve nobody first, then cheap
//! ones, then those whose node holds many of the kind, then those ready for a short time by
//! powers of two, then those restarted often, then young ones by powers of two.
//! Approximated: what Kubernetes leaves to chance (equal instants) is decided like what it
//! decides by UID, by a random number that the pod keeps.
//! Sources: kubernetes/kubernetes pkg/controller/controller_utils.go (ActivePodsWithRanks)
//! and pkg/controller/replicaset.
//! Validated by: the victims recorded of kube-controller-manager 1.36.2, below.

use engine::{Duration, Time};
use std::cmp::{Ordering, Reverse};

/// A pod, as the ReplicaSet controller compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Whether it has a node.
    pub assigned: bool,
    /// Whether its containers have started, as far as the API knows.
    pub running: bool,
    /// Since when it is ready, if it is.
    pub ready_since: Option<Time>,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: i32,
    /// How many active pods of all ReplicaSets of the same owner are on its node, itself
    /// among them; zero for ReplicaSets without an owner, whose pods are not compared so.
    pub colocated: u32,
    /// Most restarts of one of its containers.
    pub restarts: u32,
    /// When it was created.
    pub created: Time,
    /// What decides between equals: smaller goes first.
    pub uid: u128,
}

/// Which of two pods goes first, if Kubernetes' rules decide it at all.
pub fn precedence(one: &Candidate, other: &Candidate, now: Time) -> Ordering {
    let standing = |pod: &Candidate| {
        (
            pod.assigned,
            pod.running,
            pod.ready_since.is_some(),
            pod.deletion_cost,
            Reverse(pod.colocated),
        )
    };
    standing(one)
        .cmp(&standing(other))
        .then_with(|| match (one.ready_since, other.ready_since) {
            (Some(first), Some(second)) => by_age(first, second, one, other, now),
            _ => Ordering::Equal,
        })
        .then_with(|| other.restarts.cmp(&one.restarts))
        .then_with(|| by_age(one.created, other.created, one, other, now))
}

/// The younger goes first, of ages that differ by a power of two; the UID decides between
/// different ages of the same power, and nothing between equal ones.
fn by_age(first: Time, second: Time, one: &Candidate, other: &Candidate, now: Time) -> Ordering {
    if first == second {
        return Ordering::Equal;
    }
    let magnitude = |at: Time| magnitude(now.saturating_since(at));
    magnitude(first)
        .cmp(&magnitude(second))
        .then_with(|| one.uid.cmp(&other.uid))
}

/// The power of two below an age in nanoseconds; ages of nothing come before all.
fn magnitude(age: Duration) -> Option<u32> {
    age.as_nanos().checked_ilog2()
}

/// The pods in the order in which they go; their keys are whatever the caller knows them by.
pub fn order<K: Copy>(pods: &mut [(K, Candidate)], now: Time) {
    pods.sort_by(|(_, one), (_, other)| {
        precedence(one, other, now).then_with(|| one.uid.cmp(&other.uid))
    });
}

#[cfg(test)]
mod tests;
