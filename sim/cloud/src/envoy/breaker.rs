//! Circuit breakers: limits of a cluster that all workers share.
//!
//! Models: limits on connections, on requests that wait for one, on active requests and on
//! retries; a budget in place of the last: a percentage of the requests that are active or wait,
//! and always a few. A limit refuses what would go beyond it and queues nothing.
//! Approximated: Envoy's workers may pass a limit by one each, in a race; here they do not.
//! Leaves out: limits on connection pools and per host.
//! Sources: envoyproxy/envoy source/common/upstream/resource_manager_impl.h.
//! Validated by: the tests below and recorded bursts.

use crate::facts;

/// A limited resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    used: u32,
    max: u32,
}

impl Resource {
    /// One that has this much.
    pub fn of(max: u32) -> Self {
        Resource { used: 0, max }
    }

    /// Whether there is some left.
    pub fn has(&self) -> bool {
        self.used < self.max
    }

    /// How much is used.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Takes one, which may be beyond the limit.
    pub fn take(&mut self) {
        self.used += 1;
    }

    /// Gives one back.
    ///
    /// # Panics
    /// If none was taken.
    pub fn give(&mut self) {
        assert!(self.used > 0, "nothing was taken");
        self.used -= 1;
    }
}

/// How many retries may be under way, by the requests that are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Percentage of the requests that are active or wait.
    pub percent: f64,
    /// Always so many.
    pub min: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            percent: facts::ENVOY_RETRY_BUDGET_PERCENT.value,
            min: facts::ENVOY_RETRY_BUDGET_MIN.value,
        }
    }
}

/// A cluster's limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Connections to all hosts.
    pub connections: u32,
    /// Requests that wait for a connection.
    pub pending: u32,
    /// Active requests.
    pub requests: u32,
    /// Retries, unless there is a budget.
    pub retries: u32,
    /// The budget of retries.
    pub budget: Option<Budget>,
}

impl Default for Thresholds {
    /// Envoy's own.
    fn default() -> Self {
        Thresholds {
            connections: facts::ENVOY_CONNECTIONS_MAX.value,
            pending: facts::ENVOY_PENDING_MAX.value,
            requests: facts::ENVOY_REQUESTS_MAX.value,
            retries: facts::ENVOY_RETRIES_MAX.value,
            budget: None,
        }
    }
}

/// What of a cluster's limits is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breakers {
    /// Connections to all hosts.
    pub connections: Resource,
    /// Requests that wait for a connection.
    pub pending: Resource,
    /// Active requests.
    pub requests: Resource,
    retries: Resource,
    budget: Option<Budget>,
}

impl Breakers {
    /// Nothing is used yet.
    pub fn new(thresholds: Thresholds) -> Self {
        Breakers {
            connections: Resource::of(thresholds.connections),
            pending: Resource::of(thresholds.pending),
            requests: Resource::of(thresholds.requests),
            retries: Resource::of(thresholds.retries),
            budget: thresholds.budget,
        }
    }

    /// How many retries may be under way, while so many more requests count than are active.
    fn retries_max(&self, more: u32) -> u32 {
        match self.budget {
            None => self.retries.max,
            Some(budget) => {
                let requests = [self.requests.used(), self.pending.used(), more];
                let active: f64 = requests.map(f64::from).iter().sum();
                ((budget.percent / 100.0 * active) as u32).max(budget.min)
            }
        }
    }

    /// Takes a retry if there is one left. The request that it is for counts for the budget if it
    /// was `answered`: Envoy decides before the stream of the answer ends.
    pub fn try_take_retry(&mut self, answered: bool) -> bool {
        let left = self.retries.used() < self.retries_max(u32::from(answered));
        if left {
            self.retries.take();
        }
        left
    }

    /// Gives a retry back.
    pub fn give_retry(&mut self) {
        self.retries.give();
    }

    /// Retries under way.
    pub fn retries(&self) -> u32 {
        self.retries.used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_refuses_what_goes_beyond() {
        let mut breakers = Breakers::new(Thresholds {
            retries: 2,
            ..Thresholds::default()
        });
        let taken: Vec<bool> = (0..3).map(|_| breakers.try_take_retry(false)).collect();
        assert_eq!(taken, [true, true, false]);
        breakers.give_retry();
        assert!(breakers.try_take_retry(false));
    }

    #[test]
    fn a_budget_follows_the_requests() {
        let thresholds = Thresholds {
            budget: Some(Budget::default()),
            ..Thresholds::default()
        };
        let mut breakers = Breakers::new(thresholds);
        let mut maxima = Vec::new();
        for _ in 0..30 {
            breakers.requests.take();
            maxima.push(breakers.retries_max(0));
        }
        // A fifth, and never below three; what waits counts too.
        assert_eq!(
            [maxima[0], maxima[18], maxima[19], maxima[29]],
            [3, 3, 4, 6]
        );
        (0..5).for_each(|_| breakers.pending.take());
        assert_eq!(breakers.retries_max(0), 7);
    }

    #[test]
    fn what_was_answered_counts_for_its_own_retry() {
        let taken = |percent, answered| {
            let budget = Some(Budget { percent, min: 0 });
            let thresholds = Thresholds {
                budget,
                ..Thresholds::default()
            };
            Breakers::new(thresholds).try_take_retry(answered)
        };
        assert_eq!([taken(100.0, true), taken(60.0, true)], [true, false]);
        assert!(!taken(100.0, false));
    }
}
