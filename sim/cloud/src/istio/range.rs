//! Ranges of addresses as Istio's objects write them: `10.0.0.0/8`, or one address.

use ipnet::IpNet;
use std::net::IpAddr;

/// Reads a range or an address.
pub fn read(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// Tells single addresses from ranges.
pub fn split(texts: &[String]) -> (Vec<IpAddr>, Vec<IpNet>) {
    let (single, ranges): (Vec<IpNet>, Vec<IpNet>) = texts
        .iter()
        .filter_map(|text| read(text))
        .partition(|range| range.prefix_len() == range.max_prefix_len());
    (single.iter().map(IpNet::addr).collect(), ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_range() {
        let contains = |range: &str, address: &str| {
            let address: IpAddr = address.parse().unwrap();
            read(range).is_some_and(|range| range.contains(&address))
        };
        assert!(contains("10.0.0.0/8", "10.9.9.9") && contains("10.0.0.1", "10.0.0.1"));
        assert!(!contains("10.0.0.1", "10.0.0.2") && !contains("ten", "10.0.0.1"));
        let texts = ["10.0.0.0/8", "10.0.0.1", "10.0.0.2/32"].map(str::to_owned);
        let (single, ranges) = split(&texts);
        assert_eq!(
            single,
            ["10.0.0.1", "10.0.0.2"].map(|it| it.parse::<IpAddr>().unwrap())
        );
        assert_eq!(ranges, ["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    }
}
