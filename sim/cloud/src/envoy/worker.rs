//! One worker thread's balancer of one cluster.
//!
//! Models: what Envoy keeps for each worker: a seed, an index for each list of hosts that keeps
//! counting over updates, schedules for lists of uneven weights or with hosts in slow start
//! (built anew with each update of their priority), schedules of localities. A pick chooses the
//! priority by a hash, then healthy, degraded or, in panic, all hosts, then a locality, then a
//! host; RANDOM uses the hash of the priority for the host too. A retry that does not want the
//! host picks anew as often as it may and then takes the last. Draws are handed in; nothing is
//! allocated in a pick.
//! Leaves out: picks ahead for connections that are opened before they are needed.
//! Sources: envoyproxy/envoy source/extensions/load_balancing_policies.
//! Validated by: the tests below and the recordings in tests/parity/envoy.

use super::bounded;
use super::hosts::{ALL, DEGRADED, HEALTHY, Health, Hosts, Policy, Priority};
use super::least_request;
use super::priority::{self, Condition, Load};
use super::schedule::Schedule;
use engine::{Draw, Time};

/// What a pick is for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The hash of the request's key, if it has one.
    pub hash: Option<u64>,
    /// The present.
    pub now: Time,
    /// Another split between priorities than the cluster's, for retries.
    pub loads: Option<&'a [Load]>,
    /// How often to pick at most, until a host is wanted.
    pub picks: u32,
}

impl Ask<'_> {
    /// A first attempt, without a key.
    pub fn plain(now: Time) -> Self {
        Ask {
            hash: None,
            now,
            loads: None,
            picks: 1,
        }
    }
}

/// What a worker keeps of one list of hosts.
#[derive(Clone, Debug)]
struct Source {
    index: u64,
    schedule: Option<Schedule>,
}

/// Localities with weight, and when they come.
#[derive(Clone, Debug)]
struct LocalitySchedule {
    localities: Vec<u32>,
    schedule: Schedule,
}

/// What a worker keeps of one priority.
#[derive(Clone, Debug, Default)]
struct State {
    sources: Vec<Source>,
    /// For healthy and for degraded hosts.
    localities: [Option<LocalitySchedule>; 2],
}

/// The balancer.
#[derive(Clone, Debug)]
pub struct Worker {
    seed: u64,
    priorities: Vec<State>,
    /// When the last of the hosts that counts for slow start became healthy.
    last_started: Time,
    order: Vec<u32>,
}

impl Worker {
    /// The balancer of a worker that hears of these hosts for the first time.
    pub fn new(hosts: &Hosts, now: Time, draw: &mut Draw, active: impl Fn(u32) -> u32) -> Self {
        let mut worker = Worker {
            seed: draw.word(),
            priorities: Vec::new(),
            last_started: now,
            order: Vec::new(),
        };
        for priority in 0..hosts.priorities.len() {
            worker.update(hosts, priority, now, draw, &active);
        }
        worker
    }

    /// Hosts of a priority have changed.
    pub fn update(
        &mut self,
        hosts: &Hosts,
        priority: usize,
        now: Time,
        draw: &mut Draw,
        active: impl Fn(u32) -> u32,
    ) {
        self.priorities
            .resize_with(hosts.priorities.len(), State::default);
        self.note_starts(hosts, now);
        let compiled = &hosts.priorities[priority];
        let seed = self.seed;
        let starting = self.is_starting(hosts, now);
        let state = &mut self.priorities[priority];
        let fresh = || Source {
            index: seed,
            schedule: None,
        };
        state.sources.resize_with(compiled.lists.len(), fresh);
        for (source, list) in state.sources.iter_mut().zip(&compiled.lists) {
            let scheduled = has_schedules(hosts.settings.policy)
                && list.hosts.len() > 1
                && (!list.even || starting);
            source.schedule = scheduled.then(|| {
                let weights = list
                    .hosts
                    .iter()
                    .map(|&host| weight(hosts, host, starting, now, &active));
                Schedule::after_picks(&weights.collect::<Vec<_>>(), seed as u32)
            });
        }
        state.localities = schedule_localities(compiled, draw.word() as u32);
    }

