//! What the rules of all workloads are worked out against, with an index for every question
//! that each of thousands of workloads asks about all the others or about all nodes.

use super::class::Domains;
use super::labels::{self, LabelledNode};
use crate::scenario::{Cluster, LabelRequirement, Placement, WorkloadId};
use std::collections::BTreeMap;
use std::sync::Arc;

type Labels = BTreeMap<String, String>;

/// Node affinities with what each allows, of one node selector.
type Selections<'a> = Vec<(&'a [Vec<LabelRequirement>], Arc<Vec<bool>>)>;

/// A cluster as its workloads' rules see it.
pub(super) struct World<'a> {
    pub(super) cluster: &'a Cluster,
    nodes: &'a [Arc<LabelledNode>],
    /// Those that some rule uses so far.
    pub(super) topologies: Vec<Domains>,
    selections: BTreeMap<&'a Labels, Selections<'a>>,
    /// Workloads of each namespace, ascending.
    of_namespace: BTreeMap<&'a str, Vec<WorkloadId>>,
    /// Workloads whose pods have a label, by namespace, key and value, ascending.
    of_label: BTreeMap<(&'a str, &'a str, &'a str), Vec<WorkloadId>>,
    /// Positions of the services that each workload stands behind.
    services: BTreeMap<WorkloadId, Vec<usize>>,
}

impl<'a> World<'a> {
    pub(super) fn new(cluster: &'a Cluster, nodes: &'a [Arc<LabelledNode>]) -> Self {
        let mut of_namespace = BTreeMap::<_, Vec<_>>::new();
        let mut of_label = BTreeMap::<_, Vec<_>>::new();
        for (index, workload) in cluster.workloads.iter().enumerate() {
            let id = WorkloadId::from(index);
            let namespace = workload.namespace.as_str();
            of_namespace.entry(namespace).or_default().push(id);
            for (key, value) in &workload.template.placement.labels {
                let label = (namespace, key.as_str(), value.as_str());
                of_label.entry(label).or_default().push(id);
            }
        }
        let mut services = BTreeMap::<_, Vec<_>>::new();
        for (index, service) in cluster.services.iter().enumerate() {
            for &workload in &service.backends {
                services.entry(workload).or_default().push(index);
            }
        }
        World {
            cluster,
            nodes,
            topologies: Vec::new(),
            selections: BTreeMap::new(),
            of_namespace,
            of_label,
            services,
        }
    }

    /// Position of the topology of a label, added if it is new.
    pub(super) fn topology(&mut self, key: &str) -> usize {
        let mut topologies = self.topologies.iter();
        if let Some(position) = topologies.position(|topology| topology.key == key) {
            return position;
        }
        let mut numbers = BTreeMap::new();
        let of_node = self.nodes.iter().map(|node| {
            let value = node.labels.get(key)?;
            let next = numbers.len();
            Some(*numbers.entry(value).or_insert(next))
        });
        let of_node = of_node.collect();
        self.topologies.push(Domains {
            key: key.to_owned(),
            of_node,
            count: numbers.len(),
        });
        self.topologies.len() - 1
    }

    /// For each node, whether node selector and node affinity allow it.
    pub(super) fn selected(&mut self, placement: &'a Placement) -> Arc<Vec<bool>> {
        let known = self.selections.entry(&placement.node_selector).or_default();
        let affinity = placement.node_affinity.as_slice();
        if let Some((_, selected)) = known.iter().find(|(terms, _)| *terms == affinity) {
            return selected.clone();
        }
        let nodes = self.nodes.iter();
        let selected: Vec<bool> = nodes.map(|node| is_selected(placement, node)).collect();
        let selected = Arc::new(selected);
        known.push((affinity, selected.clone()));
        selected
    }

    /// Workloads of a namespace whose pods the selector matches, ascending.
    pub(super) fn matching(&self, namespace: &'a str, selector: &'a Labels) -> Vec<WorkloadId> {
        let with_label = |(key, value): (&'a String, &'a String)| {
            let label = (namespace, key.as_str(), value.as_str());
            self.of_label.get(&label).map_or(&[][..], Vec::as_slice)
        };
        let all = || self.of_namespace.get(namespace);
        let fewest = selector.iter().map(with_label).min_by_key(|ids| ids.len());
        let candidates = fewest.or_else(|| all().map(Vec::as_slice));
        let candidates = candidates.unwrap_or_default().iter().copied();
        let labels = |id: WorkloadId| &self.cluster.workloads[id.index()].template.placement.labels;
        candidates
            .filter(|&id| labels::selects(selector, labels(id)))
            .collect()
    }

    /// Workloads that stand behind every service that `id` stands behind.
    pub(super) fn companions(&self, id: WorkloadId) -> Vec<WorkloadId> {
        let services = self.services.get(&id).into_iter().flatten();
        let mut backends = services.map(|&service| &self.cluster.services[service].backends);
        let Some(first) = backends.next() else {
            return Vec::new();
        };
        backends.fold(first.clone(), |common, backends| {
            let both = common.into_iter();
            both.filter(|workload| backends.contains(workload))
                .collect()
        })
    }
}

fn is_selected(placement: &Placement, node: &LabelledNode) -> bool {
    labels::selects(&placement.node_selector, &node.labels)
        && (placement.node_affinity.is_empty()
            || labels::one_term_holds(&placement.node_affinity, &node.labels))
}
