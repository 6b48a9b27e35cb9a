//! A packet's way through a node's iptables rules, rule by rule.
//!
//! Models: the hooks that a packet passes, with nat consulted for the first packet of a
//! connection alone; marks; addresses of the node; the `recent` module with its memory; the
//! `statistic` module, whose random numbers are handed in; connection tracking, so that later
//! packets follow the first. It reads the rules that [`super::generate`] makes, not their text.
//! Approximated: a connection is tracked until it is forgotten; entries do not time out.
//! Leaves out: packets of answers, which netfilter translates back without any rule.
//! Sources: iptables-extensions(8); torvalds/linux net/netfilter.
//! Validated by: the compiled form of the rules, which is derived another way, in
//! `walk/tests.rs`; first packets through recorded rules in the promises.

mod recent;
#[cfg(test)]
mod tests;

use super::{Match, Rule, Table, Target, write};
use crate::rules::{Connections, Entry, Flow, Node, Protocol};
use engine::Time;
use recent::Recent;
use std::net::{IpAddr, SocketAddr};

/// A packet that a node sends or gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Protocol and addresses.
    pub flow: Flow,
    /// Where it comes in; `None` if a process of the node sends it.
    pub interface: Option<String>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to another address.
    Translated {
        /// The address.
        to: SocketAddr,
        /// Whether it goes with the node's address as its source.
        masqueraded: bool,
    },
    /// It goes where it wanted to.
    Untouched,
    /// Its sender hears that nobody listens.
    Rejected,
    /// Nobody hears anything.
    Dropped,
}

/// A rule that a packet met and that held for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'t> {
    /// Name of the table.
    pub table: &'static str,
    /// Name of the chain.
    pub chain: &'t str,
    /// Number of the rule in its chain, from one.
    pub number: usize,
    /// The rule.
    pub rule: &'t Rule,
}

impl Step<'_> {
    /// The rule as `iptables-save` prints it.
    pub fn text(&self) -> String {
        format!("-A {}{}", self.chain, write::line(self.rule))
    }
}

/// A packet's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk<'t> {
    /// Rules that held, in their order.
    pub steps: Vec<Step<'t>>,
    /// How many rules were read, whether they held or not.
    pub rules_read: usize,
    /// What became of it.
    pub verdict: Verdict,
}

/// What a node's kernel keeps between packets.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    addresses: Vec<IpAddr>,
    recent: Recent,
    /// Connections under way.
    pub connections: Connections,
}

impl Kernel {
    /// That of a node, which has met no packet yet.
    pub fn new(node: &Node) -> Kernel {
        Kernel {
            addresses: node.addresses.clone(),
            ..Kernel::default()
        }
    }

    /// The node has new rules: clients that no rule asks for any more are forgotten.
    pub fn rules_written(&mut self, tables: &[Table]) {
        let rules = tables.iter().flat_map(|table| table.chains.values());
        let matches = rules.flatten().flat_map(|rule| &rule.matches);
        self.recent.keep(
            &matches
                .filter_map(|one| match one {
                    Match::Remembered(_, name) | Match::Remember(name) => Some(name.as_str()),
                    _ => None,
                })
                .collect(),
        );
    }

    /// Sends a packet through the rules. `random` gives numbers of 31 bits.
    pub fn pass<'t>(
        &mut self,
        tables: &'t [Table],
        packet: &Packet,
        now: Time,
        random: &mut dyn FnMut() -> u32,
    ) -> Walk<'t> {
        let known = self.connections.get(&packet.flow);
        let mut way = Way {
            kernel: self,
            packet,
            now,
            random,
            mark: 0,
            to: known.map_or(packet.flow.to, |entry| entry.to),
            translated: known.is_some_and(|entry| entry.to != packet.flow.to),
            masqueraded: known.is_some_and(|entry| entry.masqueraded),
            state: match known {
                Some(Entry { answered: true, .. }) => "ESTABLISHED",
                _ => "NEW",
            },
            steps: Vec::new(),
            rules_read: 0,
        };
        let end = way.hooks(tables, known.is_none());
        let verdict = match end {
            End::Drop => Verdict::Dropped,
            End::Reject => Verdict::Rejected,
            _ if way.translated => Verdict::Translated {
                to: way.to,
                masqueraded: way.masqueraded,
            },
            _ => Verdict::Untouched,
        };
        let entry = Entry {
            to: way.to,
            masqueraded: way.masqueraded,
            answered: false,
        };
        let walk = Walk {
            steps: way.steps,
            rules_read: way.rules_read,
            verdict,
        };
        if matches!(end, End::Through | End::Accept) && known.is_none() {
            self.connections.track(packet.flow, entry);
        }
        walk
    }

    fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }
}

/// How a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At its end, or by RETURN: its caller goes on.
    Through,
    Accept,
    Drop,
    Reject,
}

