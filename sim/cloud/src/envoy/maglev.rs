//! MAGLEV: a table of hosts that a key's hash points into.
//!
//! Models: the order of hosts by address, their offsets and steps, turns by weight until the
//! table is full, and the changed hash when a retry does not want the host that it finds. Exact.
//! Sources: envoyproxy/envoy source/extensions/load_balancing_policies/maglev; Eisenbud and
//! others, "Maglev: a fast and reliable software network load balancer" (2016).
//! Validated by: the tables of Envoy's unit tests, below, and 600 recorded keys.

use super::hash;
use super::weights::Normalised;

/// A table of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    slots: Vec<u32>,
}

/// A host that is being given slots.
struct Candidate {
    host: u32,
    weight: f64,
    /// Its next slot by its own permutation.
    slot: u64,
    step: u64,
    target: f64,
}

/// A slot that nobody has.
const FREE: u32 = u32::MAX;

impl Table {
    /// The table of these hosts with `size` slots, a prime; `key` is a host's address.
    ///
    /// # Panics
    /// If the table has less than two slots.
    pub fn new<'a>(hosts: &[Normalised], size: u64, key: impl Fn(u32) -> &'a str) -> Self {
        assert!(size > 1, "a table has slots");
        if hosts.is_empty() {
            return Table { slots: Vec::new() };
        }
        let mut candidates: Vec<Candidate> = hosts
            .iter()
            .map(|host| Candidate {
                host: host.host,
                weight: host.weight,
                slot: hash::of(key(host.host)) % size,
                step: hash::seeded(key(host.host), 1) % (size - 1) + 1,
                target: 0.0,
            })
            .collect();
        candidates.sort_by_key(|candidate| key(candidate.host));
        let heaviest = hosts.iter().map(|host| host.weight).fold(0.0, f64::max);
        let mut slots = vec![FREE; size as usize];
        let mut left = size;
        let mut round = 0.0;
        while left > 0 {
            round += 1.0;
            for candidate in &mut candidates {
                if left == 0 || round * candidate.weight < candidate.target {
                    continue;
                }
                candidate.target += heaviest;
                while slots[candidate.slot as usize] != FREE {
                    candidate.slot = (candidate.slot + candidate.step) % size;
                }
                slots[candidate.slot as usize] = candidate.host;
                candidate.slot = (candidate.slot + candidate.step) % size;
                left -= 1;
            }
        }
        Table { slots }
    }

    /// The host of a hash, as the `attempt`-th choice from 0; `None` of an empty table.
    pub fn choose(&self, hash: u64, attempt: u32) -> Option<u32> {
        let hash = match attempt {
            0 => hash,
            // All bits set, less the attempt, plus one.
            _ => hash ^ u64::from(attempt).wrapping_neg(),
        };
        let slots = self.slots.len() as u64;
        let slot = hash.checked_rem(slots)?;
        Some(self.slots[slot as usize])
    }

    /// How many slots a host has.
    pub fn slots_of(&self, host: u32) -> usize {
        self.slots.iter().filter(|&&slot| slot == host).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights;
    use super::*;

    fn table(weights: &[(u32, u32)], size: u64) -> Table {
        let keys: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let hosts = weights::normalise(weights, 1.0);
        Table::new(&hosts, size, |host| &keys[host as usize])
    }

    #[test]
    fn the_table_is_that_of_envoys_unit_test() {
        // test/extensions/load_balancing_policies/maglev/maglev_lb_test.cc, Basic.
        let even = table(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], 7);
        assert_eq!(even.slots, [2, 4, 0, 1, 5, 0, 3]);
    }

    #[test]
    fn a_retry_changes_the_hash() {
        let even = table(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], 7);
        assert_eq!(even.choose(3, 0), Some(1));
        assert_eq!(
            even.choose(3, 1),
            Some(even.slots[((3 ^ u64::MAX) % 7) as usize])
        );
        assert_eq!(
            even.choose(3, 2),
            Some(even.slots[((3 ^ (u64::MAX - 1)) % 7) as usize])
        );
        assert_eq!(table(&[], 7).choose(3, 0), None);
    }

    #[test]
    fn slots_follow_weights() {
        let even = table(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], 65_537);
        let counts: Vec<usize> = (0..6).map(|host| even.slots_of(host)).collect();
        assert!(
            counts.iter().all(|count| [10_922, 10_923].contains(count)),
            "{counts:?}"
        );
        // As measured.
        let weighted = table(&[(0, 1), (1, 2), (2, 5), (3, 1), (4, 2), (5, 5)], 65_537);
        let counts: Vec<usize> = (0..6).map(|host| weighted.slots_of(host)).collect();
        assert_eq!(
            (counts.iter().min(), counts.iter().max()),
            (Some(&4_096), Some(&20_480))
        );
    }
}
