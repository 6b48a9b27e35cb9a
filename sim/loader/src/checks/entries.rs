//! Whether istiod knows an endpoint of a service that the API server knows none of.

use cloud::istio::authentication::selects;
use cloud::istio::config::{Configuration, Labels, Resolution, ServiceEntry};
use cloud::scenario::{Cluster, Service, ServiceKind, WorkloadKind};
use std::net::Ipv4Addr;

/// Whether ServiceEntries or WorkloadEntries of the start lead to somebody behind a service.
pub(super) fn lead_to(cluster: &Cluster, service: &Service) -> bool {
    let Some(istio) = &cluster.istio else {
        return false;
    };
    let objects = &istio.objects;
    if !matches!(service.kind, ServiceKind::Host { .. }) {
        let key = (service.namespace.clone(), service.name.clone());
        let said = istio.services.get(&key);
        let selector = said.map(|said| &said.selector).filter(|it| !it.is_empty());
        return selector.is_some_and(|it| selects_entry(objects, &service.namespace, it));
    }
    let mut entries = objects.service_entries.iter();
    entries.any(|entry| {
        let mut hosts = entry.hosts.iter();
        entry.identity.namespace == service.namespace
            && entry.resolution != Resolution::None
            && hosts.any(|host| host.eq_ignore_ascii_case(&service.name))
            && leads_to(cluster, objects, entry)
    })
}

fn leads_to(cluster: &Cluster, objects: &Configuration, entry: &ServiceEntry) -> bool {
    let namespace = &entry.identity.namespace;
    match &entry.selector {
        Some(selector) => {
            let mut workloads = cluster.workloads.iter();
            selects_entry(objects, namespace, selector)
                || workloads.any(|workload| {
                    workload.namespace == *namespace
                        && workload.kind != WorkloadKind::External
                        && workload.replicas > 0
                        && selects(selector, &workload.template.placement.labels)
                })
        }
        None => {
            let mut listed = entry.endpoints.iter();
            listed.any(|endpoint| is_somebody(cluster, &endpoint.address))
        }
    }
}

/// Whether an entry of the namespace has the labels, or one of a machine that registers itself
/// will.
fn selects_entry(objects: &Configuration, namespace: &str, selector: &Labels) -> bool {
    let mut entries = objects.workload_entries.iter();
    let mut groups = objects.workload_groups.iter();
    entries.any(|it| it.identity.namespace == namespace && selects(selector, &it.endpoint.labels))
        || groups.any(|it| it.identity.namespace == namespace && selects(selector, &it.labels))
}

/// Whether a machine has the address, or a host that name servers know has this name.
fn is_somebody(cluster: &Cluster, address: &str) -> bool {
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        let mut services = cluster.services.iter();
        return services.any(|service| {
            service.kind == (ServiceKind::Host { is_known: true })
                && service.name.eq_ignore_ascii_case(address)
        });
    };
    let mut machines = cluster.machines.iter();
    machines.any(|machines| {
        let count = cluster.workloads[machines.workload.index()].replicas;
        machines.has(address, count)
    })
}