    /// Looks for hosts that have become healthy.
    fn note_starts(&mut self, hosts: &Hosts, now: Time) {
        let Some(rule) = hosts.settings.slow_start else {
            return;
        };
        for host in &hosts.hosts {
            let since = host.healthy_since;
            if host.health == Health::Healthy && rule.is_under_way(since, now) {
                self.last_started = self.last_started.max(since);
            }
        }
    }

    fn is_starting(&self, hosts: &Hosts, now: Time) -> bool {
        let rule = hosts.settings.slow_start;
        rule.is_some_and(|rule| rule.is_under_way(self.last_started, now))
    }

    /// The host of a request; `None` if there is none for it.
    ///
    /// `active` tells the requests that a host holds from all workers, `unwanted` says whether a
    /// retry would rather have another host.
    pub fn pick(
        &mut self,
        hosts: &Hosts,
        ask: Ask<'_>,
        draw: &mut Draw,
        active: impl Fn(u32) -> u32,
        unwanted: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        if let Policy::RingHash(_) | Policy::Maglev(_) = hosts.settings.policy {
            return self.place(hosts, ask, draw, active, unwanted);
        }
        let mut host = None;
        for _ in 0..ask.picks {
            host = Some(self.pick_once(hosts, ask, draw, &active)?);
            if !host.is_some_and(&unwanted) {
                break;
            }
        }
        host
    }

    fn pick_once(
        &mut self,
        hosts: &Hosts,
        ask: Ask<'_>,
        draw: &mut Draw,
        active: impl Fn(u32) -> u32,
    ) -> Option<u32> {
        let loads = ask.loads.unwrap_or(&hosts.loads);
        // Where all goes to one priority nothing but RANDOM depends on the hash.
        let hash = match hosts.settings.policy {
            Policy::Random => draw.word(),
            _ if loads[0].healthy == 100 => 0,
            _ => draw.word(),
        };
        let (number, condition) = priority::choose(loads, hash);
        let chosen = self.source(hosts, number, condition, draw);
        let starting = self.is_starting(hosts, ask.now);
        let list = &hosts.priorities[number].lists[chosen];
        let source = &mut self.priorities[number].sources[chosen];
        let count = list.hosts.len() as u32;
        if let Some(schedule) = &mut source.schedule {
            let of = |entry| {
                weight(
                    hosts,
                    list.hosts[entry as usize],
                    starting,
                    ask.now,
                    &active,
                )
            };
            return Some(list.hosts[schedule.pick(of) as usize]);
        }
        if count == 0 {
            return None;
        }
        let index = match hosts.settings.policy {
            Policy::Random => (hash % u64::from(count)) as u32,
            Policy::LeastRequest { selection, .. } => {
                let active = |index: u32| active(list.hosts[index as usize]);
                least_request::choose(selection, count, draw, active)
            }
            Policy::RoundRobin | Policy::RingHash(_) | Policy::Maglev(_) => {
                let index = source.index;
                source.index = index.wrapping_add(1);
                (index % u64::from(count)) as u32
            }
        };
        Some(list.hosts[index as usize])
    }

    /// The list that a pick is from.
    fn source(
        &mut self,
        hosts: &Hosts,
        number: usize,
        condition: Condition,
        draw: &mut Draw,
    ) -> usize {
        if hosts.loads[number].panic {
            return ALL;
        }
        let priority = &hosts.priorities[number];
        let (whole, schedule) = match condition {
            Condition::Healthy => (HEALTHY, 0),
            Condition::Degraded => (DEGRADED, 1),
        };
        if let Some(localities) = &mut self.priorities[number].localities[schedule] {
            let weights = priority.weights.as_ref().map(|weights| &weights[schedule]);
            let of = |entry: u32| {
                let locality = localities.localities[entry as usize] as usize;
                weights.map_or(1.0, |weights| weights[locality])
            };
            let entry = localities.schedule.pick(of);
            let locality = localities.localities[entry as usize] as usize;
            return priority.list_of(condition, locality);
        }
        match priority.routing.choose(draw) {
            Some(locality) if locality < priority.localities => {
                priority.list_of(condition, locality)
            }
            Some(_) | None => whole,
        }
    }

