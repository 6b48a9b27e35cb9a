//! What kube-proxy reads: Services, EndpointSlices, Nodes, and its own configuration.
//!
//! Models: every field that goes into the rules of a node, where manifests are read as they are,
//! without a scenario. Documents of other kinds are passed over; a KubeProxyConfiguration may stand alone or in the `config.conf` of a ConfigMap.
//! Approximated: of two slices that disagree about one address, the one whose name sorts last
//! counts; a real kube-proxy takes either at random.
//! Leaves out: services and slices of IPv6.
//! Sources: k8s.io/api core/v1, discovery/v1; k8s.io/kube-proxy config/v1alpha1 (1.36).

mod configuration;

pub(super) use configuration::{KUBE_PROXY_CONFIGURATION, validate};
pub use configuration::{Overrides, SCHEDULERS, configuration, scheduler};

use super::node::ZONE;
use super::service::{SERVICE_NAME, session_affinity, transport};
use crate::diagnostic::Diagnostics;
use crate::source::File;
use crate::tree::{Budget, Node as Tree, parse};
use cloud::rules::{Configuration, Endpoint, Node, Service, ServicePort};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The key under which kubeadm writes a KubeProxyConfiguration into a ConfigMap.
pub const CONFIG: &str = "config.conf";

/// What kube-proxy reads.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Services with a cluster address, by namespace and name.
    pub services: Vec<Service>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// What an administrator set, where a document says so.
    pub configuration: Option<Configuration>,
    /// Ranges of ServiceCIDR objects.
    pub service_cidrs: Vec<IpNet>,
    /// Whether there is any EndpointSlice.
    pub has_slices: bool,
}

/// Reads manifests. What cannot be read as YAML is reported in words.
pub fn read(files: &[File]) -> Result<Known, String> {
    let mut documents = Vec::new();
    for (position, file) in files.iter().enumerate() {
        for document in trees(&file.text, position as u32, files)? {
            match document.list("items") {
                [] => documents.push(document),
                items => documents.extend(items.iter().cloned()),
            }
        }
    }
    let of_kind = |kind: &'static str| {
        let documents = documents.iter();
        documents.filter(move |document| string(document, &["kind"]) == kind)
    };
    let slices: Vec<&Tree> = of_kind("EndpointSlice").collect();
    let mut services: Vec<Service> = of_kind("Service")
        .filter_map(|document| service(document, &slices))
        .collect();
    services
        .sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    let read = |document: &Tree| configuration(Some(document), &Overrides::default());
    let mut configuration_of = of_kind("KubeProxyConfiguration").next().map(read);
    for map in of_kind("ConfigMap") {
        let text = string(map, &["data", CONFIG]);
        for document in trees(&text, 0, &[])? {
            if string(&document, &["kind"]) == "KubeProxyConfiguration" {
                configuration_of.get_or_insert_with(|| read(&document));
            }
        }
    }
    Ok(Known {
        services,
        nodes: of_kind("Node").map(node).collect(),
        configuration: configuration_of,
        service_cidrs: of_kind("ServiceCIDR")
            .flat_map(|document| strings(document, &["spec", "cidrs"]))
            .filter_map(|range| range.parse().ok())
            .collect(),
        has_slices: !slices.is_empty(),
    })
}

/// The documents of a text.
pub fn trees(text: &str, file: u32, files: &[File]) -> Result<Vec<Tree>, String> {
    let mut diagnostics = Diagnostics::default();
    let trees = parse(text, file, Budget::default(), &mut diagnostics);
    match diagnostics.finish(files).first() {
        Some(problem) => Err(problem.message.clone()),
        None => Ok(trees),
    }
}

fn string(tree: &Tree, path: &[&str]) -> String {
    let found = tree.at(path).and_then(Tree::text);
    found.unwrap_or_default().to_owned()
}

