//! Round trips between regions of the large clouds.
//!
//! Models: the mean round trip between virtual machines of two regions, the same in both
//! directions. Leaves out: routes that change, times of day, private backbones. Pairs that
//! are in no table get one assumed distance.
//! Validated by symmetry, and by the distances of neighbours and antipodes.

mod table;

use super::{FactValue, facts};
use engine::Duration;

/// Round trips between all pairs of some regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionTable {
    /// The regions as `provider/region`.
    pub regions: &'static [&'static str],
    /// Row `i` holds tenths of a millisecond from region `i` to each region before it.
    pub round_trips: &'static [&'static [u16]],
}

impl RegionTable {
    fn round_trip(&self, one: &str, other: &str) -> Option<Duration> {
        let position = |name| self.regions.iter().position(|region| names(region, name));
        let (one, other) = (position(one)?, position(other)?);
        let tenths = self.round_trips[one.max(other)].get(one.min(other))?;
        Some(Duration::from_micros(u64::from(*tenths) * 100))
    }
}

impl FactValue for RegionTable {
    fn show(&self, unit: &str) -> String {
        let tenths = || self.round_trips.iter().copied().flatten().copied();
        let bound = |tenths: Option<u16>| f64::from(tenths.unwrap_or(0)) / 10.0;
        let (least, greatest) = (bound(tenths().min()), bound(tenths().max()));
        format!(
            "{} regions, {least} to {greatest} {unit}",
            self.regions.len()
        )
    }
}

/// Round trips between some pairs of regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionPairs(
    /// `provider/region` of both ends and milliseconds.
    pub &'static [(&'static str, &'static str, u64)],
);

impl RegionPairs {
    fn round_trip(&self, one: &str, other: &str) -> Option<Duration> {
        let row = self.0.iter().find(|(from, to, _)| {
            (names(from, one) && names(to, other)) || (names(from, other) && names(to, one))
        });
        row.map(|&(.., milliseconds)| Duration::from_millis(milliseconds))
    }
}

impl FactValue for RegionPairs {
    fn show(&self, unit: &str) -> String {
        let shown = |(from, to, value)| format!("{from} to {to} {value} {unit}");
        let pairs: Vec<_> = self.0.iter().copied().map(shown).collect();
        pairs.join(", ")
    }
}

facts! {
    /// Round trips between regions of AWS, Azure and Google Cloud, within and between them.
    REGION_RTT: RegionTable = RegionTable { regions: &table::REGIONS, round_trips: &table::ROUND_TRIPS },
        "ms", "network.region-rtt", "AWS, Azure, Google Cloud", "April 2022", Measurement,
        "skyplane-project/skyplane profiles/latency.csv at commit 945dca27 (Apache-2.0): average between virtual machines, least over directions and network tiers";
    /// Round trips of Azure regions that are not in that table.
    REGION_RTT_AZURE: RegionPairs = RegionPairs(AZURE), "ms", "network.region-rtt.azure", "Azure", "2026",
        Documentation, "learn.microsoft.com, Azure network round-trip latency statistics: high quantiles of a month, a few percent more than the mean";
    /// Round trip between two regions that stand in no table.
    REGION_RTT_UNKNOWN: Duration = Duration::from_millis(80), "ms", "network.region-rtt.unknown", "the Internet", "2020s",
        Assumption, "about the width of the Atlantic or of North America; set `links` for anything else";
}

const AZURE: &[(&str, &str, u64)] = &[
    ("azure/eastus", "azure/eastus2", 11),
    ("azure/eastus", "azure/westus2", 76),
    ("azure/eastus", "azure/centralus", 35),
    ("azure/eastus", "azure/southeastasia", 229),
    ("azure/westeurope", "azure/southeastasia", 181),
];

/// Round trip between two different regions and the identifier of the fact it rests on.
/// A name may leave out its provider.
pub fn region_round_trip(one: &str, other: &str) -> (Duration, &'static str) {
    if let Some(round_trip) = REGION_RTT.value.round_trip(one, other) {
        (round_trip, REGION_RTT.id)
    } else if let Some(round_trip) = REGION_RTT_AZURE.value.round_trip(one, other) {
        (round_trip, REGION_RTT_AZURE.id)
    } else {
        (REGION_RTT_UNKNOWN.value, REGION_RTT_UNKNOWN.id)
    }
}

/// Regions whose distances are in a table, as `provider/region`.
pub fn known_regions() -> impl Iterator<Item = &'static str> + Clone {
    let pairs = AZURE.iter().flat_map(|&(from, to, _)| [from, to]);
    REGION_RTT.value.regions.iter().copied().chain(pairs)
}

/// Whether two names mean the same region, if one of them leaves out its provider.
pub fn same_region(one: &str, other: &str) -> bool {
    names(one, other) || names(other, one)
}

/// Whether `name`, with or without its provider, means the region `full`.
fn names(full: &str, name: &str) -> bool {
    full == name
        || full
            .split_once('/')
            .is_some_and(|(_, region)| region == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_in_both_directions_with_and_without_provider() {
        let expected = (Duration::from_micros(68_300), "network.region-rtt");
        assert_eq!(
            region_round_trip("aws/us-east-1", "aws/us-west-2"),
            expected
        );
        assert_eq!(region_round_trip("us-west-2", "us-east-1"), expected);
        assert_eq!(
            region_round_trip("azure/westus2", "eastus"),
            (Duration::from_millis(76), "network.region-rtt.azure")
        );
        assert_eq!(
            region_round_trip("gcp/us-east-1", "aws/us-west-2"),
            (REGION_RTT_UNKNOWN.value, REGION_RTT_UNKNOWN.id)
        );
    }

    #[test]
    fn clouds_of_one_city_are_near_and_antipodes_are_far() {
        let milliseconds = |one, other| region_round_trip(one, other).0.as_secs_f64() * 1e3;
        for (one, other) in [
            ("aws/us-east-1", "azure/eastus"),
            ("aws/eu-central-1", "gcp/europe-west3"),
            ("aws/ap-southeast-1", "gcp/asia-southeast1"),
        ] {
            assert!(milliseconds(one, other) < 4.0, "{one} to {other}");
        }
        assert!(milliseconds("aws/sa-east-1", "aws/ap-southeast-1") > 300.0);
    }

    #[test]
    fn a_name_means_one_region_with_or_without_its_provider() {
        for (index, region) in table::REGIONS.iter().enumerate() {
            let (_, short) = region.split_once('/').expect("a provider and a region");
            for name in [region, short] {
                let meant = table::REGIONS.iter().filter(|other| names(other, name));
                assert_eq!(meant.count(), 1, "{name}");
            }
            assert_eq!(table::ROUND_TRIPS[index].len(), index);
        }
    }

    #[test]
    fn no_pair_of_the_short_table_is_in_the_long_one() {
        for (one, other, _) in AZURE {
            assert_eq!(REGION_RTT.value.round_trip(one, other), None);
        }
    }
}
