//! The pending set: five structures behind one closed enum, and one that chooses.
//!
//! All of them give the same order, because keys are unique; they differ only in cost. Each
//! accepts a push before what it last showed by `peek` (a message may arrive there), as long as
//! it is not before what it last gave out. The enum is matched at run time: the branch is
//! predicted, and a model is compiled once rather than once per structure.

mod few;
mod heap;
mod radix;
mod standard;
mod wheel;

use few::Few;
pub(crate) use heap::Heap;
use radix::Radix;
use standard::Standard;
use wheel::Wheel;

use crate::order::{Entry, Key};

/// Which structure holds the pending events. The result of a run does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKind {
    /// A ranked handful while no more than 16 events are pending, a wheel when there are more.
    #[default]
    Auto,
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
    pub const ALL: [QueueKind; 5] = [
        QueueKind::Auto,
        QueueKind::Heap,
        QueueKind::Wheel,
        QueueKind::Radix,
        QueueKind::Std,
    ];
}

/// Fewer than this, and [`QueueKind::Auto`] moves them from the wheel back to a few. The gap to
/// [`few::CAPACITY`] keeps it from going to and fro.
const AUTO_WHEEL_MIN: usize = 6;

/// A set of pending events, of the structure that its [`QueueKind`] names.
///
/// # Examples
/// ```
/// use hybridsim_engine::{Entry, Key, Queue, QueueKind, Time};
///
/// let mut queue = Queue::new(QueueKind::Auto);
/// for (order, (time, event)) in [(7, "late"), (3, "early"), (3, "next")].into_iter().enumerate() {
///     let order = order as u64;
///     queue.push(Entry { key: Key { time, order }, event });
/// }
/// let limit = Key::after(Time::from_nanos(3));
/// assert_eq!(queue.pop_before(limit).unwrap().event, "early");
/// assert_eq!(queue.pop_before(limit).unwrap().event, "next");
/// assert_eq!(queue.pop_before(limit), None);
/// assert_eq!(queue.peek().time, 7);
/// ```
#[derive(Clone, Debug)]
pub struct Queue<E> {
    structure: Structure<E>,
    /// Whether the structure changes with the number of pending events.
    automatic: bool,
    /// An empty wheel that was in use before, so that going to and fro allocates nothing.
    spare: Option<Box<Wheel<E>>>,
}

#[derive(Clone, Debug)]
enum Structure<E> {
    Few(Few<E>),
    Heap(Heap<E>),
    Wheel(Box<Wheel<E>>),
    Radix(Box<Radix<E>>),
    Standard(Standard<E>),
}

macro_rules! each {
    ($structure:expr, $name:ident => $call:expr) => {
        match $structure {
            Structure::Few($name) => $call,
            Structure::Heap($name) => $call,
            Structure::Wheel($name) => $call,
            Structure::Radix($name) => $call,
            Structure::Standard($name) => $call,
        }
    };
}

impl<E: Copy> Queue<E> {
    /// An empty set.
    #[must_use]
    pub fn new(kind: QueueKind) -> Self {
        let structure = match kind {
            QueueKind::Auto => Structure::Few(Few::new()),
            QueueKind::Heap => Structure::Heap(Heap::new()),
            QueueKind::Wheel => Structure::Wheel(Box::new(Wheel::new())),
            QueueKind::Radix => Structure::Radix(Box::new(Radix::new())),
            QueueKind::Std => Structure::Standard(Standard::new()),
        };
        Queue {
            structure,
            automatic: kind == QueueKind::Auto,
            spare: None,
        }
    }

    /// Adds an entry, whose key must differ from every other and not be before the last popped.
    #[inline]
    pub fn push(&mut self, entry: Entry<E>) {
        match &mut self.structure {
            Structure::Few(few) if !few.is_full() => few.push(entry),
            _ => self.push_many(entry),
        }
    }

    /// Takes out the least entry if its key is less than `limit`.
    #[inline]
    pub fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        // Small models stay with a few, so these alone are inlined into the loop over events.
        match &mut self.structure {
            Structure::Few(few) => few.pop_before(limit),
            _ => self.pop_many(limit),
        }
    }

    fn push_many(&mut self, entry: Entry<E>) {
        if let Structure::Few(_) = self.structure {
            self.enter_wheel();
        }
        each!(&mut self.structure, structure => structure.push(entry));
    }

    fn pop_many(&mut self, limit: Key) -> Option<Entry<E>> {
        let Structure::Wheel(wheel) = &mut self.structure else {
            return each!(&mut self.structure, structure => structure.pop_before(limit));
        };
        let entry = wheel.pop_before(limit);
        if self.automatic && wheel.len() < AUTO_WHEEL_MIN {
            self.leave_wheel();
        }
        entry
    }

    /// The least key, or [`Key::MAX`] of an empty set. It may reorder what is inside.
    #[inline]
    pub fn peek(&mut self) -> Key {
        each!(&mut self.structure, structure => structure.peek())
    }

    /// How many events are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(&self.structure, structure => structure.len())
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the structure has allocated, used or not.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, |wheel| wheel.memory_bytes());
        spare + each!(&self.structure, structure => structure.memory_bytes())
    }

    #[cold]
    fn enter_wheel(&mut self) {
        let mut entries = Vec::with_capacity(self.len());
        while let Some(entry) = self.pop_before(Key::MAX) {
            entries.push(entry);
        }
        let mut wheel = self.spare.take().unwrap_or_else(|| Box::new(Wheel::new()));
        wheel.restart(&entries);
        self.structure = Structure::Wheel(wheel);
    }

    #[cold]
    fn leave_wheel(&mut self) {
        let few = Structure::Few(Few::new());
        if let Structure::Wheel(mut wheel) = core::mem::replace(&mut self.structure, few) {
            while let Some(entry) = wheel.pop_before(Key::MAX) {
                self.push(entry);
            }
            self.spare = Some(wheel);
        }
    }
}

#[cfg(test)]
mod tests;
