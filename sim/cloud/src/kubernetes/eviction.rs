//! What the node lifecycle controller makes of nodes that fall silent.
//!
//! Models: one grid of passes, 5 s apart, for all nodes. A pass notes, on the controller's own
//! clock, which leases were renewed since the one before, and finds a node lost whose note is as
//! old as the grace period: so a crash is found after the grace period, less how old the lease
//! was, plus what was left of the grid's period. The modes of zones by their lost nodes; the
//! queue of each zone in which nodes wait for their NoExecute taint, one token at its rate; the
//! end of all evictions when every zone is lost altogether, and the fresh start of every note
//! when that is over; the deletion of pods after the shortest of their tolerations.
//! Approximated: nodes of a zone are tainted in the order in which they were found (a recorded
//! run shows that this may differ).
//! Sources: kubernetes/kubernetes pkg/controller/nodelifecycle and pkg/controller/tainteviction;
//! [`crate::facts`].
//! Validated by: the closed forms of detection and eviction by mean, least and greatest, and
//! recorded sequences of zones, below.

use crate::facts;
use crate::scenario::{Taint, TaintEffect, Toleration};
use engine::{Duration, Time};
use std::collections::VecDeque;

/// The passes of a periodic loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first pass.
    pub first: Time,
    /// Their distance.
    pub period: Duration,
}

impl Grid {
    /// The first pass at or after an instant.
    pub fn at_or_after(&self, instant: Time) -> Time {
        let since = instant.saturating_since(self.first).as_nanos();
        self.first + self.period * since.div_ceil(self.period.as_nanos())
    }

    /// The first pass after an instant.
    pub fn after(&self, instant: Time) -> Time {
        self.at_or_after(instant + Duration::from_nanos(1))
    }
}

/// The clock of a controller that watches over leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Its passes.
    pub grid: Grid,
    /// How long a node may be silent.
    pub grace: Duration,
    /// No note is older: the controller's first pass, or the end of a full disruption.
    pub fresh: Time,
}

impl Monitor {
    /// The pass that finds a node lost whose lease was renewed last at `renewed`.
    pub fn finds_lost(&self, renewed: Time) -> Time {
        let noted = self.grid.at_or_after(renewed).max(self.fresh);
        self.grid.at_or_after(noted + self.grace)
    }
}

/// How a zone is, by its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZoneMode {
    /// Most nodes are ready.
    #[default]
    Normal,
    /// Many are not.
    PartialDisruption,
    /// None is.
    FullDisruption,
}

impl ZoneMode {
    /// The mode of a zone with so many nodes, of which some are lost.
    pub fn of(ready: u32, lost: u32) -> Self {
        let share = f64::from(lost) / f64::from((ready + lost).max(1));
        if ready == 0 && lost > 0 {
            ZoneMode::FullDisruption
        } else if lost > facts::NODE_ZONE_UNHEALTHY_MIN.value
            && share >= facts::NODE_ZONE_UNHEALTHY_SHARE.value
        {
            ZoneMode::PartialDisruption
        } else {
            ZoneMode::Normal
        }
    }

    /// Time between two evictions in a zone of so many nodes; `None` if there are none.
    pub fn eviction_interval(self, nodes: u32) -> Option<Duration> {
        let rate = match self {
            ZoneMode::Normal | ZoneMode::FullDisruption => facts::NODE_EVICTION_RATE.value,
            ZoneMode::PartialDisruption if nodes > facts::NODE_EVICTION_LARGE_ZONE.value => {
                facts::NODE_EVICTION_RATE_SECONDARY.value
            }
            ZoneMode::PartialDisruption => return None,
        };
        Some(Duration::from_secs_f64(1.0 / rate))
    }
}

/// Whether nothing may be evicted anywhere: every zone that has nodes is lost altogether.
pub fn all_disrupted(modes: impl IntoIterator<Item = ZoneMode>) -> bool {
    let mut modes = modes.into_iter().peekable();
    modes.peek().is_some() && modes.all(|mode| mode == ZoneMode::FullDisruption)
}