/// A packet on its way.
struct Way<'t, 'k> {
    kernel: &'k mut Kernel,
    packet: &'k Packet,
    now: Time,
    random: &'k mut dyn FnMut() -> u32,
    mark: u32,
    to: SocketAddr,
    translated: bool,
    masqueraded: bool,
    state: &'static str,
    steps: Vec<Step<'t>>,
    rules_read: usize,
}

impl<'t> Way<'t, '_> {
    /// Every hook between the packet's coming and its going. What a process sends to its own
    /// node comes in again, with its addresses already translated.
    fn hooks(&mut self, tables: &'t [Table], first: bool) -> End {
        let sent = self.packet.interface.is_none();
        if first {
            self.hook(tables, "nat", if sent { "OUTPUT" } else { "PREROUTING" });
        }
        let stays = self.kernel.is_local(self.to.ip());
        let on_the_way = match (sent, stays) {
            (true, _) => "OUTPUT",
            (false, true) => "INPUT",
            (false, false) => "FORWARD",
        };
        let end = self.hook(tables, "filter", on_the_way);
        if matches!(end, End::Drop | End::Reject) {
            return end;
        }
        if first && (sent || !stays) {
            self.hook(tables, "nat", "POSTROUTING");
        }
        if sent && stays {
            return self.hook(tables, "filter", "INPUT");
        }
        end
    }

    fn hook(&mut self, tables: &'t [Table], table: &'static str, hook: &str) -> End {
        let Some(table) = tables.iter().find(|one| one.name == table) else {
            return End::Through;
        };
        match table.hooks.iter().find(|(name, _)| *name == hook) {
            Some((name, rules)) => self.chain(table, name, rules),
            None => End::Through,
        }
    }

    fn chain(&mut self, table: &'t Table, chain: &'t str, rules: &'t [Rule]) -> End {
        for (at, rule) in rules.iter().enumerate() {
            self.rules_read += 1;
            if !rule.matches.iter().all(|one| self.holds(one)) {
                continue;
            }
            self.steps.push(Step {
                table: table.name,
                chain,
                number: at + 1,
                rule,
            });
            let end = match &rule.target {
                None => continue,
                Some(Target::Return) => return End::Through,
                Some(target) => self.act(table, target),
            };
            if end != End::Through {
                return end;
            }
        }
        End::Through
    }

    fn act(&mut self, table: &'t Table, target: &'t Target) -> End {
        match target {
            Target::Jump(name) => {
                let (name, rules) = table.chains.get_key_value(name).expect("no flaws");
                return self.chain(table, name, rules);
            }
            Target::SetMark(bits) => self.mark |= bits,
            Target::FlipMark(bits) => self.mark ^= bits,
            Target::Return => {}
            Target::Accept => return End::Accept,
            Target::Drop => return End::Drop,
            Target::Reject => return End::Reject,
            Target::Masquerade => {
                self.masqueraded = true;
                return End::Accept;
            }
            Target::Translate(to) => {
                (self.to, self.translated) = (*to, true);
                return End::Accept;
            }
        }
        End::Through
    }

    fn holds(&mut self, condition: &Match) -> bool {
        let source = self.packet.flow.from.ip();
        match condition {
            Match::Source(not, range) => range.contains(&source) != *not,
            Match::Destination(not, range) => range.contains(&self.to.ip()) != *not,
            Match::Interface(not, name) => self.comes_through(name) != *not,
            Match::Protocol(protocol) => self.packet.flow.protocol == *protocol,
            Match::Comment(_) | Match::Count(_) => true,
            Match::Port(protocol, port) => {
                self.packet.flow.protocol == *protocol
                    && port.is_none_or(|port| port == self.to.port())
            }
            Match::SourceLocal => self.kernel.is_local(source),
            Match::DestinationLocal => self.kernel.is_local(self.to.ip()),
            Match::State(not, states) => {
                let held = |one: &str| one == self.state || (one == "DNAT" && self.translated);
                states.split(',').any(held) != *not
            }
            Match::Mark(not, bits) => (self.mark & bits == *bits) != *not,
            Match::Remembered(seconds, name) => {
                self.kernel.recent.check(name, source, *seconds, self.now)
            }
            Match::Remember(name) => {
                self.kernel.recent.set(name, source, self.now);
                true
            }
            Match::OneIn(count) => (self.random)() < write::threshold(*count),
        }
    }

    fn comes_through(&self, name: &str) -> bool {
        let interface = self.packet.interface.as_deref().unwrap_or_default();
        match name.strip_suffix('+') {
            Some(prefix) => interface.starts_with(prefix),
            None => interface == name,
        }
    }
}

impl Flow {
    /// A flow from here to there.
    pub fn new(protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Flow {
        Flow { protocol, from, to }
    }
}
