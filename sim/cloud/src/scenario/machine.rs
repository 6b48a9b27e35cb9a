//! Machines outside of clusters: where they stand, and what a cluster's mesh has to do with them.

use super::{SiteId, WorkloadId};
use std::net::Ipv4Addr;

/// A place outside of clusters where machines stand, as a cluster's side of the world sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, which means the same place in every cluster.
    pub name: String,
    /// Region, as of a cluster.
    pub region: String,
}

/// Equal machines of a site, which are a workload of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    /// The workload, of the kind [`WorkloadKind::External`](super::WorkloadKind::External).
    pub workload: WorkloadId,
    /// Where they stand: position among the cluster's sites.
    pub site: SiteId,
    /// Address of the first; the others follow.
    pub address: Ipv4Addr,
    /// Their proxy, if they have one or will: its looks are those of the template's sidecar.
    pub proxy: Option<MachineProxy>,
    /// Ports at which they listen; any if nothing is said.
    pub listens: Vec<u16>,
}

impl Machines {
    /// Whether one of so many machines has an address.
    pub fn has(&self, address: Ipv4Addr, count: u32) -> bool {
        let first = u32::from(self.address);
        u32::from(address)
            .checked_sub(first)
            .is_some_and(|number| number < count)
    }
}

/// Istio's proxy on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineProxy {
    /// Namespace and name of the WorkloadGroup that it registers with, if it does.
    pub group: Option<(String, String)>,
    /// Whether it runs from the start, rather than from a [`Change::Join`](super::Change::Join) on.
    pub runs_at_start: bool,
}
