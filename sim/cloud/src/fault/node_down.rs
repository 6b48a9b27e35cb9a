//! A machine stops: its pods die with it, packets to it are dropped or refused.

use super::{Levers, Owner, stronger};
use crate::scenario::{ClusterId, Packets};

pub(super) fn pull(
    levers: &mut Levers,
    owner: Owner<'_>,
    cluster: ClusterId,
    node: u32,
    packets: Packets,
) {
    if owner.is(cluster) {
        let lever = &mut levers.nodes[node as usize];
        *lever = Some(stronger(*lever, packets));
    }
}
