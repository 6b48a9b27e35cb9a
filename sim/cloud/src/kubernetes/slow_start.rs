//! How controllers create many pods: a few first, in case all fail the same way.
//!
//! Models: batches of 1, 2, 4, … pods, each begun when the one before has succeeded; at most
//! 500 pods in one look of a controller.
//! Sources: kubernetes/kubernetes pkg/controller/replicaset, pkg/controller/daemon,
//! pkg/controller/job (slowStartBatch). Validated by: the tests below.

use crate::facts;

/// The sizes of the batches in which one look creates `missing` pods.
pub fn batches(missing: u32) -> impl Iterator<Item = u32> {
    let mut left = missing.min(facts::CONTROLLER_BURST.value);
    let mut size = 1;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size *= 2;
        (batch > 0).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_double_and_hold_all() {
        let sizes = |missing| batches(missing).collect::<Vec<_>>();
        assert_eq!(sizes(0), []);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(10), [1, 2, 4, 3]);
        assert_eq!(sizes(2_000), [1, 2, 4, 8, 16, 32, 64, 128, 245]);
        for missing in 0..=500 {
            assert_eq!(batches(missing).sum::<u32>(), missing);
        }
    }
}