fn strings(tree: &Tree, path: &[&str]) -> Vec<String> {
    let items = tree.at(path).map_or(&[][..], Tree::items);
    let texts = items.iter().filter_map(Tree::text);
    texts.map(str::to_owned).collect()
}

fn truth(tree: &Tree, path: &[&str]) -> Option<bool> {
    tree.at(path).and_then(Tree::bool)
}

fn port_number(tree: &Tree, key: &str) -> Option<u16> {
    let number = u16::try_from(tree.get(key)?.integer()?).ok()?;
    (number > 0).then_some(number)
}

fn namespace(tree: &Tree) -> String {
    match string(tree, &["metadata", "namespace"]) {
        none if none.is_empty() => "default".to_owned(),
        named => named,
    }
}

fn node(document: &Tree) -> Node {
    let listed = document.at(&["status", "addresses"]);
    let addresses = listed.map_or(&[][..], Tree::items).iter();
    let zone = document
        .at(&["metadata", "labels"])
        .map_or_else(String::new, |labels| string(labels, &[ZONE]));
    let mut ranges = strings(document, &["spec", "podCIDRs"]);
    if ranges.is_empty() {
        ranges.push(string(document, &["spec", "podCIDR"]));
    }
    Node {
        name: string(document, &["metadata", "name"]),
        addresses: addresses
            .filter(|one| string(one, &["type"]) == "InternalIP")
            .filter_map(|one| string(one, &["address"]).parse().ok())
            .collect(),
        zone: (!zone.is_empty()).then_some(zone),
        pod_cidrs: ranges
            .iter()
            .filter_map(|range| range.parse().ok())
            .collect(),
    }
}

/// A Service, unless kube-proxy passes it over.
fn service(document: &Tree, slices: &[&Tree]) -> Option<Service> {
    let spec = document.get("spec")?;
    let labels = document.at(&["metadata", "labels"]);
    let foreign = labels.and_then(|all| all.get("service.kubernetes.io/service-proxy-name"));
    let cluster_ip = cluster_ip(spec);
    if foreign.is_some() || string(spec, &["type"]) == "ExternalName" {
        return None;
    }
    let (namespace, name) = (namespace(document), string(document, &["metadata", "name"]));
    let own: Vec<&Tree> = slices_of(slices, &namespace, &name);
    let external = string(spec, &["externalTrafficPolicy"]) == "Local";
    let kind = string(spec, &["type"]);
    let external_ips = external_ips(spec);
    let reachable = kind == "NodePort" || kind == "LoadBalancer" || !external_ips.is_empty();
    let balanced = kind == "LoadBalancer";
    Some(Service {
        cluster_ip: cluster_ip?.into(),
        external_ips: any_family(external_ips),
        load_balancer_ips: any_family(match balanced {
            true => load_balancer_ips(document).unwrap_or_default(),
            false => Vec::new(),
        }),
        source_ranges: source_ranges(spec),
        internal_local: string(spec, &["internalTrafficPolicy"]) == "Local",
        external_local: external && reachable,
        affinity: session_affinity(spec),
        health_check_node_port: port_number(spec, "healthCheckNodePort")
            .filter(|_| external && balanced),
        ports: spec
            .list("ports")
            .iter()
            .filter_map(|port| service_port(port, &own))
            .collect(),
        namespace,
        name,
    })
}

fn ipv4(texts: Vec<String>) -> Vec<Ipv4Addr> {
    let parsed = texts.iter().filter_map(|text| text.parse().ok());
    parsed.collect()
}

fn any_family(addresses: Vec<Ipv4Addr>) -> Vec<IpAddr> {
    addresses.into_iter().map(IpAddr::from).collect()
}

/// The first of `clusterIPs`, or else `clusterIP`.
pub(super) fn cluster_ip(spec: &Tree) -> Option<Ipv4Addr> {
    let mut texts = strings(spec, &["clusterIPs"]);
    texts.push(string(spec, &["clusterIP"]));
    ipv4(texts).into_iter().next()
}

