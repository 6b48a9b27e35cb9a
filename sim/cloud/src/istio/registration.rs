//! Machines that register themselves, and how long istiod remembers those that left.
//!
//! Models: the entry that a machine's first stream creates from its group, its name and labels;
//! which istiod an entry belongs to when streams end and begin in any order; its removal 10 s
//! after the end of the last stream, unless the machine is back; the sweep every 100 s that
//! finds what was left behind, also by an istiod that died, after one and a half ages of a
//! stream; the limit of 20 removals per second.
//! Approximated: writes of an entry succeed at once; istiod tries a conflicting one again within
//! some milliseconds.
//! Leaves out: the check of identities, which needs a machine that lies.
//! Sources: istio/istio pilot/pkg/autoregistration/controller.go, pilot/pkg/features/pilot.go.
//! Validated by: traces worked out by hand, below.

use crate::facts;
use crate::kubernetes::bucket::Bucket;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// The name of the entry that a machine creates.
pub fn entry_name(group: &str, address: &str, network: Option<&str>) -> String {
    let mut name = format!("{group}-{}", address.replace(':', "-"));
    if let Some(network) = network {
        name = format!("{name}-{network}");
    }
    let surplus = name.len().saturating_sub(253);
    name[surplus..].to_owned()
}

/// The labels of such an entry: the machine's own before the group's before its template's.
pub fn entry_labels(
    template: &BTreeMap<String, String>,
    group: &BTreeMap<String, String>,
    machine: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let all = template.iter().chain(group).chain(machine);
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What an entry says about its machine's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The istiod that it belongs to, by a number of the caller's own.
    pub istiod: u32,
    /// When the stream in force began, if there is one.
    pub connected: Option<Time>,
    /// When the last one ended, if none is in force.
    pub disconnected: Option<Time>,
}

impl Entry {
    /// The entry that a first stream creates.
    pub fn create(istiod: u32, connected: Time) -> Self {
        Entry {
            istiod,
            connected: Some(connected),
            disconnected: None,
        }
    }

    /// A stream has begun at one of the istiods. Returns whether the entry is written.
    pub fn connect(&mut self, istiod: u32, at: Time) -> bool {
        let is_past = self.disconnected.is_some_and(|gone| at < gone)
            || self.connected.is_some_and(|newer| at < newer);
        let is_known = self.istiod == istiod && self.connected.is_some_and(|it| at <= it);
        if is_past || is_known {
            return false;
        }
        *self = Entry::create(istiod, at);
        true
    }

    /// A stream that had begun at `began` has ended. Returns whether the entry is written, so
    /// that its removal is looked at after the grace.
    pub fn disconnect(&mut self, istiod: u32, began: Time, at: Time) -> bool {
        let is_back = self
            .connected
            .is_some_and(|newer| newer > began || at < newer);
        if is_back || self.istiod != istiod {
            return false;
        }
        self.connected = None;
        self.disconnected = Some(at);
        true
    }

    /// Whether it is to be removed now.
    pub fn is_forgotten(&self, now: Time, stream_age: Duration) -> bool {
        match (self.connected, self.disconnected) {
            (Some(connected), _) => {
                now.since(connected) > stream_age.mul_f64(facts::WORKLOAD_ENTRY_AGES.value)
            }
            (None, Some(gone)) => now.since(gone) >= facts::WORKLOAD_ENTRY_GRACE.value,
            (None, None) => false,
        }
    }
}

/// From one sweep over all entries to the next.
pub fn sweep_period() -> Duration {
    facts::WORKLOAD_ENTRY_GRACE.value * u64::from(facts::WORKLOAD_ENTRY_SWEEP.value)
}

/// The bucket that removals wait for.
pub fn removals() -> Bucket {
    Bucket::of_rate(f64::from(facts::WORKLOAD_ENTRY_CLEANUP_RATE.value), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    const AGE: Duration = Duration::from_secs(1800);

    #[test]
    fn entries_are_named_by_group_address_and_network() {
        assert_eq!(entry_name("db", "10.0.0.7", None), "db-10.0.0.7");
        assert_eq!(entry_name("db", "fd00::7", Some("west")), "db-fd00--7-west");
        let long = entry_name(&"g".repeat(300), "10.0.0.7", None);
        assert_eq!((long.len(), &long[250..]), (253, "0.7"));
    }

    #[test]
    fn a_machines_own_labels_come_first() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        let merged = entry_labels(
            &labels(&[("app", "a"), ("tier", "a"), ("env", "a")]),
            &labels(&[("tier", "b"), ("env", "b")]),
            &labels(&[("env", "c")]),
        );
        assert_eq!(merged, labels(&[("app", "a"), ("tier", "b"), ("env", "c")]));
    }

    #[test]
    fn a_machine_that_is_back_in_time_keeps_its_entry() {
        let mut entry = Entry::create(1, at(0));
        assert!(entry.disconnect(1, at(0), at(100)));
        assert!(!entry.is_forgotten(at(109), AGE));
        assert!(entry.is_forgotten(at(110), AGE));
        assert!(entry.connect(2, at(105)));
        assert!(!entry.is_forgotten(at(110), AGE));
    }

    #[test]
    fn an_end_that_is_told_late_changes_nothing() {
        // The machine went from istiod 1 to istiod 2 before istiod 1 saw it leave.
        let mut entry = Entry::create(1, at(0));
        assert!(entry.connect(2, at(50)));
        assert!(!entry.disconnect(1, at(0), at(60)));
        assert_eq!(entry, Entry::create(2, at(50)));
        // A beginning that is told late neither.
        assert!(entry.disconnect(2, at(50), at(80)));
        assert!(!entry.connect(2, at(70)));
        assert_eq!(entry.connected, None);
    }

    #[test]
    fn an_entry_whose_istiod_died_is_swept_after_45_minutes() {
        let entry = Entry::create(1, at(0));
        assert!(!entry.is_forgotten(at(2700), AGE));
        assert!(entry.is_forgotten(at(2701), AGE));
        assert_eq!(sweep_period(), Duration::from_secs(100));
    }

    #[test]
    fn removals_come_at_twenty_a_second() {
        let mut removals = removals();
        let waits = (0..41).map(|_| removals.take(at(9)));
        assert_eq!(waits.max(), Some(Duration::from_secs(2)));
    }
}
