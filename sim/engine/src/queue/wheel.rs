//! A hierarchical timing wheel of chunked buckets.
//!
//! A time is a tick (time divided by the bucket width, a power of two) and a tick is a row of
//! digits. An entry waits at the level of the highest digit in which its tick differs from the
//! current one, in the slot that this digit names. When the current bucket runs out, the next
//! occupied slot of the lowest occupied level is opened: at level 0 it becomes the current
//! bucket, sorted; above, its entries are spread over the levels below. An entry thus moves once
//! per level, mostly once or twice, and always from one run of memory to another: buckets are
//! lists of chunks out of one slab.
//!
//! The current bucket is a sorted array. What is pushed into it, or before it, is inserted while
//! it is short and goes to a small heap beside it when it is not, so a bad width costs a
//! logarithm, never a line. The width is retuned after fixed numbers of entries from the number
//! of entries per opened bucket: from simulated quantities alone.

use super::heap::Heap;
use crate::order::{Entry, Key};

const DIGIT_BITS: u32 = 10;
const SLOTS: usize = 1 << DIGIT_BITS;
const DIGIT_MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// Entries of a chunk.
const CHUNK: usize = 8;
/// Up to this length, counting the greater keys one by one beats a binary search, because the
/// count has no branch to mispredict.
const COUNT_MAX: usize = 32;
/// A current bucket longer than this takes no insertions: they go to the heap beside it.
const INSERT_MAX: usize = 48;
/// Entries per opened bucket: retuned to the middle one when outside of the outer two.
const LOAD_MIN: u64 = 3;
const LOAD_TARGET: u64 = 10;
const LOAD_MAX: u64 = 40;
/// Entries between two looks at the load, at least.
const TUNE_MIN: u64 = 1_024;
/// Nanoseconds of the first bucket width, as a power of two: about a millisecond.
const FIRST_WIDTH_BITS: u32 = 20;
/// Each retuning doubles the wait for the next, so often: a load without one good width must not
/// rebuild for ever.
const PATIENCE_MAX: u32 = 6;

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Wheel<E> {
    /// Sorted, greatest first: everything at or before the current tick that is not in `late`.
    current: Vec<Entry<E>>,
    late: Heap<E>,
    tick: u64,
    width_bits: u32,
    levels: Vec<Level>,
    slab: Slab<E>,
    len: usize,
    tuning: Tuning,
}

#[derive(Clone, Debug)]
struct Level {
    /// One bit per slot that is not empty.
    occupied: [u64; SLOTS / 64],
    /// One bit per word of `occupied` that is not zero.
    summary: u64,
    /// Allocated when first used: most levels never are.
    slots: Vec<Slot>,
}

/// The newest chunk of a bucket and how full it is; the older chunks are full.
#[derive(Clone, Copy, Debug)]
struct Slot {
    chunk: u32,
    filled: u32,
}

const EMPTY: Slot = Slot {
    chunk: NONE,
    filled: 0,
};

/// Chunks of entries: chunk c is `entries[c * CHUNK..][..CHUNK]`, and `next[c]` the older one.
#[derive(Clone, Debug)]
struct Slab<E> {
    entries: Vec<Entry<E>>,
    next: Vec<u32>,
    free: u32,
}

#[derive(Clone, Debug, Default)]
struct Tuning {
    buckets: u64,
    entries: u64,
    patience: u32,
}

/// Inserts into an array that is sorted greatest first.
fn insert<E: Copy>(entries: &mut Vec<Entry<E>>, entry: Entry<E>) {
    let wide = entry.key.wide();
    let place = if entries.len() <= COUNT_MAX {
        let greater = entries
            .iter()
            .map(|other| usize::from(other.key.wide() > wide));
        greater.sum()
    } else {
        entries.partition_point(|other| other.key.wide() > wide)
    };
    entries.insert(place, entry);
}

impl Level {
    fn new() -> Self {
        Level {
            occupied: [0; SLOTS / 64],
            summary: 0,
            slots: Vec::new(),
        }
    }

    /// Takes out the first slot that is not empty.
    fn take_first(&mut self) -> (usize, Slot) {
        let word = self.summary.trailing_zeros() as usize;
        let slot = word * 64 + self.occupied[word].trailing_zeros() as usize;
        self.occupied[word] &= self.occupied[word] - 1;
        self.summary &= !(u64::from(self.occupied[word] == 0) << word);
        (slot, core::mem::replace(&mut self.slots[slot], EMPTY))
    }
}

