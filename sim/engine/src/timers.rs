//! Timers with constant delays.
//!
//! Within one delay, timers fire in the order in which they were armed. So each class is a ring,
//! arming is a push at its end, and only the heads of the rings compete with the pending events:
//! ten thousand request timeouts of which none fires cost the pending set nothing. What is
//! disarmed is marked, and leaves its ring once nothing that is armed is before it; so does what
//! has become pointless, once a timer before it has fired.
//!
//! The least head is at the root of a tournament: each node holds the lesser of its two children,
//! so that a new head meets one opponent per level, without moving anything.

use std::collections::VecDeque;

use crate::order::{Entry, Key};
use crate::partition::{Timer, TimerClass};
use crate::time::Duration;

/// All timer classes of one partition.
pub(crate) struct Timers<E> {
    classes: Vec<Ring<E>>,
    /// Node n has children 2n and 2n + 1; the root is node 1; the leaves are the second half, one
    /// per class, with the key of its head, or [`Key::MAX`] if its ring is empty.
    tournament: Vec<Entry<u16>>,
}

struct Ring<E> {
    delay: Duration,
    waiting: VecDeque<Entry<E>>,
    /// Number of the first that is waiting, in the order of arming; wraps.
    first: u32,
}

/// In place of the order of a timer that was disarmed. No origin and sequence give this.
const DISARMED: u64 = u64::MAX;

impl<E: Copy> Ring<E> {
    #[inline]
    fn head(&self) -> Key {
        self.waiting.front().map_or(Key::MAX, |entry| entry.key)
    }

    #[inline]
    fn take_first(&mut self) -> Option<Entry<E>> {
        self.first = self.first.wrapping_add(1);
        self.waiting.pop_front()
    }

    /// Lets an armed timer be the first again, and none that is pointless.
    #[inline]
    fn drop_disarmed(&mut self, is_pointless: impl Fn(&E) -> bool) {
        while self
            .waiting
            .front()
            .is_some_and(|entry| entry.key.order == DISARMED || is_pointless(&entry.event))
        {
            self.take_first();
        }
    }
}

impl<E: Copy> Timers<E> {
    pub(crate) fn new() -> Self {
        Timers {
            classes: Vec::new(),
            tournament: seeded(1),
        }
    }

    pub(crate) fn class(&mut self, delay: Duration) -> TimerClass {
        let known = self.classes.iter().position(|ring| ring.delay == delay);
        let index = known.unwrap_or_else(|| self.add(delay));
        TimerClass(u16::try_from(index).expect("at most 2^16 timer classes"))
    }

    fn add(&mut self, delay: Duration) -> usize {
        self.classes.push(Ring {
            delay,
            waiting: VecDeque::new(),
            first: 0,
        });
        if self.classes.len() > self.tournament.len() / 2 {
            self.tournament = seeded(self.tournament.len());
            for class in 0..self.classes.len() {
                self.play(class);
            }
        }
        self.classes.len() - 1
    }

    #[inline]
    pub(crate) fn delay(&self, class: TimerClass) -> Duration {
        self.classes[usize::from(class.0)].delay
    }

    /// The key of the least timer, or [`Key::MAX`].
    #[inline]
    pub(crate) fn next_key(&self) -> Key {
        self.tournament[1].key
    }

    #[inline]
    pub(crate) fn push(&mut self, class: TimerClass, entry: Entry<E>) -> Timer {
        let index = usize::from(class.0);
        let ring = &mut self.classes[index];
        // Fewer than 2^32 wait in one ring, so the lower bits tell them apart.
        let number = ring.first.wrapping_add(ring.waiting.len() as u32);
        ring.waiting.push_back(entry);
        if ring.waiting.len() == 1 {
            self.play(index);
        }
        Timer { class, number }
    }

    /// Takes out the least timer, and what is pointless behind it.
    #[inline]
    pub(crate) fn pop(&mut self, is_pointless: impl Fn(&E) -> bool) -> Option<Entry<E>> {
        let class = usize::from(self.tournament[1].event);
        let ring = self.classes.get_mut(class)?;
        let entry = ring.take_first();
        ring.drop_disarmed(is_pointless);
        self.play(class);
        entry
    }

    /// Whether the timer was armed; it no longer is.
    #[inline]
    pub(crate) fn disarm(&mut self, timer: Timer) -> bool {
        let class = usize::from(timer.class.0);
        let ring = &mut self.classes[class];
        let index = timer.number.wrapping_sub(ring.first);
        let Some(entry) = ring.waiting.get_mut(index as usize) else {
            return false;
        };
        let armed = entry.key.order != DISARMED;
        entry.key.order = DISARMED;
        if index == 0 {
            ring.drop_disarmed(|_| false);
            self.play(class);
        }
        armed
    }

    /// Lets the head of a ring play from its leaf up to the root.
    #[inline]
    fn play(&mut self, class: usize) {
        let mut node = self.tournament.len() / 2 + class;
        self.tournament[node].key = self.classes[class].head();
        while node > 1 {
            let (left, right) = (self.tournament[node & !1], self.tournament[node | 1]);
            node /= 2;
            self.tournament[node] = if right.key < left.key { right } else { left };
        }
    }
}

/// A tournament of so many empty rings, a power of two.
fn seeded(leaves: usize) -> Vec<Entry<u16>> {
    let leaf = |node: usize| node.saturating_sub(leaves) as u16;
    (0..2 * leaves)
        .map(|node| Entry {
            key: Key::MAX,
            event: leaf(node),
        })
        .collect()
}
