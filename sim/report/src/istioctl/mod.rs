//! What `istioctl proxy-config` prints of a sidecar at an instant, and what that does not know yet.
//!
//! Columns, spacing, order and the forms of cells are istioctl's own.
//! Approximated: tables of routes whose names are no numbers stand by name; istioctl leaves them
//! as they come. A sidecar that leads a connection to several clusters by weight shows no cluster
//! there, as in istioctl.
//! Leaves out: what the model has not of a sidecar: the cluster `agent`, those for statistics,
//! traces and istiod itself, the listeners at 15021 and 15090 with their routes `backend`.
//! Sources: istio/istio 86c9f01 istioctl/pkg/writer/envoy/configdump, clusters.
//! Validated by: whole tables in the tests, and of a scenario in the tests of the program.

mod clusters;
mod difference;
mod endpoints;
mod listeners;
mod routes;

pub use difference::{difference, difference_document};

use crate::columns::{Spacing, Table};
use cloud::snapshot::ProxyTables;
use serde_json::{Value, json};

/// What can be printed of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Clusters.
    Clusters,
    /// Listeners.
    Listeners,
    /// Routes.
    Routes,
    /// Endpoints.
    Endpoints,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [
        Part::Clusters,
        Part::Listeners,
        Part::Routes,
        Part::Endpoints,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Part::Clusters => "clusters",
            Part::Listeners => "listeners",
            Part::Routes => "routes",
            Part::Endpoints => "endpoints",
        }
    }

    fn headings(self) -> &'static [&'static str] {
        match self {
            Part::Clusters => clusters::HEADINGS,
            Part::Listeners => listeners::HEADINGS,
            Part::Routes => routes::HEADINGS,
            Part::Endpoints => endpoints::HEADINGS,
        }
    }

    fn rows(self, tables: &ProxyTables) -> Vec<Row> {
        match self {
            Part::Clusters => clusters::rows(&tables.clusters),
            Part::Listeners => listeners::rows(&tables.listeners),
            Part::Routes => routes::rows(&tables.routes),
            Part::Endpoints => endpoints::rows(&tables.endpoints),
        }
    }

    fn spacing(self) -> Spacing {
        let padding = match self {
            Part::Listeners => 1,
            _ => 5,
        };
        Spacing {
            padding,
            width_min: 0,
        }
    }
}

/// A line of a table, and what holds beside what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    cells: Vec<String>,
    settings: String,
}

/// Prints a part of what a sidecar knows.
pub fn proxy_config(tables: &ProxyTables, part: Part) -> String {
    let mut table = Table::new(part.spacing(), part.headings());
    for row in part.rows(tables) {
        table.add(row.cells);
    }
    table.print()
}

/// The same as one JSON document.
pub fn document(tables: &ProxyTables, part: Part) -> Value {
    let all = json!(tables);
    all[part.name()].clone()
}

#[cfg(test)]
mod tests;
