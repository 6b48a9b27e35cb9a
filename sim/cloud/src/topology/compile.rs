//! From a scenario to a topology.

use super::addresses::Addresses;
use super::links::LinkTable;
use super::scheduler::Scheduler;
use super::{ClusterPlan, PartitionKind, PodPlan, Topology};
use crate::facts;
use crate::scenario::{
    Action, Change, Cluster, ClusterId, NetworkModel, ProxyId, Scenario, Template, UserNetworkId,
    Workload, WorkloadId, WorkloadKind,
};
use engine::Duration;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Compiles a scenario. Pure: no time, no chance.
///
/// # Panics
/// If the scenario is not valid, see [`Scenario::assert_valid`].
pub fn compile(scenario: &Scenario) -> Topology {
    scenario.assert_valid();
    let clusters = (0..scenario.clusters.len()).map(ClusterId::from);
    let mut topology = Topology {
        scenario: scenario.clone(),
        partitions: partitions(scenario),
        clusters: clusters
            .map(|cluster| plan_cluster(scenario, cluster))
            .collect(),
        links: LinkTable::new(scenario),
        lookahead: Vec::new(),
    };
    topology.lookahead = lookahead(&topology);
    topology
}

fn partitions(scenario: &Scenario) -> Vec<PartitionKind> {
    let clusters = (0..scenario.clusters.len()).map(ClusterId::from);
    let mut partitions: Vec<_> = clusters.map(PartitionKind::Cluster).collect();
    if scenario.network == NetworkModel::Modelled {
        let users = (0..scenario.user_networks.len()).map(UserNetworkId::from);
        partitions.extend(users.map(PartitionKind::Users));
        if !scenario.global_names.is_empty() {
            partitions.push(PartitionKind::GlobalDns);
        }
    }
    partitions
}

/// Jitter only adds, so the least delay of a link is its one-way trip.
fn lookahead(topology: &Topology) -> Vec<Vec<Duration>> {
    let count = topology.partitions.len() as u16;
    let row = |from| {
        let delays = (0..count).map(|to| topology.one_way(from, to));
        delays.collect()
    };
    (0..count).map(row).collect()
}

impl Topology {
    /// The trip between two partitions, without jitter.
    pub(crate) fn one_way(&self, from: u16, to: u16) -> Duration {
        match (self.end(from), self.end(to)) {
            (Some(from), Some(to)) => self.links.between(from, to).one_way,
            _ => facts::GLOBAL_DNS_RTT.value / 2,
        }
    }
}

fn plan_cluster(scenario: &Scenario, id: ClusterId) -> ClusterPlan {
    let (network, cluster) = (scenario.network, &scenario.clusters[id.index()]);
    let (population, classes) = population(scenario, id);
    let ids = (0..cluster.workloads.len()).map(WorkloadId::from);
    let mut plan = ClusterPlan {
        pods: Vec::new(),
        pending: Vec::new(),
        scheduler: Scheduler::new(&population),
        classes,
        addresses: Addresses::of(cluster),
        proxies: ids.clone().map(|id| proxy(cluster, id)).collect(),
    };
    for workload in ids {
        for _ in 0..wanted(&plan.scheduler, network, cluster, workload) {
            place(&mut plan, network, cluster, workload);
        }
    }
    plan
}

/// A cluster as its scheduler meets it in the course of time: pods of a workload that shall be
/// placed otherwise than at first are a workload of their own for it. Those of DaemonSets stay
/// with the others, whose nodes they share. With it, which one each change of the timeline means.
fn population(
    scenario: &Scenario,
    id: ClusterId,
) -> (Cow<'_, Cluster>, BTreeMap<(u32, u32), WorkloadId>) {
    let described = &scenario.clusters[id.index()];
    let mut population = Cow::Borrowed(described);
    let mut classes = BTreeMap::new();
    for (entry, event) in (0..).zip(&scenario.timeline) {
        let changes = match &event.action {
            Action::Apply { cluster, changes } if *cluster == id => changes,
            _ => continue,
        };
        for (position, change) in (0..).zip(changes) {
            let Change::Template(workload, template) = change else {
                continue;
            };
            let first = &described.workloads[workload.index()];
            let placement = &template.placement;
            if first.kind == WorkloadKind::DaemonSet || first.template.placement == *placement {
                continue;
            }
            let kin = |other: &Workload| {
                let name = (other.kind, &other.namespace, &other.name);
                name == (first.kind, &first.namespace, &first.name)
            };
            let known = population.workloads.iter();
            let known = known
                .skip(described.workloads.len())
                .position(|other| kin(other) && other.template.placement == *placement);
            let added = known.unwrap_or_else(|| {
                population.to_mut().workloads.push(Workload {
                    template: Template::clone(template),
                    ..first.clone()
                });
                population.workloads.len() - described.workloads.len() - 1
            });
            let class = WorkloadId::from(described.workloads.len() + added);
            classes.insert((entry, position), class);
        }
    }
    (population, classes)
}

fn proxy(cluster: &Cluster, workload: WorkloadId) -> Option<ProxyId> {
    let mut proxies = cluster.proxies.iter();
    let position = proxies.position(|proxy| proxy.workload == workload);
    position.map(ProxyId::from)
}

fn wanted(scheduler: &Scheduler, network: NetworkModel, cluster: &Cluster, id: WorkloadId) -> u32 {
    let workload = &cluster.workloads[id.index()];
    match (workload.kind, network) {
        (WorkloadKind::DaemonSet, NetworkModel::Modelled) => {
            scheduler.daemon_nodes(id).len() as u32
        }
        _ => workload.replicas,
    }
}

fn place(plan: &mut ClusterPlan, network: NetworkModel, cluster: &Cluster, workload: WorkloadId) {
    let external = cluster.workloads[workload.index()].kind == WorkloadKind::External;
    let node = if external || network == NetworkModel::Ideal {
        None
    } else {
        match plan.scheduler.place(workload) {
            Ok(node) => Some(node),
            Err(why) => return plan.pending.push((workload, why)),
        }
    };
    plan.pods.push(PodPlan {
        workload,
        node,
        zone: node.map_or(0, |node| cluster.nodes[node as usize].zone.0),
    });
}
