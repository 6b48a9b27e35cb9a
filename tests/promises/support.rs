//! What several promises need.

use cloud::record::Record;
use cloud::scenario::Scenario;
use cloud::{Options, Topology, compile, simulate};
use engine::Seed;
use loader::{Diagnostic, File, Library, Loaded, Nothing, Severity};
use rayon::prelude::*;
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

/// The shipped scenarios, as `scenarios/queue.yaml` and `scenarios/kubernetes/NAME.yaml`; the
/// manifests that they use are left out.
pub fn shipped() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec!["scenarios".to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        found.extend(Project.read(&folder).expect("the folder is there"));
        let entries = fs::read_dir(root.join(&folder)).expect("the folder is there");
        let inner = entries
            .map(|entry| entry.expect("an entry of the folder"))
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_str().expect("a plain name").to_owned());
        folders.extend(inner.map(|name| format!("{folder}/{name}")));
    }
    found.retain(|file| file.text.lines().any(|line| line == "kind: Scenario"));
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// Whether goldens are to be written anew rather than compared.
#[allow(
    clippy::disallowed_methods,
    reason = "goldens are updated by an environment variable"
)]
pub fn updating() -> bool {
    std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1")
}
