//! Circles of calls, in which a request would go round for ever.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use cloud::scenario::{Cluster, ClusterId, WorkloadId};
use std::collections::{BTreeMap, BTreeSet};

/// Most workloads of a circle that are named.
const SHOWN_MAX: usize = 12;
/// More circles than this are not told one by one.
const CIRCLES_MAX: usize = 20;

/// The workloads of each cluster, every one after those that it calls; `None` if calls form a
/// circle, which is reported.
pub(super) fn callees_first(
    whole: &Whole<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Vec<WorkloadId>>> {
    let mut orders = Some(Vec::new());
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        let mut walk = Walk {
            cluster,
            finished: BTreeSet::new(),
            order: Vec::new(),
            circles: Vec::new(),
        };
        for start in (0..cluster.workloads.len()).map(WorkloadId::from) {
            walk.from(start);
        }
        for circle in &walk.circles {
            report(whole, ClusterId::from(position), circle, diagnostics);
            orders = None;
        }
        if let Some(orders) = &mut orders {
            orders.push(walk.order);
        }
    }
    orders
}

fn report(
    whole: &Whole<'_>,
    cluster: ClusterId,
    circle: &[WorkloadId],
    diagnostics: &mut Diagnostics,
) {
    let of = &whole.scenario.clusters[cluster.index()];
    let name = |id: &WorkloadId| of.workloads[id.index()].name.as_str();
    let mut names: Vec<_> = circle.iter().take(SHOWN_MAX).map(name).collect();
    if circle.len() > SHOWN_MAX {
        names.push("…");
    }
    names.push(name(&circle[0]));
    let message = format!("calls form a circle: {}", names.join(" → "));
    // The last call is the one that closes the circle.
    let last = circle[circle.len() - 1];
    let closing = of.workloads[last.index()]
        .template
        .behavior
        .steps
        .iter()
        .enumerate()
        .find_map(|(step, calls)| {
            let mut calls = calls.calls.iter();
            let call = calls.position(|call| {
                of.services[call.service.index()]
                    .backends
                    .contains(&circle[0])
            })?;
            whole.places.calls.get(&(cluster, last, step, call))
        });
    let span = closing
        .or_else(|| whole.places.workloads.get(&(cluster, last)))
        .copied();
    diagnostics.report(Code::CallCycle, span, message).help(
        "remove one of these calls; work that comes back later is traffic `from` that workload",
    );
}

/// A walk over a call graph, depth first, with a path of its own because graphs may be deep.
struct Walk<'c> {
    cluster: &'c Cluster,
    finished: BTreeSet<WorkloadId>,
    /// Finished workloads, callees before callers.
    order: Vec<WorkloadId>,
    /// Circles, each beginning at the workload at which it was entered.
    circles: Vec<Vec<WorkloadId>>,
}

impl Walk<'_> {
    fn from(&mut self, start: WorkloadId) {
        if self.finished.contains(&start) {
            return;
        }
        let mut path = vec![(start, callees(self.cluster, start))];
        let mut on_path = BTreeMap::from([(start, 0)]);
        while let Some((_, open)) = path.last_mut() {
            let Some(next) = open.pop() else {
                let (done, _) = path.pop().expect("the path is not empty");
                on_path.remove(&done);
                self.finished.insert(done);
                self.order.push(done);
                continue;
            };
            if let Some(&at) = on_path.get(&next) {
                if self.circles.len() < CIRCLES_MAX {
                    let circle = path[at..].iter().map(|(workload, _)| *workload);
                    self.circles.push(circle.collect());
                }
            } else if !self.finished.contains(&next) {
                on_path.insert(next, path.len());
                path.push((next, callees(self.cluster, next)));
            }
        }
    }
}

/// Whom a workload calls, last first.
fn callees(cluster: &Cluster, caller: WorkloadId) -> Vec<WorkloadId> {
    let steps = &cluster.workloads[caller.index()].template.behavior.steps;
    let callees: BTreeSet<_> = steps
        .iter()
        .flat_map(|step| &step.calls)
        .flat_map(|call| {
            cluster.services[call.service.index()]
                .backends
                .iter()
                .copied()
        })
        .collect();
    callees.into_iter().rev().collect()
}
