//! The standard library's binary heap, as a reference for order and speed.

use core::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::order::{Entry, Key};

#[derive(Clone, Debug)]
pub(crate) struct Standard<E> {
    heap: BinaryHeap<Least<E>>,
}

/// An entry whose order is reversed, because the standard heap gives out the greatest.
#[derive(Clone, Debug)]
struct Least<E>(Entry<E>);

impl<E> PartialEq for Least<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl<E> Eq for Least<E> {}

impl<E> PartialOrd for Least<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Least<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.key.cmp(&self.0.key)
    }
}

impl<E: Copy> Standard<E> {
    pub(super) fn new() -> Self {
        Standard {
            heap: BinaryHeap::new(),
        }
    }

    pub(super) fn push(&mut self, entry: Entry<E>) {
        self.heap.push(Least(entry));
    }

    pub(super) fn peek(&self) -> Key {
        self.heap.peek().map_or(Key::MAX, |least| least.0.key)
    }

    pub(super) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        if self.peek() >= limit {
            return None;
        }
        self.heap.pop().map(|least| least.0)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Entry<E>>()
    }
}
