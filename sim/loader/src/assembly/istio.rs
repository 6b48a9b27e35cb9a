//! Istio in a cluster: what it holds at the start, and what each `apply` changes of it.

use super::{MeshFrame, waypoints};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::annotations;
use crate::istio::objects::IstioObjects;
use crate::kubernetes::Objects;
use cloud::istio::config::{
    Configuration, Gateway, Istio, Namespace, Object, ProxyResources, ServiceSettings,
    VirtualService, WaypointUse,
};
use cloud::istio::drain::NativeSidecars;
use cloud::istio::version::Version;
use cloud::scenario::Change;
use std::collections::{BTreeMap, BTreeSet};

/// Istio at the first stage; none if no stage says anything to it.
pub(super) fn of_start(stages: &[Objects], uses: &[WaypointUse]) -> Option<Istio> {
    if uses.is_empty() && stages.iter().all(|objects| objects.istio.is_empty()) {
        return None;
    }
    let said = &stages[0].istio;
    let base = Istio::default();
    let namespaces = stages[0].namespaces.iter();
    Some(Istio {
        version: said.minor.map_or(base.version, Version::new),
        mesh: said.mesh.clone().unwrap_or(base.mesh),
        networks: said.networks.clone(),
        proxy_resources: proxy_resources(said),
        namespaces: namespaces
            .map(|metadata| Namespace {
                name: metadata.name.clone(),
                labels: metadata.labels.clone(),
                distribution: annotations::traffic_distribution(metadata),
            })
            .collect(),
        services: services(stages),
        limits: said.limits.clone(),
        objects: configuration(&stages[0], uses),
    })
}

/// CPU and memory of proxies whose pods do not say: each amount that the installation sets
/// replaces the usual one.
pub(super) fn proxy_resources(said: &IstioObjects) -> ProxyResources {
    let usual = Istio::default().proxy_resources;
    let said = said.proxy_resources.unwrap_or_default();
    ProxyResources {
        cpu_request_milli: said.cpu_request_milli.or(usual.cpu_request_milli),
        cpu_limit_milli: said.cpu_limit_milli.or(usual.cpu_limit_milli),
        memory_request_bytes: said.memory_request_bytes.or(usual.memory_request_bytes),
        memory_limit_bytes: said.memory_limit_bytes.or(usual.memory_limit_bytes),
    }
}

/// What istiod is told of native sidecars: of the values that it knows, `auto` says nothing.
pub(super) fn native_sidecars(said: &IstioObjects) -> NativeSidecars {
    match said.istiod_environment.get("ENABLE_NATIVE_SIDECARS") {
        Some(text) if text == "true" => NativeSidecars::Enabled,
        Some(text) if text == "false" => NativeSidecars::Disabled,
        _ => NativeSidecars::Unsaid,
    }
}

/// What services say; ports do not change after the start, so the first stage that has a service
/// counts.
fn services(stages: &[Objects]) -> BTreeMap<(String, String), ServiceSettings> {
    let mut all = BTreeMap::new();
    for (key, said) in stages.iter().flat_map(|stage| &stage.istio.services) {
        all.entry(key.clone()).or_insert_with(|| said.clone());
    }
    // istiod selects WorkloadEntries as well.
    for service in stages.iter().flat_map(|stage| &stage.services) {
        if let Some(selector) = &service.selector {
            let metadata = &service.metadata;
            let key = (metadata.namespace.clone(), metadata.name.clone());
            let said: &mut ServiceSettings = all.entry(key).or_default();
            said.selector.clone_from(selector);
        }
    }
    all
}

fn configuration(stage: &Objects, uses: &[WaypointUse]) -> Configuration {
    let mut configuration = Configuration::default();
    let written = stage.istio.written.iter();
    let written = written.map(|written| written.object.clone());
    for object in written.chain(waypoints::objects(None, uses)) {
        configuration.apply(object);
    }
    configuration
}

/// The objects that one stage has and the stage before it has not, or has with other contents.
/// What istiod made of a route, a Gateway or an Ingress is taken back where the changed one asks
/// for it no longer.
pub(super) fn changes(
    (before, used_before): (&Objects, &[WaypointUse]),
    (after, used_after): (&Objects, &[WaypointUse]),
) -> Option<Change> {
    let objects = |stage: &'_ Objects, uses: Vec<Object>| -> Vec<Object> {
        let written = stage.istio.written.iter();
        let written = written.map(|written| written.object.clone());
        written.chain(uses).collect()
    };
    let before = objects(before, waypoints::objects(None, used_before));
    let after = objects(after, waypoints::objects(Some(used_before), used_after));
    let mut changed: Vec<Object> = after
        .iter()
        .filter(|object| !before.contains(object))
        .cloned()
        .collect();
    let kept: BTreeSet<_> = after.iter().map(|it| (it.kind(), it.identity())).collect();
    let gone = before.iter();
    let gone = gone.filter(|object| !kept.contains(&(object.kind(), object.identity())));
    changed.extend(gone.filter_map(emptied));
    (!changed.is_empty()).then_some(Change::Istio(changed))
}

/// What istiod made of an object of the Gateway API or of an Ingress, with nothing in it: without
/// hosts nobody asks a VirtualService or delegates to it, and without servers a Gateway takes
/// nothing.
fn emptied(object: &Object) -> Option<Object> {
    match object {
        Object::VirtualService(service) if service.is_made() => {
            Some(Object::from(VirtualService {
                hosts: Vec::new(),
                http: Vec::new(),
                ..(**service).clone()
            }))
        }
        Object::Gateway(gateway) if gateway.is_made() => Some(Object::from(Gateway {
            servers: Vec::new(),
            ..(**gateway).clone()
        })),
        _ => None,
    }
}

/// Says that nobody acts on Istio's objects, if there is no mesh.
pub(super) fn check_mesh(
    mesh: Option<&MeshFrame>,
    objects: &Objects,
    diagnostics: &mut Diagnostics,
) {
    let written = objects.istio.written.iter();
    let first = written.min_by_key(|it| (it.span.file, it.span.start));
    if let (None, Some(first)) = (mesh, first) {
        let message = "the cluster has no mesh, so nothing acts on Istio's objects";
        diagnostics
            .report(Code::MeshAbsent, first.span, message)
            .help("add `istio: {}` to the cluster in the Scenario");
    }
}
