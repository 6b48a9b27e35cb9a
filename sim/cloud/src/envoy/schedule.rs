//! Earliest deadline first: how Envoy visits hosts of unequal weight.
//!
//! Models: each entry's next turn comes at the present plus one over its weight; the earliest
//! turn is taken, the first that was put in wins a tie, and the weight at the time of the pick
//! sets the next turn. A schedule begins as if a number of picks had been made already, so that
//! workers do not march in step; the arithmetic of doubles and the 1e-13 that Envoy adds to
//! weights for these picks are kept, since they decide about ties.
//! Leaves out: picks ahead for connections that are opened before they are needed.
//! Sources: envoyproxy/envoy source/common/upstream/edf_scheduler.h (since 1.30; before, the
//! picks were made one after the other, which gives the same order of weights).
//! Validated by: sequences worked out by hand, below, and recorded picks of weights 1, 2, 5.

use crate::facts;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// When an entry's next turn comes.
#[derive(Clone, Copy, Debug)]
struct Turn {
    deadline: f64,
    order: u64,
    entry: u32,
}

impl Ord for Turn {
    /// The greatest of a heap is the earliest turn.
    fn cmp(&self, other: &Self) -> Ordering {
        let deadlines = other.deadline.total_cmp(&self.deadline);
        deadlines.then_with(|| other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

/// What Envoy adds to a weight while it makes the first picks, so that multiples of each other
/// do not differ by an error of rounding.
const NUDGE: f64 = 1e-13;

/// A schedule of entries by weight.
#[derive(Clone, Debug)]
pub struct Schedule {
    now: f64,
    next_order: u64,
    turns: BinaryHeap<Turn>,
}

impl Schedule {
    /// A schedule of entries 0.. with these weights, after so many picks.
    ///
    /// # Panics
    /// If there is no entry, or a weight is not above zero.
    pub fn after_picks(weights: &[f64], picks: u32) -> Self {
        assert!(!weights.is_empty(), "a schedule has entries");
        assert!(
            weights.iter().all(|&weight| weight > 0.0),
            "a weight is above zero: {weights:?}"
        );
        let picks = picks % facts::ENVOY_SCHEDULE_PICKS.value;
        let total: f64 = weights
            .iter()
            .fold(0.0, |sum, weight| sum + (weight + NUDGE));
        let mut now = 0.0f64;
        let mut made = 0;
        let mut turns = Vec::with_capacity(weights.len());
        for (index, weight) in weights.iter().enumerate() {
            let weight = weight + NUDGE;
            let mut floor = (weight * f64::from(picks) / total) as u32;
            if floor > 0 && f64::from(floor) / weight >= f64::from(picks) / total {
                floor -= 1;
            }
            now = now.max(f64::from(floor) / weight);
            made += floor;
            turns.push(Turn {
                deadline: f64::from(floor + 1) / weight,
                order: index as u64,
                entry: index as u32,
            });
        }
        let mut schedule = Schedule {
            now,
            next_order: weights.len() as u64,
            turns: BinaryHeap::from(turns),
        };
        for _ in made..picks {
            schedule.pick(|entry| weights[entry as usize]);
        }
        schedule
    }

    /// The entry whose turn it is; `weight` says what its weight is now.
    pub fn pick(&mut self, weight: impl FnOnce(u32) -> f64) -> u32 {
        let mut turn = self.turns.peek_mut().expect("a schedule has entries");
        let entry = turn.entry;
        self.now = turn.deadline;
        turn.deadline = self.now + 1.0 / weight(entry);
        turn.order = self.next_order;
        self.next_order += 1;
        // Puts the changed turn in its place.
        drop::<PeekMut<'_, Turn>>(turn);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sequence(weights: &[f64], picks: u32, count: usize) -> Vec<u32> {
        let mut schedule = Schedule::after_picks(weights, picks);
        (0..count)
            .map(|_| schedule.pick(|entry| weights[entry as usize]))
            .collect()
    }

    #[test]
    fn turns_come_by_weight_and_ties_in_order() {
        // Deadlines: 0 at 1, 2; 1 at 1/2, 1, 3/2, 2; 2 at 1/5, ... Ties go to the one that was
        // put in first: at 1, entry 0 (put in at the start), then 1 (at 1/2), then 2 (at 4/5).
        let expected = [2, 2, 1, 2, 2, 0, 1, 2, 2, 2, 1, 2, 2, 0, 1, 2];
        assert_eq!(sequence(&[1.0, 2.0, 5.0], 0, 16), expected);
    }

    #[test]
    fn first_picks_only_move_the_phase() {
        let weights = [1.0, 2.0, 5.0];
        let all = sequence(&weights, 0, 64);
        for picks in 0..32u32 {
            let begin = picks as usize;
            assert_eq!(
                sequence(&weights, picks, 16),
                all[begin..begin + 16],
                "{picks}"
            );
        }
    }

    #[test]
    fn a_changed_weight_counts_from_the_next_turn_of_its_entry() {
        let mut schedule = Schedule::after_picks(&[1.0, 1.0], 0);
        // Entry 0 gets four times the weight when it is picked at 1: again at 5/4, 6/4, 7/4, 2.
        let weight = |entry| if entry == 0 { 4.0 } else { 1.0 };
        let picks: Vec<u32> = (0..8).map(|_| schedule.pick(weight)).collect();
        assert_eq!(picks, [0, 1, 0, 0, 0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn each_entry_gets_its_share(weights in prop::collection::vec(1u32..20, 2..9), picks: u32) {
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let total: f64 = weights.iter().sum();
            let rounds = 50.0;
            let taken = sequence(&weights, picks, (total * rounds) as usize);
            for (entry, weight) in weights.iter().enumerate() {
                let count = taken.iter().filter(|&&taken| taken as usize == entry).count() as f64;
                prop_assert!((count - weight * rounds).abs() <= 1.0 + 1e-9, "{entry} {count}");
            }
        }
    }
}
