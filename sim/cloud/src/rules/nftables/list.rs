//! Tables as `nft list ruleset` prints them.

use super::{Chain, Set, Table};
use ipnet::IpNet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why writing cannot fail.
const TO_MEMORY: &str = "a String takes all";

/// What `nft list ruleset` prints of the tables.
pub fn list(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        let family = table.family.name();
        writeln!(text, "table {family} kube-proxy {{").expect(TO_MEMORY);
        text += "\tcomment \"rules for kube-proxy\"\n";
        let sets = table.sets.iter().map(set);
        let blocks: Vec<String> = sets.chain(table.chains.iter().map(chain)).collect();
        text += &blocks.join("\n");
        text += "}\n";
    }
    text
}

fn set(set: &Set) -> String {
    let what = if set.is_map() { "map" } else { "set" };
    let mut text = format!("\t{what} {} {{\n\t\ttype {}\n", set.name, set.kind);
    if let Some(seconds) = set.timeout_seconds {
        text += "\t\tsize 65535\n\t\tflags dynamic,timeout\n";
        writeln!(text, "\t\ttimeout {}", time(seconds)).expect(TO_MEMORY);
    }
    if let Some(comment) = set.comment {
        writeln!(text, "\t\tcomment \"{comment}\"").expect(TO_MEMORY);
    }
    if !set.elements.is_empty() {
        // Keys of several parts stand alone on their line, others in pairs.
        let per_line = if set.kind.contains(" . ") { 1 } else { 2 };
        let lines: Vec<String> = set
            .elements
            .chunks(per_line)
            .map(|line| {
                let texts: Vec<&str> = line.iter().map(|one| one.text.as_str()).collect();
                texts.join(", ")
            })
            .collect();
        let lines = lines.join(",\n\t\t\t     ");
        writeln!(text, "\t\telements = {{ {lines} }}").expect(TO_MEMORY);
    }
    text + "\t}\n"
}

fn chain(chain: &Chain) -> String {
    let mut text = format!("\tchain {} {{\n", chain.name);
    if let Some(comment) = chain.comment {
        writeln!(text, "\t\tcomment \"{comment}\"").expect(TO_MEMORY);
    }
    if let Some(hook) = chain.hook {
        writeln!(text, "\t\t{hook}; policy accept;").expect(TO_MEMORY);
    }
    for rule in &chain.rules {
        writeln!(text, "\t\t{rule}").expect(TO_MEMORY);
    }
    text + "\t}\n"
}

/// Seconds as days, hours, minutes and seconds, without those that are zero.
fn time(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Ranges as a nameless set: nft merges what overlaps or touches, sorts, and leaves out the
/// braces around a single one.
pub(super) fn ranges(ranges: &[IpNet]) -> String {
    let mut spans: Vec<(u128, u128)> = ranges
        .iter()
        .map(|range| (number(range.network()), number(range.broadcast())))
        .collect();
    spans.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::new();
    for (low, high) in spans {
        match merged.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    let is_ipv4 = ranges.first().is_some_and(|range| range.addr().is_ipv4());
    let texts: Vec<String> = merged
        .into_iter()
        .map(|span| span_text(span, is_ipv4))
        .collect();
    match &texts[..] {
        [single] => single.clone(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// An address, a range by its prefix where it has one, or its two ends.
fn span_text((low, high): (u128, u128), is_ipv4: bool) -> String {
    let address = |number: u128| match is_ipv4 {
        true => IpAddr::V4(Ipv4Addr::from(number as u32)),
        false => IpAddr::V6(Ipv6Addr::from(number)),
    };
    let bits = if is_ipv4 { 32 } else { 128 };
    let differing = low ^ high;
    let is_prefix = differing & differing.wrapping_add(1) == 0 && low & differing == 0;
    match 128 - differing.leading_zeros() {
        0 => address(low).to_string(),
        free if is_prefix => format!("{}/{}", address(low), bits - free),
        _ => format!("{}-{}", address(low), address(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(texts: &[&str]) -> String {
        let parsed: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
        ranges(&parsed)
    }

    #[test]
    fn ranges_are_merged_and_sorted() {
        assert_eq!(listed(&["203.0.113.0/24"]), "203.0.113.0/24");
        assert_eq!(listed(&["203.0.113.7/24"]), "203.0.113.0/24");
        assert_eq!(listed(&["192.0.2.9/32"]), "192.0.2.9");
        assert_eq!(
            listed(&["203.0.113.0/24", "10.0.0.0/8", "10.1.0.0/16"]),
            "{ 10.0.0.0/8, 203.0.113.0/24 }"
        );
        assert_eq!(listed(&["10.0.0.0/25", "10.0.0.128/25"]), "10.0.0.0/24");
        assert_eq!(
            listed(&["10.0.1.0/24", "10.0.2.0/24"]),
            "10.0.1.0-10.0.2.255"
        );
        assert_eq!(listed(&["fd00::/112"]), "fd00::/112");
        assert_eq!(listed(&["::/0"]), "::/0");
    }

    #[test]
    fn times_leave_out_what_is_zero() {
        assert_eq!(time(10_800), "3h");
        assert_eq!(time(90), "1m30s");
        assert_eq!(time(86_400), "1d");
    }
}
