//! Timers with constant delays.
//!
//! Within one delay, timers fire in the order in which they were armed. So each class is a ring,
//! arming is a push at its end, and only the heads of the rings compete with the pending events:
//! ten thousand request timeouts of which none fires cost the pending set nothing.

use std::collections::VecDeque;

use crate::order::{Entry, Key};
use crate::partition::TimerClass;
use crate::time::Duration;

/// All timer classes of one partition.
pub(crate) struct Timers<E> {
    classes: Vec<Ring<E>>,
    /// Head key and class of every ring that is not empty, greatest first.
    heads: Vec<(Key, u16)>,
    /// The least head, or [`Key::MAX`].
    next: Key,
}

struct Ring<E> {
    delay: Duration,
    waiting: VecDeque<Entry<E>>,
}

impl<E: Copy> Timers<E> {
    pub(crate) fn new() -> Self {
        Timers {
            classes: Vec::new(),
            heads: Vec::new(),
            next: Key::MAX,
        }
    }

    pub(crate) fn class(&mut self, delay: Duration) -> TimerClass {
        let known = self.classes.iter().position(|ring| ring.delay == delay);
        let index = known.unwrap_or_else(|| {
            self.classes.push(Ring {
                delay,
                waiting: VecDeque::new(),
            });
            self.classes.len() - 1
        });
        TimerClass(u16::try_from(index).expect("fewer than 2^16 timer classes"))
    }

    #[inline]
    pub(crate) fn delay(&self, class: TimerClass) -> Duration {
        self.classes[usize::from(class.0)].delay
    }

    #[inline]
    pub(crate) fn next_key(&self) -> Key {
        self.next
    }

    #[inline]
    pub(crate) fn push(&mut self, class: TimerClass, entry: Entry<E>) {
        let ring = &mut self.classes[usize::from(class.0)];
        ring.waiting.push_back(entry);
        if ring.waiting.len() == 1 {
            self.insert_head(entry.key, class.0);
        }
    }

    /// Takes out the least timer.
    ///
    /// # Panics
    /// If no timer is armed.
    pub(crate) fn pop(&mut self) -> Entry<E> {
        let (_, class) = self.heads.pop().expect("a timer is armed");
        let ring = &mut self.classes[usize::from(class)].waiting;
        let entry = ring.pop_front().expect("a listed ring is not empty");
        match ring.front().map(|head| head.key) {
            Some(head) => self.insert_head(head, class),
            None => self.refresh(),
        }
        entry
    }

    fn insert_head(&mut self, key: Key, class: u16) {
        let place = self.heads.partition_point(|&(head, _)| head > key);
        self.heads.insert(place, (key, class));
        self.refresh();
    }

    fn refresh(&mut self) {
        self.next = self.heads.last().map_or(Key::MAX, |&(key, _)| key);
    }
}
