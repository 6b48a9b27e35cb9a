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
