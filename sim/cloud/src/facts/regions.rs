//! Round trips between regions of the large clouds.
//!
//! Models: the mean round trip between virtual machines of two regions, the same in both
//! directions. Leaves out: routes that change, times of day, private backbones. Pairs that
//! are in no table get one assumed distance.
//! Validated against itself only: symmetry and uniqueness.

use super::{FactValue, facts};
use engine::Duration;

/// Round trips between pairs of regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionTable(
    /// `provider/region` of both ends and milliseconds.
    pub &'static [(&'static str, &'static str, f64)],
);

impl FactValue for RegionTable {
    fn show(&self, unit: &str) -> String {
        let times = self.0.iter().map(|&(.., milliseconds)| milliseconds);
        let least = times.clone().fold(f64::INFINITY, f64::min);
        let greatest = times.fold(0.0, f64::max);
        format!("{} pairs, {least} to {greatest} {unit}", self.0.len())
    }
}

facts! {
    /// Round trips between AWS regions.
    REGION_RTT_AWS: RegionTable = RegionTable(AWS), "ms", "network.region-rtt.aws", "AWS", "April 2022",
        Measurement, "skyplane-project/skyplane latency.csv (Apache-2.0): averages between virtual machines";
    /// Round trips between Azure regions.
    REGION_RTT_AZURE: RegionTable = RegionTable(AZURE), "ms", "network.region-rtt.azure", "Azure", "2026",
        Documentation, "learn.microsoft.com, Azure network round-trip latency statistics: 95 % quantiles, which is a little more than the mean";
    /// Round trips between Google Cloud regions.
    REGION_RTT_GOOGLE: RegionTable = RegionTable(GOOGLE), "ms", "network.region-rtt.gcp", "Google Cloud", "April 2022",
        Measurement, "skyplane-project/skyplane latency.csv (Apache-2.0): least of the network tiers; some pairs are noisy";
    /// Round trips between regions of different clouds in one metropolitan area.
    REGION_RTT_INTER_CLOUD: RegionTable = RegionTable(INTER_CLOUD), "ms", "network.region-rtt.inter-cloud", "AWS, Azure, Google Cloud", "April 2022",
        Measurement, "skyplane-project/skyplane latency.csv (Apache-2.0): averages between virtual machines";
    /// Round trip between two regions that stand in no table.
    REGION_RTT_UNKNOWN: Duration = Duration::from_millis(80), "ms", "network.region-rtt.unknown", "the Internet", "2020s",
        Assumption, "about the width of the Atlantic or of North America; set `links` for anything else";
}

