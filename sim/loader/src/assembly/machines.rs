//! Machines of sites, and hosts outside of clusters: what machines are called by, and what
//! ServiceEntries name.

use super::services::ServiceView;
use super::workloads::{WorkloadView, key};
use super::{Frame, Positions, ServiceKey, View, WorkloadKey};
use crate::kubernetes::Objects;
use crate::source::Span;
use cloud::istio::config::{Object, ServiceEntry};
use cloud::scenario::{
    MachineProxy, Machines, ServiceId, ServiceKind, ServicePort, SiteId, Transport, WorkloadKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Machines, before they have a position.
#[derive(Clone, Debug)]
pub struct MachineFrame {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Where they stand.
    pub site: SiteId,
    /// Address of the first.
    pub address: Ipv4Addr,
    /// How many.
    pub count: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whom their certificates name.
    pub service_account: Option<String>,
    /// What name servers call them.
    pub host: Option<String>,
    /// Where they are asked by that name.
    pub ports: Vec<u16>,
    /// Whether they say so.
    pub names_ports: bool,
    /// Their proxy.
    pub proxy: Option<MachineProxy>,
    /// Where it is written.
    pub span: Span,
}

impl MachineFrame {
    /// The key of their workload.
    fn key(&self) -> WorkloadKey {
        key(&self.namespace, &self.name, WorkloadKind::External)
    }

    /// Whether one of them has an address.
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        let number = u32::from(address).checked_sub(u32::from(self.address));
        number.is_some_and(|number| number < self.count)
    }
}

/// Hosts outside of the cluster at any stage, by namespace and name.
pub(super) type Hosts = BTreeMap<ServiceKey, ServiceView>;

/// Adds machines to a stage.
pub(super) fn add(view: &mut View, frame: &Frame) {
    for machines in &frame.machines {
        let mut bare = WorkloadView::bare(WorkloadKind::External, machines.count, machines.span);
        bare.placement.labels.clone_from(&machines.labels);
        bare.service_account.clone_from(&machines.service_account);
        view.workloads.insert(machines.key(), bare);
    }
}

/// All hosts that a ServiceEntry of any stage names, and those of machines that none does.
pub(super) fn hosts(frame: &Frame, stages: &[Objects]) -> Hosts {
    let mut hosts = Hosts::new();
    for stage in stages.iter().filter(|_| frame.mesh.is_some()) {
        add_entries(&mut hosts, frame, stage);
    }
    let named: BTreeSet<String> = hosts.keys().map(|(_, host)| host.clone()).collect();
    for machines in &frame.machines {
        let Some(host) = machines.host.as_ref().filter(|host| !named.contains(*host)) else {
            continue;
        };
        let port = |&number: &u16| ServicePort {
            name: None,
            port: number,
            target_port: number,
            node_port: None,
            transport: Transport::Tcp,
        };
        let ports = machines.ports.iter().map(port).collect();
        let key = (machines.namespace.clone(), host.clone());
        let known = hosts.entry(key);
        known.or_insert_with(|| view(frame, host, ports, machines.span));
    }
    hosts
}

/// Hosts that the ServiceEntries of a stage name, each with the ports of all that count for it.
fn add_entries(hosts: &mut Hosts, frame: &Frame, stage: &Objects) {
    let written = stage.istio.written.iter();
    let entries = written.filter_map(|written| match &written.object {
        Object::ServiceEntry(entry) => Some((entry.as_ref(), written.span)),
        _ => None,
    });
    for (entry, span) in entries.clone() {
        let namespace = &entry.identity.namespace;
        for host in &entry.hosts {
            let host = host.to_lowercase();
            let known = hosts.entry((namespace.clone(), host.clone()));
            let known = known.or_insert_with(|| view(frame, &host, Vec::new(), span));
            let all = entries.clone().map(|(entry, _)| entry);
            for counts in ServiceEntry::of_host(all, (&host, namespace)) {
                add_ports(&mut known.ports, counts);
            }
        }
    }
}

/// Adds the ports of a ServiceEntry that are not there yet.
fn add_ports(ports: &mut Vec<ServicePort>, entry: &ServiceEntry) {
    for port in &entry.ports {
        if ports.iter().any(|it| it.port == port.number) {
            continue;
        }
        ports.push(ServicePort {
            name: Some(port.name.clone()),
            port: port.number,
            target_port: port.target,
            node_port: None,
            transport: Transport::Tcp,
        });
    }
}

/// A host, with the machines that name servers answer with.
fn view(frame: &Frame, host: &str, ports: Vec<ServicePort>, span: Span) -> ServiceView {
    let called = frame.machines.iter();
    let called = called.filter(|machines| machines.host.as_deref() == Some(host));
    let backends: BTreeSet<WorkloadKey> = called.map(MachineFrame::key).collect();
    let kind = ServiceKind::Host {
        is_known: !backends.is_empty(),
    };
    ServiceView {
        backends,
        ..ServiceView::bare(kind, ports, key("", "", WorkloadKind::External), span)
    }
}

/// What the cluster is told of its machines.
pub(super) fn described(frame: &Frame, positions: &Positions) -> Vec<Machines> {
    let machines = frame.machines.iter().map(|machines| Machines {
        workload: positions.workloads[&machines.key()],
        site: machines.site,
        address: machines.address,
        proxy: machines.proxy.clone(),
        listens: match machines.names_ports {
            true => machines.ports.clone(),
            false => Vec::new(),
        },
    });
    let mut machines: Vec<Machines> = machines.collect();
    machines.sort_by_key(|machines| machines.workload);
    machines
}

/// Services of Kubernetes that the first stage does not have.
pub(super) fn later_services(views: &[View], positions: &Positions) -> Vec<ServiceId> {
    let absent = |key: &ServiceKey| !views[0].services.contains_key(key);
    let later = positions.services.iter();
    later
        .filter(|(key, _)| absent(key))
        .map(|(_, id)| *id)
        .collect()
}

/// Services that the stage before a stage does not have.
pub(super) fn new_services(before: &View, after: &View, positions: &Positions) -> Vec<ServiceId> {
    let new = after.services.keys();
    new.filter(|key| !before.services.contains_key(*key))
        .map(|key| positions.services[key])
        .collect()
}
