//! The EndpointSlice controller: how late it writes, and into which slices.
//!
//! Models: the delay from a pod's status to the changed slice as recorded, drawn from its
//! quantiles; the penalty of a burst, in which one update in thirty finds the controller's own
//! view of the slices too old and comes again after the first pause of a failure; the packing
//! of endpoints into slices of a hundred, which keeps what is there, fills the slices that it
//! has to write anyway, fullest first, then the unchanged one that is left fullest, then new ones.
//! Leaves out: slices of several ports or address families, each of which is packed alike.
//! Sources: kubernetes/endpointslice reconciler.go; kubernetes/kubernetes
//! pkg/controller/endpointslice; the recording named in [`crate::facts`].
//! Validated by: the recording by its distribution; packings worked out by hand, and the
//! property that any sequence of sets leaves exactly the set that was asked for.

use crate::facts;
use engine::{Draw, Duration};
use std::collections::BTreeSet;

/// From a pod's status in the API server to the changed slice, for an update on its own.
pub fn delay(draw: &mut Draw) -> Duration {
    let knots = [
        (0.0, facts::ENDPOINT_SLICE_DELAY_MIN.value),
        (0.25, facts::ENDPOINT_SLICE_DELAY_P25.value),
        (0.5, facts::ENDPOINT_SLICE_DELAY.value),
        (0.9, facts::ENDPOINT_SLICE_DELAY_P90.value),
        (0.97, facts::ENDPOINT_SLICE_DELAY_P97.value),
        (1.0, facts::ENDPOINT_SLICE_DELAY_MAX.value),
    ];
    let share = draw.uniform();
    let upper = knots
        .iter()
        .position(|(knot, _)| share < *knot)
        .expect("a draw is below one");
    let ((from, low), (to, high)) = (knots[upper - 1], knots[upper]);
    low + (high - low).mul_f64((share - from) / (to - from))
}

/// What an update that follows another closely waits on top, if it loses the race.
pub fn race_penalty(draw: &mut Draw) -> Duration {
    match draw.chance(facts::ENDPOINT_SLICE_RACE_SHARE.value) {
        true => retry_pause(1),
        false => Duration::ZERO,
    }
}

/// The pause after so many failures in a row, from one on.
pub fn retry_pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = facts::ENDPOINT_SLICE_RETRY.value * (1 << doublings);
    pause.min(facts::ENDPOINT_SLICE_RETRY_MAX.value)
}

/// How many slices were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Slices that are new.
    pub created: u32,
    /// Slices with other endpoints than before.
    pub updated: u32,
    /// Slices that were left without any.
    pub deleted: u32,
}

impl Writes {
    /// Requests that this takes.
    pub fn total(self) -> u32 {
        self.created + self.updated + self.deleted
    }
}

/// Changes a service's slices so that they hold exactly the desired endpoints; those that
/// `changed` says differ in what is said about them make their slice be written too.
pub fn pack<E>(
    slices: &mut Vec<Vec<E>>,
    mut desired: BTreeSet<E>,
    changed: impl Fn(&E) -> bool,
) -> Writes
where
    E: Ord + Clone,
{
    let max = facts::ENDPOINT_SLICE_ENDPOINTS_MAX.value as usize;
    let existing = slices.len();
    let mut touched = vec![false; existing];
    for (slice, touched) in slices.iter_mut().zip(&mut touched) {
        let before = slice.len();
        slice.retain(|endpoint| desired.remove(endpoint));
        *touched = slice.len() < before || slice.iter().any(&changed);
    }
    let mut order: Vec<usize> = (0..slices.len())
        .filter(|&slice| touched[slice] && !slices[slice].is_empty())
        .collect();
    order.sort_by_key(|&slice| std::cmp::Reverse(slices[slice].len()));
    for slice in order {
        fill(&mut slices[slice], &mut desired, max);
    }
    while !desired.is_empty() {
        let slice = match roomy(slices, &touched, desired.len(), max) {
            Some(slice) => slice,
            None => {
                slices.push(Vec::new());
                touched.push(true);
                slices.len() - 1
            }
        };
        touched[slice] = true;
        fill(&mut slices[slice], &mut desired, max);
    }
    let writes = Writes {
        created: (slices.len() - existing) as u32,
        deleted: slices.iter().filter(|slice| slice.is_empty()).count() as u32,
        updated: 0,
    };
    let written = touched.iter().filter(|touched| **touched).count() as u32;
    slices.retain(|slice| !slice.is_empty());
    Writes {
        updated: written - writes.created - writes.deleted,
        ..writes
    }
}

/// The unchanged slice that so many more endpoints would leave fullest.
fn roomy<E>(slices: &[Vec<E>], touched: &[bool], more: usize, max: usize) -> Option<usize> {
    let mut best: Option<usize> = None;
    for slice in (0..slices.len()).filter(|&slice| !touched[slice]) {
        let fits = slices[slice].len() + more <= max && more < max;
        if fits && best.is_none_or(|best| slices[best].len() < slices[slice].len()) {
            best = Some(slice);
        }
    }
    best
}

