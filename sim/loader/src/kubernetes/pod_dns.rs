//! `dnsPolicy` and `dnsConfig` of a pod: how its resolver is set up.
//!
//! Models: the four policies, what `ClusterFirst` means in the network of the node, search
//! domains, and the options that decide how many questions a lookup asks and how long it waits.
//! Approximates: a name server knows the cluster's names where its address is a private one, as
//! that of a cluster's DNS always is; only whether it does counts.
//! Leaves out: the other options of resolv.conf(5).
//! Sources: k8s.io/api core/v1 types.go (1.36); kubernetes/kubernetes
//! pkg/apis/core/validation/validation.go (validatePodDNSConfig) and
//! pkg/kubelet/network/dns/dns.go (getPodDNSType); resolv.conf(5).
//! Validated by: the tests below, and questions counted from YAML to record.

use super::metadata::text;
use crate::diagnostic::{Code, Diagnostics};
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{NamesFrom, PodDns, Server};
use engine::Duration;
use std::net::IpAddr;

static OPTION: Shape = Shape::new(
    "PodDNSConfigOption",
    &[
        Field::approximated(
            "name",
            Kind::Text,
            "`ndots`, `timeout`, `attempts` and `no-aaaa` count",
        ),
        Field::modelled("value", Kind::Word),
    ],
);
static CONFIG: Shape = Shape::new(
    "PodDNSConfig",
    &[
        Field::approximated(
            "nameservers",
            TEXT_LIST,
            "one with a private address knows the cluster's names, any other denies them",
        ),
        Field::modelled("searches", TEXT_LIST),
        Field::modelled("options", Kind::List(&Kind::Map(&OPTION))),
    ],
);

pub(super) const POLICY: Field = Field::modelled(
    "dnsPolicy",
    Kind::OneOf(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
);
pub(super) const SETTINGS: Field = Field::modelled("dnsConfig", Kind::Map(&CONFIG));

/// Reads what a pod's checked `spec` says, and reports what the API server refuses.
pub(super) fn read(spec: &Node, diagnostics: &mut Diagnostics) -> PodDns {
    let is_on_host = spec.get("hostNetwork").and_then(Node::bool) == Some(true);
    let names_from = match spec.get("dnsPolicy").and_then(Node::str) {
        Some("Default") => NamesFrom::Node,
        Some("None") => NamesFrom::Nowhere,
        Some("ClusterFirstWithHostNet") => NamesFrom::Cluster,
        _ if is_on_host => NamesFrom::Node,
        _ => NamesFrom::Cluster,
    };
    let mut dns = PodDns {
        names_from,
        ..PodDns::default()
    };
    let Some(config) = spec.get("dnsConfig") else {
        if names_from == NamesFrom::Nowhere {
            without_servers(spec, diagnostics);
        }
        return dns;
    };
    check_lengths(config, diagnostics);
    for node in config.list("nameservers") {
        let written = node.str().unwrap_or_default();
        match written.parse() {
            Ok(address) => dns.servers.push(knows(address)),
            Err(_) => {
                let message = format!("`{written}` is no address of a name server");
                diagnostics
                    .report(Code::WrongValue, node.span, message)
                    .help("write an address of IPv4 or IPv6, as `10.96.0.10`");
            }
        }
    }
    if names_from == NamesFrom::Nowhere && config.list("nameservers").is_empty() {
        without_servers(spec, diagnostics);
    }
    let searches = config.list("searches").iter().filter_map(Node::str);
    dns.search = searches
        .map(|domain| domain.trim_end_matches('.').to_owned())
        .collect();
    for option in config.list("options") {
        add_option(option, &mut dns, diagnostics);
    }
    dns
}

/// What a server knows: that of a cluster has a private address.
fn knows(address: IpAddr) -> Server {
    let is_private = match address {
        IpAddr::V4(address) => {
            let octets = address.octets();
            // Providers hand out addresses shared by carriers too.
            let is_shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
            address.is_private() || address.is_link_local() || address.is_loopback() || is_shared
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    };
    match is_private {
        true => Server::Cluster,
        false => Server::Elsewhere,
    }
}

fn without_servers(spec: &Node, diagnostics: &mut Diagnostics) {
    let span = spec
        .get("dnsPolicy")
        .map_or(spec.span, |policy| policy.span);
    diagnostics
        .report(
            Code::MissingField,
            span,
            "`dnsPolicy: None` leaves the pod without a name server",
        )
        .help("name at least one under `dnsConfig.nameservers`");
}

fn check_lengths(config: &Node, diagnostics: &mut Diagnostics) {
    for (key, most) in [
        ("nameservers", facts::RESOLVER_SERVERS_MAX.value),
        ("searches", facts::RESOLVER_SEARCH_MAX.value),
    ] {
        let count = config.list(key).len();
        if let Some(entry) = config.entry(key).filter(|_| count > most as usize) {
            let message = format!("a pod may have {most} `{key}`, not {count}");
            diagnostics
                .report(Code::OutOfRange, entry.key_span, message)
                .help("the API server rejects more; keep those that are needed");
        }
    }
}

fn add_option(option: &Node, dns: &mut PodDns, diagnostics: &mut Diagnostics) {
    let name = text(option, "name");
    let value = option.get("value").and_then(Node::text);
    let mut number = || {
        let found = value.and_then(|value| value.parse::<u32>().ok());
        if found.is_none() {
            let message = format!("the option `{name}` takes a number");
            diagnostics
                .report(Code::WrongValue, option.span, message)
                .help(format!(
                    "write `{{name: {name}, value: \"2\"}}`; resolvers read over anything else"
                ));
        }
        found
    };
    match name.as_str() {
        "ndots" => dns.ndots = number(),
        // A resolver waits for a second at least, and asks once.
        "timeout" => {
            let seconds = number().map(|seconds| u64::from(seconds.max(1)));
            dns.timeout = seconds.map(Duration::from_secs);
        }
        "attempts" => dns.attempts = number().map(|attempts| attempts.max(1)),
        "no-aaaa" => dns.no_aaaa = true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_cluster_dns_are_private() {
        for (address, server) in [
            ("10.96.0.10", Server::Cluster),
            ("172.20.0.10", Server::Cluster),
            ("169.254.20.10", Server::Cluster),
            ("100.64.0.10", Server::Cluster),
            ("fd00:10:96::a", Server::Cluster),
            ("8.8.8.8", Server::Elsewhere),
            ("100.128.0.1", Server::Elsewhere),
            ("2001:4860:4860::8888", Server::Elsewhere),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(knows(parsed), server, "{address}");
        }
    }
}
