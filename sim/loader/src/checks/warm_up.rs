//! A warm-up that leaves nothing to measure.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use cloud::scenario::Analysis;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let run = &whole.scenario.run;
    let Analysis::SteadyState {
        warm_up: Some(warm_up),
    } = run.analysis
    else {
        return;
    };
    if warm_up >= run.duration {
        let message = format!(
            "the warm-up of {} leaves nothing of a run of {}",
            show_duration(warm_up),
            show_duration(run.duration)
        );
        diagnostics
            .report(Code::WarmUpTooLong, whole.places.run, message)
            .help("make `run.duration` several times as long as the warm-up");
    }
}