const AWS: &[(&str, &str, f64)] = &[
    ("aws/us-east-1", "aws/us-east-2", 11.0),
    ("aws/us-east-1", "aws/us-west-2", 68.0),
    ("aws/us-east-1", "aws/ca-central-1", 14.0),
    ("aws/us-east-1", "aws/sa-east-1", 115.0),
    ("aws/us-east-1", "aws/eu-west-1", 85.0),
    ("aws/us-east-1", "aws/eu-west-2", 77.0),
    ("aws/us-east-1", "aws/eu-central-1", 90.0),
    ("aws/us-east-1", "aws/ap-south-1", 188.0),
    ("aws/us-east-1", "aws/ap-southeast-1", 237.0),
    ("aws/us-east-1", "aws/ap-southeast-2", 197.0),
    ("aws/us-east-1", "aws/ap-northeast-1", 168.0),
    ("aws/us-east-2", "aws/us-west-2", 54.0),
    ("aws/us-east-2", "aws/ca-central-1", 24.0),
    ("aws/us-east-2", "aws/sa-east-1", 125.0),
    ("aws/us-east-2", "aws/eu-west-1", 76.0),
    ("aws/us-east-2", "aws/eu-west-2", 86.0),
    ("aws/us-east-2", "aws/eu-central-1", 99.0),
    ("aws/us-east-2", "aws/ap-south-1", 194.0),
    ("aws/us-east-2", "aws/ap-southeast-1", 215.0),
    ("aws/us-east-2", "aws/ap-southeast-2", 185.0),
    ("aws/us-east-2", "aws/ap-northeast-1", 145.0),
    ("aws/us-west-2", "aws/ca-central-1", 67.0),
    ("aws/us-west-2", "aws/sa-east-1", 187.0),
    ("aws/us-west-2", "aws/eu-west-1", 122.0),
    ("aws/us-west-2", "aws/eu-west-2", 130.0),
    ("aws/us-west-2", "aws/eu-central-1", 147.0),
    ("aws/us-west-2", "aws/ap-south-1", 211.0),
    ("aws/us-west-2", "aws/ap-southeast-1", 164.0),
    ("aws/us-west-2", "aws/ap-southeast-2", 139.0),
    ("aws/us-west-2", "aws/ap-northeast-1", 98.0),
    ("aws/ca-central-1", "aws/sa-east-1", 125.0),
    ("aws/ca-central-1", "aws/eu-west-1", 69.0),
    ("aws/ca-central-1", "aws/eu-west-2", 77.0),
    ("aws/ca-central-1", "aws/eu-central-1", 88.0),
    ("aws/ca-central-1", "aws/ap-south-1", 187.0),
    ("aws/ca-central-1", "aws/ap-southeast-1", 222.0),
    ("aws/ca-central-1", "aws/ap-southeast-2", 196.0),
    ("aws/ca-central-1", "aws/ap-northeast-1", 158.0),
    ("aws/sa-east-1", "aws/eu-west-1", 180.0),
    ("aws/sa-east-1", "aws/eu-west-2", 188.0),
    ("aws/sa-east-1", "aws/eu-central-1", 203.0),
    ("aws/sa-east-1", "aws/ap-south-1", 298.0),
    ("aws/sa-east-1", "aws/ap-southeast-1", 358.0),
    ("aws/sa-east-1", "aws/ap-southeast-2", 308.0),
    ("aws/sa-east-1", "aws/ap-northeast-1", 282.0),
    ("aws/eu-west-1", "aws/eu-west-2", 11.0),
    ("aws/eu-west-1", "aws/eu-central-1", 22.0),
    ("aws/eu-west-1", "aws/ap-south-1", 120.0),
    ("aws/eu-west-1", "aws/ap-southeast-1", 178.0),
    ("aws/eu-west-1", "aws/ap-southeast-2", 254.0),
    ("aws/eu-west-1", "aws/ap-northeast-1", 214.0),
    ("aws/eu-west-2", "aws/eu-central-1", 13.0),
    ("aws/eu-west-2", "aws/ap-south-1", 110.0),
    ("aws/eu-west-2", "aws/ap-southeast-1", 170.0),
    ("aws/eu-west-2", "aws/ap-southeast-2", 264.0),
    ("aws/eu-west-2", "aws/ap-northeast-1", 224.0),
    ("aws/eu-central-1", "aws/ap-south-1", 114.0),
    ("aws/eu-central-1", "aws/ap-southeast-1", 155.0),
    ("aws/eu-central-1", "aws/ap-southeast-2", 246.0),
    ("aws/eu-central-1", "aws/ap-northeast-1", 223.0),
    ("aws/ap-south-1", "aws/ap-southeast-1", 59.0),
    ("aws/ap-south-1", "aws/ap-southeast-2", 138.0),
    ("aws/ap-south-1", "aws/ap-northeast-1", 130.0),
    ("aws/ap-southeast-1", "aws/ap-southeast-2", 93.0),
    ("aws/ap-southeast-1", "aws/ap-northeast-1", 72.0),
    ("aws/ap-southeast-2", "aws/ap-northeast-1", 115.0),
    // us-west-1 is not in that data; from acomputerscientistlearnsaws.blogspot.com, April 2017.
    ("aws/us-east-1", "aws/us-west-1", 73.0),
    ("aws/us-west-1", "aws/us-west-2", 19.0),
];