    /// The host of a key, by ring or table.
    fn place(
        &mut self,
        hosts: &Hosts,
        ask: Ask<'_>,
        draw: &mut Draw,
        active: impl Fn(u32) -> u32,
        unwanted: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let hash = ask.hash.unwrap_or_else(|| draw.word());
        let (number, _) = priority::choose(ask.loads.unwrap_or(&hosts.loads), hash);
        let priority = &hosts.priorities[number];
        let placement = priority.placement.as_ref()?;
        let mut host = None;
        for attempt in 0..ask.picks {
            let found = placement.choose(hash, attempt)?;
            let chosen = match hosts.settings.bounded_load {
                None => found,
                Some(percent) => bounded::choose(
                    &priority.parts,
                    found,
                    hash,
                    percent,
                    &active,
                    &mut self.order,
                ),
            };
            host = Some(chosen);
            if !unwanted(chosen) {
                break;
            }
        }
        host
    }
}

fn has_schedules(policy: Policy) -> bool {
    match policy {
        Policy::RoundRobin | Policy::LeastRequest { .. } => true,
        Policy::Random | Policy::RingHash(_) | Policy::Maglev(_) => false,
    }
}

/// What a host weighs now.
fn weight(hosts: &Hosts, host: u32, starting: bool, now: Time, active: impl Fn(u32) -> u32) -> f64 {
    let known = &hosts.hosts[host as usize];
    let weight = match hosts.settings.policy {
        Policy::LeastRequest { bias, .. } => {
            least_request::weight(f64::from(known.weight), active(host), bias)
        }
        Policy::RoundRobin | Policy::Random | Policy::RingHash(_) | Policy::Maglev(_) => {
            f64::from(known.weight)
        }
    };
    match hosts.settings.slow_start {
        Some(rule) if starting && known.health == Health::Healthy => {
            weight * rule.share(known.healthy_since, now)
        }
        Some(_) | None => weight,
    }
}

