//! The nftables mode: tables of both families, how they are listed, and the generator.
//!
//! Models: the sets, maps and chains of 1.36, with one map for all addresses of services, one for
//! NodePorts, one rule that chooses an endpoint, and sets that remember clients.
//! Leaves out: elements of IPv6, which leaves that family's table without services.
//! Sources: kubernetes/kubernetes pkg/proxy/nftables; listings of kube-proxy 1.36.2 under
//! nftables 1.0.6. Not recorded, and so from the sources alone: source ranges, several ranges of
//! services, detection by interface, and `masqueradeAll`, whose comment is a guess.
//! Validated by: the listings, in `tests/promises/nftables.rs`.

mod generate;
mod list;
mod services;

pub use generate::generate;
pub use list::list;

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    /// Name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        }
    }

    fn address_type(self) -> &'static str {
        match self {
            Family::Ip => "ipv4_addr",
            Family::Ip6 => "ipv6_addr",
        }
    }

    fn holds(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Family::Ip)
    }
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// By which listings are sorted: the key's bytes, most significant first.
    order: Vec<u8>,
    /// The key, a comment if it has one, and what it maps to.
    pub text: String,
}

/// A set, or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Name.
    pub name: String,
    /// Of its keys, and of what they map to.
    pub kind: String,
    /// What it is for.
    pub comment: Option<&'static str>,
    /// How long it remembers what packets add to it, in seconds.
    pub timeout_seconds: Option<u64>,
    /// What it holds.
    pub elements: Vec<Element>,
}

impl Set {
    /// Whether its keys map to something.
    pub fn is_map(&self) -> bool {
        self.kind.contains(" : ")
    }
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Where the kernel enters it, if it does.
    pub hook: Option<&'static str>,
    /// What it is for.
    pub comment: Option<&'static str>,
    /// Rules as they are listed.
    pub rules: Vec<String>,
}

/// kube-proxy's table of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Sets and maps.
    pub sets: Vec<Set>,
    /// Chains.
    pub chains: Vec<Chain>,
}

impl Table {
    fn insert(&mut self, set: &str, order: Vec<u8>, text: String) {
        let mut sets = self.sets.iter_mut();
        let set = sets
            .find(|one| one.name == set)
            .expect("a set of the table");
        let element = Element { order, text };
        // Ports of one service share its address.
        if let Err(place) = set.elements.binary_search(&element) {
            set.elements.insert(place, element);
        }
    }

    fn chain(&mut self, name: String, rules: Vec<String>) {
        self.chains.push(Chain {
            name,
            hook: None,
            comment: None,
            rules,
        });
    }

    /// What breaks a table: chains and sets that are named and not there, and chains of services
    /// that nothing names.
    pub fn flaws(&self) -> Vec<String> {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let elements = self.sets.iter().flat_map(|set| &set.elements);
        let texts: Vec<&str> = rules
            .map(String::as_str)
            .chain(elements.map(|element| element.text.as_str()))
            .collect();
        let words = |text: &'static str| {
            let texts = texts.iter();
            texts.flat_map(move |one| one.split(text).skip(1).filter_map(first_word))
        };
        let targets: std::collections::BTreeSet<&str> =
            words("goto ").chain(words("jump ")).collect();
        let used: std::collections::BTreeSet<&str> = words("@").collect();
        let chains: Vec<&str> = self.chains.iter().map(|one| one.name.as_str()).collect();
        let sets: Vec<&str> = self.sets.iter().map(|one| one.name.as_str()).collect();
        let absent = |one: &&&str, there: &[&str]| !there.contains(*one);
        let no_chain = targets.iter().filter(|one| absent(one, &chains));
        let no_set = used.iter().filter(|one| absent(one, &sets));
        let unused = chains
            .iter()
            .filter(|one| one.contains('/') && !targets.contains(**one));
        no_chain
            .map(|one| format!("a jump to {one}, which is not there"))
            .chain(no_set.map(|one| format!("a look into {one}, which is not there")))
            .chain(unused.map(|one| format!("nothing jumps to {one}")))
            .collect()
    }
}

/// The name at the start of a text.
fn first_word(text: &str) -> Option<&str> {
    text.split([' ', ',']).next()
}
