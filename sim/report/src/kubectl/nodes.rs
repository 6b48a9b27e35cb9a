//! `kubectl get nodes`.

use super::{Row, UNKNOWN, age, or_none};
use cloud::snapshot::{ClusterSnapshot, NodeSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["NAME", "STATUS", "ROLES", "AGE", "VERSION"];
pub(super) const WIDE: &[&str] = &[
    "INTERNAL-IP",
    "EXTERNAL-IP",
    "OS-IMAGE",
    "KERNEL-VERSION",
    "CONTAINER-RUNTIME",
];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let version = format!("v1.{}.0", cluster.kubernetes_minor);
    let nodes = cluster.nodes.iter();
    nodes.map(|node| row(node, &version, now)).collect()
}

fn row(node: &NodeSnapshot, version: &str, now: Time) -> Row {
    let unknown = || UNKNOWN.to_owned();
    Row {
        namespace: None,
        usual: vec![
            node.name.clone(),
            status(node),
            or_none(node.roles.join(",")),
            age::since(now, node.created),
            version.to_owned(),
        ],
        wide: vec![
            node.address.to_string(),
            super::NONE.to_owned(),
            unknown(),
            unknown(),
            unknown(),
        ],
    }
}

fn status(node: &NodeSnapshot) -> String {
    let ready = if node.ready { "Ready" } else { "NotReady" };
    let cordoned = if node.unschedulable {
        ",SchedulingDisabled"
    } else {
        ""
    };
    format!("{ready}{cordoned}")
}
