//! The tables around the services: what is the same for every set of them.

use super::services::Writer;
use super::{Match, Rule, Table, Target};
use crate::facts;
use crate::rules::{DetectLocal, Input, NodePortAddresses, plan};
use ipnet::IpNet;
use std::net::IpAddr;

/// The tables nat, filter and mangle of a node.
pub fn generate(input: &Input) -> [Table; 3] {
    let mark = 1 << input.configuration.masquerade_bit;
    let mut writer = Writer {
        nat: nat(mark),
        filter: filter(mark, input),
        local: local_source(input),
        localhost: localhost(input),
        large: is_large(input),
        input,
    };
    for service in &input.services {
        for port in &service.ports {
            writer.service(service, port, &plan(input, service, port));
        }
    }
    let Writer {
        mut nat, filter, ..
    } = writer;
    to_node_ports(&mut nat, input);
    let mangle = Table {
        name: "mangle",
        hooks: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
            .map(|hook| (hook, Vec::new()))
            .to_vec(),
        chains: [("KUBE-PROXY-CANARY".to_owned(), Vec::new())].into(),
    };
    [nat, filter, mangle]
}

fn is_large(input: &Input) -> bool {
    let ports = input.services.iter().flat_map(|service| &service.ports);
    let endpoints: usize = ports.map(|port| port.endpoints.len()).sum();
    endpoints > facts::KUBE_PROXY_LARGE_CLUSTER_ENDPOINTS.value as usize
}

fn comment(text: &str) -> Match {
    Match::Comment(text.to_owned())
}

fn jump(matches: Vec<Match>, chain: &str) -> Rule {
    Rule {
        matches,
        target: Some(Target::Jump(chain.to_owned())),
    }
}

fn nat(mark: u32) -> Table {
    let portals = || jump(vec![comment("kubernetes service portals")], "KUBE-SERVICES");
    let post = jump(
        vec![comment("kubernetes postrouting rules")],
        "KUBE-POSTROUTING",
    );
    let mut table = Table {
        name: "nat",
        hooks: vec![
            ("PREROUTING", vec![portals()]),
            ("INPUT", Vec::new()),
            ("OUTPUT", vec![portals()]),
            ("POSTROUTING", vec![post]),
        ],
        chains: ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-PROXY-CANARY"]
            .map(|chain| (chain.to_owned(), Vec::new()))
            .into(),
    };
    let chain = "KUBE-POSTROUTING";
    table.push(chain, vec![Match::Mark(true, mark)], Target::Return);
    table.push(chain, Vec::new(), Target::FlipMark(mark));
    let why = comment("kubernetes service traffic requiring SNAT");
    table.push(chain, vec![why], Target::Masquerade);
    table.push("KUBE-MARK-MASQ", Vec::new(), Target::SetMark(mark));
    table
}

/// From the kernel's chains of the filter table, top to bottom.
fn filter_hooks() -> Vec<(&'static str, Vec<Rule>)> {
    let new =
        |text: &str, chain: &str| jump(vec![Match::State(false, "NEW"), comment(text)], chain);
    let firewall = || new("kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL");
    let external = || {
        new(
            "kubernetes externally-visible service portals",
            "KUBE-EXTERNAL-SERVICES",
        )
    };
    let portals = || new("kubernetes service portals", "KUBE-SERVICES");
    let localnet = || jump(Vec::new(), "KUBE-FIREWALL");
    let health = comment("kubernetes health check service ports");
    let forward = comment("kubernetes forwarding rules");
    vec![
        (
            "INPUT",
            vec![
                localnet(),
                firewall(),
                jump(vec![health], "KUBE-NODEPORTS"),
                external(),
            ],
        ),
        (
            "FORWARD",
            vec![
                firewall(),
                jump(vec![forward], "KUBE-FORWARD"),
                portals(),
                external(),
            ],
        ),
        ("OUTPUT", vec![localnet(), firewall(), portals()]),
    ]
}

