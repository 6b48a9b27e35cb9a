//! Hosts outside of clusters that pods ask for, and that no name server knows.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use cloud::scenario::{Cluster, ClusterId, ServiceKind, Workload, WorkloadId};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        let id = ClusterId::from(position);
        for (position, workload) in cluster.workloads.iter().enumerate() {
            let caller = WorkloadId::from(position);
            if !captures_names(workload, cluster, caller) {
                check_calls(whole, (id, caller), cluster, workload, diagnostics);
            }
        }
    }
}

/// Whether a sidecar answers what its application asks for.
fn captures_names(workload: &Workload, cluster: &Cluster, id: WorkloadId) -> bool {
    let sidecar = workload.template.sidecar.as_ref();
    let environment = sidecar.map(|it| &it.settings.proxy.environment);
    let said = environment.and_then(|it| it.get("ISTIO_META_DNS_CAPTURE"));
    said.is_some_and(|said| said == "true")
        || sidecar.is_some() && cluster.machines_of(id).is_some()
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
            if service.kind != (ServiceKind::Host { is_known: false }) {
                continue;
            }
            let span = whole.places.calls.get(&(id, caller, number, place));
            let who = short(&workload.namespace, &workload.name);
            let message = format!(
                "`{who}` asks for `{}`, a name that nobody knows",
                service.name
            );
            diagnostics
                .report(Code::HostUnknown, span.copied(), message)
                .help("give machines this `host`, or let sidecars answer (`ISTIO_META_DNS_CAPTURE: \"true\"` under `proxyMetadata`)");
        }
    }
}
