//! LEAST_REQUEST: the host with the fewest active requests among a few, or by weight.
//!
//! Models: with equal weights, a number of samples with replacement, of which strictly fewer
//! active requests win, so that the first sampled wins a tie; or a scan of all, in which those
//! that tie are alike. With unequal weights a schedule (see `schedule`) in which a host weighs
//! w / (active + 1)^bias at the time it is picked.
//! Leaves out: the option to count requests that wait for a connection, new in 2026 and off.
//! Sources: envoyproxy/envoy source/extensions/load_balancing_policies/least_request.
//! Validated by: the tests below, recorded shares with a slow host, and recorded picks of
//! weights 1, 1, 4.

use engine::Draw;

/// Which hosts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// So many, sampled with replacement.
    Choices(u32),
    /// All.
    FullScan,
}

/// An index below `hosts`; `active` tells the requests of the host at an index.
pub fn choose(
    selection: Selection,
    hosts: u32,
    draw: &mut Draw,
    active: impl Fn(u32) -> u32,
) -> u32 {
    match selection {
        Selection::Choices(choices) => among(choices, hosts, draw, active),
        Selection::FullScan => among_all(hosts, draw, active),
    }
}

/// The least loaded of a few drawn with replacement; the first drawn wins a tie. With two draws
/// this is "power of two choices" (Mitzenmacher 1996).
pub fn among(choices: u32, hosts: u32, draw: &mut Draw, active: impl Fn(u32) -> u32) -> u32 {
    let mut best = draw.below(hosts);
    for _ in 1..choices {
        let other = draw.below(hosts);
        if active(other) < active(best) {
            best = other;
        }
    }
    best
}

/// The least loaded of all; the k-th that ties replaces the one before with probability 1/k.
fn among_all(hosts: u32, draw: &mut Draw, active: impl Fn(u32) -> u32) -> u32 {
    let (mut best, mut ties) = (0, 1);
    for other in 1..hosts {
        if active(other) < active(best) {
            (best, ties) = (other, 1);
        } else if active(other) == active(best) {
            ties += 1;
            if draw.below(ties) == 0 {
                best = other;
            }
        }
    }
    best
}

/// What a host weighs that holds so many requests.
pub fn weight(weight: f64, active: u32, bias: f64) -> f64 {
    let held = f64::from(active) + 1.0;
    match bias {
        0.0 => weight,
        1.0 => weight / held,
        bias => weight / libm::pow(held, bias),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn shares(selection: Selection, loads: &[u32]) -> Vec<f64> {
        let stream = Stream::new(Seed::default(), "least request");
        let mut counts = vec![0u32; loads.len()];
        for request in 0..40_000 {
            let mut draw = stream.draw(request, 0);
            let active = |host: u32| loads[host as usize];
            let host = choose(selection, loads.len() as u32, &mut draw, active);
            counts[host as usize] += 1;
        }
        counts
            .iter()
            .map(|&count| f64::from(count) / 40_000.0)
            .collect()
    }

    #[test]
    fn of_two_the_less_loaded_wins() {
        // The busiest of four is chosen only if it is drawn twice.
        let shares = shares(Selection::Choices(2), &[1, 1, 1, 9]);
        assert!((shares[3] - 1.0 / 16.0).abs() < 0.005, "{shares:?}");
        assert!((shares[0] - 5.0 / 16.0).abs() < 0.01, "{shares:?}");
    }

    #[test]
    fn a_scan_is_fair_to_those_that_tie() {
        let shares = shares(Selection::FullScan, &[2, 1, 3, 1, 1]);
        for (share, expected) in shares
            .iter()
            .zip([0.0, 1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0])
        {
            assert!((share - expected).abs() < 0.01, "{shares:?}");
        }
    }

    #[test]
    fn requests_weigh_a_host_down() {
        assert_eq!(weight(6.0, 2, 1.0), 2.0);
        assert_eq!(weight(6.0, 2, 0.0), 6.0);
        assert_eq!(weight(9.0, 2, 2.0), 1.0);
    }
}
