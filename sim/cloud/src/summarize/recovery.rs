//! How long users felt a fault.
//!
//! A record holds the stretches in which a source's requests failed, by intended start; two
//! stretches are at least the quiet time of `facts` apart, so between them users were served.
//! A fault is charged with the **first** stretch that it can have caused: one that ends at or
//! after the fault's start (requests on their way when it struck began before it) and begins
//!
//! - at the latest a quiet time after the fault is lifted; after its start, where it strikes
//!   once and nothing is lifted; at any time, where it stays to the end of the run, and
//! - before the next fault starts.
//!
//! Recovery is from the fault's start to the last intended start of that stretch: users who
//! came later were served. Later stretches are other stories (a lifted fault that shakes views
//! again shows in the series).
//!
//! Where that stretch began longer before the fault than any request takes, requests failed
//! anyway and nothing can be told; where it reaches the end of the run, recovery takes longer
//! than was seen. Both are counted.
//!
//! Leaves out: sources with fewer requests than one per quiet time, whose failures look like
//! stretches of their own.

use super::Study;
use crate::facts;
use crate::record::TrafficRecord;
use crate::scenario::{Action, Fault, TimelineEntry, Traffic, TrafficId};
use crate::summary::RecoverySummary;
use engine::{Duration, Time};
use stats::{Estimate, mean_interval};

/// When stretches that a fault can have caused begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blame {
    start: Time,
    /// Excluded.
    until: Time,
}

/// Every fault with every traffic source, in the order of the timeline.
pub(super) fn summaries(study: &Study<'_>) -> Vec<RecoverySummary> {
    let timeline = &study.scenario.timeline;
    timeline
        .iter()
        .filter_map(|entry| Some((entry, blame(timeline, entry)?)))
        .flat_map(|(entry, blame)| {
            (0..study.scenario.traffic.len())
                .map(move |index| summary(study, entry, blame, TrafficId::from(index)))
        })
        .collect()
}

/// Of a fault; `None` of other entries.
fn blame(timeline: &[TimelineEntry], entry: &TimelineEntry) -> Option<Blame> {
    let Action::Fault { fault, lasts } = &entry.action else {
        return None;
    };
    let quiet = facts::QUIET_TIME.value;
    let own = match (lasts, fault) {
        (Some(lasts), _) => entry.at.saturating_add(*lasts).saturating_add(quiet),
        (None, Fault::PodKill { .. }) => entry.at.saturating_add(quiet),
        (None, _) => Time::MAX,
    };
    let next = timeline
        .iter()
        .filter(|other| other.at > entry.at && matches!(other.action, Action::Fault { .. }))
        .map(|other| other.at)
        .min();
    Some(Blame {
        start: entry.at,
        until: next.map_or(own, |next| own.min(next)),
    })
}

/// What one replication says about one fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Feeling {
    /// Nothing failed that the fault can have caused.
    Unfelt,
    /// Seconds to the last failure.
    Recovered(f64),
    /// The same, and there was no quiet time before the end of the run.
    Unfinished(f64),
    /// Requests failed from before the fault.
    Unclear,
}

/// Longest time that one request can take: what fails because of a fault began at most so long
/// before it.
fn request_max(traffic: &Traffic) -> Duration {
    let attempts = u64::from(traffic.retry.attempts_max);
    let waiting = traffic
        .timeout
        .map_or(Duration::ZERO, |timeout| timeout.saturating_mul(attempts));
    let pausing = traffic
        .retry
        .backoff_max
        .saturating_mul(attempts.saturating_sub(1));
    waiting.saturating_add(pausing)
}

fn feeling(record: &TrafficRecord, blame: Blame, traffic: &Traffic, end: Time) -> Feeling {
    let quiet = facts::QUIET_TIME.value;
    let charged = |&&(first, last): &&(Time, Time)| last >= blame.start && first < blame.until;
    let Some(&(first, last)) = record.failing.iter().find(charged) else {
        return Feeling::Unfelt;
    };
    let seconds = last.since(blame.start).as_secs_f64();
    if blame.start.saturating_since(first) > request_max(traffic).max(quiet) {
        Feeling::Unclear
    } else if last.saturating_add(quiet) >= end {
        Feeling::Unfinished(seconds)
    } else {
        Feeling::Recovered(seconds)
    }
}

fn summary(
    study: &Study<'_>,
    entry: &TimelineEntry,
    blame: Blame,
    id: TrafficId,
) -> RecoverySummary {
    let traffic = &study.scenario.traffic[id.index()];
    let feelings: Vec<Feeling> = study
        .records
        .iter()
        .map(|record| feeling(&record.traffic[id.index()], blame, traffic, record.until))
        .collect();
    let count = |is_it: fn(&Feeling) -> bool| {
        u32::try_from(feelings.iter().filter(|feeling| is_it(feeling)).count())
            .expect("replications fit 32 bits")
    };
    let mut values: Vec<f64> = feelings
        .iter()
        .filter_map(|feeling| match feeling {
            Feeling::Recovered(seconds) | Feeling::Unfinished(seconds) => Some(*seconds),
            Feeling::Unfelt | Feeling::Unclear => None,
        })
        .collect();
    let unfinished = count(|feeling| matches!(feeling, Feeling::Unfinished(_)));
    let recovery = (!values.is_empty()).then(|| {
        let mean = mean_interval(&values, study.confidence());
        let high = mean.high.filter(|_| unfinished == 0);
        Estimate { high, ..mean }
    });
    values.sort_by(f64::total_cmp);
    RecoverySummary {
        fault: entry.label.clone(),
        traffic: traffic.name.clone(),
        felt: u32::try_from(values.len()).expect("replications fit 32 bits"),
        unfinished,
        unclear: count(|feeling| matches!(feeling, Feeling::Unclear)),
        recovery,
        range: values.first().copied().zip(values.last().copied()),
        values,
    }
}

/// Position of a timeline entry's fault and a source in the list of [`summaries`].
pub(super) fn position(study: &Study<'_>, entry: usize, traffic: TrafficId) -> Option<usize> {
    let is_fault = |entry: &TimelineEntry| matches!(entry.action, Action::Fault { .. });
    let timeline = &study.scenario.timeline;
    is_fault(timeline.get(entry)?).then(|| {
        let before = timeline[..entry]
            .iter()
            .filter(|entry| is_fault(entry))
            .count();
        before * study.scenario.traffic.len() + traffic.index()
    })
}
