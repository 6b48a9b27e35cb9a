//! What stands in a scenario that something can happen to.

use cloud::scenario::{Cluster, NetworkModel, Scenario, WorkloadKind};
use serde_json::Value as Json;

/// The names that an entry of a timeline can use.
pub struct Ground {
    /// Whether there is a network, and with it machines and control planes.
    pub has_network: bool,
    pub clusters: Vec<Place>,
    /// Ends of links.
    pub places: Vec<String>,
    pub regions: Vec<String>,
    /// What its author applies, and to which cluster.
    pub applies: Vec<Json>,
    /// Its author's releases.
    pub canaries: Vec<Json>,
}

/// A cluster.
pub struct Place {
    pub name: String,
    pub nodes: Vec<String>,
    /// Machines of sites that belong to it.
    pub machines: Vec<String>,
    pub zones: Vec<String>,
    /// Workloads, by names that mean no other one of the cluster.
    pub workloads: Vec<String>,
    /// Those whose pods have numbers.
    pub numbered: Vec<String>,
    /// Those whose machines can join the mesh.
    pub joining: Vec<String>,
    pub has_istiod: bool,
    pub has_ztunnels: bool,
}

impl Ground {
    /// Of a scenario, with the timelines that its author wrote.
    pub fn new(scenario: &Scenario, written: &[Json]) -> Ground {
        let regions = scenario.clusters.iter().map(|cluster| &cluster.region);
        let users = &scenario.user_networks;
        let regions = regions.chain(users.iter().map(|users| &users.region));
        let mut regions: Vec<String> = regions.cloned().collect();
        regions.sort();
        regions.dedup();
        let clusters = scenario.clusters.iter();
        let sites = clusters.clone().flat_map(|cluster| &cluster.sites);
        let mut places: Vec<String> = clusters
            .clone()
            .map(|cluster| &cluster.name)
            .chain(users.iter().map(|users| &users.name))
            .chain(sites.map(|site| &site.name))
            .cloned()
            .collect();
        places.dedup();
        let holding = |key: &str| {
            let holding = written.iter().filter(|entry| entry.get(key).is_some());
            holding.cloned().collect()
        };
        Ground {
            has_network: scenario.network == NetworkModel::Modelled,
            clusters: clusters.map(Place::new).collect(),
            places,
            regions,
            applies: holding("apply"),
            canaries: holding("canary"),
        }
    }
}

impl Place {
    fn new(cluster: &Cluster) -> Place {
        let all = || cluster.workloads.iter();
        let named = |is_one: &dyn Fn(WorkloadKind) -> bool| {
            let some = all().filter(|workload| is_one(workload.kind));
            let some = some.map(|it| format!("{:?}/{}/{}", it.kind, it.namespace, it.name));
            some.collect::<Vec<_>>()
        };
        let machines = cluster.machines.iter().flat_map(|machines| {
            let workload = &cluster.workloads[machines.workload.index()];
            let numbers = 1..=workload.replicas;
            numbers.map(|number| format!("{}-{number}", workload.name))
        });
        let joining = cluster.machines.iter().filter(|machines| {
            let proxy = machines.proxy.as_ref();
            proxy.is_some_and(|proxy| !proxy.runs_at_start)
        });
        let joining = joining.map(|machines| &cluster.workloads[machines.workload.index()].name);
        Place {
            name: cluster.name.clone(),
            nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
            machines: machines.collect(),
            zones: cluster.zones.clone(),
            workloads: named(&|_| true),
            numbered: named(&|kind| kind == WorkloadKind::StatefulSet),
            joining: joining.cloned().collect(),
            has_istiod: cluster.mesh.is_some(),
            has_ztunnels: cluster.ztunnel.is_some(),
        }
    }
}
