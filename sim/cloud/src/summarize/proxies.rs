//! How far proxies of Istio were behind: by workload, how that spreads over its proxies, and the
//! one that was behind for longest.

use super::Study;
use crate::istio::push::Role;
use crate::record::{ProxyKey, ProxyRecord, Record};
use crate::scenario::{ClusterId, WorkloadId};
use crate::snapshot::names;
use crate::summary::{ProxySummary, Spread, StalestProxy};
use engine::Seed;
use stats::ratio_interval;
use stats::sample::quantile_type_7;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Proxies that are told of together: those of a workload, or the ztunnels of a cluster.
type Group = (ClusterId, Option<WorkloadId>);

/// A proxy in a replication.
type One<'a> = (usize, &'a ProxyRecord);

/// Every workload whose pods have a proxy, by cluster; ztunnels first.
pub(super) fn summaries(study: &Study<'_>) -> Vec<ProxySummary> {
    let mut groups: BTreeMap<Group, Vec<One<'_>>> = BTreeMap::new();
    for (position, record) in study.records.iter().enumerate() {
        for proxy in &record.proxies {
            let workload = match proxy.proxy {
                ProxyKey::OfPod { workload, .. } => Some(workload),
                ProxyKey::Ztunnel(_) => None,
            };
            let group = groups.entry((proxy.cluster, workload)).or_default();
            group.push((position, proxy));
        }
    }
    let groups = groups.into_iter();
    groups
        .map(|(group, proxies)| summary(study, group, &proxies))
        .collect()
}

fn summary(study: &Study<'_>, (cluster, workload): Group, proxies: &[One<'_>]) -> ProxySummary {
    let described = &study.scenario.clusters[cluster.index()];
    let workload = workload.map(|workload| &described.workloads[workload.index()]);
    let sidecar = workload.and_then(|workload| workload.template.sidecar.as_ref());
    let total = |amount: fn(&ProxyRecord) -> f64| -> Vec<f64> {
        let mut totals = vec![0.0; study.records.len()];
        for (position, proxy) in proxies {
            totals[*position] += amount(proxy);
        }
        totals
    };
    let acted = total(|proxy| proxy.acted.as_secs_f64());
    let per = |some: Vec<f64>, all: &[f64]| ratio_interval(&some, all, study.confidence());
    let counts = total(|_| 1.0);
    let shares: Vec<f64> = proxies.iter().map(|(_, proxy)| share(proxy)).collect();
    let quantile = |p: f64| quantile_type_7(&shares, p).unwrap_or(0.0);
    let stalest = proxies
        .iter()
        .max_by(|a, b| staler(a.1, b.1).then(b.0.cmp(&a.0)));
    let (position, stalest) = stalest.expect("nobody is no group");
    let lags = proxies.iter().map(|(_, proxy)| proxy.lag_max);
    ProxySummary {
        cluster: described.name.clone(),
        namespace: workload.map(|it| it.namespace.clone()).unwrap_or_default(),
        name: workload.map_or_else(|| "ztunnel".to_owned(), |it| it.name.clone()),
        kind: match sidecar.map(|sidecar| sidecar.role) {
            None => "ztunnel",
            Some(Role::Sidecar) => "sidecar",
            Some(Role::Gateway) => "gateway",
            Some(Role::Waypoint) => "waypoint",
        },
        proxies: proxies.len() as f64 / study.records.len() as f64,
        updates: per(total(|proxy| proxy.updates as f64), &counts),
        behind: per(total(|proxy| proxy.behind.as_secs_f64()), &acted),
        spread: Spread {
            least: quantile(0.0),
            p10: quantile(0.1),
            median: quantile(0.5),
            p90: quantile(0.9),
            greatest: quantile(1.0),
        },
        lag_mean: per(total(lag_integral), &acted),
        lag_max: lags.max().map_or(0.0, |lag| lag.as_secs_f64()),
        stalest: StalestProxy {
            name: name(study, study.records[*position], stalest),
            replication: study.records[*position].replication,
            behind: share(stalest),
            lag_max: stalest.lag_max.as_secs_f64(),
        },
    }
}

/// The share of its time in which a proxy was behind.
fn share(proxy: &ProxyRecord) -> f64 {
    proxy.behind.as_secs_f64() / proxy.acted.as_secs_f64()
}

/// The integral of its lag over time, in square seconds.
fn lag_integral(proxy: &ProxyRecord) -> f64 {
    proxy.lag_twice_ns2 as f64 * 0.5e-18
}

/// Which of two was behind for the greater share of its time, then which had the greater lag.
fn staler(a: &ProxyRecord, b: &ProxyRecord) -> Ordering {
    let lags = a.lag_max.cmp(&b.lag_max);
    let shares = share(a).total_cmp(&share(b));
    shares.then(lags).then(b.proxy.cmp(&a.proxy))
}

fn name(study: &Study<'_>, record: &Record, proxy: &ProxyRecord) -> String {
    let cluster = &study.scenario.clusters[proxy.cluster.index()];
    match proxy.proxy {
        ProxyKey::Ztunnel(node) => cluster.nodes[node as usize].name.clone(),
        ProxyKey::OfPod {
            workload,
            revision,
            number,
        } => {
            let seed = Seed {
                master: study.scenario.run.seed,
                replication: record.replication,
            };
            let workload = &cluster.workloads[workload.index()];
            names::of_pod((cluster, workload), seed, (revision, number))
        }
    }
}