const AZURE: &[(&str, &str, f64)] = &[
    ("azure/eastus", "azure/eastus2", 11.0),
    ("azure/eastus", "azure/westus", 72.0),
    ("azure/eastus", "azure/westus2", 76.0),
    ("azure/eastus", "azure/centralus", 35.0),
    ("azure/eastus", "azure/northeurope", 76.0),
    ("azure/eastus", "azure/westeurope", 91.0),
    ("azure/eastus", "azure/uksouth", 80.0),
    ("azure/eastus", "azure/japaneast", 165.0),
    ("azure/eastus", "azure/southeastasia", 229.0),
    ("azure/eastus", "azure/brazilsouth", 121.0),
    ("azure/eastus", "azure/centralindia", 218.0),
    ("azure/eastus", "azure/australiaeast", 206.0),
    ("azure/westeurope", "azure/northeurope", 20.0),
    ("azure/westeurope", "azure/uksouth", 13.0),
    ("azure/westeurope", "azure/germanywestcentral", 14.0),
    ("azure/westeurope", "azure/southeastasia", 181.0),
    ("azure/westeurope", "azure/japaneast", 242.0),
];

const GOOGLE: &[(&str, &str, f64)] = &[
    ("gcp/us-east4", "gcp/us-central1", 22.0),
    ("gcp/us-east4", "gcp/us-west1", 49.0),
    ("gcp/us-central1", "gcp/us-west1", 33.0),
    ("gcp/us-east4", "gcp/europe-west2", 77.0),
    ("gcp/us-east4", "gcp/europe-west4", 85.0),
    ("gcp/europe-west2", "gcp/europe-west3", 14.0),
    ("gcp/europe-west2", "gcp/europe-west4", 10.0),
    ("gcp/us-east4", "gcp/asia-northeast1", 144.0),
    ("gcp/us-west1", "gcp/asia-northeast1", 92.0),
    ("gcp/asia-southeast1", "gcp/asia-northeast1", 70.0),
];

const INTER_CLOUD: &[(&str, &str, f64)] = &[
    ("aws/us-east-1", "azure/eastus", 1.9),
    ("aws/us-east-1", "gcp/us-east4", 2.8),
    ("azure/eastus", "gcp/us-east4", 2.3),
    ("aws/eu-central-1", "azure/germanywestcentral", 2.4),
    ("aws/eu-central-1", "gcp/europe-west3", 1.8),
    ("aws/eu-west-2", "azure/uksouth", 3.9),
    ("aws/ap-southeast-1", "gcp/asia-southeast1", 2.5),
    ("azure/westeurope", "gcp/europe-west4", 5.6),
    ("aws/us-west-2", "gcp/us-west1", 14.0),
];

/// Round trip between two different regions and the identifier of the fact it rests on.
/// A name may leave out its provider.
pub fn region_round_trip(one: &str, other: &str) -> (Duration, &'static str) {
    for table in [
        &REGION_RTT_AWS,
        &REGION_RTT_AZURE,
        &REGION_RTT_GOOGLE,
        &REGION_RTT_INTER_CLOUD,
    ] {
        let row = table.value.0.iter().find(|(from, to, _)| {
            (names(from, one) && names(to, other)) || (names(from, other) && names(to, one))
        });
        if let Some(&(.., milliseconds)) = row {
            return (Duration::from_secs_f64(milliseconds / 1e3), table.id);
        }
    }
    (REGION_RTT_UNKNOWN.value, REGION_RTT_UNKNOWN.id)
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
        let expected = (Duration::from_millis(68), "network.region-rtt.aws");
        assert_eq!(
            region_round_trip("aws/us-east-1", "aws/us-west-2"),
            expected
        );
        assert_eq!(region_round_trip("us-west-2", "us-east-1"), expected);
        assert_eq!(
            region_round_trip("gcp/us-east-1", "aws/us-west-2"),
            (REGION_RTT_UNKNOWN.value, REGION_RTT_UNKNOWN.id)
        );
    }

    #[test]
    fn no_pair_stands_twice_and_none_is_a_region_with_itself() {
        let mut pairs: Vec<_> = [AWS, AZURE, GOOGLE, INTER_CLOUD]
            .concat()
            .iter()
            .map(|&(from, to, _)| (from.min(to), from.max(to)))
            .collect();
        pairs.sort_unstable();
        assert!(pairs.iter().all(|(from, to)| from != to));
        assert!(pairs.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
