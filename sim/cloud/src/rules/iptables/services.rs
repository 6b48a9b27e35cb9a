//! The rules of one service port.

use super::generate::loopback;
use super::{Match, Table, Target};
use crate::rules::{Endpoint, Input, Plan, Service, ServicePort, names};
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) struct Writer<'i> {
    pub(super) nat: Table,
    pub(super) filter: Table,
    /// Holds for traffic of this node's pods.
    pub(super) local: Option<Match>,
    /// Whether NodePorts are open at 127.0.0.1.
    pub(super) localhost: bool,
    /// Whether rules lose their comments.
    pub(super) large: bool,
    pub(super) input: &'i Input,
}

/// A service port with its names.
struct Port<'i> {
    service: &'i Service,
    port: &'i ServicePort,
    plan: &'i Plan,
    name: String,
    hash: String,
}

impl Port<'_> {
    fn chain(&self, prefix: &str) -> String {
        format!("KUBE-{prefix}-{}", self.hash)
    }

    fn jump(&self, prefix: &str) -> Target {
        Target::Jump(self.chain(prefix))
    }

    /// The chain of a policy.
    fn policy(&self, local: bool) -> Target {
        self.jump(if local { "SVL" } else { "SVC" })
    }

    fn comment(&self, before: &str, after: &str) -> Match {
        Match::Comment(format!("{before}{}{after}", self.name))
    }

    /// Holds for traffic to the port at an address.
    fn to(&self, address: IpAddr, comment: Match) -> Vec<Match> {
        let protocol = self.port.protocol;
        vec![
            Match::Destination(false, IpNet::from(address)),
            Match::Protocol(protocol),
            comment,
            protocol.port(self.port.port),
        ]
    }

    /// What happens to traffic that finds no endpoint, and why.
    fn refusal(&self) -> (Match, Target) {
        if self.plan.selection.any {
            (self.comment("", " has no local endpoints"), Target::Drop)
        } else {
            (self.comment("", " has no endpoints"), Target::Reject)
        }
    }

    fn firewalled(&self) -> bool {
        let service = self.service;
        self.plan.selection.any
            && !service.load_balancer_ips.is_empty()
            && !service.source_ranges.is_empty()
    }
}

fn mark_masquerade() -> Target {
    Target::Jump("KUBE-MARK-MASQ".to_owned())
}

fn negated(local: &Match) -> Match {
    match local {
        Match::Source(_, range) => Match::Source(true, *range),
        Match::Interface(_, name) => Match::Interface(true, name.clone()),
        other => unreachable!("{other:?} tells no pods apart"),
    }
}

