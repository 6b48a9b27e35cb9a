//! Entries of the timeline that come after the end of the run.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use engine::Time;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let duration = whole.scenario.run.duration;
    let end = Time::ZERO.saturating_add(duration);
    for (entry, span) in whole.scenario.timeline.iter().zip(&whole.places.timeline) {
        if entry.at >= end {
            let message = format!(
                "`{}` comes at {}, after the end of the run",
                entry.label,
                show_duration(entry.at.since(Time::ZERO))
            );
            diagnostics
                .report(Code::AfterTheEnd, *span, message)
                .help(format!(
                    "the run takes {}; make `run.duration` longer",
                    show_duration(duration)
                ));
        }
    }
}
