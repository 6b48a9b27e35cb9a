//! What ztunnels did, of those that did anything.

use super::traffic::quantiles;
use super::{Study, seconds};
use crate::meter::histogram;
use crate::record::ZtunnelRecord;
use crate::scenario::ClusterId;
use crate::summary::ZtunnelSummary;
use hdrhistogram::Histogram;
use stats::{Estimate, mean_interval, ratio_interval};
use std::collections::BTreeSet;

/// By cluster and node.
pub(super) fn summaries(study: &Study<'_>) -> Vec<ZtunnelSummary> {
    let all = study.records.iter().flat_map(|record| &record.ztunnels);
    let at_work = all.filter(|record| record.begun > 0);
    let places: BTreeSet<(ClusterId, u32)> = at_work.map(|it| (it.cluster, it.node)).collect();
    places
        .into_iter()
        .map(|place| summary(study, place))
        .collect()
}

fn summary(study: &Study<'_>, (cluster, node): (ClusterId, u32)) -> ZtunnelSummary {
    let is_it = |record: &&ZtunnelRecord| (record.cluster, record.node) == (cluster, node);
    let records = study.records.iter();
    // One that a replication has not has done nothing in it.
    let records: Vec<Option<&ZtunnelRecord>> = records
        .map(|record| record.ztunnels.iter().find(is_it))
        .collect();
    let amounts = |amount: fn(&ZtunnelRecord) -> f64| -> Vec<f64> {
        let records = records.iter();
        records.map(|record| record.map_or(0.0, amount)).collect()
    };
    let ratio = |some, all| ratio_interval(&amounts(some), &amounts(all), study.confidence());
    let per_second = |amount| -> Estimate {
        let amounts = amounts(amount).into_iter().zip(study.measured_s());
        let rates: Vec<f64> = amounts
            .filter(|&(_, measured_s)| measured_s > 0.0)
            .map(|(amount, measured_s)| amount / measured_s)
            .collect();
        mean_interval(&rates, study.confidence())
    };
    let nothing = histogram();
    let waits: Vec<&Histogram<u64>> = records
        .iter()
        .map(|record| record.and_then(|it| it.wait.as_ref()).unwrap_or(&nothing))
        .collect();
    let described = &study.scenario.clusters[cluster.index()];
    ZtunnelSummary {
        cluster: described.name.clone(),
        node: described.nodes[node as usize].name.clone(),
        utilization: ratio(|it| it.busy_ns as f64, |it| it.capacity_ns as f64),
        wait_mean: ratio(|it| seconds(it.wait_sum_ns), |it| it.begun as f64),
        wait_p99: quantiles(&waits, &[0.99], study.confidence())[0],
        opened: per_second(|it| it.opened as f64),
        taken: per_second(|it| it.taken as f64),
        tunnels: per_second(|it| it.tunnels as f64),
    }
}
