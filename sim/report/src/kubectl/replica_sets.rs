//! `kubectl get replicasets`.

use super::{Row, age, selector};
use cloud::snapshot::{ClusterSnapshot, ReplicaSetSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["NAME", "DESIRED", "CURRENT", "READY", "AGE"];
pub(super) const WIDE: &[&str] = &["CONTAINERS", "IMAGES", "SELECTOR"];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let sets = cluster.replica_sets.iter();
    sets.map(|set| row(set, now)).collect()
}

fn row(set: &ReplicaSetSnapshot, now: Time) -> Row {
    Row {
        namespace: Some(set.namespace.clone()),
        usual: vec![
            set.name.clone(),
            set.desired.to_string(),
            set.current.to_string(),
            set.ready.to_string(),
            age::since(now, set.created),
        ],
        wide: vec![
            set.container.clone(),
            set.image.clone(),
            selector(&set.selector),
        ],
    }
}
