//! What a model implements, and what it sees of the engine while one of its events runs.

use crate::order::{Entry, Key, SEQUENCE_BITS};
use crate::queue::{Heap, Queue, QueueKind};
use crate::time::{Duration, Time};
use crate::timers::Timers;

/// Names a partition by its place in the vector given to [`crate::Simulation::new`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

/// Timers with one constant delay, from [`Context::timer_class`]. Belongs to its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerClass(pub(crate) u16);

/// One armed timer, from [`Context::arm`], for [`Context::disarm`]. Belongs to its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    pub(crate) class: TimerClass,
    /// Counts the timers of the class; wraps.
    pub(crate) number: u32,
}

/// A part of the model that shares nothing with the other parts.
///
/// Its events are its own; whatever another partition must learn is a message.
pub trait Partition: Sized + Send {
    /// A closed set of things that can happen; at most 16 bytes, checked at compile time.
    type Event: Copy + Send;
    /// What crosses between partitions. By value: it carries all the state it needs.
    type Message: Send;

    /// Called once, at [`Time::ZERO`], before any event.
    fn start(&mut self, context: &mut Context<'_, Self>);
    /// Called at the time for which `event` was scheduled or armed.
    fn handle(&mut self, event: Self::Event, context: &mut Context<'_, Self>);
    /// Whether an armed event has become pointless, for good: what it was to end has ended. Such a
    /// timer need not happen, and most of them do not: they leave their ring behind one that did.
    fn is_pointless(&self, _event: &Self::Event) -> bool {
        false
    }
    /// Called at the time at which `message` arrives from partition `from`.
    fn receive(
        &mut self,
        from: PartitionId,
        message: Self::Message,
        context: &mut Context<'_, Self>,
    );
}

/// A message on its way out of a partition.
pub(crate) struct Letter<M> {
    pub(crate) to: PartitionId,
    pub(crate) key: Key,
    pub(crate) message: M,
}

/// The engine's side of one partition: clock, pending set, timers, mail, order.
pub(crate) struct Core<P: Partition> {
    now: Time,
    id: PartitionId,
    next_order: u64,
    last_order: u64,
    queue: Queue<P::Event>,
    timers: Timers<P::Event>,
    inbox: Inbox<P::Message>,
    /// The least key of timers and inbox, kept because every event is compared with it.
    beside: Key,
    pub(crate) outbox: Vec<Letter<P::Message>>,
    /// Least delay to each partition.
    lookahead: Vec<Duration>,
    events: u64,
    digest: u64,
}

/// Messages that have been delivered but whose time has not come: least first out of a heap of
/// slots, because a message may be far larger than an event.
struct Inbox<M> {
    order: Heap<u32>,
    slots: Vec<Option<M>>,
    free: Vec<u32>,
}

impl<M> Inbox<M> {
    fn push(&mut self, key: Key, message: M) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 messages in flight")
        });
        self.slots[slot as usize] = Some(message);
        self.order.push(Entry { key, event: slot });
    }

    fn pop(&mut self) -> Option<(Key, M)> {
        let Entry { key, event: slot } = self.order.pop_before(Key::MAX)?;
        self.free.push(slot);
        let message = self.slots[slot as usize]
            .take()
            .expect("a queued slot is full");
        Some((key, message))
    }
}

/// What [`Core::next_before`] found.
pub(crate) enum Step<P: Partition> {
    /// An event or a timer.
    Event(P::Event),
    /// A message and its sender.
    Message(PartitionId, P::Message),
}

impl<P: Partition> Core<P> {
    const EVENT_FITS: () = assert!(
        size_of::<P::Event>() <= 16,
        "an event is at most 16 bytes: put bulky state into a slab"
    );

