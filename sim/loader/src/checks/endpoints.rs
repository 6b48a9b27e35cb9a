//! Services on the way of requests without any pods, and traffic that no route takes.

use super::flow::{Asker, Flows};
use super::{Whole, flow};
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;

pub(super) fn check(whole: &Whole<'_>, flows: &Flows, diagnostics: &mut Diagnostics) {
    for (&(cluster, service), asker) in &flows.asked {
        let of = &whole.scenario.clusters[cluster.index()];
        let described = &of.services[service.index()];
        let mut backends = described.backends.iter();
        if backends.any(|backend| flow::replicas(whole.scenario, cluster, *backend) > 0) {
            continue;
        }
        let span = match asker {
            Asker::Traffic(traffic) => whole.places.traffic.get(traffic.index()),
            Asker::Call(caller, step, position) => whole
                .places
                .calls
                .get(&(cluster, *caller, *step, *position)),
        };
        let message = format!(
            "service `{}` is asked and has no pods: requests are refused",
            short(&described.namespace, &described.name)
        );
        diagnostics
            .report(Code::NoEndpointsCalled, span.copied(), message)
            .help("its selector must match the labels of a workload with at least one replica");
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
