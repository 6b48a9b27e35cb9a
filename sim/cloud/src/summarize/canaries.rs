//! How canary releases ended, and what users paid for what was learnt.
//!
//! Users harmed are counted at the pods that answered them, from the start of the release to the
//! end of the run: requests to the canary that failed, less as many as would have failed with the
//! share of failures of the stable version in the same time; and answers without error that were
//! slow, likewise. Slow is what takes longer than `latency.atMost` of the analysis, or, where
//! that is not said, longer than 99 % of the stable version's answers. What is left of chance can
//! be less than nothing in a replication; the mean over replications is not biased by it. Each
//! attempt counts; a request that was tried again with success harmed nobody much.
//!
//! The error budget is what the first promised availability lets fail of the requests of its
//! users in the whole run.

use super::Study;
use crate::record::{CanaryOutcome, CanaryRecord, VersionRecord};
use crate::scenario::{
    Action, Canary, CanaryMeasure, Change, Comparison, Quantity, TimelineEntry, TrafficId, Truth,
};
use crate::summary::CanarySummary;
use engine::Duration;
use stats::{Estimate, mean_interval, ratio_interval, share_interval};

/// A share of the stable version's answers that is not slow.
const NOT_SLOW: f64 = 0.99;

/// Every canary release, in the order of the timeline.
pub(super) fn summaries(study: &Study<'_>) -> Vec<CanarySummary> {
    let entries = (0..).zip(&study.scenario.timeline);
    let found = entries.filter_map(|(position, entry)| {
        let (cluster, described) = release(entry)?;
        let releases = Releases::of(study, position)?;
        Some(summary(study, entry, (cluster, described), &releases))
    });
    found.collect()
}

/// The release that an entry asks for, and the position of its cluster.
fn release(entry: &TimelineEntry) -> Option<(usize, &Canary)> {
    let Action::Apply { cluster, changes } = &entry.action else {
        return None;
    };
    changes.iter().find_map(|change| match change {
        Change::Canary(canary) => Some((cluster.index(), &**canary)),
        _ => None,
    })
}

/// What is found of a measure of the release that an entry asks for; `None` if nothing is.
pub(super) fn estimate(study: &Study<'_>, entry: u32, measure: CanaryMeasure) -> Option<Estimate> {
    let releases = Releases::of(study, entry)?;
    match measure {
        CanaryMeasure::Promoted => Some(releases.share(CanaryOutcome::Promoted)),
        CanaryMeasure::RolledBack => Some(releases.share(CanaryOutcome::RolledBack)),
        CanaryMeasure::Undecided => Some(releases.share(CanaryOutcome::Undecided)),
        CanaryMeasure::WrongVerdicts => releases.wrong(),
        CanaryMeasure::TimeToDetect => releases.detection().map(|(estimate, _)| estimate),
        CanaryMeasure::UsersHarmed => Some(releases.mean(|each| each.failed + each.slow)),
        CanaryMeasure::ErrorBudgetSpent => releases.budget_spent(),
    }
}

/// One release in all replications.
struct Releases<'a> {
    study: &'a Study<'a>,
    truth: Option<Truth>,
    each: Vec<Release<'a>>,
}

/// One release in one replication.
struct Release<'a> {
    record: &'a CanaryRecord,
    /// Requests that failed because of it.
    failed: f64,
    /// Requests that were slow because of it.
    slow: f64,
}

impl<'a> Release<'a> {
    fn of(record: &'a CanaryRecord, described: &Canary) -> Self {
        let (stable, canary) = (&record.stable, &record.canary);
        let limit = slow_from(described, stable);
        let share = |some: u64, all: u64| match all {
            0 => 0.0,
            all => some as f64 / all as f64,
        };
        let failing = share(stable.failed, stable.answers());
        let slow =
            |version: &VersionRecord| limit.map_or(0, |limit| version.latency.count_above(limit));
        let slowing = share(slow(stable), stable.succeeded);
        Release {
            record,
            failed: canary.failed as f64 - canary.answers() as f64 * failing,
            slow: slow(canary) as f64 - canary.succeeded as f64 * slowing,
        }
    }
}

/// Above which latency an answer is slow; `None` if there is nothing to tell it from.
fn slow_from(described: &Canary, stable: &VersionRecord) -> Option<Duration> {
    let analysis = described.analysis.as_ref();
    let said = analysis.and_then(|analysis| analysis.latency_max);
    let usual = || stable.latency.quantile_ns(NOT_SLOW);
    match said {
        Some((_, limit)) => Some(limit),
        None => usual().map(Duration::from_nanos),
    }
}

impl<'a> Releases<'a> {
    fn of(study: &'a Study<'a>, entry: u32) -> Option<Self> {
        let described = study.scenario.timeline.get(entry as usize)?;
        let (_, described) = release(described)?;
        let records = study.records.iter().copied();
        let records = records.flat_map(|record| &record.canaries);
        let records = records.filter(|canary| canary.entry == entry);
        Some(Releases {
            study,
            truth: described.truth,
            each: records
                .map(|record| Release::of(record, described))
                .collect(),
        })
    }

