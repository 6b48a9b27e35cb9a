//! The `recent` module: which sources were seen lately, by list.
//!
//! Models: at most so many sources in a list, of which the one that was set longest ago goes
//! first; a check that finds its source and reaps takes away the oldest source too if that one
//! has not been set for as long.
//! Sources: torvalds/linux net/netfilter/xt_recent.c.

use crate::facts;
use engine::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All lists of a kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// Sources by list with when they were set last, longest ago first.
    lists: BTreeMap<String, Vec<(IpAddr, Time)>>,
}

impl Recent {
    /// Whether a source was set within so many seconds.
    pub(super) fn check(&mut self, name: &str, source: IpAddr, seconds: u64, now: Time) -> bool {
        let Some(list) = self.lists.get_mut(name) else {
            return false;
        };
        let within = |set: Time| now.saturating_since(set) <= Duration::from_secs(seconds);
        let Some((_, set)) = list.iter().find(|(known, _)| *known == source).copied() else {
            return false;
        };
        if !within(list[0].1) {
            list.remove(0);
        }
        within(set)
    }

    /// Remembers a source.
    pub(super) fn set(&mut self, name: &str, source: IpAddr, now: Time) {
        let list = self.lists.entry(name.to_owned()).or_default();
        list.retain(|(known, _)| *known != source);
        if list.len() as u64 >= facts::RECENT_SOURCES.value {
            list.remove(0);
        }
        list.push((source, now));
    }

    /// Forgets all but these lists.
    pub(super) fn keep(&mut self, names: &BTreeSet<&str>) {
        self.lists.retain(|name, _| names.contains(name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn the_101st_source_drives_out_the_one_that_was_set_longest_ago() {
        let mut recent = Recent::default();
        for number in 0..100 {
            recent.set("list", source(number), at(0));
        }
        // Setting it again makes it the youngest.
        recent.set("list", source(0), at(1));
        recent.set("list", source(100), at(1));
        let mut check = |number| recent.check("list", source(number), 60, at(2));
        assert_eq!([0, 1, 2, 100].map(&mut check), [true, false, true, true]);
    }

    #[test]
    fn a_source_is_remembered_to_the_last_second() {
        let mut recent = Recent::default();
        recent.set("list", source(1), at(0));
        recent.set("list", source(2), at(5));
        assert!(recent.check("list", source(1), 10, at(10)));
        assert!(!recent.check("other", source(1), 10, at(10)));
        // The check of the second reaps the first; and nothing is left of it.
        assert!(recent.check("list", source(2), 10, at(11)));
        assert!(!recent.check("list", source(1), 1_000, at(11)));
    }
}
