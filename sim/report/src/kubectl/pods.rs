//! `kubectl get pods`.

use super::{NONE, Row, age};
use cloud::snapshot::{ClusterSnapshot, PodSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
pub(super) const WIDE: &[&str] = &["IP", "NODE", "NOMINATED NODE", "READINESS GATES"];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let pods = cluster.pods.iter();
    pods.map(|pod| row(pod, now)).collect()
}

fn row(pod: &PodSnapshot, now: Time) -> Row {
    let none = || NONE.to_owned();
    let address = pod.address.map(|address| address.to_string());
    let containers = [Some(pod.ready), pod.sidecar_ready];
    let ready = containers.iter().filter(|ready| **ready == Some(true));
    Row {
        namespace: Some(pod.namespace.clone()),
        usual: vec![
            pod.name.clone(),
            format!("{}/{}", ready.count(), containers.iter().flatten().count()),
            pod.status.to_owned(),
            restarts(pod, now),
            age::since(now, pod.created),
        ],
        wide: vec![
            address.unwrap_or_else(none),
            pod.node.clone().unwrap_or_else(none),
            none(),
            none(),
        ],
    }
}

fn restarts(pod: &PodSnapshot, now: Time) -> String {
    match pod.restarted {
        Some(ended) => format!("{} ({} ago)", pod.restarts, age::since(now, ended)),
        None => pod.restarts.to_string(),
    }
}
