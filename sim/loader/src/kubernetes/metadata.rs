//! `metadata`: how an object is called and labelled.

use crate::shape::{Field, INTEGER, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use std::collections::BTreeMap;

/// Why fields that the API server fills in are ignored.
pub const WRITTEN_BY_SERVER: &str = "written by the cluster, not by its users";

static OWNER_REFERENCE: Shape = Shape::new(
    "OwnerReference",
    &[
        Field::ignored("apiVersion", Kind::Text, WRITTEN_BY_SERVER),
        Field::modelled("kind", Kind::Text),
        Field::modelled("name", Kind::Text),
        Field::ignored("uid", Kind::Text, WRITTEN_BY_SERVER),
        Field::modelled("controller", Kind::Bool),
        Field::ignored("blockOwnerDeletion", Kind::Bool, WRITTEN_BY_SERVER),
    ],
);

/// Fields of `metadata`.
pub static OBJECT_META: Shape = Shape::new(
    "ObjectMeta",
    &[
        Field::modelled("name", Kind::Text),
        Field::approximated(
            "generateName",
            Kind::Text,
            "used as the name if there is none",
        ),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("labels", TEXT_MAP),
        Field::approximated(
            "annotations",
            TEXT_MAP,
            "those that Istio's injection webhook reads act; what others mean depends on the \
             program that reads them",
        ),
        Field::modelled("ownerReferences", Kind::List(&Kind::Map(&OWNER_REFERENCE))),
        Field::ignored("creationTimestamp", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("deletionTimestamp", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("deletionGracePeriodSeconds", INTEGER, WRITTEN_BY_SERVER),
        Field::ignored("finalizers", TEXT_LIST, WRITTEN_BY_SERVER),
        Field::ignored("generation", INTEGER, WRITTEN_BY_SERVER),
        Field::ignored("managedFields", Kind::Opaque, WRITTEN_BY_SERVER),
        Field::ignored("resourceVersion", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("selfLink", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("uid", Kind::Text, WRITTEN_BY_SERVER),
        Field::ignored("clusterName", Kind::Text, WRITTEN_BY_SERVER),
    ],
);

/// `apiVersion`, which every document has and [`super::kinds`] checks.
pub const API_VERSION: Field = Field::modelled("apiVersion", Kind::Text).required();
/// `kind`, likewise.
pub const KIND: Field = Field::modelled("kind", Kind::Text).required();
/// `metadata`.
pub const METADATA: Field = Field::modelled("metadata", Kind::Map(&OBJECT_META)).required();
/// `status`, as `kubectl get -o yaml` prints it.
pub const STATUS: Field = Field::ignored("status", Kind::Opaque, WRITTEN_BY_SERVER);

/// How an object is called and labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Namespace; of a kind without namespaces, empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Kind and name of the owner that controls it.
    pub controller: Option<(String, String)>,
    /// Where the name is written.
    pub span: Span,
}

impl Metadata {
    /// Reads the `metadata` of a checked object; an object without a namespace is in `default`.
    pub fn read(object: &Node) -> Metadata {
        let empty = Node {
            span: object.span,
            value: crate::tree::Value::Mapping(Vec::new()),
        };
        let metadata = object.get("metadata").unwrap_or(&empty);
        let name = metadata
            .get("name")
            .or_else(|| metadata.get("generateName"));
        let controller = metadata
            .list("ownerReferences")
            .iter()
            .find(|owner| {
                owner
                    .get("controller")
                    .and_then(Node::bool)
                    .unwrap_or(false)
            })
            .map(|owner| (text(owner, "kind"), text(owner, "name")));
        Metadata {
            namespace: metadata
                .get("namespace")
                .and_then(Node::str)
                .unwrap_or("default")
                .to_owned(),
            name: name.and_then(Node::str).unwrap_or_default().to_owned(),
            labels: text_map(metadata.get("labels")),
            annotations: text_map(metadata.get("annotations")),
            controller,
            span: name.map_or(metadata.span, |name| name.span),
        }
    }

    /// `namespace/name`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The string under a key, or nothing.
pub fn text(node: &Node, key: &str) -> String {
    node.get(key)
        .and_then(Node::str)
        .unwrap_or_default()
        .to_owned()
}

/// A map from strings to strings; values of other types were reported and are left out.
pub fn text_map(node: Option<&Node>) -> BTreeMap<String, String> {
    node.map_or(&[][..], Node::entries)
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), entry.value.str()?.to_owned())))
        .collect()
}
