//! A workload's own work takes longer: what begins while it lasts.

use super::{Levers, Owner};
use crate::scenario::{ClusterId, WorkloadId};

pub(super) fn pull(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    workload: WorkloadId,
    factor: f64,
) {
    if owner.is(cluster) {
        levers.workloads[workload.index()].slow_factor *= factor;
    }
}
