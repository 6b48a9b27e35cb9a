//! A skeleton of a Scenario for manifests that somebody already has.

use crate::assembly::Assembly;
use crate::diagnostic::Diagnostics;
use crate::document::Document;
use crate::ledger::Ledger;
use crate::scenario::entries::{Entry, Mentions};
use crate::scenario::forms::show_duration;
use crate::scenario::names::{Names, kind_name, short};
use crate::scenario::{self, Survey};
use crate::source::File;
use crate::sources::{Library, Sources};
use cloud::facts;
use cloud::scenario::{ClusterId, Service, Transport, WorkloadId};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A commented Scenario for the manifests among `files`: every workload with its defaults and
/// what they mean, the entries that were found, an example of a fault. It loads without errors
/// as it is, if the manifests do.
pub fn init(files: &[File], library: &dyn Library) -> String {
    let mut diagnostics = Diagnostics::default();
    let mut sources = Sources::new(files, library);
    let Survey {
        assembly,
        entries,
        name,
        manifests,
    } = scenario::survey(&mut sources, &mut Ledger::default(), &mut diagnostics);
    let positions: Vec<usize> = (0..sources.files().len()).collect();
    let documents: Vec<&Document> = sources.documents(&positions).collect();
    let mut text = head(&name);
    text += &clusters(&assembly, &manifests);
    let inside = entries.iter().any(|entry| entry.opened.is_some());
    if inside {
        text += INSIDE;
    }
    text += &behavior(&assembly, &documents);
    text += &traffic(&entries);
    text += &timeline(&assembly);
    text += &rest();
    text
}

fn head(name: &str) -> String {
    format!(
        "\
# A Scenario: what manifests cannot say. Everything below can be run as it is; the values are
# defaults, and results are only as good as they are. Set what you know, remove what you do not
# need, and remove the `#` in front of what you want.
# `hybridsim schema` prints a JSON Schema that lets editors check and complete this file.
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: {name}}}
spec:
  # question: What do users see when a node is lost?

"
    )
}

const INSIDE: &str = "
  # Nothing can be reached from outside, so requests come from a pod of their own. For users
  # outside give the Service `type: LoadBalancer`, or add an Ingress or a Gateway.
  workloads:
    client: {}
";

fn clusters(assembly: &Assembly, manifests: &[String]) -> String {
    let manifests: Vec<_> = manifests.iter().map(|path| quoted(path)).collect();
    let cluster = &assembly.cluster;
    let mut text = String::from("  clusters:\n    - name: cluster\n");
    text += "      # Where it stands decides how far it is from users and from other clusters.\n";
    text += "      # region: aws/us-west-2\n";
    let _ = writeln!(text, "      # zones: [{}]", cluster.zones.join(", "));
    let _ = writeln!(
        text,
        "      # kubernetes: \"1.{}\"",
        cluster.kubernetes_minor
    );
    if cluster
        .nodes
        .iter()
        .all(|node| node.name.starts_with("node-"))
    {
        let _ = writeln!(
            text,
            "      # nodePools: [{{name: node, count: {}, cpu: {}m, memory: {}Mi}}]",
            facts::NODE_COUNT.value,
            facts::NODE_CPU_MILLI.value,
            facts::NODE_MEMORY_BYTES.value >> 20
        );
    } else {
        let _ = writeln!(
            text,
            "      # Its {} nodes come from the manifests.",
            cluster.nodes.len()
        );
    }
    let _ = writeln!(text, "      manifests: [{}]", manifests.join(", "));
    text
}

/// A string that YAML takes for one, whatever it holds.
fn quoted(text: &str) -> String {
    let plain = text
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "._/-".contains(letter));
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    if plain && begins && text.contains('.') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn behavior(assembly: &Assembly, documents: &[&Document]) -> String {
    let names = Names::new(std::slice::from_ref(assembly), false);
    let servers: Vec<_> = names
        .workloads()
        .filter(|(_, id, _)| !assembly.origins[id.index()].is_proxy)
        .collect();
    if servers.is_empty() {
        return "\n  # The manifests hold no workloads. Declare some here, or name more manifests.\n  # workloads: {web: {replicas: 2}}\n".to_owned();
    }
    let mut text = format!(
        "
  # What each workload does with a request. Measure, and set:
  #   serviceTime   own work, without calls to others; `5ms` for always the same, or a law
  #   workers       requests that one pod serves at a time, or `cpu: limit` if all share its CPU
  #   calls         whom it asks, step by step: [\"reviews:9080\", {{parallel: [\"a:80\", \"b:80\"]}}]
  #   errorRate     share of requests that fail by themselves
  #   responseSize  size of an answer ({} bytes)
  #   startUp       from being placed on a node to being ready ({})
  behavior:
",
        facts::HTTP_RESPONSE_BYTES.value,
        show_duration(facts::POD_START_UP.value)
    );
    let mentions = Mentions::of(documents);
    let mut positions = BTreeMap::new();
    for (position, document) in documents.iter().enumerate() {
        let metadata = &document.metadata;
        let key = (
            document.kind.kind,
            metadata.namespace.as_str(),
            metadata.name.as_str(),
        );
        positions.insert(key, position);
    }
    for (cluster, id, described) in servers {
        let key = (
            kind_name(described.kind),
            described.namespace.as_str(),
            described.name.as_str(),
        );
        text += &workload(
            &names,
            (cluster, id),
            positions.get(&key).copied(),
            &mentions,
        );
    }
    text
}

