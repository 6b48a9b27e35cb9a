//! `istioctl proxy-config clusters`.

use super::Row;
use cloud::snapshot::UpstreamSnapshot;

pub(super) const HEADINGS: &[&str] = &[
    "SERVICE FQDN",
    "PORT",
    "SUBSET",
    "DIRECTION",
    "TYPE",
    "DESTINATION RULE",
];

/// What stands for nothing.
const NOTHING: &str = "-";

pub(super) fn rows(clusters: &[UpstreamSnapshot]) -> Vec<Row> {
    let mut sorted: Vec<&UpstreamSnapshot> = clusters.iter().collect();
    sorted.sort_by_key(|it| (&it.host, &it.subset, it.port, it.direction));
    sorted.into_iter().map(row).collect()
}

fn row(cluster: &UpstreamSnapshot) -> Row {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    Row {
        cells: vec![
            cluster.host.clone(),
            or_nothing(cluster.port.map(|port| port.to_string())),
            or_nothing(cluster.subset.clone()),
            or_nothing(cluster.direction.map(str::to_owned)),
            cluster.kind.to_owned(),
            cluster.destination_rule.clone().unwrap_or_default(),
        ],
        settings: cluster.settings.clone(),
    }
}
