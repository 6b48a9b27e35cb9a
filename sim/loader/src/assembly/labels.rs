//! Finds workloads by their labels without looking at every one of them.

use super::{View, WorkloadKey};
use std::collections::BTreeMap;

/// Workloads that have a label, by key and value of the label; machines and inline workloads,
/// which no selector means, are left out.
pub(super) struct LabelIndex {
    by_label: BTreeMap<(String, String), Vec<WorkloadKey>>,
}

impl LabelIndex {
    pub(super) fn new(view: &View) -> LabelIndex {
        let mut by_label: BTreeMap<_, Vec<WorkloadKey>> = BTreeMap::new();
        for (key, workload) in view
            .workloads
            .iter()
            .filter(|(_, workload)| workload.has_pods())
        {
            for (label, value) in &workload.placement.labels {
                by_label
                    .entry((label.clone(), value.clone()))
                    .or_default()
                    .push(key.clone());
            }
        }
        LabelIndex { by_label }
    }

    /// The workloads with a label, ascending.
    pub(super) fn with(&self, label: &str, value: &str) -> &[WorkloadKey] {
        self.by_label
            .get(&(label.to_owned(), value.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// Among which workloads those of a selector are: the ones with its rarest label.
    pub(super) fn candidates(&self, selector: &BTreeMap<String, String>) -> &[WorkloadKey] {
        selector
            .iter()
            .map(|(label, value)| self.with(label, value))
            .min_by_key(|found| found.len())
            .unwrap_or(&[])
    }

    /// The same within a namespace.
    pub(super) fn candidates_in(
        &self,
        namespace: &str,
        selector: &BTreeMap<String, String>,
    ) -> &[WorkloadKey] {
        // Keys begin with the namespace, so those of one stand together.
        let all = self.candidates(selector);
        let start = all.partition_point(|key| key.0.as_str() < namespace);
        let end = all.partition_point(|key| key.0.as_str() <= namespace);
        &all[start..end]
    }
}
