//! PodDisruptionBudgets: what their controller counts, and what the API server makes of it.
//!
//! Models: the disruption controller counts a budget's pods one turn after any of them, or what
//! is wanted of them, has changed; the API server answers evictions by the count it holds, which
//! each eviction uses up until the controller has counted again. A pod that was evicted and does
//! not go counts as disrupted for two minutes.
//! Approximated: a turn is that of other controllers.
//! Sources: [`crate::kubernetes::budget`]; [`crate::facts`].
//! Validated by: drains computed by hand, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::amount::Amount;
use crate::kubernetes::budget::{self, Answer, Demand, Evictee, Status};
use crate::scenario::{DisruptionBudget, WorkloadId, WorkloadKind};
use engine::Time;
use std::collections::BTreeMap;

/// What the API server holds of a budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct BudgetState {
    pub(crate) status: Status,
    /// Pods that were evicted, and when.
    disrupted: BTreeMap<u32, Time>,
    /// Whether a count is in the calendar.
    is_due: bool,
}

impl<'t> Domain<'t> {
    fn described_budgets(&self) -> &'t [DisruptionBudget] {
        self.cluster
            .map_or(&[], |cluster| &self.topology.cluster(cluster).budgets)
    }
}

impl Domain<'_> {
    /// The budgets as they have been counted before time begins.
    pub(crate) fn add_budgets(&mut self) {
        for budget in self.described_budgets() {
            let status = self.budget_status(budget, &BTreeMap::new());
            self.budgets.push(BudgetState {
                status,
                ..BudgetState::default()
            });
        }
    }

    /// Pods of a workload have changed, or those of any: budgets that cover them are counted.
    pub(super) fn budgets_changed(
        &mut self,
        workload: Option<WorkloadId>,
        context: &mut Clock<'_, Self>,
    ) {
        for (index, budget) in self.described_budgets().iter().enumerate() {
            let covers = workload.is_none_or(|workload| budget.workloads.contains(&workload));
            if covers && !std::mem::replace(&mut self.budgets[index].is_due, true) {
                let event = Event::BudgetCounted(index as u32);
                context.after(facts::REPLACEMENT_DELAY.value, event);
            }
        }
    }

    /// The disruption controller counts.
    pub(crate) fn budget_counted(&mut self, index: u32, context: &mut Clock<'_, Self>) {
        self.budgets[index as usize].is_due = false;
        if !self.can_act(Client::ControllerManager) {
            return;
        }
        let now = context.now();
        let pods = &self.pods;
        let disrupted = &mut self.budgets[index as usize].disrupted;
        disrupted.retain(|&pod, &mut since| {
            !pods[pod as usize].deleted && since + facts::EVICTION_SEEN_WITHIN.value > now
        });
        if let Some(&since) = disrupted.values().min() {
            let again = since + facts::EVICTION_SEEN_WITHIN.value;
            context.schedule(again, Event::BudgetCounted(index));
        }
        let disrupted = disrupted.clone();
        let budget = &self.described_budgets()[index as usize];
        self.budgets[index as usize].status = self.budget_status(budget, &disrupted);
    }

    fn budget_status(&self, budget: &DisruptionBudget, disrupted: &BTreeMap<u32, Time>) -> Status {
        let of = |workload: &WorkloadId| &self.workloads[workload.index()];
        let pods = budget
            .workloads
            .iter()
            .flat_map(|workload| &of(workload).pods);
        let healthy = pods.clone().filter(|&&pod| {
            let state = &self.pods[pod as usize];
            state.ready && !state.deleted && !disrupted.contains_key(&pod)
        });
        let healthy = healthy.count() as u32;
        let expected = match budget.demand {
            Demand::MinAvailable(Amount::Count(_)) => pods.count() as u32,
            // Without a scale nobody knows how many there should be, and nobody may go.
            _ if !budget
                .workloads
                .iter()
                .all(|workload| self.has_scale(*workload)) =>
            {
                0
            }
            _ => budget
                .workloads
                .iter()
                .map(|workload| of(workload).replicas)
                .sum(),
        };
        budget::count(budget.demand, expected, healthy)
    }

    /// Whether what keeps a workload's pods says how many there should be.
    fn has_scale(&self, workload: WorkloadId) -> bool {
        matches!(
            self.kind(workload),
            WorkloadKind::Deployment
                | WorkloadKind::Inline
                | WorkloadKind::ReplicaSet
                | WorkloadKind::StatefulSet
        )
    }

    /// Whether so many pods of a workload could be evicted, as far as the budgets' counts say.
    pub(super) fn may_evict(&self, workload: WorkloadId, pods: u32) -> bool {
        let budgets = self.described_budgets().iter().zip(&self.budgets);
        let mut covering = budgets.filter(|(budget, _)| budget.workloads.contains(&workload));
        covering.all(|(_, held)| held.status.allowed >= pods)
    }

    /// The API server's answer to an eviction.
    pub(super) fn eviction_answer(&mut self, pod: u32, context: &mut Clock<'_, Self>) -> Answer {
        let state = &self.pods[pod as usize];
        let workload = state.workload;
        let has_run =
            state.restarts > 0 || state.life.as_ref().is_some_and(|life| life.is_running());
        let evictee = match (state.deleted || !has_run, state.ready) {
            (true, _) => Evictee::Idle,
            (false, true) => Evictee::Ready,
            (false, false) => Evictee::NotReady,
        };
        let described = self.described_budgets();
        let covering: Vec<usize> = (0..described.len())
            .filter(|&index| described[index].workloads.contains(&workload))
            .collect();
        let held: Vec<_> = covering
            .iter()
            .map(|&index| (self.budgets[index].status, described[index].unhealthy))
            .collect();
        let answer = budget::evict(evictee, &held);
        if answer == Answer::Counted {
            let budget = &mut self.budgets[covering[0]];
            budget.status.allowed -= 1;
            budget.disrupted.insert(pod, context.now());
            self.budgets_changed(Some(workload), context);
        }
        answer
    }
}
