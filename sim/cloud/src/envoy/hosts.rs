//! A cluster's hosts as workers see them: compiled once for each update, shared by workers.
//!
//! Models: for each priority the lists that Envoy keeps (all, healthy, degraded, and the last
//! two by locality), whether the weights of a list are even, the split between priorities, the
//! effective weights of localities (weight times the stretched healthy share, at most the
//! whole), zone-aware routing of the first priority, and ring or table of the healthy hosts, or
//! of all in panic.
//! Leaves out: subsets, which Istio turns into clusters of their own; hosts by original
//! destination, which are not chosen.
//! Sources: envoyproxy/envoy source/extensions/load_balancing_policies/common.
//! Validated by: the tests of `worker`.

use super::least_request::Selection;
use super::maglev::Table;
use super::priority::{self, Census, Load};
use super::ring::{self, Ring};
use super::slow_start::SlowStart;
use super::weights::{self, Normalised};
use super::zone::{self, Routing, Zone};
use crate::facts;
use engine::Time;

/// How well a host is, outlier detection included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It gets requests.
    Healthy,
    /// It gets requests that healthy hosts cannot carry.
    Degraded,
    /// It gets none, short of panic.
    Unhealthy,
    /// It does not even count, because no check has reached it yet.
    Excluded,
}

/// One host, as the main thread holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its weight, at least one.
    pub weight: u32,
    /// Its priority, from 0.
    pub priority: u32,
    /// Its locality within the priority; with zone-aware routing 0 is the proxy's own.
    pub locality: u32,
    /// How well it is.
    pub health: Health,
    /// When it was added or last passed its health checks; slow start counts from there.
    pub healthy_since: Time,
}

/// How a host is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// In turn, by weight.
    RoundRobin,
    /// The least loaded of some, or by weight over load.
    LeastRequest {
        /// Which are compared while weights are even.
        selection: Selection,
        /// How much load lowers a weight.
        bias: f64,
    },
    /// Uniformly, whatever the weights.
    Random,
    /// By a point on a ring.
    RingHash(ring::Size),
    /// By a slot of a table with so many.
    Maglev(u64),
}

impl Policy {
    /// LEAST_REQUEST as it is if nothing else is said.
    pub fn least_request() -> Self {
        Policy::LeastRequest {
            selection: Selection::Choices(facts::ENVOY_LEAST_REQUEST_CHOICES.value),
            bias: facts::ENVOY_LEAST_REQUEST_BIAS.value,
        }
    }

    /// RING_HASH likewise.
    pub fn ring_hash() -> Self {
        Policy::RingHash(ring::Size {
            min: facts::ENVOY_RING_MIN.value,
            max: facts::ENVOY_RING_MAX.value,
        })
    }

    /// Whether the hash of a key decides.
    pub fn is_hash(self) -> bool {
        matches!(self, Policy::RingHash(_) | Policy::Maglev(_))
    }

    /// MAGLEV likewise.
    pub fn maglev() -> Self {
        Policy::Maglev(facts::ENVOY_MAGLEV_TABLE.value)
    }
}

/// What localities count for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Localities {
    /// Nothing.
    Ignored,
    /// Each has a weight, by priority and locality.
    Weighted(Vec<Vec<u32>>),
    /// Requests stay in their zone as far as is fair.
    ZoneAware {
        /// Callers by locality; the proxy's own comes first.
        callers: Vec<u32>,
        /// Healthy hosts that it needs.
        hosts_min: u32,
    },
}

impl Localities {
    /// Zone-aware routing with so many callers by locality, as it is if nothing else is said.
    pub fn zone_aware(callers: Vec<u32>) -> Self {
        Localities::ZoneAware {
            callers,
            hosts_min: facts::ENVOY_ZONE_ROUTING_HOSTS_MIN.value,
        }
    }
}

/// Settings of a cluster's balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How a host is chosen.
    pub policy: Policy,
    /// How far the healthy share of a priority is stretched, in percent.
    pub overprovisioning: u32,
    /// Below this percentage of healthy hosts all are used.
    pub panic_threshold: u32,
    /// How new hosts get their weight, for policies with weights.
    pub slow_start: Option<SlowStart>,
    /// What localities count for.
    pub localities: Localities,
    /// Percentage of the mean load up to which a host keeps its keys, for policies by hash.
    pub bounded_load: Option<u32>,
}

impl Settings {
    /// Envoy's defaults with this policy.
    pub fn of(policy: Policy) -> Self {
        Settings {
            policy,
            overprovisioning: facts::ENVOY_OVERPROVISIONING.value,
            panic_threshold: facts::ENVOY_PANIC_THRESHOLD.value,
            slow_start: None,
            localities: Localities::Ignored,
            bounded_load: None,
        }
    }
}

/// One of the lists of a priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) hosts: Vec<u32>,
    pub(super) even: bool,
}

