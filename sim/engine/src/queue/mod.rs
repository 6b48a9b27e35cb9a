//! The pending set: five structures behind one closed enum, and one that chooses.
//!
//! All of them give the same order, because keys are unique; they differ only in cost. Each
//! accepts a push before what it last showed by `peek` (a message may arrive there), as long as
//! it is not before what it last gave out. The enum is matched at run time: the branch is
//! predicted, and a model is compiled once rather than once per structure.

mod heap;
mod radix;
mod sorted;
mod standard;
mod wheel;

pub(crate) use heap::Heap;
use radix::Radix;
use sorted::Sorted;
use standard::Standard;
use wheel::Wheel;

use crate::order::{Entry, Key};

/// Which structure holds the pending events. The result of a run does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKind {
    /// A sorted array while few events are pending, a wheel when there are many.
    #[default]
    Auto,
    /// A sorted array: best up to some tens of events, linear beyond.
    SortedArray,
    /// A 4-ary heap: no tuning, no bad case.
    Heap,
    /// A hierarchical wheel of chunked buckets: best for many events.
    Wheel,
    /// A radix heap: constant amortised cost without a parameter.
    Radix,
    /// The standard library's binary heap, as the reference.
    Std,
}

impl QueueKind {
    /// Every kind, for tests over the closed set.
    pub const ALL: [QueueKind; 6] = [
        QueueKind::Auto,
        QueueKind::SortedArray,
        QueueKind::Heap,
        QueueKind::Wheel,
        QueueKind::Radix,
        QueueKind::Std,
    ];
}

/// More pending events than this, and [`QueueKind::Auto`] moves them to the wheel.
const AUTO_ARRAY_MAX: usize = 40;
/// Fewer than this, and it moves them back. The gap keeps it from going to and fro.
const AUTO_WHEEL_MIN: usize = 10;

/// A set of pending events, of the structure that its [`QueueKind`] names.
#[derive(Clone, Debug)]
pub struct Queue<E>(Structure<E>);

#[derive(Clone, Debug)]
enum Structure<E> {
    Auto(Box<Auto<E>>),
    Sorted(Sorted<E>),
    Heap(Heap<E>),
    Wheel(Box<Wheel<E>>),
    Radix(Box<Radix<E>>),
    Standard(Standard<E>),
}

#[derive(Clone, Debug)]
struct Auto<E> {
    array: Sorted<E>,
    wheel: Wheel<E>,
    in_wheel: bool,
}

impl<E: Copy> Auto<E> {
    #[inline]
    fn push(&mut self, entry: Entry<E>) {
        if self.in_wheel {
            self.wheel.push(entry);
            return;
        }
        self.array.push(entry);
        if self.array.len() > AUTO_ARRAY_MAX {
            self.enter_wheel();
        }
    }

    #[inline]
    fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        if !self.in_wheel {
            return self.array.pop_before(limit);
        }
        let entry = self.wheel.pop_before(limit);
        if self.wheel.len() < AUTO_WHEEL_MIN {
            self.leave_wheel();
        }
        entry
    }

    #[cold]
    fn enter_wheel(&mut self) {
        self.wheel.restart(self.array.drain());
        self.in_wheel = true;
    }

    #[cold]
    fn leave_wheel(&mut self) {
        while let Some(entry) = self.wheel.pop_before(Key::MAX) {
            self.array.push(entry);
        }
        self.in_wheel = false;
    }
}

macro_rules! each {
    ($queue:expr, $structure:ident => $call:expr) => {
        match &mut $queue.0 {
            Structure::Auto($structure) => $call,
            Structure::Sorted($structure) => $call,
            Structure::Heap($structure) => $call,
            Structure::Wheel($structure) => $call,
            Structure::Radix($structure) => $call,
            Structure::Standard($structure) => $call,
        }
    };
}

impl<E: Copy> Queue<E> {
    /// An empty set.
    #[must_use]
    pub fn new(kind: QueueKind) -> Self {
        Queue(match kind {
            QueueKind::Auto => Structure::Auto(Box::new(Auto {
                array: Sorted::new(),
                wheel: Wheel::new(),
                in_wheel: false,
            })),
            QueueKind::SortedArray => Structure::Sorted(Sorted::new()),
            QueueKind::Heap => Structure::Heap(Heap::new()),
            QueueKind::Wheel => Structure::Wheel(Box::new(Wheel::new())),
            QueueKind::Radix => Structure::Radix(Box::new(Radix::new())),
            QueueKind::Std => Structure::Standard(Standard::new()),
        })
    }

    /// Adds an entry, whose key must differ from every other and not be before the last popped.
    #[inline]
    pub fn push(&mut self, entry: Entry<E>) {
        each!(self, structure => structure.push(entry));
    }

    /// Takes out the least entry if its key is less than `limit`.
    #[inline]
    pub fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        each!(self, structure => structure.pop_before(limit))
    }

    /// The least key, or [`Key::MAX`] of an empty set. It may reorder what is inside.
    #[inline]
    pub fn peek(&mut self) -> Key {
        match &mut self.0 {
            Structure::Auto(auto) if auto.in_wheel => auto.wheel.peek(),
            Structure::Auto(auto) => auto.array.peek(),
            Structure::Sorted(array) => array.peek(),
            Structure::Heap(heap) => heap.peek(),
            Structure::Wheel(wheel) => wheel.peek(),
            Structure::Radix(radix) => radix.peek(),
            Structure::Standard(standard) => standard.peek(),
        }
    }

    /// How many events are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Structure::Auto(auto) if auto.in_wheel => auto.wheel.len(),
            Structure::Auto(auto) => auto.array.len(),
            Structure::Sorted(array) => array.len(),
            Structure::Heap(heap) => heap.len(),
            Structure::Wheel(wheel) => wheel.len(),
            Structure::Radix(radix) => radix.len(),
            Structure::Standard(standard) => standard.len(),
        }
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the structure has allocated, used or not.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Structure::Auto(auto) => auto.array.memory_bytes() + auto.wheel.memory_bytes(),
            Structure::Sorted(array) => array.memory_bytes(),
            Structure::Heap(heap) => heap.memory_bytes(),
            Structure::Wheel(wheel) => wheel.memory_bytes(),
            Structure::Radix(radix) => radix.memory_bytes(),
            Structure::Standard(standard) => standard.memory_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
