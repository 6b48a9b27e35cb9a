//! Where requests can enter an application that nobody described: what traffic is assumed for,
//! and what a skeleton offers.
//!
//! The rule, in this order: hosts that an Ingress or Gateway serves; else services of type
//! LoadBalancer or NodePort; else the services that no other workload's environment or arguments
//! name, which are then taken to stand behind a load balancer.

use super::names::short;
use super::reader::Reader;
use crate::assembly::Assembly;
use crate::diagnostic::Code;
use crate::document::Document;
use crate::source::Span;
use crate::tree::{Node, Value};
use cloud::scenario::{
    Cluster, ClusterId, PathMatch, Proxy, Route, Service, ServiceId, ServiceKind, Transport,
};
use std::collections::{BTreeMap, BTreeSet};

/// A way into an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// A name for its traffic.
    pub(crate) name: String,
    /// As in `to:` of traffic.
    pub(crate) to: String,
    /// What is found there, in words.
    pub(crate) what: String,
    /// The service that has to be opened to the outside first.
    pub(crate) opened: Option<(ClusterId, ServiceId)>,
}

/// All entries, with names of their own.
pub(crate) fn find(assemblies: &[Assembly], documents: &[Vec<&Document>]) -> Vec<Entry> {
    let clusters = || {
        assemblies
            .iter()
            .enumerate()
            .map(|(position, assembly)| (ClusterId::from(position), &assembly.cluster))
    };
    let mut entries: Vec<_> = clusters()
        .flat_map(|(_, cluster)| {
            cluster
                .proxies
                .iter()
                .flat_map(move |proxy| hosts(cluster, proxy))
        })
        .collect();
    if entries.is_empty() {
        entries = clusters()
            .flat_map(|(_, cluster)| {
                let services = cluster.services.iter();
                services.filter_map(move |service| open_service(cluster, service))
            })
            .collect();
    }
    if entries.is_empty() {
        entries = clusters()
            .zip(documents)
            .flat_map(|((id, cluster), documents)| roots(id, cluster, documents))
            .collect();
    }
    with_own_names(entries)
}

/// Each host of a proxy with the first path that leads to each set of backends.
fn hosts(cluster: &Cluster, proxy: &Proxy) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for route in &proxy.routes {
        let Some(first) = route.backends.iter().find_map(|backend| backend.service) else {
            continue;
        };
        let host = match route.matches.hosts.first() {
            Some(host) => host.replace('*', "www"),
            None => "example.com".to_owned(),
        };
        let mut services: Vec<_> = route
            .backends
            .iter()
            .map(|backend| backend.service)
            .collect();
        services.sort();
        let demanding = !route.matches.headers.is_empty() || route.matches.method.is_some();
        if demanding || !seen.insert((host.clone(), services)) {
            continue;
        }
        let service = &cluster.services[first.index()];
        entries.push(Entry {
            name: service.name.clone(),
            to: format!("http://{host}{}", path(route)),
            what: format!("{} leads there to service {}", proxy.name, service.name),
            opened: None,
        });
    }
    entries
}

fn path(route: &Route) -> &str {
    match &route.matches.path {
        PathMatch::Any => "/",
        PathMatch::Exact(path) | PathMatch::Prefix(path) => path,
    }
}

/// Service and port, of those that HTTP can go to.
fn address(service: &Service) -> Option<String> {
    let web = |name: &str| name.starts_with("http") || name == "web";
    let ports = service.ports.iter();
    let mut ports = ports.filter(|port| port.transport == Transport::Tcp);
    let port = ports
        .clone()
        .find(|port| port.port == 80 || port.name.as_deref().is_some_and(web))
        .or(ports.next())?;
    Some(match service.namespace.as_str() {
        "default" => format!("{}:{}", service.name, port.port),
        namespace => format!("{}.{namespace}:{}", service.name, port.port),
    })
}

fn open_service(cluster: &Cluster, service: &Service) -> Option<Entry> {
    let open = matches!(
        service.kind,
        ServiceKind::LoadBalancer | ServiceKind::NodePort
    );
    let of_proxy = cluster
        .proxies
        .iter()
        .any(|proxy| cluster.services[proxy.service.index()] == *service);
    if !open || of_proxy || service.backends.is_empty() {
        return None;
    }
    Some(Entry {
        name: service.name.clone(),
        to: address(service)?,
        what: format!(
            "service {} can be reached from outside",
            short(&service.namespace, &service.name)
        ),
        opened: None,
    })
}

/// Services that nobody else's environment names.
fn roots(id: ClusterId, cluster: &Cluster, documents: &[&Document]) -> Vec<Entry> {
    let candidates: Vec<_> = cluster
        .services
        .iter()
        .enumerate()
        .filter(|(_, service)| service.kind != ServiceKind::Headless)
        .filter(|(_, service)| !service.ports.is_empty() && !service.backends.is_empty())
        .collect();
    let mentions = Mentions::of(documents);
    let is_named = |service: &Service| {
        let own = |document: &Document| {
            service.backends.iter().any(|backend| {
                let workload = &cluster.workloads[backend.index()];
                workload.name == document.metadata.name
                    && workload.namespace == document.metadata.namespace
            })
        };
        let mut by = mentions.of_service(service).iter();
        by.any(|&position| !own(documents[position]))
    };
    let mut roots: Vec<_> = candidates
        .iter()
        .filter(|(_, service)| !is_named(service))
        .collect();
    if roots.is_empty() {
        roots = candidates.iter().collect();
    }
    roots
        .into_iter()
        .filter_map(|(position, service)| {
            Some(Entry {
                name: service.name.clone(),
                to: address(service)?,
                what: format!(
                    "no workload's environment names service {}",
                    short(&service.namespace, &service.name)
                ),
                opened: Some((id, ServiceId::from(*position))),
            })
        })
        .collect()
}

