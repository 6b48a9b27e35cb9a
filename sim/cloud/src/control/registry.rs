//! What istiod knows of endpoints beside those of EndpointSlices: WorkloadEntries, what
//! ServiceEntries list and select, and the addresses behind the names that proxies resolve.
//!
//! Models: a WorkloadEntry in force as soon as it is written; ServiceEntries and Services that
//! select WorkloadEntries by their labels, and ServiceEntries that select ready pods, all in one
//! namespace; endpoints in place; mutual TLS as the entry says it, by its label or by its service
//! account, whatever runs on the machine. kube-proxy knows nothing of it.
//!
//! Approximated: names have the same addresses for as long as the run lasts, so that resolving
//! them again changes nothing; `DNS_ROUND_ROBIN` takes all addresses as `DNS` does; networks by
//! name count for nothing, as there are no gateways between them.
//! Leaves out: Unix sockets, endpoints that only name a network.
//! Sources: istio/istio pilot/pkg/serviceregistry/serviceentry/{controller,conversion}.go.
//! Validated by: who is asked, and how, in the crate's tests.

use super::standing::pod_address;
use crate::domain::{Clock, Domain};
use crate::istio::authentication::selects;
use crate::istio::config::{Endpoint, Labels, Resolution, ServiceEntry};
use crate::istio::locality::{Locality, with_place};
use crate::istio::translate::registry::{self, Health};
use crate::scenario::{Service, ServiceId, ServiceKind, ServicePort, WorkloadKind};
use crate::view::{EndpointSet, View};
use std::net::IpAddr;

/// The label by which an entry says that a proxy stands before it.
const TLS_MODE: &str = "security.istio.io/tlsMode";

/// Everyone that has been an endpoint for istiod alone, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    entries: Vec<Entry>,
}

/// A pod or machine as an endpoint for istiod alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pod: u32,
    namespace: String,
    /// What an object says of it; nothing is said of a pod, whose own labels count.
    said: Option<Endpoint>,
    /// The ports of its service that it has: those of the ServiceEntry that leads to it. All for
    /// a Service of Kubernetes.
    ports: Option<Vec<u16>>,
}

impl Entry {
    fn of_ports(self, entry: &ServiceEntry) -> Entry {
        let ports = entry.ports.iter().map(|port| port.number);
        Entry {
            ports: Some(ports.collect()),
            ..self
        }
    }

    fn has(&self, port: &ServicePort) -> bool {
        let ports = self.ports.as_ref();
        ports.is_none_or(|ports| ports.contains(&port.port))
    }
}

impl Registry {
    /// The number of an entry, which is the same whenever it is in force.
    fn number(&mut self, entry: Entry) -> u32 {
        let known = self.entries.iter().position(|known| *known == entry);
        let number = known.unwrap_or_else(|| {
            self.entries.push(entry);
            self.entries.len() - 1
        });
        number as u32
    }

    /// The pod or machine of an entry.
    pub(crate) fn pod(&self, entry: u32) -> u32 {
        self.entries[entry as usize].pod
    }
}

/// Whether istiod believes that a proxy stands before an endpoint.
fn has_sidecar(said: &Endpoint) -> bool {
    match said.labels.get(TLS_MODE) {
        Some(mode) => mode == "istio",
        None => said.service_account.is_some(),
    }
}

/// The port that an endpoint has for one of its service's, if it says one.
fn own_port(said: &Endpoint, port: &ServicePort) -> Option<u16> {
    let mut own = said.ports.iter();
    let found = own.find(|(of, _)| Some(of) == port.name.as_ref());
    found.map(|(_, number)| *number)
}

