//! All of Istio's objects among a set of documents.

use super::aliases::Aliases;
use super::annotations::{self, PodNotes};
use super::api_gateway::{self, ApiGateway, Served};
use super::forms::Scope;
use super::grants::Grants;
use super::installation::{self, Component};
use super::listener_sets::{self, ListenerSet};
use super::listeners::{Namespaces, Owner};
use super::mesh_route::{self, ConnectionRoute, Known, MeshRoute};
use super::parents::ParentKind;
use super::reads::Reads;
use super::{
    by_hand, destination_rule, gateway, limits, mesh, proxy, security, service_entry, sidecar,
    telemetry, virtual_service,
};
use crate::diagnostic::Diagnostics;
use crate::document::Document;
use crate::kubernetes::Metadata;
use crate::kubernetes::service::Service;
use crate::source::Span;
use crate::tree::Node;
use cloud::istio::config::{
    LimitDomain, MeshConfig, MeshNetworks, Object, ProxyResources, ServiceSettings,
};
use std::collections::{BTreeMap, BTreeSet};

/// An object, and where it is written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says.
    pub object: Object,
    /// Where its name is written.
    pub span: Span,
    /// Its document, for the places of problems.
    pub root: Node,
}

/// What documents say to Istio.
#[derive(Clone, Debug, Default)]
pub struct IstioObjects {
    /// Objects, by namespace and name.
    pub written: Vec<Written>,
    /// What holds for the whole mesh, if something says so.
    pub mesh: Option<MeshConfig>,
    /// How networks reach one another.
    pub networks: MeshNetworks,
    /// CPU and memory of proxies, if something says so.
    pub proxy_resources: Option<ProxyResources>,
    /// Environment variables of istiod.
    pub istiod_environment: BTreeMap<String, String>,
    /// The release 1.x, if something says so.
    pub minor: Option<u32>,
    /// What pods say, by namespace, name and kind of their workload.
    pub(crate) pods: BTreeMap<(String, String, &'static str), PodNotes>,
    /// What services say, by namespace and name.
    pub(crate) services: BTreeMap<(String, String), ServiceSettings>,
    /// What rate limit services limit.
    pub(crate) limits: Vec<LimitDomain>,
    /// Revisions of istiod that are installed beside the default one.
    pub(crate) revisions: BTreeSet<String>,
    /// Gateways that an installation describes.
    pub(crate) components: Vec<Component>,
    /// Gateways of the Gateway API that istiod serves.
    pub(crate) gateways: Vec<ApiGateway>,
    /// Their names, which are known before anything is read.
    pub(crate) served: Served,
    /// What they may refer to in other namespaces, likewise.
    pub(crate) grants: Grants,
    /// What istiod reads of the Gateway API.
    pub(crate) reads: Reads,
    /// ListenerSets, until all are there.
    sets: Vec<ListenerSet>,
    /// Routes of the Gateway API, until all are there and those for one host are put together.
    routes: Vec<MeshRoute>,
    /// Those of connections, until all are there.
    connections: Vec<ConnectionRoute>,
}

impl IstioObjects {
    /// Whether there is nothing of Istio.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.mesh.is_none() && self.minor.is_none()
    }