    fn count(&self, outcome: CanaryOutcome) -> u32 {
        let each = self.each.iter();
        let of_it = each.filter(|each| each.record.outcome == outcome).count();
        u32::try_from(of_it).expect("replications fit 32 bits")
    }

    fn share(&self, outcome: CanaryOutcome) -> Estimate {
        let each = self.each.iter();
        let of_it: Vec<u64> = each
            .map(|each| u64::from(each.record.outcome == outcome))
            .collect();
        share_interval(&of_it, &vec![1; of_it.len()], self.study.confidence())
    }

    fn wrong(&self) -> Option<Estimate> {
        self.truth.map(|truth| {
            self.share(match truth {
                Truth::Good => CanaryOutcome::RolledBack,
                Truth::Bad => CanaryOutcome::Promoted,
            })
        })
    }

    fn mean(&self, value: impl Fn(&Release<'_>) -> f64) -> Estimate {
        let values: Vec<f64> = self.each.iter().map(value).collect();
        mean_interval(&values, self.study.confidence())
    }

    /// From the start to the decision to roll back: the estimate, and least and greatest.
    fn detection(&self) -> Option<(Estimate, (f64, f64))> {
        let decided = self.each.iter().filter_map(|each| {
            let CanaryRecord { began, judged, .. } = each.record;
            let seconds = (*judged)?.since((*began)?).as_secs_f64();
            (each.record.outcome == CanaryOutcome::RolledBack).then_some(seconds)
        });
        let seconds: Vec<f64> = decided.collect();
        let least = seconds.iter().copied().reduce(f64::min)?;
        let greatest = seconds.iter().copied().reduce(f64::max)?;
        let estimate = mean_interval(&seconds, self.study.confidence());
        Some((estimate, (least, greatest)))
    }

    fn budget_spent(&self) -> Option<Estimate> {
        let (traffic, promised) = promised_availability(self.study)?;
        let sent = self.study.traffic(traffic);
        let allowed = sent
            .iter()
            .map(|record| record.sent as f64 * (1.0 - promised));
        let failed: Vec<f64> = self.each.iter().map(|each| each.failed).collect();
        let allowed: Vec<f64> = allowed.collect();
        Some(ratio_interval(&failed, &allowed, self.study.confidence()))
    }
}

/// The first availability that was promised to users for the whole run, and to whom.
fn promised_availability(study: &Study<'_>) -> Option<(Option<TrafficId>, f64)> {
    let mut objectives = study.scenario.objectives.iter();
    objectives.find_map(|objective| match objective {
        objective if objective.measure.window.is_some() => None,
        objective => match (&objective.measure.quantity, objective.comparison) {
            (Quantity::Availability(traffic), Comparison::AtLeast(least)) if least < 1.0 => {
                Some((*traffic, least))
            }
            _ => None,
        },
    })
}

fn summary(
    study: &Study<'_>,
    entry: &TimelineEntry,
    (cluster, described): (usize, &Canary),
    releases: &Releases<'_>,
) -> CanarySummary {
    let detection = releases.detection();
    CanarySummary {
        name: entry.label.clone(),
        cluster: study.scenario.clusters[cluster].name.clone(),
        route: described.route.clone(),
        stable: described.stable.name.clone(),
        canary: described.canary.name.clone(),
        truth: described.truth.map(|truth| match truth {
            Truth::Good => "good",
            Truth::Bad => "bad",
        }),
        promoted: releases.count(CanaryOutcome::Promoted),
        rolled_back: releases.count(CanaryOutcome::RolledBack),
        undecided: releases.count(CanaryOutcome::Undecided),
        wrong: releases.wrong(),
        detection: detection.map(|(estimate, _)| estimate),
        detection_range: detection.map(|(_, range)| range),
        looks: releases.mean(|each| f64::from(each.record.looks)),
        inconclusive: releases.mean(|each| f64::from(each.record.inconclusive)),
        requests: releases.mean(|each| each.record.canary.answers() as f64),
        failed: releases.mean(|each| each.failed),
        slow: releases.mean(|each| each.slow),
        harmed: releases.mean(|each| each.failed + each.slow),
        budget_spent: releases.budget_spent(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile;
    use crate::istio::config::Destination;
    use crate::record::{Record, Sketch};
    use crate::scenario::*;
    use crate::summarize::{WarmUp, summarize, traffic};
    use crate::summary::Outcome;
    use crate::tests::{ideal, workload};
    use engine::{Distribution, Time};

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn version(workload: u32) -> Version {
        Version {
            name: format!("v{workload}"),
            destination: Destination {
                host: "web".into(),
                subset: None,
                port: None,
            },
            workloads: vec![WorkloadId(workload)],
        }
    }

    /// A release of which a measure is expected; 99 % are promised to all users.
    fn scenario(truth: Truth) -> Scenario {
        let work = Distribution::constant(Duration::from_millis(10));
        let web = |name| workload(name, 1, 4, work.clone());
        let arrivals = Arrivals::Poisson(RateProfile::Constant(1.0));
        let workloads = vec![web("v0"), web("v1")];
        let mut scenario = ideal(workloads, arrivals, Duration::from_secs(100));
        scenario.clusters[0].mesh = Some(Mesh::new(30));
        let canary = Canary {
            route: "web".into(),
            services: Vec::new(),
            parts: Vec::new(),
            stable: version(0),
            canary: version(1),
            steps: vec![CanaryStep::Pause(Duration::from_secs(1))],
            analysis: None,
            truth: Some(truth),
        };
        scenario.timeline = vec![TimelineEntry {
            at: at(10),
            label: "release".into(),
            action: Action::Apply {
                cluster: ClusterId(0),
                changes: vec![Change::Canary(Box::new(canary))],
            },
        }];
        scenario.objectives = vec![Objective {
            measure: Measure {
                quantity: Quantity::Availability(None),
                window: None,
            },
            comparison: Comparison::AtLeast(0.99),
        }];
        scenario
    }

    /// So many failures, and as many answers as there are latencies in milliseconds.
    fn served(failed: u64, latencies_ms: &[(u64, u64)]) -> VersionRecord {
        let mut latency = Sketch::default();
        for &(milliseconds, times) in latencies_ms {
            (0..times).for_each(|_| latency.record(Duration::from_millis(milliseconds)));
        }
        VersionRecord {
            succeeded: latency.count(),
            failed,
            latency,
        }
    }

    fn record(replication: u32, outcome: CanaryOutcome, judged: u64) -> Record {
        let mut users = traffic::together(&[]);
        users.sent = 2_000;
        users.succeeded = 2_000;
        Record {
            replication,
            traffic: vec![users],
            canaries: vec![CanaryRecord {
                cluster: ClusterId(0),
                entry: 0,
                began: Some(at(10)),
                judged: Some(at(judged)),
                ended: Some(at(judged)),
                outcome,
                steps: 1,
                looks: 3,
                inconclusive: 1,
                // A failure in a hundred answers, and 5 of the 990 without error are slow.
                stable: served(10, &[(10, 985), (40, 5)]),
                // Of 200 answers 20 fail in place of 2; of 180 without error 30 are slow in
                // place of 0.9.
                canary: served(20, &[(10, 150), (100, 30)]),
            }],
            ..crate::simulate(
                &compile(&scenario(Truth::Bad)),
                engine::Seed::default(),
                &crate::Options::default(),
            )
        }
    }

    #[test]
    fn harm_is_what_the_stable_version_would_not_have_done() {
        let records = [
            record(0, CanaryOutcome::RolledBack, 40),
            record(1, CanaryOutcome::RolledBack, 60),
            record(2, CanaryOutcome::Promoted, 90),
        ];
        let mut scenario = scenario(Truth::Bad);
        scenario.expectations = vec![Expectation {
            because: None,
            measure: Measure {
                quantity: Quantity::Canary(0, CanaryMeasure::TimeToDetect),
                window: None,
            },
            comparison: Comparison::AtMost(1_000.0),
        }];
        let summary = summarize(&compile(&scenario), &records, &WarmUp::NONE);
        let release = &summary.canaries[0];
        let ends = (release.promoted, release.rolled_back, release.undecided);
        assert_eq!(ends, (1, 2, 0));
        let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 1e-9;
        assert!(close(release.failed.value, 18.0), "{:?}", release.failed);
        // 99 % of the stable version's answers are within 10 ms: the others are slow.
        let slow = 30.0 - 180.0 * 5.0 / 990.0;
        assert!(close(release.slow.value, slow), "{:?}", release.slow);
        assert!(close(release.harmed.value, 18.0 + slow));
        // 1 % of 2,000 requests may fail.
        assert!(close(release.budget_spent.unwrap().value, 18.0 / 20.0));
        assert!(close(release.detection.unwrap().value, 40.0));
        assert_eq!(release.detection_range, Some((30.0, 50.0)));
        assert!(close(release.wrong.unwrap().value, 1.0 / 3.0));
        assert!(close(release.looks.value, 3.0));
        let verdict = summary.verdicts.last().unwrap();
        assert_eq!(verdict.statement, "time to detect: release at most 1000 s");
        assert_eq!(verdict.outcome, Outcome::Met);
    }

    #[test]
    fn the_truth_decides_which_verdicts_are_wrong() {
        let records = [
            record(0, CanaryOutcome::Promoted, 40),
            record(1, CanaryOutcome::Promoted, 40),
        ];
        let wrong = |truth| {
            let summary = summarize(&compile(&scenario(truth)), &records, &WarmUp::NONE);
            summary.canaries[0].wrong.unwrap().value
        };
        assert_eq!((wrong(Truth::Good), wrong(Truth::Bad)), (0.0, 1.0));
    }
}
