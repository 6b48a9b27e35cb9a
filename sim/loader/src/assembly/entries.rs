//! What ServiceEntries and WorkloadEntries refer to and is not there, and what they say twice.
//! istiod accepts all of it.
//!
//! Leaves out: WorkloadGroups that nobody selects, names that proxies resolve and nobody calls.

use super::Frame;
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::objects::Written;
use crate::kubernetes::Objects;
use crate::source::Span;
use crate::tree::Node;
use cloud::istio::authentication::selects;
use cloud::istio::config::{Endpoint, Labels, Location, Object, ServiceEntry};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Reports them for a stage.
pub(super) fn check(frame: &Frame, objects: &Objects, diagnostics: &mut Diagnostics) {
    if frame.mesh.is_none() {
        return;
    }
    let mut hosts: BTreeMap<(&str, String), &ServiceEntry> = BTreeMap::new();
    for written in &objects.istio.written {
        match &written.object {
            Object::ServiceEntry(entry) => {
                check_hosts(entry, written, &mut hosts, diagnostics);
                let nodes = spec(written).map_or(&[][..], |spec| spec.list("endpoints"));
                for (endpoint, node) in entry.endpoints.iter().zip(nodes) {
                    check_address(frame, objects, endpoint, node.span, diagnostics);
                    check_proxy(frame, entry.location, endpoint, node.span, diagnostics);
                }
            }
            Object::WorkloadEntry(entry) => {
                let endpoint = &entry.endpoint;
                check_address(frame, objects, endpoint, written.span, diagnostics);
                check_proxy(
                    frame,
                    Location::Internal,
                    endpoint,
                    written.span,
                    diagnostics,
                );
                check_selected(objects, written, &endpoint.labels, diagnostics);
            }
            _ => {}
        }
    }
}

fn spec(written: &Written) -> Option<&Node> {
    written.root.get("spec")
}

/// A host that two ServiceEntries of a namespace name, unless each has its own ports and proxies
/// get those of both.
fn check_hosts<'a>(
    entry: &'a ServiceEntry,
    written: &Written,
    hosts: &mut BTreeMap<(&'a str, String), &'a ServiceEntry>,
    diagnostics: &mut Diagnostics,
) {
    let nodes = spec(written).map_or(&[][..], |spec| spec.list("hosts"));
    for (host, node) in entry.hosts.iter().zip(nodes) {
        let key = (entry.identity.namespace.as_str(), host.to_lowercase());
        let Some(other) = hosts.insert(key, entry) else {
            continue;
        };
        let mut pair = [other, entry];
        pair.sort_by_key(|it| it.identity.age_order());
        let [older, younger] = pair;
        let mut ports = older.ports.iter();
        let shared = ports.find(|port| younger.ports.iter().any(|it| it.number == port.number));
        let names = (&older.identity.name, &younger.identity.name);
        let message = match shared {
            _ if !older.takes_in(younger) => format!(
                "`{}` and `{}` both name `{host}` and differ: ports of `{}` alone count",
                names.0, names.1, names.0
            ),
            Some(port) => format!(
                "`{}` and `{}` both name `{host}` with port {}",
                names.0, names.1, port.number
            ),
            None => continue,
        };
        diagnostics
            .report(Code::EntryHostTwice, node.span, message)
            .help("put their endpoints into one ServiceEntry");
    }
}

/// A WorkloadEntry that nobody selects.
fn check_selected(
    objects: &Objects,
    written: &Written,
    labels: &Labels,
    diagnostics: &mut Diagnostics,
) {
    let identity = written.object.identity();
    let services = objects.services.iter();
    let of_services = services.filter(|it| it.metadata.namespace == identity.namespace);
    let of_services = of_services.filter_map(|it| it.selector.as_ref());
    let entries = objects.istio.written.iter();
    let of_entries = entries.filter_map(|written| match &written.object {
        Object::ServiceEntry(entry) if entry.identity.namespace == identity.namespace => {
            entry.selector.as_ref()
        }
        _ => None,
    });
    let mut selectors = of_services.chain(of_entries);
    if selectors.any(|selector| !selector.is_empty() && selects(selector, labels)) {
        return;
    }
    let shown = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let shown: Vec<String> = shown.collect();
    let message = format!(
        "no ServiceEntry or Service of namespace `{}` selects the WorkloadEntry `{}` ({})",
        identity.namespace,
        identity.name,
        if shown.is_empty() {
            "without labels".to_owned()
        } else {
            shown.join(", ")
        }
    );
    diagnostics
        .report(Code::EntryUnselected, written.span, message)
        .help("give it the labels of a `selector` or `workloadSelector` there");
}

/// An endpoint where no machine stands, or in a network that nothing describes.
fn check_address(
    frame: &Frame,
    objects: &Objects,
    endpoint: &Endpoint,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let address = &endpoint.address;
    let is_there = match address.parse::<Ipv4Addr>() {
        Ok(address) => frame.machines.iter().any(|machines| machines.has(address)),
        Err(_) => frame
            .machines
            .iter()
            .any(|machines| machines.host.as_deref() == Some(address.to_lowercase().as_str())),
    };
    if !is_there && !address.is_empty() {
        let message = format!("no machine is called `{address}`");
        diagnostics
            .report(Code::MachineNotFound, span, message)
            .help("describe it under `machines` of the Scenario, with this `address` or `host`");
    }
    let network = endpoint.network.as_ref();
    let networks = &objects.istio.networks;
    if let Some(network) = network.filter(|network| !networks.contains_key(*network)) {
        let message = format!("no `meshNetworks` describe the network `{network}`");
        diagnostics
            .report(Code::MachineNotFound, span, message)
            .help("leave `network` out, and it is asked directly, as it is now");
    }
}

/// An endpoint that says that it takes mutual TLS, and has no proxy.
fn check_proxy(
    frame: &Frame,
    location: Location,
    endpoint: &Endpoint,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let mode = endpoint.labels.get("security.istio.io/tlsMode");
    let is_mutual = match mode {
        Some(mode) => mode == "istio",
        None => endpoint.service_account.is_some(),
    };
    let Ok(address) = endpoint.address.parse::<Ipv4Addr>() else {
        return;
    };
    let machines = frame.machines.iter().find(|it| it.has(address));
    let Some(machines) = machines.filter(|it| it.proxy.is_none()) else {
        return;
    };
    if is_mutual && location == Location::Internal {
        let message = format!(
            "sidecars send mutual TLS to `{}`, and `{}` has no proxy to take it",
            endpoint.address, machines.name
        );
        diagnostics
            .report(Code::MachineWithoutProxy, span, message)
            .help("remove `serviceAccount` and the label `security.istio.io/tlsMode`, or give the machine a `proxy`");
    }
}
