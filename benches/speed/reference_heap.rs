//! Pending sets as one codes them by hand: the references of the `hold` figures.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// 24 bytes, as the engine's entries of an 8-byte event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    pub time: u64,
    pub order: u64,
    pub event: u64,
}

impl Pending {
    fn key(&self) -> u128 {
        u128::from(self.time) << 64 | u128::from(self.order)
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    /// Reversed: the standard heap gives out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.order).cmp(&(self.time, self.order))
    }
}

pub trait PendingSet {
    fn push(&mut self, pending: Pending);
    fn pop(&mut self) -> Pending;
}

impl PendingSet for BinaryHeap<Pending> {
    fn push(&mut self, pending: Pending) {
        BinaryHeap::push(self, pending);
    }

    fn pop(&mut self) -> Pending {
        BinaryHeap::pop(self).expect("a hold never empties the set")
    }
}

/// A 4-ary heap whose least child is chosen without branches.
#[derive(Default)]
pub struct FourAry(Vec<Pending>);

impl PendingSet for FourAry {
    fn push(&mut self, pending: Pending) {
        let mut hole = self.0.len();
        self.0.push(pending);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if self.0[parent].key() <= pending.key() {
                break;
            }
            self.0[hole] = self.0[parent];
            hole = parent;
        }
        self.0[hole] = pending;
    }

    fn pop(&mut self) -> Pending {
        let last = self.0.pop().expect("a hold never empties the set");
        let Some(&first) = self.0.first() else {
            return last;
        };
        let heap = self.0.as_mut_slice();
        let mut hole = 0;
        loop {
            let child = 4 * hole + 1;
            let least = match heap.get(child..child + 4) {
                Some(four) => child + least_of_four(four),
                None => match (child..heap.len()).min_by_key(|&index| heap[index].key()) {
                    Some(index) => index,
                    None => break,
                },
            };
            if heap[least].key() >= last.key() {
                break;
            }
            heap[hole] = heap[least];
            hole = least;
        }
        heap[hole] = last;
        first
    }
}

#[inline]
fn least_of_four(four: &[Pending]) -> usize {
    let left = usize::from(four[1].key() < four[0].key());
    let right = 2 + usize::from(four[3].key() < four[2].key());
    left + usize::from(four[right].key() < four[left].key()) * (right - left)
}
