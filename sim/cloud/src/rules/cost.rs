//! What a node's rules cost the first packet of a connection.
//!
//! Models: in iptables a packet passes the rules of other services until it meets its own, whose
//! place is uniform among all and drawn anew at each sync; each rule costs little while the rules
//! are in the processor's cache, more when they are not, and most when others use the memory
//! too; the larger the rules, the fewer walks are warm. nftables and ipvs look the service up, at
//! a cost that does not depend on how many there are. Later packets of a connection meet no rule.
//! Approximated: the three costs and their shares are a fit to medians and 99 % quantiles of three
//! sizes, not a measurement of caches; published medians of 5000 and 10 000 services differ by
//! less than any walk that grows with the rules could explain, so the fit takes the middle.
//! Leaves out: the length of a rule, processors other than that of the chart, and what a walk
//! takes from the processor.
//! Sources: [`crate::facts`], kubernetes/enhancements 3866.
//! Validated by: the quantiles of the chart; draws against the closed form, in this file's tests.

use super::Mode;
use crate::facts;
use engine::{Draw, Duration};

/// How warm the rules are that one walk passes: its share of walks, and nanoseconds per rule.
type Warmth = (f64, f64);

/// The three kinds of walks over `rules` rules.
fn warmths(rules: f64) -> [Warmth; 3] {
    let fitting = (facts::SERVICE_RULES_CACHED.value / rules).min(1.0);
    let warm = facts::SERVICE_RULES_WARM_SHARE.value * fitting;
    let contended = (1.0 - warm) * facts::SERVICE_RULES_CONTENDED_SHARE.value;
    [
        (warm, facts::SERVICE_RULE_WARM_NANOS.value),
        (1.0 - warm - contended, facts::SERVICE_RULE_COLD_NANOS.value),
        (contended, facts::SERVICE_RULE_CONTENDED_NANOS.value),
    ]
}

/// Rules that a packet passes beyond those of a lone service with one endpoint: those of
/// services before its own, half of those that choose among endpoints, and, with affinity, those
/// that ask each endpoint whether it knows the client. `position` counts from one.
pub fn extra_rules(position: u32, endpoints: u32, affinity: Affinity) -> f64 {
    let choosing = f64::from(endpoints.saturating_sub(1)) / 2.0;
    let remembering = match affinity {
        Affinity::None => 0.0,
        Affinity::Client => f64::from(endpoints),
    };
    f64::from(position - 1) + choosing + remembering
}

/// Whether a service remembers its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// No.
    None,
    /// `sessionAffinity: ClientIP`.
    Client,
}

/// What a walk over `passed` of `rules` rules takes; nothing in the modes that look services up.
pub fn walk(mode: Mode, passed: f64, rules: u32, draw: &mut Draw) -> Duration {
    if mode != Mode::Iptables || passed == 0.0 {
        return Duration::ZERO;
    }
    let nanos = per_rule(f64::from(rules), draw.uniform());
    Duration::from_nanos((passed * nanos).round() as u64)
}

/// Nanoseconds per rule at a uniform number.
fn per_rule(rules: f64, uniform: f64) -> f64 {
    let [(warm, warm_nanos), (cold, cold_nanos), (_, contended_nanos)] = warmths(rules);
    if uniform < warm {
        warm_nanos
    } else if uniform < warm + cold {
        cold_nanos
    } else {
        contended_nanos
    }
}

/// The round trip of a first packet between two pods of an idle network, in nanoseconds: what
/// a look-up takes, and in iptables the walk to a place that is uniform among all.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstPacket {
    /// Shares of walks, and what each takes to the very last rule. Empty without walks.
    walks: Vec<(f64, f64)>,
}

/// Probabilities and nanoseconds of the look-up alone; linear in between.
fn look_up() -> [(f64, f64); 6] {
    [
        (0.0, facts::SERVICE_MAP_ROUND_TRIP_MIN),
        (0.01, facts::SERVICE_MAP_ROUND_TRIP_P01),
        (0.5, facts::SERVICE_MAP_ROUND_TRIP_P50),
        (0.9, facts::SERVICE_MAP_ROUND_TRIP_P90),
        (0.99, facts::SERVICE_MAP_ROUND_TRIP_P99),
        (1.0, facts::SERVICE_MAP_ROUND_TRIP_MAX),
    ]
    .map(|(probability, fact)| (probability, fact.value.as_nanos() as f64))
}

/// A probability's place among points that ascend in both, or the way back.
fn between(low: (f64, f64), high: (f64, f64), at: f64) -> f64 {
    low.1 + (high.1 - low.1) * (at - low.0) / (high.0 - low.0)
}

fn look_up_quantile(probability: f64) -> f64 {
    let points = look_up();
    let above = points.iter().position(|point| point.0 >= probability);
    let above = above.unwrap_or(points.len() - 1).max(1);
    between(points[above - 1], points[above], probability)
}

fn look_up_cdf(nanos: f64) -> f64 {
    let points = look_up().map(|(probability, nanos)| (nanos, probability));
    match points.iter().position(|point| point.0 >= nanos) {
        Some(0) => 0.0,
        Some(above) => between(points[above - 1], points[above], nanos),
        None => 1.0,
    }
}

/// The integral of [`look_up_cdf`] from below up to `nanos`.
fn look_up_cdf_integral(nanos: f64) -> f64 {
    let points = look_up();
    let within: f64 = points
        .windows(2)
        .filter(|ends| nanos > ends[0].1)
        .map(|ends| {
            let end = nanos.min(ends[1].1);
            (end - ends[0].1) * ends[0].0.midpoint(look_up_cdf(end))
        })
        .sum();
    within + (nanos - points[points.len() - 1].1).max(0.0)
}

