//! What labels and annotations of pods and services say to Istio.
//!
//! Models: which connections go through a proxy, its CPU and memory, its settings, who injects;
//! what ports of services carry and who may see a service.
//! Leaves out: images, volumes, probes' ports and statistics of proxies, injection templates but that of gateways.
//! Sources: istio/api annotation/annotations.yaml; istio/istio pkg/kube/inject/{inject,validate}.go,
//! pilot/pkg/serviceregistry/kube/conversion.go.
//! Validated by: `tests/promises/istio_pods.rs`.

use super::forms::Scope;
use super::proxy::{PROXY_SETTINGS, settings};
use crate::document::{Document, place};
use crate::kubernetes::metadata::Metadata;
use crate::shape::{Account, check, nearest};
use crate::source::Span;
use crate::tree::{Budget, Entry, Node, parse};
use crate::value::{Quantity, parse_quantity};
use cloud::istio::config::{
    Audience, ExportTo, Included, InterceptionMode, PodSettings, ServiceSettings,
};
use cloud::istio::distribution::Word;
use cloud::istio::protocol::Protocol;
use std::str::FromStr;

const TRAFFIC: &str = "traffic.sidecar.istio.io/";
const SIDECAR: &str = "sidecar.istio.io/";
const EXPORT_TO: &str = "networking.istio.io/exportTo";
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
const CONFIG: &str = "proxy.istio.io/config";
/// Names the templates that a pod is made by.
const TEMPLATES: &str = "inject.istio.io/templates";
/// The one that makes gateways.
const GATEWAY: &str = "gateway";

/// Names that follow [`TRAFFIC`].
const OF_TRAFFIC: &[&str] = &[
    "includeOutboundIPRanges",
    "excludeOutboundIPRanges",
    "includeOutboundPorts",
    "excludeOutboundPorts",
    "includeInboundPorts",
    "excludeInboundPorts",
    "excludeInterfaces",
    "kubevirtInterfaces",
];
/// Names that follow [`SIDECAR`].
const OF_SIDECAR: &[&str] = &[
    "agentLogLevel",
    "bootstrapOverride",
    "componentLogLevel",
    "controlPlaneAuthPolicy",
    "discoveryAddress",
    "enableCoreDump",
    "extraStatTags",
    "inject",
    "interceptionMode",
    "logLevel",
    "nativeSidecar",
    "proxyCPU",
    "proxyCPULimit",
    "proxyImage",
    "proxyImageType",
    "proxyMemory",
    "proxyMemoryLimit",
    "rewriteAppHTTPProbers",
    "statsCompression",
    "statsHistogramBuckets",
    "statsInclusionPrefixes",
    "statsInclusionRegexps",
    "statsInclusionSuffixes",
    "status",
    "userVolume",
    "userVolumeMount",
];

/// What a pod says, and what makes the webhook refuse it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodNotes {
    /// What it says.
    pub(crate) settings: PodSettings,
    /// Whether it asks to be made a gateway.
    pub(crate) is_gateway: bool,
    /// Where a value is none, and which.
    pub(crate) refused: Vec<(Span, String)>,
}

/// Reads the annotations of a workload's pods.
pub(super) fn read_pod(document: &Document, scope: &mut Scope<'_>) -> PodNotes {
    let path: &[&str] = match document.kind.kind {
        "Pod" => &["metadata", "annotations"],
        _ => &["spec", "template", "metadata", "annotations"],
    };
    let mut notes = PodNotes::default();
    let entries = document.root.at(path).map_or(&[][..], Node::entries);
    for entry in entries {
        let Some(text) = entry.value.str() else {
            continue;
        };
        if let Some(name) = entry.key.strip_prefix(TRAFFIC) {
            check_known(name, entry, OF_TRAFFIC, TRAFFIC, scope);
            notes.traffic(name, text, entry.value.span);
        } else if let Some(name) = entry.key.strip_prefix(SIDECAR) {
            check_known(name, entry, OF_SIDECAR, SIDECAR, scope);
            notes.sidecar(name, text, entry.value.span);
        } else if entry.key == TEMPLATES {
            notes.is_gateway = text.split(',').any(|name| name.trim() == GATEWAY);
        } else if entry.key == CONFIG {
            notes.config(text, entry, scope);
        }
    }
    // Its own annotation counts before what its settings say.
    if let Some(mode) = notes.settings.interception {
        notes.settings.proxy.interception = Some(mode);
    }
    notes
}

