//! Choosing one endpoint among several: one file per policy, pure functions of what the
//! chooser can see. None of them ever chooses outside `0..endpoints`.
//!
//! Leaves out: weights and localities (they come with the mesh).

mod random;
mod round_robin;
mod shortest_queue;

use crate::envoy::least_request;
use crate::scenario::Balance;
use engine::Draw;

pub(crate) use round_robin::Turn;

/// Chooses one of `endpoints` (at least one). `turn` is the chooser's own memory, `load`
/// tells how many requests an endpoint holds as the chooser sees it.
pub(crate) fn choose(
    balance: Balance,
    endpoints: u32,
    turn: &mut Turn,
    draw: &mut Draw,
    load: impl Fn(u32) -> u32,
) -> u32 {
    debug_assert!(endpoints > 0, "nothing to choose from");
    match balance {
        Balance::Random => random::choose(endpoints, draw),
        Balance::RoundRobin => turn.choose(endpoints),
        Balance::LeastRequest { choices } => least_request::among(choices, endpoints, draw, load),
        Balance::ShortestQueue => shortest_queue::choose(endpoints, draw, load),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};
    use proptest::prelude::*;

    const POLICIES: [Balance; 4] = [
        Balance::Random,
        Balance::RoundRobin,
        Balance::LeastRequest { choices: 2 },
        Balance::ShortestQueue,
    ];

    proptest! {
        #[test]
        fn no_policy_chooses_an_absent_endpoint(endpoints in 1u32..40, seed: u64, start: u32) {
            let seed = Seed { master: seed, replication: 0 };
            let stream = Stream::new(seed, "test");
            for policy in POLICIES {
                let mut turn = Turn::starting_at(start);
                for request in 0..20 {
                    let mut draw = stream.draw(request, 0);
                    let chosen = choose(policy, endpoints, &mut turn, &mut draw, |endpoint| endpoint % 3);
                    prop_assert!(chosen < endpoints);
                }
            }
        }

        #[test]
        fn the_shortest_queue_is_chosen(loads in prop::collection::vec(0u32..5, 1..20)) {
            let stream = Stream::new(Seed { master: 1, replication: 0 }, "test");
            let least = *loads.iter().min().unwrap();
            let chosen = choose(Balance::ShortestQueue, loads.len() as u32, &mut Turn::default(), &mut stream.draw(0, 0), |endpoint| loads[endpoint as usize]);
            prop_assert_eq!(loads[chosen as usize], least);
        }
    }
}
