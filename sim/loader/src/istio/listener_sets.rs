//! ListenerSets: listeners that Gateways have from others.
//!
//! Models: a ListenerSet belongs to a Gateway that istiod serves and that admits its namespace;
//! its listeners are served by the proxies of that Gateway, whose Service gets their ports, and take
//! routes of their own. Of listeners that contradict one another the Gateway's go before those of
//! ListenerSets, and the older ListenerSet's before the younger's.
//! Leaves out: that up to 1.28 a Service is refused whose listeners give one name to two ports.
//! Sources: istio/istio pilot/pkg/config/kube/gateway/gateway_collection.go
//! (ListenerSetCollection) of release-1.27 to release-1.31,
//! pilot/pkg/config/kube/gatewaycommon/listener_conflict_collection.go at 86c9f01.
//! Validated by: `tests/promises/istio_listener_sets.rs`.

use super::api_gateway::ApiGateway;
use super::forms::{Scope, string};
use super::listeners::{self, Listeners, Namespaces, Owner};
use super::parents::ParentKind;
use super::reads::Reads;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::kubernetes::metadata::text;
use crate::source::Span;

/// A ListenerSet.
#[derive(Clone, Debug)]
pub(super) struct ListenerSet {
    pub(super) own: Listeners,
    /// Namespace and name of its Gateway.
    parent: (String, String),
    parent_span: Span,
}

/// Reads a checked document, if its parent is a Gateway.
pub(super) fn read(
    document: &Document,
    owner: Owner<'_>,
    scope: &mut Scope<'_>,
) -> Option<ListenerSet> {
    let parent = document.spec().get("parentRef")?;
    if ParentKind::of(parent) != Some(ParentKind::Gateway) {
        let message = "the parent of a ListenerSet is a Gateway, and this is none";
        let found = scope
            .diagnostics
            .report(Code::ListenerSetAlone, parent.span, message);
        found.help("leave `group` and `kind` out, or say `group: gateway.networking.k8s.io`, `kind: Gateway`");
        return None;
    }
    let namespace = string(parent, "namespace").unwrap_or_else(|| scope.namespace.clone());
    Some(ListenerSet {
        own: Listeners::read(document, owner, scope),
        parent: (namespace, text(parent, "name")),
        parent_span: parent.span,
    })
}

impl ListenerSet {
    /// Whether it belongs to a Gateway.
    pub(super) fn is_of(&self, gateway: &ApiGateway) -> bool {
        let metadata = &gateway.metadata;
        (&self.parent.0, &self.parent.1) == (&metadata.namespace, &metadata.name)
    }
}

/// Those of the sets that Gateways take, with what is left of their listeners and of the Gateways'.
pub(super) fn place(
    gateways: &mut [ApiGateway],
    mut sets: Vec<ListenerSet>,
    namespaces: &Namespaces,
    reads: Reads,
    diagnostics: &mut Diagnostics,
) -> Vec<ListenerSet> {
    sets.sort_by_cached_key(|set| {
        let identity = &set.own.identity;
        let name = format!("{}/{}", identity.namespace, identity.name);
        (identity.created, name)
    });
    sets.retain(|set| {
        let admitted = admitted(set, gateways, namespaces);
        if let Err((message, help)) = &admitted {
            let found = diagnostics.report(Code::ListenerSetAlone, set.parent_span, message);
            found.help(help);
        }
        admitted.is_ok()
    });
    for gateway in gateways {
        let own = sets.iter().filter(|set| set.is_of(gateway));
        let ports: Vec<_> = own.flat_map(|set| set.own.ports()).collect();
        gateway.open(ports);
        if reads.version.settles_listeners() {
            let of_it = sets.iter_mut().filter(|set| set.is_of(gateway));
            let of_it: Vec<_> = of_it.map(|set| &mut set.own).collect();
            let all = std::iter::once(&mut gateway.own).chain(of_it);
            listeners::settle(all, diagnostics);
        }
    }
    // Routes attach to what is served alone, other than with listeners of Gateways.
    sets.iter_mut().for_each(|set| set.own.keep_programmed());
    sets
}

/// Whether the Gateway of a set takes it; else why not, and what to do about it.
fn admitted(
    set: &ListenerSet,
    gateways: &[ApiGateway],
    namespaces: &Namespaces,
) -> Result<(), (String, String)> {
    let (namespace, name) = &set.parent;
    let Some(gateway) = gateways.iter().find(|gateway| set.is_of(gateway)) else {
        let message = format!("istiod serves no Gateway `{namespace}/{name}`");
        let help = "nobody listens for it: name a Gateway of Istio's class, with its `namespace`";
        return Err((message, help.to_owned()));
    };
    let own = &set.own.identity.namespace;
    if !gateway.admits(own, namespaces) {
        let message =
            format!("the Gateway `{name}` takes no ListenerSets of the namespace `{own}`");
        let help = "nobody listens for it: set `allowedListeners: {namespaces: {from: All}}` on the Gateway, which takes none without it";
        return Err((message, help.to_owned()));
    }
    Ok(())
}
