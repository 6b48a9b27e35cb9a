//! Entries of the timeline that come after the end of the run.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use engine::Time;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let duration = whole.scenario.run.duration;
    let end = Time::ZERO.saturating_add(duration);
    let entries = whole.scenario.timeline.iter().zip(&whole.places.timeline);
    let entries = entries.map(|(entry, span)| (format!("`{}`", entry.label), entry.at, *span));
    // What is wrong otherwise may be late too.
    let unread = whole.places.unread.iter();
    let unread = unread.map(|(at, span)| ("this".to_owned(), *at, *span));
    for (what, at, span) in entries.chain(unread).filter(|(_, at, _)| *at >= end) {
        let message = format!(
            "{what} comes at {}, after the end of the run",
            show_duration(at.since(Time::ZERO))
        );
        diagnostics
            .report(Code::AfterTheEnd, span, message)
            .help(format!(
                "the run takes {}; make `run.duration` longer",
                show_duration(duration)
            ));
    }
}
