//! What grows with a cluster, and what does not: counted, not timed.

use super::nodes::fleet;
use super::*;
use crate::kubernetes::probe::Probe;

/// A cluster that nobody asks, for an hour; its pods have probes.
fn idle(nodes: u32, pods: u32, services: u32) -> Scenario {
    let mut scenario = fleet(nodes, 33, 3_600);
    scenario.traffic.clear();
    let cluster = &mut scenario.clusters[0];
    cluster.services[0].kind = ServiceKind::ClusterIp;
    for _ in 1..services {
        cluster.services.push(cluster.services[0].clone());
    }
    cluster.workloads[0].replicas = pods;
    let probes = &mut cluster.workloads[0].template.probes;
    probes.readiness = Some(Probe::default());
    probes.liveness = Some(Probe::default());
    scenario
}

fn events(scenario: &Scenario) -> u64 {
    simulate(&compile(scenario), Seed::default(), &Options::default()).events
}

#[test]
fn an_idle_hour_costs_each_node_one_sync_and_pods_and_services_nothing() {
    // A full sync begins and ends in each hour; leases and probes that find nothing new are no
    // events.
    assert_eq!(events(&idle(10, 10, 1)), 20);
    assert_eq!(events(&idle(40, 10, 1)), 80);
    assert_eq!(events(&idle(10, 400, 1)), 20);
    assert_eq!(events(&idle(10, 10, 100)), 20);
}
