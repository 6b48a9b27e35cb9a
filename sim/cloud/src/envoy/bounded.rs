//! Bounded load: a key's host is passed over while it has more than its part of the requests.
//!
//! Models: the slots of a host, its part of the active requests times the factor, at least one;
//! the walk over all hosts in an order that depends on the key alone when the key's host is
//! overloaded, up to the first that is not, or the least overloaded of all. Exact: the order is
//! shuffled by Envoy's use of mt19937.
//! Sources: envoyproxy/envoy
//! source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc; Mirrokni and
//! others, "Consistent hashing with bounded loads" (2016).
//! Validated by: the tests below; published answers of the generator; the recordings
//! `bounded_load_*` in tests/parity/envoy.

use super::weights::Normalised;

/// Requests of a host over those that it may have.
fn overload(active: u32, all_active: u32, percent: u32, weight: f64) -> f64 {
    let total = ((u64::from(all_active) + 1) * u64::from(percent)).div_ceil(100);
    let slots = (total as f64 * weight).ceil().max(1.0);
    f64::from(active) / slots
}

/// The host that a request with this hash gets, if `found` is its host by ring or table.
///
/// `percent` is the factor; `active` tells the requests that a host holds. `order` is the
/// caller's scratch, so that no memory is taken.
pub fn choose(
    hosts: &[Normalised],
    found: u32,
    hash: u64,
    percent: u32,
    active: impl Fn(u32) -> u32,
    order: &mut Vec<u32>,
) -> u32 {
    let all_active = hosts.iter().map(|host| active(host.host)).sum();
    let load = |host: &Normalised| overload(active(host.host), all_active, percent, host.weight);
    let Some(own) = hosts.iter().find(|host| host.host == found) else {
        return found;
    };
    let mut least = (load(own), found);
    if least.0 <= 1.0 {
        return found;
    }
    order.clear();
    order.extend(0..hosts.len() as u32);
    let mut generator = Mersenne::new(hash as u32);
    for index in 0..hosts.len() {
        let other = index + generator.below((hosts.len() - index) as u32) as usize;
        order.swap(index, other);
        let host = &hosts[order[index] as usize];
        if host.host == found {
            continue;
        }
        let overload = load(host);
        if overload <= 1.0 {
            return host.host;
        }
        if overload < least.0 {
            least = (overload, host.host);
        }
    }
    least.1
}

/// The generator mt19937 of M. Matsumoto and T. Nishimura (1998), as C++ has it.
struct Mersenne {
    state: [u32; Mersenne::WORDS],
    next: usize,
}

impl Mersenne {
    const WORDS: usize = 624;
    const MIDDLE: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Mersenne::WORDS];
        for index in 1..Mersenne::WORDS {
            let before = state[index - 1];
            state[index] = 1_812_433_253u32
                .wrapping_mul(before ^ (before >> 30))
                .wrapping_add(index as u32);
        }
        Mersenne {
            state,
            next: Mersenne::WORDS,
        }
    }

    fn twist(&mut self) {
        for index in 0..Mersenne::WORDS {
            let high = self.state[index] & 0x8000_0000;
            let low = self.state[(index + 1) % Mersenne::WORDS] & 0x7fff_ffff;
            let both = high | low;
            let odd = if both & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] =
                self.state[(index + Mersenne::MIDDLE) % Mersenne::WORDS] ^ (both >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == Mersenne::WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Uniform below `bound`, by division and rejection as Envoy does it.
    fn below(&mut self, bound: u32) -> u32 {
        let width = (1 << 32) / u64::from(bound);
        loop {
            let value = (u64::from(self.word()) / width) as u32;
            if value < bound {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights;
    use super::*;

    #[test]
    fn the_generator_is_mt19937() {
        // The C++ standard: the 10,000th word of a default-seeded one.
        let mut generator = Mersenne::new(5489);
        assert_eq!(generator.word(), 3_499_211_612);
        let last = (0..9_999).map(|_| generator.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn a_host_keeps_its_keys_up_to_its_part() {
        let hosts = weights::normalise(&[(0, 1), (1, 1), (2, 1), (3, 1)], 1.0);
        let mut order = Vec::new();
        let mut chosen =
            |loads: [u32; 4]| choose(&hosts, 2, 77, 125, |host| loads[host as usize], &mut order);
        // Nine are active: (9 + 1) x 1.25 = 12.5, so 13 slots, 3.25 and so 4 of each.
        assert_eq!(chosen([2, 2, 4, 1]), 2);
        assert_ne!(chosen([2, 2, 5, 0]), 2);
        // With all but one overloaded, that one is taken.
        assert_eq!(chosen([90, 1, 90, 90]), 1);
    }

    #[test]
    fn with_all_overloaded_the_least_is_taken() {
        let hosts = weights::normalise(&[(0, 1), (1, 1)], 1.0);
        // Eight are active, a factor of a half: ceil(9 x 0.5) = 5 slots, 3 of each.
        let chosen = choose(
            &hosts,
            0,
            1,
            50,
            |host| [4, 4][host as usize],
            &mut Vec::new(),
        );
        assert_eq!(chosen, 0, "the key's own host, if no other has less");
        let chosen = choose(
            &hosts,
            0,
            1,
            50,
            |host| [6, 4][host as usize],
            &mut Vec::new(),
        );
        assert_eq!(chosen, 1);
    }

    #[test]
    fn the_way_around_depends_on_the_key_alone() {
        let hosts = weights::normalise(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)], 1.0);
        let mut seen = [false; 5];
        for hash in 0..40 {
            let around = |_| {
                let load = |host| if host == 0 { 50 } else { 0 };
                choose(&hosts, 0, hash, 100, load, &mut Vec::new())
            };
            assert_eq!(around(0), around(1));
            seen[around(0) as usize] = true;
        }
        assert_eq!(seen, [false, true, true, true, true]);
    }
}
