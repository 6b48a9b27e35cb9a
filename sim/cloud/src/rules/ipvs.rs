//! How IPVS chooses an endpoint.
//!
//! Models: the schedulers of Linux as kube-proxy uses them, with all weights at one, so that `wrr`
//! is `rr` and `wlc` is `lc`. The kernel puts each new endpoint before all others, so that the last
//! to come is the first of its list: a turn for each node and service goes down the list, on from
//! the one that was last, be it there or not; of those with the fewest connections the first of the
//! list is taken, which is an idle one if there is any; a table of 256 places goes round the list,
//! found by the client's or the service's address; Maglev's table is filled down the list. Hashes
//! are the kernel's.
//! Approximated: endpoints come in the order of their numbers; Maglev's permutations follow from
//! those too, where the kernel has addresses and ports; `wrr` goes on like `rr` when endpoints come
//! or go, where the kernel begins at the head of the list.
//! Leaves out: connections that are closing, which `lc` and `wlc` count 256 times less and the
//! others not at all; real servers that are drained at weight zero.
//! Sources: torvalds/linux net/netfilter/ipvs/ip_vs_ctl.c (list_add_rcu of destinations), ip_vs_rr.c,
//! ip_vs_wrr.c, ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c, ip_vs_sh.c, ip_vs_dh.c, ip_vs_mh.c,
//! lib/siphash.c; kubernetes/kubernetes v1.30.5 pkg/proxy/ipvs.
//! Validated by: this file's tests, the kernel's own vectors of its hash among them.

use super::Scheduler;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// What a scheduler looks at.
pub struct Choice<'c> {
    /// Endpoints by number, ascending, at least one.
    pub endpoints: &'c [u32],
    /// One more than the number of the endpoint whose turn it was last, zero before any; moves on.
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
    // The list of the kernel: the last to come is its head.
    let mut list = endpoints.iter().rev().copied();
    let head = endpoints[endpoints.len() - 1];
    let at_place = |address: u32| endpoints[endpoints.len() - 1 - place(address) % endpoints.len()];
    match scheduler {
        Scheduler::RoundRobin | Scheduler::WeightedRoundRobin => {
            let next = list.find(|endpoint| endpoint + 1 < *turn).unwrap_or(head);
            *turn = next + 1;
            next
        }
        // With weights of one, the shortest delay is with the fewest, and an idle one has none.
        Scheduler::LeastConnection
        | Scheduler::WeightedLeastConnection
        | Scheduler::ShortestExpectedDelay
        | Scheduler::NeverQueue => list.fold(head, |best, other| {
            // Of equals the first stays.
            match (choice.connections)(other) < (choice.connections)(best) {
                true => other,
                false => best,
            }
        }),
        Scheduler::SourceHashing => at_place(choice.client),
        Scheduler::DestinationHashing => at_place(choice.service),
        Scheduler::MaglevHashing => choice.maglev.find(endpoints, choice.client),
    }
}

/// One of 256 places, as `hash_32` of the kernel finds it; they go round the endpoints.
fn place(address: u32) -> usize {
    const GOLDEN_RATIO: u32 = 0x61C8_8647;
    (address.wrapping_mul(GOLDEN_RATIO) >> 24) as usize
}

/// Places of Maglev's table: the prime that the kernel takes by default.
const MAGLEV_PLACES: u32 = 4_093;

/// Keys of the kernel for where a permutation begins, and for its steps.
const FIRST_KEY: [u64; 2] = [2_654_435_761; 2];
const SECOND_KEY: [u64; 2] = [2_654_446_892; 2];

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
        self.places[(hash(FIRST_KEY, client) % MAGLEV_PLACES) as usize]
    }

    /// In turn, each endpoint takes the next place of its permutation that is free.
    fn fill(endpoints: &[u32]) -> Vec<u32> {
        let mut places: Vec<Option<u32>> = vec![None; MAGLEV_PLACES as usize];
        let list: Vec<u32> = endpoints.iter().rev().copied().collect();
        let mut next: Vec<(u32, u32)> = list
            .iter()
            .map(|&endpoint| {
                let skip = hash(SECOND_KEY, endpoint) % (MAGLEV_PLACES - 1) + 1;
                (hash(FIRST_KEY, endpoint) % MAGLEV_PLACES, skip)
            })
            .collect();
        for turn in 0..places.len() {
            let who = turn % list.len();
            let (at, skip) = &mut next[who];
            while places[*at as usize].is_some() {
                *at = (*at + *skip) % MAGLEV_PLACES;
            }
            places[*at as usize] = Some(list[who]);
        }
        let filled = places.into_iter();
        filled
            .map(|place| place.expect("as many turns as places"))
            .collect()
    }
}

