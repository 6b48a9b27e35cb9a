//! A radix heap: an entry waits in the bucket of the highest bit in which its time differs from
//! the pivot, the least time shown so far. When the entries at the pivot run out, the lowest
//! bucket is spread over the lower ones around its own least time, so that each entry moves at
//! most once per bit.
//!
//! Source: R. K. Ahuja, K. Mehlhorn, J. B. Orlin and R. E. Tarjan, "Faster algorithms for the
//! shortest path problem", Journal of the ACM 37 (1990). Here with a small heap for everything at
//! or before the pivot, which orders equal times and takes pushes behind a peek.

use super::heap::Heap;
use crate::order::{Entry, Key};

#[derive(Clone, Debug)]
pub(crate) struct Radix<E> {
    /// Entries at or before the pivot.
    current: Heap<E>,
    pivot: u64,
    /// Bucket b holds entries whose times differ from the pivot first in bit b.
    buckets: Vec<Vec<Entry<E>>>,
    /// Bit b is set if bucket b is not empty.
    occupied: u64,
    len: usize,
}

impl<E: Copy> Radix<E> {
    pub(super) fn new() -> Self {
        Radix {
            current: Heap::new(),
            pivot: 0,
            buckets: vec![Vec::new(); 64],
            occupied: 0,
            len: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry<E>) {
        self.len += 1;
        self.place(entry);
    }

    #[inline]
    fn place(&mut self, entry: Entry<E>) {
        if entry.key.time <= self.pivot {
            self.current.push(entry);
            return;
        }
        let bucket = (entry.key.time ^ self.pivot).ilog2();
        self.buckets[bucket as usize].push(entry);
        self.occupied |= 1 << bucket;
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Key {
        if self.current.len() == 0 {
            self.open_next();
        }
        self.current.peek()
    }

    #[inline]
    pub(super) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        if self.current.len() == 0 {
            self.open_next();
        }
        let entry = self.current.pop_before(limit)?;
        self.len -= 1;
        Some(entry)
    }

    fn open_next(&mut self) {
        if self.occupied == 0 {
            return;
        }
        let lowest = self.occupied.trailing_zeros() as usize;
        self.occupied &= self.occupied - 1;
        let mut bucket = core::mem::take(&mut self.buckets[lowest]);
        let least = bucket.iter().map(|entry| entry.key.time).min();
        self.pivot = least.expect("an occupied bucket has an entry");
        for entry in bucket.drain(..) {
            self.place(entry);
        }
        // Every entry went to a lower bucket, so this one is still empty: keep its allocation.
        self.buckets[lowest] = bucket;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let capacity: usize = self.buckets.iter().map(Vec::capacity).sum();
        self.current.memory_bytes() + capacity * size_of::<Entry<E>>()
    }
}
