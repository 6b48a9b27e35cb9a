//! What becomes of a recommendation: stabilization, then the rate that policies allow.

use super::{Memory, Settings};
use crate::scenario::{
    Amount, Autoscaler, ScalingBehavior, ScalingPolicy, ScalingRules, SelectPolicy,
};
use engine::{Duration, Time};

/// The replicas that a recommendation comes down to, from `replicas`; remembers it.
pub(super) fn normalize(
    scaler: &Autoscaler,
    settings: &Settings,
    memory: &mut Memory,
    replicas: u32,
    wanted: u32,
    now: Time,
) -> u32 {
    let Some(behavior) = &scaler.behavior else {
        let window = settings.downscale_stabilization;
        memory.forget(window, now);
        let kept = memory.recommendations.iter().map(|(_, kept)| *kept);
        let stable = kept.fold(wanted, u32::max);
        memory.recommendations.push((now, wanted));
        let most = scaler.replicas_max.min((2 * replicas).max(4));
        return stable.max(scaler.replicas_min).min(most);
    };
    let stable = stabilize(behavior, memory, replicas, wanted, now);
    let window = behavior.up.stabilization.max(behavior.down.stabilization);
    memory.forget(window, now);
    memory.recommendations.push((now, wanted));
    limit(scaler, behavior, memory, replicas, stable, now)
}

/// A change of replicas was written: policies are measured from it.
pub(super) fn remember(
    memory: &mut Memory,
    behavior: &ScalingBehavior,
    from: u32,
    to: u32,
    now: Time,
) {
    let (events, rules) = if to > from {
        (&mut memory.ups, &behavior.up)
    } else {
        (&mut memory.downs, &behavior.down)
    };
    let periods = rules.policies.iter().map(|policy| policy.period);
    let longest = periods.max().unwrap_or(Duration::ZERO);
    events.retain(|(at, _)| *at + longest >= now);
    events.push((now, from.abs_diff(to)));
}

impl Memory {
    /// Forgets recommendations older than `window`.
    fn forget(&mut self, window: Duration, now: Time) {
        self.recommendations.retain(|(at, _)| *at + window >= now);
    }

    /// Recommendations younger than `window`.
    fn younger(&self, window: Duration, now: Time) -> impl Iterator<Item = u32> + '_ {
        let recommendations = self.recommendations.iter();
        let young = recommendations.filter(move |(at, _)| *at + window > now);
        young.map(|(_, replicas)| *replicas)
    }
}

/// Between the least recommendation of the window upwards and the greatest of that downwards.
fn stabilize(
    behavior: &ScalingBehavior,
    memory: &Memory,
    replicas: u32,
    wanted: u32,
    now: Time,
) -> u32 {
    let up = memory.younger(behavior.up.stabilization, now);
    let up = up.fold(wanted, u32::min);
    let down = memory.younger(behavior.down.stabilization, now);
    let down = down.fold(wanted, u32::max);
    replicas.max(up).min(down)
}

/// What policies and bounds leave of a change.
fn limit(
    scaler: &Autoscaler,
    behavior: &ScalingBehavior,
    memory: &Memory,
    replicas: u32,
    stable: u32,
    now: Time,
) -> u32 {
    if stable > replicas {
        let reached = reached(&behavior.up, up, memory, replicas, now);
        let most = match behavior.up.select {
            SelectPolicy::Disabled => None,
            SelectPolicy::Max => reached.max(),
            SelectPolicy::Min => reached.min(),
        };
        stable.min(
            most.unwrap_or(replicas)
                .max(replicas)
                .min(scaler.replicas_max),
        )
    } else if stable < replicas {
        let reached = reached(&behavior.down, down, memory, replicas, now);
        let least = match behavior.down.select {
            SelectPolicy::Disabled => None,
            SelectPolicy::Max => reached.min(),
            SelectPolicy::Min => reached.max(),
        };
        stable.max(
            least
                .unwrap_or(replicas)
                .min(replicas)
                .max(scaler.replicas_min),
        )
    } else {
        stable
    }
}

/// How far each policy reaches from the replicas at the start of its period.
fn reached(
    rules: &ScalingRules,
    reach: fn(u32, Amount) -> u32,
    memory: &Memory,
    replicas: u32,
    now: Time,
) -> impl Iterator<Item = u32> {
    let recent = move |events: &[(Time, u32)], period: Duration| -> u32 {
        let recent = events.iter().filter(|(at, _)| *at + period > now);
        recent.map(|(_, change)| change).sum()
    };
    rules.policies.iter().map(move |policy: &ScalingPolicy| {
        let added = recent(&memory.ups, policy.period);
        let taken = recent(&memory.downs, policy.period);
        reach((replicas + taken).saturating_sub(added), policy.amount)
    })
}

fn up(start: u32, amount: Amount) -> u32 {
    match amount {
        Amount::Count(pods) => start.saturating_add(pods),
        // Rounded up, or a small percentage of few pods would never add one.
        Amount::Percent(percent) => {
            (f64::from(start) * (1.0 + f64::from(percent) / 100.0)).ceil() as u32
        }
    }
}

fn down(start: u32, amount: Amount) -> u32 {
    match amount {
        Amount::Count(pods) => start.saturating_sub(pods),
        Amount::Percent(percent) => (f64::from(start) * (1.0 - f64::from(percent) / 100.0)) as u32,
    }
}
