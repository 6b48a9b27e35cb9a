//! Counting what happens: meters consume a closed set of observations and become a
//! [`Record`](crate::record::Record) at the end. They never decide anything.
//!
//! Only what starts at or after the warm-up's end counts. Sums are exact integers, so the
//! audit at the end of a run can demand equality.

mod calls;
mod flags;
mod indicators;
mod proxies;
mod stations;
mod traffic;
mod views;
mod ztunnels;

pub(crate) use flags::FlagKey;
pub(crate) use proxies::ProxyCounts;
pub(crate) use ztunnels::Carried;

use crate::record::Logged;
use crate::record::{
    CallKey, CallRecord, IndicatorRecord, Reason, TrafficRecord, ViewKind, ViewRecord,
    WorkloadRecord, ZtunnelRecord,
};
use crate::scenario::{ClusterId, Indicator, TrafficId, WorkloadId};
use engine::{Duration, Seed, Time};
use std::collections::BTreeMap;

/// When to measure and how finely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeasurePlan {
    /// Which replication, for the messages of failed assertions.
    pub(crate) seed: Seed,
    /// What starts earlier does not count.
    pub(crate) from: Time,
    /// End of the run.
    pub(crate) until: Time,
    /// Width of a step of time series.
    pub(crate) step: Duration,
    /// Failures closer than this belong to one stretch.
    pub(crate) quiet: Duration,
}

/// A place where requests wait and are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StationId {
    /// The application of a workload.
    Application(WorkloadId),
    /// The sidecars of a workload.
    Sidecar(WorkloadId),
}

/// Everything that is worth counting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Observation {
    /// A user's request was meant to start now.
    RequestStarted(TrafficId),
    /// A user's request ended.
    RequestEnded {
        traffic: TrafficId,
        intended: Time,
        attempts: u32,
        outcome: Result<(), Reason>,
    },
    /// An attempt of any hop ended.
    AttemptEnded {
        key: CallKey,
        started: Time,
        outcome: Result<(), Reason>,
    },
    /// A request reached a station.
    Arrived(StationId),
    /// A request was turned away by a full queue.
    Rejected(StationId),
    /// A request began service; `busy_milli` is what it occupies.
    Started { station: StationId, arrived: Time },
    /// A request left its station.
    Finished {
        station: StationId,
        arrived: Time,
        lost: bool,
    },
    /// The busy capacity of a workload's stations changed by this many thousandths.
    Busy(StationId, i64),
    /// The capacity of a workload's stations changed by this many thousandths.
    Capacity(StationId, i64),
    /// A request left a sidecar.
    Passed {
        key: FlagKey,
        arrived: Time,
        logged: Logged,
    },
    /// A view was brought up to date with a change made at `changed`.
    ViewApplied { kind: ViewKind, changed: Time },
    /// Something that a service-level indicator of Kubernetes counts took so long.
    Took {
        indicator: Indicator,
        began: Time,
        latency: Duration,
    },
    /// A proxy of Istio, by its number, acts from now on.
    ProxyActs(u32),
    /// It has acted until now, and been behind since an instant, or not at all.
    ProxyActed {
        proxy: u32,
        behind_since: Option<Time>,
    },
    /// It takes in something that concerns it.
    ProxyTookIn(u32),
    /// It acts no more.
    ProxyEnds(u32),
    /// So many more threads of a node's ztunnel are there.
    ZtunnelThreads { node: u32, change: i64 },
    /// One of them turns to a piece of work that came then.
    ZtunnelBegan { node: u32, asked: Time },
    /// So many more of them are busy.
    ZtunnelBusy { node: u32, change: i64 },
    /// It carries one more.
    ZtunnelCarries { node: u32, what: Carried },
}

/// All meters of one partition.
#[derive(Debug)]
pub(crate) struct Meters {
    plan: MeasurePlan,
    traffic: Vec<traffic::TrafficMeter>,
    applications: Vec<stations::StationMeter>,
    /// Of workloads whose pods have one.
    sidecars: Vec<Option<Box<stations::StationMeter>>>,
    calls: calls::CallMeter,
    flags: flags::FlagMeter,
    views: views::ViewMeter,
    proxies: proxies::ProxyMeter,
    indicators: indicators::IndicatorMeter,
    /// By node, of those that have one.
    ztunnels: Vec<Option<Box<ztunnels::ZtunnelMeter>>>,
}

impl Meters {
    /// Meters for `traffic` sources of the scenario and `workloads` of this partition.
    pub(crate) fn new(plan: MeasurePlan, traffic: usize, workloads: usize) -> Self {
        Meters {
            plan,
            traffic: (0..traffic).map(|_| traffic::TrafficMeter::new()).collect(),
            applications: (0..workloads)
                .map(|_| stations::StationMeter::new(plan))
                .collect(),
            sidecars: (0..workloads).map(|_| None).collect(),
            calls: calls::CallMeter::default(),
            flags: flags::FlagMeter::default(),
            views: views::ViewMeter::default(),
            proxies: proxies::ProxyMeter::default(),
            indicators: indicators::IndicatorMeter::default(),
            ztunnels: Vec::new(),
        }
    }

