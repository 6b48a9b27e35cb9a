//! Machines of sites: without power, and what lies between their site and the cluster that they
//! belong to.
//!
//! A machine without power loses what runs on it, and starts it again with its power; packets to
//! it are dropped or refused.
//! Approximated: what lies between two sites of a cluster knows no faults.

use super::{LinkLevers, Owner, means, stronger};
use crate::domain::{Clock, Domain};
use crate::facts;
use crate::fault::Levers;
use crate::scenario::{ClusterId, LinkChange, Packets, Place, Site, SiteId, WorkloadId};
use std::collections::BTreeMap;

/// What a fault can do to the machines of a cluster's sites.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MachineLevers {
    /// Which have no power, by workload and number, and what becomes of packets sent to them.
    off: BTreeMap<(WorkloadId, u32), Packets>,
    /// By site: what lies between it and the cluster.
    sites: Vec<LinkLevers>,
}

impl MachineLevers {
    /// No fault holds for so many sites.
    pub(super) fn at_rest(sites: usize, link: LinkLevers) -> Self {
        MachineLevers {
            off: BTreeMap::new(),
            sites: vec![link; sites],
        }
    }

    /// What becomes of packets sent to a machine, if it has no power.
    pub(crate) fn off(&self, workload: WorkloadId, number: u32) -> Option<Packets> {
        self.off.get(&(workload, number)).copied()
    }

    /// What lies between two places, of which one at least is a site.
    pub(crate) fn link(&self, one: Option<SiteId>, other: Option<SiteId>) -> Option<LinkLevers> {
        match (one, other) {
            (Some(site), None) | (None, Some(site)) => Some(self.sites[site.index()]),
            _ => None,
        }
    }
}

pub(super) fn turn_off(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    machine: (WorkloadId, u32),
    packets: Packets,
) {
    if owner.is(cluster) {
        let lever = &mut levers.machines.off;
        let before = lever.get(&machine).copied();
        lever.insert(machine, stronger(before, packets));
    }
}

/// A link changes between the cluster and sites of it.
pub(super) fn pull_links(
    levers: &mut Levers,
    owner: Owner<'_>,
    (from, to): (&Place, &Place),
    change: LinkChange,
) {
    let Some(cluster) = owner.cluster() else {
        return;
    };
    let here = |place| means(owner.topology, place, owner.partition);
    let sites = &owner.topology.cluster(cluster).sites;
    for (site, lever) in sites.iter().zip(&mut levers.machines.sites) {
        let there = |place| is_site(place, site);
        if here(from) && there(to) || here(to) && there(from) {
            lever.change(change);
        }
    }
}

/// A region is out of reach: whatever crosses its border is cut.
pub(super) fn lose_region(levers: &mut Levers, owner: Owner<'_>, region: &str, packets: Packets) {
    let Some(cluster) = owner.cluster() else {
        return;
    };
    let cluster = owner.topology.cluster(cluster);
    let is_gone = facts::same_region(region, &cluster.region);
    for (site, lever) in cluster.sites.iter().zip(&mut levers.machines.sites) {
        if facts::same_region(region, &site.region) != is_gone {
            lever.block(packets);
        }
    }
}

fn is_site(place: &Place, site: &Site) -> bool {
    match place {
        Place::Site(name) => *name == site.name,
        Place::Region(region) => facts::same_region(region, &site.region),
        Place::Cluster(_) | Place::Users(_) => false,
    }
}

impl Domain<'_> {
    /// Which of its workload's machines a pod is, if it is one of a site.
    pub(crate) fn machine_number(&self, pod: u32) -> Option<(WorkloadId, u32)> {
        let pod = &self.pods[pod as usize];
        let number = pod.site.and(pod.ordinal)?;
        Some((pod.workload, number))
    }

    /// What becomes of packets sent to a machine of a site, if it has no power.
    pub(crate) fn machine_off(&self, pod: u32) -> Option<Packets> {
        let (workload, number) = self.machine_number(pod)?;
        self.levers.machines.off(workload, number)
    }

    /// Machines have lost their power, or have it again.
    pub(super) fn machines_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        self.enrolments_moved(before, context);
        if self.levers.machines == before.machines {
            return;
        }
        for pod in 0..self.pods.len() as u32 {
            let Some((workload, number)) = self.machine_number(pod) else {
                continue;
            };
            let was_off = before.machines.off(workload, number).is_some();
            match (was_off, self.machine_off(pod).is_some()) {
                (false, true) => self.live(pod, context, |life, _, told| life.power_off(told)),
                (true, false) => {
                    let pace = self.pace(None);
                    self.live(pod, context, |life, now, told| {
                        life.power_on(pace, now, told);
                    });
                }
                _ => {}
            }
        }
    }
}
