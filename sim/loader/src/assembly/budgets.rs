//! Disruption budgets: what their selectors cover, and what protects nobody.

use super::{Positions, View};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::kubernetes::budget::DisruptionBudget;
use cloud::scenario::{self, WorkloadId};

/// The budgets of the first stage, by namespace and name. Those that later stages add or change
/// are told: they stay as they were.
pub(super) fn of_start(
    stages: &[Objects],
    view: &View,
    positions: &Positions,
    diagnostics: &mut Diagnostics,
) -> Vec<scenario::DisruptionBudget> {
    for pair in stages.windows(2) {
        report_changes(&pair[0].budgets, &pair[1].budgets, diagnostics);
    }
    let budgets = stages[0].budgets.iter();
    budgets
        .filter_map(|budget| {
            let workloads = covered(budget, view, positions);
            if workloads.is_empty() {
                report_nobody(budget, diagnostics);
                return None;
            }
            Some(scenario::DisruptionBudget {
                namespace: budget.metadata.namespace.clone(),
                name: budget.metadata.name.clone(),
                workloads,
                demand: budget.demand?,
                unhealthy: budget.unhealthy,
            })
        })
        .collect()
}

/// The workloads whose pods a budget selects, ascending.
fn covered(budget: &DisruptionBudget, view: &View, positions: &Positions) -> Vec<WorkloadId> {
    let Some(selector) = &budget.selector else {
        return Vec::new();
    };
    let workloads = view.workloads.iter().filter(|(key, workload)| {
        key.0 == budget.metadata.namespace
            && workload.has_pods()
            && selector.matches(&workload.placement.labels)
    });
    let mut found: Vec<_> = workloads.map(|(key, _)| positions.workloads[key]).collect();
    found.sort_unstable();
    found
}

fn report_nobody(budget: &DisruptionBudget, diagnostics: &mut Diagnostics) {
    let name = &budget.metadata.name;
    let message = format!("the disruption budget `{name}` covers no pods");
    diagnostics
        .report(Code::SelectsNothing, budget.metadata.span, message)
        .help("its selector must match labels of a pod template in its own namespace");
}

fn report_changes(
    before: &[DisruptionBudget],
    after: &[DisruptionBudget],
    diagnostics: &mut Diagnostics,
) {
    let named = |budget: &DisruptionBudget| {
        let metadata = &budget.metadata;
        (metadata.namespace.clone(), metadata.name.clone())
    };
    for new in after {
        let unchanged = before.iter().any(|old| {
            named(old) == named(new)
                && (&old.selector, old.demand, old.unhealthy)
                    == (&new.selector, new.demand, new.unhealthy)
        });
        if !unchanged {
            let name = &new.metadata.name;
            let message = format!("the disruption budget `{name}` stays as it is at the start");
            diagnostics
                .report(Code::UnsupportedValue, new.metadata.span, message)
                .help("`apply` changes no disruption budget in this release");
        }
    }
}
