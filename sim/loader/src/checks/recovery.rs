//! Runs that end before users of a global name can be moved away from what was lost.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use cloud::scenario::{Action, Fault, GlobalName};
use engine::{Duration, Time};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let scenario = whole.scenario;
    let end = Time::ZERO.saturating_add(scenario.run.duration);
    for (entry, span) in scenario.timeline.iter().zip(&whole.places.timeline) {
        let Action::Fault {
            fault: Fault::RegionDown { region, .. },
            ..
        } = &entry.action
        else {
            continue;
        };
        let lost = |name: &&GlobalName| {
            let mut answers = name.answers.iter();
            answers.any(|answer| scenario.clusters[answer.cluster.index()].region == *region)
        };
        let slowest = scenario
            .global_names
            .iter()
            .filter(lost)
            .map(time_to_move)
            .max();
        if let Some(time) = slowest
            && entry.at < end
            && entry.at.saturating_add(time) > end
        {
            let message = format!(
                "the run ends {} after `{}`, before all its users are moved",
                show_duration(end.saturating_since(entry.at)),
                entry.label
            );
            diagnostics
                .report(Code::FailoverWithoutTime, *span, message)
                .help(format!(
                    "health checks and the TTL of the DNS take up to {}",
                    show_duration(time)
                ));
        }
    }
}

/// The longest time until every resolver names another cluster.
fn time_to_move(name: &GlobalName) -> Duration {
    let check = &name.health_check;
    check
        .interval
        .saturating_mul(u64::from(check.failures))
        .saturating_add(check.timeout)
        .saturating_add(name.ttl)
}