/// Which documents of workloads name which hosts in their containers' environment or arguments.
pub(crate) struct Mentions {
    /// Positions of documents by namespace and name of the service that a host would mean.
    by: BTreeMap<(String, String), BTreeSet<usize>>,
}

impl Mentions {
    /// Looks through documents once.
    pub(crate) fn of(documents: &[&Document]) -> Mentions {
        let mut mentions = Mentions {
            by: BTreeMap::new(),
        };
        for (position, document) in documents.iter().enumerate() {
            for (namespace, name) in hosts_named(document) {
                let by = mentions.by.entry((namespace, name)).or_default();
                by.insert(position);
            }
        }
        mentions
    }

    /// Positions of the documents that name a service.
    pub(crate) fn of_service(&self, service: &Service) -> &BTreeSet<usize> {
        static NONE: BTreeSet<usize> = BTreeSet::new();
        let key = (service.namespace.clone(), service.name.clone());
        self.by.get(&key).unwrap_or(&NONE)
    }
}

/// Namespace and name of every service that a workload's containers may name.
fn hosts_named(document: &Document) -> BTreeSet<(String, String)> {
    let root = &document.root;
    let spec = root
        .at(&["spec", "template", "spec"])
        .or_else(|| root.get("spec").filter(|_| document.kind.kind == "Pod"));
    let containers = spec.map_or(&[][..], |spec| spec.list("containers"));
    let texts = containers.iter().flat_map(|container| {
        let environment = container
            .list("env")
            .iter()
            .filter_map(|entry| entry.get("value"));
        let arguments = container
            .list("args")
            .iter()
            .chain(container.list("command"));
        environment.chain(arguments).filter_map(Node::text)
    });
    let apart = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-' && letter != '.';
    texts
        .flat_map(|text| text.split(apart))
        .filter(|host| !host.is_empty())
        .map(|host| {
            let mut labels = host.split('.');
            let name = labels.next().unwrap_or_default();
            let namespace = labels.next().unwrap_or(&document.metadata.namespace);
            (namespace.to_owned(), name.to_owned())
        })
        .collect()
}

fn with_own_names(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    for entry in &mut entries {
        let base = entry.name.clone();
        let mut number = 2;
        while !seen.insert(entry.name.clone()) {
            entry.name = format!("{base}-{number}");
            number += 1;
        }
    }
    entries
}

/// The entries as `traffic:` would say them.
pub(crate) fn as_traffic(entries: &[Entry], at: crate::source::Span) -> Node {
    use crate::tree::{Entry as Field, ScalarKind};
    let node = |value| Node { span: at, value };
    let field = |key: &str, text: &str| Field {
        key: key.to_owned(),
        key_span: at,
        value: node(Value::Scalar(text.to_owned(), ScalarKind::String)),
    };
    let items = entries
        .iter()
        .map(|entry| {
            node(Value::Mapping(vec![
                field("name", &entry.name),
                field("to", &entry.to),
            ]))
        })
        .collect();
    node(Value::Mapping(vec![Field {
        key: "traffic".to_owned(),
        key_span: at,
        value: node(Value::Sequence(items)),
    }]))
}

/// Where somebody who names no traffic sends requests.
pub(super) fn assume_traffic(
    spec: &Node,
    found: &[Entry],
    assemblies: &mut [Assembly],
    reader: &mut Reader<'_>,
) -> Vec<Entry> {
    if let Some(said) = spec.get("traffic") {
        if matches!(&said.value, Value::Sequence(items) if items.is_empty()) {
            no_traffic(said.span, reader);
        }
        return Vec::new();
    }
    if found.is_empty() {
        no_traffic(spec.span, reader);
    }
    for entry in found {
        reader.assume(format!(
            "No traffic is described: requests to {} were assumed, because {}.",
            entry.to, entry.what
        ));
        if let Some((cluster, service)) = entry.opened {
            let service = &mut assemblies[cluster.index()].cluster.services[service.index()];
            service.kind = ServiceKind::LoadBalancer;
            reader.assume(format!(
                "Service {} was given a load balancer, so that users reach it.",
                service.name
            ));
        }
    }
    found.to_vec()
}

fn no_traffic(span: Span, reader: &mut Reader<'_>) {
    // Whoever made other mistakes may not have made this one.
    if reader.diagnostics.has_errors() {
        return;
    }
    let message = "nobody sends requests, and nothing is found to send them to";
    reader
        .diagnostics
        .report(Code::NoTraffic, span, message)
        .help("add services with workloads behind them, and say under `traffic` who asks whom");
}