fn workload(
    names: &Names<'_>,
    at: (ClusterId, WorkloadId),
    document: Option<usize>,
    mentions: &Mentions,
) -> String {
    let cluster = names.clusters[0];
    let workload = &cluster.workloads[at.1.index()];
    let behind: Vec<_> = cluster
        .services
        .iter()
        .filter(|service| service.backends.contains(&at.1))
        .filter_map(address)
        .collect();
    let pods = match workload.replicas {
        1 => "1 pod".to_owned(),
        replicas => format!("{replicas} pods"),
    };
    let mut what = format!("{}, {pods}", kind_name(workload.kind));
    if !behind.is_empty() {
        let _ = write!(what, ", behind {}", behind.join(" and "));
    }
    let mean = show_duration(facts::SERVICE_TIME.value);
    let mut text = format!(
        "    {}: # {what}\n      serviceTime: {{lognormal: {{mean: {mean}, cv: {}}}}}\n      workers: {}\n",
        names.full_name(at),
        facts::SERVICE_TIME_VARIATION.value,
        facts::WORKERS.value
    );
    let named: Vec<_> = cluster
        .services
        .iter()
        .filter(|service| !service.backends.contains(&at.1))
        .filter(|service| {
            document.is_some_and(|document| mentions.of_service(service).contains(&document))
        })
        .filter_map(address)
        .map(|address| format!("\"{address}\""))
        .collect();
    text += &match named.is_empty() {
        true => "      # calls: []\n".to_owned(),
        false => format!(
            "      # Its environment names these; remove the `#` if it calls each of them once:\n      # calls: [{}]\n",
            named.join(", ")
        ),
    };
    text
}

/// Name and first port for TCP of a service, as a pod of the default namespace writes it.
fn address(service: &Service) -> Option<String> {
    let mut ports = service.ports.iter();
    let port = ports.find(|port| port.transport == Transport::Tcp)?.port;
    Some(match service.namespace.as_str() {
        "default" => format!("{}:{port}", service.name),
        namespace => format!("{}.{namespace}:{port}", service.name),
    })
}

fn traffic(entries: &[Entry]) -> String {
    let rate = facts::RATE.value;
    if entries.is_empty() {
        return format!(
            "
  # No entry was found: nothing that requests could be sent to.
  # traffic:
  #   - {{name: browsers, to: \"web:80\", arrivals: {{poisson: {rate}/s}}}}
"
        );
    }
    let timeout = show_duration(facts::HTTP_CLIENT_TIMEOUT.value);
    let mut text = format!(
        "
  # Who sends requests. `from` is a region such as aws/eu-central-1, or a workload; without it
  # users sit in the cluster's own region. Other arrivals: {{constant: 10/s}},
  # {{schedule: [{{at: 0s, rate: 10/s}}, {{at: 5m, rate: 300/s}}]}},
  # {{closed: {{users: 50, think: {{exponential: 2s}}}}}}, {{trace: requests.csv}}.
  # They wait {timeout} for an answer and do not retry: timeout: 2s, retries: {{attempts: 2}}
  traffic:
"
    );
    for entry in entries {
        let from = match entry.opened {
            Some(_) => "from: client, ",
            None => "",
        };
        let _ = writeln!(
            text,
            "    # Because {}.\n    - {{name: {}, {from}to: \"{}\", arrivals: {{poisson: {rate}/s}}}}",
            entry.what, entry.name, entry.to
        );
    }
    text
}

fn timeline(assembly: &Assembly) -> String {
    let mut workloads = assembly.cluster.workloads.iter();
    let name = workloads.next().map_or("web".to_owned(), |workload| {
        short(&workload.namespace, &workload.name)
    });
    let node = assembly
        .cluster
        .nodes
        .first()
        .map_or("node-1", |node| node.name.as_str());
    format!(
        "
  # What happens, and when. Others: region-down, link-cut, link-delay, link-loss, slow, failing;
  # `scale: {{workload: {name}, replicas: 3}}` and `apply: changed.yaml` are operations.
  # timeline:
  #   - {{at: 1m, fault: {{pod-kill: {{workload: {name}, count: 1}}}}}}
  #   - {{at: 2m, fault: {{node-down: {{node: {node}, for: 1m, packets: dropped}}}}}}
"
    )
}

fn rest() -> String {
    format!(
        "
  # What users were promised; `--gate` turns a miss into an exit code.
  # objectives: [{{availability: 99.9%}}, {{p99: 300ms}}]

  run:
    duration: {}
    replications: {}
    seed: {}
    # Without a timeline the long run is analysed, and its start is discarded. To count all of it:
    # analysis: terminating
",
        show_duration(facts::RUN_DURATION.value),
        facts::REPLICATIONS_MIN.value,
        facts::SEED.value
    )
}
