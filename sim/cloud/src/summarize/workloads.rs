//! What workloads did: utilization, numbers, waits and times in the station.

use super::tally::part;
use super::traffic::quantiles;
use super::{Study, seconds};
use crate::meter::histogram;
use crate::record::WorkloadRecord;
use crate::scenario::{ClusterId, WorkloadId, WorkloadKind};
use crate::summary::WorkloadSummary;
use crate::topology::Topology;
use hdrhistogram::Histogram;
use stats::{Estimate, mean_interval, ratio_interval, share_interval};
use std::ops::Range;

/// Every workload, in the order of the records.
pub(super) fn summaries(study: &Study<'_>) -> Vec<WorkloadSummary> {
    let Some(first) = study.records.first() else {
        return Vec::new();
    };
    (0..first.workloads.len())
        .map(|index| summary(study, Across::at(study, index)))
        .collect()
}

/// Their sidecars, in the same order: of those workloads that have some in every record.
pub(super) fn sidecars(study: &Study<'_>) -> Vec<WorkloadSummary> {
    let first = study.records.iter().take(1);
    let workloads = first.flat_map(|record| &record.sidecars);
    workloads
        .filter_map(|found| Across::of_sidecars(study, found.cluster, found.workload))
        .map(|across| summary(study, across))
        .collect()
}

/// The records of one workload, one per replication.
pub(super) struct Across<'a> {
    records: Vec<&'a WorkloadRecord>,
    measured_s: Vec<f64>,
    confidence: f64,
}

impl<'a> Across<'a> {
    fn at(study: &Study<'a>, index: usize) -> Self {
        let records: Vec<&WorkloadRecord> = study
            .records
            .iter()
            .map(|record| &record.workloads[index])
            .collect();
        let key = |record: &WorkloadRecord| (record.cluster, record.workload);
        assert!(
            records.iter().all(|record| key(record) == key(records[0])),
            "workloads stand in the same order in all records"
        );
        Across::over(study, records)
    }

    fn over(study: &Study<'a>, records: Vec<&'a WorkloadRecord>) -> Self {
        Across {
            records,
            measured_s: study.measured_s(),
            confidence: study.confidence(),
        }
    }

    /// Of the sidecars of this workload, if every replication had some.
    fn of_sidecars(study: &Study<'a>, cluster: ClusterId, workload: WorkloadId) -> Option<Self> {
        let is_it =
            |record: &&WorkloadRecord| (record.cluster, record.workload) == (cluster, workload);
        let records = study.records.iter();
        let records = records.map(|record| record.sidecars.iter().find(is_it));
        Some(Across::over(study, records.collect::<Option<_>>()?))
    }

    /// Of the workload with this identity, if there are any records.
    pub(super) fn of(study: &Study<'a>, cluster: ClusterId, workload: WorkloadId) -> Option<Self> {
        let workloads = &study.records.first()?.workloads;
        let is_it =
            |record: &WorkloadRecord| (record.cluster, record.workload) == (cluster, workload);
        Some(Across::at(study, workloads.iter().position(is_it)?))
    }

    fn ratio(
        &self,
        numerator: impl Fn(&WorkloadRecord) -> f64,
        denominator: impl Fn(&WorkloadRecord) -> f64,
    ) -> Estimate {
        let numerators: Vec<f64> = self
            .records
            .iter()
            .map(|record| numerator(record))
            .collect();
        let denominators: Vec<f64> = self
            .records
            .iter()
            .map(|record| denominator(record))
            .collect();
        ratio_interval(&numerators, &denominators, self.confidence)
    }

    fn share(
        &self,
        some: impl Fn(&WorkloadRecord) -> u64,
        all: impl Fn(&WorkloadRecord) -> u64,
    ) -> Estimate {
        let some: Vec<u64> = self.records.iter().map(|record| some(record)).collect();
        let all: Vec<u64> = self.records.iter().map(|record| all(record)).collect();
        if all.iter().sum::<u64>() == 0 {
            return Estimate::nothing();
        }
        share_interval(&some, &all, self.confidence)
    }

    /// Mean over replications of something per measured second.
    fn per_second(&self, amount: impl Fn(&WorkloadRecord) -> f64) -> Estimate {
        let rates: Vec<f64> = self
            .records
            .iter()
            .zip(&self.measured_s)
            .filter(|&(_, &measured_s)| measured_s > 0.0)
            .map(|(record, measured_s)| amount(record) / measured_s)
            .collect();
        mean_interval(&rates, self.confidence)
    }

    /// Busy share of capacity; nothing where capacity is unlimited.
    pub(super) fn utilization(&self) -> Estimate {
        self.ratio(
            |record| record.busy_ns as f64,
            |record| record.capacity_ns as f64,
        )
    }

    /// The same in a range of steps.
    pub(super) fn utilization_of_steps(&self, steps: &Range<usize>) -> Estimate {
        let sum = |values: &[u128]| part(values, steps).iter().sum::<u128>() as f64;
        self.ratio(
            |record| sum(&record.busy_steps_ns),
            |record| sum(&record.capacity_steps_ns),
        )
    }

