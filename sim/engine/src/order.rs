//! The total order of everything that happens: (time, origin partition, sequence at origin).

use crate::time::Time;

/// Bits of the sequence within [`Key::order`]; the origin has the 16 above.
pub(crate) const SEQUENCE_BITS: u32 = 48;

/// The place of one event, timer or message in the total order. No two are equal in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// When it happens, in nanoseconds.
    pub time: u64,
    /// Origin partition (upper 16 bits) and sequence at that origin (lower 48 bits).
    pub order: u64,
}

impl Key {
    /// After everything.
    pub const MAX: Key = Key {
        time: u64::MAX,
        order: u64::MAX,
    };

    /// The exclusive limit that lets everything at `time` pass and nothing later.
    #[must_use]
    pub const fn after(time: Time) -> Key {
        match time.as_nanos().checked_add(1) {
            Some(next) => Key {
                time: next,
                order: 0,
            },
            None => Key::MAX,
        }
    }

    /// One wide integer that sorts as the key does: one comparison without a branch.
    #[inline]
    #[must_use]
    pub const fn wide(self) -> u128 {
        (self.time as u128) << 64 | self.order as u128
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Key) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Key) -> bool {
        self.wide() < other.wide()
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Key) -> core::cmp::Ordering {
        self.wide().cmp(&other.wide())
    }
}

/// A key with what it carries: a pending event, or the place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<E> {
    /// When, and in which order among equals.
    pub key: Key,
    /// What.
    pub event: E,
}
