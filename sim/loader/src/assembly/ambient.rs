//! Which pods are part of the ambient mesh, and what nobody does there without a waypoint.

use super::services::ServiceView;
use super::workloads::{Role, WorkloadView, key};
use super::{MeshFrame, Notes, View, WorkloadKey};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::objects::Written;
use crate::kubernetes::Objects;
use crate::source::Span;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::authorization::{Answer, Asked, Guard};
use cloud::istio::config::{
    AuthorizationPolicy, GatewayName, Object, OnBehalf, PolicyTarget, WaypointName, WaypointUse,
};
use cloud::istio::{ambient, host};
use cloud::scenario::{WorkloadKind, Ztunnel, ZtunnelCosts};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

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

/// Tells of rules for HTTP that only a waypoint or a sidecar would carry out, and of policies that
/// let no waypoint in.
pub(super) fn check(
    view: &View,
    objects: &Objects,
    uses: &[WaypointUse],
    diagnostics: &mut Diagnostics,
) {
    let all = view.workloads.values();
    if !all.clone().any(|workload| workload.is_ambient) {
        return;
    }
    // Callers with sidecars route by themselves.
    let is_beside = |workload: &WorkloadView| {
        let sidecar = workload.sidecar.as_ref();
        sidecar.is_some_and(|sidecar| !sidecar.role.is_alone())
    };
    let has_sidecars = all.clone().any(is_beside);
    for written in &objects.istio.written {
        let (says, help) = match &written.object {
            Object::AuthorizationPolicy(policy) => {
                check_policy(view, objects, uses, (policy, written), diagnostics);
                continue;
            }
            _ if has_sidecars => continue,
            _ => {
                let help = "Istio ignores it without a waypoint, and so does the simulator";
                (of_traffic(view, written, uses), help)
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

/// The service of a host whose pods are all in the ambient mesh and that is reached through no
/// waypoint.
fn bare_service<'v>(
    view: &'v View,
    host: &str,
    namespace: &str,
    uses: &[WaypointUse],
) -> Option<&'v str> {
    let domain = facts::MESH_TRUST_DOMAIN.value;
    let wanted = host::complete(host, namespace, domain);
    let mut services = view.services.iter();
    let found = services.find(|(key, _)| host::service(&key.1, &key.0, domain) == wanted);
    let (key, service) = found?;
    let is_used =
        |used: &WaypointUse| (&used.identity.namespace, &used.identity.name) == (&key.0, &key.1);
    let is_bare = !uses.iter().any(is_used);
    (is_bare && is_ambient(view, service)).then_some(key.1.as_str())
}

/// What a VirtualService or a DestinationRule says to nobody.
fn of_traffic(view: &View, written: &Written, uses: &[WaypointUse]) -> Option<String> {
    let namespace = written.object.identity().namespace.as_str();
    match &written.object {
        Object::VirtualService(routes) => {
            let is_of_mesh = routes.gateways.contains(&GatewayName::Mesh);
            let mut hosts = routes.hosts.iter().filter(|_| is_of_mesh);
            let name = hosts.find_map(|host| bare_service(view, host, namespace, uses))?;
            Some(format!(
                "no sidecar routes requests to `{name}` by it, and ztunnel does not"
            ))
        }
        Object::DestinationRule(rule) => {
            let name = bare_service(view, &rule.host, namespace, uses)?;
            Some(format!(
                "no sidecar keeps to it for `{name}`, and ztunnel does not"
            ))
        }
        _ => None,
    }
}

/// Tells what a policy cannot enforce at a ztunnel, and whom it shuts out there without meaning
/// to.
fn check_policy(
    view: &View,
    objects: &Objects,
    uses: &[WaypointUse],
    (policy, written): (&AuthorizationPolicy, &Written),
    diagnostics: &mut Diagnostics,
) {
    let mesh = objects.istio.mesh.as_ref();
    let root = mesh.map_or(facts::MESH_ROOT_NAMESPACE.value, |mesh| {
        mesh.root_namespace.as_str()
    });
    if let PolicyTarget::References(_) = policy.target {
        let of = policy.identity.namespace.as_str();
        let holds = uses.iter().any(|used| {
            used.waypoint.as_ref().is_some_and(|waypoint| {
                let on = OnBehalf {
                    waypoint,
                    service: &used.identity,
                    root_namespace: root,
                };
                policy.target.is_attached(of, on)
            })
        });
        if !holds {
            let message = "no waypoint enforces it for what it is attached to";
            diagnostics
                .report(Code::AmbientWithoutWaypoint, written.span, message)
                .help("let the service use a waypoint: `istio.io/use-waypoint`");
        }
        return;
    }
    if let Some(says) = of_policy(view, root, policy) {
        diagnostics
            .report(Code::AmbientWithoutWaypoint, written.span, says)
            .help("write it by sources and ports, or attach it to a waypoint by `targetRefs`");
    }
    if let Some((service, waypoint)) = shut_out(view, root, uses, policy) {
        let message = format!(
            "`{service}` is reached through the waypoint `{waypoint}`, which the policy does not let in"
        );
        diagnostics
            .report(Code::WaypointShutOut, written.span, message)
            .help("attach it to the service by `targetRefs`, or let the waypoint in as well");
    }
}

/// A service with its waypoint, whose pods let in others only.
fn shut_out<'u>(
    view: &View,
    root: &str,
    uses: &'u [WaypointUse],
    policy: &AuthorizationPolicy,
) -> Option<(&'u str, &'u str)> {
    let domain = facts::MESH_TRUST_DOMAIN.value;
    uses.iter().find_map(|used| {
        let waypoint = used.waypoint.as_ref()?;
        let service = (used.identity.namespace.clone(), used.identity.name.clone());
        let backends = view.services.get(&service)?.backends.iter();
        let mut guarded = backends.filter_map(|key| Some((key, view.workloads.get(key)?)));
        let (key, _) = guarded.find(|(key, workload)| guards(root, policy, key, workload))?;
        let of = key_of_waypoint(waypoint);
        let account = view.workloads.get(&of)?.service_account.as_deref();
        let account = account.unwrap_or(facts::SERVICE_ACCOUNT.value);
        let principal = format!("{domain}/ns/{}/sa/{account}", waypoint.namespace);
        // By whom it is asked alone: a rule that says more may mean others.
        let rules = ambient::told(std::slice::from_ref(policy));
        let guard = Guard::of(&rules, root, &key.0, &labels_of(view, key));
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let asked = Asked {
            principal: Some(&principal),
            source: nobody,
            remote: nobody,
            destination: nobody,
            port: 0,
            server_name: None,
            http: None,
        };
        let names_ports = policy.rules.iter().any(|rule| !rule.to.is_empty());
        let is_shut_out = !names_ports && !guard.decide(&asked, |_| Answer::Allow).lets_through();
        is_shut_out.then_some((used.identity.name.as_str(), waypoint.name.as_str()))
    })
}

fn key_of_waypoint(waypoint: &WaypointName) -> WorkloadKey {
    key(
        &waypoint.namespace,
        &waypoint.name,
        WorkloadKind::Deployment,
    )
}

fn labels_of(view: &View, key: &WorkloadKey) -> BTreeMap<String, String> {
    let workload = view.workloads.get(key);
    workload.map_or_else(BTreeMap::new, |workload| workload.placement.labels.clone())
}

/// Whether the ztunnel of a workload enforces a policy.
fn guards(
    root: &str,
    policy: &AuthorizationPolicy,
    key: &WorkloadKey,
    workload: &WorkloadView,
) -> bool {
    let namespace = policy.identity.namespace.as_str();
    let is_selected = match &policy.target {
        PolicyTarget::Everybody => true,
        PolicyTarget::Selected(selector) => selects(selector, &workload.placement.labels),
        PolicyTarget::References(_) => false,
    };
    is_selected && workload.is_ambient && [root, key.0.as_str()].contains(&namespace)
}

/// What a policy cannot enforce at a ztunnel.
fn of_policy(view: &View, root: &str, policy: &AuthorizationPolicy) -> Option<String> {
    let mut workloads = view.workloads.iter();
    let name = workloads
        .find_map(|(key, workload)| guards(root, policy, key, workload).then_some(&key.1))?;
    let needs_http = policy.rules.iter().any(ambient::needs_http);
    needs_http.then(|| {
        format!("the ztunnel of `{name}` cannot look at HTTP: rules about it never allow, and deny by the rest of what they say")
    })
}
