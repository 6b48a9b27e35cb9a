//! Names that nobody knows who is asked for them: hosts outside of clusters that pods ask for, and
//! services inside that machines ask for.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use crate::source::Span;
use cloud::scenario::{
    Cluster, ClusterId, Service, ServiceKind, TrafficSource, TrafficTarget, Workload, WorkloadId,
};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        let id = ClusterId::from(position);
        for (position, workload) in cluster.workloads.iter().enumerate() {
            let caller = WorkloadId::from(position);
            if !captures_names(workload, cluster, caller) {
                check_calls(whole, (id, caller), cluster, workload, diagnostics);
            }
        }
        check_traffic(whole, id, cluster, diagnostics);
    }
}

/// Traffic of machines that never have a proxy.
fn check_traffic(
    whole: &Whole<'_>,
    id: ClusterId,
    cluster: &Cluster,
    diagnostics: &mut Diagnostics,
) {
    for (traffic, span) in whole.scenario.traffic.iter().zip(&whole.places.traffic) {
        let (TrafficSource::Workload(of, workload), TrafficTarget::Service { service, .. }) =
            (traffic.source, &traffic.target)
        else {
            continue;
        };
        if of == id && is_outside(cluster, workload) {
            let service = &cluster.services[service.index()];
            let of = &cluster.workloads[workload.index()];
            if matches!(service.kind, ServiceKind::ClusterIp | ServiceKind::Headless) {
                report_inside(of, service, Some(*span), diagnostics);
            }
        }
    }
}

/// Whether a sidecar answers what its application asks for.
fn captures_names(workload: &Workload, cluster: &Cluster, id: WorkloadId) -> bool {
    let sidecar = workload.template.sidecar.as_ref();
    sidecar.is_some_and(|it| it.settings.proxy.captures_names())
        || sidecar.is_some() && cluster.machines_of(id).is_some()
}

/// Whether a workload consists of machines that never have a proxy.
fn is_outside(cluster: &Cluster, workload: WorkloadId) -> bool {
    let machines = cluster.machines_of(workload);
    machines.is_some_and(|machines| machines.proxy.is_none())
}

fn report_inside(
    workload: &Workload,
    service: &Service,
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let message = format!(
        "`{}` stands outside of the cluster, where nobody knows `{}`",
        short(&workload.namespace, &workload.name),
        short(&service.namespace, &service.name)
    );
    diagnostics
        .report(Code::HostUnknown, span, message)
        .help("make the Service `type: LoadBalancer`, or give the machines a `proxy`");
}

fn check_calls(
    whole: &Whole<'_>,
    (id, caller): (ClusterId, WorkloadId),
    cluster: &Cluster,
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) {
    for (number, step) in workload.template.behavior.steps.iter().enumerate() {
        for (place, call) in step.calls.iter().enumerate() {
            let service = &cluster.services[call.service.index()];
            let span = whole
                .places
                .calls
                .get(&(id, caller, number, place))
                .copied();
            let is_inside = matches!(service.kind, ServiceKind::ClusterIp | ServiceKind::Headless);
            if is_outside(cluster, caller) && is_inside {
                report_inside(workload, service, span, diagnostics);
            }
            if service.kind != (ServiceKind::Host { is_known: false }) {
                continue;
            }
            let who = short(&workload.namespace, &workload.name);
            let message = format!(
                "`{who}` asks for `{}`, a name that nobody knows",
                service.name
            );
            diagnostics
                .report(Code::HostUnknown, span, message)
                .help("give machines this `host`, or let sidecars answer (`ISTIO_META_DNS_CAPTURE: \"true\"` under `proxyMetadata`)");
        }
    }
}
