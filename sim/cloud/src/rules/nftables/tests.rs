//! What no recording shows.

use super::{generate, list};
use crate::rules::{DetectLocal, Endpoint, Input, Node, NodePortAddresses, Protocol};
use crate::rules::{Service, ServicePort};

/// A node with a UDP service of one endpoint elsewhere, behind a load balancer with two ranges.
fn input() -> Input {
    let endpoint = Endpoint {
        address: "10.244.2.11:5353".parse().unwrap(),
        node: Some("n2".to_owned()),
        ready: true,
        serving: true,
        terminating: false,
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    };
    let service = Service {
        namespace: "shop".to_owned(),
        name: "dns".to_owned(),
        cluster_ip: "10.96.1.2".parse().unwrap(),
        external_ips: Vec::new(),
        load_balancer_ips: vec!["198.51.100.2".parse().unwrap()],
        source_ranges: vec![
            "203.0.113.0/24".parse().unwrap(),
            "10.60.0.0/16".parse().unwrap(),
        ],
        internal_local: false,
        external_local: false,
        affinity: None,
        health_check_node_port: None,
        ports: vec![ServicePort {
            name: "dns".to_owned(),
            protocol: Protocol::Udp,
            port: 53,
            node_port: Some(30_053),
            endpoints: vec![endpoint],
        }],
    };
    Input {
        node: Node {
            name: "n1".to_owned(),
            addresses: vec!["10.60.0.11".parse().unwrap()],
            ..Node::default()
        },
        services: vec![service],
        kubernetes_minor: 36,
        ..Input::default()
    }
}

/// The lines of a block of the IPv4 table.
fn block(input: &Input, head: &str) -> Vec<String> {
    let listing = list(&generate(input)[..1]);
    let found = listing.split("\n\t}\n").find_map(|block| {
        let start = block.find(&format!("\t{head}"))?;
        Some(
            block[start..]
                .lines()
                .skip(1)
                .map(|line| line.trim().to_owned())
                .collect(),
        )
    });
    found.unwrap_or_else(|| panic!("no {head} in\n{listing}"))
}

#[test]
fn source_ranges_drop_all_others_and_admit_the_node_through_its_own_address() {
    // The node is in the second range.
    assert_eq!(
        block(&input(), "chain firewall-WB2QITPI"),
        ["ip saddr != { 10.60.0.0/16, 198.51.100.2, 203.0.113.0/24 } drop"]
    );
    let [name] = &block(&input(), "map firewall-ips")[2..] else {
        panic!("one address is behind the firewall");
    };
    assert!(name.starts_with(
        "elements = { 198.51.100.2 . udp . 53 comment \"shop/dns:dns\" : goto firewall-"
    ));
    // A wall stands even where there is nothing behind it.
    let mut empty = input();
    empty.services[0].ports[0].endpoints.clear();
    assert_eq!(block(&empty, "chain firewall-WB2QITPI").len(), 1);
}

#[test]
fn masquerading_follows_the_settings() {
    let masquerade = |input: &Input| block(input, "chain services {")[0].clone();
    let mut input = input();
    // No range of pods is known: nothing is masqueraded for its source.
    assert!(masquerade(&input).contains("vmap @service-ips"));
    input.configuration.detect_local = DetectLocal::InterfaceNamePrefix("veth".to_owned());
    assert!(masquerade(&input).starts_with("ip daddr @cluster-ips iifname != \"veth*\" meta mark"));
    input.configuration.masquerade_bit = 15;
    input.configuration.masquerade_all = true;
    let all = "ip daddr @cluster-ips meta mark set meta mark | 0x00008000 ";
    assert!(masquerade(&input).starts_with(all));
}

#[test]
fn node_ports_are_open_where_the_settings_say() {
    let mut input = input();
    input.node.addresses.push("192.0.2.11".parse().unwrap());
    let elements = |input: &Input| block(input, "set nodeport-ips")[2..].to_vec();
    assert_eq!(elements(&input), ["elements = { 10.60.0.11 }"]);
    let networks = |texts: &[&str]| {
        NodePortAddresses::Networks(texts.iter().map(|text| text.parse().unwrap()).collect())
    };
    input.configuration.node_port_addresses = networks(&["192.0.2.0/24", "127.0.0.0/8"]);
    assert_eq!(elements(&input), ["elements = { 192.0.2.11 }"]);
    input.configuration.node_port_addresses = networks(&["172.16.0.0/12"]);
    assert!(elements(&input).is_empty());
    input.configuration.node_port_addresses = networks(&["0.0.0.0/0"]);
    assert_eq!(
        block(&input, "chain services {")[1],
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports"
    );
    assert!(!list(&generate(&input)).contains("nodeport-ips"));
}
