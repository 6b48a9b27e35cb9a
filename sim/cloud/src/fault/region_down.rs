//! Everything in a region is out of reach: nothing gets into its clusters from elsewhere, and
//! nothing out of them. What they do among their own pods goes on. Users who live in the
//! region reach other regions: their access networks do not hang on the provider's.
//!
//! Approximated: what is under way when the region goes still arrives.

use super::{Levers, Owner};
use crate::facts;
use crate::scenario::Packets;
use crate::topology::PartitionKind;

pub(super) fn pull(levers: &mut Levers, owner: Owner<'_>, region: &str, packets: Packets) {
    let topology = owner.topology;
    let lies_there = |partition: u16| match topology.partitions[usize::from(partition)] {
        PartitionKind::Cluster(cluster) => {
            facts::same_region(region, &topology.cluster(cluster).region)
        }
        PartitionKind::Users(_) | PartitionKind::GlobalDns => false,
    };
    for other in owner.all().filter(|&other| other != owner.partition) {
        if lies_there(other) {
            levers.links[usize::from(other)].block(packets);
        } else if lies_there(owner.partition) {
            // From inside, there is nobody left who could refuse.
            levers.links[usize::from(other)].block(Packets::Dropped);
        }
    }
}