fn fill<E: Ord>(slice: &mut Vec<E>, desired: &mut BTreeSet<E>, max: usize) {
    while slice.len() < max
        && let Some(endpoint) = desired.pop_first()
    {
        slice.push(endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};
    use proptest::prelude::*;

    fn sizes(slices: &[Vec<u32>]) -> Vec<usize> {
        slices.iter().map(Vec::len).collect()
    }

    fn apply(slices: &mut Vec<Vec<u32>>, desired: impl IntoIterator<Item = u32>) -> [u32; 3] {
        let writes = pack(slices, desired.into_iter().collect(), |_| false);
        [writes.created, writes.updated, writes.deleted]
    }

    #[test]
    fn slices_fill_in_the_order_of_the_reconciler() {
        let mut slices = Vec::new();
        assert_eq!(apply(&mut slices, 0..250), [3, 0, 0]);
        assert_eq!(sizes(&slices), [100, 100, 50]);
        // One goes, one comes: the slice that is written anyway takes it.
        assert_eq!(apply(&mut slices, (1..250).chain([300])), [0, 1, 0]);
        assert_eq!(sizes(&slices), [100, 100, 50]);
        // One comes: only the last slice has room.
        assert_eq!(apply(&mut slices, (1..250).chain([300, 301])), [0, 1, 0]);
        assert_eq!(sizes(&slices), [100, 100, 51]);
        // Forty go from the first, ten from the second, thirty come: the fuller is filled first.
        let desired = (40..100).chain([300, 301]).chain(110..250).chain(400..430);
        assert_eq!(apply(&mut slices, desired), [0, 2, 0]);
        assert_eq!(sizes(&slices), [81, 100, 51]);
        // Sixty more fit into none of them: a new slice, not two filled up.
        let now: Vec<u32> = slices.concat();
        assert_eq!(
            apply(&mut slices, now.into_iter().chain(500..560)),
            [1, 0, 0]
        );
        assert_eq!(sizes(&slices), [81, 100, 51, 60]);
        // Fifteen fit into three: the fullest that has room for all.
        let now: Vec<u32> = slices.concat();
        assert_eq!(
            apply(&mut slices, now.into_iter().chain(600..615)),
            [0, 1, 0]
        );
        assert_eq!(sizes(&slices), [96, 100, 51, 60]);
    }

    #[test]
    fn an_empty_slice_is_deleted() {
        let mut slices = vec![vec![1, 2], vec![3]];
        assert_eq!(apply(&mut slices, [1, 2]), [0, 0, 1]);
        assert_eq!(slices, [[1, 2]]);
    }

    #[test]
    fn changed_conditions_write_their_slice_only() {
        let mut slices = vec![(0..100).collect(), (100..200).collect()];
        let writes = pack(&mut slices, (0..200).collect(), |endpoint| *endpoint == 150);
        assert_eq!((writes.updated, writes.total()), (1, 1));
    }

    proptest! {
        #[test]
        fn slices_hold_what_is_desired(
            sets in prop::collection::vec(prop::collection::btree_set(0u32..600, 0..500), 1..6),
        ) {
            let mut slices = Vec::new();
            for desired in sets {
                pack(&mut slices, desired.clone(), |_| false);
                let held: Vec<u32> = slices.concat();
                prop_assert_eq!(held.len(), desired.len(), "none twice");
                prop_assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), desired);
                prop_assert!(slices.iter().all(|slice| (1..=100).contains(&slice.len())));
            }
        }
    }

    #[test]
    fn delays_have_the_recorded_quantiles() {
        let stream = Stream::new(Seed::default(), "delays");
        let mut delays: Vec<f64> = (0..20_000)
            .map(|index| delay(&mut stream.draw(index, 0)).as_secs_f64() * 1e3)
            .collect();
        delays.sort_by(f64::total_cmp);
        assert!((delays[10_000] - 11.0).abs() < 0.2);
        assert!((delays[18_000] - 17.0).abs() < 1.0);
        assert!(delays[0] >= 1.3 && delays[19_999] < 106.4);
        let mean = delays.iter().sum::<f64>() / 20_000.0;
        // The middles between quantiles, with their weights.
        let exact = 0.25 * 5.0 + 0.25 * 9.85 + 0.4 * 14.0 + 0.07 * 22.0 + 0.03 * 66.7;
        assert!((mean - exact).abs() < 0.3, "{mean} instead of {exact}");
    }

    #[test]
    fn one_in_thirty_is_a_second_late() {
        let stream = Stream::new(Seed::default(), "races");
        let late = (0..30_000).filter(|&index| {
            let penalty = race_penalty(&mut stream.draw(index, 0));
            assert!(penalty.is_zero() || penalty == Duration::from_secs(1));
            !penalty.is_zero()
        });
        let late = late.count();
        assert!((900..1_100).contains(&late), "{late}");
    }

    #[test]
    fn failures_are_retried_with_doubling_pauses() {
        let pauses: Vec<u64> = (1..=9)
            .map(|failures| retry_pause(failures).as_nanos() / 1_000_000_000)
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    }
}
