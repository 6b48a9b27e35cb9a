//! Walks over the rules of random worlds against their compiled form.

use super::*;
use crate::rules::iptables::{generate, shares};
use crate::rules::{
    Chosen, Compiled, Configuration, DetectLocal, Endpoint, Fate, Input, NodePortAddresses,
    Service, ServicePort,
};
use engine::Duration;
use ipnet::IpNet;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ranges(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn some_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(texts, 0..=texts.len())
        .prop_map(|chosen| chosen.into_iter().map(str::to_owned).collect())
}

fn configurations() -> impl Strategy<Value = Configuration> {
    let detect_local = prop_oneof![
        Just(DetectLocal::ClusterCidr),
        Just(DetectLocal::NodeCidr),
        Just(DetectLocal::BridgeInterface("cni0".into())),
        Just(DetectLocal::InterfaceNamePrefix("veth".into())),
        Just(DetectLocal::None),
    ];
    let node_ports = prop_oneof![
        Just(NodePortAddresses::Default),
        Just(NodePortAddresses::Primary),
        Just(NodePortAddresses::Networks(ranges(&["192.168.0.0/24"]))),
        Just(NodePortAddresses::Networks(ranges(&[
            "127.0.0.0/8",
            "172.16.0.0/12"
        ]))),
        Just(NodePortAddresses::Networks(ranges(&["0.0.0.0/0"]))),
    ];
    (
        detect_local,
        node_ports,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(detect_local, node_port_addresses, cidr, all, localhost)| Configuration {
                detect_local,
                node_port_addresses,
                cluster_cidrs: if cidr {
                    ranges(&["10.1.0.0/16"])
                } else {
                    Vec::new()
                },
                masquerade_all: all,
                localhost_node_ports: localhost,
                ..Configuration::default()
            },
        )
}

/// Conditions, node and hints of an endpoint; the node is the first of three.
fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let conditions = prop_oneof![
        4 => Just((true, true, false)),
        1 => Just((false, false, false)),
        1 => Just((false, true, true)),
        1 => Just((false, false, true)),
    ];
    let one = (conditions, 0usize..4, 0usize..3, 0usize..4, 0u8..12).prop_map(
        |((ready, serving, terminating), node, zone, hint, host)| {
            let nodes = [Some("one"), Some("two"), Some("three"), None];
            let node = nodes[node].map(str::to_owned);
            let ip = match (host, node.as_deref()) {
                (0, Some("one")) => "192.168.0.1".to_owned(),
                (host, _) => format!("10.1.{zone}.{}", host + 1),
            };
            Endpoint {
                address: SocketAddr::new(address(&ip), 8_080),
                node,
                ready,
                serving,
                terminating,
                zone_hints: [vec![], vec!["a".into()], vec!["b".into()]][zone].clone(),
                node_hints: match hint {
                    0 => vec!["one".into()],
                    1 => vec!["two".into()],
                    _ => Vec::new(),
                },
            }
        },
    );
    // Often, none has hints for nodes, so that those for zones count.
    (prop::collection::vec(one, 0..7), any::<bool>()).prop_map(|(mut all, by_node)| {
        let mut seen = BTreeSet::new();
        all.retain(|one| seen.insert(one.address));
        all.sort_by_key(|one| one.address.to_string());
        if !by_node {
            all.iter_mut().for_each(|one| one.node_hints.clear());
        }
        all
    })
}

