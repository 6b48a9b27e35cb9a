//! The books at the end of a replication: what was sent was answered, failed, or is still on
//! its way; what happened is folded into one digest.
//!
//! Checked in release builds too. Little's law and the bound on busy time are asserted where
//! the stations' meters close.

use crate::domain::Domain;
use crate::path::Owner;
use crate::record::{CallRecord, CanaryRecord, FailureCounts, Record};
use crate::scenario::{TrafficId, WorkloadId};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Takes everything out of the partitions' meters into the record and balances it.
pub(crate) fn close(domains: &mut [Domain<'_>], record: &mut Record) {
    let topology = domains[0].topology;
    for index in 0..topology.scenario.traffic.len() {
        let traffic = TrafficId::from(index);
        let domain = domains
            .iter_mut()
            .find(|domain| domain.source_of_traffic[index] != u32::MAX)
            .expect("every source sits in a partition");
        let open = open_requests(domain, traffic, record.from);
        let told = domain.meters.traffic_record(traffic);
        assert_eq!(
            told.in_flight, open,
            "requests of traffic source {:?} do not add up ({:?})",
            topology.scenario.traffic[index].name, domain.seed
        );
        record.traffic.push(told);
    }
    for domain in domains.iter_mut() {
        let passages = &domain.passages;
        let is_there = |passage| passages.get(passage).is_some();
        assert!(
            domain.unlinked.passages().all(is_there),
            "a proxy that has nothing to do for a caller is kept for it ({:?})",
            domain.seed
        );
        if let Some(cluster) = domain.cluster {
            for index in 0..topology.cluster(cluster).workloads.len() {
                let workload = WorkloadId::from(index);
                let pods = &domain.pods;
                let of_it = |pod: u32| pods[pod as usize].workload == workload;
                let tasks = domain
                    .tasks
                    .iter()
                    .map(|(_, task)| (task.pod, task.arrived));
                let tasks = tasks
                    .filter(|(pod, _)| of_it(*pod))
                    .map(|(_, arrived)| arrived);
                let meters = &mut domain.meters;
                let served = meters.close_station(cluster, workload, tasks);
                let passages = domain.passages.iter();
                // Copies have come from nobody.
                let passages = passages.filter(|(_, passage)| !passage.is_copy());
                let passages = passages.map(|(_, passage)| (passage.pod, passage.arrived));
                let passages = passages.filter(|(pod, _)| of_it(*pod));
                let passages = passages.map(|(_, arrived)| arrived);
                let passed = meters.close_sidecar(cluster, workload, passages);
                let described = &topology.cluster(cluster).workloads[index].template;
                let mut proxies = described.sidecar.iter();
                match passed {
                    // A gateway or a waypoint is nothing but its proxy.
                    Some(passed) if proxies.any(|it| it.role.is_alone()) => {
                        record.workloads.push(passed);
                    }
                    passed => {
                        record.workloads.push(served);
                        record.sidecars.extend(passed);
                    }
                }
            }
            let indicators = domain.meters.indicator_records(cluster);
            record.indicators.extend(indicators);
            record.flags.extend(domain.flag_records(cluster));
            record.canaries.extend(domain.canary_records());
            let proxies = domain.proxy_records(cluster, record.until);
            record.proxies.extend(proxies);
            let ztunnels = domain.meters.ztunnel_records(cluster);
            record.ztunnels.extend(ztunnels);
        }
        record.calls.extend(domain.meters.call_records());
        let partition = u32::from(domain.id);
        record.views.extend(domain.meters.view_records(partition));
    }
    record.calls.sort_by_key(|call| call.key);
    record.canaries.sort_by_key(|canary| canary.entry);
}

/// Requests of a source that count and have not ended.
fn open_requests(domain: &Domain<'_>, traffic: TrafficId, from: engine::Time) -> u64 {
    let open = domain.calls.iter().filter(|(_, call)| match call.owner {
        Owner::User(asker) => asker.traffic == traffic && asker.intended >= from,
        Owner::Task(_) | Owner::Passage(_) | Owner::Line(_) => false,
    });
    open.count() as u64
}

/// Words folded into a digest that does not depend on the platform.
struct Fold(SipHasher13);

impl Fold {
    fn word(&mut self, word: u64) {
        self.0.write(&word.to_le_bytes());
    }

    fn wide(&mut self, word: u128) {
        self.0.write(&word.to_le_bytes());
    }

    /// Reasons that were added since count only where there are some, so that digests hold
    /// which were printed before.
    fn failures(&mut self, failures: &FailureCounts) {
        let (first, added) = failures.split_at(FIRST_REASONS);
        first.iter().for_each(|&count| self.word(count));
        for (number, &count) in (FIRST_REASONS..).zip(added) {
            if count > 0 {
                self.word(number as u64);
                self.word(count);
            }
        }
    }
}

/// How many reasons of failures there were when digests were first printed.
const FIRST_REASONS: usize = 12;

/// The digest of a record whose `digest` holds that of the order of events.
pub(crate) fn digest(record: &Record) -> u64 {
    let mut fold = Fold(SipHasher13::new_with_keys(0, 0));
    fold.word(record.digest);
    fold.word(record.events);
    for traffic in &record.traffic {
        fold.word(traffic.sent);
        fold.word(traffic.succeeded);
        fold.failures(&traffic.failures);
        fold.word(traffic.attempts);
        fold.wide(traffic.latency_sum_ns);
        for value in traffic.latency.iter_recorded() {
            fold.word(value.value_iterated_to());
            fold.word(value.count_since_last_iteration());
        }
        for step in &traffic.steps {
            fold.word(step.sent);
            fold.word(step.succeeded);
            fold.wide(step.latency_sum_ns);
            step.latency.digest(|word| fold.word(word));
        }
        for &(first, last) in &traffic.failing {
            fold.word(first.as_nanos());
            fold.word(last.as_nanos());
        }
    }
    for workload in record.workloads.iter().chain(&record.sidecars) {
        for count in [
            workload.arrived,
            workload.finished,
            workload.rejected,
            workload.lost,
            workload.started,
            workload.waited,
        ] {
            fold.word(count);
        }
        for sum in [
            workload.wait_sum_ns,
            workload.sojourn_sum_ns,
            workload.sojourn_square_sum_ns2,
            workload.in_system_ns,
            workload.busy_ns,
            workload.capacity_ns,
        ] {
            fold.wide(sum);
        }
    }
    record
        .calls
        .iter()
        .for_each(|call| fold_call(&mut fold, call));
    for view in &record.views {
        fold.word(view.kind as u64);
        fold.word(u64::from(view.partition));
        fold.word(view.updates);
        fold.wide(view.staleness_sum_ns);
        fold.word(view.staleness_max.as_nanos());
    }
    for canary in &record.canaries {
        fold_canary(&mut fold, canary);
    }
    fold.0.finish()
}

fn fold_canary(fold: &mut Fold, canary: &CanaryRecord) {
    fold.word(canary.outcome as u64);
    for at in [canary.began, canary.judged, canary.ended] {
        fold.word(at.map_or(u64::MAX, |at| at.as_nanos()));
    }
    for version in [&canary.stable, &canary.canary] {
        fold.word(version.succeeded);
        fold.word(version.failed);
        version.latency.digest(|word| fold.word(word));
    }
}

fn fold_call(fold: &mut Fold, call: &CallRecord) {
    fold.word(call.attempts);
    fold.word(call.succeeded);
    fold.failures(&call.failures);
    fold.wide(call.latency_sum_ns);
    call.latency.digest(|word| fold.word(word));
}
