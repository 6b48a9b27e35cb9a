//! Numbers of things by what they are, where few kinds come again and again.

use std::collections::BTreeMap;

/// Fewest and most places for what was seen last; powers of two.
const PLACES: [usize; 2] = [64, 4096];

/// Numbers by keys, with those that were asked for last at hand.
#[derive(Clone, Debug)]
pub(crate) struct Memo<K> {
    known: BTreeMap<K, u32>,
    /// Twice as many as there are keys, within bounds.
    recent: Vec<Option<(K, u32)>>,
}

impl<K: Copy> Default for Memo<K> {
    fn default() -> Self {
        Memo {
            known: BTreeMap::new(),
            recent: vec![None; PLACES[0]],
        }
    }
}

impl<K: Copy + Ord> Memo<K> {
    /// The number of a key, where it has one. `spread` says where it is looked for first: any
    /// function of the key will do.
    pub(crate) fn get(&mut self, spread: u32, key: &K) -> Option<u32> {
        let place = spread as usize & (self.recent.len() - 1);
        let recent = &mut self.recent[place];
        match recent {
            Some((seen, number)) if seen == key => Some(*number),
            _ => {
                let number = *self.known.get(key)?;
                *recent = Some((*key, number));
                Some(number)
            }
        }
    }

    /// Gives a key its number.
    pub(crate) fn insert(&mut self, key: K, number: u32) {
        self.known.insert(key, number);
        let places = (2 * self.known.len()).next_power_of_two();
        if (self.recent.len() + 1..=PLACES[1]).contains(&places) {
            self.recent = vec![None; places];
        }
    }

    /// All keys with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, u32)> {
        self.known.iter().map(|(key, number)| (key, *number))
    }

    /// Forgets all keys but those that `stays` is true for; tells which numbers go.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K) -> bool, mut goes: impl FnMut(u32)) {
        self.known.retain(|key, number| {
            let stays = stays(key);
            if !stays {
                goes(*number);
            }
            stays
        });
        self.recent.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_a_place_keep_their_numbers() {
        let mut memo = Memo::default();
        for key in 0..300u32 {
            assert_eq!(memo.get(key, &key), None);
            memo.insert(key, 2 * key);
        }
        for _ in 0..2 {
            for key in 0..300 {
                assert_eq!(memo.get(key, &key), Some(2 * key));
            }
        }
        assert_eq!(memo.get(1, &300), None);
    }

    #[test]
    fn what_is_forgotten_is_not_remembered() {
        let mut memo = Memo::default();
        (0..10u32).for_each(|key| memo.insert(key, 2 * key));
        assert_eq!(memo.get(7, &7), Some(14));
        let mut gone = Vec::new();
        memo.retain(|key| key % 2 == 0, |number| gone.push(number));
        assert_eq!(gone, [2, 6, 10, 14, 18]);
        assert_eq!((memo.get(7, &7), memo.get(6, &6)), (None, Some(12)));
    }
}