/// A zone's queue of nodes to be tainted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionQueue {
    nodes: VecDeque<(u32, Time)>,
    /// Time between tokens; `None` stops the queue.
    interval: Option<Duration>,
    /// When the bucket's one token is there.
    token_at: Time,
}

impl EvictionQueue {
    /// The queue of a zone that is well.
    pub fn new(nodes: u32) -> Self {
        EvictionQueue {
            nodes: VecDeque::new(),
            interval: ZoneMode::Normal.eviction_interval(nodes),
            token_at: Time::ZERO,
        }
    }

    /// Another rate. A token that has come stays; one that was waited for is waited for anew.
    pub fn set_interval(&mut self, interval: Option<Duration>, now: Time) {
        if self.interval == interval {
            return;
        }
        let waiting = self.interval.is_none() || self.token_at > now;
        self.interval = interval;
        self.token_at = match interval {
            Some(interval) if waiting => now + interval,
            _ => now,
        };
    }

    /// A node waits to be tainted; twice is once.
    pub fn add(&mut self, node: u32, now: Time) {
        if self.nodes.iter().all(|(waiting, _)| *waiting != node) {
            self.nodes.push_back((node, now));
        }
    }

    /// It is well again.
    pub fn remove(&mut self, node: u32) {
        self.nodes.retain(|(waiting, _)| *waiting != node);
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.nodes.clear();
    }

    /// When the first in the queue is tainted, if it ever is.
    pub fn next(&self) -> Option<Time> {
        let (_, added) = self.nodes.front()?;
        self.interval.map(|_| self.token_at.max(*added))
    }

    /// Takes the first of the queue if it is its time.
    pub fn pop(&mut self, now: Time) -> Option<u32> {
        if self.next().is_none_or(|next| next > now) {
            return None;
        }
        self.token_at = now + self.interval.expect("the queue is not stopped");
        self.nodes.pop_front().map(|(node, _)| node)
    }
}

/// How long pods stay on a node with NoExecute taints: one entry per taint, with the seconds of
/// the toleration that covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerated {
    /// No toleration covers the taint.
    No,
    /// One does, for so long.
    For(Duration),
    /// One does, without end.
    Forever,
}

/// How long a pod stays, given how it tolerates its node's taints; `None` is for ever.
pub fn stay(tolerated: impl IntoIterator<Item = Tolerated>) -> Option<Duration> {
    let seconds = tolerated
        .into_iter()
        .filter_map(|tolerated| match tolerated {
            Tolerated::No => Some(Duration::ZERO),
            Tolerated::For(duration) => Some(duration),
            Tolerated::Forever => None,
        });
    seconds.min()
}

/// How long a pod that tolerates this stays on a node that is not heard of. Admission adds a
/// toleration to pods that have none for such nodes.
pub fn stay_unreachable(tolerations: &[Toleration]) -> Option<Duration> {
    let taint = no_execute("node.kubernetes.io/unreachable");
    let assumed = Tolerated::For(facts::UNREACHABLE_TOLERATION.value);
    stay([tolerated(tolerations, &taint, assumed)])
}

/// What an operator puts on a node that will not come back.
pub fn out_of_service() -> Taint {
    no_execute("node.kubernetes.io/out-of-service")
}

/// How long a pod that tolerates this stays on a node that is out of service.
pub fn stay_out_of_service(tolerations: &[Toleration]) -> Option<Duration> {
    stay([tolerated(tolerations, &out_of_service(), Tolerated::No)])
}

fn no_execute(key: &str) -> Taint {
    Taint {
        key: key.to_owned(),
        value: String::new(),
        effect: TaintEffect::NoExecute,
    }
}

