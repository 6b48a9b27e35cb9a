//! How IPVS chooses an endpoint.
//!
//! Models: the schedulers of Linux as kube-proxy uses them, with all weights at one, so that `wrr`
//! is `rr` and `wlc` is `lc`: a turn for each node and service; the fewest connections, of which
//! the first of equals; an idle one before all others; a table of 256 places found by the client's
//! or the service's address; Maglev's table.
//! Approximated: Maglev's permutations and places come from another key than the kernel's, so that
//! its table has the same shape and other entries; endpoints stand in the order of their numbers,
//! where the kernel has that in which they came.
//! Leaves out: connections that are closing, real servers that are drained at weight zero.
//! Sources: torvalds/linux net/netfilter/ipvs/ip_vs_rr.c, ip_vs_lc.c, ip_vs_sed.c, ip_vs_nq.c,
//! ip_vs_sh.c, ip_vs_dh.c, ip_vs_mh.c; kubernetes/kubernetes v1.30.5 pkg/proxy/ipvs.
//! Validated by: this file's tests.

use super::Scheduler;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// What a scheduler looks at.
pub struct Choice<'c> {
    /// Endpoints by number, at least one.
    pub endpoints: &'c [u32],
    /// Whose turn it is; moves on.
    pub turn: &'c mut u32,
    /// Connections of an endpoint.
    pub connections: &'c dyn Fn(u32) -> u32,
    /// Address of the client.
    pub client: u32,
    /// Address of the service.
    pub service: u32,
    /// Maglev's table for these endpoints, made when it is asked for.
    pub maglev: &'c mut Maglev,
}

/// Chooses one of the endpoints.
pub fn choose(scheduler: Scheduler, choice: Choice<'_>) -> u32 {
    let Choice {
        endpoints, turn, ..
    } = choice;
    let least = || {
        let mut all = endpoints.iter().copied();
        let first = all.next().expect("there is an endpoint");
        // Of equals the first stays.
        all.fold(first, |best, other| {
            match (choice.connections)(other) < (choice.connections)(best) {
                true => other,
                false => best,
            }
        })
    };
    let at_place = |address: u32| endpoints[place(address) % endpoints.len()];
    match scheduler {
        Scheduler::RoundRobin | Scheduler::WeightedRoundRobin => {
            let at = *turn as usize % endpoints.len();
            *turn = at as u32 + 1;
            endpoints[at]
        }
        // With weights of one, the shortest delay is with the fewest, and an idle one has none.
        Scheduler::LeastConnection
        | Scheduler::WeightedLeastConnection
        | Scheduler::ShortestExpectedDelay
        | Scheduler::NeverQueue => least(),
        Scheduler::SourceHashing => at_place(choice.client),
        Scheduler::DestinationHashing => at_place(choice.service),
        Scheduler::MaglevHashing => choice.maglev.find(endpoints, choice.client),
    }
}

/// One of 256 places; the places go round the endpoints.
fn place(address: u32) -> usize {
    const GOLDEN_RATIO: u32 = 0x61C8_8647;
    (address.wrapping_mul(GOLDEN_RATIO) >> 24) as usize
}

/// Places of Maglev's table: the prime that the kernel takes by default.
const MAGLEV_PLACES: u64 = 4_093;

/// Maglev's table.
#[derive(Clone, Debug, Default)]
pub struct Maglev {
    endpoints: Vec<u32>,
    places: Vec<u32>,
}

impl Maglev {
    fn find(&mut self, endpoints: &[u32], client: u32) -> u32 {
        if self.endpoints != endpoints {
            self.endpoints = endpoints.to_vec();
            self.places = Maglev::fill(endpoints);
        }
        self.places[(hash(2, client) % MAGLEV_PLACES) as usize]
    }

