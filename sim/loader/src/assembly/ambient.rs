//! Which pods are part of the ambient mesh, and what nobody does there without a waypoint.

use super::services::ServiceView;
use super::workloads::{Role, WorkloadView};
use super::{MeshFrame, Notes, View, WorkloadKey};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::objects::Written;
use crate::kubernetes::Objects;
use crate::source::Span;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::config::{AuthorizationPolicy, GatewayName, Object, PolicyTarget};
use cloud::istio::{ambient, host};
use cloud::scenario::{WorkloadKind, Ztunnel, ZtunnelCosts};
use std::collections::BTreeMap;

/// The label of namespaces and pods.
const LABEL: &str = "istio.io/dataplane-mode";

/// Marks the pods whose connections the ztunnel of their node carries. Sidecars are there already.
pub(super) fn enrol(
    view: &mut View,
    objects: &Objects,
    mesh: &MeshFrame,
    diagnostics: &mut Diagnostics,
) {
    let mut namespaces: BTreeMap<&str, &str> = BTreeMap::new();
    for name in &mesh.ambient_namespaces {
        namespaces.insert(name, "ambient");
    }
    for namespace in &objects.namespaces {
        if let Some(mode) = namespace.labels.get(LABEL) {
            check_mode(mode, &namespace.name, namespace.span, diagnostics);
            namespaces.insert(&namespace.name, mode);
        }
    }
    for (key, workload) in &mut view.workloads {
        let of_pod = workload.placement.labels.get(LABEL);
        if let Some(mode) = of_pod {
            check_mode(mode, &key.1, workload.span, diagnostics);
        }
        let of_namespace = namespaces.get(key.0.as_str()).copied();
        let mode = of_pod.map(String::as_str).or(of_namespace);
        let serves = workload.role == Role::Server && workload.kind != WorkloadKind::External;
        workload.is_ambient = mode == Some("ambient")
            && serves
            && workload.sidecar.is_none()
            && !workload.has_host_network;
    }
}

fn check_mode(mode: &str, name: &str, span: Span, diagnostics: &mut Diagnostics) {
    if !["ambient", "none"].contains(&mode) {
        let message = format!("`{name}` has the label `{LABEL}: {mode}`, which nobody acts on");
        diagnostics
            .report(Code::IstioWarns, span, message)
            .help("it is `ambient` or `none`");
    }
}

/// The ztunnels of a cluster, if it has a pod for them.
pub(super) fn ztunnel(views: &[View], mesh: &MeshFrame, notes: &mut Notes) -> Option<Ztunnel> {
    let mut all = views.iter().flat_map(|view| view.workloads.values());
    if !all.any(|workload| workload.is_ambient) {
        return None;
    }
    for fact in [
        facts::ZTUNNEL_CPU_PER_CONNECTION.id,
        facts::ZTUNNEL_CPU_PER_HANDSHAKE.id,
        facts::ZTUNNEL_BITS_PER_SECOND.id,
        facts::ZTUNNEL_POOL_TIMEOUT.id,
        facts::PROXY_CPU_REQUEST_SHARE.id,
        facts::PROXY_CPU_VARIATION.id,
    ] {
        notes.facts.insert(fact);
    }
    // Machines that are slower for sidecars are as much slower for ztunnels.
    let usual = facts::PROXY_CPU_PER_REQUEST.value;
    let scale = mesh.proxy_cost.as_secs_f64() / usual.as_secs_f64();
    let cost = notes.fact(&facts::ZTUNNEL_CPU_PER_REQUEST).mul_f64(scale);
    Some(Ztunnel {
        threads: notes.fact(&facts::ZTUNNEL_THREADS) as u8,
        costs: ZtunnelCosts::of(cost),
    })
}

/// Tells of rules for HTTP that only a waypoint or a sidecar would carry out.
pub(super) fn check(view: &View, objects: &Objects, diagnostics: &mut Diagnostics) {
    let all = view.workloads.values();
    if !all.clone().any(|workload| workload.is_ambient) {
        return;
    }
    // Callers with sidecars route by themselves.
    let has_sidecars = all.clone().any(|workload| workload.sidecar.is_some());
    for written in &objects.istio.written {
        let (says, help) = match &written.object {
            Object::AuthorizationPolicy(policy) => {
                let help = "write it by sources and ports, or inject sidecars";
                (of_policy(view, objects, policy), help)
            }
            _ if has_sidecars => continue,
            _ => {
                let help = "Istio ignores it without a waypoint, and so does the simulator";
                (of_traffic(view, written), help)
            }
        };
        if let Some(says) = says {
            diagnostics
                .report(Code::AmbientWithoutWaypoint, written.span, says)
                .help(help);
        }
    }
}

fn is_ambient(view: &View, service: &ServiceView) -> bool {
    let backends = service.backends.iter();
    let mut backends = backends.filter_map(|key| view.workloads.get(key));
    !service.backends.is_empty() && backends.all(|workload| workload.is_ambient)
}

/// The service of a host whose pods are all in the ambient mesh.
fn ambient_service<'v>(view: &'v View, host: &str, namespace: &str) -> Option<&'v str> {
    let domain = facts::MESH_TRUST_DOMAIN.value;
    let wanted = host::complete(host, namespace, domain);
    let mut services = view.services.iter();
    let found = services.find(|(key, _)| host::service(&key.1, &key.0, domain) == wanted);
    let (key, service) = found?;
    is_ambient(view, service).then_some(key.1.as_str())
}

/// What a VirtualService or a DestinationRule says to nobody.
fn of_traffic(view: &View, written: &Written) -> Option<String> {
    let namespace = written.object.identity().namespace.as_str();
    match &written.object {
        Object::VirtualService(routes) => {
            let is_of_mesh = routes.gateways.contains(&GatewayName::Mesh);
            let mut hosts = routes.hosts.iter().filter(|_| is_of_mesh);
            let name = hosts.find_map(|host| ambient_service(view, host, namespace))?;
            Some(format!(
                "no sidecar routes requests to `{name}` by it, and ztunnel does not"
            ))
        }
        Object::DestinationRule(rule) => {
            let name = ambient_service(view, &rule.host, namespace)?;
            Some(format!(
                "no sidecar keeps to it for `{name}`, and ztunnel does not"
            ))
        }
        _ => None,
    }
}

/// What a policy cannot enforce at a ztunnel.
fn of_policy(view: &View, objects: &Objects, policy: &AuthorizationPolicy) -> Option<String> {
    let mesh = objects.istio.mesh.as_ref();
    let root = mesh.map_or(facts::MESH_ROOT_NAMESPACE.value, |mesh| {
        mesh.root_namespace.as_str()
    });
    let namespace = policy.identity.namespace.as_str();
    let guards = |key: &WorkloadKey, workload: &WorkloadView| {
        let is_selected = match &policy.target {
            PolicyTarget::Everybody => true,
            PolicyTarget::Selected(selector) => selects(selector, &workload.placement.labels),
            PolicyTarget::References(_) => false,
        };
        is_selected && workload.is_ambient && [root, key.0.as_str()].contains(&namespace)
    };
    let mut workloads = view.workloads.iter();
    let name = workloads.find_map(|(key, workload)| guards(key, workload).then_some(&key.1))?;
    let needs_http = policy.rules.iter().any(ambient::needs_http);
    needs_http.then(|| {
        format!("the ztunnel of `{name}` cannot look at HTTP: rules about it never allow, and deny by the rest of what they say")
    })
}
