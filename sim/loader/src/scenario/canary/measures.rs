//! What measures tell of canary releases.

use super::super::names::named;
use super::super::reader::Reader;
use super::super::timeline::Said;
use crate::diagnostic::Code;
use crate::tree::Node;
use cloud::scenario::{Action, CanaryMeasure, Change};

/// What of a canary release a measure tells, if it is one of those.
pub(crate) fn measure(measure: &str) -> Option<CanaryMeasure> {
    Some(match measure {
        "canaryPromoted" => CanaryMeasure::Promoted,
        "canaryRolledBack" => CanaryMeasure::RolledBack,
        "canaryUndecided" => CanaryMeasure::Undecided,
        "wrongVerdicts" => CanaryMeasure::WrongVerdicts,
        "timeToDetect" => CanaryMeasure::TimeToDetect,
        "usersHarmed" => CanaryMeasure::UsersHarmed,
        "errorBudgetSpent" => CanaryMeasure::ErrorBudgetSpent,
        _ => return None,
    })
}

/// The release under the key `canary`, or the only one; anything else is reported.
pub(crate) fn release(node: &Node, timeline: &[Said], reader: &mut Reader<'_>) -> Option<u32> {
    let is_release = |said: &Said| match &said.entry.action {
        Action::Apply { changes, .. } => {
            let is_canary = |change: &Change| matches!(change, Change::Canary(_));
            changes.iter().any(is_canary)
        }
        Action::Fault { .. } => false,
    };
    let all = timeline.iter().enumerate();
    let mut releases = all.filter(|(_, said)| is_release(said));
    let found = match named(node, "canary") {
        None => match (releases.next(), releases.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        },
        Some((text, _)) => releases.find(|(_, said)| {
            said.name.as_deref() == Some(text) || said.written.to_string() == text
        }),
    };
    let Some((position, _)) = found else {
        let span = named(node, "canary").map_or(node.span, |(_, span)| span);
        reader
            .diagnostics
            .report(
                Code::UnknownFault,
                span,
                "the measure is of no one `canary` of the timeline",
            )
            .help("say of which, by its name or its position as written, as `canary: 0`");
        return None;
    };
    u32::try_from(position).ok()
}
