//! What was simulated, in names: where pods run, where users enter, who calls whom.

use super::words::{pod_path, service_path};
use crate::scenario::{
    Cluster, ClusterId, Node, Scenario, ServiceId, Traffic, TrafficSource, TrafficTarget,
    WorkloadId,
};
use crate::summary::{ClusterSummary, NodeSummary, TopologySummary};
use crate::topology::{ClusterPlan, Topology};
use std::collections::BTreeSet;

pub(super) fn summary(topology: &Topology) -> TopologySummary {
    let scenario = topology.scenario();
    TopologySummary {
        clusters: scenario
            .clusters
            .iter()
            .zip(&topology.clusters)
            .map(|(cluster, plan)| cluster_summary(cluster, plan))
            .collect(),
        user_networks: scenario
            .user_networks
            .iter()
            .map(|network| (network.name.clone(), network.region.clone()))
            .collect(),
        entries: scenario
            .traffic
            .iter()
            .map(|traffic| entry(scenario, traffic))
            .collect(),
        calls: scenario.clusters.iter().flat_map(calls).collect(),
    }
}

fn cluster_summary(cluster: &Cluster, plan: &ClusterPlan) -> ClusterSummary {
    let path = |id: WorkloadId| pod_path(&cluster.workloads[id.index()]);
    ClusterSummary {
        name: cluster.name.clone(),
        region: cluster.region.clone(),
        nodes: cluster
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| cluster.has_at_start(*index as u32))
            .map(|(index, node)| node_summary(cluster, plan, index, node))
            .collect(),
        pending: plan
            .pending
            .iter()
            .map(|(id, why)| (path(*id), why.to_string()))
            .collect(),
    }
}

fn node_summary(cluster: &Cluster, plan: &ClusterPlan, index: usize, node: &Node) -> NodeSummary {
    let workloads = || {
        plan.pods
            .iter()
            .filter(|pod| pod.node.is_some_and(|node| node as usize == index))
            .map(|pod| &cluster.workloads[pod.workload.index()])
    };
    let requested: u64 = workloads()
        .map(|workload| workload.template.placement.requests.cpu_milli)
        .sum();
    NodeSummary {
        name: node.name.clone(),
        zone: cluster.zones[node.zone.index()].clone(),
        pods: workloads().map(pod_path).collect(),
        cpu_requested: match node.allocatable.cpu_milli {
            0 => 0.0,
            available => requested as f64 / available as f64,
        },
    }
}

/// Where a traffic source sits and which clusters it can enter.
fn entry(scenario: &Scenario, traffic: &Traffic) -> (String, String, Vec<String>) {
    let name = |id: ClusterId| scenario.clusters[id.index()].name.clone();
    let from = match traffic.source {
        TrafficSource::Users(id) => scenario.user_networks[id.index()].name.clone(),
        TrafficSource::Workload(cluster, workload) => {
            super::words::workload_path(scenario, cluster, workload)
        }
        TrafficSource::Inside(cluster) => name(cluster),
    };
    let clusters = match traffic.target {
        TrafficTarget::Service { cluster, .. } => vec![name(cluster)],
        TrafficTarget::Global(id) => {
            let answers = &scenario.global_names[id.index()].answers;
            answers.iter().map(|answer| name(answer.cluster)).collect()
        }
    };
    (traffic.name.clone(), from, clusters)
}

/// Who calls which service, and which workloads back it: calls of behaviours, routes of proxies.
fn calls(cluster: &Cluster) -> Vec<(String, String, String, Vec<String>)> {
    let by_behavior = cluster
        .workloads
        .iter()
        .enumerate()
        .flat_map(|(index, workload)| {
            let calls = workload
                .template
                .behavior
                .steps
                .iter()
                .flat_map(|step| &step.calls);
            calls.map(move |call| (WorkloadId::from(index), call.service))
        });
    let by_route = cluster.proxies.iter().flat_map(|proxy| {
        let backends = proxy.routes.iter().flat_map(|route| &route.backends);
        backends.filter_map(|backend| Some((proxy.workload, backend.service?)))
    });
    let edges: BTreeSet<(WorkloadId, ServiceId)> = by_behavior.chain(by_route).collect();
    let path = |id: &WorkloadId| pod_path(&cluster.workloads[id.index()]);
    edges
        .into_iter()
        .map(|(caller, callee)| {
            let service = &cluster.services[callee.index()];
            let backends = service.backends.iter().map(path).collect();
            (
                cluster.name.clone(),
                path(&caller),
                service_path(service),
                backends,
            )
        })
        .collect()
}
