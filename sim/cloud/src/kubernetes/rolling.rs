//! Deployments: which of their ReplicaSets grow and shrink.
//!
//! Models: one look of the Deployment controller: rolling updates with surge and unavailable
//! pods, the clean-up of old pods that are not available, Recreate, a change of the replica
//! count in proportion while several ReplicaSets have pods, and progress with its deadline.
//! A look takes one kind of step: it scales the new ReplicaSet, else the old ones.
//! Leaves out: pausing, collision of names, the deletion of old ReplicaSets without pods.
//! Sources: kubernetes/kubernetes pkg/controller/deployment (rolling.go, recreate.go,
//! sync.go, progress.go) and its util package.
//! Validated by: the invariants of every rollout up to 100 replicas, and the first steps of
//! rollouts recorded of kube-controller-manager 1.36.2, both below.

use super::amount::Amount;
use engine::{Duration, Time};

/// How many pods more and fewer than wanted there may be during a rolling update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pods beyond the wanted ones.
    pub surge: u32,
    /// Wanted pods that need not be available.
    pub unavailable: u32,
}

impl Limits {
    /// The limits at so many replicas: surge rounds up, unavailable down, and where both come
    /// out as none one pod may be unavailable, for nothing would ever move otherwise.
    pub fn resolve(surge: Amount, unavailable: Amount, replicas: u32) -> Limits {
        let surge = surge.rounded_up(replicas);
        let unavailable = match unavailable.rounded_down(replicas) {
            0 if surge == 0 => 1,
            unavailable => unavailable.min(replicas),
        };
        Limits { surge, unavailable }
    }
}

/// A ReplicaSet of a Deployment, as the Deployment controller sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Replicas it is asked to have.
    pub wanted: u32,
    /// Its pods that are available.
    pub available: u32,
    /// Most pods the Deployment could have when this was last scaled: replicas and surge.
    pub most: u32,
}

/// What a look at a rolling update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// The new ReplicaSet is asked for so many.
    New(u32),
    /// The old ones are asked for so many, oldest first.
    Old(Vec<u32>),
}

/// One look at a rolling update; `old` are the other ReplicaSets, oldest first.
pub fn rolling_step(replicas: u32, limits: Limits, old: &[Revision], new: Revision) -> Step {
    let wanted = new_wanted(replicas, limits, old, new.wanted);
    if wanted != new.wanted {
        return Step::New(wanted);
    }
    let scaled = old_wanted(replicas, limits, old, new);
    let unchanged = scaled.iter().zip(old).all(|(&to, from)| to == from.wanted);
    if unchanged {
        Step::Rest
    } else {
        Step::Old(scaled)
    }
}

/// What the new ReplicaSet is asked for: as many as the surge leaves room for.
pub fn new_wanted(replicas: u32, limits: Limits, old: &[Revision], new: u32) -> u32 {
    if new >= replicas {
        return replicas;
    }
    let present = new + old.iter().map(|revision| revision.wanted).sum::<u32>();
    let room = replicas
        .saturating_add(limits.surge)
        .saturating_sub(present);
    new + room.min(replicas - new)
}

/// What the old ones are asked for: first pods that are not available go, then as many as
/// are available beyond those that have to be.
fn old_wanted(replicas: u32, limits: Limits, old: &[Revision], new: Revision) -> Vec<u32> {
    let mut wanted: Vec<u32> = old.iter().map(|revision| revision.wanted).collect();
    let least = replicas.saturating_sub(limits.unavailable);
    let present = new.wanted + wanted.iter().sum::<u32>();
    let new_unavailable = new.wanted.saturating_sub(new.available);
    let mut room = present.saturating_sub(least.saturating_add(new_unavailable));
    if room == 0 {
        return wanted;
    }
    for (wanted, revision) in wanted.iter_mut().zip(old) {
        let idle = wanted.saturating_sub(revision.available).min(room);
        *wanted -= idle;
        room -= idle;
    }
    let available = new.available + old.iter().map(|revision| revision.available).sum::<u32>();
    let mut spare = available.saturating_sub(least);
    for wanted in &mut wanted {
        let gone = spare.min(*wanted);
        *wanted -= gone;
        spare -= gone;
    }
    wanted
}

