//! The workloads of a cluster and the calls between them.

use super::super::canvas::{
    BLUE, Canvas, FAILURE, Frame, MUTED, PAPER, SERIES, STRONG, Type, fitted, text_width,
};
use super::layers::{Layers, Slot, layers};
use super::{arrow, chip};
use crate::number::share;
use cloud::summary::{Summary, WorkloadSummary};

/// Height of a workload's box, and of the space between two.
const BOX: i32 = 56;
const BOX_SMALL: i32 = 34;
const BETWEEN: i32 = 16;
/// Height of a lane for an arrow that passes.
const LANE: i32 = 16;
/// A layer with more workloads than this gets small boxes.
const ROOMY_MAX: usize = 7;
const BOX_WIDTH_MAX: i32 = 250;

/// The call graph of a cluster, laid out but not placed.
pub(super) struct Graph<'a> {
    /// The workloads, in the summary's order; their numbers on pods are places plus one.
    pub workloads: Vec<&'a WorkloadSummary>,
    calls: Vec<(usize, usize)>,
    layers: Layers,
    box_height: i32,
}

impl<'a> Graph<'a> {
    pub fn new(summary: &'a Summary, cluster: &str) -> Self {
        let workloads: Vec<&WorkloadSummary> = summary
            .workloads
            .iter()
            .filter(|workload| workload.cluster == cluster)
            .collect();
        let place = |path: &str| {
            let is_it = |workload: &&WorkloadSummary| pod_path(workload) == path;
            workloads.iter().position(is_it)
        };
        let mut calls: Vec<(usize, usize)> = summary
            .topology
            .calls
            .iter()
            .filter(|call| call.0 == cluster)
            .flat_map(|(_, caller, _, callees)| callees.iter().map(move |callee| (caller, callee)))
            .filter_map(|(caller, callee)| Some((place(caller)?, place(callee)?)))
            .collect();
        calls.sort_unstable();
        calls.dedup();
        let layers = layers(workloads.len(), &calls);
        let most = layers.slots.iter().map(Vec::len).max().unwrap_or(0);
        Self {
            workloads,
            calls,
            layers,
            box_height: if most > ROOMY_MAX { BOX_SMALL } else { BOX },
        }
    }

    /// Number on pods of a workload named `namespace/name`.
    pub fn number(&self, path: &str) -> Option<usize> {
        self.workloads
            .iter()
            .position(|workload| pod_path(workload) == path)
    }

    fn slot_height(&self, slot: Slot) -> i32 {
        match slot {
            Slot::Workload(_) => self.box_height,
            Slot::Lane(_) => LANE,
        }
    }

    fn layer_height(&self, layer: &[Slot]) -> i32 {
        let heights: i32 = layer.iter().map(|slot| self.slot_height(*slot)).sum();
        heights + BETWEEN * (layer.len() as i32 - 1).max(0)
    }

    pub fn height(&self) -> i32 {
        let layers = self.layers.slots.iter();
        layers
            .map(|layer| self.layer_height(layer))
            .max()
            .unwrap_or(0)
    }

    /// Where every slot is when the graph fills a frame.
    fn places(&self, frame: Frame) -> Vec<(Slot, Frame)> {
        let count = self.layers.slots.len() as i32;
        let pitch = frame.width() / count.max(1);
        let width = (pitch * 4 / 5).min(BOX_WIDTH_MAX);
        let free = frame.width() - width;
        let mut places = Vec::new();
        for (index, layer) in self.layers.slots.iter().enumerate() {
            let left = match count {
                1 => frame.left,
                _ => frame.left + free * index as i32 / (count - 1),
            };
            let mut top = frame.middle().1 - self.layer_height(layer) / 2;
            for slot in layer {
                let height = self.slot_height(*slot);
                let place = Frame {
                    left,
                    top,
                    right: left + width,
                    bottom: top + height,
                };
                places.push((*slot, place));
                top += height + BETWEEN;
            }
        }
        places
    }

