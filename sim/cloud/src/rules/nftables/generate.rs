//! The tables around the services: what is the same for every set of them.

use super::services::write_service;
use super::{Chain, Family, Set, Table};
use crate::rules::{DetectLocal, Input, NodePortAddresses};
use ipnet::IpNet;
use std::net::IpAddr;

/// Both families' tables of a node.
pub fn generate(input: &Input) -> [Table; 2] {
    [Family::Ip, Family::Ip6].map(|family| {
        let ranges = node_port_ranges(input, family);
        let mut table = Table {
            family,
            sets: sets(family, ranges.is_some()),
            chains: [hooks(), chains(input, family, ranges.is_some())].concat(),
        };
        for address in ranges.iter().flatten() {
            table.insert("nodeport-ips", octets(address), address.to_string());
        }
        for service in &input.services {
            if family.holds(&service.cluster_ip) {
                write_service(&mut table, input, service);
            }
        }
        table
    })
}

pub(super) fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Addresses that take NodePort traffic; `None` for all local ones.
fn node_port_ranges(input: &Input, family: Family) -> Option<Vec<IpAddr>> {
    let own = input.node.addresses.iter().copied();
    let mut own = own.filter(|address| family.holds(address));
    let ranges = match &input.configuration.node_port_addresses {
        // A family of which the node has no address is left open.
        NodePortAddresses::Default | NodePortAddresses::Primary => {
            return own.next().map(|address| vec![address]);
        }
        NodePortAddresses::Networks(ranges) => ranges,
    };
    let ranges = ranges.iter().filter(|range| family.holds(&range.addr()));
    let ranges: Vec<&IpNet> = ranges.collect();
    if ranges.is_empty() || ranges.iter().any(|range| range.prefix_len() == 0) {
        return None;
    }
    let within = own.filter(|address| ranges.iter().any(|range| range.contains(address)));
    // In this mode 127.0.0.1 never takes any.
    Some(within.filter(|address| !address.is_loopback()).collect())
}

fn sets(family: Family, some_addresses: bool) -> Vec<Set> {
    let address = family.address_type();
    let service = format!("{address} . inet_proto . inet_service : verdict");
    let port = "inet_proto . inet_service : verdict";
    let set = |name: &str, kind: &str, comment| Set {
        name: name.to_owned(),
        kind: kind.to_owned(),
        comment: Some(comment),
        timeout_seconds: None,
        elements: Vec::new(),
    };
    let hairpin = format!("{address} . {address} . inet_proto . inet_service");
    let mut sets = vec![
        set(
            "hairpin-connections",
            &hairpin,
            "service hairpin connections",
        ),
        set("cluster-ips", address, "Active ClusterIPs"),
    ];
    if some_addresses {
        let comment = "IPs that accept NodePort traffic";
        sets.push(set("nodeport-ips", address, comment));
    }
    let refused = "vmap to drop or reject packets to services with no endpoints";
    let port_refused = "vmap to drop or reject packets to service nodeports with no endpoints";
    let walled = "destinations that are subject to LoadBalancerSourceRanges";
    let found = "ClusterIP, ExternalIP and LoadBalancer IP traffic";
    sets.extend([
        set("no-endpoint-services", &service, refused),
        set("no-endpoint-nodeports", port, port_refused),
        set("firewall-ips", &service, walled),
        set("service-ips", &service, found),
        set("service-nodeports", port, "NodePort traffic"),
    ]);
    sets
}