fn services() -> impl Strategy<Value = Service> {
    let port = (endpoints(), any::<bool>(), any::<bool>());
    (
        prop::collection::vec(port, 1..3),
        some_of(&["203.0.113.1", "172.16.0.1"]),
        some_of(&["198.51.100.1", "198.51.100.2"]),
        some_of(&["10.0.0.0/8", "192.0.2.0/24", "192.168.0.0/24"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(ports, external, balancer, sources, internal_local, external_local, affinity)| {
                Service {
                    namespace: "shop".into(),
                    name: String::new(),
                    cluster_ip: address("10.96.0.0"),
                    external_ips: external.iter().map(|text| address(text)).collect(),
                    load_balancer_ips: balancer.iter().map(|text| address(text)).collect(),
                    source_ranges: sources.iter().map(|text| text.parse().unwrap()).collect(),
                    internal_local,
                    external_local,
                    affinity: affinity.then(|| Duration::from_secs(60)),
                    health_check_node_port: None,
                    ports: ports
                        .into_iter()
                        .map(|(endpoints, node_port, udp)| ServicePort {
                            name: String::new(),
                            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
                            port: 0,
                            node_port: node_port.then_some(0),
                            endpoints,
                        })
                        .collect(),
                }
            },
        )
}

/// A node's world; every port has a number of its own.
fn worlds() -> impl Strategy<Value = Input> {
    (
        configurations(),
        prop::collection::vec(services(), 1..4),
        prop::sample::select(vec![25, 30, 34, 36]),
        any::<bool>(),
    )
        .prop_map(|(configuration, mut services, kubernetes_minor, zone)| {
            let mut number = 0;
            for (position, service) in services.iter_mut().enumerate() {
                service.name = format!("service-{position}");
                service.cluster_ip = IpAddr::from([10, 96, 0, position as u8 + 1]);
                for port in &mut service.ports {
                    number += 1;
                    port.name = format!("port-{number}");
                    port.port = 80 + number;
                    port.node_port = port.node_port.map(|_| 30_000 + number);
                }
            }
            Input {
                configuration,
                node: Node {
                    name: "one".into(),
                    addresses: vec![address("192.168.0.1"), address("172.16.0.1")],
                    zone: zone.then(|| "a".into()),
                    pod_cidrs: ranges(&["10.1.0.0/24"]),
                },
                services,
                service_cidrs: Vec::new(),
                kubernetes_minor,
            }
        })
}

/// Sources, with the interfaces that they come in through.
const SOURCES: [(&str, Option<&str>); 9] = [
    ("10.1.0.1", Some("cni0")),
    ("10.1.0.77", Some("veth3")),
    ("10.1.1.5", Some("eth0")),
    ("192.0.2.7", Some("eth0")),
    ("203.0.113.99", Some("eth0")),
    ("192.168.0.77", Some("eth0")),
    ("192.168.0.1", None),
    ("172.16.0.1", None),
    ("127.0.0.1", None),
];

/// Everything that anyone may call, from everyone.
fn packets(input: &Input) -> Vec<Packet> {
    let mut packets = Vec::new();
    for service in &input.services {
        for port in &service.ports {
            let own = ["192.168.0.1", "172.16.0.1", "127.0.0.1"].map(address);
            let number = port.node_port.unwrap_or(1);
            let at_nodes = own.iter().map(|ip| SocketAddr::new(*ip, number));
            let at_addresses = std::iter::once(&service.cluster_ip)
                .chain(&service.external_ips)
                .chain(&service.load_balancer_ips)
                .map(|ip| SocketAddr::new(*ip, port.port));
            for to in at_nodes.chain(at_addresses) {
                for (source, interface) in SOURCES {
                    // No packet of another address comes to or from this one.
                    if (source == "127.0.0.1") != to.ip().is_loopback() {
                        continue;
                    }
                    let from = SocketAddr::new(address(source), 50_000);
                    packets.push(Packet {
                        flow: Flow::new(port.protocol, from, to),
                        interface: interface.map(str::to_owned),
                    });
                }
            }
        }
    }
    packets
}

const LARGEST: u32 = (1 << 31) - 1;

/// Every outcome of a first packet: that of a walk in which the first random numbers hold for
/// no rule and the next one for any, for every length until none is asked for.
fn outcomes(tables: &[Table], input: &Input, packet: &Packet) -> Vec<Verdict> {
    let mut outcomes = Vec::new();
    for misses in 0.. {
        let mut asked = 0;
        let mut random = || {
            asked += 1;
            if asked > misses { 0 } else { LARGEST }
        };
        let mut kernel = Kernel::new(&input.node);
        let walk = kernel.pass(tables, packet, Time::ZERO, &mut random);
        outcomes.push(walk.verdict);
        if asked <= misses {
            break;
        }
    }
    outcomes
}

fn expected(fate: Fate) -> Vec<Verdict> {
    match fate {
        Fate::Refused => vec![Verdict::Rejected],
        Fate::Dropped => vec![Verdict::Dropped],
        Fate::Untouched => vec![Verdict::Untouched],
        Fate::Endpoints(all) => all
            .into_iter()
            .map(
                |Chosen {
                     address,
                     masqueraded,
                 }| Verdict::Translated {
                    to: address,
                    masqueraded,
                },
            )
            .collect(),
    }
}

proptest! {
    #[test]
    fn the_compiled_form_equals_the_walk(input in worlds()) {
        let tables = generate(&input);
        for table in &tables {
            prop_assert_eq!(table.flaws(), Vec::<String>::new());
        }
        let compiled = Compiled::new(&input);
        for packet in packets(&input) {
            let walked = outcomes(&tables, &input, &packet);
            prop_assert_eq!(walked, expected(compiled.fate(&packet)), "{:?}", packet);
        }
    }

    #[test]
    fn a_walk_reaches_only_endpoints_that_the_policies_allow(input in worlds()) {
        let tables = generate(&input);
        for service in &input.services {
            for port in &service.ports {
                let ready = port.endpoints.iter().any(|one| one.ready);
                let to = SocketAddr::new(service.cluster_ip, port.port);
                let from = SocketAddr::new(address("10.1.0.77"), 50_000);
                let interface = Some("veth3".to_owned());
                let packet = Packet { flow: Flow::new(port.protocol, from, to), interface };
                for verdict in outcomes(&tables, &input, &packet) {
                    let Verdict::Translated { to, .. } = verdict else { continue };
                    let found = port.endpoints.iter().find(|one| one.address == to);
                    let found = found.expect("an endpoint of the port");
                    let here = found.node.as_deref() == Some("one");
                    prop_assert!(here || !service.internal_local);
                    let fallback = found.serving && found.terminating;
                    let none_ready = !ready || service.internal_local;
                    prop_assert!(found.ready || (fallback && none_ready));
                }
            }
        }
    }

    #[test]
    fn later_packets_and_remembered_clients_follow_the_first(input in worlds(), seed: u32) {
        let tables = generate(&input);
        let compiled = Compiled::new(&input);
        for packet in packets(&input) {
            let Fate::Endpoints(among) = compiled.fate(&packet) else { continue };
            let mut kernel = Kernel::new(&input.node);
            let mut state = u64::from(seed);
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u32
            };
            let first = kernel.pass(&tables, &packet, Time::ZERO, &mut random).verdict;
            kernel.connections.answered(&packet.flow);
            let later = kernel.pass(&tables, &packet, Time::ZERO, &mut random);
            prop_assert_eq!(later.verdict, first);
            prop_assert!(later.steps.iter().all(|step| step.table != "nat"));

            let service = input.services.iter().find(|service| {
                service.ports.iter().any(|port| port.endpoints.iter().any(|one| one.address == among[0].address)
                    && (port.port == packet.flow.to.port() || port.node_port == Some(packet.flow.to.port())))
            });
            let affinity = service.expect("a service of the world").affinity;
            let Some(timeout) = affinity else { continue };
            let mut again = packet.clone();
            again.flow.from.set_port(50_001);
            let within = Time::ZERO + timeout;
            let next = kernel.pass(&tables, &again, within, &mut || LARGEST).verdict;
            prop_assert_eq!(next, first, "the same client within the time");
            again.flow.from.set_port(50_002);
            let long_after = within + timeout + timeout;
            let next = kernel.pass(&tables, &again, long_after, &mut || LARGEST).verdict;
            prop_assert_eq!(next, expected(Fate::Endpoints(among)).pop().unwrap());
        }
    }
}

#[test]
fn shares_are_one_in_so_many_but_for_lost_digits() {
    for count in 1..=1_000 {
        let shares = shares(count);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for share in shares {
            assert!((share - 1.0 / count as f64).abs() < 1e-9, "{share}");
        }
    }
}

/// Ten pods behind one address, through real random numbers: each gets its tenth.
#[test]
fn endpoints_get_binomial_shares_of_walks() {
    const ENDPOINTS: usize = 10;
    const WALKS: u64 = 50_000;
    let endpoint = |number: usize| Endpoint {
        address: SocketAddr::new(IpAddr::from([10, 1, 0, number as u8]), 8_080),
        node: None,
        ready: true,
        serving: true,
        terminating: false,
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    };
    let port = ServicePort {
        name: String::new(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
    };
    let service = Service {
        namespace: "shop".into(),
        name: "web".into(),
        cluster_ip: address("10.96.0.1"),
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: Vec::new(),
        internal_local: false,
        external_local: false,
        affinity: None,
        health_check_node_port: None,
        ports: vec![port],
    };
    let input = Input {
        services: vec![service],
        kubernetes_minor: 36,
        ..Input::default()
    };
    let tables = generate(&input);
    let mut counts = [0_u64; ENDPOINTS];
    let stream = engine::Stream::new(engine::Seed::default(), "walks");
    for walk in 0..WALKS {
        let from = SocketAddr::new(address("10.1.9.9"), 50_000);
        let packet = Packet {
            flow: Flow::new(Protocol::Tcp, from, "10.96.0.1:80".parse().unwrap()),
            interface: Some("eth0".into()),
        };
        let mut draw = stream.draw(walk, 0);
        let mut random = || (draw.word() >> 33) as u32;
        let mut kernel = Kernel::new(&input.node);
        let found = kernel.pass(&tables, &packet, Time::ZERO, &mut random);
        let Verdict::Translated { to, .. } = found.verdict else {
            panic!("{found:?}");
        };
        let position = input.services[0].ports[0]
            .endpoints
            .iter()
            .position(|one| one.address == to);
        counts[position.unwrap()] += 1;
    }
    let share = 1.0 / ENDPOINTS as f64;
    let error = (WALKS as f64 * share * (1.0 - share)).sqrt();
    for count in counts {
        let off = (count as f64 - WALKS as f64 * share).abs() / error;
        assert!(off < 4.0, "{counts:?}");
    }
}
