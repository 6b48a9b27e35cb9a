//! A workload answers with errors of its own.

use super::{Levers, Owner};
use crate::scenario::{ClusterId, WorkloadId};

pub(super) fn pull(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    workload: WorkloadId,
    error_rate: f64,
) {
    if owner.is(cluster) {
        let lever = &mut levers.workloads[workload.index()].error_rate;
        *lever = lever.max(error_rate);
    }
}