fn check_known(name: &str, entry: &Entry, known: &[&str], prefix: &str, scope: &mut Scope<'_>) {
    if known.contains(&name) {
        return;
    }
    let message = format!("Istio has no annotation `{prefix}{name}`");
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{prefix}{near}`?"),
        None => format!("it knows {}", known.join(", ")),
    };
    scope.warn(entry.key_span, message, &help);
}

/// The entries of a list with commas; an empty text is an empty list.
fn list<T: FromStr>(text: &str) -> Option<Vec<T>> {
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    entries.map(|entry| entry.parse().ok()).collect()
}

fn included<T: FromStr>(text: &str) -> Option<Included<T>> {
    match text.trim() {
        "*" => Some(Included::All),
        _ => list(text).map(Included::Only),
    }
}

impl PodNotes {
    /// Puts a value in its place, or notes that it is none.
    fn put<T>(
        &mut self,
        place: fn(&mut PodSettings) -> &mut T,
        value: Option<T>,
        (name, text, span): (&str, &str, Span),
    ) {
        match value {
            Some(value) => *place(&mut self.settings) = value,
            None => {
                let message = format!("`{text}` is no value of `{name}`");
                self.refused.push((span, message));
            }
        }
    }

    fn traffic(&mut self, name: &str, text: &str, span: Span) {
        let of = (name, text, span);
        match name {
            "includeOutboundIPRanges" => {
                self.put(|it| &mut it.capture.outbound_ranges, included(text), of);
            }
            "excludeOutboundIPRanges" => {
                self.put(
                    |it| &mut it.capture.outbound_ranges_excluded,
                    list(text),
                    of,
                );
            }
            "includeOutboundPorts" => {
                self.put(|it| &mut it.capture.outbound_ports, list(text), of);
            }
            "excludeOutboundPorts" => {
                self.put(|it| &mut it.capture.outbound_ports_excluded, list(text), of);
            }
            "includeInboundPorts" => {
                self.put(|it| &mut it.capture.inbound_ports, included(text), of);
            }
            "excludeInboundPorts" => {
                self.put(|it| &mut it.capture.inbound_ports_excluded, list(text), of);
            }
            _ => {}
        }
    }

    fn sidecar(&mut self, name: &str, text: &str, span: Span) {
        let of = (name, text, span);
        let amount = |unit: fn(Quantity) -> u64| parse_quantity(text).ok().map(unit).map(Some);
        match name {
            "inject" => self.settings.inject = Some(text.to_owned()),
            "nativeSidecar" => self.put(|it| &mut it.is_native, text.parse().ok().map(Some), of),
            "proxyCPU" => {
                let cpu = amount(Quantity::milli);
                self.put(|it| &mut it.resources.cpu_request_milli, cpu, of);
            }
            "proxyCPULimit" => {
                let cpu = amount(Quantity::milli);
                self.put(|it| &mut it.resources.cpu_limit_milli, cpu, of);
            }
            "proxyMemory" => {
                let memory = amount(Quantity::whole);
                self.put(|it| &mut it.resources.memory_request_bytes, memory, of);
            }
            "proxyMemoryLimit" => {
                let memory = amount(Quantity::whole);
                self.put(|it| &mut it.resources.memory_limit_bytes, memory, of);
            }
            "interceptionMode" => {
                let mode = match text {
                    "REDIRECT" => Some(InterceptionMode::Redirect),
                    "TPROXY" => Some(InterceptionMode::Tproxy),
                    "NONE" => Some(InterceptionMode::None),
                    _ => None,
                };
                self.put(|it| &mut it.interception, mode.map(Some), of);
            }
            _ => {}
        }
    }

    /// `proxy.istio.io/config`: a text of YAML, all of which is told to stand where it begins.
    fn config(&mut self, text: &str, entry: &Entry, scope: &mut Scope<'_>) {
        let span = entry.key_span;
        let known = scope.diagnostics.count();
        let mut trees = parse(text, span.file, Budget::default(), scope.diagnostics);
        scope.diagnostics.move_to(known, span);
        if trees.is_empty() {
            return;
        }
        let mut tree = trees.swap_remove(0);
        place(&mut tree, span);
        // The annotation as a whole stands in the ledger.
        let mut account = Account::default();
        check(&tree, &PROXY_SETTINGS, &mut account, scope.diagnostics);
        self.settings.proxy = settings(&tree, scope);
    }
}

/// What a service says to Istio beside what Kubernetes reads; nothing if it says nothing.
pub(super) fn read_service(document: &Document) -> Option<ServiceSettings> {
    let mut said = ServiceSettings::default();
    for node in document.spec().list("ports") {
        let of = |key: &str| node.get(key).and_then(Node::str);
        let number = node.get("port").and_then(Node::integer);
        let number = number.and_then(|number| u16::try_from(number).ok());
        if let (Some(number), Some(app_protocol)) = (number, of("appProtocol")) {
            let is_udp = of("protocol") == Some("UDP");
            let protocol = Protocol::of_port(number, of("name"), Some(app_protocol), is_udp);
            said.protocols.insert(number, protocol);
        }
    }
    let export_to = document.metadata.annotations.get(EXPORT_TO);
    if let Some(text) = export_to {
        let entries = text.split(',').map(str::trim);
        said.export_to = ExportTo::Only(entries.map(Audience::of).collect());
    }
    said.distribution = traffic_distribution(&document.metadata);
    (said != ServiceSettings::default()).then_some(said)
}

/// Which endpoints the clients of a service, or of the services of a namespace, should prefer.
pub(crate) fn traffic_distribution(metadata: &Metadata) -> Option<Word> {
    Word::of_annotation(metadata.annotations.get(TRAFFIC_DISTRIBUTION)?)
}