/// When localities come, for healthy and for degraded hosts.
fn schedule_localities(priority: &Priority, picks: u32) -> [Option<LocalitySchedule>; 2] {
    let Some(weights) = &priority.weights else {
        return [None, None];
    };
    [0, 1].map(|condition| {
        let weighted = weights[condition]
            .iter()
            .zip(0..)
            .filter(|&(&weight, _)| weight > 0.0);
        let (weights, localities): (Vec<f64>, Vec<u32>) = weighted.unzip();
        (!weights.is_empty()).then(|| LocalitySchedule {
            localities,
            schedule: Schedule::after_picks(&weights, picks),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::hosts::{Host, Localities, Settings};
    use super::super::slow_start::SlowStart;
    use super::*;
    use engine::{Duration, Seed, Stream};
    use proptest::prelude::*;

    fn host(weight: u32, health: Health) -> Host {
        Host {
            weight,
            priority: 0,
            locality: 0,
            health,
            healthy_since: Time::ZERO,
        }
    }

    fn draw(address: u64) -> Draw {
        Stream::new(Seed::default(), "worker").draw(address, 0)
    }

    /// Shares of hosts over many picks at one instant.
    fn shares(settings: &Settings, hosts: &[Host], now: Time) -> Vec<f64> {
        let compiled = Hosts::compile(settings, hosts, |_| "host");
        let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(0), |_| 0);
        let mut counts = vec![0u32; hosts.len()];
        for request in 1..=20_000 {
            let ask = Ask::plain(now);
            let host = worker.pick(&compiled, ask, &mut draw(request), |_| 0, |_| false);
            counts[host.expect("there is a host") as usize] += 1;
        }
        counts
            .iter()
            .map(|&count| f64::from(count) / 20_000.0)
            .collect()
    }

    fn assert_near(shares: &[f64], expected: &[f64], tolerance: f64) {
        for (share, expected) in shares.iter().zip(expected) {
            assert!((share - expected).abs() <= tolerance, "{shares:?}");
        }
    }

    #[test]
    fn round_robin_goes_on_where_it_was_after_an_update() {
        let mut hosts = [host(1, Health::Healthy); 4];
        let settings = Settings::of(Policy::RoundRobin);
        let compiled = Hosts::compile(&settings, &hosts, |_| "host");
        let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(0), |_| 0);
        let next = |worker: &mut Worker, hosts: &Hosts| {
            worker
                .pick(
                    hosts,
                    Ask::plain(Time::ZERO),
                    &mut draw(1),
                    |_| 0,
                    |_| false,
                )
                .unwrap()
        };
        let first = next(&mut worker, &compiled);
        assert_eq!(next(&mut worker, &compiled), (first + 1) % 4);
        hosts[3].health = Health::Unhealthy;
        let three = Hosts::compile(&settings, &hosts, |_| "host");
        worker.update(&three, 0, Time::ZERO, &mut draw(2), |_| 0);
        let index = worker.seed.wrapping_add(2);
        assert_eq!(u64::from(next(&mut worker, &three)), index % 3);
    }

    #[test]
    fn unhealthy_hosts_get_nothing_short_of_panic() {
        let [well, ill] = [host(1, Health::Healthy), host(1, Health::Unhealthy)];
        let settings = Settings::of(Policy::RoundRobin);
        let of = |hosts: &[Host]| shares(&settings, hosts, Time::ZERO);
        assert_near(&of(&[well, well, ill, ill]), &[0.5, 0.5, 0.0, 0.0], 1e-4);
        assert_near(&of(&[well, ill, ill, ill]), &[0.25; 4], 1e-4);
    }

    #[test]
    fn weights_matter_but_to_random() {
        let hosts = [host(1, Health::Healthy), host(3, Health::Healthy)];
        let of = |policy| shares(&Settings::of(policy), &hosts, Time::ZERO);
        assert_near(&of(Policy::RoundRobin), &[0.25, 0.75], 1e-4);
        assert_near(&of(Policy::least_request()), &[0.25, 0.75], 1e-4);
        assert_near(&of(Policy::Random), &[0.5, 0.5], 0.015);
    }

    #[test]
    fn a_starting_host_gets_its_part() {
        let mut hosts = [host(1, Health::Healthy); 4];
        hosts[3].healthy_since = Time::from_secs_f64(100.0);
        let settings = Settings {
            slow_start: Some(SlowStart::over(Duration::from_secs(10))),
            ..Settings::of(Policy::RoundRobin)
        };
        let compiled = Hosts::compile(&settings, &hosts, |_| "host");
        let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(0), |_| 0);
        worker.update(
            &compiled,
            0,
            Time::from_secs_f64(100.0),
            &mut draw(0),
            |_| 0,
        );
        let mut count = 0;
        for request in 0..3_500 {
            let ask = Ask::plain(Time::from_secs_f64(105.0));
            let host = worker.pick(&compiled, ask, &mut draw(request), |_| 0, |_| false);
            count += u32::from(host == Some(3));
        }
        // Half a weight among three whole ones; its first turn was set when it joined.
        assert!((495..=502).contains(&count), "{count}");
    }

    #[test]
    fn localities_share_by_effective_weight() {
        let near = host(1, Health::Healthy);
        let far = Host {
            locality: 1,
            ..near
        };
        let ill = Host {
            health: Health::Unhealthy,
            ..near
        };
        let settings = Settings {
            localities: Localities::Weighted(vec![vec![3, 1]]),
            ..Settings::of(Policy::RoundRobin)
        };
        let of = |hosts: &[Host]| shares(&settings, hosts, Time::ZERO);
        assert_near(&of(&[near, far, far]), &[0.75, 0.125, 0.125], 1e-3);
        // Half of the near ones: 3 x 1.4 x 0.5 = 2.1 to 1.
        assert_near(
            &of(&[near, ill, far, far]),
            &[2.1 / 3.1, 0.0, 0.5 / 3.1, 0.5 / 3.1],
            1e-3,
        );
    }

    #[test]
    fn requests_stay_in_their_zone_if_it_has_its_part_of_the_hosts() {
        let near = host(1, Health::Healthy);
        let far = Host {
            locality: 1,
            ..near
        };
        let hosts = [near, near, near, far, far, far];
        let of = |callers: Vec<u32>| {
            let settings = Settings {
                localities: Localities::zone_aware(callers),
                ..Settings::of(Policy::Random)
            };
            let shares = shares(&settings, &hosts, Time::ZERO);
            shares[..3].iter().sum::<f64>()
        };
        assert_near(&[of(vec![1, 1])], &[1.0], 0.0);
        // Three quarters of the callers have half of the hosts: two thirds of theirs stay.
        assert_near(&[of(vec![3, 1])], &[2.0 / 3.0], 0.012);
        assert_near(&[of(vec![0, 1])], &[0.5], 0.012);
    }

    #[test]
    fn a_retry_picks_again_and_at_last_takes_what_it_gets() {
        let hosts = [host(1, Health::Healthy); 2];
        let compiled = Hosts::compile(&Settings::of(Policy::Random), &hosts, |_| "host");
        let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(0), |_| 0);
        let mut tally = |picks| {
            let ask = Ask {
                picks,
                ..Ask::plain(Time::ZERO)
            };
            let unwanted = (0..20_000).filter(|&request| {
                let host = worker.pick(&compiled, ask, &mut draw(request), |_| 0, |host| host == 0);
                host == Some(0)
            });
            unwanted.count() as f64 / 20_000.0
        };
        assert!((tally(1) - 0.5).abs() < 0.012);
        assert!((tally(6) - 1.0 / 64.0).abs() < 0.004);
    }

    #[test]
    fn a_key_stays_with_its_host_and_a_retry_leaves_it() {
        let hosts = [host(1, Health::Healthy); 3];
        let keys = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
        for policy in [Policy::ring_hash(), Policy::maglev()] {
            let compiled =
                Hosts::compile(&Settings::of(policy), &hosts, |host| keys[host as usize]);
            let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(0), |_| 0);
            for hash in 0..50u64 {
                let hash = super::super::hash::of(&hash.to_string());
                let mut pick = |picks, unwanted: Option<u32>| {
                    let ask = Ask {
                        hash: Some(hash),
                        picks,
                        ..Ask::plain(Time::ZERO)
                    };
                    let unwanted = |host| Some(host) == unwanted;
                    worker.pick(&compiled, ask, &mut draw(hash), |_| 0, unwanted)
                };
                let first = pick(1, None);
                assert_eq!(pick(1, None), first);
                assert_ne!(pick(40, first), first);
            }
        }
    }

    proptest! {
        #[test]
        fn a_pick_is_a_host_of_its_priority_and_health(
            members in prop::collection::vec((1u32..4, 0u32..3, 0u32..3, 0u32..4), 1..20),
            policy in 0usize..5,
            seed: u64,
        ) {
            let health = [Health::Healthy, Health::Degraded, Health::Unhealthy, Health::Excluded];
            let hosts: Vec<Host> = members.iter().map(|&(weight, priority, locality, state)| Host {
                weight,
                priority,
                locality,
                health: health[state as usize],
                healthy_since: Time::ZERO,
            }).collect();
            let policy = [Policy::RoundRobin, Policy::least_request(), Policy::Random,
                Policy::RingHash(super::super::ring::Size { min: 16, max: 64 }), Policy::Maglev(53)][policy];
            let settings = Settings { panic_threshold: 0, ..Settings::of(policy) };
            let keys: Vec<String> = (0..hosts.len()).map(|host| host.to_string()).collect();
            let compiled = Hosts::compile(&settings, &hosts, |host| &keys[host as usize]);
            let mut worker = Worker::new(&compiled, Time::ZERO, &mut draw(seed), |_| 0);
            let usable = |host: &Host| matches!(host.health, Health::Healthy | Health::Degraded);
            for request in 0..20 {
                let ask = Ask::plain(Time::ZERO);
                let picked = worker.pick(&compiled, ask, &mut draw(request), |host| host % 3, |_| false);
                if let Some(host) = picked {
                    prop_assert!(usable(&hosts[host as usize]));
                }
                if hosts.iter().all(|host| host.health == Health::Healthy) {
                    prop_assert!(picked.is_some());
                }
            }
        }
    }
}