impl<E: Copy> Slab<E> {
    /// A chunk whose first entry is `entry`, before `next` in its list.
    #[inline]
    fn allocate(&mut self, entry: Entry<E>, next: u32) -> u32 {
        if self.free == NONE {
            return self.grow(entry, next);
        }
        let chunk = self.free;
        self.free = self.next[chunk as usize];
        self.next[chunk as usize] = next;
        self.entries[chunk as usize * CHUNK] = entry;
        chunk
    }

    #[cold]
    fn grow(&mut self, entry: Entry<E>, next: u32) -> u32 {
        let chunk = self.next.len();
        if chunk == self.next.capacity() {
            // By a quarter rather than double: a million entries must not keep room for two.
            let more = (chunk / 4).max(64);
            self.next.reserve_exact(more);
            self.entries.reserve_exact(more * CHUNK);
        }
        self.next.push(next);
        self.entries.extend([entry; CHUNK]);
        u32::try_from(chunk).expect("fewer than 2^32 chunks")
    }
}

impl<E: Copy> Wheel<E> {
    pub(super) fn new() -> Self {
        Wheel {
            current: Vec::new(),
            late: Heap::new(),
            tick: 0,
            width_bits: FIRST_WIDTH_BITS,
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
            slab: Slab {
                entries: Vec::new(),
                next: Vec::new(),
                free: NONE,
            },
            len: 0,
            tuning: Tuning::default(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry<E>) {
        self.len += 1;
        let tick = entry.key.time >> self.width_bits;
        if tick > self.tick {
            self.place(tick, entry);
        } else {
            self.push_current(entry);
        }
    }

    fn push_current(&mut self, entry: Entry<E>) {
        if self.current.len() <= INSERT_MAX {
            insert(&mut self.current, entry);
        } else {
            self.late.push(entry);
        }
        self.tuning.entries += 1;
        if self.tuning.entries > self.tune_after() {
            self.tune();
        }
    }

    /// Puts an entry after the current tick into its slot.
    #[inline]
    fn place(&mut self, tick: u64, entry: Entry<E>) {
        let level_index = ((tick ^ self.tick).ilog2() / DIGIT_BITS) as usize;
        let level = &mut self.levels[level_index];
        if level.slots.is_empty() {
            level.slots = vec![EMPTY; SLOTS];
        }
        let digit = ((tick >> (level_index as u32 * DIGIT_BITS)) & DIGIT_MASK) as usize;
        let slot = &mut level.slots[digit];
        if slot.chunk != NONE && (slot.filled as usize) < CHUNK {
            self.slab.entries[slot.chunk as usize * CHUNK + slot.filled as usize] = entry;
            slot.filled += 1;
            return;
        }
        if slot.chunk == NONE {
            level.occupied[digit / 64] |= 1 << (digit % 64);
            level.summary |= 1 << (digit / 64);
        }
        slot.chunk = self.slab.allocate(entry, slot.chunk);
        slot.filled = 1;
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Key {
        if self.current.is_empty() && self.late.len() == 0 && self.len > 0 {
            self.open_next();
        }
        self.current_key().min(self.late.peek())
    }

    #[inline]
    pub(super) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        if self.late.len() > 0 {
            return self.pop_with_late(limit);
        }
        if self.current.is_empty() {
            if self.len == 0 {
                return None;
            }
            self.open_next();
        }
        let entry = self.current.pop_if(|entry| entry.key < limit)?;
        self.len -= 1;
        Some(entry)
    }

    fn pop_with_late(&mut self, limit: Key) -> Option<Entry<E>> {
        let entry = match self.late.pop_before(limit.min(self.current_key())) {
            Some(entry) => entry,
            None => self.current.pop_if(|entry| entry.key < limit)?,
        };
        self.len -= 1;
        Some(entry)
    }

    #[inline]
    fn current_key(&self) -> Key {
        self.current.last().map_or(Key::MAX, |entry| entry.key)
    }

    /// Makes the next occupied bucket the current one. There must be one.
    fn open_next(&mut self) {
        if self.tuning.entries > self.tune_after() {
            self.tune();
        }
        while self.current.is_empty() {
            let level = self.levels.iter().position(|level| level.summary != 0);
            let level = level.expect("an entry that is not current has a slot");
            let (digit, slot) = self.levels[level].take_first();
            let shift = level as u32 * DIGIT_BITS;
            // Digits above stay, this one is the slot's, those below are zero.
            self.tick = (self.tick >> shift & !DIGIT_MASK | digit as u64) << shift;
            self.spread(slot);
        }
        self.tuning.buckets += 1;
        self.tuning.entries += self.current.len() as u64;
        self.sort_current();
    }

    /// Moves the entries of a slot to where they belong now, and frees its chunks.
    fn spread(&mut self, slot: Slot) {
        let (mut chunk, mut filled) = (slot.chunk, slot.filled as usize);
        while chunk != NONE {
            for index in 0..filled {
                let entry = self.slab.entries[chunk as usize * CHUNK + index];
                let tick = entry.key.time >> self.width_bits;
                if tick > self.tick {
                    self.place(tick, entry);
                } else {
                    self.current.push(entry);
                }
            }
            let next = self.slab.next[chunk as usize];
            self.slab.next[chunk as usize] = self.slab.free;
            self.slab.free = chunk;
            (chunk, filled) = (next, CHUNK);
        }
    }

    fn tune_after(&self) -> u64 {
        TUNE_MIN.max(self.len as u64 / 8) << self.tuning.patience
    }

    /// Looks at the load per bucket, and rebuilds with another width if it is far off.
    #[cold]
    fn tune(&mut self) {
        let load = self.tuning.entries / self.tuning.buckets.max(1);
        self.tuning.entries = 0;
        self.tuning.buckets = 0;
        let wider = self.width_bits + LOAD_TARGET.ilog2();
        let width_bits = wider.saturating_sub(load.max(1).ilog2()).min(63);
        if (LOAD_MIN..=LOAD_MAX).contains(&load) || width_bits == self.width_bits {
            return;
        }
        self.tuning.patience = (self.tuning.patience + 1).min(PATIENCE_MAX);
        self.rebuild(width_bits);
    }

    fn rebuild(&mut self, width_bits: u32) {
        let mut entries: Vec<Entry<E>> = Vec::with_capacity(self.len);
        entries.append(&mut self.current);
        entries.extend(self.late.drain());
        // Nothing is after the greatest tick, so the spread leaves everything in `current`.
        self.tick = u64::MAX;
        for level in 0..LEVELS {
            while self.levels[level].summary != 0 {
                let (_, slot) = self.levels[level].take_first();
                self.spread(slot);
                entries.append(&mut self.current);
            }
        }
        self.width_bits = width_bits;
        self.refill(&entries);
    }

    /// Starts an empty wheel with these entries and a width that suits them.
    pub(super) fn restart(&mut self, entries: &[Entry<E>]) {
        debug_assert_eq!(self.len, 0, "only an empty wheel starts anew");
        let times = entries.iter().map(|entry| entry.key.time);
        let least = times.clone().min().unwrap_or(0);
        let span = times.max().unwrap_or(0) - least;
        let width = span / (entries.len() as u64 / LOAD_TARGET).max(1);
        self.width_bits = width.max(1).ilog2();
        self.tuning = Tuning::default();
        self.len = entries.len();
        self.refill(entries);
    }

    /// Places entries into a wheel whose slots are all empty.
    fn refill(&mut self, entries: &[Entry<E>]) {
        let ticks = entries
            .iter()
            .map(|entry| entry.key.time >> self.width_bits);
        self.tick = ticks.min().unwrap_or(0);
        for &entry in entries {
            let tick = entry.key.time >> self.width_bits;
            if tick > self.tick {
                self.place(tick, entry);
            } else {
                self.current.push(entry);
            }
        }
        self.sort_current();
    }

    fn sort_current(&mut self) {
        self.current
            .sort_unstable_by_key(|entry| core::cmp::Reverse(entry.key.wide()));
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let slots: usize = self.levels.iter().map(|level| level.slots.capacity()).sum();
        self.late.memory_bytes()
            + (self.current.capacity() + self.slab.entries.capacity()) * size_of::<Entry<E>>()
            + self.slab.next.capacity() * size_of::<u32>()
            + slots * size_of::<Slot>()
            + self.levels.capacity() * size_of::<Level>()
    }
}
