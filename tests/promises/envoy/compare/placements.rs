//! Which host each key goes to, and how many points or slots hosts have.

use super::Comparison;
use cloud::envoy::hash;
use cloud::envoy::hosts::{Health, Host, Hosts, Policy};
use cloud::envoy::maglev::Table;
use cloud::envoy::ring::Ring;
use cloud::envoy::weights;
use serde_json::{Map, Value};

impl Comparison<'_> {
    pub(super) fn placement_stat(&mut self, short: &str, value: &Value) {
        let counts = self.entries();
        let ours = match short {
            "size" => counts.iter().sum::<usize>(),
            "min_hashes_per_host" | "min_entries_per_host" => {
                counts.iter().copied().min().unwrap_or(0)
            }
            _ => counts.iter().copied().max().unwrap_or(0),
        };
        self.expect(short, value.as_u64() == Some(ours as u64), || {
            format!("recorded {value}, ours {ours}")
        });
    }

    /// The hosts, compiled.
    fn compiled(&self) -> Hosts {
        let upstreams = &self.setup.upstreams;
        let hosts: Vec<Host> = upstreams.iter().map(|upstream| upstream.host).collect();
        Hosts::compile(&self.setup.settings, &hosts, |host| {
            upstreams[host as usize].key.as_str()
        })
    }

    /// Points or slots by host: of those that are healthy, or of all in panic.
    fn entries(&self) -> Vec<usize> {
        let upstreams = &self.setup.upstreams;
        let panic = self.compiled().loads()[0].panic;
        let counts = |host: &Host| panic || host.health == Health::Healthy;
        let weights: Vec<(u32, u32)> = upstreams
            .iter()
            .zip(0..)
            .filter(|(upstream, _)| counts(&upstream.host))
            .map(|(upstream, host)| (host, upstream.host.weight))
            .collect();
        let parts = weights::normalise(&weights, 1.0);
        let key = |host: u32| upstreams[host as usize].key.as_str();
        let hosts = weights.iter().map(|&(host, _)| host);
        match self.setup.settings.policy {
            Policy::RingHash(size) => {
                let ring = Ring::new(&parts, size, key);
                hosts.map(|host| ring.points_of(host)).collect()
            }
            Policy::Maglev(size) => {
                let table = Table::new(&parts, size, key);
                hosts.map(|host| table.slots_of(host)).collect()
            }
            Policy::RoundRobin | Policy::LeastRequest { .. } | Policy::Random => Vec::new(),
        }
    }

    pub(super) fn keys(&mut self, entries: Option<&Map<String, Value>>) {
        let upstreams = &self.setup.upstreams;
        let key = |host: u32| upstreams[host as usize].key.as_str();
        let compiled = self.compiled();
        let finals = &self.logs[0].finals;
        for (sought, value) in entries.into_iter().flatten() {
            if value.is_null() {
                continue;
            }
            // Where requests were retried, the host that answered last counts.
            let ours = if finals.is_empty() {
                compiled.place(0, hash::of(sought))
            } else {
                let number = sought.trim_start_matches("key-").parse::<usize>();
                number.ok().and_then(|number| finals.get(number)?.host)
            };
            let ours = ours.map(key);
            self.expect(sought, value.as_str() == ours, || {
                format!("recorded {value}, ours {ours:?}")
            });
        }
    }
}