/// How a taint is tolerated, if `otherwise` holds where nothing covers it.
fn tolerated(tolerations: &[Toleration], taint: &Taint, otherwise: Tolerated) -> Tolerated {
    let mut tolerations = tolerations.iter();
    let covering = tolerations.find(|toleration| toleration.covers(taint));
    match covering.map(|toleration| toleration.lasts) {
        None => otherwise,
        Some(None) => Tolerated::Forever,
        Some(Some(lasts)) => Tolerated::For(lasts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn monitor(first: Time, grace: u64) -> Monitor {
        Monitor {
            grid: Grid {
                first,
                period: facts::NODE_MONITOR_PERIOD.value,
            },
            grace: Duration::from_secs(grace),
            fresh: Time::ZERO,
        }
    }

    #[test]
    fn detection_is_the_grace_period_less_ten_plus_five() {
        for (minor, grace) in [(31, 40), (32, 50)] {
            assert_eq!(
                facts::node_monitor_grace_period(minor).value,
                Duration::from_secs(grace)
            );
            let stream = Stream::new(Seed::default(), "crashes");
            let crash = at(1_000);
            let count = 100_000;
            let delays = (0..count).map(|index| {
                let mut draw = stream.draw(index, 0);
                let phase = facts::NODE_MONITOR_PERIOD.value.mul_f64(draw.uniform());
                let age = facts::NODE_LEASE_RENEW_INTERVAL
                    .value
                    .mul_f64(draw.uniform());
                let renewed = Time::ZERO + crash.since(Time::ZERO + age);
                let found = monitor(Time::ZERO + phase, grace).finds_lost(renewed);
                found.since(crash).as_secs_f64()
            });
            let delays: Vec<f64> = delays.collect();
            let mean = delays.iter().sum::<f64>() / count as f64;
            let least = delays.iter().copied().fold(f64::MAX, f64::min);
            let greatest = delays.iter().copied().fold(0.0, f64::max);
            let grace = grace as f64;
            // Variances 100 / 12 and 25 / 12: standard error 0.01.
            assert!((mean - (grace - 2.5)).abs() < 0.05, "{mean}");
            assert!(least >= grace - 10.0 && least < grace - 9.9, "{least}");
            assert!(
                greatest < grace + 5.0 && greatest > grace + 4.9,
                "{greatest}"
            );
        }
    }

    #[test]
    fn the_documented_example_is_reproduced() {
        // kubernetes.io, Debug Running Clusters: lease renewed 17:13:09, unknown 17:13:52.
        let renewed = at(9);
        let found = monitor(at(2), 40).finds_lost(renewed);
        assert_eq!(found, at(52));
    }

    #[test]
    fn a_new_controller_gives_everybody_a_fresh_grace_period() {
        let mut monitor = monitor(at(600), 50);
        monitor.fresh = at(600);
        assert_eq!(monitor.finds_lost(at(3)), at(650));
        assert_eq!(monitor.finds_lost(at(612)), at(665));
    }

    #[test]
    fn passes_are_a_grid() {
        let grid = monitor(at(2), 40).grid;
        assert_eq!(grid.at_or_after(at(0)), at(2));
        assert_eq!(grid.at_or_after(at(7)), at(7));
        assert_eq!(grid.after(at(7)), at(12));
    }

    #[test]
    fn zones_have_modes() {
        use ZoneMode::{FullDisruption, Normal, PartialDisruption};
        let table = [
            ((8, 4), Normal),
            ((1, 2), Normal),
            ((2, 3), PartialDisruption),
            ((45, 54), Normal),
            ((45, 55), PartialDisruption),
            ((0, 1), FullDisruption),
            ((0, 0), Normal),
            ((1, 0), Normal),
        ];
        for ((ready, lost), mode) in table {
            assert_eq!(
                ZoneMode::of(ready, lost),
                mode,
                "{ready} ready, {lost} lost"
            );
        }
        assert!(all_disrupted([FullDisruption, FullDisruption]));
        assert!(!all_disrupted([FullDisruption, PartialDisruption]));
        assert!(!all_disrupted([]));
    }

    #[test]
    fn rates_follow_modes() {
        let seconds = |mode: ZoneMode, nodes| {
            let interval = mode.eviction_interval(nodes);
            interval.map(|interval| interval.as_nanos() / 1_000_000_000)
        };
        assert_eq!(seconds(ZoneMode::Normal, 5), Some(10));
        assert_eq!(seconds(ZoneMode::FullDisruption, 500), Some(10));
        assert_eq!(seconds(ZoneMode::PartialDisruption, 51), Some(100));
        assert_eq!(seconds(ZoneMode::PartialDisruption, 50), None);
    }

    /// When the queue's nodes are tainted.
    fn drained(queue: &mut EvictionQueue) -> Vec<(u32, Time)> {
        let mut tainted = Vec::new();
        while let Some(next) = queue.next() {
            let node = queue.pop(next).expect("it is its time");
            tainted.push((node, next));
        }
        tainted
    }

    #[test]
    fn the_kth_node_of_a_zone_waits_ten_seconds_each() {
        // Recorded: 4 of 12 lost, tainted 10 s apart.
        let mut queue = EvictionQueue::new(12);
        for (node, found) in [(3, 48), (7, 48), (1, 53), (9, 53)] {
            queue.add(node, at(found));
            queue.add(node, at(found));
        }
        let expected = [(3, at(48)), (7, at(58)), (1, at(68)), (9, at(78))];
        assert_eq!(drained(&mut queue), expected);
        // The token has come back long before the next loss.
        queue.add(4, at(200));
        assert_eq!(queue.next(), Some(at(200)));
    }

    #[test]
    fn a_small_zone_with_most_nodes_lost_evicts_nobody() {
        // Recorded: 3 of 5 lost, no taint in 150 s.
        let mut queue = EvictionQueue::new(5);
        queue.add(0, at(50));
        assert_eq!(queue.pop(at(50)), Some(0));
        queue.set_interval(ZoneMode::of(2, 3).eviction_interval(5), at(50));
        queue.add(1, at(50));
        assert_eq!(queue.next(), None);
        // One comes back: the rate is there again, with a token to wait for.
        queue.set_interval(ZoneMode::of(3, 2).eviction_interval(5), at(90));
        assert_eq!(queue.next(), Some(at(100)));
        queue.remove(1);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_token_that_has_come_outlives_a_change_of_rate() {
        let mut queue = EvictionQueue::new(60);
        queue.set_interval(ZoneMode::of(10, 50).eviction_interval(60), at(50));
        queue.add(0, at(50));
        queue.add(1, at(50));
        assert_eq!(drained(&mut queue), [(0, at(50)), (1, at(150))]);
        queue.add(2, at(150));
        queue.clear();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn the_shortest_toleration_counts() {
        let seconds = |seconds| Tolerated::For(Duration::from_secs(seconds));
        assert_eq!(stay([seconds(300)]), Some(Duration::from_secs(300)));
        assert_eq!(
            stay([seconds(300), seconds(20)]),
            Some(Duration::from_secs(20))
        );
        assert_eq!(
            stay([Tolerated::Forever, seconds(20)]),
            Some(Duration::from_secs(20))
        );
        assert_eq!(stay([Tolerated::Forever]), None);
        assert_eq!(
            stay([Tolerated::Forever, Tolerated::No]),
            Some(Duration::ZERO)
        );
        assert_eq!(stay([]), None);
    }

    #[test]
    fn admission_lets_pods_tolerate_lost_nodes_for_five_minutes() {
        let toleration = |key: Option<&str>, effect, lasts: Option<u64>| Toleration {
            key: key.map(str::to_owned),
            value: None,
            effect,
            lasts: lasts.map(Duration::from_secs),
        };
        let unreachable = Some("node.kubernetes.io/unreachable");
        let minutes = Some(Duration::from_secs(300));
        let execute = Some(TaintEffect::NoExecute);
        assert_eq!(stay_unreachable(&[]), minutes);
        let other = toleration(Some("node.kubernetes.io/not-ready"), execute, Some(20));
        assert_eq!(stay_unreachable(std::slice::from_ref(&other)), minutes);
        let short = toleration(unreachable, execute, Some(20));
        assert_eq!(
            stay_unreachable(&[other, short]),
            Some(Duration::from_secs(20))
        );
        assert_eq!(stay_unreachable(&[toleration(None, None, None)]), None);
        let other_effect = toleration(unreachable, Some(TaintEffect::NoSchedule), None);
        assert_eq!(stay_unreachable(&[other_effect]), minutes);
    }
}