/// `hsiphash` of the kernel on machines of 64 bits: the lower half of SipHash-1-3.
fn hash(key: [u64; 2], number: u32) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    hasher.write(&number.to_le_bytes());
    hasher.finish() as u32
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
        assert_eq!(of(Scheduler::RoundRobin), [8, 5, 4, 8, 5]);
        assert_eq!(of(Scheduler::WeightedRoundRobin), [8, 5, 4, 8, 5]);
    }

    #[test]
    fn a_turn_goes_on_from_an_endpoint_that_is_gone() {
        let (mut turn, mut maglev) = (0, Maglev::default());
        let mut next = |endpoints: &[u32]| {
            let choice = Choice {
                endpoints,
                turn: &mut turn,
                connections: &|_| 0,
                client: 1,
                service: 7,
                maglev: &mut maglev,
            };
            choose(Scheduler::RoundRobin, choice)
        };
        assert_eq!(next(&[0, 1, 2, 3]), 3);
        assert_eq!(next(&[0, 1, 2, 3]), 2);
        // One more comes before the head: its turn is after the rest of the list.
        assert_eq!(next(&[0, 1, 2, 3, 4]), 1);
        // The one whose turn it was goes.
        assert_eq!(next(&[0, 2, 3, 4]), 0);
        assert_eq!(next(&[0, 2, 3, 4]), 4);
        assert_eq!(next(&[0, 2]), 2);
    }

    #[test]
    fn the_hash_is_that_of_the_kernel() {
        // The fifth vector of lib/test_siphash.c: four bytes, 0 to 3.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(hash(key, 0x0302_0100), 0x88d3_8328);
    }

    #[test]
    fn the_first_of_those_with_the_fewest_connections_is_taken() {
        for scheduler in [
            Scheduler::LeastConnection,
            Scheduler::WeightedLeastConnection,
            Scheduler::ShortestExpectedDelay,
            Scheduler::NeverQueue,
        ] {
            // One connection on the fourth and the seventh, two on the others.
            assert_eq!(chosen(scheduler, &[4, 5, 7, 8], 1), [7]);
            assert_eq!(chosen(scheduler, &[3, 5, 8, 9], 1), [9]);
            assert_eq!(chosen(scheduler, &[3, 5, 8], 1), [3]);
        }
    }

    #[test]
    fn a_source_keeps_its_endpoint_and_places_go_round() {
        let endpoints = [1, 2, 3];
        let all = chosen(Scheduler::SourceHashing, &endpoints, 10_000);
        assert_eq!(all, chosen(Scheduler::SourceHashing, &endpoints, 10_000));
        // 256 places on three endpoints: 86, 85 and 85.
        for (endpoint, places) in [(3, 86.0), (2, 85.0), (1, 85.0)] {
            let share = f64::from(counts(&all)[&endpoint]) / 10_000.0;
            assert!((share - places / 256.0).abs() < 0.005, "{share}");
        }
        // 192.0.2.1 times the golden ratio of the kernel begins with 50, and that is 2 of three.
        assert_eq!(place(0xC000_0201), 50);
        let choice = Choice {
            endpoints: &endpoints,
            turn: &mut 0,
            connections: &|_| 0,
            client: 0xC000_0201,
            service: 7,
            maglev: &mut Maglev::default(),
        };
        assert_eq!(choose(Scheduler::SourceHashing, choice), 1);
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
