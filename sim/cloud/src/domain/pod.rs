//! A pod at work.

use crate::kubernetes::back_off::BackOff;
use crate::kubernetes::kubelet::Life;
use crate::path::sidecar::SidecarState;
use crate::path::station::Station;
use crate::path::usage::Counters;
use crate::scenario::{SiteId, WorkloadId};
use engine::{Duration, Time};

/// A pod, from being created on; never forgotten, so that a stale view can point at it.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) workload: WorkloadId,
    /// Position among its workload's revisions.
    pub(crate) revision: u32,
    /// Its number within a StatefulSet.
    pub(crate) ordinal: Option<u32>,
    /// Position among the partition's behaviours.
    pub(crate) behavior: u32,
    /// `None` for machines outside the cluster's nodes, and until it is bound.
    pub(crate) node: Option<u32>,
    pub(crate) zone: u32,
    /// As which pod it came to its node, from 0.
    pub(crate) came: u32,
    /// Where it stands, if it is a machine of a site.
    pub(crate) site: Option<SiteId>,
    pub(crate) station: Station,
    /// The proxy beside its application.
    pub(crate) sidecar: Option<Box<SidecarState>>,
    /// How often its container has ended to be started again.
    pub(crate) restarts: u32,
    /// What it does.
    pub(crate) phase: Phase,
    /// Under its kubelet, from being bound until it is gone.
    pub(crate) life: Option<Box<Life>>,
    /// For when its life's next event is in the calendar.
    pub(crate) wakes_at: Time,
    /// Whether the API server holds it ready.
    pub(crate) ready: bool,
    /// Since when that is so.
    pub(crate) ready_since: Time,
    pub(crate) created: Time,
    /// Whether its end was asked for.
    pub(crate) deleted: bool,
    /// Within another grace period than its own.
    pub(crate) grace: Option<Duration>,
    /// Whether its object is gone.
    pub(crate) released: bool,
    /// Whether its node is gone with its machine, and the pod's object is left.
    pub(crate) orphaned: bool,
    /// Pauses between pulls of its image.
    pub(crate) pulls: BackOff,
    /// Whether its image was pulled in vain, and is waited for.
    pub(crate) pull_failed: bool,
    /// When its container is out of memory; never while no fault says so.
    pub(crate) out_of_memory_at: Time,
    /// Timeline entry of the fault that keeps its application from answering.
    pub(crate) hung_by: Option<u32>,
    /// From when its start-up is counted: from its creation, unless it had to wait for room.
    pub(crate) counts_from: Option<Time>,
    /// When its container came to need its image.
    pub(crate) pulls_from: Time,
    pub(crate) counters: Counters,
    /// What decides between equal pods.
    pub(crate) uid: u64,
}

impl Pod {
    /// Whether a proxy stands beside its application.
    pub(crate) fn has_sidecar(&self) -> bool {
        self.sidecar.is_some()
    }

    /// Whether it answers on connections that it has.
    pub(crate) fn serves(&self) -> bool {
        match &self.sidecar {
            Some(sidecar) => sidecar.listens(),
            None => matches!(self.phase, Phase::Running | Phase::Terminating),
        }
    }

    /// Whether it takes new connections: applications that are stopping do not, proxies do
    /// until they have drained.
    pub(crate) fn listens(&self, now: Time) -> bool {
        match &self.sidecar {
            Some(sidecar) => sidecar.listens() && now < sidecar.drained,
            None => self.phase == Phase::Running,
        }
    }

    /// Whether its answers are the last on their connections.
    pub(crate) fn lets_go(&self) -> bool {
        match &self.sidecar {
            Some(sidecar) => sidecar.drains,
            None => self.phase == Phase::Terminating,
        }
    }

    /// How often that with which others are connected was started again.
    pub(crate) fn incarnation(&self) -> u32 {
        match &self.sidecar {
            Some(sidecar) => u32::from(sidecar.starts),
            None => self.restarts,
        }
    }
}

/// What a pod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not serving yet.
    Starting,
    /// Serving.
    Running,
    /// Finishing what it has begun, and taking no new connections.
    Terminating,
    /// Gone, between two containers, or on a node that is down.
    Dead,
}
