//! A few entries that stay where they are: their order is a list of four-bit places, packed into
//! one integer.
//!
//! To push is to count the lesser keys, which takes no branch, and to shift the list open there;
//! to pop is to shift its first place out. So nothing is moved, and nothing is mispredicted.

use crate::order::{Entry, Key};

const PLACE_BITS: u32 = 4;
/// How many fit.
pub(super) const CAPACITY: usize = (u64::BITS / PLACE_BITS) as usize;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

#[derive(Clone, Debug)]
pub(crate) struct Few<E> {
    /// A free place has the greatest key.
    places: Vec<Entry<E>>,
    /// Places from the least key up, four bits each, from the lowest bits up.
    ranking: u64,
    /// One bit per free place of `places`.
    free: u32,
    len: u32,
}

impl<E: Copy> Few<E> {
    pub(super) fn new() -> Self {
        Few {
            places: Vec::new(),
            ranking: 0,
            free: 0,
            len: 0,
        }
    }

    /// Adds an entry; fewer than [`CAPACITY`] are there.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<E>) {
        let wide = entry.key.wide();
        let lesser = self
            .places
            .iter()
            .map(|other| u32::from(other.key.wide() < wide));
        let rank: u32 = lesser.sum();
        let place = self.place(entry);
        // Opens a gap of one place at the rank.
        let shift = rank * PLACE_BITS;
        let after = self.ranking >> shift << shift;
        let before = self.ranking ^ after;
        self.ranking = before | place << shift | after << PLACE_BITS;
        self.len += 1;
    }

    #[inline]
    fn place(&mut self, entry: Entry<E>) -> u64 {
        if self.free == 0 {
            self.places.push(entry);
            return self.places.len() as u64 - 1;
        }
        let place = self.free.trailing_zeros();
        self.free &= self.free - 1;
        self.places[place as usize] = entry;
        u64::from(place)
    }

    #[inline]
    pub(super) fn peek(&self) -> Key {
        let first = (self.ranking & PLACE_MASK) as usize;
        self.places.get(first).map_or(Key::MAX, |entry| entry.key)
    }

    #[inline]
    pub(super) fn pop_before(&mut self, limit: Key) -> Option<Entry<E>> {
        let first = self.ranking & PLACE_MASK;
        let place = self.places.get_mut(first as usize)?;
        let entry = *place;
        // If nothing is there, the first place is free, and its key is not less than any.
        if entry.key >= limit {
            return None;
        }
        place.key = Key::MAX;
        self.ranking >>= PLACE_BITS;
        self.free |= 1 << first;
        self.len -= 1;
        Some(entry)
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len as usize == CAPACITY
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Entry<E>>()
    }
}