    /// Adds a document if it is one of Istio's.
    pub(crate) fn add(&mut self, document: &Document, diagnostics: &mut Diagnostics) {
        let mut scope = Scope {
            namespace: document.metadata.namespace.clone(),
            diagnostics,
        };
        let scope = &mut scope;
        // The names of shapes tell kinds of different groups apart.
        let Metadata {
            namespace, name, ..
        } = &document.metadata;
        let object = match document.kind.shape.name {
            "VirtualService" => virtual_service::read(document, scope).into(),
            "DestinationRule" => destination_rule::read(document, scope).into(),
            "IstioGateway" => gateway::read(document, scope).into(),
            "ServiceEntry" => service_entry::read(document, scope).into(),
            "WorkloadEntry" => service_entry::read_entry(document, scope).into(),
            "WorkloadGroup" => service_entry::read_group(document, scope).into(),
            "Sidecar" => sidecar::read(document, self.reads.version, scope).into(),
            "PeerAuthentication" => security::read_peer(document, scope).into(),
            "RequestAuthentication" => security::read_request(document, scope).into(),
            "AuthorizationPolicy" => security::read_policy(document, scope).into(),
            "ProxyConfig" => proxy::read(document).into(),
            "Telemetry" => telemetry::read(document, scope).into(),
            "EnvoyFilter" => {
                let (limits, left_out) = limits::read(document, scope);
                let has_patches = !document.spec().list("configPatches").is_empty();
                if !left_out.is_empty() || !has_patches {
                    by_hand::warn(document, &left_out, scope);
                }
                match limits {
                    Some(limits) => limits.into(),
                    None => return,
                }
            }
            "WasmPlugin" | "TrafficExtension" => return by_hand::warn(document, &[], scope),
            "RateLimitConfigMap" => return self.limits.extend(limits::domains(document)),
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Pod" => {
                let key = (namespace.clone(), name.clone(), document.kind.kind);
                let notes = annotations::read_pod(document, scope);
                self.pods.insert(key, notes);
                return;
            }
            "Service" => {
                if let Some(said) = annotations::read_service(document) {
                    self.services
                        .insert((namespace.clone(), name.clone()), said);
                }
                return;
            }
            "HTTPRoute" | "GRPCRoute" => {
                let route = mesh_route::read(document, &self.served, scope);
                return self.routes.extend(route);
            }
            "TCPRoute" | "TLSRoute" => {
                let kinds = (&self.served, self.reads);
                let route = mesh_route::read_connections(document, kinds, scope);
                return self.connections.extend(route);
            }
            "Gateway" => {
                if self.served.has(namespace, name) {
                    let owner = self.owner(ParentKind::Gateway);
                    let gateway = api_gateway::read(document, owner, scope);
                    self.gateways.push(gateway);
                }
                return;
            }
            "ListenerSet" => return self.add_set(ParentKind::ListenerSet, document, scope),
            "XListenerSet" => return self.add_set(ParentKind::XListenerSet, document, scope),
            "IstioOperator" => return self.install(document, scope),
            "IstioConfigMap" => return self.configure(document, scope),
            _ => return,
        };
        self.written.push(Written {
            object,
            span: document.metadata.span,
            root: document.root.clone(),
        });
    }

    fn owner(&self, kind: ParentKind) -> Owner<'_> {
        Owner {
            kind,
            reads: self.reads,
            grants: &self.grants,
        }
    }

    fn add_set(&mut self, kind: ParentKind, document: &Document, scope: &mut Scope<'_>) {
        let span = document.metadata.span;
        if self.reads.listener_sets(kind, span, scope) {
            let set = listener_sets::read(document, self.owner(kind), scope);
            self.sets.extend(set);
        }
    }

    /// Takes Gateways and routes of the Gateway API for Istio's own objects, once all are there.
    pub(crate) fn attach_routes(
        &mut self,
        services: &[Service],
        namespaces: &Namespaces,
        diagnostics: &mut Diagnostics,
    ) {
        let routes = std::mem::take(&mut self.routes);
        let sets = listener_sets::place(
            &mut self.gateways,
            std::mem::take(&mut self.sets),
            namespaces,
            self.reads,
            diagnostics,
        );
        let owners = self.gateways.iter().map(|gateway| &gateway.own);
        let owners = owners.chain(sets.iter().map(|set| &set.own));
        let known = Known::of(
            services,
            (owners.collect(), &self.grants),
            namespaces,
            self.reads,
        );
        let mut busy = BTreeSet::new();
        let mut attached = mesh_route::merge(routes, &self.written, &known, &mut busy, diagnostics);
        for route in std::mem::take(&mut self.connections) {
            let written = route.written(&self.written, &known, &mut busy, diagnostics);
            attached.extend(written);
        }
        mesh_route::report_idle(&known, &busy, diagnostics);
        for gateway in &self.gateways {
            let sets = sets.iter().filter(|set| set.is_of(gateway));
            let sets = sets.map(|set| &set.own);
            let written = gateway.written(sets, namespaces, services, diagnostics);
            self.written.extend(written);
        }
        self.written.extend(attached);
        let aliases = self.aliases(services);
        aliases.lead(&mut self.written);
    }

    /// The Services of type ExternalName through which istiod leads routes on.
    pub(super) fn aliases<'a>(&self, services: &'a [Service]) -> Aliases<'a> {
        let said = self.istiod_environment.get("ENABLE_EXTERNAL_NAME_ALIAS");
        let usual = self.reads.version.leads_through_aliases();
        match said.map_or(usual, |said| said == "true") {
            true => Aliases::of(services),
            false => Aliases::default(),
        }
    }

    fn install(&mut self, document: &Document, scope: &mut Scope<'_>) {
        self.mesh = by_hand::mesh(document)
            .map(|node| mesh::read(node, scope))
            .or(self.mesh.take());
        self.minor = by_hand::release(document).or(self.minor);
        self.components.extend(installation::read(document, scope));
        self.revisions.extend(by_hand::revision(document));
        self.istiod_environment
            .extend(by_hand::environment(document));
        self.proxy_resources = by_hand::resources(document).or(self.proxy_resources);
    }

    fn configure(&mut self, document: &Document, scope: &mut Scope<'_>) {
        let at = |key: &str| document.root.at(&["data", key]);
        self.mesh = at("mesh").map(|node| mesh::read(node, scope));
        if let Some(node) = at("meshNetworks") {
            self.networks = mesh::networks(node, scope);
        }
    }
}
