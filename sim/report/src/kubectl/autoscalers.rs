//! `kubectl get hpa`.

use super::{Row, UNKNOWN, age};
use cloud::snapshot::{AutoscalerSnapshot, ClusterSnapshot, TargetSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &[
    "NAME",
    "REFERENCE",
    "TARGETS",
    "MINPODS",
    "MAXPODS",
    "REPLICAS",
    "AGE",
];
pub(super) const WIDE: &[&str] = &[];

/// First version that names the resource (kubernetes/kubernetes 122804).
const NAMED_MINOR: u32 = 30;
/// How many targets are shown.
const SHOWN_MAX: usize = 2;

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let minor = cluster.kubernetes_minor;
    let scalers = cluster.autoscalers.iter();
    scalers.map(|scaler| row(scaler, minor, now)).collect()
}

fn row(scaler: &AutoscalerSnapshot, minor: u32, now: Time) -> Row {
    Row {
        namespace: Some(scaler.namespace.clone()),
        usual: vec![
            scaler.name.clone(),
            scaler.reference.clone(),
            targets(&scaler.targets, minor),
            scaler.replicas_min.to_string(),
            scaler.replicas_max.to_string(),
            scaler.replicas.to_string(),
            age::since(now, scaler.created),
        ],
        wide: Vec::new(),
    }
}

/// The first targets, and how many more there are.
fn targets(targets: &[TargetSnapshot], minor: u32) -> String {
    let shown = targets.iter().take(SHOWN_MAX);
    let shown: Vec<_> = shown.map(|one| target(one, minor)).collect();
    let shown = shown.join(", ");
    match targets.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn target(target: &TargetSnapshot, minor: u32) -> String {
    let show = |value| match target.percent {
        true => format!("{value}%"),
        false => quantity(value),
    };
    let measured = target.measured.map_or(UNKNOWN.to_owned(), show);
    let name = target.resource.filter(|_| minor >= NAMED_MINOR);
    let name = name.map_or(String::new(), |name| format!("{name}: "));
    format!("{name}{measured}/{}", show(target.target))
}

/// Thousandths, as quantities are written.
fn quantity(milli: u64) -> String {
    match milli % 1_000 {
        0 => (milli / 1_000).to_string(),
        _ => format!("{milli}m"),
    }
}
