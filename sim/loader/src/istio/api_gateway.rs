//! Gateways of the Gateway API that istiod serves: those of its own class.
//!
//! Models: the class `istio`, and those whose GatewayClass names istiod; the Deployment and the
//! Service that istiod makes, or the Service that an address of type Hostname names; whose
//! ListenerSets may attach.
//! Leaves out: what `parametersRef` changes; of several addresses all but the first that leads
//! somewhere.
//! Sources: istio/istio 86c9f01 pilot/pkg/config/kube/gateway/conversion.go and
//! gateway_collection.go, pilot/pkg/config/kube/gatewaycommon/deploymentcontroller.go and
//! gateway_utils.go, manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml,
//! pilot/pkg/model/push_context.go (mergeGateways).
//! Validated by: `tests/promises/istio_gateways.rs`, and Bookinfo's gateway in `tests/promises`.

use super::forms::{Scope, string};
use super::installation;
use super::listeners::{From, Listeners, Namespaces, Owner};
use super::objects::Written;
use super::parents::ParentKind;
use super::reads::Reads;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::kubernetes::Metadata;
use crate::kubernetes::metadata::{text, text_map};
use crate::kubernetes::service::Service;
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::Labels;
use cloud::istio::host;
use cloud::scenario::ServiceKind;
use std::collections::{BTreeMap, BTreeSet};

/// What istiod calls itself in a GatewayClass.
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The class that is its own without a GatewayClass.
const CLASS: &str = "istio";
/// The label that tells whose pods they are.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Labels that begin so are istiod's own.
const OF_THE_API: &str = "gateway.networking.k8s.io/";

/// Gateways that istiod serves, by namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served(BTreeSet<(String, String)>);

impl Served {
    /// Those among the documents of a cluster with a mesh.
    pub(crate) fn of(documents: &[&Document]) -> Served {
        let of_kind = |kind: &'static str| {
            let documents = documents.iter();
            documents.filter(move |document| document.kind.shape.name == kind)
        };
        let controllers: BTreeMap<&str, String> = of_kind("GatewayClass")
            .map(|class| {
                let controller = text(class.spec(), "controllerName");
                (class.metadata.name.as_str(), controller)
            })
            .collect();
        let is_istios = |gateway: &&&Document| {
            let class = text(gateway.spec(), "gatewayClassName");
            match controllers.get(class.as_str()) {
                Some(controller) => controller == CONTROLLER,
                None => class == CLASS,
            }
        };
        let gateways = of_kind("Gateway").filter(is_istios);
        Served(
            gateways
                .map(|it| (it.metadata.namespace.clone(), it.metadata.name.clone()))
                .collect(),
        )
    }

    /// Whether istiod serves the Gateway with this name.
    pub(crate) fn has(&self, namespace: &str, name: &str) -> bool {
        self.0.contains(&(namespace.to_owned(), name.to_owned()))
    }

    /// Whether a route has parents, and all of them are istiod's: services, hosts, and Gateways; those
    /// that there are none of are nobody's.
    pub(crate) fn has_all_parents(&self, document: &Document) -> bool {
        let parents = document.spec().list("parentRefs");
        let is_istios = |node: &Node| {
            let namespace = string(node, "namespace");
            match ParentKind::of(node) {
                Some(ParentKind::Gateway) => self.has(
                    &namespace.unwrap_or_else(|| document.metadata.namespace.clone()),
                    &text(node, "name"),
                ),
                _ => true,
            }
        };
        !parents.is_empty() && parents.iter().all(is_istios)
    }
}

/// A Gateway that istiod serves.
#[derive(Clone, Debug)]
pub(crate) struct ApiGateway {
    pub(crate) metadata: Metadata,
    pub(super) own: Listeners,
    /// Namespaces whose ListenerSets may attach, if any may.
    sets_from: Option<From>,
    class: String,
    /// Names and numbers of the ports of all listeners, those that istiod leaves out among them.
    ports: Vec<(String, u16)>,
    /// Type, value, and where it is written.
    addresses: Vec<(Option<String>, String, Span)>,
    /// Labels for what is made for it.
    labels: Labels,
}

/// The Deployment and Service that istiod makes for a Gateway.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) service: ServiceKind,
    /// Name and number.
    pub(crate) ports: Vec<(String, u16)>,
    pub(crate) labels: Labels,
}

/// Reads a checked document.
pub(super) fn read(document: &Document, owner: Owner<'_>, scope: &mut Scope<'_>) -> ApiGateway {
    let spec = document.spec();
    let addresses = spec.list("addresses").iter();
    let said = spec.at(&["infrastructure", "labels"]);
    let own = Listeners::read(document, owner, scope);
    ApiGateway {
        metadata: document.metadata.clone(),
        sets_from: sets_from(spec, owner.reads),
        class: text(spec, "gatewayClassName"),
        ports: own.ports().collect(),
        own,
        addresses: addresses
            .map(|node| (string(node, "type"), text(node, "value"), node.span))
            .collect(),
        // Those of the Gateway itself, where it says nothing of what is made.
        labels: match said {
            Some(said) => text_map(Some(said)),
            None => document.metadata.labels.clone(),
        },
    }
}

fn sets_from(spec: &Node, reads: Reads) -> Option<From> {
    let namespaces = spec.at(&["allowedListeners", "namespaces"])?;
    match string(namespaces, "from")?.as_str() {
        "All" => Some(From::All),
        "Same" => Some(From::Same),
        "Selector" if reads.version.selects_listener_sets() => From::selected(Some(namespaces)),
        _ => None,
    }
}

