//! What routes of the Gateway API may belong to.
//!
//! Sources: istio/istio 86c9f01 pilot/pkg/config/kube/gateway/conversion.go
//! (allowedParentReferences, toInternalParentReference); kubernetes-sigs/gateway-api v1.6, apis/v1
//! shared_types.go (ParentReference).
//! Validated by: `tests/promises/istio_routes.rs`.

use super::forms::string;
use super::grants::{API, EXPERIMENTAL};
use crate::tree::Node;

/// A kind of parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentKind {
    /// Its clients take the route.
    Service,
    /// Likewise.
    ServiceEntry,
    /// Its listeners take the route.
    Gateway,
    /// Likewise.
    ListenerSet,
    /// Likewise: what came before it.
    XListenerSet,
}

/// Groups and kinds; one without a name is that of Services.
const KINDS: [(&str, &str, ParentKind); 5] = [
    ("", "Service", ParentKind::Service),
    (
        "networking.istio.io",
        "ServiceEntry",
        ParentKind::ServiceEntry,
    ),
    (API, "Gateway", ParentKind::Gateway),
    (API, "ListenerSet", ParentKind::ListenerSet),
    (EXPERIMENTAL, "XListenerSet", ParentKind::XListenerSet),
];

impl ParentKind {
    /// That of a reference, if there is any of its kind in its group: a Gateway of the Gateway
    /// API's, where it says neither.
    pub(crate) fn of(reference: &Node) -> Option<ParentKind> {
        let (group, kind) = said(reference);
        let mut kinds = KINDS.iter();
        let found = kinds.find(|(of, name, _)| (*of, *name) == (group.as_str(), kind.as_str()));
        found.map(|(.., kind)| *kind)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        let mut kinds = KINDS.iter();
        let found = kinds.find(|(.., kind)| *kind == self);
        found.expect("every kind stands there").1
    }

    /// Whether its listeners take routes, and not its clients.
    pub(super) fn has_listeners(self) -> bool {
        !matches!(self, ParentKind::Service | ParentKind::ServiceEntry)
    }
}

/// Group and kind of a reference.
fn said(reference: &Node) -> (String, String) {
    // An empty group counts as said.
    let group = reference.get("group").and_then(Node::str).unwrap_or(API);
    let group = if group == "core" { "" } else { group };
    let kind = string(reference, "kind").unwrap_or_else(|| "Gateway".to_owned());
    (group.to_owned(), kind)
}

/// Why a reference leads to no parent, and what to do about it.
pub(super) fn unknown(reference: &Node) -> (String, String) {
    let (group, kind) = said(reference);
    let message = format!("no parent has the kind `{kind}` and the group `{group}`");
    let known = KINDS.iter().find(|(_, name, _)| *name == kind);
    let help = match known {
        Some((group, ..)) => format!("a {kind} has `group: \"{group}\"`"),
        None => {
            "a route belongs to a Gateway, a ListenerSet, a Service or a ServiceEntry".to_owned()
        }
    };
    (message, help)
}