pub(super) fn external_ips(spec: &Tree) -> Vec<Ipv4Addr> {
    ipv4(strings(spec, &["externalIPs"]))
}

/// Addresses of the status whose packets arrive unchanged; `None` if it names none at all.
pub(super) fn load_balancer_ips(document: &Tree) -> Option<Vec<Ipv4Addr>> {
    let listed = document.at(&["status", "loadBalancer", "ingress"]);
    let listed = listed.map_or(&[][..], Tree::items);
    let unchanged = listed
        .iter()
        .filter(|one| string(one, &["ipMode"]) != "Proxy");
    let addresses = ipv4(unchanged.map(|one| string(one, &["ip"])).collect());
    (!listed.is_empty()).then_some(addresses)
}

/// Ranges as written; none if one of them holds every address.
pub(super) fn source_ranges(spec: &Tree) -> Vec<IpNet> {
    let ranges: Vec<IpNet> = strings(spec, &["loadBalancerSourceRanges"])
        .iter()
        .filter_map(|range| range.trim().parse::<IpNet>().ok())
        .filter(|range| range.addr().is_ipv4())
        .collect();
    if ranges.iter().any(|range| range.prefix_len() == 0) {
        return Vec::new();
    }
    ranges
}

/// The slices that kube-proxy reads for a service, by name.
fn slices_of<'t>(slices: &[&'t Tree], of_namespace: &str, name: &str) -> Vec<&'t Tree> {
    let mut own: Vec<&Tree> = slices
        .iter()
        .copied()
        .filter(|slice| {
            let labels = slice.at(&["metadata", "labels"]);
            let label = |key: &str| labels.and_then(|all| all.get(key)).and_then(Tree::text);
            namespace(slice) == of_namespace
                && label(SERVICE_NAME) == Some(name)
                && label("service.kubernetes.io/headless").is_none()
                && label("service.kubernetes.io/service-proxy-name").is_none()
                && string(slice, &["addressType"]) == "IPv4"
        })
        .collect();
    own.sort_by_key(|slice| string(slice, &["metadata", "name"]));
    own
}

fn service_port(port: &Tree, slices: &[&Tree]) -> Option<ServicePort> {
    let (name, protocol) = (string(port, &["name"]), transport(port));
    let mut endpoints: BTreeMap<String, Endpoint> = BTreeMap::new();
    for slice in slices {
        let ports = slice.list("ports").iter();
        let same = ports.filter(|one| string(one, &["name"]) == name && transport(one) == protocol);
        for number in same.filter_map(|one| port_number(one, "port")) {
            let listed = slice.list("endpoints").iter();
            let read = listed.filter_map(|listed| endpoint(listed, number));
            endpoints.extend(read.map(|one| (one.address.to_string(), one)));
        }
    }
    Some(ServicePort {
        name,
        protocol,
        port: port_number(port, "port")?,
        node_port: port_number(port, "nodePort"),
        endpoints: endpoints.into_values().collect(),
    })
}

fn endpoint(listed: &Tree, port: u16) -> Option<Endpoint> {
    let address = listed.list("addresses").first()?.text()?.parse().ok()?;
    let condition = |name: &str| truth(listed, &["conditions", name]);
    let hints = |key: &str| {
        let listed = listed.at(&["hints", key]);
        let named = listed.map_or(&[][..], Tree::items).iter();
        named.map(|hint| string(hint, &["name"])).collect()
    };
    let node = string(listed, &["nodeName"]);
    Some(Endpoint {
        address: SocketAddr::new(address, port),
        node: (!node.is_empty()).then_some(node),
        ready: condition("ready").unwrap_or(true),
        serving: condition("serving").unwrap_or(true),
        terminating: condition("terminating").unwrap_or(false),
        zone_hints: hints("forZones"),
        node_hints: hints("forNodes"),
    })
}
