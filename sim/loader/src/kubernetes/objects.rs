//! All objects of a set of documents.

use super::autoscaler::Autoscaler;
use super::budget::DisruptionBudget;
use super::gateway::{Gateway, HttpRoute};
use super::ingress::{Ingress, IngressClass};
use super::kube_proxy;
use super::metadata::Metadata;
use super::node::Node;
use super::node_pool::NodePool;
use super::service::{Service, Slice};
use super::workload::Workload;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::istio::api_gateway::{Served, namespaces};
use crate::istio::grants::Grants;
use crate::istio::ingress;
use crate::istio::objects::IstioObjects;
use crate::istio::reads::Reads;
use crate::tree;
use cloud::istio::config::IngressSettings;
use cloud::istio::version::Version;
use cloud::scenario::WorkloadKind;
use std::collections::{BTreeMap, BTreeSet};

/// Objects by kind, each sorted by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Namespaces.
    pub namespaces: Vec<Metadata>,
    /// Machines.
    pub nodes: Vec<Node>,
    /// Deployments, ReplicaSets, StatefulSets, DaemonSets and Pods without an owner.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// EndpointSlices and Endpoints.
    pub slices: Vec<Slice>,
    /// Classes of ingresses.
    pub ingress_classes: Vec<IngressClass>,
    /// Ingresses.
    pub ingresses: Vec<Ingress>,
    /// Gateways.
    pub gateways: Vec<Gateway>,
    /// HTTPRoutes.
    pub routes: Vec<HttpRoute>,
    /// Autoscalers.
    pub autoscalers: Vec<Autoscaler>,
    /// Disruption budgets.
    pub budgets: Vec<DisruptionBudget>,
    /// Karpenter's NodePools.
    pub node_pools: Vec<NodePool>,
    /// What an administrator set about kube-proxy.
    pub kube_proxy: Option<tree::Node>,
    /// What is said to Istio.
    pub istio: IstioObjects,
}

impl Objects {
    /// Collects the objects of documents that are applied to a cluster without a mesh together.
    /// Whatever is wrong with single objects is reported, as are duplicates; documents of other
    /// kinds are passed over.
    pub fn collect<'a>(
        documents: impl IntoIterator<Item = &'a Document>,
        diagnostics: &mut Diagnostics,
    ) -> Objects {
        Objects::collect_in(None, documents, diagnostics)
    }

    /// Collects objects of a cluster likewise: in a mesh, of which this is the release, istiod serves
    /// Gateways of its class.
    pub fn collect_in<'a>(
        mesh: Option<Version>,
        documents: impl IntoIterator<Item = &'a Document>,
        diagnostics: &mut Diagnostics,
    ) -> Objects {
        let mut documents: Vec<_> = documents.into_iter().collect();
        documents.sort_by_key(|document| {
            let metadata = &document.metadata;
            (
                &metadata.namespace,
                &metadata.name,
                document.kind.shape.name,
                document.root.span,
            )
        });
        let documents = without_duplicates(documents, diagnostics);
        let owners: BTreeMap<_, _> = documents
            .iter()
            .map(|document| (identity(document), *document))
            .collect();
        let mut objects = Objects::default();
        if let Some(version) = mesh {
            objects.istio.reads = Reads::of(version, &documents);
            objects.istio.served = Served::of(&documents);
            objects.istio.grants = Grants::of(&documents);
        }
        for document in &documents {
            check_name(document, diagnostics);
            if owned(document, &owners, diagnostics) {
                continue;
            }
            objects.add(document, diagnostics);
        }
        objects.add_ingresses(mesh.is_some(), &documents, diagnostics);
        let used = documents.iter().map(|it| it.metadata.namespace.as_str());
        let namespaces = namespaces(&objects.namespaces, used.filter(|name| !name.is_empty()));
        objects
            .istio
            .attach_routes(&objects.services, &namespaces, diagnostics);
        objects
    }

    fn add(&mut self, document: &Document, diagnostics: &mut Diagnostics) {
        let workload = match document.kind.kind {
            "Deployment" => Some(WorkloadKind::Deployment),
            "ReplicaSet" => Some(WorkloadKind::ReplicaSet),
            "StatefulSet" => Some(WorkloadKind::StatefulSet),
            "DaemonSet" => Some(WorkloadKind::DaemonSet),
            "Pod" => Some(WorkloadKind::Pod),
            _ => None,
        };
        if let Some(kind) = workload {
            self.workloads
                .push(Workload::read(document, kind, diagnostics));
        }
        self.istio.add(document, diagnostics);
        let Metadata {
            namespace, name, ..
        } = &document.metadata;
        match document.kind.shape.name {
            "Namespace" => self.namespaces.push(document.metadata.clone()),
            "Node" => self.nodes.push(Node::read(document)),
            "NodePool" => self.node_pools.push(NodePool::read(document, diagnostics)),
            "Service" => self.services.push(Service::read(document, diagnostics)),
            "EndpointSlice" => self.slices.extend(Slice::read(document)),
            "Endpoints" => self.slices.extend(Slice::read_endpoints(document)),
            "IngressClass" => self.ingress_classes.push(IngressClass::read(document)),
            // What istiod serves was read with what is said to Istio.
            "Gateway" if !self.istio.served.has(namespace, name) => {
                self.gateways.push(Gateway::read(document, diagnostics));
            }
            "HTTPRoute" if !self.istio.served.has_all_parents(document) => {
                let mut route = HttpRoute::read(document, diagnostics);
                let served = &self.istio.served;
                route
                    .parents
                    .retain(|it| !it.is_gateway || !served.has(&it.namespace, &it.name));
                self.routes.push(route);
            }
            "HorizontalPodAutoscaler" => self
                .autoscalers
                .push(Autoscaler::read(document, diagnostics)),
            "PodDisruptionBudget" => self
                .budgets
                .push(DisruptionBudget::read(document, diagnostics)),
            "KubeProxyConfiguration" => self.set_kube_proxy(document, diagnostics),
            _ => {}
        }
    }

    /// Adds Ingresses, once the mesh and all classes and services are known: istiod serves some.
    fn add_ingresses(
        &mut self,
        has_mesh: bool,
        documents: &[&Document],
        diagnostics: &mut Diagnostics,
    ) {
        let documents = documents.iter();
        let mut ingresses: Vec<&Document> = documents
            .filter(|document| document.kind.shape.name == "Ingress")
            .copied()
            .collect();
        if has_mesh {
            let usual = IngressSettings::default();
            let mesh = self.istio.mesh.as_ref();
            let settings = mesh.map_or(&usual, |mesh| &mesh.ingress);
            let known = (settings, self.services.as_slice());
            let made = ingress::take(&mut ingresses, &self.ingress_classes, known, diagnostics);
            self.istio.written.extend(made);
        }
        let read = ingresses.iter().map(|it| Ingress::read(it, diagnostics));
        self.ingresses.extend(read);
    }

    /// All kube-proxies of a cluster read one configuration.
    fn set_kube_proxy(&mut self, document: &Document, diagnostics: &mut Diagnostics) {
        kube_proxy::validate(&document.root, diagnostics);
        if self.kube_proxy.is_some() {
            let message = "a cluster has one KubeProxyConfiguration, and this is the second";
            diagnostics
                .report(Code::DuplicateObject, document.root.span, message)
                .help("remove one of the two");
            return;
        }
        self.kube_proxy = Some(document.root.clone());
    }
}

