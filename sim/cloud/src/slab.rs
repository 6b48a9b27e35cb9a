//! Dense storage for things that come and go: constant-time insertion and removal, memory
//! by what is alive, and keys that notice when their thing is gone.

/// Names one thing in a [`Slab`]; stale once the thing is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// Which of the things that are alive it names: no two have the same.
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

/// A slab of `T`.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            entry.1 = Some(value);
            return Key {
                slot,
                generation: entry.0,
            };
        }
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 things at once");
        self.slots.push((0, Some(value)));
        Key {
            slot,
            generation: 0,
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize) {
            Some((generation, value)) if *generation == key.generation => value.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize) {
            Some((generation, value)) if *generation == key.generation => value.as_mut(),
            _ => None,
        }
    }

    /// The key of what is alive in a slot.
    pub(crate) fn key_of(&self, slot: u32) -> Option<Key> {
        let (generation, value) = self.slots.get(slot as usize)?;
        value.as_ref().map(|_| Key {
            slot,
            generation: *generation,
        })
    }

    /// Removes all that `goes` is true for, in the order of their places.
    pub(crate) fn take_out(&mut self, goes: impl Fn(&T) -> bool) -> Vec<T> {
        let keys = self.iter().filter(|(_, value)| goes(value));
        let keys: Vec<Key> = keys.map(|(key, _)| key).collect();
        keys.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }

    /// Removes what the key names; `None` if it is gone already.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.0 != key.generation {
            return None;
        }
        let value = entry.1.take()?;
        entry.0 = entry.0.wrapping_add(1);
        self.free.push(key.slot);
        Some(value)
    }

    /// All things alive, in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let key = Key {
                slot: slot as u32,
                generation: entry.0,
            };
            entry.1.as_ref().map(|value| (key, value))
        })
    }
}

impl<T> core::ops::Index<Key> for Slab<T> {
    type Output = T;
    fn index(&self, key: Key) -> &T {
        self.get(key)
            .expect("the key of something that is still here")
    }
}

impl<T> core::ops::IndexMut<Key> for Slab<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        self.get_mut(key)
            .expect("the key of something that is still here")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_stale_with_its_thing() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_ne!(first, second);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.iter().count(), 1);
    }
}
