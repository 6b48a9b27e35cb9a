//! Canary releases that meet on one route, that cannot end, and that must wait for their sample.

use super::Whole;
use super::flow::Flows;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use crate::source::Span;
use cloud::scenario::{Action, Canary, CanaryStep, Change, ClusterId, TimelineEntry, Version};
use engine::{Duration, Time};

/// A release on the timeline.
struct Release<'a> {
    entry: &'a TimelineEntry,
    cluster: ClusterId,
    canary: &'a Canary,
    span: Span,
}

fn releases<'a>(whole: &Whole<'a>) -> Vec<Release<'a>> {
    let entries = whole.scenario.timeline.iter().zip(&whole.places.timeline);
    let found = entries.flat_map(|(entry, span)| {
        let (cluster, changes) = match &entry.action {
            Action::Apply { cluster, changes } => (*cluster, changes.as_slice()),
            Action::Fault { .. } => (ClusterId(0), &[][..]),
        };
        changes.iter().filter_map(move |change| match change {
            Change::Canary(canary) => Some(Release {
                entry,
                cluster,
                canary,
                span: *span,
            }),
            _ => None,
        })
    });
    found.collect()
}

/// Two releases that move the weights of one route at a time.
pub(super) fn check_routes(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let all = releases(whole);
    for (position, later) in all.iter().enumerate() {
        let meets = |earlier: &&Release<'_>| {
            let ends = earlier
                .entry
                .at
                .saturating_add(earlier.canary.lasts_at_least());
            let mut services = later.canary.services.iter();
            earlier.cluster == later.cluster
                && services.any(|service| earlier.canary.services.contains(service))
                && later.entry.at < ends
        };
        if let Some(earlier) = all[..position].iter().find(meets) {
            let message = format!(
                "`{}` and `{}` are releases on one route at a time",
                earlier.entry.label, later.entry.label
            );
            let ends = earlier
                .entry
                .at
                .saturating_add(earlier.canary.lasts_at_least());
            let ends = show_duration(ends.since(Time::ZERO));
            diagnostics
                .report(Code::CanariesMeet, later.span, message)
                .help(format!(
                    "the first one takes until {ends} at least: begin the second after it"
                ));
        }
    }
}

/// Releases whose pauses reach beyond the end of the run: none of them can end.
pub(super) fn check_ends(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let end = Time::ZERO.saturating_add(whole.scenario.run.duration);
    for release in releases(whole)
        .iter()
        .filter(|release| release.entry.at < end)
    {
        let ends = release
            .entry
            .at
            .saturating_add(release.canary.lasts_at_least());
        if ends >= end {
            let message = format!(
                "`{}` takes until {} at least, beyond the end of the run",
                release.entry.label,
                show_duration(ends.since(Time::ZERO))
            );
            diagnostics
                .report(Code::AfterTheEnd, release.span, message)
                .help("it can be rolled back and never be promoted: make `run.duration` longer");
        }
    }
}

/// Pauses in which too few requests come for a look that says anything.
pub(super) fn check_samples(whole: &Whole<'_>, flows: &Flows, diagnostics: &mut Diagnostics) {
    for release in releases(whole) {
        let Some(analysis) = &release.canary.analysis else {
            continue;
        };
        let rate = |version: &Version| -> f64 {
            let rates = version.workloads.iter();
            let rates = rates.filter_map(|it| flows.rates.get(&(release.cluster, *it)));
            rates.sum()
        };
        let together = rate(&release.canary.stable) + rate(&release.canary.canary);
        if together <= 0.0 {
            continue; // Nobody asks as far as is known.
        }
        for (step, pause, share) in shares(release.canary) {
            if step < analysis.starting_step as usize || share >= 1.0 {
                continue;
            }
            let least = if analysis.comparisons.is_empty() {
                share
            } else {
                share.min(1.0 - share)
            };
            // Readings cover all but one interval of a pause.
            let covered = pause.saturating_sub(analysis.scrape_interval).as_secs_f64();
            let expected = together * least * covered;
            if expected < analysis.sample_min as f64 {
                let message = format!(
                    "about {expected:.0} of {} answers come in the pause at step {step} of `{}`",
                    analysis.sample_min, release.entry.label
                );
                diagnostics
                    .report(Code::CanarySampleShort, release.span, message)
                    .help("the release waits there until the sample is complete: make the pause longer, the weight greater or `minimumSample` smaller");
                break;
            }
        }
    }
}

/// Each pause with its step and the share of requests that the canary answers then, as far as
/// weights and copies say.
fn shares(canary: &Canary) -> Vec<(usize, Duration, f64)> {
    let (mut weight, mut mirrors, mut headers) = (0.0, Vec::new(), Vec::new());
    let mut found = Vec::new();
    for (step, described) in canary.steps.iter().enumerate() {
        match described {
            CanaryStep::SetWeight(set) => weight = f64::from(*set) / 100.0,
            CanaryStep::SetMirrorRoute {
                name,
                matches,
                share,
            } => {
                mirrors.retain(|(other, _)| *other != name);
                let share = share.map(|share| f64::from(share.millionths()) / 1e6);
                if let Some(share) = share.filter(|_| matches.is_empty()) {
                    mirrors.push((name, share));
                }
            }
            CanaryStep::SetHeaderRoute { name, matches } => {
                headers.retain(|other| *other != name);
                if !matches.is_empty() {
                    headers.push(name);
                }
            }
            // How many requests have a header nobody knows.
            CanaryStep::Pause(lasts) if headers.is_empty() => {
                // A sum of none would be -0, and said so.
                let copies = mirrors.iter().fold(0.0, |sum, (_, share)| sum + share);
                let answered = if weight > 0.0 {
                    weight
                } else {
                    copies.min(0.5)
                };
                found.push((step, *lasts, answered));
            }
            CanaryStep::Pause(_) => {}
        }
    }
    found
}
