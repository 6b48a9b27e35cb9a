//! The same as one JSON document.

use super::{Namespaces, Resource};
use cloud::snapshot::{ClusterSnapshot, Snapshot};
use serde::Serialize;
use serde_json::{Value, json};

/// The objects of all clusters of a snapshot, with all that is known of them.
pub fn document(snapshot: &Snapshot, resource: Resource, namespaces: Namespaces<'_>) -> Value {
    let clusters: Vec<Value> = snapshot
        .clusters
        .iter()
        .map(|cluster| {
            let (name, objects) = objects(cluster, resource, namespaces);
            json!({ "name": cluster.name, name: objects })
        })
        .collect();
    json!({
        "schema": "hybridsim.inspect/v1",
        "scenario": snapshot.scenario,
        "at_s": snapshot.at.as_secs_f64(),
        "clusters": clusters,
    })
}

fn objects(
    cluster: &ClusterSnapshot,
    resource: Resource,
    namespaces: Namespaces<'_>,
) -> (&'static str, Vec<Value>) {
    match resource {
        Resource::Nodes => ("nodes", values(&cluster.nodes)),
        Resource::Endpoints | Resource::Services => {
            let services = cluster.services.iter();
            let services = services.filter(|service| namespaces.contains(&service.namespace));
            ("services", values(services))
        }
    }
}

fn values<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Vec<Value> {
    let values = objects.into_iter().map(serde_json::to_value);
    let values = values.map(|value| value.expect("plain data has a form in JSON"));
    values.collect()
}
