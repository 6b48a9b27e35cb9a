//! From files to documents: each classified, checked against its shape, and entered into the
//! ledger; lists are taken apart.

use crate::diagnostic::{Code, Diagnostics};
use crate::istio::{limits, mesh};
use crate::kubernetes::Metadata;
use crate::kubernetes::kinds::{
    ISTIO_CONFIG_MAP, KnownKind, RATE_LIMIT_CONFIG_MAP, Treatment, classify,
};
use crate::kubernetes::kube_proxy;
use crate::ledger::{DocumentLedger, Ledger, Standing};
use crate::shape::{Account, check};
use crate::source::{File, Span};
use crate::tree::{Budget, Entry, Node, ScalarKind, Value, parse};

/// A document of a known kind whose fields were checked.
#[derive(Clone, Debug)]
pub struct Document {
    /// Position of its file in the list handed to the loader.
    pub file: u32,
    /// Its kind.
    pub kind: &'static KnownKind,
    /// How it is called.
    pub metadata: Metadata,
    /// The whole of it.
    pub root: Node,
}

/// What an object without a `spec` says.
static NOTHING: Node = Node {
    span: Span::start_of_file(0),
    value: Value::Mapping(Vec::new()),
};

impl Document {
    /// Its `spec`.
    pub(crate) fn spec(&self) -> &Node {
        self.root.get("spec").unwrap_or(&NOTHING)
    }
}

/// Reads all files. Documents of kinds that are read over are only entered into the ledger.
pub fn read(files: &[File], ledger: &mut Ledger, diagnostics: &mut Diagnostics) -> Vec<Document> {
    (0..files.len())
        .flat_map(|position| read_file(files, position, ledger, diagnostics))
        .collect()
}

/// Reads one of several files.
pub fn read_file(
    files: &[File],
    position: usize,
    ledger: &mut Ledger,
    diagnostics: &mut Diagnostics,
) -> Vec<Document> {
    let mut reader = Reader {
        files,
        ledger,
        diagnostics,
        documents: Vec::new(),
    };
    let text = &files[position].text;
    for root in parse(text, position as u32, Budget::default(), reader.diagnostics) {
        reader.document(root);
    }
    reader.documents
}

struct Reader<'a> {
    files: &'a [File],
    ledger: &'a mut Ledger,
    diagnostics: &'a mut Diagnostics,
    documents: Vec<Document>,
}

impl Reader<'_> {
    fn document(&mut self, mut root: Node) {
        let Some((api_version, kind, span)) = self.identify(&root) else {
            return;
        };
        if kind.ends_with("List") && root.get("items").is_some() {
            return self.list(root, &api_version, &kind);
        }
        let treatment = if mesh::is_config_map(&kind, &root) {
            mesh::unfold(&mut root, self.diagnostics);
            Treatment::Read(&ISTIO_CONFIG_MAP)
        } else if limits::is_config_map(&kind, &root) {
            limits::unfold(&mut root, self.diagnostics);
            Treatment::Read(&RATE_LIMIT_CONFIG_MAP)
        } else {
            classify(&api_version, &kind, span, self.diagnostics)
        };
        let mut account = Account::default();
        let mut metadata = Metadata::read(&root);
        match treatment {
            Treatment::Read(known) => {
                if !known.namespaced {
                    metadata.namespace.clear();
                }
                check(&root, known.shape, &mut account, self.diagnostics);
                self.enter(&root, &api_version, &kind, &metadata, account);
                self.documents.push(Document {
                    file: root.span.file,
                    kind: known,
                    metadata,
                    root,
                });
            }
            Treatment::ReadOver(reason) => {
                account.enter("", Standing::Ignored, reason, root.span.line);
                self.enter(&root, &api_version, &kind, &metadata, account);
                if (api_version.as_str(), kind.as_str()) == ("v1", "ConfigMap") {
                    self.kube_proxy_configuration(&root);
                }
            }
            Treatment::Refused => {
                account.enter(
                    "",
                    Standing::Unknown,
                    "not served under this apiVersion",
                    root.span.line,
                );
                self.enter(&root, &api_version, &kind, &metadata, account);
            }
        }
    }

    /// What kubeadm keeps for kube-proxy in a ConfigMap counts as a document of its own. All of
    /// it is told to stand where its text begins.
    fn kube_proxy_configuration(&mut self, map: &Node) {
        let text = map
            .get("data")
            .and_then(|data| data.entry(kube_proxy::CONFIG));
        let Some((entry, text)) = text.and_then(|entry| Some((entry, entry.value.str()?))) else {
            return;
        };
        let is_meant =
            |tree: &Node| tree.get("kind").and_then(Node::str) == Some("KubeProxyConfiguration");
        // Other programs keep texts of other forms under that name.
        let trees = kube_proxy::trees(text, 0, &[]).unwrap_or_default();
        for mut tree in trees.into_iter().filter(is_meant) {
            place(&mut tree, entry.key_span);
            self.document(tree);
        }
    }

    /// `apiVersion` and `kind` of a document and where the kind is written.
    fn identify(&mut self, root: &Node) -> Option<(String, String, Span)> {
        if !matches!(root.value, Value::Mapping(_)) {
            let message = format!(
                "a document must be a map with `apiVersion` and `kind`, not {}",
                root.describe()
            );
            self.diagnostics
                .report(Code::NotAnObject, root.span, message);
            return None;
        }
        let read = |key| {
            root.entry(key)
                .and_then(|entry| Some((entry.value.str()?.to_owned(), entry.key_span)))
        };
        match (read("apiVersion"), read("kind")) {
            (Some((api_version, span)), Some((kind, _))) => Some((api_version, kind, span)),
            (api_version, kind) => {
                let lacks: Vec<_> = [("`apiVersion`", api_version), ("`kind`", kind)]
                    .into_iter()
                    .filter(|(_, value)| value.is_none())
                    .map(|(key, _)| key)
                    .collect();
                let message = format!("the document lacks {}", lacks.join(" and "));
                self.diagnostics
                    .report(Code::NotAnObject, root.span, message)
                    .help("every document names its kind as Kubernetes objects do");
                None
            }
        }
    }

    /// The items of a `List`, as `kubectl get -o yaml` prints them, or of a list of one kind,
    /// whose items need not repeat it.
    fn list(&mut self, root: Node, api_version: &str, kind: &str) {
        let of = kind.strip_suffix("List").filter(|of| !of.is_empty());
        let Value::Mapping(entries) = root.value else {
            return;
        };
        for entry in entries {
            match (entry.key.as_str(), entry.value.value) {
                ("items", Value::Sequence(items)) => {
                    for mut item in items {
                        if let Some(of) = of {
                            complete(&mut item, api_version, of);
                        }
                        self.document(item);
                    }
                }
                ("items", _) => {
                    let message = "`items` takes a list";
                    self.diagnostics
                        .report(Code::WrongType, entry.value.span, message);
                }
                ("apiVersion" | "kind" | "metadata", _) => {}
                (key, _) => {
                    let message = format!("the list has no field `{key}`");
                    self.diagnostics
                        .report(Code::UnknownField, entry.key_span, message);
                }
            }
        }
    }

    fn enter(
        &mut self,
        root: &Node,
        api_version: &str,
        kind: &str,
        metadata: &Metadata,
        account: Account,
    ) {
        let namespace = root.at(&["metadata", "namespace"]).and_then(Node::str);
        self.ledger.documents.push(DocumentLedger {
            file: self.files[root.span.file as usize].name.clone(),
            line: root.span.line,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: metadata.name.clone(),
            entries: account.finish(),
        });
    }
}

