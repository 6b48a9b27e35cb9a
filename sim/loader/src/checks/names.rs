//! Pods that call services by names which their resolver does not find.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use crate::source::Span;
use cloud::facts;
use cloud::kubernetes::resolver::ResolverConfig;
use cloud::scenario::{
    ClusterId, NamesFrom, NetworkModel, ServiceId, TrafficSource, TrafficTarget, WorkloadId,
};
use std::collections::BTreeMap;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    if whole.scenario.network == NetworkModel::Ideal {
        return;
    }
    for ((cluster, caller, service), span) in asked(whole) {
        let described = &whole.scenario.clusters[cluster.index()];
        let of = &described.workloads[caller.index()];
        let service = &described.services[service.index()];
        let domain = facts::CLUSTER_DOMAIN.value;
        let config = ResolverConfig::of(&of.template.dns, &of.namespace, domain, &[]);
        let dns = &described.dns;
        let name = dns
            .names
            .write(&service.name, &service.namespace, &of.namespace, domain);
        let full = format!("{}.{}.svc.{domain}", service.name, service.namespace);
        if config.asked(&name, &full).is_found {
            continue;
        }
        let message = format!(
            "pods of `{}` do not find `{name}`: their resolver does not know it",
            short(&of.namespace, &of.name)
        );
        let help = match of.template.dns.names_from {
            NamesFrom::Node => {
                "they ask the name servers of their node, as pods with `hostNetwork` or `dnsPolicy: Default` do; set `dnsPolicy: ClusterFirstWithHostNet`, or `ClusterFirst` without `hostNetwork`"
            }
            NamesFrom::Nowhere | NamesFrom::Cluster => {
                "put the address of the cluster's DNS first under `dnsConfig.nameservers`, and `NAMESPACE.svc.cluster.local` and `svc.cluster.local` under `searches`"
            }
        };
        diagnostics
            .report(Code::NameNotFound, span, message)
            .help(help);
    }
}

type Asked = BTreeMap<(ClusterId, WorkloadId, ServiceId), Option<Span>>;

/// Which pods ask for which services of their cluster, and where it is said first.
fn asked(whole: &Whole<'_>) -> Asked {
    let mut asked = Asked::new();
    for (traffic, span) in whole.scenario.traffic.iter().zip(&whole.places.traffic) {
        if let TrafficSource::Workload(cluster, caller) = traffic.source
            && let TrafficTarget::Service {
                cluster: of,
                service,
                ..
            } = traffic.target
            && of == cluster
        {
            asked
                .entry((cluster, caller, service))
                .or_insert(Some(*span));
        }
    }
    for (position, cluster) in whole.scenario.clusters.iter().enumerate() {
        let id = ClusterId::from(position);
        for (position, workload) in cluster.workloads.iter().enumerate() {
            let caller = WorkloadId::from(position);
            for (step, calls) in workload.template.behavior.steps.iter().enumerate() {
                for (position, call) in calls.calls.iter().enumerate() {
                    let span = whole.places.calls.get(&(id, caller, step, position));
                    asked
                        .entry((id, caller, call.service))
                        .or_insert(span.copied());
                }
            }
        }
    }
    asked
}