/// One look at a Deployment of strategy Recreate: `present` are the pods of old ReplicaSets
/// that still exist, those that are stopping among them.
pub fn recreate_step(replicas: u32, old: &[Revision], present: u32, new: u32) -> Step {
    if old.iter().any(|revision| revision.wanted > 0) {
        return Step::Old(vec![0; old.len()]);
    }
    if present > 0 || new == replicas {
        return Step::Rest;
    }
    Step::New(replicas)
}

/// What every ReplicaSet is asked for when the replica count of a Deployment has changed, the
/// new one last, and `limits` are those at the changed count. A rollout that is under way
/// keeps its proportions; leftovers go to the largest.
pub fn proportional(replicas: u32, limits: Limits, revisions: &[Revision]) -> Vec<u32> {
    let mut wanted: Vec<u32> = revisions.iter().map(|revision| revision.wanted).collect();
    let active: Vec<usize> = (0..wanted.len())
        .filter(|&index| wanted[index] > 0)
        .collect();
    let Some(new) = wanted.len().checked_sub(1) else {
        return wanted;
    };
    if active.len() <= 1 {
        wanted[active.first().copied().unwrap_or(new)] = replicas;
        return wanted;
    }
    let is_saturated = revisions[new].wanted == replicas && revisions[new].available == replicas;
    if is_saturated {
        wanted[..new].fill(0);
        return wanted;
    }
    let allowed = match replicas {
        0 => 0,
        _ => i64::from(replicas) + i64::from(limits.surge),
    };
    let missing = allowed - wanted.iter().map(|&count| i64::from(count)).sum::<i64>();
    let mut order = active;
    // Growth favours the newer of two equals, shrinking the older.
    order.sort_by_key(|&index| {
        let age = if missing > 0 {
            wanted.len() - index
        } else {
            index
        };
        (std::cmp::Reverse(wanted[index]), age)
    });
    let mut shared = 0;
    for &index in &order {
        let part = fraction(replicas, limits, revisions[index]);
        let left = missing - shared;
        let part = if missing > 0 {
            part.min(left)
        } else {
            part.max(left)
        };
        shared += part;
        wanted[index] = add(wanted[index], part);
    }
    let largest = order[0];
    wanted[largest] = add(wanted[largest], missing - shared);
    wanted
}

/// How many pods a ReplicaSet gains or loses to stay the same part of its Deployment.
fn fraction(replicas: u32, limits: Limits, revision: Revision) -> i64 {
    let wanted = i64::from(revision.wanted);
    if replicas == 0 {
        return -wanted;
    }
    let most = f64::from(replicas) + f64::from(limits.surge);
    let before = f64::from(revision.most.max(1));
    (f64::from(revision.wanted) * most / before).round() as i64 - wanted
}

fn add(count: u32, change: i64) -> u32 {
    u32::try_from((i64::from(count) + change).max(0)).expect("counts of pods fit 32 bits")
}

/// What the status of a Deployment says, as far as progress depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Pods of all ReplicaSets.
    pub pods: u32,
    /// Pods of the new one.
    pub updated: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that are available.
    pub available: u32,
}

/// The condition `Progressing` of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Under way, with the last step forward at this time.
    Since(Time),
    /// Done.
    Complete,
    /// Nothing has moved for the deadline; nothing is rolled back.
    DeadlineExceeded,
}

impl Progress {
    /// The condition after a look: `before` and `after` are the statuses around it.
    pub fn after(
        self,
        before: Status,
        after: Status,
        replicas: u32,
        deadline: Duration,
        now: Time,
    ) -> Progress {
        let complete =
            after.updated == replicas && after.pods == replicas && after.available == replicas;
        if complete {
            return Progress::Complete;
        }
        let old = |status: Status| status.pods.saturating_sub(status.updated);
        let moved = after.updated > before.updated
            || old(after) < old(before)
            || after.ready > before.ready
            || after.available > before.available;
        match self {
            _ if moved => Progress::Since(now),
            Progress::Since(last) if now.saturating_since(last) > deadline => {
                Progress::DeadlineExceeded
            }
            // A finished rollout whose pods come and go does not fail.
            unchanged => unchanged,
        }
    }
}

/// When a pod that is ready since then becomes available, if it stays ready.
pub fn available_at(ready_since: Time, ready_min: Duration) -> Time {
    ready_since.saturating_add(ready_min)
}

#[cfg(test)]
mod tests;
