//! What routes of all kinds have in common: who they are, where they belong, and backends that
//! are not there or not theirs to name.

use super::{Backend, Known, Parent, parent};
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::document::Document;
use crate::istio::api_gateway::Served;
use crate::istio::forms::{Scope, identity, strings};
use crate::istio::grants::Reference;
use crate::istio::listeners::GENERATED;
use crate::istio::objects::Written;
use crate::source::Span;
use crate::tree::Node;
use cloud::istio::config::{ExportTo, GatewayName, Identity, Object, VirtualService};

/// A route without its rules.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) identity: Identity,
    pub(super) kind: &'static str,
    pub(super) span: Span,
    root: Node,
    pub(super) parents: Vec<Parent>,
    /// Host names that it takes; none takes all.
    pub(super) hostnames: Vec<String>,
}

impl Head {
    /// Reads it off a checked route, if any of its parents is istiod's.
    pub(super) fn read(
        document: &Document,
        served: &Served,
        scope: &mut Scope<'_>,
    ) -> Option<Head> {
        let spec = document.spec();
        let kind = document.kind.kind;
        let parents = spec.list("parentRefs").iter();
        let parents: Vec<Parent> = parents
            .filter_map(|node| parent(node, kind, served, scope))
            .collect();
        let hostnames = strings(spec, "hostnames").into_iter();
        (!parents.is_empty()).then(|| Head {
            identity: identity(document),
            kind,
            span: document.metadata.span,
            root: document.root.clone(),
            parents,
            hostnames: hostnames.map(|host| host.to_ascii_lowercase()).collect(),
        })
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.kind == "GRPCRoute"
    }

    /// Whether it belongs to listeners of Gateways, among others.
    pub(super) fn is_at_gateway(&self) -> bool {
        let mut parents = self.parents.iter();
        parents.any(|parent| parent.kind.has_listeners())
    }

    /// A VirtualService without routes that stands for it at a place; `which` tells it from others.
    pub(super) fn generated(
        &self,
        which: &str,
        gateway: GatewayName,
        host: String,
    ) -> VirtualService {
        VirtualService {
            identity: Identity {
                name: format!("{}-{which}-{GENERATED}", self.identity.name),
                ..self.identity.clone()
            },
            hosts: vec![host],
            gateways: vec![gateway],
            http: Vec::new(),
            tls: Vec::new(),
            tcp: Vec::new(),
            export_to: ExportTo::Default,
            is_of_gateway_api: true,
        }
    }

    /// What stands for it, as if it were written where the route is.
    pub(super) fn written(&self, service: VirtualService) -> Written {
        Written {
            object: Object::from(service),
            span: self.span,
            root: self.root.clone(),
        }
    }

    /// What a backend names of a namespace that does not grant it.
    pub(super) fn denied<'b>(
        &self,
        backend: &'b Backend,
        known: &Known<'_>,
    ) -> Option<&'b Reference> {
        let from = (self.kind, self.identity.namespace.as_str());
        let away = backend.away.as_ref();
        away.filter(|to| !known.grants.permit(from, to))
    }

    /// Whether istiod leaves the route out at Gateways, or in the mesh, because of a backend. What may
    /// not be named is looked at no further.
    pub(super) fn is_refused_for(
        &self,
        backend: &Backend,
        is_at_gateway: bool,
        known: &Known<'_>,
    ) -> bool {
        let is_denied = || is_at_gateway && self.denied(backend, known).is_some();
        backend.is_refused && !is_denied()
    }

    /// Reports a backend that is denied; whether it is.
    pub(super) fn report_denied(
        &self,
        backend: &Backend,
        known: &Known<'_>,
        help: &str,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let denied = self.denied(backend, known);
        if let Some(to) = denied {
            let message = to.denied(self.kind, &self.identity.namespace);
            let found = diagnostics.report(Code::NotGranted, backend.span, message);
            found.help(help);
        }
        denied.is_some()
    }
}

/// Reports a backend whose Service does not exist; whether it does not. Hosts of ServiceEntries are
/// told by the check of references.
pub(super) fn report_missing(
    host: &str,
    backend: &Backend,
    known: &Known<'_>,
    help: &str,
    diagnostics: &mut Diagnostics,
) -> bool {
    let is_missing = host.ends_with(known.domain) && !known.has_host(host);
    if is_missing {
        let message = format!("the backend `{host}` does not exist");
        diagnostics
            .report(Code::BackendNotFound, backend.span, message)
            .severity(Severity::Warning)
            .help(help);
    }
    is_missing
}
