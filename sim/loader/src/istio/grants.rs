//! ReferenceGrants: what of a namespace others may refer to.
//!
//! Models: grants by kind and namespace of who refers, and by kind and name of what is referred to.
//! istiod asks for them where a route at a Gateway names a backend of another namespace, and where
//! a listener names a certificate there; routes of the mesh need none.
//! Sources: istio/istio 86c9f01 pilot/pkg/config/kube/gatewaycommon/references.go,
//! pilot/pkg/config/kube/gateway/conversion.go (buildDestination, buildTLS).
//! Validated by: `tests/promises/istio_routes.rs` and `tests/promises/istio_gateways.rs`.

use super::forms::string;
use crate::document::Document;
use crate::tree::Node;

/// The group of the Gateway API, of which those are that refer.
pub(super) const API: &str = "gateway.networking.k8s.io";
/// The group of what is not final of it.
pub(super) const EXPERIMENTAL: &str = "gateway.networking.x-k8s.io";

/// All ReferenceGrants of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants(Vec<Grant>);

/// One that may refer, and what it may refer to.
#[derive(Clone, Debug)]
struct Grant {
    kind: String,
    namespace: String,
    to: Reference,
    /// Whether every name is granted.
    is_for_all: bool,
}

/// An object in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    group: String,
    pub(super) kind: String,
    namespace: String,
    pub(super) name: String,
}

impl Reference {
    /// What a reference names: of this kind and of the namespace `own`, if it does not say.
    pub(super) fn of(node: &Node, kind: &str, own: &str) -> Reference {
        Reference {
            group: group(node),
            kind: string(node, "kind").unwrap_or_else(|| kind.to_owned()),
            namespace: string(node, "namespace").unwrap_or_else(|| own.to_owned()),
            name: string(node, "name").unwrap_or_default(),
        }
    }

    /// What a reference names, if that is in another namespace than `own`.
    pub(super) fn away(node: &Node, kind: &str, own: &str) -> Option<Reference> {
        let reference = Reference::of(node, kind, own);
        (reference.namespace != own).then_some(reference)
    }

    /// Whether it names a Secret.
    pub(super) fn is_secret(&self) -> bool {
        (self.group.as_str(), self.kind.as_str()) == ("", "Secret")
    }

    /// Why it leads nowhere.
    pub(super) fn denied(&self, kind: &str, own: &str) -> String {
        let Reference {
            namespace, name, ..
        } = self;
        format!("no ReferenceGrant of `{namespace}` lets {kind}s of `{own}` refer to `{name}`")
    }
}

/// The group of a reference; `core` is the empty one.
fn group(node: &Node) -> String {
    let group = string(node, "group").unwrap_or_default();
    match group.as_str() {
        "core" => String::new(),
        _ => group,
    }
}

impl Grants {
    /// Those among documents.
    pub(crate) fn of(documents: &[&Document]) -> Grants {
        let documents = documents.iter();
        let grants = documents.filter(|document| document.kind.kind == "ReferenceGrant");
        Grants(grants.flat_map(|document| read(document)).collect())
    }

    /// Whether an object of this kind and namespace may refer to another's.
    pub(super) fn permit(&self, (kind, namespace): (&str, &str), to: &Reference) -> bool {
        self.0.iter().any(|grant| {
            let is_for_it = grant.is_for_all || grant.to.name == to.name;
            let of = |it: &Reference| (it.group.clone(), it.kind.clone(), it.namespace.clone());
            is_for_it
                && (grant.kind.as_str(), grant.namespace.as_str()) == (kind, namespace)
                && of(&grant.to) == of(to)
        })
    }
}

fn read(document: &Document) -> Vec<Grant> {
    let spec = document.spec();
    let own = &document.metadata.namespace;
    let is_meant = |from: &&Node| match string(from, "kind").as_deref() {
        Some("XListenerSet") => group(from) == EXPERIMENTAL,
        _ => group(from) == API,
    };
    let from = spec.list("from").iter().filter(is_meant);
    let pairs = from.flat_map(|from| spec.list("to").iter().map(move |to| (from, to)));
    let grants = pairs.map(|(from, to)| {
        let name = string(to, "name");
        Grant {
            kind: string(from, "kind").unwrap_or_default(),
            namespace: string(from, "namespace").unwrap_or_default(),
            is_for_all: name.is_none(),
            to: Reference {
                group: group(to),
                kind: string(to, "kind").unwrap_or_default(),
                namespace: own.clone(),
                name: name.unwrap_or_default(),
            },
        }
    });
    grants.collect()
}
