//! Weights of hosts as parts of a whole, for rings, tables and bounded load.
//!
//! Models: a host's weight over the sum of its locality's, times the locality's own part where
//! localities are weighted; localities of weight zero are left out.
//! Sources: envoyproxy/envoy
//! source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc.
//! Validated by: the tests below.

/// A host and its part of the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalised {
    /// The host.
    pub host: u32,
    /// Its part; all parts add up to one.
    pub weight: f64,
}

/// Hosts with their weights as parts of `part`.
pub fn normalise(hosts: &[(u32, u32)], part: f64) -> Vec<Normalised> {
    let sum: u64 = hosts.iter().map(|&(_, weight)| u64::from(weight)).sum();
    let share = |weight: u32| f64::from(weight) * part / sum as f64;
    let hosts = hosts.iter();
    hosts
        .map(|&(host, weight)| Normalised {
            host,
            weight: share(weight),
        })
        .collect()
}

/// Hosts of weighted localities with their parts of the whole.
pub fn normalise_localities(localities: &[(&[(u32, u32)], u32)]) -> Vec<Normalised> {
    let sum: u64 = localities
        .iter()
        .map(|&(_, weight)| u64::from(weight))
        .sum();
    let weighted = localities.iter().filter(|&&(_, weight)| weight > 0);
    weighted
        .flat_map(|&(hosts, weight)| normalise(hosts, f64::from(weight) / sum as f64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_over_localities() {
        let parts = |hosts: Vec<Normalised>| -> Vec<(u32, f64)> {
            hosts.iter().map(|host| (host.host, host.weight)).collect()
        };
        let near: &[(u32, u32)] = &[(0, 1), (1, 3)];
        let far: &[(u32, u32)] = &[(2, 7)];
        assert_eq!(parts(normalise(near, 1.0)), [(0, 0.25), (1, 0.75)]);
        let both = normalise_localities(&[(near, 1), (far, 1)]);
        assert_eq!(parts(both), [(0, 0.125), (1, 0.375), (2, 0.5)]);
        let one = normalise_localities(&[(near, 0), (far, 5)]);
        assert_eq!(parts(one), [(2, 1.0)]);
        assert!(normalise_localities(&[(near, 0)]).is_empty());
    }
}
