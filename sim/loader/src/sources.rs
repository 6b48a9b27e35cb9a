//! The texts that a Scenario names: opened once each through a [`Library`], because the loader
//! itself knows no files.

use crate::diagnostic::{Code, Diagnostics};
use crate::document::{self, Document};
use crate::ledger::Ledger;
use crate::source::{File, Span};
use std::collections::BTreeMap;

/// Where the texts come from that a Scenario names.
pub trait Library {
    /// The file at a path, or all files of manifests (`.yaml`, `.yml`, `.json`) in and below a
    /// folder, sorted by name. Paths are relative to where the command runs, as the names of the
    /// files handed to the loader are. The error says in a few words why there is nothing.
    fn read(&self, path: &str) -> Result<Vec<File>, String>;
}

/// A library without any texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Library for Nothing {
    fn read(&self, _path: &str) -> Result<Vec<File>, String> {
        Err("there are no files to read from".to_owned())
    }
}

/// Most files that one Scenario may bring in.
const FILES_MAX: usize = 10_000;

/// All texts of one load: those handed in, and those that a Scenario names.
pub(crate) struct Sources<'a> {
    library: &'a dyn Library,
    files: Vec<File>,
    /// Folder of the file with the Scenario, with its slash; empty where the command runs.
    folder: String,
    /// What each path led to.
    opened: BTreeMap<String, Result<Vec<usize>, String>>,
    /// Documents of each file that was read as manifests.
    documents: BTreeMap<usize, Vec<Document>>,
}

impl<'a> Sources<'a> {
    /// Begins with the files handed in.
    pub(crate) fn new(files: &[File], library: &'a dyn Library) -> Self {
        Sources {
            library,
            files: files.to_vec(),
            folder: String::new(),
            opened: BTreeMap::new(),
            documents: BTreeMap::new(),
        }
    }

    /// Paths are relative to the folder of this file from now on.
    pub(crate) fn relative_to(&mut self, file: u32) {
        let name = &self.files[file as usize].name;
        self.folder = match name.rfind('/') {
            Some(slash) => name[..=slash].to_owned(),
            None => String::new(),
        };
    }

    /// All files, in the order in which they came up.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// The files themselves.
    pub(crate) fn into_files(self) -> Vec<File> {
        self.files
    }

    /// Positions of the files at a path; what cannot be read is reported at `span`.
    pub(crate) fn open(
        &mut self,
        path: &str,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<usize>> {
        let whole = normalised(&self.folder, path);
        if !self.opened.contains_key(&whole) {
            let found = self.library.read(&whole).and_then(|files| self.add(files));
            self.opened.insert(whole.clone(), found);
        }
        match &self.opened[&whole] {
            Ok(positions) if positions.is_empty() => {
                let message = format!("`{path}` holds no manifests");
                diagnostics
                    .report(Code::FileNotRead, span, message)
                    .help("manifests are files that end in .yaml, .yml or .json");
                None
            }
            Ok(positions) => Some(positions.clone()),
            Err(reason) => {
                let message = format!("`{path}` cannot be read: {reason}");
                diagnostics
                    .report(Code::FileNotRead, span, message)
                    .help("paths are relative to the folder of the scenario");
                None
            }
        }
    }

    fn add(&mut self, found: Vec<File>) -> Result<Vec<usize>, String> {
        let mut positions = Vec::new();
        for file in found {
            let known = self.files.iter().position(|known| known.name == file.name);
            positions.push(known.unwrap_or(self.files.len()));
            if known.is_none() {
                if self.files.len() >= FILES_MAX {
                    return Err(format!("more than {FILES_MAX} files are too many"));
                }
                self.files.push(file);
            }
        }
        Ok(positions)
    }

    /// Reads files as manifests, each only once.
    pub(crate) fn read_documents(
        &mut self,
        positions: &[usize],
        ledger: &mut Ledger,
        diagnostics: &mut Diagnostics,
    ) {
        for &position in positions {
            if !self.documents.contains_key(&position) {
                let found = document::read_file(&self.files, position, ledger, diagnostics);
                self.documents.insert(position, found);
            }
        }
    }

    /// The documents of files that were read as manifests.
    pub(crate) fn documents<'s>(
        &'s self,
        positions: &'s [usize],
    ) -> impl Iterator<Item = &'s Document> + 's {
        positions
            .iter()
            .filter_map(|position| self.documents.get(position))
            .flatten()
    }
}

/// A path below a folder without `.` and, as far as the folder reaches, without `..`.
fn normalised(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{folder}{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if whole.starts_with('/') {
        format!("/{joined}")
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_folder_of_the_scenario() {
        assert_eq!(normalised("scenarios/", "app.yaml"), "scenarios/app.yaml");
        assert_eq!(normalised("scenarios/", "./west/"), "scenarios/west");
        assert_eq!(normalised("a/b/", "../c.yaml"), "a/c.yaml");
        assert_eq!(normalised("", "../../c.yaml"), "../../c.yaml");
        assert_eq!(normalised("a/", "/etc/x.yaml"), "/etc/x.yaml");
    }
}
