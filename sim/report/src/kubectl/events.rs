//! `kubectl events`: like `kubectl get events`, in the order in which they were seen last, and with
//! how often.

use super::{Row, age};
use cloud::snapshot::{ClusterSnapshot, EventSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
pub(super) const WIDE: &[&str] = &[];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let events = cluster.events.iter();
    events
        .map(|event| Row {
            namespace: Some(event.namespace.clone()),
            usual: vec![
                seen(event, now),
                event.kind.to_owned(),
                event.reason.to_owned(),
                event.object.clone(),
                event.message.clone(),
            ],
            wide: Vec::new(),
        })
        .collect()
}

/// When it was seen last, and how often since when.
fn seen(event: &EventSnapshot, now: Time) -> String {
    let last = age::since(now, event.last);
    match event.count {
        1 => last,
        count => format!("{last} (x{count} over {})", age::since(now, event.first)),
    }
}
