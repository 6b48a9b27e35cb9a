//! Sidecars that hand in at a port at which no container listens.
//!
//! Leaves out: Sidecars that an `apply` of the timeline brings.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use cloud::istio::config::{Istio, Sidecar, application_port};
use cloud::scenario::{Role, Workload};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for cluster in &whole.scenario.clusters {
        let Some(istio) = &cluster.istio else {
            continue;
        };
        for workload in &cluster.workloads {
            check_workload(istio, workload, diagnostics);
        }
    }
}

fn check_workload(istio: &Istio, workload: &Workload, diagnostics: &mut Diagnostics) {
    let Some(proxy) = workload.template.sidecar.as_ref() else {
        return;
    };
    if proxy.role != Role::Sidecar || proxy.listens.is_empty() {
        return;
    }
    let labels = &workload.template.placement.labels;
    let root = &istio.mesh.root_namespace;
    let found = Sidecar::of(&istio.objects.sidecars, root, (&workload.namespace, labels));
    let Some((_, sidecar)) = found else { return };
    for listener in &sidecar.ingress {
        let Some(endpoint) = &listener.default_endpoint else {
            continue;
        };
        let Some(port) = application_port(endpoint).filter(|it| !proxy.listens.contains(it)) else {
            continue;
        };
        let message = format!(
            "the Sidecar `{}` hands in at `{endpoint}`, and no container of `{}` has the port {port}",
            sidecar.identity.name, workload.name
        );
        let ports: Vec<String> = proxy.listens.iter().map(u16::to_string).collect();
        diagnostics
            .report(Code::ApplicationElsewhere, None::<Span>, message)
            .help(format!("they have {}", ports.join(", ")));
    }
}