impl List {
    fn of(hosts: &[Host], wanted: impl Fn(&Host) -> bool) -> Self {
        let numbered = hosts.iter().enumerate();
        let found: Vec<u32> = numbered
            .filter(|(_, host)| wanted(host))
            .map(|(index, _)| index as u32)
            .collect();
        let weight = |&host: &u32| hosts[host as usize].weight;
        let first = found.first().map(weight);
        List {
            even: found.iter().all(|host| Some(weight(host)) == first),
            hosts: found,
        }
    }
}

/// Where the lists of a priority stand in its vector.
pub(super) const ALL: usize = 0;
pub(super) const HEALTHY: usize = 1;
pub(super) const DEGRADED: usize = 2;

/// What a key's hash leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Placement {
    Ring(Ring),
    Table(Table),
}

impl Placement {
    pub(super) fn choose(&self, hash: u64, attempt: u32) -> Option<u32> {
        match self {
            Placement::Ring(ring) => ring.choose(hash, attempt),
            Placement::Table(table) => table.choose(hash, attempt),
        }
    }
}

/// The hosts of one priority.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Priority {
    /// All, healthy, degraded, healthy by locality, degraded by locality.
    pub(super) lists: Vec<List>,
    pub(super) localities: usize,
    /// Effective weights of localities for healthy and for degraded hosts, if they count.
    pub(super) weights: Option<[Vec<f64>; 2]>,
    pub(super) routing: Routing,
    pub(super) placement: Option<Placement>,
    /// Parts of the hosts of the placement.
    pub(super) parts: Vec<Normalised>,
}

impl Priority {
    /// Where a locality's list of healthy or degraded hosts stands.
    pub(super) fn list_of(&self, condition: priority::Condition, locality: usize) -> usize {
        let before = match condition {
            priority::Condition::Healthy => 0,
            priority::Condition::Degraded => self.localities,
        };
        DEGRADED + 1 + before + locality
    }
}

/// A cluster's hosts, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Hosts {
    pub(super) settings: Settings,
    pub(super) hosts: Vec<Host>,
    pub(super) priorities: Vec<Priority>,
    pub(super) loads: Vec<Load>,
    censuses: Vec<Census>,
}

impl Hosts {
    /// Compiles these hosts; `key` tells the address of a host, which rings and tables are made
    /// of.
    pub fn compile<'a>(
        settings: &Settings,
        hosts: &[Host],
        key: impl Fn(u32) -> &'a str + Copy,
    ) -> Self {
        let last = hosts.iter().map(|host| host.priority).max().unwrap_or(0);
        let of = |priority, health| {
            let wanted = |host: &&Host| host.priority == priority && host.health == health;
            hosts.iter().filter(wanted).count() as u32
        };
        let censuses: Vec<Census> = (0..=last)
            .map(|priority| Census {
                hosts: hosts
                    .iter()
                    .filter(|host| host.priority == priority)
                    .count() as u32,
                healthy: of(priority, Health::Healthy),
                degraded: of(priority, Health::Degraded),
                excluded: of(priority, Health::Excluded),
            })
            .collect();
        let loads = priority::split(
            &censuses,
            settings.overprovisioning,
            settings.panic_threshold,
        );
        let numbered = loads.iter().zip(0..);
        let priorities =
            numbered.map(|(load, number)| compile(settings, hosts, number, load.panic, key));
        Hosts {
            priorities: priorities.collect(),
            settings: settings.clone(),
            hosts: hosts.to_vec(),
            loads,
            censuses,
        }
    }

    /// The split between priorities.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// The split for a retry that leaves out the priorities of hosts which were tried, if anybody is
    /// available.
    pub fn loads_without(&self, has_tried: impl Fn(u32) -> bool) -> Option<Vec<Load>> {
        let mut tried = vec![false; self.censuses.len()];
        for (number, host) in (0..).zip(&self.hosts) {
            tried[host.priority as usize] |= has_tried(number);
        }
        priority::split_without(&self.censuses, self.settings.overprovisioning, &tried)
    }

    /// The host of a key by ring or table, if it goes to this priority.
    pub fn place(&self, priority: usize, hash: u64) -> Option<u32> {
        self.priorities[priority]
            .placement
            .as_ref()?
            .choose(hash, 0)
    }

    /// The priority of a host.
    pub fn priority_of(&self, host: u32) -> usize {
        self.hosts[host as usize].priority as usize
    }
}

