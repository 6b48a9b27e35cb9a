//! A link between partitions is cut, slower, or loses packets, in both directions.

use super::{Levers, Owner, means};
use crate::scenario::{LinkChange, Packets, Place};

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
        let lever = &mut levers.links[usize::from(other)];
        match change {
            LinkChange::Cut => lever.block(Packets::Dropped),
            LinkChange::Delay(delay) => lever.delay += delay,
            LinkChange::Loss(loss) => lever.loss = 1.0 - (1.0 - lever.loss) * (1.0 - loss),
        }
    }
}
