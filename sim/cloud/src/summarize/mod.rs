//! From records to a summary: every number with the interval that its kind deserves.
//!
//! Models: nothing; it only estimates. Integers are added over replications before any division,
//! and floats are added in the order of replications, so that neither the order of the records
//! nor the number of threads can show. Leaves out: comparisons of several scenarios. Sources:
//! the methods of the `stats` crate, which says which and why. Validated by records with results
//! worked out by hand.
//!
//! Requests that have no answer yet at the end of a run are neither successes nor failures: they
//! are told as in flight and left out of shares.

mod calls;
mod canaries;
mod flags;
mod indicators;
mod leanings;
mod proxies;
mod recovery;
mod tally;
#[cfg(test)]
mod tests;
mod topology;
mod traffic;
mod verdicts;
mod words;
mod workloads;
mod ztunnels;

use crate::record::{FailureCounts, Reason, Record, TrafficRecord};
use crate::scenario::{Action, Analysis, Scenario, TrafficId};
use crate::summary::{Failure, Mark, Summary};
use crate::topology::Topology;
use engine::Duration;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// How much of each replication's start is discarded, and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// What is discarded.
    pub length: Duration,
    /// Who said so.
    pub method: WarmUpMethod,
}

/// Who decided on a warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUpMethod {
    /// Nobody: the start counts.
    None,
    /// The scenario.
    Given,
    /// MSER-5 on the average over pilot replications.
    Mser5,
    /// The same, but it would rather discard more than half: the run is too short.
    Mser5TooShort,
}

impl WarmUp {
    /// The start counts.
    pub const NONE: WarmUp = WarmUp {
        length: Duration::ZERO,
        method: WarmUpMethod::None,
    };
}

impl WarmUpMethod {
    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            WarmUpMethod::None => "none",
            WarmUpMethod::Given => "given",
            WarmUpMethod::Mser5 => "mser-5",
            WarmUpMethod::Mser5TooShort => "mser-5: run too short",
        }
    }
}

/// Estimates everything that a report tells from the records of independent replications, in
/// any order.
///
/// # Panics
/// If a record is not of this topology's scenario.
pub fn summarize(topology: &Topology, records: &[Record], warm_up: &WarmUp) -> Summary {
    let scenario = topology.scenario();
    let study = Study::new(topology, records);
    let recovery = recovery::summaries(&study);
    let verdicts = verdicts::judge_all(&study, &recovery);
    let measures = indicators::asked(&study, &recovery);
    Summary {
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.run.seed,
        replications: u32::try_from(records.len()).expect("replications fit 32 bits"),
        interrupted: false,
        precision_reached: study.precision_reached(),
        analysis: match scenario.run.analysis {
            Analysis::Terminating => "terminating",
            Analysis::SteadyState { .. } => "steady-state",
        },
        duration_s: scenario.run.duration.as_secs_f64(),
        warm_up_s: warm_up.length.as_secs_f64(),
        warm_up_method: warm_up.method.name(),
        confidence: scenario.run.confidence,
        digest: format!("{:016x}", digest_of(&study.records)),
        events: study.records.iter().map(|record| record.events).sum(),
        traffic: traffic::summaries(&study),
        workloads: workloads::summaries(&study),
        sidecars: workloads::sidecars(&study),
        ztunnels: ztunnels::summaries(&study),
        calls: calls::summaries(&study),
        flags: flags::summaries(&study),
        views: calls::views(&study),
        proxies: proxies::summaries(&study),
        recovery,
        canaries: canaries::summaries(&study),
        verdicts,
        measures,
        marks: marks(scenario),
        topology: topology::summary(topology),
        facts: leanings::facts(scenario),
        assumptions: assumptions(&study, warm_up),
    }
}

/// The digest of a study: those of its replications folded in their order.
pub fn digest(records: &[Record]) -> u64 {
    digest_of(&in_order(records))
}

fn digest_of(records: &[&Record]) -> u64 {
    let mut hasher = SipHasher24::new();
    for record in records {
        // Little-endian bytes by hand: the integer methods of Hasher use the platform's order.
        hasher.write(&record.replication.to_le_bytes());
        hasher.write(&record.digest.to_le_bytes());
    }
    hasher.finish()
}

fn in_order(records: &[Record]) -> Vec<&Record> {
    let mut ordered: Vec<&Record> = records.iter().collect();
    ordered.sort_by_key(|record| record.replication);
    ordered
}

/// A compiled scenario and its records in the order of replications.
struct Study<'a> {
    topology: &'a Topology,
    scenario: &'a Scenario,
    records: Vec<&'a Record>,
    /// Per replication, all traffic sources added up.
    together: Vec<TrafficRecord>,
}

