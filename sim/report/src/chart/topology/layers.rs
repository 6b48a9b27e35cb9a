//! A layered drawing of who calls whom: callers left of callees, arrows that skip a layer get a
//! lane of their own there, and each layer is ordered by where its callers stand (Sugiyama's
//! method with barycentres).

/// What stands in a slot of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A workload, by its index.
    Workload(usize),
    /// An arrow that passes, by its index.
    Lane(usize),
}

/// Slots per layer, from left to right and from top to bottom.
#[derive(Debug)]
pub(super) struct Layers {
    pub slots: Vec<Vec<Slot>>,
}

/// Sweeps over all layers; more change little.
const SWEEPS: usize = 4;

/// Layers `count` workloads joined by `calls` (caller, callee). Calls in a circle are drawn,
/// but do not push each other for ever.
pub(super) fn layers(count: usize, calls: &[(usize, usize)]) -> Layers {
    let depths = depths(count, calls);
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let mut slots = vec![Vec::new(); deepest + 1];
    for (workload, depth) in depths.iter().enumerate() {
        slots[*depth].push(Slot::Workload(workload));
    }
    for (index, &(caller, callee)) in calls.iter().enumerate() {
        for layer in slots
            .iter_mut()
            .take(depths[callee])
            .skip(depths[caller] + 1)
        {
            layer.push(Slot::Lane(index));
        }
    }
    for _ in 0..SWEEPS {
        for layer in 1..slots.len() {
            let order = sorted(&slots[layer], &slots[layer - 1], calls, Side::Callers);
            slots[layer] = order;
        }
        for layer in (0..slots.len().saturating_sub(1)).rev() {
            let order = sorted(&slots[layer], &slots[layer + 1], calls, Side::Callees);
            slots[layer] = order;
        }
    }
    Layers { slots }
}

/// Longest way from a workload that nobody calls.
fn depths(count: usize, calls: &[(usize, usize)]) -> Vec<usize> {
    let mut depths = vec![0; count];
    for _ in 1..count {
        for &(caller, callee) in calls {
            let deeper = depths[caller] + 1;
            if depths[callee] < deeper && deeper < count {
                depths[callee] = deeper;
            }
        }
    }
    compact(depths)
}

/// The same order without empty layers, which circles of calls would leave.
fn compact(mut depths: Vec<usize>) -> Vec<usize> {
    let mut used = depths.clone();
    used.sort_unstable();
    used.dedup();
    for depth in &mut depths {
        *depth = used.partition_point(|other| other < depth);
    }
    depths
}

#[derive(Clone, Copy)]
enum Side {
    Callers,
    Callees,
}

/// A layer ordered by the mean place of its neighbours in the layer beside it.
fn sorted(layer: &[Slot], beside: &[Slot], calls: &[(usize, usize)], side: Side) -> Vec<Slot> {
    let mut keyed: Vec<(f64, usize, Slot)> = layer
        .iter()
        .enumerate()
        .map(|(place, slot)| {
            let places: Vec<usize> = beside
                .iter()
                .enumerate()
                .filter(|(_, other)| joined(*slot, **other, calls, side))
                .map(|(place, _)| place)
                .collect();
            let key = if places.is_empty() {
                place as f64 / layer.len() as f64 * beside.len() as f64
            } else {
                places.iter().sum::<usize>() as f64 / places.len() as f64
            };
            (key, place, *slot)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, _, slot)| slot).collect()
}

/// Whether an arrow leads between a slot and one in the layer beside it.
fn joined(slot: Slot, other: Slot, calls: &[(usize, usize)], side: Side) -> bool {
    let ends = |call: usize| match side {
        Side::Callers => calls[call],
        Side::Callees => (calls[call].1, calls[call].0),
    };
    match (slot, other) {
        (Slot::Workload(here), Slot::Workload(there)) => {
            (0..calls.len()).any(|call| ends(call) == (there, here))
        }
        (Slot::Workload(here), Slot::Lane(call)) => ends(call).1 == here,
        (Slot::Lane(call), Slot::Workload(there)) => ends(call).0 == there,
        (Slot::Lane(call), Slot::Lane(other)) => call == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Slot::{Lane, Workload};

    #[test]
    fn callers_stand_left_of_callees() {
        let calls = [(0, 1), (1, 2), (0, 2), (1, 3)];
        let layers = layers(4, &calls);
        assert_eq!(layers.slots[0], [Workload(0)]);
        assert_eq!(layers.slots.len(), 3);
        assert!(
            layers.slots[1].contains(&Lane(2)),
            "the call that skips a layer"
        );
        assert!(layers.slots[2].contains(&Workload(3)));
    }

    #[test]
    fn circles_end() {
        let layers = layers(3, &[(0, 1), (1, 0), (1, 2)]);
        let workloads = layers.slots.iter().flatten();
        let workloads = workloads.filter(|slot| matches!(slot, Workload(_)));
        assert_eq!(workloads.count(), 3);
        assert!(layers.slots.iter().all(|layer| !layer.is_empty()));
    }

    #[test]
    fn crossings_are_avoided() {
        // Two chains whose second members are given in the other order.
        let layers = layers(4, &[(0, 3), (1, 2)]);
        assert_eq!(layers.slots[0], [Workload(0), Workload(1)]);
        assert_eq!(layers.slots[1], [Workload(3), Workload(2)]);
    }
}
