//! A scenario as dense tables: who runs where and how far apart everything is.
//!
//! Must never know time or chance.

pub(crate) mod addresses;
mod compile;
pub(crate) mod links;
pub(crate) mod scheduler;

use crate::scenario::{Cluster, ClusterId, ProxyId, Scenario, UserNetworkId, WorkloadId};
use addresses::Addresses;
use engine::Duration;
use links::{End, LinkTable};
use scheduler::{Scheduler, Unschedulable};
use std::collections::BTreeMap;

/// A scenario, compiled: what every replication of it starts from.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(crate) scenario: Scenario,
    /// In canonical order: clusters, user networks, the global DNS if there are names.
    pub(crate) partitions: Vec<PartitionKind>,
    /// By cluster.
    pub(crate) clusters: Vec<ClusterPlan>,
    /// How far apart everything is.
    pub(crate) links: LinkTable,
    /// Least delay of a message, by sender and receiver.
    pub(crate) lookahead: Vec<Vec<Duration>>,
}

/// What a partition of the simulation stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKind {
    /// A cluster.
    Cluster(ClusterId),
    /// A place of users.
    Users(UserNetworkId),
    /// The global DNS.
    GlobalDns,
}

/// What is known about a cluster before time begins.
#[derive(Clone, Debug)]
pub(crate) struct ClusterPlan {
    /// The pods that run at the start, by workload.
    pub(crate) pods: Vec<PodPlan>,
    /// Pods that found no node, and why.
    pub(crate) pending: Vec<(WorkloadId, Unschedulable)>,
    /// The scheduler with these pods bound.
    pub(crate) scheduler: Scheduler,
    /// What the scheduler takes pods of a changed template for, by timeline entry and position
    /// of the change; the workload itself else.
    pub(crate) classes: BTreeMap<(u32, u32), WorkloadId>,
    /// The addresses that it gives out.
    pub(crate) addresses: Addresses,
    /// The proxy that each workload is, if it is one.
    pub(crate) proxies: Vec<Option<ProxyId>>,
}

/// A pod at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodPlan {
    pub(crate) workload: WorkloadId,
    /// `None` for machines outside the cluster's nodes, and without a network.
    pub(crate) node: Option<u32>,
    /// Position in the cluster.
    pub(crate) zone: u32,
}

impl Topology {
    /// What was described.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The partitions, in the order in which records number them.
    pub fn partitions(&self) -> &[PartitionKind] {
        &self.partitions
    }

    /// The name of a partition: of the cluster or user network, or `global dns`.
    pub fn partition_name(&self, partition: u16) -> &str {
        match self.partitions[usize::from(partition)] {
            PartitionKind::Cluster(cluster) => &self.cluster(cluster).name,
            PartitionKind::Users(users) => &self.scenario.user_networks[users.index()].name,
            PartitionKind::GlobalDns => "global dns",
        }
    }

    /// The end of a link that a partition is, if it is one.
    pub(crate) fn end(&self, partition: u16) -> Option<End> {
        match self.partitions[usize::from(partition)] {
            PartitionKind::Cluster(cluster) => Some(End::Cluster(cluster)),
            PartitionKind::Users(users) => Some(End::Users(users)),
            PartitionKind::GlobalDns => None,
        }
    }

    pub(crate) fn cluster(&self, id: ClusterId) -> &Cluster {
        &self.scenario.clusters[id.index()]
    }
}

pub use compile::compile;
