//! Services on the way of requests without any pods, and traffic that no route takes.

use super::flow::{Asker, Flows};
use super::{Whole, entries, flow};
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use cloud::scenario::ServiceKind;

pub(super) fn check(whole: &Whole<'_>, flows: &Flows, diagnostics: &mut Diagnostics) {
    for (&(cluster, service), asker) in &flows.asked {
        let of = &whole.scenario.clusters[cluster.index()];
        let described = &of.services[service.index()];
        let mut backends = described.backends.iter();
        if backends.any(|backend| flow::replicas(whole.scenario, cluster, *backend) > 0) {
            continue;
        }
        if entries::lead_to(of, described) {
            continue;
        }
        let span = match asker {
            Asker::Traffic(traffic) => whole.places.traffic.get(traffic.index()),
            Asker::Call(caller, step, position) => whole
                .places
                .calls
                .get(&(cluster, *caller, *step, *position)),
        };
        let name = short(&described.namespace, &described.name);
        let (message, help) = match described.kind {
            ServiceKind::Host { .. } => (
                format!("host `{name}` is asked and nobody stands behind it: requests fail"),
                "its ServiceEntry must list addresses of machines under `endpoints`, or select \
                 entries or pods with `workloadSelector`",
            ),
            _ => (
                format!("service `{name}` is asked and has no pods: requests are refused"),
                "its selector must match the labels of a workload with at least one replica",
            ),
        };
        diagnostics
            .report(Code::NoEndpointsCalled, span.copied(), message)
            .help(help);
    }
    for &traffic in &flows.without_route {
        let asked = &whole.scenario.traffic[traffic.index()].attributes;
        let message = format!(
            "no route takes `{} {}{}`: every request is answered with 404",
            asked.method, asked.host, asked.path
        );
        diagnostics
            .report(
                Code::NoRoute,
                whole.places.traffic.get(traffic.index()).copied(),
                message,
            )
            .help(
                "compare host, path, method and headers with the rules of the Ingress or HTTPRoute",
            );
    }
}
