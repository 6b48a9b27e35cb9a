//! Roots of certificates that end within the run, and that nobody renews.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use cloud::scenario::RootIssuer;
use engine::Time;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let end = Time::ZERO.saturating_add(whole.scenario.run.duration);
    for cluster in &whole.scenario.clusters {
        let root = cluster.mesh.as_ref().and_then(|mesh| mesh.root);
        let Some(root) = root.filter(|root| root.issuer == RootIssuer::Operator) else {
            continue;
        };
        if root.until < end {
            let message = format!(
                "the root certificate of `{}` ends {} into the run",
                cluster.name,
                show_duration(root.until.since(Time::ZERO))
            );
            diagnostics
                .report(Code::RootEnds, whole.places.run, message)
                .help("`rootExpires` of its `istio` says so; nobody renews a root that was plugged in");
        }
    }
}
