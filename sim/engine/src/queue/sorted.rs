//! A sorted array, greatest first: the least is popped from the end.

use crate::order::{Entry, Key};

/// Up to this length, counting the greater keys one by one beats a binary search, because the
/// count has no branch to mispredict.
const COUNT_MAX: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Sorted<E> {
    entries: Vec<Entry<E>>,
}

/// Inserts into an array that is sorted greatest first.
#[inline]
pub(super) fn insert<E: Copy>(entries: &mut Vec<Entry<E>>, entry: Entry<E>) {
    let wide = entry.key.wide();
    let place = if entries.len() <= COUNT_MAX {
        entries
            .iter()
            .map(|other| usize::from(other.key.wide() > wide))
            .sum()
    } else {
        entries.partition_point(|other| other.key.wide() > wide)
    };
    entries.insert(place, entry);
}

impl<E: Copy> Sorted<E> {
    pub(super) fn new() -> Self {
        Sorted {
            entries: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry<E>) {
        insert(&mut self.entries, entry);
    }

    #[inline]
    pub(super) fn peek(&self) -> Key {
        self.entries.last().map_or(Key::MAX, |entry| entry.key)
    }

    #[inline]
    pub(super) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        self.entries.pop_if(|entry| entry.key < limit)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<E>>()
    }

    /// Takes out everything, in no particular order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry<E>> {
        self.entries.drain(..)
    }
}
