//! The iptables mode: typed rules, how they are written down, and the generator.

mod generate;
mod services;
pub mod walk;
mod write;

pub use generate::generate;
pub(super) use generate::takes_node_ports;
pub use write::{restore, save, shares};

use super::Protocol;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `-s`, negated or not.
    Source(bool, IpNet),
    /// `-d`, negated or not.
    Destination(bool, IpNet),
    /// `-i`, negated or not; a final `+` stands for any rest of the name.
    Interface(bool, String),
    /// `-p`.
    Protocol(Protocol),
    /// Always holds.
    Comment(String),
    /// `--dport`; `None` loads the protocol's module alone.
    Port(Protocol, Option<u16>),
    /// Source is an address of this node.
    SourceLocal,
    /// Destination is an address of this node.
    DestinationLocal,
    /// State of the connection, negated or not.
    State(bool, &'static str),
    /// These bits are set, or not all unset if negated.
    Mark(bool, u32),
    /// Counts; always holds.
    Count(&'static str),
    /// The source was remembered under this name less than some seconds ago.
    Remembered(u64, String),
    /// Remembers the source under this name; always holds.
    Remember(String),
    /// Holds for one of this many packets, at random.
    OneIn(usize),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// On to a chain, and back at its end.
    Jump(String),
    /// Back to the caller.
    Return,
    /// Lets the packet pass.
    Accept,
    /// Forgets the packet.
    Drop,
    /// Answers with an error.
    Reject,
    /// Sets these bits of the mark.
    SetMark(u32),
    /// Flips these bits of the mark.
    FlipMark(u32),
    /// Sends it on with the node's address as its source.
    Masquerade,
    /// Sends it to another destination.
    Translate(SocketAddr),
}

/// A rule; without a target it only says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub matches: Vec<Match>,
    /// What then happens.
    pub target: Option<Target>,
}

/// A table: kube-proxy's chains and its rules in the kernel's own chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// The kernel's chains that iptables lists, and the rules that jump from them.
    pub hooks: Vec<(&'static str, Vec<Rule>)>,
    /// kube-proxy's chains by name.
    pub chains: BTreeMap<String, Vec<Rule>>,
}

impl Table {
    fn push(&mut self, chain: &str, matches: Vec<Match>, target: impl Into<Option<Target>>) {
        let target = target.into();
        let rules = self.chains.entry(chain.to_owned()).or_default();
        rules.push(Rule { matches, target });
    }

    /// What breaks a table: jumps to chains that are not there or that hold nothing, and chains
    /// of single services that nothing jumps to.
    pub fn flaws(&self) -> Vec<String> {
        let hooks = self.hooks.iter().flat_map(|(_, rules)| rules);
        let targets: std::collections::BTreeSet<&str> = hooks
            .chain(self.chains.values().flatten())
            .filter_map(|rule| match &rule.target {
                Some(Target::Jump(chain)) => Some(chain.as_str()),
                _ => None,
            })
            .collect();
        let own = |chain: &str| chain.len() == "KUBE-SVC-".len() + 16;
        let missing = targets
            .iter()
            .filter(|chain| !self.chains.contains_key(**chain))
            .map(|chain| format!("a jump to {chain}, which is not there"));
        let empty = targets
            .iter()
            .filter(|chain| own(chain) && self.chains.get(**chain).is_some_and(Vec::is_empty))
            .map(|chain| format!("a jump to {chain}, which is empty"));
        let unused = self
            .chains
            .keys()
            .filter(|chain| own(chain) && !targets.contains(chain.as_str()))
            .map(|chain| format!("nothing jumps to {chain}"));
        missing.chain(empty).chain(unused).collect()
    }
}