impl Writer<'_> {
    /// Writes everything for one service port.
    pub(super) fn service(&mut self, service: &Service, port: &ServicePort, plan: &Plan) {
        let name = names::port_name(service, port);
        let one = Port {
            service,
            port,
            plan,
            hash: names::iptables_hash(&name, port.protocol),
            name,
        };
        self.cluster_address(&one);
        self.external_addresses(&one);
        self.node_port(&one);
        self.inside(&one);
        self.outside(&one);
        self.firewall(&one);
        for (local, chosen) in [
            (false, plan.uses_cluster.then_some(&plan.selection.cluster)),
            (true, plan.uses_local.then_some(&plan.selection.local)),
        ] {
            if let Some(chosen) = chosen {
                self.choice(&one, local, chosen);
            }
        }
        for position in plan.selection.reachable() {
            self.endpoint(&one, &port.endpoints[position]);
        }
    }

    fn cluster_address(&mut self, one: &Port<'_>) {
        let address = one.service.cluster_ip;
        if one.plan.standing.has_internal {
            let matches = one.to(address, one.comment("", " cluster IP"));
            let target = one.policy(one.service.internal_local);
            self.nat.push("KUBE-SERVICES", matches, target);
        } else {
            let (why, target) = one.refusal();
            self.filter
                .push("KUBE-SERVICES", one.to(address, why), target);
        }
    }

    fn external_addresses(&mut self, one: &Port<'_>) {
        for &address in &one.service.external_ips {
            self.external_address(one, address, " external IP", "EXT");
        }
        let firewalled = one.firewalled();
        for &address in &one.service.load_balancer_ips {
            let prefix = if firewalled { "FW" } else { "EXT" };
            self.external_address(one, address, " loadbalancer IP", prefix);
            if firewalled {
                let after = format!(" traffic not accepted by {}", one.chain("FW"));
                let matches = one.to(address, one.comment("", &after));
                self.filter
                    .push("KUBE-PROXY-FIREWALL", matches, Target::Drop);
            }
        }
    }

    fn external_address(&mut self, one: &Port<'_>, address: IpAddr, what: &str, prefix: &str) {
        if one.plan.selection.any {
            let matches = one.to(address, one.comment("", what));
            self.nat.push("KUBE-SERVICES", matches, one.jump(prefix));
        }
        if !one.plan.standing.has_external {
            let (why, target) = one.refusal();
            self.filter
                .push("KUBE-EXTERNAL-SERVICES", one.to(address, why), target);
        }
    }

    fn node_port(&mut self, one: &Port<'_>) {
        let protocol = one.port.protocol;
        if let Some(number) = one.port.node_port {
            let matches = || {
                vec![
                    Match::Protocol(protocol),
                    one.comment("", ""),
                    protocol.port(number),
                ]
            };
            if one.plan.selection.any {
                if self.localhost {
                    let mut counted = matches();
                    counted.push(Match::Destination(false, loopback()));
                    counted.push(Match::Count("localhost_nps_accepted_pkts"));
                    self.nat.push("KUBE-NODEPORTS", counted, one.jump("EXT"));
                }
                self.nat.push("KUBE-NODEPORTS", matches(), one.jump("EXT"));
            }
            if !one.plan.standing.has_external {
                let (why, target) = one.refusal();
                let matches = vec![
                    Match::Protocol(protocol),
                    why,
                    Match::DestinationLocal,
                    protocol.port(number),
                ];
                self.filter.push("KUBE-EXTERNAL-SERVICES", matches, target);
            }
        }
        if let Some(number) = one.service.health_check_node_port {
            let tcp = crate::rules::Protocol::Tcp;
            let matches = vec![
                Match::Protocol(tcp),
                one.comment("", " health check node port"),
                tcp.port(number),
            ];
            self.filter.push("KUBE-NODEPORTS", matches, Target::Accept);
        }
    }

    /// Traffic to the cluster address that does not come from a pod is masqueraded.
    fn inside(&mut self, one: &Port<'_>) {
        if !one.plan.standing.has_internal {
            return;
        }
        let mut matches = one.to(one.service.cluster_ip, one.comment("", " cluster IP"));
        match &self.local {
            _ if self.input.configuration.masquerade_all => {}
            Some(local) => matches.push(negated(local)),
            None => return,
        }
        let Target::Jump(chain) = one.policy(one.service.internal_local) else {
            unreachable!("policies are chains")
        };
        self.nat.push(&chain, matches, mark_masquerade());
    }

    fn outside(&mut self, one: &Port<'_>) {
        if !one.plan.selection.any || !one.plan.external {
            return;
        }
        let chain = &one.chain("EXT");
        let what = " external destinations";
        if one.plan.standing.external_local {
            if let Some(local) = &self.local {
                let matches = vec![one.comment("pod traffic for ", what), local.clone()];
                self.nat.push(chain, matches, one.policy(false));
            }
            let matches = vec![
                one.comment("masquerade LOCAL traffic for ", what),
                Match::SourceLocal,
            ];
            self.nat.push(chain, matches, mark_masquerade());
            let matches = vec![
                one.comment("route LOCAL traffic for ", what),
                Match::SourceLocal,
            ];
            self.nat.push(chain, matches, one.policy(false));
        } else {
            let why = one.comment("masquerade traffic for ", what);
            self.nat.push(chain, vec![why], mark_masquerade());
        }
        if one.plan.standing.has_external {
            let target = one.policy(one.plan.standing.external_local);
            self.nat.push(chain, Vec::new(), target);
        }
    }

    /// Who may come through the load balancer.
    fn firewall(&mut self, one: &Port<'_>) {
        if !one.firewalled() {
            return;
        }
        let chain = &one.chain("FW");
        let node = self.input.node.addresses.iter().find(|one| one.is_ipv4());
        let ranges = &one.service.source_ranges;
        let to_itself = node.is_some_and(|node| ranges.iter().any(|range| range.contains(node)));
        let itself = one
            .service
            .load_balancer_ips
            .iter()
            .filter(|_| to_itself)
            .map(|&address| IpNet::from(address));
        for range in ranges.iter().map(IpNet::trunc).chain(itself) {
            let matches = vec![
                Match::Source(false, range),
                one.comment("", " loadbalancer IP"),
            ];
            self.nat.push(chain, matches, one.jump("EXT"));
        }
        let rest = one.comment(
            "other traffic to ",
            " will be dropped by KUBE-PROXY-FIREWALL",
        );
        self.nat.push(chain, vec![rest], None);
    }

    /// Known clients to their endpoint, the others to any.
    fn choice(&mut self, one: &Port<'_>, local: bool, chosen: &[usize]) {
        let Target::Jump(chain) = one.policy(local) else {
            unreachable!("policies are chains")
        };
        let endpoints = || {
            chosen.iter().map(|&position| {
                let address = one.port.endpoints[position].address;
                let to = format!(" -> {address}");
                let comment = (!self.large).then(|| one.comment("", &to));
                let target = names::iptables_endpoint(&one.name, one.port.protocol, address);
                (Vec::from_iter(comment), target)
            })
        };
        let mut rules = Vec::new();
        if let Some(timeout) = one.service.affinity {
            let seconds = timeout.as_nanos() / 1_000_000_000;
            rules.extend(endpoints().map(|(mut matches, target)| {
                matches.push(Match::Remembered(seconds, target.clone()));
                (matches, target)
            }));
        }
        rules.extend(endpoints().enumerate().map(|(at, (mut matches, target))| {
            if at + 1 < chosen.len() {
                matches.push(Match::OneIn(chosen.len() - at));
            }
            (matches, target)
        }));
        for (matches, target) in rules {
            self.nat.push(&chain, matches, Target::Jump(target));
        }
    }

    fn endpoint(&mut self, one: &Port<'_>, endpoint: &Endpoint) {
        let address = endpoint.address;
        let protocol = one.port.protocol;
        let chain = &names::iptables_endpoint(&one.name, protocol, address);
        let comment = (!self.large).then(|| one.comment("", ""));
        let mut hairpin = vec![Match::Source(false, IpNet::from(address.ip()))];
        hairpin.extend(comment.clone());
        self.nat.push(chain, hairpin, mark_masquerade());
        let mut matches = vec![Match::Protocol(protocol)];
        matches.extend(comment);
        if one.service.affinity.is_some() {
            matches.push(Match::Remember(chain.clone()));
        }
        matches.push(Match::Port(protocol, None));
        self.nat.push(chain, matches, Target::Translate(address));
    }
}
