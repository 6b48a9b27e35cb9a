//! A link between partitions is cut, slower, or loses packets, in both directions.

use super::{Levers, Owner, means};
use crate::scenario::{LinkChange, Place};

pub(super) fn pull(
    levers: &mut Levers,
    owner: Owner<'_>,
    from: &Place,
    to: &Place,
    change: LinkChange,
) {
    let here = |place| means(owner.topology, place, owner.partition);
    for other in owner.all().filter(|&other| other != owner.partition) {
        let there = |place| means(owner.topology, place, other);
        if !(here(from) && there(to) || here(to) && there(from)) {
            continue;
        }
        levers.links[usize::from(other)].change(change);
    }
}
