//! Objects of a cluster at an instant of the first replication, as kubectl prints them.

use anyhow::anyhow;
use cloud::snapshot::{self, ClusterSnapshot, Snapshot};
use report::istioctl::Part;
use report::kubectl::{Namespaces, Resource, Width, document, kubectl};

use super::proxies::{self, Asked};
use super::when::When;
use crate::command::End;
use crate::command::files::{self, DEFAULT_SCENARIO};
use crate::command::output::Output;
use crate::command::problems::BadInput;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario, manifests, folders of manifests, or the name of a shipped scenario
    #[arg(value_name = "SCENARIO", required = true)]
    files: Vec<String>,
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only objects of this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
pub(super) struct EndpointsArguments {
    #[command(flatten)]
    objects: Arguments,
    /// Those that the sidecar of this pod knows, as istioctl proxy-config prints them
    #[arg(long, value_name = "POD")]
    proxy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// More columns
    Wide,
    /// One JSON document, as with --json
    Json,
}

/// Endpoints of the API server, or of a sidecar.
pub(super) fn endpoints(arguments: &EndpointsArguments, output: &Output) -> anyhow::Result<End> {
    let EndpointsArguments { objects, proxy } = arguments;
    let Some(proxy) = proxy else {
        return run(Resource::Endpoints, objects, output);
    };
    let asked = Asked {
        files: &objects.files,
        proxy,
        cluster: objects.cluster.as_deref(),
        namespace: objects.namespace.as_deref(),
        as_json: objects.output == Some(Form::Json),
        when: &objects.when,
    };
    proxies::table(Part::Endpoints, &asked, output)
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
    let subject = arguments.when.subject(&input, output)?;
    let topology = cloud::compile(&subject.scenario);
    Ok(snapshot::at(&topology, subject.seed, subject.at))
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
