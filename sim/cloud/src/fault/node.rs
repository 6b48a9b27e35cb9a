//! Machines: without power, cut off, or slow.
//!
//! A machine without power loses its pods; packets to it are dropped or refused. One that is
//! cut off runs on, and packets to it are dropped.

use super::{Levers, Owner, stronger};
use crate::scenario::{ClusterId, Packets, ZoneId};

/// What a fault can do to a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NodeLevers {
    /// It has no power, and what becomes of packets sent to it.
    pub(super) off: Option<Packets>,
    /// Nothing reaches it, and it reaches nothing.
    pub(super) cut_off: bool,
    /// Factor on what its CPU does.
    pub(crate) cpu_factor: f64,
    /// Factor on what its disk does.
    pub(crate) disk_factor: f64,
}

impl NodeLevers {
    pub(super) const AT_REST: NodeLevers = NodeLevers {
        off: None,
        cut_off: false,
        cpu_factor: 1.0,
        disk_factor: 1.0,
    };
}

pub(super) fn turn_off(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    node: u32,
    packets: Packets,
) {
    if owner.is(cluster) {
        let lever = &mut levers.nodes[node as usize].off;
        *lever = Some(stronger(*lever, packets));
    }
}

pub(super) fn turn_off_zone(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    zone: ZoneId,
    packets: Packets,
) {
    if owner.is(cluster) {
        let nodes = (0..).zip(&owner.topology.cluster(cluster).nodes);
        for (node, _) in nodes.filter(|(_, node)| node.zone == zone) {
            turn_off(levers, owner, cluster, node, packets);
        }
    }
}