impl Domain<'_> {
    /// The port at which proxies ask a machine for a port of a service: that of its entry, or that
    /// of the service. Of several entries the first counts, and of their versions the newest.
    pub(crate) fn port_of_entry(&self, pod: u32, service: ServiceId, port: &ServicePort) -> u16 {
        let entries = self.endpoint_log.newest(service).entries.iter();
        let entries = entries.map(|&entry| &self.registry.entries[entry as usize]);
        let mut ours = entries.filter(|entry| entry.pod == pod && entry.has(port));
        let said = ours.find_map(|entry| own_port(entry.said.as_ref()?, port));
        said.unwrap_or(port.target_port)
    }

    /// istiod knows from the start what its objects say then.
    pub(crate) fn start_registry(&mut self) {
        if self.translation.is_none() {
            return;
        }
        for service in (0..self.services.len()).map(ServiceId::from) {
            let entries = self.entries_wanted(service);
            self.endpoint_log.begin(service, entries);
        }
        self.backends_moved();
    }

    /// What istiod knows beside EndpointSlices may have changed: it hears of it one watch later.
    pub(crate) fn registry_changed(&mut self, context: &mut Clock<'_, Self>) {
        if self.translation.is_none() {
            return;
        }
        let now = context.now();
        let mut has_changed = false;
        for service in (0..self.services.len()).map(ServiceId::from) {
            let set = EndpointSet {
                entries: self.entries_wanted(service),
                changed: now,
                ..self.endpoint_log.newest(service).clone()
            };
            if self.endpoint_log.publish(service, set, now) {
                has_changed = true;
                let version = self.endpoint_log.newest_version(service);
                self.selections.published(service, version);
            }
        }
        if !has_changed {
            return;
        }
        self.entries_moved();
        self.istiod_hears(context);
    }

    /// Whether istiod may know endpoints that stand in no EndpointSlice.
    pub(crate) fn has_registry(&self) -> bool {
        self.translation.as_ref().is_some_and(|translation| {
            let objects = translation.objects(translation.newest());
            !objects.service_entries.is_empty() || !objects.workload_entries.is_empty()
        }) || !self.enrolments.is_empty()
    }

    /// The endpoints of a service that istiod alone knows, ascending.
    fn entries_wanted(&mut self, service: ServiceId) -> Vec<u32> {
        let cluster = self.cluster.expect("services stand in clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let found = match described.kind {
            ServiceKind::Host { .. } => self.entries_of_host(described),
            _ => self.entries_selected(described),
        };
        let numbers = found.into_iter().map(|entry| self.registry.number(entry));
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// WorkloadEntries that a Service of Kubernetes selects.
    fn entries_selected(&self, service: &Service) -> Vec<Entry> {
        let translation = self.translation.as_ref().expect("a mesh translates");
        let selector = translation.selector(service);
        match selector.filter(|selector| !selector.is_empty()) {
            Some(selector) => self.workload_entries(&service.namespace, selector),
            None => Vec::new(),
        }
    }

    /// Endpoints of the ServiceEntries that name a host.
    fn entries_of_host(&self, host: &Service) -> Vec<Entry> {
        let translation = self.translation.as_ref().expect("a mesh translates");
        let objects = translation.objects(translation.newest());
        let of_host = objects.service_entries.iter();
        let of_host = of_host.filter(|entry| entry.names(&host.name, &host.namespace));
        let found = of_host.flat_map(|entry| {
            let found = self.entries_of_service_entry(entry, host).into_iter();
            found.map(|it| it.of_ports(entry))
        });
        found.collect()
    }

    fn entries_of_service_entry(&self, entry: &ServiceEntry, host: &Service) -> Vec<Entry> {
        let namespace = &entry.identity.namespace;
        if entry.resolution == Resolution::None {
            return Vec::new();
        }
        if let Some(selector) = &entry.selector {
            let mut found = self.workload_entries(namespace, selector);
            found.extend(self.pods_selected(namespace, selector));
            return found;
        }
        let by_name = [Resolution::Dns, Resolution::DnsRoundRobin].contains(&entry.resolution);
        if by_name && entry.endpoints.is_empty() {
            let said = Endpoint {
                address: host.name.clone(),
                ..Endpoint::default()
            };
            return self.at(&said, namespace);
        }
        let listed = entry.endpoints.iter();
        listed.flat_map(|said| self.at(said, namespace)).collect()
    }

    /// WorkloadEntries of a namespace that have labels, and are in service.
    fn workload_entries(&self, namespace: &str, selector: &Labels) -> Vec<Entry> {
        let translation = self.translation.as_ref().expect("a mesh translates");
        let objects = translation.objects(translation.newest());
        let of_namespace = objects.workload_entries.iter();
        let of_namespace = of_namespace.filter(|it| it.identity.namespace == namespace);
        let selected = of_namespace.filter(|it| selects(selector, &it.endpoint.labels));
        let mut found: Vec<Entry> = selected
            .flat_map(|it| self.at(&it.endpoint, namespace))
            .collect();
        let registered = self.registered(objects, namespace);
        let registered = registered.filter(|(_, said)| selects(selector, &said.labels));
        found.extend(registered.map(|(pod, said)| Entry {
            pod,
            namespace: namespace.to_owned(),
            said: Some(said),
            ports: None,
        }));
        found
    }

    /// Ready pods of a namespace that have labels.
    fn pods_selected(&self, namespace: &str, selector: &Labels) -> Vec<Entry> {
        let cluster = self.cluster.expect("pods stand in clusters");
        let workloads = &self.topology.cluster(cluster).workloads;
        let of_namespace = workloads.iter().zip(&self.workloads);
        let of_namespace = of_namespace.filter(|(described, _)| {
            described.namespace == namespace && described.kind != WorkloadKind::External
        });
        let pods = of_namespace.flat_map(|(_, state)| &state.pods);
        let ready = pods.filter(|&&pod| {
            let state = &self.pods[pod as usize];
            let labels = &self.template(pod).placement.labels;
            state.ready && !state.deleted && selects(selector, labels)
        });
        ready
            .map(|&pod| Entry {
                pod,
                namespace: namespace.to_owned(),
                said: None,
                ports: None,
            })
            .collect()
    }

    /// The machines at an address or behind a name.
    fn at(&self, said: &Endpoint, namespace: &str) -> Vec<Entry> {
        let machines = self.machines_at(&said.address);
        let entry = |pod| Entry {
            pod,
            namespace: namespace.to_owned(),
            said: Some(said.clone()),
            ports: None,
        };
        machines.into_iter().map(entry).collect()
    }

    fn machines_at(&self, address: &str) -> Vec<u32> {
        let cluster = self.cluster.expect("machines belong to clusters");
        let described = self.topology.cluster(cluster);
        if let Ok(IpAddr::V4(address)) = address.parse() {
            let pods = described.machines.iter().filter_map(|machines| {
                let pods = &self.workloads[machines.workload.index()].pods;
                let first = u32::from(machines.address);
                let number = u32::from(address).checked_sub(first)?;
                pods.get(number as usize).copied()
            });
            return pods.take(1).collect();
        }
        let is_known = |kind: &ServiceKind| matches!(kind, ServiceKind::Host { is_known: true });
        let mut hosts = described.services.iter();
        let host = hosts.find(|it| is_known(&it.kind) && it.name.eq_ignore_ascii_case(address));
        let behind = host.map_or(&[][..], |host| &host.backends);
        let pods = behind
            .iter()
            .flat_map(|workload| &self.workloads[workload.index()].pods);
        pods.copied().collect()
    }

    /// Pods and machines that sidecars know behind a version of a service's endpoints, in the
    /// order of [`Domain::endpoints_of`].
    pub(crate) fn pods_behind(&self, service: ServiceId, version: u32) -> Vec<u32> {
        let set = self.endpoint_log.version(service, version);
        let sliced = self.sliced(service, set).iter().copied();
        let entries = set.entries.iter();
        sliced
            .chain(entries.map(|&entry| self.registry.pod(entry)))
            .collect()
    }

    /// Pods of a set that istiod knows from EndpointSlices: a host outside has none.
    fn sliced<'s>(&self, service: ServiceId, set: &'s EndpointSet) -> &'s [u32] {
        let cluster = self.cluster.expect("services stand in clusters");
        match self.topology.cluster(cluster).services[service.index()].kind {
            ServiceKind::Host { .. } => &[],
            _ => &set.pods,
        }
    }

    /// Endpoints of a version of a service's, as istiod knows them.
    pub(crate) fn endpoints_of(&self, service: ServiceId, version: u32) -> Vec<registry::Endpoint> {
        let cluster = self.cluster.expect("services stand in clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        let set = self.endpoint_log.version(service, version);
        let sliced = self.sliced(service, set).iter();
        let sliced = sliced.map(|&pod| self.pod_as_endpoint(pod, described));
        let entries = set.entries.iter();
        let entries = entries.map(|&entry| {
            let entry = &self.registry.entries[entry as usize];
            let mut endpoint = match &entry.said {
                None => self.pod_as_endpoint(entry.pod, described),
                Some(said) => self.entry_as_endpoint(entry, said, described),
            };
            for (port, target) in described.ports.iter().zip(&mut endpoint.targets) {
                *target = target.filter(|_| entry.has(port));
            }
            endpoint
        });
        sliced.chain(entries).collect()
    }

    fn pod_as_endpoint(&self, pod: u32, service: &Service) -> registry::Endpoint {
        // Whoever speaks for a pod without one takes mutual TLS as well.
        let is_carried = self.carrier(pod).is_some();
        let has_sidecar = self.pods[pod as usize].has_sidecar() && !self.role(pod).is_alone();
        let has_sidecar = is_carried || has_sidecar;
        let at = (pod, pod_address(pod));
        self.standing(pod).endpoint(at, service, has_sidecar)
    }

    fn entry_as_endpoint(
        &self,
        entry: &Entry,
        said: &Endpoint,
        service: &Service,
    ) -> registry::Endpoint {
        let cluster = self.cluster.expect("machines belong to clusters");
        let locality = said.locality.as_deref().map(Locality::parse);
        let locality = locality.unwrap_or_else(|| Locality::parse(""));
        let network = said.network.as_deref().unwrap_or_default();
        let name = &self.topology.cluster(cluster).name;
        let target = |port: &ServicePort| Some(own_port(said, port).unwrap_or(port.target_port));
        registry::Endpoint {
            workload: entry.pod,
            address: IpAddr::V4(pod_address(entry.pod)),
            targets: service.ports.iter().map(target).collect(),
            labels: with_place(&said.labels, &locality, name, network, ""),
            locality,
            cluster: 0,
            network: None,
            namespace: entry.namespace.clone(),
            weight: said.weight.unwrap_or(1),
            health: Health::Ready,
            has_sidecar: has_sidecar(said),
        }
    }

    /// Services that a pod or machine is an endpoint of for istiod alone, as one who has this
    /// view knows it.
    pub(crate) fn services_of_entries(&self, pod: u32, view: View) -> Vec<ServiceId> {
        let services = (0..self.services.len()).map(ServiceId::from);
        let holds = |service: &ServiceId| {
            let version = view.version(&self.endpoint_log, *service);
            let entries = &self.endpoint_log.version(*service, version).entries;
            let mut pods = entries.iter().map(|&entry| self.registry.pod(entry));
            pods.any(|it| it == pod)
        };
        services.filter(holds).collect()
    }

    /// Addresses by which machines are known: those that the scenario gives them.
    pub(crate) fn machine_address(&self, pod: u32) -> Option<std::net::Ipv4Addr> {
        let (workload, number) = self.machine_number(pod)?;
        let cluster = self.cluster.expect("machines belong to clusters");
        let machines = self.topology.cluster(cluster).machines_of(workload)?;
        Some((u32::from(machines.address) + number).into())
    }
}