/// The documents that a cluster holds after `applied` are applied to it: each replaces the one
/// of its kind, namespace and name, or is added.
pub fn apply<'a>(held: &[&'a Document], applied: &[&'a Document]) -> Vec<&'a Document> {
    let replaced: BTreeSet<_> = applied.iter().map(|document| identity(document)).collect();
    let kept = held
        .iter()
        .filter(|document| !replaced.contains(&identity(document)));
    kept.chain(applied).copied().collect()
}

/// Kind (by its shape, whose name differs between groups), namespace and name.
fn identity(document: &Document) -> (&str, &str, &str) {
    (
        document.kind.shape.name,
        &document.metadata.namespace,
        &document.metadata.name,
    )
}

/// Keeps the first of several documents that describe one object.
fn without_duplicates<'a>(
    documents: Vec<&'a Document>,
    diagnostics: &mut Diagnostics,
) -> Vec<&'a Document> {
    let mut kept: Vec<&Document> = Vec::with_capacity(documents.len());
    for document in documents {
        match kept.last() {
            Some(first)
                if identity(first) == identity(document) && !document.metadata.name.is_empty() =>
            {
                let (kind, namespace, name) = identity(document);
                let place = if namespace.is_empty() {
                    name.to_owned()
                } else {
                    format!("{namespace}/{name}")
                };
                let line = first.metadata.span.line;
                diagnostics
                    .report(Code::DuplicateObject, document.metadata.span, format!("{kind} `{place}` is described twice"))
                    .help(if first.file == document.file {
                        format!("the first description is on line {line}; remove one of the two")
                    } else {
                        format!("the first description is on line {line} of another file; remove one of the two")
                    });
            }
            _ => kept.push(document),
        }
    }
    kept
}

/// Whether an object is made by another one that is there too, and so is counted with it.
fn owned(
    document: &Document,
    owners: &BTreeMap<(&str, &str, &str), &Document>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some((kind, name)) = &document.metadata.controller else {
        return false;
    };
    let made = matches!(document.kind.kind, "Pod" | "ReplicaSet");
    if !made
        || !owners.contains_key(&(
            kind.as_str(),
            document.metadata.namespace.as_str(),
            name.as_str(),
        ))
    {
        return false;
    }
    let message = format!(
        "{} `{}` is counted with {kind} `{name}`",
        document.kind.kind, document.metadata.name
    );
    diagnostics.report(Code::PartOfWorkload, document.metadata.span, message);
    true
}

/// Names follow RFC 1123; those of services and namespaces are single labels.
fn check_name(document: &Document, diagnostics: &mut Diagnostics) {
    let Metadata { name, span, .. } = &document.metadata;
    if !document.kind.named {
        return;
    }
    if name.is_empty() {
        let message = format!("the {} has no name", document.kind.kind);
        diagnostics
            .report(Code::InvalidName, *span, message)
            .help("set `metadata.name`");
        return;
    }
    let single = matches!(document.kind.kind, "Service" | "Namespace");
    let length_max = if single { 63 } else { 253 };
    let labels_fit = name.split('.').all(|label| {
        let letters = label
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-');
        letters && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    });
    // `generateName` ends in a dash.
    let generated = document.root.at(&["metadata", "name"]).is_none();
    if !generated && (!labels_fit || name.len() > length_max || (single && name.contains('.'))) {
        let shown: String = name.chars().take(60).collect();
        let message = format!("`{shown}` cannot be the name of a {}", document.kind.kind);
        let help = "use lower-case letters, digits and `-`, with a letter or digit at both ends";
        diagnostics
            .report(Code::InvalidName, *span, message)
            .help(help);
    }
}
