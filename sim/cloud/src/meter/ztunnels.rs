//! What ztunnels do: busy threads and waits for one, connections, tunnels.

use super::stations::{Level, record};
use super::{MeasurePlan, histogram};
use crate::record::ZtunnelRecord;
use crate::scenario::ClusterId;
use engine::Time;
use hdrhistogram::Histogram;

/// What a ztunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// A connection that a pod of its node opens.
    Opened,
    /// A connection to a pod of its node, in a tunnel or not.
    Taken,
    /// A tunnel that it opens.
    Tunnel,
}

/// The meter of one ztunnel.
#[derive(Debug)]
pub(super) struct ZtunnelMeter {
    plan: MeasurePlan,
    busy: Level,
    threads: Level,
    begun: u64,
    waited: u64,
    wait: Option<Histogram<u64>>,
    wait_sum_ns: u128,
    carried: [u64; 3],
}

impl ZtunnelMeter {
    pub(super) fn new(plan: MeasurePlan) -> Self {
        ZtunnelMeter {
            plan,
            busy: Level::default(),
            threads: Level::default(),
            begun: 0,
            waited: 0,
            wait: None,
            wait_sum_ns: 0,
            carried: [0; 3],
        }
    }

    pub(super) fn threads(&mut self, now: Time, change: i64) {
        self.threads.change(change, now, self.plan.from);
    }

    pub(super) fn busy(&mut self, now: Time, change: i64) {
        self.busy.change(change, now, self.plan.from);
    }

    /// A thread turns to a piece of work that came at `asked`.
    pub(super) fn began(&mut self, now: Time, asked: Time) {
        self.busy(now, 1);
        if asked < self.plan.from {
            return;
        }
        self.begun += 1;
        let wait = now.since(asked);
        if !wait.is_zero() {
            self.waited += 1;
            self.wait_sum_ns += u128::from(wait.as_nanos());
            record(self.wait.get_or_insert_with(histogram), wait);
        }
    }

    pub(super) fn carried(&mut self, now: Time, what: Carried) {
        if now >= self.plan.from {
            self.carried[what as usize] += 1;
        }
    }

    pub(super) fn close(&mut self, cluster: ClusterId, node: u32) -> ZtunnelRecord {
        let (from, until) = (self.plan.from, self.plan.until);
        self.busy.change(0, until, from);
        self.threads.change(0, until, from);
        let (busy_ns, capacity_ns) = (self.busy.measured(), self.threads.measured());
        assert!(
            busy_ns <= capacity_ns,
            "the ztunnel of node {node} of {cluster:?} was busier than it has threads ({:?})",
            self.plan.seed
        );
        if self.begun > 0 {
            let wait = self.wait.get_or_insert_with(histogram);
            let at_once = wait.record_n(0, self.begun - self.waited);
            at_once.expect("a histogram holds zero");
        }
        ZtunnelRecord {
            cluster,
            node,
            busy_ns,
            capacity_ns,
            begun: self.begun,
            wait: self.wait.take(),
            wait_sum_ns: self.wait_sum_ns,
            opened: self.carried[Carried::Opened as usize],
            taken: self.carried[Carried::Taken as usize],
            tunnels: self.carried[Carried::Tunnel as usize],
        }
    }
}
