//! ServiceEntry, WorkloadEntry and WorkloadGroup: hosts and machines that the API server of a
//! cluster does not know.

use super::{ExportTo, Identity, Labels};
use crate::istio::distribution::Word;
use crate::istio::protocol::Protocol;
use crate::kubernetes::probe::Probe;

/// A ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// How it is called.
    pub identity: Identity,
    /// Its own labels.
    pub labels: Labels,
    /// Hosts, with or without wildcard.
    pub hosts: Vec<String>,
    /// Addresses or ranges of them.
    pub addresses: Vec<String>,
    /// Ports.
    pub ports: Vec<EntryPort>,
    /// Whether its endpoints belong to the mesh.
    pub location: Location,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Endpoints in place.
    pub endpoints: Vec<Endpoint>,
    /// Labels of pods and WorkloadEntries of its namespace that are its endpoints.
    pub selector: Option<Labels>,
    /// Names of which an endpoint's certificate must bear one, if any are given.
    pub subject_names: Vec<String>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Which of its endpoints clients should rather go to.
    pub distribution: Option<Word>,
}

impl ServiceEntry {
    /// Whether it is about a host of a namespace.
    pub fn names(&self, host: &str, namespace: &str) -> bool {
        let mut hosts = self.hosts.iter();
        self.identity.namespace == namespace && hosts.any(|it| it.eq_ignore_ascii_case(host))
    }

    /// Whether proxies get the ports of a younger one for the same host beside its own.
    ///
    /// Source: istio/istio 86c9f01f pilot/pkg/model/sidecar.go (canMergeServices).
    pub fn takes_in(&self, younger: &ServiceEntry) -> bool {
        self.resolution == younger.resolution
            && self.labels == younger.labels
            && self.selector == younger.selector
            && self.export_to == younger.export_to
    }

    /// Those that say together what proxies know of a host: the oldest, which counts where they
    /// contradict, and those whose ports come in addition, by age.
    pub fn of_host<'a>(
        all: impl Iterator<Item = &'a ServiceEntry>,
        (host, namespace): (&str, &str),
    ) -> Vec<&'a ServiceEntry> {
        let mut found: Vec<&ServiceEntry> = all.filter(|it| it.names(host, namespace)).collect();
        found.sort_by_key(|it| it.identity.age_order());
        if let Some(&oldest) = found.first() {
            found.retain(|it| oldest.takes_in(it));
        }
        found
    }
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPort {
    /// Port.
    pub number: u16,
    /// Name.
    pub name: String,
    /// What it carries.
    pub protocol: Protocol,
    /// Port of the endpoints.
    pub target: u16,
}

/// Whether endpoints belong to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// They do not: no identity, no mutual TLS by itself.
    External,
    /// They do.
    Internal,
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The client's own address counts.
    None,
    /// They are listed or selected.
    Static,
    /// Names are resolved by the proxy, all answers count.
    Dns,
    /// Names are resolved by the proxy, the first answer counts at each connection.
    DnsRoundRobin,
    /// The name of the request is resolved by the proxy.
    DynamicDns,
}

/// An endpoint of a ServiceEntry; also what a WorkloadEntry and a WorkloadGroup describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Address, name or Unix socket; empty for one of another network.
    pub address: String,
    /// Ports by the names of the service's ports.
    pub ports: Vec<(String, u16)>,
    /// Labels.
    pub labels: Labels,
    /// Network.
    pub network: Option<String>,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// Its share among endpoints; 1 if nothing is said.
    pub weight: Option<u32>,
    /// Service account.
    pub service_account: Option<String>,
}

/// A WorkloadEntry: one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadEntry {
    /// How it is called.
    pub identity: Identity,
    /// What it is.
    pub endpoint: Endpoint,
}

/// A WorkloadGroup: what WorkloadEntries of machines that register themselves look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadGroup {
    /// How it is called.
    pub identity: Identity,
    /// Labels of the entries.
    pub labels: Labels,
    /// What they are.
    pub template: Endpoint,
    /// How a machine is probed by its own agent; not at all if nothing is said.
    pub probe: Option<MachineProbe>,
}

/// How a machine is probed by its own agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineProbe {
    /// What is asked.
    pub check: MachineCheck,
    /// How often, and what counts.
    pub probe: Probe,
}

/// What a probe of a machine asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineCheck {
    /// An HTTP request.
    Http {
        /// Port.
        port: u16,
        /// Path.
        path: String,
    },
    /// A connection.
    Tcp {
        /// Port.
        port: u16,
    },
    /// A command.
    Command,
    /// A gRPC health check.
    Grpc {
        /// Port.
        port: u16,
    },
}