    /// Mean wait of those that began service.
    pub(super) fn wait_mean(&self) -> Estimate {
        self.ratio(
            |record| seconds(record.wait_sum_ns),
            |record| record.started as f64,
        )
    }

    /// The same of those that arrived in a range of steps.
    pub(super) fn wait_mean_of_steps(&self, steps: &Range<usize>) -> Estimate {
        self.ratio(
            |record| {
                let waits = part(&record.wait_steps, steps).iter();
                seconds(waits.map(|step| step.wait_sum_ns).sum())
            },
            |record| {
                let waits = part(&record.wait_steps, steps).iter();
                waits.map(|step| step.started).sum::<u64>() as f64
            },
        )
    }

    fn sojourn_mean(&self) -> Estimate {
        self.ratio(
            |record| seconds(record.sojourn_sum_ns),
            |record| record.finished as f64,
        )
    }

    /// Mean square distance from the pooled mean. That mean is where the variance does not
    /// change to first order, so the interval of a ratio holds.
    fn sojourn_variance(&self) -> Estimate {
        let mean = self.sojourn_mean().value;
        self.ratio(
            |record| {
                let squares = record.sojourn_square_sum_ns2 as f64 * 1e-18;
                let sum = seconds(record.sojourn_sum_ns);
                squares - mean * (2.0 * sum - mean * record.finished as f64)
            },
            |record| record.finished as f64,
        )
    }

    fn quantiles(
        &self,
        of: impl Fn(&'a WorkloadRecord) -> &'a Option<Histogram<u64>>,
        probabilities: &[f64],
    ) -> Vec<Estimate> {
        let nothing = histogram();
        let records = self.records.iter();
        let histograms: Vec<&Histogram<u64>> = records
            .map(|record| of(record).as_ref().unwrap_or(&nothing))
            .collect();
        quantiles(&histograms, probabilities, self.confidence)
    }

    /// Pooled busy share per step; empty where capacity is unlimited.
    fn utilization_series(&self, step_s: f64) -> Vec<(f64, f64)> {
        if self.records.iter().all(|record| record.capacity_ns == 0) {
            return Vec::new();
        }
        let steps = self
            .records
            .iter()
            .map(|record| record.capacity_steps_ns.len())
            .max();
        (0..steps.unwrap_or(0))
            .map(|index| {
                let sum = |steps: fn(&WorkloadRecord) -> &Vec<u128>| {
                    self.records
                        .iter()
                        .filter_map(|record| steps(record).get(index))
                        .sum::<u128>()
                };
                let (busy, capacity) = (
                    sum(|record| &record.busy_steps_ns),
                    sum(|record| &record.capacity_steps_ns),
                );
                // Without capacity nothing can be busy.
                let share = if capacity == 0 {
                    0.0
                } else {
                    busy as f64 / capacity as f64
                };
                (index as f64 * step_s, share)
            })
            .collect()
    }
}

fn summary(study: &Study<'_>, across: Across<'_>) -> WorkloadSummary {
    let (cluster_id, workload_id) = (across.records[0].cluster, across.records[0].workload);
    let cluster = &study.scenario.clusters[cluster_id.index()];
    let workload = &cluster.workloads[workload_id.index()];
    let (placed, pending) = pods(study.topology, cluster_id, workload_id);
    let waits = across.quantiles(|record| &record.wait, &[0.95, 0.99]);
    WorkloadSummary {
        cluster: cluster.name.clone(),
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        version: workload.version.clone(),
        replicas: match workload.kind {
            WorkloadKind::DaemonSet => placed + pending,
            _ => workload.replicas,
        },
        pending,
        utilization: across.utilization(),
        in_system: across.per_second(|record| seconds(record.in_system_ns)),
        wait_mean: across.wait_mean(),
        wait_p95: waits[0],
        wait_p99: waits[1],
        waited: across.share(|record| record.waited, |record| record.started),
        sojourn_mean: across.sojourn_mean(),
        sojourn_p99: across.quantiles(|record| &record.sojourn, &[0.99])[0],
        sojourn_variance: across.sojourn_variance(),
        arrivals: across.per_second(|record| record.arrived as f64),
        rejected: across.share(|record| record.rejected, |record| record.arrived),
        utilization_series: across.utilization_series(study.scenario.run.series_step.as_secs_f64()),
    }
}

/// Pods of a workload at the start: on nodes, and without one.
fn pods(topology: &Topology, cluster: ClusterId, workload: WorkloadId) -> (u32, u32) {
    let plan = &topology.clusters[cluster.index()];
    let placed = plan.pods.iter().filter(|pod| pod.workload == workload);
    let pending = plan.pending.iter().filter(|(pod, _)| *pod == workload);
    (placed.count() as u32, pending.count() as u32)
}
