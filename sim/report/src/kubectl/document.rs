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
    let keep = |namespace: &str| namespaces.contains(namespace);
    match resource {
        Resource::Nodes => ("nodes", values(&cluster.nodes)),
        Resource::Autoscalers => {
            let scalers = cluster.autoscalers.iter();
            (
                "autoscalers",
                values(scalers.filter(|one| keep(&one.namespace))),
            )
        }
        Resource::Deployments => {
            let deployments = cluster.deployments.iter();
            (
                "deployments",
                values(deployments.filter(|one| keep(&one.namespace))),
            )
        }
        Resource::Endpoints | Resource::Services => {
            let services = cluster.services.iter();
            (
                "services",
                values(services.filter(|one| keep(&one.namespace))),
            )
        }
        Resource::Events => {
            let events = cluster.events.iter();
            ("events", values(events.filter(|one| keep(&one.namespace))))
        }
        Resource::Pods => {
            let pods = cluster.pods.iter();
            ("pods", values(pods.filter(|one| keep(&one.namespace))))
        }
        Resource::ReplicaSets => {
            let sets = cluster.replica_sets.iter();
            (
                "replicasets",
                values(sets.filter(|one| keep(&one.namespace))),
            )
        }
    }
}

fn values<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Vec<Value> {
    let values = objects.into_iter().map(serde_json::to_value);
    let values = values.map(|value| value.expect("plain data has a form in JSON"));
    values.collect()
}
