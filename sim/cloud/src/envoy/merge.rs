//! When workers hear of changed health: the merge window.
//!
//! Models: the main thread knows at once that a host failed a check or was ejected; workers
//! hear of it at once only if the last update of that priority lies more than a window back.
//! Otherwise the change starts a timer of a whole window, or joins the one that runs, and
//! workers get the state of the moment at which it fires. An update that adds or removes hosts
//! is delivered at once, with all that waits. A window of zero merges nothing. So a host that is
//! ejected within a second of its return fails for a second more, and of many that are ejected
//! together only the first goes at once.
//! Leaves out: nothing of the rule; what an update holds is the caller's.
//! Sources: envoyproxy/envoy source/common/upstream/cluster_manager_impl.cc, scheduleUpdate and
//! applyUpdates. Istio does not set the window.
//! Validated by: sequences worked out by hand, below, and what a running Envoy did with windows
//! of 0, 1 and 3 s.

use engine::{Duration, Time};

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Health, weights or metadata of hosts that stay.
    Merged,
    /// Hosts were added or removed.
    Membership,
}

/// When workers hear of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Now,
    /// When the timer fires that starts now.
    At(Time),
    /// When the timer fires that runs already.
    Waits,
}

/// The updates of one priority of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeWindow {
    window: Duration,
    /// When workers were last told; `None` before the first time.
    updated: Option<Time>,
    timer: Option<Time>,
}

impl MergeWindow {
    /// Nothing has changed yet.
    pub fn new(window: Duration) -> Self {
        MergeWindow {
            window,
            updated: None,
            timer: None,
        }
    }

    /// Something has changed.
    pub fn change(&mut self, change: Change, now: Time) -> Delivery {
        if self.window.is_zero() {
            return Delivery::Now;
        }
        // Envoy compares whole milliseconds.
        let age = |updated: Time| now.saturating_since(updated).as_nanos() / 1_000_000;
        let window = self.window.as_nanos() / 1_000_000;
        let is_over = self.updated.is_none_or(|updated| age(updated) > window);
        if is_over || change == Change::Membership {
            self.updated = Some(now);
            self.timer = None;
            return Delivery::Now;
        }
        match self.timer {
            Some(_) => Delivery::Waits,
            None => {
                let at = now.saturating_add(self.window);
                self.timer = Some(at);
                Delivery::At(at)
            }
        }
    }

    /// The timer set for `now` fires: whether it is still in force and workers are told.
    pub fn fire(&mut self, now: Time) -> bool {
        let fires = self.timer == Some(now);
        if fires {
            self.timer = None;
            self.updated = Some(now);
        }
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn window(milliseconds: u64) -> MergeWindow {
        MergeWindow::new(Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_second_of_two_failures_waits_for_a_whole_window() {
        // As recorded: at 5.0 and 5.3 s; the second arrives 1.0 s after it happened.
        let mut updates = window(1_000);
        assert_eq!(updates.change(Change::Merged, at(5_000)), Delivery::Now);
        assert_eq!(
            updates.change(Change::Merged, at(5_300)),
            Delivery::At(at(6_300))
        );
        assert_eq!(updates.change(Change::Merged, at(5_900)), Delivery::Waits);
        assert!(updates.fire(at(6_300)));
        assert!(!updates.fire(at(6_300)), "it fires once");
        // The window counts from the delivery.
        assert_eq!(
            updates.change(Change::Merged, at(7_300)),
            Delivery::At(at(8_300))
        );
        assert!(updates.fire(at(8_300)));
        assert_eq!(updates.change(Change::Merged, at(9_301)), Delivery::Now);
    }

    #[test]
    fn a_change_of_members_takes_all_with_it() {
        let mut updates = window(1_000);
        updates.change(Change::Merged, at(0));
        assert_eq!(
            updates.change(Change::Merged, at(100)),
            Delivery::At(at(1_100))
        );
        assert_eq!(updates.change(Change::Membership, at(200)), Delivery::Now);
        assert!(!updates.fire(at(1_100)), "the timer was called off");
        assert_eq!(
            updates.change(Change::Merged, at(1_150)),
            Delivery::At(at(2_150))
        );
    }

    #[test]
    fn without_a_window_nothing_waits() {
        let mut updates = window(0);
        for time in [0, 0, 1, 1] {
            assert_eq!(updates.change(Change::Merged, at(time)), Delivery::Now);
        }
    }
}
