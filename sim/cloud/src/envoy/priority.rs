//! How traffic is split between priorities.
//!
//! Models: availability of a priority, its healthy share stretched by the overprovisioning
//! factor and capped at 100 %, likewise for degraded hosts; the walk that gives each priority its
//! part in integer arithmetic, healthy ones first, the remainder to the first; panic, strictly
//! below the threshold and only while all priorities together cannot carry the whole load; the
//! split by numbers of hosts if all are in panic; and the choice by a hash. For retries, the same
//! without the priorities that were tried.
//! Leaves out: `weighted_priority_health`, which Istio does not set.
//! Sources: envoyproxy/envoy
//! source/extensions/load_balancing_policies/common/load_balancer_impl.cc and
//! source/extensions/retry/priority/previous_priorities. Two rows of Envoy's own tables of the
//! documentation disagree with its code: 36/36/28 where the code gives 37/35/28, and 7/93 where
//! it gives 8/92; here the code counts.
//! Validated by: the tables of the documentation, below, and recorded shares of two priorities.

/// How many hosts of a priority are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub hosts: u32,
    /// Those that are well.
    pub healthy: u32,
    /// Those that are a second choice.
    pub degraded: u32,
    /// Those that do not count yet, because no check has reached them.
    pub excluded: u32,
}

impl Census {
    fn counted(self) -> u32 {
        self.hosts.saturating_sub(self.excluded)
    }

    /// A number of hosts as a percentage of those that count, stretched and capped.
    fn availability(self, hosts: u32, overprovisioning: u32) -> u32 {
        let stretched = u64::from(overprovisioning) * u64::from(hosts);
        let percent = stretched.checked_div(u64::from(self.counted()));
        percent.unwrap_or(0).min(100) as u32
    }

    fn is_below(self, panic_threshold: u32) -> bool {
        let percent = match self.counted() {
            0 => 0.0,
            counted => {
                100.0 * f64::from(self.healthy) / f64::from(counted)
                    + 100.0 * f64::from(self.degraded) / f64::from(counted)
            }
        };
        percent < f64::from(panic_threshold.min(100))
    }
}

/// Which hosts of a priority a pick is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The healthy ones.
    Healthy,
    /// The degraded ones.
    Degraded,
}

/// What one priority gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Percent of the traffic, to its healthy hosts.
    pub healthy: u32,
    /// Percent of the traffic, to its degraded hosts.
    pub degraded: u32,
    /// All hosts are used, whatever their health.
    pub panic: bool,
}

/// What every priority can carry, in percent.
struct Availability {
    healthy: Vec<u32>,
    degraded: Vec<u32>,
}

impl Availability {
    fn of(censuses: &[Census], overprovisioning: u32) -> Self {
        let carry = |hosts: fn(&Census) -> u32| {
            let percents = censuses
                .iter()
                .map(|census| census.availability(hosts(census), overprovisioning));
            percents.collect()
        };
        Availability {
            healthy: carry(|census| census.healthy),
            degraded: carry(|census| census.degraded),
        }
    }

    fn total(&self) -> u32 {
        let sum: u32 = self.healthy.iter().chain(&self.degraded).sum();
        sum.min(100)
    }

    /// Splits 100 % of the traffic, healthy hosts first.
    fn split(&self) -> Vec<Load> {
        let mut loads = vec![Load::default(); self.healthy.len()];
        let total = self.total();
        if total == 0 {
            return loads;
        }
        let mut rest = 100;
        for (load, percent) in loads.iter_mut().zip(&self.healthy) {
            load.healthy = rest.min(percent * 100 / total);
            rest -= load.healthy;
        }
        for (load, percent) in loads.iter_mut().zip(&self.degraded) {
            load.degraded = rest.min(percent * 100 / total);
            rest -= load.degraded;
        }
        let first = |percents: &[u32]| percents.iter().position(|&percent| percent > 0);
        match (first(&self.healthy), first(&self.degraded)) {
            (Some(first), _) => loads[first].healthy += rest,
            (None, Some(first)) => loads[first].degraded += rest,
            (None, None) => unreachable!("somebody is available"),
        }
        loads
    }
}

