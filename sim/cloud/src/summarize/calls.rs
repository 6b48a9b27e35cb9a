//! What each kind of hop did, and how stale views were.

use super::words::{service_path, workload_path};
use super::{Study, failures, seconds};
use crate::record::{CallKey, CallRecord, Caller, Sketch, ViewKind, ViewRecord};
use crate::scenario::{ClusterId, Scenario};
use crate::summary::{CallSummary, ViewSummary};
use crate::topology::PartitionKind;
use std::collections::BTreeMap;

/// Every kind of hop, ascending by key.
pub(super) fn summaries(study: &Study<'_>) -> Vec<CallSummary> {
    let mut by_key: BTreeMap<CallKey, Vec<&CallRecord>> = BTreeMap::new();
    for call in study.records.iter().flat_map(|record| &record.calls) {
        by_key.entry(call.key).or_default().push(call);
    }
    by_key
        .iter()
        .map(|(key, records)| summary(study.scenario, key, records))
        .collect()
}

fn summary(scenario: &Scenario, key: &CallKey, records: &[&CallRecord]) -> CallSummary {
    let succeeded: u64 = records.iter().map(|record| record.succeeded).sum();
    let latency_sum_ns = records.iter().map(|record| record.latency_sum_ns).sum();
    let mut pooled = Sketch::default();
    records
        .iter()
        .for_each(|record| pooled.merge(&record.latency));
    let callee = callee(scenario, key);
    CallSummary {
        source: match key.caller {
            Caller::Traffic(id) => scenario.traffic[id.index()].name.clone(),
            Caller::Workload(cluster, workload) => workload_path(scenario, cluster, workload),
        },
        source_zone: caller_zone(scenario, key),
        destination: callee.name,
        version: callee.version,
        destination_zone: callee.zone,
        attempts: records.iter().map(|record| record.attempts).sum(),
        succeeded,
        failures: failures(records.iter().map(|record| &record.failures)),
        latency_mean: if succeeded == 0 {
            0.0
        } else {
            seconds(latency_sum_ns) / succeeded as f64
        },
        latency_p99: pooled
            .quantile_ns(0.99)
            .map_or(0.0, |nanos| seconds(u128::from(nanos))),
    }
}

fn zone_name(scenario: &Scenario, cluster: ClusterId, zone: u32) -> String {
    scenario.clusters[cluster.index()].zones[zone as usize].clone()
}

/// Zone of the caller; empty for users, who are in none.
fn caller_zone(scenario: &Scenario, key: &CallKey) -> String {
    let cluster = match key.caller {
        Caller::Workload(cluster, _) => Some(cluster),
        // A source that sits in a pod calls within its cluster.
        Caller::Traffic(_) => key.service.map(|(cluster, _)| cluster),
    };
    match (cluster, key.caller_zone) {
        (Some(cluster), Some(zone)) => zone_name(scenario, cluster, zone),
        _ => String::new(),
    }
}

struct Callee {
    name: String,
    version: Option<String>,
    zone: String,
}

/// The pod's workload that answered, else the service, else what the name stands for.
fn callee(scenario: &Scenario, key: &CallKey) -> Callee {
    let Some((cluster_id, service)) = key.service else {
        return Callee {
            name: "name not resolved".to_owned(),
            version: None,
            zone: String::new(),
        };
    };
    let cluster = &scenario.clusters[cluster_id.index()];
    match key.answered {
        Some((workload, zone)) => Callee {
            name: workload_path(scenario, cluster_id, workload),
            version: cluster.workloads[workload.index()].version.clone(),
            zone: zone_name(scenario, cluster_id, zone),
        },
        None => {
            let service = &cluster.services[service as usize];
            Callee {
                name: format!("{}/{}", cluster.name, service_path(service)),
                version: None,
                zone: String::new(),
            }
        }
    }
}

/// Staleness per kind of view and place.
pub(super) fn views(study: &Study<'_>) -> Vec<ViewSummary> {
    let mut by_place: BTreeMap<(ViewKind, u32), Vec<&ViewRecord>> = BTreeMap::new();
    for view in study.records.iter().flat_map(|record| &record.views) {
        by_place
            .entry((view.kind, view.partition))
            .or_default()
            .push(view);
    }
    by_place
        .iter()
        .map(|(&(kind, partition), records)| {
            let updates: u64 = records.iter().map(|record| record.updates).sum();
            let staleness: u128 = records.iter().map(|record| record.staleness_sum_ns).sum();
            let greatest = records.iter().map(|record| record.staleness_max).max();
            ViewSummary {
                kind: kind.name(),
                place: place_name(study, partition as usize),
                updates,
                staleness_mean: if updates == 0 {
                    0.0
                } else {
                    seconds(staleness) / updates as f64
                },
                staleness_max: greatest.map_or(0.0, |greatest| greatest.as_secs_f64()),
            }
        })
        .collect()
}

fn place_name(study: &Study<'_>, partition: usize) -> String {
    let scenario = study.scenario;
    match study.topology.partitions()[partition] {
        PartitionKind::Cluster(id) => scenario.clusters[id.index()].name.clone(),
        PartitionKind::Users(id) => scenario.user_networks[id.index()].name.clone(),
        PartitionKind::GlobalDns => "global dns".to_owned(),
    }
}