/// Chains that the kernel enters.
fn hooks() -> Vec<Chain> {
    const FIREWALL: &str = "ct state new jump firewall-check";
    const ENDPOINTS: &str = "ct state new jump service-endpoints-check";
    const CLUSTER: &str = "ct state new jump cluster-ips-check";
    let hooks: [(&str, &'static str, &[&str]); 8] = [
        (
            "filter-prerouting-pre-dnat",
            "type filter hook prerouting priority dstnat - 10",
            &[FIREWALL],
        ),
        (
            "filter-output-pre-dnat",
            "type filter hook output priority -110",
            &[FIREWALL],
        ),
        (
            "filter-input",
            "type filter hook input priority filter",
            &["ct state new jump nodeport-endpoints-check", ENDPOINTS],
        ),
        (
            "filter-forward",
            "type filter hook forward priority filter",
            &[ENDPOINTS, CLUSTER],
        ),
        (
            "filter-output",
            "type filter hook output priority filter",
            &[ENDPOINTS, CLUSTER],
        ),
        (
            "nat-prerouting",
            "type nat hook prerouting priority dstnat",
            &["jump services"],
        ),
        (
            "nat-output",
            "type nat hook output priority -100",
            &["jump services"],
        ),
        (
            "nat-postrouting",
            "type nat hook postrouting priority srcnat",
            &["jump masquerading"],
        ),
    ];
    let chain = |(name, hook, rules): (&str, &'static str, &[&str])| Chain {
        name: name.to_owned(),
        hook: Some(hook),
        comment: None,
        rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
    };
    hooks.map(chain).to_vec()
}

/// The chains between those and the services.
fn chains(input: &Input, family: Family, some_addresses: bool) -> Vec<Chain> {
    let ip = family.name();
    let mark = mark(input);
    let loopback = match family {
        Family::Ip => "127.0.0.0/8",
        Family::Ip6 => "::1",
    };
    let by_service = |map: &str| format!("{ip} daddr . meta l4proto . th dport vmap @{map}");
    let by_port = |local: &str, map: &str| {
        let addressed = match some_addresses {
            true => format!("{ip} daddr @nodeport-ips"),
            false => format!("{local}{ip} daddr != {loopback}"),
        };
        format!("{addressed} meta l4proto . th dport vmap @{map}")
    };
    let mut services = Vec::from_iter(cluster_masquerade(input, family));
    services.push(by_service("service-ips"));
    services.push(by_port("fib daddr type local ", "service-nodeports"));
    let masquerading = vec![
        format!(
            "meta mark & {mark} != 0x00000000 meta mark set meta mark ^ {mark} masquerade fully-random"
        ),
        format!(
            "ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random"
        ),
    ];
    let chain = |name: &str, rules| Chain {
        name: name.to_owned(),
        hook: None,
        comment: None,
        rules,
    };
    vec![
        chain(
            "nodeport-endpoints-check",
            vec![by_port("", "no-endpoint-nodeports")],
        ),
        chain(
            "service-endpoints-check",
            vec![by_service("no-endpoint-services")],
        ),
        chain("firewall-check", vec![by_service("firewall-ips")]),
        chain("services", services),
        chain("masquerading", masquerading),
        chain("cluster-ips-check", cluster_check(input, family)),
        Chain {
            comment: Some("helper for @no-endpoint-services / @no-endpoint-nodeports"),
            ..chain("reject-chain", vec!["reject".to_owned()])
        },
    ]
}

/// The mark that asks for masquerading, as listed.
fn mark(input: &Input) -> String {
    format!("{:#010x}", 1_u32 << input.configuration.masquerade_bit)
}

/// The statement that asks for masquerading.
pub(super) fn set_mark(input: &Input) -> String {
    format!("meta mark set meta mark | {}", mark(input))
}

fn cluster_masquerade(input: &Input, family: Family) -> Option<String> {
    let ip = family.name();
    let mark = set_mark(input);
    if input.configuration.masquerade_all {
        let comment = "masquerade all clusterIP traffic";
        return Some(format!(
            "{ip} daddr @cluster-ips {mark} comment \"{comment}\""
        ));
    }
    let outside = local_source(input, family, "!= ")?;
    let comment = "masquerade clusterIP traffic from outside cluster";
    Some(format!(
        "{ip} daddr @cluster-ips {outside} {mark} comment \"{comment}\""
    ))
}

/// Holds for traffic of this node's pods, or with `not` for all other; `None` if it cannot be told.
pub(super) fn local_source(input: &Input, family: Family, not: &str) -> Option<String> {
    let range = |ranges: &[IpNet]| {
        let first = ranges.iter().find(|range| family.holds(&range.addr()))?;
        Some(format!("{} saddr {not}{}", family.name(), first.trunc()))
    };
    match &input.configuration.detect_local {
        DetectLocal::ClusterCidr => range(&input.configuration.cluster_cidrs),
        DetectLocal::NodeCidr => range(&input.node.pod_cidrs),
        DetectLocal::BridgeInterface(name) => Some(format!("iifname {not}\"{name}\"")),
        DetectLocal::InterfaceNamePrefix(prefix) => Some(format!("iifname {not}\"{prefix}*\"")),
        DetectLocal::None => None,
    }
}

/// What becomes of traffic to addresses of services that is for none of their ports.
fn cluster_check(input: &Input, family: Family) -> Vec<String> {
    let ip = family.name();
    let comment = "Reject traffic to invalid ports of ClusterIPs";
    let mut rules = vec![format!(
        "{ip} daddr @cluster-ips reject comment \"{comment}\""
    )];
    let ranges: Vec<IpNet> = input
        .service_cidrs
        .iter()
        .filter(|range| family.holds(&range.addr()))
        .copied()
        .collect();
    if !ranges.is_empty() {
        let comment = "Drop traffic to unallocated ClusterIPs";
        let ranges = super::list::ranges(&ranges);
        rules.push(format!("{ip} daddr {ranges} drop comment \"{comment}\""));
    }
    rules
}