    /// In turn, each endpoint takes the next place of its permutation that is free.
    fn fill(endpoints: &[u32]) -> Vec<u32> {
        let mut places: Vec<Option<u32>> = vec![None; MAGLEV_PLACES as usize];
        let mut next: Vec<(u64, u64)> = endpoints
            .iter()
            .map(|&endpoint| {
                let skip = hash(1, endpoint) % (MAGLEV_PLACES - 1) + 1;
                (hash(0, endpoint) % MAGLEV_PLACES, skip)
            })
            .collect();
        for turn in 0..places.len() {
            let who = turn % endpoints.len();
            let (at, skip) = &mut next[who];
            while places[*at as usize].is_some() {
                *at = (*at + *skip) % MAGLEV_PLACES;
            }
            places[*at as usize] = Some(endpoints[who]);
        }
        let filled = places.into_iter();
        filled
            .map(|place| place.expect("as many turns as places"))
            .collect()
    }
}

fn hash(key: u64, number: u32) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, 0);
    hasher.write_u32(number);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Whom a scheduler chooses for clients 0 to `clients` of one service, none of which stays.
    fn chosen(scheduler: Scheduler, endpoints: &[u32], clients: u32) -> Vec<u32> {
        let (mut turn, mut maglev) = (0, Maglev::default());
        let one = |client| {
            let choice = Choice {
                endpoints,
                turn: &mut turn,
                connections: &|endpoint| endpoint % 3,
                client,
                service: 7,
                maglev: &mut maglev,
            };
            choose(scheduler, choice)
        };
        (0..clients).map(one).collect()
    }

    fn counts(chosen: &[u32]) -> BTreeMap<u32, u32> {
        let mut counts = BTreeMap::new();
        for one in chosen {
            *counts.entry(*one).or_default() += 1;
        }
        counts
    }

    #[test]
    fn turns_go_round() {
        let of = |scheduler| chosen(scheduler, &[4, 5, 8], 5);
        assert_eq!(of(Scheduler::RoundRobin), [4, 5, 8, 4, 5]);
        assert_eq!(of(Scheduler::WeightedRoundRobin), [4, 5, 8, 4, 5]);
    }

    #[test]
    fn the_first_of_those_with_the_fewest_connections_is_taken() {
        for scheduler in [
            Scheduler::LeastConnection,
            Scheduler::WeightedLeastConnection,
            Scheduler::ShortestExpectedDelay,
            Scheduler::NeverQueue,
        ] {
            assert_eq!(chosen(scheduler, &[5, 4, 7, 8], 1), [4]);
            assert_eq!(chosen(scheduler, &[5, 3, 9, 8], 1), [3]);
        }
    }

    #[test]
    fn a_source_keeps_its_endpoint_and_places_go_round() {
        let endpoints = [1, 2, 3];
        let all = chosen(Scheduler::SourceHashing, &endpoints, 10_000);
        assert_eq!(all, chosen(Scheduler::SourceHashing, &endpoints, 10_000));
        // 256 places on three endpoints: 86, 85 and 85.
        for (endpoint, places) in [(1, 86.0), (2, 85.0), (3, 85.0)] {
            let share = f64::from(counts(&all)[&endpoint]) / 10_000.0;
            assert!((share - places / 256.0).abs() < 0.005, "{share}");
        }
    }

    #[test]
    fn a_destination_has_one_endpoint() {
        let all = chosen(Scheduler::DestinationHashing, &[1, 2, 3], 100);
        assert_eq!(counts(&all).len(), 1);
    }

    #[test]
    fn maglev_is_even_and_hardly_moves_anyone() {
        let before = Maglev::fill(&[1, 2, 3, 4, 5]);
        let sizes = counts(&before);
        assert!(sizes.values().all(|size| (818..=819).contains(size)));
        let after = Maglev::fill(&[1, 2, 4, 5]);
        let stayed = before.iter().zip(&after).filter(|(old, _)| **old != 3);
        let moved = stayed.clone().filter(|(old, new)| old != new).count();
        let share = moved as f64 / stayed.count() as f64;
        assert!(share < 0.2, "{share} of the others moved");
        let all = chosen(Scheduler::MaglevHashing, &[1, 2, 3, 4, 5], 1_000);
        assert_eq!(counts(&all).len(), 5);
    }
}
