//! Tables as `iptables-save` prints them and as `iptables-restore` reads them.

use super::{Match, Rule, Table, Target};
use crate::rules::Protocol;
use std::fmt::Write;
use std::net::SocketAddr;

/// What `iptables-save` prints of a table after this node's syncs, with its counters at zero.
pub fn save(table: &Table) -> String {
    let mut text = format!("*{}\n", table.name);
    for (hook, _) in &table.hooks {
        writeln!(text, ":{hook} ACCEPT [0:0]").expect("a String takes all");
    }
    for chain in table.chains.keys() {
        writeln!(text, ":{chain} - [0:0]").expect("a String takes all");
    }
    let hooks = table.hooks.iter().map(|(hook, rules)| (*hook, rules));
    let chains = table
        .chains
        .iter()
        .map(|(chain, rules)| (chain.as_str(), rules));
    for (chain, rules) in hooks.chain(chains) {
        for rule in rules {
            writeln!(text, "-A {chain}{}", line(rule)).expect("a String takes all");
        }
    }
    text + "COMMIT\n"
}

/// What `iptables-restore` takes: all tables, filter first.
pub fn restore(tables: &[Table]) -> String {
    let mut tables: Vec<&Table> = tables.iter().collect();
    tables.sort_by_key(|table| table.name);
    tables.into_iter().map(save).collect()
}

/// A rule as it is printed: addresses, interface and protocol, then modules in the order in
/// which they were named, then the target.
pub(super) fn line(rule: &Rule) -> String {
    let order = |part: &&Match| match part {
        Match::Source(..) => 0,
        Match::Destination(..) => 1,
        Match::Interface(..) => 2,
        Match::Protocol(_) => 3,
        _ => 4,
    };
    let mut parts: Vec<&Match> = rule.matches.iter().collect();
    parts.sort_by_key(order);
    let mut text: String = parts.into_iter().map(condition).collect();
    if let Some(target) = &rule.target {
        text += &action(target);
    }
    text
}

fn condition(condition: &Match) -> String {
    let not = |negated: &bool| if *negated { " !" } else { "" };
    match condition {
        Match::Source(negated, range) => format!("{} -s {range}", not(negated)),
        Match::Destination(negated, range) => format!("{} -d {range}", not(negated)),
        Match::Interface(negated, name) => format!("{} -i {name}", not(negated)),
        Match::Protocol(protocol) => format!(" -p {}", protocol.name()),
        Match::Comment(text) => format!(" -m comment --comment {}", quoted(text)),
        Match::Port(protocol, Some(port)) => format!(" -m {} --dport {port}", protocol.name()),
        Match::Port(protocol, None) => format!(" -m {}", protocol.name()),
        Match::SourceLocal => " -m addrtype --src-type LOCAL".to_owned(),
        Match::DestinationLocal => " -m addrtype --dst-type LOCAL".to_owned(),
        Match::State(negated, states) => {
            format!(" -m conntrack{} --ctstate {states}", not(negated))
        }
        Match::Mark(negated, bits) => {
            format!(" -m mark{} --mark {bits:#x}/{bits:#x}", not(negated))
        }
        // The module prints two blanks.
        Match::Count(name) => format!(" -m nfacct --nfacct-name  {name}"),
        Match::Remembered(seconds, name) => format!(
            " -m recent --rcheck --seconds {seconds} --reap --name {name} --mask 255.255.255.255 --rsource"
        ),
        Match::Remember(name) => {
            format!(" -m recent --set --name {name} --mask 255.255.255.255 --rsource")
        }
        Match::OneIn(count) => format!(
            " -m statistic --mode random --probability {:.11}",
            probability(*count)
        ),
    }
}

/// A comment in quotes where it needs some: iptables leaves plain words bare.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The kernel's random numbers are below this.
const RANDOM_END: u32 = 1 << 31;

/// One in `count`, as kube-proxy writes it with ten digits and the kernel keeps it in 31 bits:
/// the rule holds for random numbers below.
pub(super) fn threshold(count: usize) -> u32 {
    let written: f64 = format!("{:.10}", 1.0 / count as f64)
        .parse()
        .expect("digits");
    (written * f64::from(RANDOM_END)).round() as u32
}

fn probability(count: usize) -> f64 {
    f64::from(threshold(count)) / f64::from(RANDOM_END)
}

/// The share of new connections that each of `count` endpoints gets: one in `count`, but for
/// the digits that are lost.
pub fn shares(count: usize) -> Vec<f64> {
    let mut left = 1.0;
    let share = |at| {
        let share = left * probability(count - at);
        left -= share;
        share
    };
    (0..count).map(share).collect()
}

fn action(target: &Target) -> String {
    match target {
        Target::Jump(chain) => format!(" -j {chain}"),
        Target::Return => " -j RETURN".to_owned(),
        Target::Accept => " -j ACCEPT".to_owned(),
        Target::Drop => " -j DROP".to_owned(),
        Target::Reject => " -j REJECT --reject-with icmp-port-unreachable".to_owned(),
        Target::SetMark(bits) => format!(" -j MARK --set-xmark {bits:#x}/{bits:#x}"),
        Target::FlipMark(bits) => format!(" -j MARK --set-xmark {bits:#x}/0x0"),
        Target::Masquerade => " -j MASQUERADE --random-fully".to_owned(),
        Target::Translate(address) => format!(" -j DNAT --to-destination {}", text_of(*address)),
    }
}

fn text_of(address: SocketAddr) -> String {
    address.to_string()
}

impl Protocol {
    /// The module's match of a port.
    pub(super) fn port(self, port: u16) -> Match {
        Match::Port(self, Some(port))
    }
}

#[cfg(test)]
mod tests {
    use super::probability;

    #[test]
    fn probabilities_are_those_of_the_kernel() {
        let printed = |count| format!("{:.11}", probability(count));
        assert_eq!(printed(3), "0.33333333349");
        assert_eq!(printed(5), "0.20000000019");
        assert_eq!(printed(6), "0.16666666651");
        assert_eq!(printed(7), "0.14285714272");
        assert_eq!(printed(9), "0.11111111101");
    }
}
