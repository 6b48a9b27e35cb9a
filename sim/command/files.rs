//! Reading what the user names: files, folders, and the scenarios that ship in this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use loader::{File, Library};

use super::problems::BadInput;

/// The scenarios and the manifests they use.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// The scenario that runs when none is named.
pub(super) const DEFAULT_SCENARIO: &str = "region-loss";

/// What was named: the files themselves, and where to find what they name in turn.
pub(super) struct Input {
    /// The files, in the order they were named; those of a folder by name.
    pub(super) files: Vec<File>,
    /// Resolves the paths inside a Scenario.
    pub(super) library: Box<dyn Library>,
}

/// Reads files and folders; without any, the shipped scenario `default`. A name that is no path
/// but that of a shipped scenario means that scenario.
pub(super) fn read(paths: &[String], default: &str) -> anyhow::Result<Input> {
    match paths {
        [] => Ok(shipped(default).expect("the default scenario ships with the program")),
        [name] if !Path::new(name).exists() => {
            let meant = meant_by(name).map_err(BadInput)?;
            Ok(shipped(&meant).expect("a name of the list is shipped"))
        }
        _ => from_disk(paths),
    }
}

/// The whole name of the shipped scenario that `name` means: itself, or the only one that is
/// called so in some folder.
fn meant_by(name: &str) -> Result<String, String> {
    let all = all_shipped();
    if all.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let within_a_folder = format!("/{name}");
    let found: Vec<String> = all
        .into_iter()
        .filter(|known| known.ends_with(&within_a_folder))
        .collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(format!(
            "{name}: no such file or folder, nor a shipped scenario (see `hybridsim list`)"
        )),
        several => Err(format!(
            "several shipped scenarios are called {name}: ask for one by its whole name\n{}",
            several
                .iter()
                .map(|one| format!("  {one}"))
                .collect::<Vec<_>>()
                .join("\n")
        )),
    }
}

/// The shipped scenario of this whole name.
pub(super) fn shipped(name: &str) -> Option<Input> {
    let file = SHIPPED.get_file(format!("{name}.yaml"))?;
    Some(Input {
        files: vec![embedded_file(file)?],
        library: Box::new(Embedded),
    })
}

/// Whole names of all shipped scenarios, as `queue` and `kubernetes/node-power-loss`, sorted:
/// those without a folder come first.
pub(super) fn all_shipped() -> Vec<String> {
    let mut files = Vec::new();
    collect(&SHIPPED, &mut files);
    let mut names: Vec<String> = files
        .iter()
        .filter(|file| is_scenario(&file.text))
        .filter_map(|file| Some(file.name.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort_by_key(|name| (folder_of(name).map(str::to_owned), name.clone()));
    names
}

/// The folder of a shipped scenario; none for those that stand at the top.
pub(super) fn folder_of(name: &str) -> Option<&str> {
    Some(name.rsplit_once('/')?.0)
}

/// Whether a text is a scenario rather than a manifest.
pub(super) fn is_scenario(text: &str) -> bool {
    text.lines().any(|line| line == "kind: Scenario")
}

fn from_disk(paths: &[String]) -> anyhow::Result<Input> {
    let mut files = Vec::new();
    for path in paths {
        let read = read_disk(Path::new(path));
        files.extend(read.map_err(|error| BadInput(format!("{path}: {error}")))?);
    }
    Ok(Input {
        files,
        library: Box::new(Disk),
    })
}

/// A file, or all manifests of a folder and of the folders in it, by path.
fn read_disk(path: &Path) -> io::Result<Vec<File>> {
    if !path.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            files.extend(read_disk(&entry)?);
        } else if is_manifest(&entry) {
            files.push(read_file(&entry)?);
        }
    }
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<File> {
    let name = path.display().to_string();
    let bytes = fs::read(path)?;
    // Bytes that are no UTF-8 become replacement characters, which the loader points at.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(File { name, text })
}

/// Whether a file of a folder is read at all.
fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

/// Files on disk.
struct Disk;

impl Library for Disk {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        read_disk(Path::new(path)).map_err(|error| error.to_string())
    }
}

/// Files inside this program.
struct Embedded;

impl Library for Embedded {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let path = path.trim_end_matches('/');
        if let Some(file) = SHIPPED.get_file(path) {
            return Ok(embedded_file(file).into_iter().collect());
        }
        let Some(folder) = SHIPPED.get_dir(path) else {
            return Err("no such file or folder among the shipped ones".to_owned());
        };
        let mut files = Vec::new();
        collect(folder, &mut files);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }
}

fn collect(folder: &'static Dir<'_>, files: &mut Vec<File>) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(folder) => collect(folder, files),
            DirEntry::File(file) if is_manifest(file.path()) => files.extend(embedded_file(file)),
            DirEntry::File(_) => {}
        }
    }
}

fn embedded_file(file: &'static include_dir::File<'_>) -> Option<File> {
    Some(File {
        name: file.path().to_str()?.to_owned(),
        text: file.contents_utf8()?.to_owned(),
    })
}