/// Lets all of a tree stand at one place.
pub(crate) fn place(tree: &mut Node, span: Span) {
    tree.span = span;
    match &mut tree.value {
        Value::Scalar(..) => {}
        Value::Sequence(items) => items.iter_mut().for_each(|item| place(item, span)),
        Value::Mapping(entries) => {
            for entry in entries {
                entry.key_span = span;
                place(&mut entry.value, span);
            }
        }
    }
}

/// Gives an item of a list the `apiVersion` and `kind` that the list implies.
fn complete(item: &mut Node, api_version: &str, kind: &str) {
    let span = Span {
        end: item.span.start,
        ..item.span
    };
    let Value::Mapping(entries) = &mut item.value else {
        return;
    };
    for (key, text) in [("apiVersion", api_version), ("kind", kind)] {
        if !entries.iter().any(|entry| entry.key == key) {
            let value = Node {
                span,
                value: Value::Scalar(text.to_owned(), ScalarKind::String),
            };
            entries.push(Entry {
                key: key.to_owned(),
                key_span: span,
                value,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<String>, Vec<String>, Ledger) {
        let files = [File {
            name: "f.yaml".to_owned(),
            text: text.to_owned(),
        }];
        let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
        let documents = read(&files, &mut ledger, &mut diagnostics);
        let names = documents
            .iter()
            .map(|document| format!("{} {}", document.kind.kind, document.metadata.name));
        let found = diagnostics.finish(&files);
        let told = found
            .iter()
            .map(|found| format!("{}:{} {}", found.line, found.code.id(), found.message));
        (names.collect(), told.collect(), ledger)
    }

    #[test]
    fn lists_are_taken_apart_and_other_kinds_are_accounted_for() {
        let (documents, told, ledger) = read_text(
            "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a, uid: x}}\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n---\napiVersion: v1\nkind: NamespaceList\nitems: [{metadata: {name: b}}]\n---\napiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: g}\n",
        );
        assert_eq!(documents, ["Namespace a", "Namespace b"]);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(
            "12:HS0113 ServiceProfile (`linkerd.io/v1alpha2`) is read over: a later release"
        ));
        let standing: Vec<_> = ledger
            .documents
            .iter()
            .map(|document| (document.name.as_str(), document.entries.len()))
            .collect();
        assert_eq!(standing, [("a", 4), ("s", 1), ("b", 3), ("g", 1)]);
        assert!(
            ledger.documents[3].entries[0]
                .note
                .contains("later release")
        );
    }

    #[test]
    fn documents_that_are_no_objects_are_told() {
        let (_, told, ledger) = read_text(
            "- a\n---\nkind: Pod\n---\napiVersion: apps/v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespce\nmetadata: {name: a}\n",
        );
        assert_eq!(
            told,
            [
                "1:HS0005 a document must be a map with `apiVersion` and `kind`, not a list",
                "3:HS0005 the document lacks `apiVersion`",
                "5:HS0101 Namespace is not served as `apps/v1`",
                "9:HS0113 Namespce (`v1`) is read over",
            ]
        );
        assert_eq!(ledger.documents.len(), 2);
    }
}
