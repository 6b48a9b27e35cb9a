//! From a scenario to a topology.

use super::links::LinkTable;
use super::scheduler::Scheduler;
use super::{ClusterPlan, PartitionKind, PodPlan, Topology};
use crate::facts;
use crate::scenario::{
    Cluster, ClusterId, NetworkModel, ProxyId, Scenario, UserNetworkId, WorkloadId, WorkloadKind,
};
use engine::Duration;

/// Compiles a scenario. Pure: no time, no chance.
///
/// # Panics
/// If the scenario is not valid, see [`Scenario::assert_valid`].
pub fn compile(scenario: &Scenario) -> Topology {
    scenario.assert_valid();
    let clusters = scenario.clusters.iter();
    let mut topology = Topology {
        scenario: scenario.clone(),
        partitions: partitions(scenario),
        clusters: clusters
            .map(|cluster| plan_cluster(scenario.network, cluster))
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

fn plan_cluster(network: NetworkModel, cluster: &Cluster) -> ClusterPlan {
    let ids = (0..cluster.workloads.len()).map(WorkloadId::from);
    let mut plan = ClusterPlan {
        pods: Vec::new(),
        pending: Vec::new(),
        scheduler: Scheduler::new(cluster),
        proxies: ids.clone().map(|id| proxy(cluster, id)).collect(),
    };
    for workload in ids {
        for _ in 0..wanted(&plan.scheduler, network, cluster, workload) {
            place(&mut plan, network, cluster, workload);
        }
    }
    plan
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
