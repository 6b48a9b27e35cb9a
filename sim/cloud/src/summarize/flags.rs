//! What sidecars logged, and what share of requests has a flag.

use super::Study;
use super::words::{service_path, workload_path};
use crate::envoy::flags::{Flag, Flags};
use crate::record::{FlagRecord, Logged, Reporter};
use crate::scenario::{ClusterId, FlagFilter, WorkloadId};
use crate::summary::FlagSummary;
use stats::{Estimate, ratio_interval};
use std::collections::BTreeMap;

/// Requests that are told together.
type Group<'a> = (
    ClusterId,
    Reporter,
    Option<WorkloadId>,
    u32,
    Option<&'a str>,
);

/// Everything that was logged, by who asked whom, then by what.
pub(super) fn summaries(study: &Study<'_>) -> Vec<FlagSummary> {
    let mut groups: BTreeMap<Group<'_>, BTreeMap<Logged, u64>> = BTreeMap::new();
    for record in study.records.iter().flat_map(|record| &record.flags) {
        let version = record.version.as_deref();
        let of = (
            record.cluster,
            record.reporter,
            record.source,
            record.service,
            version,
        );
        let known = groups.entry(of).or_default();
        for (logged, count) in &record.counts {
            *known.entry(*logged).or_default() += count;
        }
    }
    let rows = |(group, counts): (Group<'_>, BTreeMap<Logged, u64>)| {
        let all: u64 = counts.values().sum();
        let row = |((status, flags), count)| row(study, group, (status, flags), (count, all));
        counts.into_iter().map(row).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(rows).collect()
}

fn row(
    study: &Study<'_>,
    (cluster, reporter, source, service, version): Group<'_>,
    (status, flags): Logged,
    (count, all): (u64, u64),
) -> FlagSummary {
    let described = &study.scenario.clusters[cluster.index()];
    let service = service_path(&described.services[service as usize]);
    FlagSummary {
        reporter: reporter.name(),
        source: source.map_or("unknown".to_owned(), |workload| {
            workload_path(study.scenario, cluster, workload)
        }),
        destination: format!("{}/{service}", described.name),
        version: version.map(str::to_owned),
        status,
        flags: flags.to_string(),
        meaning: meaning(&flags),
        count,
        share: count as f64 / all as f64,
    }
}

fn meaning(flags: &Flags) -> String {
    let meanings: Vec<_> = flags.iter().map(Flag::meaning).collect();
    meanings.join(", ")
}

/// The share of requests with a flag, as the sidecars saw them that set it; `None` if none
/// passed.
pub(super) fn share(study: &Study<'_>, filter: &FlagFilter) -> Option<Estimate> {
    // Who refuses requests at the door, or is left by other proxies, is the destination.
    let reporter = match filter.flag {
        Flag::RateLimited | Flag::Unauthorized | Flag::RateLimitService | Flag::DownstreamReset => {
            Reporter::Destination
        }
        _ => Reporter::Source,
    };
    let is_meant = |record: &&FlagRecord| {
        let of = record.source.map(|source| (record.cluster, source));
        let to = (record.cluster, record.service);
        record.reporter == reporter
            && filter.source.is_none_or(|source| of == Some(source))
            && filter
                .service
                .is_none_or(|(cluster, service)| to == (cluster, service.0))
    };
    let count = |flagged: bool| -> Vec<f64> {
        let of_record = |record: &&crate::record::Record| {
            let records = record.flags.iter().filter(is_meant);
            let counts = records.flat_map(|record| &record.counts);
            let counts = counts.filter(|((_, flags), _)| !flagged || flags.has(filter.flag));
            counts.map(|(_, count)| *count).sum::<u64>() as f64
        };
        study.records.iter().map(of_record).collect()
    };
    let all = count(false);
    let passed = all.iter().any(|all| *all > 0.0);
    passed.then(|| ratio_interval(&count(true), &all, study.confidence()))
}