impl<'a> Study<'a> {
    fn new(topology: &'a Topology, records: &'a [Record]) -> Self {
        let scenario = topology.scenario();
        let records = in_order(records);
        for record in &records {
            assert_eq!(
                record.traffic.len(),
                scenario.traffic.len(),
                "a record of another scenario"
            );
        }
        let together = records
            .iter()
            .map(|record| traffic::together(&record.traffic))
            .collect();
        Study {
            topology,
            scenario,
            records,
            together,
        }
    }

    fn confidence(&self) -> f64 {
        self.scenario.run.confidence
    }

    /// One record per replication: of a source, or of all together.
    fn traffic(&self, id: Option<TrafficId>) -> Vec<&TrafficRecord> {
        match id {
            Some(id) => self
                .records
                .iter()
                .map(|record| &record.traffic[id.index()])
                .collect(),
            None => self.together.iter().collect(),
        }
    }

    fn traffic_name(&self, id: Option<TrafficId>) -> &str {
        id.map_or("all traffic", |id| &self.scenario.traffic[id.index()].name)
    }

    /// Measured seconds of each replication.
    fn measured_s(&self) -> Vec<f64> {
        self.records
            .iter()
            .map(|record| record.until.saturating_since(record.from).as_secs_f64())
            .collect()
    }

    /// Mean latencies per replication, by traffic source.
    fn latency_means(&self) -> impl Iterator<Item = Vec<f64>> {
        (0..self.scenario.traffic.len())
            .map(|index| latency_means(&self.records, TrafficId::from(index)))
    }

    /// Whether every source's mean latency is known as precisely as was asked.
    fn precision_reached(&self) -> Option<bool> {
        let precision = self.scenario.run.replications.precision?;
        let enough =
            |means: Vec<f64>| stats::enough_replications(&means, self.confidence(), precision);
        Some(self.latency_means().all(enough))
    }

    /// How many replications it would take, as far as their spread tells.
    fn precision_missed(&self) -> String {
        let precision = self.scenario.run.replications.precision.unwrap_or(0.0);
        let needed = self
            .latency_means()
            .map(|means| stats::replications_needed(&means, self.confidence(), precision))
            .max()
            .unwrap_or(u32::MAX);
        let wished = words::percent(precision);
        let have = self.records.len();
        match needed {
            u32::MAX => format!("{have} replications do not tell mean latencies to {wished}."),
            _ => format!(
                "{have} replications do not tell mean latencies to {wished}: it would take about \
                 {needed}."
            ),
        }
    }
}

/// Mean latency of one traffic source in each replication where any request was answered, in
/// seconds: what the wish for precision is about.
pub fn latency_means(records: &[&Record], traffic: TrafficId) -> Vec<f64> {
    records
        .iter()
        .map(|record| &record.traffic[traffic.index()])
        .filter(|traffic| traffic.succeeded > 0)
        .map(|traffic| seconds(traffic.latency_sum_ns) / traffic.succeeded as f64)
        .collect()
}

/// Nanoseconds in seconds.
fn seconds(nanos: u128) -> f64 {
    nanos as f64 * 1e-9
}

/// Failures added over `counts`, most frequent first.
fn failures<'a>(counts: impl Iterator<Item = &'a FailureCounts>) -> Vec<Failure> {
    let mut totals = FailureCounts::default();
    for each in counts {
        totals
            .iter_mut()
            .zip(each)
            .for_each(|(total, count)| *total += count);
    }
    let mut failures: Vec<Failure> = Reason::ALL
        .iter()
        .zip(totals)
        .filter(|&(_, count)| count > 0)
        .map(|(reason, count)| Failure {
            reason: reason.code(),
            meaning: reason.meaning(),
            count,
        })
        .collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures
}

fn marks(scenario: &Scenario) -> Vec<Mark> {
    scenario
        .timeline
        .iter()
        .map(|entry| Mark {
            start_s: entry.at.as_secs_f64(),
            end_s: match entry.action {
                Action::Fault { lasts, .. } => {
                    lasts.map(|lasts| entry.at.saturating_add(lasts).as_secs_f64())
                }
                Action::Apply { .. } => None,
            },
            label: entry.label.clone(),
        })
        .collect()
}

/// What the scenario assumes, and what its own run fell short of.
fn assumptions(study: &Study<'_>, warm_up: &WarmUp) -> Vec<String> {
    let mut assumptions = study.scenario.assumptions.clone();
    if warm_up.method == WarmUpMethod::Mser5TooShort {
        assumptions.push(
            "The run is too short to tell where its warm-up ends: make `run.duration` longer."
                .to_owned(),
        );
    }
    if study.precision_reached() == Some(false) {
        assumptions.push(study.precision_missed());
    }
    assumptions
}
