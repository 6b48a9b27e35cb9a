//! Objects of a cluster at an instant of the first replication, as kubectl prints them.

use anyhow::anyhow;
use cloud::snapshot::{self, ClusterSnapshot, Snapshot};
use engine::{Duration, Seed};
use report::kubectl::{Namespaces, Resource, Width, document, kubectl};

use crate::command::End;
use crate::command::files::{self, DEFAULT_SCENARIO};
use crate::command::output::Output;
use crate::command::problems::{self, BadInput};
use crate::command::run::choose;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario, manifests, folders of manifests, or the name of a shipped scenario
    #[arg(value_name = "SCENARIO", required = true)]
    files: Vec<String>,
    /// Simulated time, as 90s or 5m30s [default: the end of the run]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Duration>,
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only objects of this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    /// Inspect this variant of the Scenario instead of the Scenario itself
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Master seed instead of the Scenario's
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// More columns
    Wide,
    /// One JSON document, as with --json
    Json,
}

fn instant(text: &str) -> Result<Duration, String> {
    loader::parse_duration(text).map_err(|error| error.to_string())
}

pub(super) fn run(
    resource: Resource,
    arguments: &Arguments,
    output: &Output,
) -> anyhow::Result<End> {
    let mut snapshot = take(arguments, output)?;
    if let Some(wanted) = &arguments.cluster {
        let names: Vec<_> = snapshot
            .clusters
            .iter()
            .map(|one| one.name.clone())
            .collect();
        snapshot.clusters.retain(|cluster| cluster.name == *wanted);
        if snapshot.clusters.is_empty() {
            let known = names.join(", ");
            let missing = BadInput(format!("no cluster {wanted}: there are {known}"));
            return Err(anyhow!(missing));
        }
    }
    let namespaces = match &arguments.namespace {
        Some(name) => Namespaces::One(name),
        None => Namespaces::All,
    };
    if output.json() || arguments.output == Some(Form::Json) {
        output.print_json(&document(&snapshot, resource, namespaces))?;
    } else {
        print(&snapshot, resource, namespaces, arguments, output)?;
    }
    Ok(End::Fine)
}

/// The clusters of the scenario at the instant.
fn take(arguments: &Arguments, output: &Output) -> anyhow::Result<Snapshot> {
    let input = files::read(&arguments.files, DEFAULT_SCENARIO)?;
    let mut loaded = loader::load(&input.files, input.library.as_ref());
    problems::tell(&loaded, output);
    let scenario = choose(&mut loaded, arguments.variant.as_deref())?;
    let end = scenario.run.duration;
    let at = arguments.at.unwrap_or(end);
    if at > end {
        let late = BadInput(format!("{at} is after the end of the run at {end}"));
        return Err(anyhow!(late));
    }
    let seed = Seed {
        master: arguments.seed.unwrap_or(scenario.run.seed),
        replication: 0,
    };
    Ok(snapshot::at(&cloud::compile(&scenario), seed, at))
}

fn print(
    snapshot: &Snapshot,
    resource: Resource,
    namespaces: Namespaces<'_>,
    arguments: &Arguments,
    output: &Output,
) -> anyhow::Result<()> {
    let width = match arguments.output {
        Some(Form::Wide) => Width::Wide,
        _ => Width::Usual,
    };
    let several = snapshot.clusters.len() > 1;
    let mut text = String::new();
    for cluster in &snapshot.clusters {
        warn(resource, cluster, output);
        if !cluster.is_answering {
            let name = &cluster.name;
            output.tell(&format!(
                "cluster {name}: no API server answers at that instant; this is what etcd holds"
            ));
        }
        let Some(table) = kubectl(cluster, snapshot.at, resource, namespaces, width) else {
            output.tell(&nothing(cluster, namespaces, several));
            continue;
        };
        if several {
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}cluster {}\n", cluster.name);
        }
        text += &table;
    }
    if !text.is_empty() {
        output.print(&text)?;
    }
    Ok(())
}

/// What kubectl says where there is nothing to print.
fn nothing(cluster: &ClusterSnapshot, namespaces: Namespaces<'_>, several: bool) -> String {
    let place = match several {
        true => format!("cluster {}: ", cluster.name),
        false => String::new(),
    };
    match namespaces {
        Namespaces::One(name) => format!("{place}No resources found in {name} namespace."),
        Namespaces::All => format!("{place}No resources found"),
    }
}

/// First version whose API server says that Endpoints are on their way out.
const ENDPOINTS_DEPRECATED_MINOR: u32 = 33;

/// What kubectl says beside a table.
fn warn(resource: Resource, cluster: &ClusterSnapshot, output: &Output) {
    if resource == Resource::Endpoints && cluster.kubernetes_minor >= ENDPOINTS_DEPRECATED_MINOR {
        output.tell(
            "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        );
    }
}
