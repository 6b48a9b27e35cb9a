//! Zone-aware routing: requests stay in the proxy's own zone as far as that is fair.
//!
//! Models: when it is off; all to the own zone if it has at least as large a part of the
//! upstream hosts as of the callers; otherwise the part that its hosts can carry, and the rest
//! over the zones that have hosts to spare, in ten-thousandths.
//! Approximated: callers count as healthy.
//! Leaves out: the share of requests it is enabled for, which is all.
//! Sources: envoyproxy/envoy
//! source/extensions/load_balancing_policies/common/load_balancer_impl.cc,
//! regenerateLocalityRoutingStructures and tryChooseLocalLocalityHosts.
//! Validated by: the examples of Envoy's comments, below; the recordings `zone_aware_*` in
//! tests/parity/envoy.

use engine::Draw;

/// One zone; the proxy's own comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Callers in it: proxies like the one that asks.
    pub callers: u32,
    /// Upstream hosts in it.
    pub hosts: u32,
    /// Those of them that are healthy.
    pub healthy: u32,
}

/// How requests of one proxy are spread over zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Zones do not matter.
    Off,
    /// All stay in the own zone.
    Direct,
    /// Some stay.
    Residual {
        /// Ten-thousandths that stay in the own zone.
        local: u64,
        /// Spare capacity of zones, each with those before it.
        spare: Vec<u64>,
    },
}

const WHOLE: u64 = 10_000;

/// How a proxy spreads its requests over these zones.
pub fn routing(zones: &[Zone], hosts_min: u32) -> Routing {
    let callers: u32 = zones.iter().map(|zone| zone.callers).sum();
    let healthy: u32 = zones.iter().map(|zone| zone.healthy).sum();
    let with = |count: fn(&Zone) -> u32| zones.iter().filter(|zone| count(zone) > 0).count();
    let spread = with(|zone| zone.hosts) >= 2 && with(|zone| zone.callers) >= 2;
    if !spread || zones[0].callers == 0 || healthy < hosts_min {
        return Routing::Off;
    }
    let part = |count: u32, of: u32| WHOLE * u64::from(count) / u64::from(of);
    let parts: Vec<(u64, u64)> = zones
        .iter()
        .map(|zone| match zone.healthy {
            0 => (0, 0),
            count => (part(zone.callers, callers), part(count, healthy)),
        })
        .collect();
    let (own_callers, own_healthy) = parts[0];
    if own_healthy > 0 && own_healthy >= own_callers {
        return Routing::Direct;
    }
    let mut sum = 0;
    let spare = parts.iter().enumerate().map(|(zone, &(callers, healthy))| {
        sum += if zone == 0 {
            0
        } else {
            healthy.saturating_sub(callers)
        };
        sum
    });
    Routing::Residual {
        spare: spare.collect(),
        local: (own_healthy * WHOLE).checked_div(own_callers).unwrap_or(0),
    }
}

impl Routing {
    /// The zone of a request; `None` if zones do not matter.
    pub fn choose(&self, draw: &mut Draw) -> Option<usize> {
        let (local, spare) = match self {
            Routing::Off => return None,
            Routing::Direct => return Some(0),
            Routing::Residual { local, spare } => (*local, spare),
        };
        if u64::from(draw.below(WHOLE as u32)) < local {
            return Some(0);
        }
        let all = spare.last().copied().unwrap_or(0);
        if all == 0 {
            return Some(draw.below(spare.len() as u32) as usize);
        }
        let sought = u64::from(draw.below(all as u32));
        Some(spare.partition_point(|&reached| reached <= sought))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    const HOSTS_MIN: u32 = 6;

    fn zones(counts: &[(u32, u32)]) -> Vec<Zone> {
        let zone = |&(callers, hosts): &(u32, u32)| Zone {
            callers,
            hosts,
            healthy: hosts,
        };
        counts.iter().map(zone).collect()
    }

    #[test]
    fn enough_hosts_in_the_own_zone_take_all() {
        assert_eq!(
            routing(&zones(&[(2, 3), (2, 3)]), HOSTS_MIN),
            Routing::Direct
        );
        assert_eq!(
            routing(&zones(&[(1, 3), (3, 3)]), HOSTS_MIN),
            Routing::Direct
        );
    }

    #[test]
    fn too_few_hosts_share_with_those_that_have_some_to_spare() {
        // The example of the comment: 40, 40, 20 % of the callers; 25, 50, 25 % of the hosts.
        let routing = routing(&zones(&[(2, 5), (2, 10), (1, 5)]), HOSTS_MIN);
        let expected = Routing::Residual {
            local: 6_250,
            spare: vec![0, 1_000, 1_500],
        };
        assert_eq!(routing, expected);
        let stream = Stream::new(Seed::default(), "zones");
        let mut counts = [0; 3];
        for request in 0..60_000 {
            counts[routing.choose(&mut stream.draw(request, 0)).unwrap()] += 1;
        }
        for (count, part) in counts.iter().zip([0.625, 0.25, 0.125]) {
            assert!(
                (f64::from(*count) / 60_000.0 - part).abs() < 0.007,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn small_or_unknown_clusters_are_not_split() {
        for counts in [
            [(2, 2), (2, 3)],
            [(0, 6), (2, 6)],
            [(2, 6), (0, 6)],
            [(2, 12), (2, 0)],
        ] {
            assert_eq!(
                routing(&zones(&counts), HOSTS_MIN),
                Routing::Off,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn an_own_zone_without_hosts_gets_nothing() {
        let routing = routing(&zones(&[(2, 0), (2, 6), (0, 6)]), HOSTS_MIN);
        let expected = Routing::Residual {
            local: 0,
            spare: vec![0, 0, 5_000],
        };
        assert_eq!(routing, expected);
    }
}