impl ApiGateway {
    /// Whether ListenerSets of a namespace may attach.
    pub(super) fn admits(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        let admitted = self.sets_from.as_ref();
        let own = &self.metadata.namespace;
        admitted.is_some_and(|it| it.admits(namespace, own, namespaces))
    }

    /// Opens ports of ListenerSets, which have names and numbers.
    pub(super) fn open(&mut self, ports: Vec<(String, u16)>) {
        self.ports.extend(ports);
    }

    /// Whether istiod makes its Deployment and Service: without addresses, or with one of a load
    /// balancer.
    fn is_managed(&self) -> bool {
        match self.addresses.as_slice() {
            [] => true,
            [(kind, ..)] => kind.as_deref().is_none_or(|kind| kind == "IPAddress"),
            _ => false,
        }
    }

    /// What istiod makes for it, if anything.
    pub(crate) fn made(&self) -> Option<Made> {
        if !self.is_managed() {
            return None;
        }
        let annotation = |key: &str| self.metadata.annotations.get(key).cloned();
        let name = annotation("gateway.istio.io/name-override");
        let service = annotation("networking.istio.io/service-type");
        let mut ports = vec![("status-port".to_owned(), installation::STATUS_PORT)];
        for (name, number) in &self.ports {
            if !ports[1..].iter().any(|(_, port)| port == number) {
                let name = name.replace('.', "-");
                let is_used = ports.iter().any(|(used, _)| *used == name);
                let name = if is_used {
                    format!("{name}-{number}")
                } else {
                    name
                };
                ports.push((name, *number));
            }
        }
        let own = self.labels.iter();
        let own = own.filter(|(key, _)| !key.starts_with(OF_THE_API));
        let mut labels: Labels = own
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in [
            (GATEWAY_NAME, self.metadata.name.as_str()),
            ("gateway.networking.k8s.io/gateway-class-name", &self.class),
            ("gateway.istio.io/managed", "istio.io-gateway-controller"),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        Some(Made {
            name: name.unwrap_or_else(|| format!("{}-{}", self.metadata.name, self.class)),
            service: match service.as_deref() {
                Some("ClusterIP") => ServiceKind::ClusterIp,
                Some("NodePort") => ServiceKind::NodePort,
                _ => ServiceKind::LoadBalancer,
            },
            ports,
            labels,
        })
    }

    /// Labels of the pods that serve it, which are of its namespace; none if there are none.
    fn selector(&self, services: &[Service], diagnostics: &mut Diagnostics) -> Option<Labels> {
        if self.is_managed() {
            return Some([(GATEWAY_NAME.to_owned(), self.metadata.name.clone())].into());
        }
        let namespace = &self.metadata.namespace;
        let mut found = None;
        for (kind, value, span) in &self.addresses {
            if kind.as_deref() != Some("Hostname") {
                let message = format!("istiod ignores the address `{value}`: it is no Hostname");
                let help = "name the Service of the gateway's pods, with `type: Hostname`";
                diagnostics
                    .report(Code::GatewayAddress, *span, message)
                    .help(help);
                continue;
            }
            let full = host::complete(value, namespace, facts::MESH_TRUST_DOMAIN.value);
            let is_it =
                |name: &str| host::service(name, namespace, facts::MESH_TRUST_DOMAIN.value) == full;
            let mut own = services.iter();
            let own = own
                .find(|it| it.metadata.namespace == *namespace && is_it(&it.metadata.name))
                .and_then(|service| service.selector.clone());
            let mut brought = installation::KNOWN.iter();
            let brought =
                brought.find(|known| namespace == installation::NAMESPACE && is_it(known.name));
            let labels = own.or_else(|| Some(brought?.labels()));
            match labels.filter(|labels| !labels.is_empty()) {
                Some(labels) => found = found.or(Some(labels)),
                None => {
                    let message = format!(
                        "`{full}` is no Service of `{namespace}` with pods, so nobody serves the Gateway there"
                    );
                    let help = "the Service has to be of the Gateway's own namespace";
                    diagnostics
                        .report(Code::GatewayAddress, *span, message)
                        .help(help);
                }
            }
        }
        found
    }

    /// The Gateways of Istio that it and these ListenerSets stand for, which belong to it.
    pub(super) fn written<'a>(
        &'a self,
        sets: impl Iterator<Item = &'a Listeners>,
        namespaces: &Namespaces,
        services: &[Service],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Written> {
        let Some(selector) = self.selector(services, diagnostics) else {
            return Vec::new();
        };
        let served = (self.metadata.namespace.as_str(), &selector);
        let all = std::iter::once(&self.own).chain(sets);
        all.flat_map(|it| it.written(served, namespaces)).collect()
    }
}

/// Namespaces that there are, with their labels: those that are defined, and those of objects.
pub(crate) fn namespaces<'a>(
    defined: &[Metadata],
    used: impl Iterator<Item = &'a str>,
) -> Namespaces {
    let mut all: Namespaces = used.map(|name| (name.to_owned(), Labels::new())).collect();
    for metadata in defined {
        all.insert(metadata.name.clone(), metadata.labels.clone());
    }
    for (name, labels) in &mut all {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.clone());
    }
    all
}