/// Splits the traffic between priorities; the parts add up to 100 %.
///
/// # Panics
/// If there is no priority.
pub fn split(censuses: &[Census], overprovisioning: u32, panic_threshold: u32) -> Vec<Load> {
    assert!(!censuses.is_empty(), "a cluster has a priority");
    let availability = Availability::of(censuses, overprovisioning);
    let total = availability.total();
    let mut loads = availability.split();
    if panic_threshold == 0 && total == 0 {
        loads[0].healthy = 100;
        return loads;
    }
    for (load, census) in loads.iter_mut().zip(censuses) {
        load.panic = total < 100 && census.is_below(panic_threshold);
    }
    if loads.iter().all(|load| load.panic) {
        split_by_hosts(censuses, &mut loads);
    }
    loads
}

/// The split if all priorities are in panic.
fn split_by_hosts(censuses: &[Census], loads: &mut [Load]) {
    let hosts: u64 = censuses.iter().map(|census| u64::from(census.hosts)).sum();
    let mut rest = 100;
    for (load, census) in loads.iter_mut().zip(censuses) {
        let percent = (100 * u64::from(census.hosts)).checked_div(hosts);
        load.healthy = percent.unwrap_or(0) as u32;
        load.degraded = 0;
        rest -= load.healthy;
    }
    let first = censuses.iter().position(|census| census.hosts > 0);
    loads[first.unwrap_or(0)].healthy += rest;
}

/// The split for a retry: priorities that were tried get nothing, unless nothing else is left,
/// which makes all count again. `None` if nobody is available at all.
pub fn split_without(
    censuses: &[Census],
    overprovisioning: u32,
    tried: &[bool],
) -> Option<Vec<Load>> {
    let whole = Availability::of(censuses, overprovisioning);
    let untried = |percents: &[u32]| -> Vec<u32> {
        let percents = percents.iter().zip(tried);
        percents
            .map(|(&percent, &tried)| if tried { 0 } else { percent })
            .collect()
    };
    let left = Availability {
        healthy: untried(&whole.healthy),
        degraded: untried(&whole.degraded),
    };
    [left, whole]
        .into_iter()
        .find(|availability| availability.total() > 0)
        .map(|availability| availability.split())
}