impl FirstPacket {
    /// Among the rules of `services` service ports.
    pub fn new(mode: Mode, services: u32) -> FirstPacket {
        let rules = f64::from(services);
        let walks = match mode {
            Mode::Iptables if services > 0 => warmths(rules)
                .map(|(share, nanos)| (share, nanos * rules))
                .to_vec(),
            _ => Vec::new(),
        };
        FirstPacket { walks }
    }

    /// Probability of at most so many nanoseconds: the look-up's, averaged over all places.
    pub fn cdf(&self, nanos: f64) -> f64 {
        if self.walks.is_empty() {
            return look_up_cdf(nanos);
        }
        let average =
            |walk: f64| (look_up_cdf_integral(nanos) - look_up_cdf_integral(nanos - walk)) / walk;
        self.walks
            .iter()
            .map(|&(share, walk)| share * average(walk))
            .sum()
    }

    /// Nanoseconds that a packet stays below with this probability, to less than one.
    pub fn quantile(&self, probability: f64) -> f64 {
        if self.walks.is_empty() {
            return look_up_quantile(probability);
        }
        let longest = self.walks.iter().map(|walk| walk.1).fold(0.0, f64::max);
        let (mut low, mut high) = (look_up_quantile(0.0), look_up_quantile(1.0) + longest);
        while high - low > 0.5 {
            let middle = low.midpoint(high);
            if self.cdf(middle) < probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        low.midpoint(high)
    }

    /// Nanoseconds of one packet: look-up, place, warmth.
    pub fn sample(&self, draw: &mut Draw) -> f64 {
        let look_up = look_up_quantile(draw.uniform());
        let (place, mut left) = (draw.uniform(), draw.uniform());
        for &(share, walk) in &self.walks {
            if left < share {
                return look_up + place * walk;
            }
            left -= share;
        }
        // Without walks, or where the shares end an ulp below one.
        let last = self.walks.last().map_or(0.0, |walk| walk.1);
        look_up + place * last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    /// Services; microseconds that half and 99 % of packets stayed below, in KEP-3866's chart.
    const IPTABLES: [(u32, f64, f64); 3] = [
        (5_000, 49.0, 156.0),
        (10_000, 61.0, 262.0),
        (30_000, 274.0, 716.0),
    ];

    fn near(ours: f64, published: f64) {
        assert!(
            (ours / published - 1.0).abs() < 0.15,
            "{ours} against {published}"
        );
    }

    #[test]
    fn iptables_is_within_15_percent_of_the_chart() {
        for (services, median, p99) in IPTABLES {
            let cost = FirstPacket::new(Mode::Iptables, services);
            near(cost.quantile(0.5) / 1e3, median);
            near(cost.quantile(0.99) / 1e3, p99);
        }
    }

    #[test]
    fn nftables_is_as_in_the_chart_whatever_the_number() {
        for services in [0, 5_000, 10_000, 30_000] {
            let cost = FirstPacket::new(Mode::Nftables, services);
            assert_eq!(cost.quantile(0.5), 14_000.0);
            assert_eq!(cost.quantile(0.99), 37_000.0);
        }
    }

    #[test]
    fn quantiles_and_probabilities_are_each_other_s_inverse() {
        for mode in [Mode::Iptables, Mode::Nftables] {
            let cost = FirstPacket::new(mode, 10_000);
            for percent in 1..100 {
                let probability = f64::from(percent) / 100.0;
                let back = cost.cdf(cost.quantile(probability));
                assert!((back - probability).abs() < 1e-3, "{probability}: {back}");
            }
        }
    }

    #[test]
    fn draws_follow_the_closed_form() {
        const COUNT: u64 = 100_000;
        for mode in [Mode::Iptables, Mode::Nftables] {
            let cost = FirstPacket::new(mode, 30_000);
            let stream = Stream::new(Seed::default(), "first packets");
            let drawn: Vec<f64> = (0..COUNT)
                .map(|at| cost.sample(&mut stream.draw(at, 0)))
                .collect();
            for probability in [0.01, 0.5, 0.9, 0.99] {
                let bound = cost.quantile(probability);
                let below = drawn.iter().filter(|&&one| one <= bound).count() as f64;
                let error = (probability * (1.0 - probability) / COUNT as f64).sqrt();
                let off = (below / COUNT as f64 - probability).abs();
                assert!(off < 4.0 * error, "{mode:?} {probability}: off by {off}");
            }
        }
    }

    #[test]
    fn a_walk_costs_its_rules_and_a_look_up_none() {
        let stream = Stream::new(Seed::default(), "walks");
        // A third of walks is warm, 38 % of the rest contended.
        let mean = 0.33 * 3.5 + 0.67 * (0.62 * 18.0 + 0.38 * 26.0);
        let count = 100_000;
        let sum: u64 = (0..count)
            .map(|at| walk(Mode::Iptables, 1_000.0, 10_000, &mut stream.draw(at, 0)).as_nanos())
            .sum();
        let found = sum as f64 / count as f64 / 1_000.0;
        assert!((found / mean - 1.0).abs() < 0.01, "{found} against {mean}");
        let draw = || stream.draw(0, 0);
        assert_eq!(
            walk(Mode::Nftables, 1e3, 10_000, &mut draw()),
            Duration::ZERO
        );
        assert_eq!(
            walk(Mode::Iptables, 0.0, 10_000, &mut draw()),
            Duration::ZERO
        );
    }

    #[test]
    fn a_lone_service_with_one_endpoint_passes_nothing_extra() {
        assert_eq!(extra_rules(1, 1, Affinity::None), 0.0);
        // Four services before it; one of three endpoints after one more rule on average.
        assert_eq!(extra_rules(5, 3, Affinity::None), 5.0);
        assert_eq!(extra_rules(5, 3, Affinity::Client), 8.0);
    }
}
