//! `kubectl get deployments`.

use super::{Row, age, selector};
use cloud::snapshot::{ClusterSnapshot, DeploymentSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"];
pub(super) const WIDE: &[&str] = &["CONTAINERS", "IMAGES", "SELECTOR"];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let deployments = cluster.deployments.iter();
    deployments.map(|deployment| row(deployment, now)).collect()
}

fn row(deployment: &DeploymentSnapshot, now: Time) -> Row {
    Row {
        namespace: Some(deployment.namespace.clone()),
        usual: vec![
            deployment.name.clone(),
            format!("{}/{}", deployment.ready, deployment.desired),
            deployment.updated.to_string(),
            deployment.available.to_string(),
            age::since(now, deployment.created),
        ],
        wide: vec![
            deployment.container.clone(),
            deployment.image.clone(),
            selector(&deployment.selector),
        ],
    }
}
