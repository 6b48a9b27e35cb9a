//! Workloads that an autoscaler scales while the timeline sets their replicas.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use cloud::scenario::{Action, Autoscaler, Change};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let scenario = whole.scenario;
    for (entry, span) in scenario.timeline.iter().zip(&whole.places.timeline) {
        let Action::Apply { cluster, changes } = &entry.action else {
            continue;
        };
        let of = &scenario.clusters[cluster.index()];
        for change in changes {
            let Change::Replicas(workload, _) = change else {
                continue;
            };
            let scales = |autoscaler: &&Autoscaler| autoscaler.workload == *workload;
            let Some(autoscaler) = of.autoscalers.iter().find(scales) else {
                continue;
            };
            let message = format!(
                "`{}` sets the replicas of `{}`, which the autoscaler `{}` sets too",
                entry.label,
                of.workloads[workload.index()].name,
                autoscaler.name
            );
            diagnostics
                .report(Code::ScaledTwice, *span, message)
                .help("the autoscaler moves them within seconds; change its bounds instead");
        }
    }
}
