//! A 4-ary heap. Half as deep as a binary one, and the least of four children is found by index
//! arithmetic on comparison results, so that no branch depends on the keys.

use crate::order::{Entry, Key};

const ARITY: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Heap<E> {
    entries: Vec<Entry<E>>,
}

impl<E: Copy> Heap<E> {
    pub(crate) fn new() -> Self {
        Heap {
            entries: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, entry: Entry<E>) {
        let mut hole = self.entries.len();
        self.entries.push(entry);
        while hole > 0 {
            let parent = (hole - 1) / ARITY;
            if self.entries[parent].key < entry.key {
                break;
            }
            self.entries[hole] = self.entries[parent];
            hole = parent;
        }
        self.entries[hole] = entry;
    }

    #[inline]
    pub(crate) fn peek(&self) -> Key {
        self.entries.first().map_or(Key::MAX, |entry| entry.key)
    }

    #[inline]
    pub(crate) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        let first = *self.entries.first()?;
        if first.key >= limit {
            return None;
        }
        let last = self.entries.pop()?;
        if !self.entries.is_empty() {
            self.sift_down(last);
        }
        Some(first)
    }

    /// Puts `entry` in place of the root that was taken out.
    fn sift_down(&mut self, entry: Entry<E>) {
        let entries = self.entries.as_mut_slice();
        let wide = entry.key.wide();
        let mut hole = 0;
        loop {
            let first_child = hole * ARITY + 1;
            let least = match entries.get(first_child..first_child + ARITY) {
                Some(children) => first_child + least_of_four(children),
                None => match least_of_rest(entries, first_child) {
                    Some(child) => child,
                    None => break,
                },
            };
            if entries[least].key.wide() > wide {
                break;
            }
            entries[hole] = entries[least];
            hole = least;
        }
        entries[hole] = entry;
    }

    pub(crate) fn len(&self) -> usize {
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

#[inline]
fn least_of_four<E>(children: &[Entry<E>]) -> usize {
    let key = |child: usize| children[child].key.wide();
    let left = usize::from(key(1) < key(0));
    let right = 2 + usize::from(key(3) < key(2));
    let take_right = usize::from(key(right) < key(left));
    left + take_right * (right - left)
}

/// The least child when fewer than four remain.
fn least_of_rest<E>(entries: &[Entry<E>], first_child: usize) -> Option<usize> {
    (first_child..entries.len()).min_by_key(|&child| entries[child].key.wide())
}
