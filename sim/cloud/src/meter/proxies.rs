//! How far proxies are behind what the API server holds, and for how much of their time.

use super::MeasurePlan;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// What one proxy came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyCounts {
    /// For how long it acted on what it was told.
    pub(crate) acted: Duration,
    /// Of this, while something else held that concerned it.
    pub(crate) behind: Duration,
    /// Twice the integral over time of its lag, in square nanoseconds: exact.
    pub(crate) lag_twice_ns2: u128,
    /// Greatest lag.
    pub(crate) lag_max: Duration,
    /// How often it took in something that concerned it.
    pub(crate) updates: u64,
}

#[derive(Debug, Default)]
struct Account {
    counts: ProxyCounts,
    /// Until when its time is counted, while it acts.
    counted_until: Option<Time>,
}

/// The proxies of a cluster, by their numbers.
#[derive(Debug, Default)]
pub(super) struct ProxyMeter {
    accounts: BTreeMap<u32, Account>,
}

impl ProxyMeter {
    /// A proxy acts from now on.
    pub(super) fn acts(&mut self, now: Time, proxy: u32) {
        let account = self.accounts.entry(proxy).or_default();
        account.counted_until.get_or_insert(now);
    }

    /// Counts the time of a proxy until now, in which it has been behind since an instant, or
    /// has not been.
    pub(super) fn acted(
        &mut self,
        plan: &MeasurePlan,
        now: Time,
        proxy: u32,
        behind_since: Option<Time>,
    ) {
        let Some(account) = self.accounts.get_mut(&proxy) else {
            return;
        };
        let Some(counted_until) = &mut account.counted_until else {
            return;
        };
        let from = std::mem::replace(counted_until, now).max(plan.from);
        let counts = &mut account.counts;
        counts.acted += now.saturating_since(from);
        let Some(since) = behind_since.filter(|_| now > from) else {
            return;
        };
        let from = from.max(since);
        counts.behind += now.saturating_since(from);
        let square = |at: Time| u128::from(at.saturating_since(since).as_nanos()).pow(2);
        counts.lag_twice_ns2 += square(now) - square(from);
        counts.lag_max = counts.lag_max.max(now.saturating_since(since));
    }

    /// A proxy takes in something that concerns it.
    pub(super) fn took_in(&mut self, plan: &MeasurePlan, now: Time, proxy: u32) {
        if now >= plan.from {
            self.accounts.entry(proxy).or_default().counts.updates += 1;
        }
    }

    /// A proxy acts no more.
    pub(super) fn ends(&mut self, proxy: u32) {
        if let Some(account) = self.accounts.get_mut(&proxy) {
            account.counted_until = None;
        }
    }

    /// Those that act, by number.
    pub(super) fn acting(&self) -> Vec<u32> {
        let acting = self.accounts.iter();
        let acting = acting.filter(|(_, account)| account.counted_until.is_some());
        acting.map(|(proxy, _)| *proxy).collect()
    }

    /// What each came to, by number; those that never acted in the measured time are left out.
    pub(super) fn take(&mut self) -> Vec<(u32, ProxyCounts)> {
        let accounts = std::mem::take(&mut self.accounts).into_iter();
        let counts = accounts.map(|(proxy, account)| (proxy, account.counts));
        counts
            .filter(|(_, counts)| counts.acted > Duration::ZERO)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Seed;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn time_counts_once_and_only_after_the_warm_up() {
        let plan = MeasurePlan {
            seed: Seed::default(),
            from: at(10),
            until: at(100),
            step: Duration::from_secs(1),
            quiet: Duration::from_secs(1),
        };
        let mut meter = ProxyMeter::default();
        meter.acts(at(0), 7);
        // Behind from 4 s to 14 s: the last four of these seconds count, with a lag from 6 s on.
        meter.acted(&plan, at(14), 7, Some(at(4)));
        meter.took_in(&plan, at(14), 7);
        // One that was written at 13 s is taken in at 16 s: from 14 s on nothing counts twice.
        meter.acted(&plan, at(16), 7, Some(at(13)));
        meter.acted(&plan, at(30), 7, None);
        meter.ends(7);
        meter.acted(&plan, at(50), 7, Some(at(31)));
        let second = 1_000_000_000u128;
        let expected = ProxyCounts {
            acted: Duration::from_secs(20),
            behind: Duration::from_secs(6),
            lag_twice_ns2: (100 - 36 + 9 - 1) * second * second,
            lag_max: Duration::from_secs(10),
            updates: 1,
        };
        assert_eq!(meter.take(), [(7, expected)]);
    }
}
