//! What several promises need.

use cloud::record::Record;
use cloud::scenario::Scenario;
use cloud::snapshot::{self, Moment};
use cloud::{Options, Topology, compile, simulate};
use engine::{Duration, Seed};
use loader::diagnostic::Diagnostics;
use loader::tree::{Budget, Node, ScalarKind, Value, parse};
use loader::{Diagnostic, File, Library, Loaded, Nothing, Severity};
use rayon::prelude::*;
use report::istioctl::{self, Part};
use report::kubectl::{Namespaces, Resource, Width, kubectl};
use serde_json::{Map, Value as Json, json};
use std::any::Any;
use std::fs;
use std::path::Path;

/// Loads one text.
pub fn load(name: &str, text: &str) -> Loaded {
    let file = File {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    loader::load(&[file], &Nothing)
}

/// The scenario of a text that stands alone.
///
/// # Panics
/// With what the loader says, if it is none.
pub fn scenario(text: &str) -> Scenario {
    let loaded = load("scenario.yaml", text);
    loaded
        .scenario
        .unwrap_or_else(|| panic!("{:#?}\n{text}", loaded.diagnostics))
}

/// The scenario of what was loaded.
///
/// # Panics
/// With what the loader says, if anything is wrong.
pub fn faultless(loaded: Loaded) -> Scenario {
    let told = loaded.diagnostics;
    let is_wrong = |it: &Diagnostic| it.severity == Severity::Error;
    assert!(!told.iter().any(is_wrong), "{told:#?}");
    loaded.scenario.expect("a text without problems")
}

/// What one replication of a scenario that stands alone leaves behind.
pub fn record(text: &str) -> Record {
    let seed = Seed {
        master: 1,
        replication: 0,
    };
    simulate(&compile(&scenario(text)), seed, &Options::default())
}

/// What `look` finds in the record of each of so many replications, in their order.
pub fn replicate<T: Send>(
    topology: &Topology,
    (master, replications): (u64, u32),
    options: &Options,
    look: impl Fn(Record) -> T + Sync,
) -> Vec<T> {
    let replication = |replication| {
        let seed = Seed {
            master,
            replication,
        };
        look(simulate(topology, seed, options))
    };
    (0..replications).into_par_iter().map(replication).collect()
}

/// The documents of a text as JSON, which is YAML as well.
pub fn documents(text: &str) -> Vec<Json> {
    let mut diagnostics = Diagnostics::default();
    let nodes = parse(text, 0, Budget::default(), &mut diagnostics);
    nodes.iter().map(as_json).collect()
}

fn as_json(node: &Node) -> Json {
    match &node.value {
        Value::Mapping(entries) => {
            let pairs = entries.iter();
            let pairs = pairs.map(|entry| (entry.key.clone(), as_json(&entry.value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        Value::Sequence(items) => Json::Array(items.iter().map(as_json).collect()),
        Value::Scalar(text, kind) => match kind {
            ScalarKind::String => json!(text),
            ScalarKind::Bool(value) => json!(value),
            ScalarKind::Integer(value) => json!(value),
            ScalarKind::Float(value) => json!(value),
            ScalarKind::Null => Json::Null,
        },
    }
}

/// Manifests in place of files.
pub struct Manifests(pub String);

impl Library for Manifests {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let name = path.to_owned();
        let text = self.0.clone();
        Ok(vec![File { name, text }])
    }
}

/// A cluster with Istio, in which a test does what it likes.
#[derive(Clone, Copy)]
pub struct Mesh<'a> {
    pub zones: &'a str,
    pub kubernetes: &'a str,
    /// How many machines, and what each of them has.
    pub nodes: (u32, &'a str),
    /// What is said of Istio.
    pub istio: &'a str,
}

impl Default for Mesh<'_> {
    fn default() -> Self {
        Mesh {
            zones: "a",
            kubernetes: "1.33",
            nodes: (3, "cpu: 8, memory: 16Gi"),
            istio: "version: \"1.30\", injectedNamespaces: [default]",
        }
    }
}

impl Mesh<'_> {
    /// It with the rest of a spec, indented by two, and with `manifests.yaml` of a library.
    pub fn load(&self, spec: &str, library: &dyn Library) -> Loaded {
        let Mesh {
            zones,
            kubernetes,
            nodes: (count, machine),
            istio,
        } = self;
        let text = format!(
            "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: mesh}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [{zones}]
      kubernetes: \"{kubernetes}\"
      nodePools: [{{name: node, count: {count}, {machine}}}]
      manifests: [manifests.yaml]
      istio: {{{istio}}}
{spec}"
        );
        let file = File {
            name: "mesh.yaml".to_owned(),
            text,
        };
        loader::load(&[file], library)
    }
}

/// The project's own files, by paths relative to its root.
pub struct Project;

impl Library for Project {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if !whole.is_dir() {
            let text = fs::read_to_string(&whole).map_err(|error| error.to_string())?;
            let name = path.to_owned();
            return Ok(vec![File { name, text }]);
        }
        let entries = fs::read_dir(&whole).map_err(|error| error.to_string())?;
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry of the folder").file_name())
            .map(|name| name.to_str().expect("a plain name").to_owned())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        names.sort();
        let mut files = Vec::new();
        for name in names {
            files.extend(self.read(&format!("{path}/{name}"))?);
        }
        Ok(files)
    }
}

/// All manifests and scenarios of a folder of the project and of those in it, by name.
pub fn below(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        found.extend(Project.read(&folder).expect("the folder is there"));
        let entries = fs::read_dir(root.join(&folder)).expect("the folder is there");
        let inner = entries
            .map(|entry| entry.expect("an entry of the folder"))
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_str().expect("a plain name").to_owned());
        folders.extend(inner.map(|name| format!("{folder}/{name}")));
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// The shipped scenarios, as `scenarios/queue.yaml` and `scenarios/kubernetes/NAME.yaml`; the
/// manifests that they use are left out.
pub fn shipped() -> Vec<File> {
    let mut found = below("scenarios");
    found.retain(|file| file.text.lines().any(|line| line == "kind: Scenario"));
    found
}

/// Looks at an instant of a replication as `inspect` does; how much there is to see.
pub fn look(topology: &Topology, seed: Seed, instant: Duration) -> usize {
    const OBJECTS: [Resource; 8] = [
        Resource::Autoscalers,
        Resource::Deployments,
        Resource::Endpoints,
        Resource::Events,
        Resource::Nodes,
        Resource::Pods,
        Resource::ReplicaSets,
        Resource::Services,
    ];
    const TABLES: [Part; 4] = [
        Part::Clusters,
        Part::Endpoints,
        Part::Listeners,
        Part::Routes,
    ];
    let snapshot = snapshot::at(topology, seed, instant);
    let mut shown = 0;
    for cluster in &snapshot.clusters {
        for resource in OBJECTS {
            let table = kubectl(cluster, snapshot.at, resource, Namespaces::All, Width::Wide);
            shown += table.map_or(0, |table| table.len());
        }
    }
    let moment = Moment::new(topology, seed, instant);
    for pod in moment.pods().iter().filter(|pod| pod.has_sidecar) {
        let proxy = moment.proxy(pod).expect("a sidecar that runs");
        shown += istioctl::difference(&proxy).map_or(0, |text| text.len());
        let tables = TABLES.map(|part| istioctl::proxy_config(&proxy.told, part).len());
        shown += tables.iter().sum::<usize>();
    }
    shown
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
        .to_owned()
}

/// A number that a person gave.
///
/// # Panics
/// If it is none.
#[allow(
    clippy::disallowed_methods,
    reason = "a person asks for other random input by environment variables"
)]
pub fn number_asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Whether goldens are to be written anew rather than compared.
#[allow(
    clippy::disallowed_methods,
    reason = "goldens are updated by an environment variable"
)]
pub fn updating() -> bool {
    std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1")
}