    pub fn draw(&self, canvas: &mut Canvas<'_>, frame: Frame) {
        let places = self.places(frame);
        let find = |wanted: Slot| {
            let same = places.iter().filter(move |(slot, _)| *slot == wanted);
            same.map(|(_, place)| *place)
        };
        for (index, &(caller, callee)) in self.calls.iter().enumerate() {
            let mut points = Vec::new();
            if let Some(place) = find(Slot::Workload(caller)).next() {
                points.push((place.right, place.middle().1));
            }
            for lane in find(Slot::Lane(index)) {
                points.extend([(lane.left, lane.middle().1), (lane.right, lane.middle().1)]);
            }
            if let Some(place) = find(Slot::Workload(callee)).next() {
                points.push((place.left, place.middle().1));
            }
            arrow(canvas, &points, MUTED);
        }
        for (slot, place) in &places {
            if let Slot::Workload(index) = slot {
                self.draw_box(canvas, *index, *place);
            }
        }
    }

    fn draw_box(&self, canvas: &mut Canvas<'_>, index: usize, frame: Frame) {
        let workload = self.workloads[index];
        canvas.fill(frame, PAPER, 1.0);
        // The lower edge fills as the workload is busy.
        let busy = workload.utilization.value.clamp(0.0, 1.0);
        let meter = Frame {
            top: frame.bottom - 5,
            right: frame.left + (f64::from(frame.width()) * busy).round() as i32,
            ..frame
        };
        canvas.fill(meter, if busy > 0.9 { FAILURE } else { BLUE }, 1.0);
        canvas.border(frame, SERIES[index % SERIES.len()], 2);
        let small = self.box_height == BOX_SMALL;
        let line = if small {
            frame.middle().1 - 2
        } else {
            frame.top + 18
        };
        chip(canvas, (frame.left + 8, line - 11), index);
        let left = frame.left + 46;
        let facts = format!("{:.0} %", 100.0 * busy);
        let facts_width = if small {
            text_width(&facts, 15) + 12
        } else {
            0
        };
        let room = frame.right - left - 6 - facts_width;
        // Bold letters are a little wider.
        let name = fitted(&workload.name, 20, room);
        canvas.text((left, line), &name, Type::new(18, STRONG).bold());
        let remark = Type::new(15, MUTED);
        if small {
            let right = (frame.right - facts_width, line);
            canvas.text(right, &facts, remark);
        } else {
            let pods = crate::number::counted(workload.replicas.into(), "pod");
            let facts = format!("{pods}, {} busy", share(busy));
            let facts = fitted(&facts, 15, frame.width() - 16);
            canvas.text((frame.left + 9, frame.top + 39), &facts, remark);
        }
    }
}

/// `namespace/name`, as a topology names the workload of a pod.
fn pod_path(workload: &WorkloadSummary) -> String {
    format!("{}/{}", workload.namespace, workload.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn overlap(a: Frame, b: Frame) -> bool {
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
    }

    proptest! {
        /// Whoever calls whom, circles included, no box and no lane covers another, and all
        /// stay inside.
        #[test]
        fn nothing_overlaps(
            count in 1_usize..=12,
            calls in prop::collection::vec((0_usize..12, 0_usize..12), 0..30),
        ) {
            let mut calls: Vec<(usize, usize)> =
                calls.into_iter().map(|(a, b)| (a % count, b % count)).collect();
            calls.sort_unstable();
            calls.dedup();
            let graph = Graph {
                workloads: Vec::new(),
                layers: layers(count, &calls),
                calls,
                box_height: BOX,
            };
            let frame = Frame { left: 444, top: 100, right: 1556, bottom: 100 + graph.height() };
            let places = graph.places(frame);
            let boxes = places.iter().filter(|(slot, _)| matches!(slot, Slot::Workload(_)));
            prop_assert_eq!(boxes.count(), count);
            for (index, (_, place)) in places.iter().enumerate() {
                prop_assert!(place.left >= frame.left && place.right <= frame.right);
                prop_assert!(place.top >= frame.top && place.bottom <= frame.bottom);
                for (_, other) in &places[..index] {
                    prop_assert!(!overlap(*place, *other));
                }
            }
        }
    }
}
