//! What `kubectl get` prints of a cluster at an instant.
//!
//! Columns, spacing, ages and the forms of cells are kubectl's own; fields that the model does
//! not have are printed as kubectl prints them where they are empty. Without a namespace all are
//! shown, in a column of their own where there are several.
//! Sources: kubernetes/kubernetes pkg/printers/internalversion/printers.go, k8s.io/apimachinery
//! pkg/util/duration, k8s.io/cli-runtime pkg/printers.
//! Validated by: whole tables in the tests, and of a scenario in the tests of the program.

mod age;
mod autoscalers;
mod deployments;
mod document;
mod endpoints;
mod events;
mod nodes;
mod pods;
mod replica_sets;
mod services;

pub use document::document;

use crate::columns::{Spacing, Table};
use cloud::snapshot::ClusterSnapshot;
use engine::Time;
use std::collections::BTreeSet;

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// HorizontalPodAutoscalers.
    Autoscalers,
    /// Deployments.
    Deployments,
    /// Endpoints.
    Endpoints,
    /// Events, as `kubectl events` prints them.
    Events,
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
    /// ReplicaSets.
    ReplicaSets,
    /// Services.
    Services,
}

/// Whose objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces<'n> {
    /// Those of all; in a column of its own if there are several.
    All,
    /// Those of one.
    One(&'n str),
}

impl Namespaces<'_> {
    /// Whether objects of a namespace are printed.
    fn contains(self, namespace: &str) -> bool {
        match self {
            Namespaces::All => true,
            Namespaces::One(name) => name == namespace,
        }
    }
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The usual columns.
    Usual,
    /// Those of `-o wide` too.
    Wide,
}

/// A line of a table: the cells of the usual columns, and those that only `-o wide` shows.
struct Row {
    /// `None` for what has no namespace.
    namespace: Option<String>,
    usual: Vec<String>,
    wide: Vec<String>,
}

/// How one kind of objects is listed.
struct Listing {
    usual: &'static [&'static str],
    wide: &'static [&'static str],
    rows: fn(&ClusterSnapshot, Time) -> Vec<Row>,
}

/// The kinds of objects with the file that lists each.
macro_rules! listings {
    ($($resource:ident => $file:ident,)*) => {
        impl Resource {
            fn listing(self) -> Listing {
                match self {
                    $(Resource::$resource => Listing {
                        usual: $file::USUAL,
                        wide: $file::WIDE,
                        rows: $file::rows,
                    },)*
                }
            }
        }
    };
}

listings! {
    Autoscalers => autoscalers,
    Deployments => deployments,
    Endpoints => endpoints,
    Events => events,
    Nodes => nodes,
    Pods => pods,
    ReplicaSets => replica_sets,
    Services => services,
}

/// Prints the objects of a cluster; `None` if there are none.
pub fn kubectl(
    cluster: &ClusterSnapshot,
    now: Time,
    resource: Resource,
    namespaces: Namespaces<'_>,
    width: Width,
) -> Option<String> {
    let Listing { usual, wide, rows } = resource.listing();
    let mut rows = rows(cluster, now);
    rows.retain(|row| {
        let namespace = row.namespace.as_deref();
        namespace.is_none_or(|name| namespaces.contains(name))
    });
    if rows.is_empty() {
        return None;
    }
    if resource != Resource::Events {
        // The API server lists by namespace and name, the first cell.
        rows.sort_by(|a, b| (&a.namespace, &a.usual).cmp(&(&b.namespace, &b.usual)));
    }
    let present: BTreeSet<_> = rows.iter().map(|row| &row.namespace).collect();
    let names_them = present.len() > 1;
    let heading = names_them.then_some("NAMESPACE");
    let mut headings: Vec<&str> = heading.into_iter().collect();
    headings.extend(usual);
    if width == Width::Wide {
        headings.extend(wide);
    }
    let mut table = Table::new(SPACING, &headings);
    for row in rows {
        let namespace = row.namespace.filter(|_| names_them);
        let mut cells: Vec<String> = namespace.into_iter().collect();
        cells.extend(row.usual);
        if width == Width::Wide {
            cells.extend(row.wide);
        }
        table.add(cells);
    }
    Some(table.print())
}

/// How kubectl sets columns.
const SPACING: Spacing = Spacing {
    padding: 3,
    width_min: 6,
};

/// What kubectl prints for a field that is not set.
const NONE: &str = "<none>";
/// What it prints for one that it does not know.
const UNKNOWN: &str = "<unknown>";

/// Text, or what kubectl prints where there is none.
fn or_none(text: String) -> String {
    match text.is_empty() {
        true => NONE.to_owned(),
        false => text,
    }
}

/// Labels as a selector.
fn selector(labels: &std::collections::BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    or_none(labels.join(","))
}

#[cfg(test)]
mod tests;