fn compile<'a>(
    settings: &Settings,
    hosts: &[Host],
    number: u32,
    panic: bool,
    key: impl Fn(u32) -> &'a str + Copy,
) -> Priority {
    let own = |host: &Host| host.priority == number;
    let localities = hosts
        .iter()
        .filter(|host| own(host))
        .map(|host| host.locality as usize + 1);
    let localities = localities.max().unwrap_or(0);
    let is = |host: &Host, health| own(host) && host.health == health;
    let mut lists = vec![
        List::of(hosts, own),
        List::of(hosts, |host| is(host, Health::Healthy)),
        List::of(hosts, |host| is(host, Health::Degraded)),
    ];
    for health in [Health::Healthy, Health::Degraded] {
        let of = |locality| {
            List::of(hosts, move |host: &Host| {
                is(host, health) && host.locality as usize == locality
            })
        };
        lists.extend((0..localities).map(of));
    }
    let mut priority = Priority {
        lists,
        localities,
        weights: effective_weights(settings, hosts, number, localities),
        routing: routing(settings, hosts, number, localities),
        placement: None,
        parts: Vec::new(),
    };
    if let Policy::RingHash(_) | Policy::Maglev(_) = settings.policy {
        priority.parts = parts(settings, hosts, number, &priority, panic);
        priority.placement = Some(match settings.policy {
            Policy::RingHash(size) => Placement::Ring(Ring::new(&priority.parts, size, key)),
            Policy::Maglev(size) => Placement::Table(Table::new(&priority.parts, size, key)),
            Policy::RoundRobin | Policy::LeastRequest { .. } | Policy::Random => {
                unreachable!("only hashes place hosts")
            }
        });
    }
    priority
}

/// Weights of localities times the stretched share of their hosts that is in question.
fn effective_weights(
    settings: &Settings,
    hosts: &[Host],
    number: u32,
    localities: usize,
) -> Option<[Vec<f64>; 2]> {
    let Localities::Weighted(weights) = &settings.localities else {
        return None;
    };
    let weights = weights.get(number as usize)?;
    let stretch = f64::from(settings.overprovisioning) / 100.0;
    let effective = |health: Health| -> Vec<f64> {
        let of = |locality: usize| {
            let here = |host: &&Host| host.priority == number && host.locality as usize == locality;
            let counted = hosts
                .iter()
                .filter(here)
                .filter(|host| host.health != Health::Excluded);
            let found = hosts
                .iter()
                .filter(here)
                .filter(|host| host.health == health);
            let weight = f64::from(weights.get(locality).copied().unwrap_or(0));
            match counted.count() {
                0 => 0.0,
                counted => weight * (stretch * (found.count() as f64 / counted as f64)).min(1.0),
            }
        };
        (0..localities).map(of).collect()
    };
    Some([effective(Health::Healthy), effective(Health::Degraded)])
}

/// Zone-aware routing, of the first priority only.
fn routing(settings: &Settings, hosts: &[Host], number: u32, localities: usize) -> Routing {
    let Localities::ZoneAware { callers, hosts_min } = &settings.localities else {
        return Routing::Off;
    };
    if number > 0 {
        return Routing::Off;
    }
    let zones = (0..localities.max(callers.len())).map(|locality| {
        let here = hosts
            .iter()
            .filter(|host| host.priority == 0 && host.locality as usize == locality);
        Zone {
            callers: callers.get(locality).copied().unwrap_or(0),
            hosts: here.clone().count() as u32,
            healthy: here.filter(|host| host.health == Health::Healthy).count() as u32,
        }
    });
    match zones.collect::<Vec<_>>() {
        zones if zones.is_empty() => Routing::Off,
        zones => zone::routing(&zones, *hosts_min),
    }
}

/// The hosts of a ring or table, with their parts.
fn parts(
    settings: &Settings,
    hosts: &[Host],
    number: u32,
    priority: &Priority,
    panic: bool,
) -> Vec<Normalised> {
    let weighted = |list: &[u32]| -> Vec<(u32, u32)> {
        list.iter()
            .map(|&host| (host, hosts[host as usize].weight))
            .collect()
    };
    let weights = match &settings.localities {
        Localities::Weighted(weights) => weights.get(number as usize),
        Localities::Ignored | Localities::ZoneAware { .. } => None,
    };
    let Some(weights) = weights.filter(|weights| !weights.is_empty()) else {
        let list = if panic { ALL } else { HEALTHY };
        return weights::normalise(&weighted(&priority.lists[list].hosts), 1.0);
    };
    let of = |locality: usize| -> Vec<(u32, u32)> {
        let list = priority.list_of(priority::Condition::Healthy, locality);
        let healthy = &priority.lists[list].hosts;
        let all = priority.lists[ALL].hosts.iter().copied();
        let here = all.filter(|&host| hosts[host as usize].locality as usize == locality);
        weighted(&if panic {
            here.collect()
        } else {
            healthy.clone()
        })
    };
    let lists: Vec<Vec<(u32, u32)>> = (0..priority.localities).map(of).collect();
    let localities: Vec<(&[(u32, u32)], u32)> = lists
        .iter()
        .map(Vec::as_slice)
        .zip(weights.iter().copied())
        .collect();
    weights::normalise_localities(&localities)
}