    pub(crate) fn new(id: PartitionId, queue: QueueKind, lookahead: Vec<Duration>) -> Self {
        let () = Self::EVENT_FITS;
        let first = u64::from(id.0) << SEQUENCE_BITS;
        Core {
            now: Time::ZERO,
            id,
            next_order: first,
            last_order: first | ((1 << SEQUENCE_BITS) - 1),
            queue: Queue::new(queue),
            timers: Timers::new(),
            inbox: Inbox {
                order: Heap::new(),
                slots: Vec::new(),
                free: Vec::new(),
            },
            beside: Key::MAX,
            outbox: Vec::new(),
            lookahead,
            events: 0,
            digest: 0,
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The next place in the order at `time`.
    #[inline]
    fn key_at(&mut self, time: Time) -> Key {
        let order = self.next_order;
        assert!(order < self.last_order, "2^48 events of one partition");
        self.next_order = order + 1;
        Key {
            time: time.as_nanos(),
            order,
        }
    }

    /// Puts a message among the pending ones.
    pub(crate) fn deliver(&mut self, key: Key, message: P::Message) {
        assert!(key.time >= self.now.as_nanos(), "a message from the past");
        self.inbox.push(key, message);
        self.beside = self.beside.min(key);
    }

    #[inline]
    fn arm(&mut self, class: TimerClass, event: P::Event) -> Timer {
        let key = self.key_at(self.now + self.timers.delay(class));
        self.beside = self.beside.min(key);
        self.timers.push(class, Entry { key, event })
    }

    #[inline]
    fn disarm(&mut self, timer: Timer) -> bool {
        let armed = self.timers.disarm(timer);
        self.beside = self.timers.next_key().min(self.inbox.order.peek());
        armed
    }

    /// The least pending key, or [`Key::MAX`].
    pub(crate) fn next_key(&mut self) -> Key {
        self.queue.peek().min(self.beside)
    }

    /// Takes out the least of what is pending before `limit`, and moves the clock to it. Timers
    /// that are pointless for the partition leave with the one before them.
    #[inline]
    pub(crate) fn next_before(&mut self, limit: Key, partition: &P) -> Option<Step<P>> {
        if let Some(Entry { key, event }) = self.queue.pop_before(limit.min(self.beside)) {
            self.advance(key);
            return Some(Step::Event(event));
        }
        if self.beside >= limit {
            return None;
        }
        let message = self.inbox.order.peek();
        if self.timers.next_key() < message {
            let is_pointless = |event: &P::Event| partition.is_pointless(event);
            let Entry { key, event } = self.timers.pop(is_pointless)?;
            self.beside = self.timers.next_key().min(message);
            self.advance(key);
            return Some(Step::Event(event));
        }
        let (key, message) = self.inbox.pop()?;
        self.beside = self.timers.next_key().min(self.inbox.order.peek());
        self.advance(key);
        let from = PartitionId((key.order >> SEQUENCE_BITS) as u16);
        Some(Step::Message(from, message))
    }

    #[inline]
    fn advance(&mut self, key: Key) {
        debug_assert!(key.time >= self.now.as_nanos(), "time runs backwards");
        self.now = Time::from_nanos(key.time);
        self.events += 1;
        self.digest = fold(self.digest, key.time ^ key.order.rotate_left(32));
    }
}

/// The golden ratio times 2^64, made odd: multiplying by it loses nothing.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// One step of the order digest: not cryptographic, but every bit of every word counts, and so
/// does the order of the words.
#[inline]
pub(crate) fn fold(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(23) ^ word).wrapping_mul(ODD)
}

/// What a partition can do with the engine while one of its handlers runs.
pub struct Context<'a, P: Partition> {
    core: &'a mut Core<P>,
}

impl<'a, P: Partition> Context<'a, P> {
    pub(crate) fn new(core: &'a mut Core<P>) -> Self {
        Context { core }
    }

    /// The time of the event that is being handled.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.core.id
    }

    /// How many events, timers and messages this partition has executed, with the present one.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.core.events
    }

    /// Lets `event` happen at `at`, after everything that was scheduled for `at` before.
    ///
    /// # Panics
    /// If `at` is before now.
    #[inline]
    pub fn schedule(&mut self, at: Time, event: P::Event) {
        assert!(at >= self.core.now, "an event cannot be in the past");
        let key = self.core.key_at(at);
        self.core.queue.push(Entry { key, event });
    }

    /// Lets `event` happen `delay` from now.
    #[inline]
    pub fn after(&mut self, delay: Duration, event: P::Event) {
        let key = self.core.key_at(self.core.now + delay);
        self.core.queue.push(Entry { key, event });
    }

    /// The class of timers that fire `delay` after being armed: the same class for the same
    /// delay. Timers of one class fire in the order of arming, so they wait in a ring and only
    /// its head competes with the pending events.
    pub fn timer_class(&mut self, delay: Duration) -> TimerClass {
        self.core.timers.class(delay)
    }

    /// Lets `event` happen after the delay of `class`, unless the timer is disarmed before.
    #[inline]
    pub fn arm(&mut self, class: TimerClass, event: P::Event) -> Timer {
        self.core.arm(class, event)
    }

    /// Takes back what [`Context::arm`] asked for. False if it has happened, or been taken back,
    /// already; a handle must not be kept over four thousand million timers of its class.
    #[inline]
    pub fn disarm(&mut self, timer: Timer) -> bool {
        self.core.disarm(timer)
    }

    /// Sends `message`, which arrives at partition `to` after `delay`. To itself any delay is
    /// allowed.
    ///
    /// # Panics
    /// If there is no such partition, or `delay` is less than the lookahead from here to there.
    pub fn send(&mut self, to: PartitionId, delay: Duration, message: P::Message) {
        let key = self.core.key_at(self.core.now + delay);
        if to == self.core.id {
            self.core.deliver(key, message);
            return;
        }
        let least = self.core.lookahead[usize::from(to.0)];
        assert!(
            delay >= least,
            "a message from {} to {} takes {delay}, less than the lookahead {least}",
            self.core.id.0,
            to.0
        );
        self.core.outbox.push(Letter { to, key, message });
    }
}