/// The priority, and which of its hosts, that a request with this hash goes to.
pub fn choose(loads: &[Load], hash: u64) -> (usize, Condition) {
    let sought = (hash % 100) as u32 + 1;
    let mut reached = 0;
    for (priority, load) in loads.iter().enumerate() {
        reached += load.healthy;
        if sought <= reached {
            return (priority, Condition::Healthy);
        }
    }
    for (priority, load) in loads.iter().enumerate() {
        reached += load.degraded;
        if sought <= reached {
            return (priority, Condition::Degraded);
        }
    }
    unreachable!("the parts of all priorities add up to 100 %")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;
    use proptest::prelude::*;

    fn census(healthy: u32, degraded: u32) -> Census {
        Census {
            hosts: 100,
            healthy,
            degraded,
            excluded: 0,
        }
    }

    fn split_by_default(censuses: &[Census]) -> Vec<Load> {
        let overprovisioning = facts::ENVOY_OVERPROVISIONING.value;
        split(
            censuses,
            overprovisioning,
            facts::ENVOY_PANIC_THRESHOLD.value,
        )
    }

    /// Parts in percent of priorities with so many of 100 hosts healthy.
    fn parts(healthy: &[u32]) -> Vec<u32> {
        let censuses: Vec<_> = healthy.iter().map(|&healthy| census(healthy, 0)).collect();
        // Without panic, which the documentation's tables leave aside.
        let loads = split(&censuses, facts::ENVOY_OVERPROVISIONING.value, 0);
        loads.iter().map(|load| load.healthy).collect()
    }

    #[test]
    fn two_priorities_share_as_documented() {
        // docs/root/intro/arch_overview/upstream/load_balancing/priority.rst
        for (healthy, expected) in [
            ([100, 100], [100, 0]),
            ([72, 72], [100, 0]),
            ([71, 71], [99, 1]),
            ([50, 50], [70, 30]),
            ([25, 100], [35, 65]),
            ([25, 25], [50, 50]),
            // The documentation has 7 and 93; the remainder goes to the first.
            ([5, 65], [8, 92]),
        ] {
            assert_eq!(parts(&healthy), expected, "{healthy:?}");
        }
    }

    #[test]
    fn three_priorities_share_as_documented() {
        for (healthy, expected) in [
            ([100, 100, 100], [100, 0, 0]),
            ([72, 72, 100], [100, 0, 0]),
            ([71, 71, 100], [99, 1, 0]),
            ([50, 50, 100], [70, 30, 0]),
            ([25, 100, 100], [35, 65, 0]),
            ([25, 25, 100], [35, 35, 30]),
            // The documentation has 36, 36, 28.
            ([25, 25, 20], [37, 35, 28]),
        ] {
            assert_eq!(parts(&healthy), expected, "{healthy:?}");
        }
    }

    #[test]
    fn degraded_hosts_come_after_the_healthy_ones_of_every_priority() {
        // The example of the comment in load_balancer_impl.cc, given as availability: 10, 20,
        // 10 healthy and 20, 10, 0 degraded, without stretching.
        let censuses = [census(10, 20), census(20, 10), census(10, 0)];
        let loads = split(&censuses, 100, 0);
        let healthy: Vec<u32> = loads.iter().map(|load| load.healthy).collect();
        let degraded: Vec<u32> = loads.iter().map(|load| load.degraded).collect();
        assert_eq!((healthy, degraded), (vec![16, 28, 14], vec![28, 14, 0]));
        assert_eq!(choose(&loads, 57), (2, Condition::Healthy));
        assert_eq!(choose(&loads, 58), (0, Condition::Degraded));
        assert_eq!(choose(&loads, 99), (1, Condition::Degraded));
        assert_eq!(choose(&loads, 100), (0, Condition::Healthy));
    }

    #[test]
    fn panic_is_strictly_below_the_threshold_and_only_if_all_cannot_carry_all() {
        let panics = |censuses: &[Census]| -> Vec<bool> {
            let loads = split_by_default(censuses);
            loads.iter().map(|load| load.panic).collect()
        };
        assert_eq!(panics(&[census(50, 0)]), [false]);
        assert_eq!(panics(&[census(49, 0)]), [true]);
        assert_eq!(panics(&[census(25, 25)]), [false]);
        // The second can carry the rest.
        assert_eq!(panics(&[census(10, 0), census(100, 0)]), [false, false]);
        assert_eq!(panics(&[census(10, 0), census(60, 0)]), [true, false]);
    }

    #[test]
    fn with_all_in_panic_hosts_count() {
        let few = Census {
            hosts: 50,
            healthy: 0,
            ..Census::default()
        };
        let loads = split_by_default(&[census(10, 0), few]);
        let parts: Vec<u32> = loads.iter().map(|load| load.healthy).collect();
        assert_eq!(parts, [67, 33]);
        assert_eq!(split_by_default(&[Census::default()])[0].healthy, 100);
    }

    #[test]
    fn without_panic_nobody_healthy_means_nobody() {
        let loads = split(&[census(0, 0), census(0, 0)], 140, 0);
        assert_eq!(choose(&loads, 99), (0, Condition::Healthy));
        assert!(loads.iter().all(|load| !load.panic));
    }

    #[test]
    fn retries_leave_priorities_that_were_tried() {
        let censuses = [census(100, 0), census(100, 0), census(25, 0)];
        let parts = |tried: [bool; 3]| -> Vec<u32> {
            let loads = split_without(&censuses, 140, &tried).expect("somebody is available");
            loads.iter().map(|load| load.healthy).collect()
        };
        assert_eq!(parts([false; 3]), [100, 0, 0]);
        assert_eq!(parts([true, false, false]), [0, 100, 0]);
        assert_eq!(parts([true, true, false]), [0, 0, 100]);
        assert_eq!(parts([true, true, true]), [100, 0, 0], "all count again");
        assert_eq!(split_without(&[census(0, 0)], 140, &[false]), None);
    }

    proptest! {
        #[test]
        fn parts_add_up(
            hosts in prop::collection::vec((0u32..30, 0u32..30, 0u32..30, 0u32..30), 1..6),
            threshold in 0u32..=100,
            hash: u64,
        ) {
            let censuses: Vec<Census> = hosts
                .iter()
                .map(|&(healthy, degraded, failed, excluded)| Census {
                    hosts: healthy + degraded + failed + excluded,
                    healthy,
                    degraded,
                    excluded,
                })
                .collect();
            let loads = split(&censuses, facts::ENVOY_OVERPROVISIONING.value, threshold);
            let total: u32 = loads.iter().map(|load| load.healthy + load.degraded).sum();
            prop_assert_eq!(total, 100);
            prop_assert!(choose(&loads, hash).0 < censuses.len());
        }
    }
}