fn filter(mark: u32, input: &Input) -> Table {
    let chains = [
        "KUBE-EXTERNAL-SERVICES",
        "KUBE-FIREWALL",
        "KUBE-FORWARD",
        "KUBE-NODEPORTS",
        "KUBE-PROXY-CANARY",
        "KUBE-PROXY-FIREWALL",
        "KUBE-SERVICES",
    ];
    let mut table = Table {
        name: "filter",
        hooks: filter_hooks(),
        chains: chains.map(|chain| (chain.to_owned(), Vec::new())).into(),
    };
    if localhost(input) {
        let block = vec![
            Match::Source(true, loopback()),
            Match::Destination(false, loopback()),
            comment("block incoming localnet connections"),
            Match::State(true, "RELATED,ESTABLISHED,DNAT"),
        ];
        table.push("KUBE-FIREWALL", block, Target::Drop);
    }
    let chain = "KUBE-FORWARD";
    let invalid = vec![
        Match::State(false, "INVALID"),
        Match::Count("ct_state_invalid_dropped_pkts"),
    ];
    table.push(chain, invalid, Target::Drop);
    let marked = vec![
        comment("kubernetes forwarding rules"),
        Match::Mark(false, mark),
    ];
    table.push(chain, marked, Target::Accept);
    let known = vec![
        comment("kubernetes forwarding conntrack rule"),
        Match::State(false, "RELATED,ESTABLISHED"),
    ];
    table.push(chain, known, Target::Accept);
    table
}

pub(super) fn loopback() -> IpNet {
    "127.0.0.0/8".parse().expect("a range")
}

/// Whether NodePorts are open at 127.0.0.1, which needs `route_localnet`.
fn localhost(input: &Input) -> bool {
    let open = match &input.configuration.node_port_addresses {
        NodePortAddresses::Default => true,
        NodePortAddresses::Primary => false,
        NodePortAddresses::Networks(ranges) => ranges
            .iter()
            .any(|range| range.addr().is_loopback() || range.contains(&loopback().network())),
    };
    open && input.configuration.localhost_node_ports
}

/// Holds for traffic of this node's pods; `None` if it cannot be told.
fn local_source(input: &Input) -> Option<Match> {
    let range = |ranges: &[IpNet]| {
        let first = ranges.iter().find(|range| range.addr().is_ipv4())?;
        Some(Match::Source(false, first.trunc()))
    };
    match &input.configuration.detect_local {
        DetectLocal::ClusterCidr => range(&input.configuration.cluster_cidrs),
        DetectLocal::NodeCidr => range(&input.node.pod_cidrs),
        DetectLocal::BridgeInterface(name) => Some(Match::Interface(false, name.clone())),
        DetectLocal::InterfaceNamePrefix(prefix) => {
            Some(Match::Interface(false, format!("{prefix}+")))
        }
        DetectLocal::None => None,
    }
}

/// The last rules of KUBE-SERVICES.
fn to_node_ports(nat: &mut Table, input: &Input) {
    let why =
        comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain");
    let target = || Target::Jump("KUBE-NODEPORTS".to_owned());
    let Some(addresses) = node_port_addresses(input) else {
        let mut matches = vec![why, Match::DestinationLocal];
        if !input.configuration.localhost_node_ports {
            matches.push(Match::Destination(true, loopback()));
        }
        return nat.push("KUBE-SERVICES", matches, target());
    };
    for address in addresses {
        let matches = vec![Match::Destination(false, IpNet::from(address)), why.clone()];
        nat.push("KUBE-SERVICES", matches, target());
    }
}

/// Addresses of the node that take NodePort traffic, ascending as text; `None` for all of them.
fn node_port_addresses(input: &Input) -> Option<Vec<IpAddr>> {
    let own = input.node.addresses.iter().copied();
    let mut own = own.filter(IpAddr::is_ipv4);
    let ranges = match &input.configuration.node_port_addresses {
        NodePortAddresses::Default => return None,
        NodePortAddresses::Primary => return Some(own.next().into_iter().collect()),
        NodePortAddresses::Networks(ranges) => ranges,
    };
    if ranges.iter().any(|one| one.prefix_len() == 0) {
        return None;
    }
    let localhost = input
        .configuration
        .localhost_node_ports
        .then(|| "127.0.0.1".parse().expect("an address"));
    let mut addresses: Vec<IpAddr> = own
        .chain(localhost)
        .filter(|address| ranges.iter().any(|range| range.contains(address)))
        .collect();
    addresses.sort_by_key(IpAddr::to_string);
    Some(addresses)
}

/// Whether an address of the node takes NodePort traffic.
pub(in crate::rules) fn takes_node_ports(input: &Input, address: IpAddr) -> bool {
    match node_port_addresses(input) {
        Some(addresses) => addresses.contains(&address),
        None => input.configuration.localhost_node_ports || !address.is_loopback(),
    }
}