    /// Counts what was observed. Inlined, since whoever observes knows what it is.
    #[inline(always)]
    pub(crate) fn observe(&mut self, now: Time, observation: Observation) {
        let plan = self.plan;
        match observation {
            Observation::RequestStarted(id) => self.traffic[id.index()].started(&plan, now),
            Observation::RequestEnded {
                traffic,
                intended,
                attempts,
                outcome,
            } => self.traffic[traffic.index()].ended(&plan, now, intended, attempts, outcome),
            Observation::AttemptEnded {
                key,
                started,
                outcome,
            } => self.calls.ended(&plan, now, key, started, outcome),
            Observation::Passed {
                key,
                arrived,
                logged,
            } => self.flags.passed(&plan, key, arrived, logged),
            Observation::Arrived(id) => self.station(id).arrived(now),
            Observation::Rejected(id) => self.station(id).rejected(now),
            Observation::Started { station, arrived } => {
                self.station(station).started(now, arrived);
            }
            Observation::Finished {
                station,
                arrived,
                lost,
            } => self.station(station).finished(now, arrived, lost),
            Observation::Busy(id, change) => self.station(id).busy(now, change),
            Observation::Capacity(id, change) => self.station(id).capacity(now, change),
            Observation::ViewApplied { kind, changed } => {
                self.views.applied(&plan, now, kind, changed)
            }
            Observation::Took {
                indicator,
                began,
                latency,
            } => self.indicators.took(&plan, indicator, began, latency),
            Observation::ProxyActs(proxy) => self.proxies.acts(now, proxy),
            Observation::ProxyActed {
                proxy,
                behind_since,
            } => self.proxies.acted(&plan, now, proxy, behind_since),
            Observation::ProxyTookIn(proxy) => self.proxies.took_in(&plan, now, proxy),
            Observation::ProxyEnds(proxy) => self.proxies.ends(proxy),
            Observation::ZtunnelThreads { node, change } => {
                self.ztunnel(node).threads(now, change);
            }
            Observation::ZtunnelBegan { node, asked } => self.ztunnel(node).began(now, asked),
            Observation::ZtunnelBusy { node, change } => self.ztunnel(node).busy(now, change),
            Observation::ZtunnelCarries { node, what } => self.ztunnel(node).carried(now, what),
        }
    }

    fn ztunnel(&mut self, node: u32) -> &mut ztunnels::ZtunnelMeter {
        let (plan, node) = (self.plan, node as usize);
        if node >= self.ztunnels.len() {
            self.ztunnels.resize_with(node + 1, || None);
        }
        self.ztunnels[node].get_or_insert_with(|| Box::new(ztunnels::ZtunnelMeter::new(plan)))
    }

    #[inline]
    fn station(&mut self, id: StationId) -> &mut stations::StationMeter {
        let plan = self.plan;
        match id {
            StationId::Application(workload) => &mut self.applications[workload.index()],
            StationId::Sidecar(workload) => self.sidecars[workload.index()]
                .get_or_insert_with(|| Box::new(stations::StationMeter::new(plan))),
        }
    }

    /// Closes the books of a workload's applications: `residual` are the arrival times of
    /// requests still in its pods. Asserts Little's law and the bound on busy time.
    pub(crate) fn close_station(
        &mut self,
        cluster: ClusterId,
        workload: WorkloadId,
        residual: impl Iterator<Item = Time>,
    ) -> WorkloadRecord {
        self.applications[workload.index()].close(cluster, workload, residual)
    }

    /// Closes the books of a workload's sidecars, if it ever had any.
    pub(crate) fn close_sidecar(
        &mut self,
        cluster: ClusterId,
        workload: WorkloadId,
        residual: impl Iterator<Item = Time>,
    ) -> Option<WorkloadRecord> {
        let sidecar = self.sidecars[workload.index()].as_mut()?;
        Some(sidecar.close(cluster, workload, residual))
    }

    /// What the traffic source left behind; requests without an end are in flight.
    pub(crate) fn traffic_record(&mut self, id: TrafficId) -> TrafficRecord {
        self.traffic[id.index()].record(&self.plan)
    }

    /// Hops, in ascending order of keys.
    pub(crate) fn call_records(&mut self) -> Vec<CallRecord> {
        self.calls.records()
    }

    /// What sidecars logged, ascending by key.
    pub(crate) fn flag_counts(&mut self) -> Vec<(FlagKey, BTreeMap<Logged, u64>)> {
        self.flags.take()
    }

    /// Views held in this partition.
    pub(crate) fn view_records(&mut self, partition: u32) -> Vec<ViewRecord> {
        self.views.records(partition)
    }

    /// Proxies of Istio that act, by number.
    pub(crate) fn acting_proxies(&self) -> Vec<u32> {
        self.proxies.acting()
    }

    /// What proxies of Istio came to, by number.
    pub(crate) fn proxy_counts(&mut self) -> Vec<(u32, ProxyCounts)> {
        self.proxies.take()
    }

    /// Ztunnels of this partition, a cluster, by node.
    pub(crate) fn ztunnel_records(&mut self, cluster: ClusterId) -> Vec<ZtunnelRecord> {
        let ztunnels = (0..).zip(&mut self.ztunnels);
        let ztunnels = ztunnels.filter_map(|(node, meter)| Some((node, meter.as_mut()?)));
        ztunnels
            .map(|(node, meter)| meter.close(cluster, node))
            .collect()
    }

    /// Kubernetes' service-level indicators of this partition, a cluster.
    pub(crate) fn indicator_records(&mut self, cluster: ClusterId) -> Vec<IndicatorRecord> {
        self.indicators.records(cluster)
    }
}

/// The position of an instant in a time series.
fn step_of(plan: &MeasurePlan, at: Time) -> usize {
    (at.as_nanos() / plan.step.as_nanos()) as usize
}

/// An empty histogram of nanoseconds with three significant digits.
pub(crate) fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new(3).expect("three digits are within the histogram's range")
}
