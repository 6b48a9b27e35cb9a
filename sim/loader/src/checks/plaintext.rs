//! Clients without a sidecar that ask servers whose policy takes mutual TLS only, istiod among them.
//!
//! Leaves out: proxies of ingresses and gateways, which may be Istio's own; policies that an
//! `apply` of the timeline brings; clients of other clusters.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use crate::source::Span;
use cloud::facts;
use cloud::istio::authentication::{Policies, ServerMode};
use cloud::istio::config::Istio;
use cloud::istio::jwks;
use cloud::scenario::{
    Cluster, ClusterId, NameForm, Service, ServiceId, TrafficSource, TrafficTarget, WorkloadId,
    WorkloadKind,
};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        let (Some(_), Some(istio)) = (&cluster.mesh, &cluster.istio) else {
            continue;
        };
        let id = ClusterId::from(position);
        check_calls(whole, id, cluster, istio, diagnostics);
        check_traffic(whole, id, cluster, istio, diagnostics);
        check_keys(cluster, istio, diagnostics);
    }
}

/// istiod fetches keys of tokens in plaintext.
fn check_keys(cluster: &Cluster, istio: &Istio, diagnostics: &mut Diagnostics) {
    for wanted in &istio.objects.request_authentications {
        let sources = wanted
            .issuers
            .iter()
            .filter_map(|it| it.keys_uri.as_deref());
        for (uri, (host, number)) in sources.filter_map(|uri| Some((uri, jwks::address(uri)?))) {
            let is_it = |service: &Service| {
                let domain = facts::CLUSTER_DOMAIN.value;
                let mut forms = [NameForm::Namespaced, NameForm::Svc, NameForm::Full].iter();
                forms.any(|form| form.write(&service.name, &service.namespace, "", domain) == host)
            };
            let Some(position) = cluster.services.iter().position(is_it) else {
                continue;
            };
            let mut ports = cluster.services[position].ports.iter();
            let port = ports.position(|port| port.port == number);
            let service = ServiceId::from(position);
            if port.is_some_and(|port| takes_mutual_tls_only(cluster, istio, service, port as u32))
            {
                let message = format!(
                    "istiod asks `{uri}` in plaintext for the keys of the RequestAuthentication `{}`, and is refused: no token counts",
                    wanted.identity.name
                );
                diagnostics
                    .report(Code::KeysOutOfReach, None, message)
                    .help("let a PeerAuthentication say PERMISSIVE for the port");
            }
        }
    }
}

fn check_calls(
    whole: &Whole<'_>,
    id: ClusterId,
    cluster: &Cluster,
    istio: &Istio,
    diagnostics: &mut Diagnostics,
) {
    let is_proxy = |caller: WorkloadId| cluster.proxies.iter().any(|it| it.workload == caller);
    for (position, workload) in cluster.workloads.iter().enumerate() {
        let caller = WorkloadId::from(position);
        let template = &workload.template;
        if template.sidecar.is_some() || template.is_ambient || is_proxy(caller) {
            continue;
        }
        for (number, step) in workload.template.behavior.steps.iter().enumerate() {
            for (place, call) in step.calls.iter().enumerate() {
                if takes_mutual_tls_only(cluster, istio, call.service, call.port) {
                    let span = whole.places.calls.get(&(id, caller, number, place));
                    let who = short(&workload.namespace, &workload.name);
                    let (code, who) = match cluster.machines_of(caller) {
                        Some(_) => (Code::MachineWithoutProxy, format!("`{who}` has no proxy")),
                        None => (Code::PlaintextToStrict, format!("`{who}` has no sidecar")),
                    };
                    let who = (code, who.as_str());
                    report(cluster, call.service, who, span.copied(), diagnostics);
                }
            }
        }
    }
}

fn check_traffic(
    whole: &Whole<'_>,
    id: ClusterId,
    cluster: &Cluster,
    istio: &Istio,
    diagnostics: &mut Diagnostics,
) {
    for (position, traffic) in whole.scenario.traffic.iter().enumerate() {
        let TrafficTarget::Service {
            cluster: of,
            service,
            port,
        } = traffic.target
        else {
            continue;
        };
        let is_of_mesh = match traffic.source {
            TrafficSource::Workload(of, workload) if of == id => {
                let template = &cluster.workloads[workload.index()].template;
                template.sidecar.is_some() || template.is_ambient
            }
            _ => false,
        };
        if of == id && !is_of_mesh && takes_mutual_tls_only(cluster, istio, service, port) {
            let span = whole.places.traffic.get(position).copied();
            let who = "who asks here is outside of the mesh";
            let who = (Code::PlaintextToStrict, who);
            report(cluster, service, who, span, diagnostics);
        }
    }
}

/// Whether every pod behind a port has a sidecar, or a ztunnel, that closes plain connections to
/// it.
fn takes_mutual_tls_only(cluster: &Cluster, istio: &Istio, service: ServiceId, port: u32) -> bool {
    let policies = Policies {
        all: &istio.objects.peer_authentications,
        root_namespace: &istio.mesh.root_namespace,
    };
    let service = &cluster.services[service.index()];
    let Some(port) = service.ports.get(port as usize) else {
        return false;
    };
    let mut backends = service.backends.iter();
    !service.backends.is_empty()
        && backends.all(|backend| {
            let workload = &cluster.workloads[backend.index()];
            let labels = &workload.template.placement.labels;
            let sidecar = workload.template.sidecar.as_ref();
            let is_captured = workload.template.is_ambient
                || sidecar.is_some_and(|it| it.settings.capture.takes_inbound(port.target_port));
            let mode = policies.of_port(&workload.namespace, labels, port.target_port);
            workload.kind != WorkloadKind::External && is_captured && mode == ServerMode::Strict
        })
}

fn report(
    cluster: &Cluster,
    service: ServiceId,
    (code, who): (Code, &str),
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let service = &cluster.services[service.index()];
    let name = short(&service.namespace, &service.name);
    let message = format!("{who}, and `{name}` takes mutual TLS only: every request fails");
    diagnostics
        .report(code, span, message)
        .help("inject a sidecar, or let a PeerAuthentication say PERMISSIVE for the port");
}
