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
//! Leaves out: sources with fewer requests than one per quiet time, whose failures look like
//! stretches of their own; background errors that come more often than that, whose stretch
//! never ends.

use super::Study;
use crate::facts;
use crate::record::TrafficRecord;
use crate::scenario::{Action, Fault, TimelineEntry, TrafficId};
use crate::summary::RecoverySummary;
use engine::{Duration, Time};
use stats::mean_interval;

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

/// Time from the fault's start to the last failure that it is charged with.
fn felt(record: &TrafficRecord, blame: Blame) -> Option<Duration> {
    let charged = |&&(first, last): &&(Time, Time)| last >= blame.start && first < blame.until;
    let &(_, last) = record.failing.iter().find(charged)?;
    Some(last.since(blame.start))
}

fn summary(
    study: &Study<'_>,
    entry: &TimelineEntry,
    blame: Blame,
    traffic: TrafficId,
) -> RecoverySummary {
    let values: Vec<f64> = study
        .traffic(Some(traffic))
        .into_iter()
        .filter_map(|record| felt(record, blame))
        .map(Duration::as_secs_f64)
        .collect();
    let mut ascending = values.clone();
    ascending.sort_by(f64::total_cmp);
    RecoverySummary {
        fault: entry.label.clone(),
        traffic: study.traffic_name(Some(traffic)).to_owned(),
        felt: u32::try_from(values.len()).expect("replications fit 32 bits"),
        recovery: (!values.is_empty()).then(|| mean_interval(&values, study.confidence())),
        range: ascending.first().copied().zip(ascending.last().copied()),
        values: ascending,
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
