//! The cluster's DNS does its work slower, or not at all.

use super::{Levers, Owner};
use crate::scenario::ClusterId;

pub(super) fn pull(levers: &mut Levers, owner: Owner<'_>, cluster: ClusterId, capacity: f64) {
    if owner.is(cluster) {
        levers.dns_capacity *= capacity;
    }
}
