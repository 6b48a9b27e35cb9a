//! Faults: each only moves levers, and a lever follows from the faults that are active, so
//! that it is back where it was, exactly, once they have all ended.

use crate::scenario::WorkloadId;

/// Everything that a fault can move in a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Levers {
    workloads: Vec<WorkloadLevers>,
}

/// What a fault can do to a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WorkloadLevers {
    /// Factor on own work.
    pub(crate) slow_factor: f64,
    /// Least probability of an own error.
    pub(crate) error_rate: f64,
}

impl WorkloadLevers {
    const AT_REST: WorkloadLevers = WorkloadLevers {
        slow_factor: 1.0,
        error_rate: 0.0,
    };
}

impl Levers {
    pub(crate) fn at_rest(workloads: usize) -> Self {
        Levers {
            workloads: vec![WorkloadLevers::AT_REST; workloads],
        }
    }

    pub(crate) fn workload(&self, workload: WorkloadId) -> WorkloadLevers {
        self.workloads[workload.index()]
    }
}
