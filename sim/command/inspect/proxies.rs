//! What the sidecar of a pod knows at an instant of the first replication, as istioctl prints it,
//! and what it does not know yet.

use anyhow::anyhow;
use cloud::facts;
use cloud::snapshot::{Moment, PodPlace, ProxySnapshot};
use engine::Time;
use report::istioctl::{self, Part};
use report::memory;
use serde_json::{Value, json};

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
    /// The pod whose sidecar is asked, as POD or POD.NAMESPACE; without its generated ending the
    /// first of its kind
    #[arg(long, value_name = "POD")]
    proxy: String,
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The namespace of the pod
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// One JSON document, as with --json
    Json,
}

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) files: &'a [String],
    pub(super) proxy: &'a str,
    pub(super) cluster: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) as_json: bool,
    pub(super) when: &'a When,
}

impl Arguments {
    fn asked(&self) -> Asked<'_> {
        Asked {
            files: &self.files,
            proxy: &self.proxy,
            cluster: self.cluster.as_deref(),
            namespace: self.namespace.as_deref(),
            as_json: self.output == Some(Form::Json),
            when: &self.when,
        }
    }
}

/// A table of the sidecar.
pub(super) fn run(part: Part, arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    table(part, &arguments.asked(), output)
}

/// What the sidecar does not know yet.
pub(super) fn difference(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let asked = arguments.asked();
    let found = find(&asked, output)?;
    if output.json() || asked.as_json {
        let difference = istioctl::difference_document(&found.proxy);
        output.print_json(&found.document(difference))?;
        return Ok(End::Fine);
    }
    if found.proxy.told_of != found.proxy.newest {
        output.tell(&format!(
            "what it knows of Istio's objects was written at {}, the newest at {}",
            found.proxy.told_of, found.proxy.newest
        ));
    }
    let text = istioctl::difference(&found.proxy);
    output.print(&text.unwrap_or_else(|| "nothing\n".to_owned()))?;
    Ok(End::Fine)
}

/// What memory the sidecar needs.
pub(super) fn memory(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let asked = arguments.asked();
    let found = find(&asked, output)?;
    if output.json() || asked.as_json {
        output.print_json(&found.document(memory::document(&found.proxy)))?;
    } else {
        output.print(&memory::table(&found.proxy))?;
        let assumed = &facts::ISTIO_PROXY_EMPTY_BYTES;
        output.tell(&format!(
            "without connections and what they buffer; assumed: {}, see `hybridsim facts`",
            assumed.id
        ));
    }
    Ok(End::Fine)
}

/// A table of the sidecar that is asked for.
pub(super) fn table(part: Part, asked: &Asked<'_>, output: &Output) -> anyhow::Result<End> {
    let found = find(asked, output)?;
    if output.json() || asked.as_json {
        let rows = istioctl::document(&found.proxy.told, part);
        output.print_json(&found.document(json!({ part.name(): rows })))?;
    } else {
        output.print(&istioctl::proxy_config(&found.proxy.told, part))?;
    }
    Ok(End::Fine)
}

/// The sidecar that was asked for.
struct Found {
    scenario: String,
    at: Time,
    place: PodPlace,
    proxy: ProxySnapshot,
}

impl Found {
    /// A document with where this is from.
    fn document(&self, parts: Value) -> Value {
        let mut document = json!({
            "schema": "hybridsim.inspect/v1",
            "scenario": self.scenario,
            "at_s": self.at.as_secs_f64(),
            "cluster": self.place.cluster,
            "proxy": format!("{}.{}", self.place.name, self.place.namespace),
        });
        if let (Some(document), Value::Object(parts)) = (document.as_object_mut(), parts) {
            document.extend(parts);
        }
        document
    }
}

fn find(asked: &Asked<'_>, output: &Output) -> anyhow::Result<Found> {
    let input = files::read(asked.files, DEFAULT_SCENARIO)?;
    let subject = asked.when.subject(&input, output)?;
    let topology = cloud::compile(&subject.scenario);
    let moment = Moment::new(&topology, subject.seed, subject.at);
    let pods = moment.pods();
    let place = meant(&pods, asked).map_err(|text| anyhow!(BadInput(text)))?;
    let proxy = moment.proxy(place);
    Ok(Found {
        scenario: subject.scenario.name.clone(),
        at: Time::ZERO + subject.at,
        place: place.clone(),
        proxy: proxy.ok_or_else(|| anyhow!(BadInput(without_sidecar(place, &pods))))?,
    })
}

/// The pod that is meant.
fn meant<'p>(pods: &'p [PodPlace], asked: &Asked<'_>) -> Result<&'p PodPlace, String> {
    let candidates = |namespace: Option<&str>| -> Vec<&'p PodPlace> {
        let fits = |pod: &&PodPlace| {
            asked.cluster.is_none_or(|wanted| wanted == pod.cluster)
                && namespace.is_none_or(|wanted| wanted == pod.namespace)
        };
        pods.iter().filter(fits).collect()
    };
    let called = |name: &str, namespace: Option<&str>| -> Result<Option<&'p PodPlace>, String> {
        let all = candidates(namespace);
        let mut exact = all.iter().filter(|pod| pod.name == name);
        match (exact.next(), exact.next()) {
            (Some(one), Some(other)) if one.cluster != other.cluster => Err(format!(
                "clusters {} and {} both have a pod {name}: say --cluster",
                one.cluster, other.cluster
            )),
            (Some(one), Some(other)) => Err(format!(
                "namespaces {} and {} both have a pod {name}: say {name}.NAMESPACE",
                one.namespace, other.namespace
            )),
            (Some(one), None) => Ok(Some(one)),
            (None, _) => {
                let begins = format!("{name}-");
                let mut alike = all.iter().filter(|pod| pod.name.starts_with(&begins));
                Ok(alike.next().copied())
            }
        }
    };
    if let Some(pod) = called(asked.proxy, asked.namespace)? {
        return Ok(pod);
    }
    if let Some((name, namespace)) = asked.proxy.rsplit_once('.')
        && asked.namespace.is_none_or(|wanted| wanted == namespace)
        && let Some(pod) = called(name, Some(namespace))?
    {
        return Ok(pod);
    }
    let known = names(candidates(asked.namespace).into_iter());
    let proxy = asked.proxy;
    Err(format!("no pod is called {proxy}; there are {known}"))
}

/// What is said of a pod without a sidecar.
fn without_sidecar(place: &PodPlace, pods: &[PodPlace]) -> String {
    let has = |pod: &&PodPlace| pod.has_sidecar && pod.cluster == place.cluster;
    let mut with = pods.iter().filter(has).peekable();
    let (name, cluster) = (&place.name, &place.cluster);
    match with.peek() {
        None => format!(
            "no sidecar runs in a pod of cluster {cluster} at that instant: `istio` of a cluster \
             says which namespaces have them"
        ),
        Some(_) => format!("no sidecar runs in {name}; they run in {}", names(with)),
    }
}

/// How many names are told.
const TOLD_MAX: usize = 9;

fn names<'p>(pods: impl Iterator<Item = &'p PodPlace>) -> String {
    let names: Vec<String> = pods
        .map(|pod| format!("{}.{}", pod.name, pod.namespace))
        .collect();
    match names.len().saturating_sub(TOLD_MAX) {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..TOLD_MAX].join(", ")),
    }
}
