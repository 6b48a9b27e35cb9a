//! Policies that ask for the addresses of users: they have none of their own, or kube-proxy puts
//! those of nodes in their place.
//!
//! Leaves out: waypoints; policies that an `apply` of the timeline brings; services that trusted
//! proxies stand in front of, which say addresses in a header.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use cloud::istio::authorization::Guard;
use cloud::scenario::{
    Cluster, ClusterId, Scenario, ServiceId, Traffic, TrafficPolicy, TrafficSource, TrafficTarget,
    WorkloadId,
};

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for (position, traffic) in whole.scenario.traffic.iter().enumerate() {
        let TrafficSource::Users(users) = traffic.source else {
            continue;
        };
        let network = &whole.scenario.user_networks[users.index()];
        let entries = entries(whole.scenario, traffic);
        let seen = entries.into_iter().find_map(|(cluster, service)| {
            let cluster = &whole.scenario.clusters[cluster.index()];
            seen(cluster, service).map(|seen| (cluster, service, seen))
        });
        let span = whole.places.traffic.get(position).copied();
        let (Some(span), Some((cluster, service, seen))) = (span, seen) else {
            continue;
        };
        let service = &cluster.services[service.index()];
        let service = short(&service.namespace, &service.name);
        match seen {
            Seen::Nodes => {
                let message = format!(
                    "a policy behind `{service}` asks for addresses, and sees those of nodes"
                );
                let help = "let the service have `externalTrafficPolicy: Local`";
                let reported = diagnostics.report(Code::CallersBehindNodes, span, message);
                reported.help(help);
            }
            Seen::Users if network.addresses.is_none() => {
                let message = format!(
                    "a policy behind `{service}` asks for addresses, and `{}` has none of its own",
                    network.name
                );
                let help = "say where they lie, by `addresses` of the user network";
                let reported = diagnostics.report(Code::CallersWithoutAddress, span, message);
                reported.help(help);
            }
            Seen::Users => {}
        }
    }
}

/// Whose addresses are seen.
enum Seen {
    Users,
    Nodes,
}

/// The services by which what users ask may enter clusters.
fn entries(scenario: &Scenario, traffic: &Traffic) -> Vec<(ClusterId, ServiceId)> {
    match traffic.target {
        TrafficTarget::Service {
            cluster, service, ..
        } => vec![(cluster, service)],
        TrafficTarget::Global(name) => {
            let answers = scenario.global_names[name.index()].answers.iter();
            answers.map(|it| (it.cluster, it.service)).collect()
        }
    }
}

/// Whose addresses those behind a service see, if they or any behind them ask.
fn seen(cluster: &Cluster, service: ServiceId) -> Option<Seen> {
    let described = &cluster.services[service.index()];
    let mut behind = described.backends.iter().copied();
    let all = 0..cluster.workloads.len();
    match described.external_policy {
        TrafficPolicy::Cluster => behind
            .any(|workload| asks(cluster, workload))
            .then_some(Seen::Nodes),
        // Gateways tell others of them.
        TrafficPolicy::Local => all
            .map(WorkloadId::from)
            .any(|workload| asks(cluster, workload))
            .then_some(Seen::Users),
    }
}

/// Whether policies at a workload ask where requests come from.
fn asks(cluster: &Cluster, workload: WorkloadId) -> bool {
    let Some(istio) = cluster.istio.as_ref().filter(|_| cluster.mesh.is_some()) else {
        return false;
    };
    let described = &cluster.workloads[workload.index()];
    let template = &described.template;
    let guard = Guard::of(
        &istio.objects.authorization_policies,
        &istio.mesh.root_namespace,
        &described.namespace,
        &template.placement.labels,
    );
    (template.sidecar.is_some() || template.is_ambient) && guard.asks_for_addresses()
}
