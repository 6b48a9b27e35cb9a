//! Circles of calls, in which a request would go round for ever.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use cloud::scenario::{Cluster, ClusterId, WorkloadId};
use std::collections::BTreeSet;

/// Says whether there is none.
pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) -> bool {
    let mut none = true;
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        for circle in circles(cluster) {
            none = false;
            report(whole, ClusterId::from(position), &circle, diagnostics);
        }
    }
    none
}

fn report(
    whole: &Whole<'_>,
    cluster: ClusterId,
    circle: &[WorkloadId],
    diagnostics: &mut Diagnostics,
) {
    let of = &whole.scenario.clusters[cluster.index()];
    let name = |id: &WorkloadId| of.workloads[id.index()].name.as_str();
    let mut names: Vec<_> = circle.iter().map(name).collect();
    names.push(name(&circle[0]));
    let message = format!("calls form a circle: {}", names.join(" → "));
    // The last call is the one that closes the circle.
    let last = circle[circle.len() - 1];
    let closing = of.workloads[last.index()]
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

/// The circles of a cluster's call graph, each once, beginning at its first workload.
fn circles(cluster: &Cluster) -> Vec<Vec<WorkloadId>> {
    let mut finished = BTreeSet::new();
    let mut circles = Vec::new();
    for start in (0..cluster.workloads.len()).map(WorkloadId::from) {
        walk(cluster, start, &mut finished, &mut circles);
    }
    circles
}

/// Depth first, with a path of its own because call graphs may be deep.
fn walk(
    cluster: &Cluster,
    start: WorkloadId,
    finished: &mut BTreeSet<WorkloadId>,
    circles: &mut Vec<Vec<WorkloadId>>,
) {
    if finished.contains(&start) {
        return;
    }
    let mut path = vec![(start, callees(cluster, start))];
    while let Some((_, open)) = path.last_mut() {
        let Some(next) = open.pop() else {
            let (done, _) = path.pop().expect("the path is not empty");
            finished.insert(done);
            continue;
        };
        if let Some(at) = path.iter().position(|(workload, _)| *workload == next) {
            circles.push(path[at..].iter().map(|(workload, _)| *workload).collect());
        } else if !finished.contains(&next) {
            path.push((next, callees(cluster, next)));
        }
    }
}

/// Whom a workload calls, last first.
fn callees(cluster: &Cluster, caller: WorkloadId) -> Vec<WorkloadId> {
    let steps = &cluster.workloads[caller.index()].behavior.steps;
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
