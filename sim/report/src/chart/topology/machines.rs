//! The nodes of a cluster by zone, with the pods on them: numbers are those of the workloads.

use super::super::canvas::{
    Anchor, Canvas, FAILURE, Frame, GRID, MUTED, PANEL, PAPER, STRONG, Type, fitted,
};
use super::graph::Graph;
use super::{CHIP, chip};
use cloud::summary::{ClusterSummary, NodeSummary};

const ZONE_GAP: i32 = 16;
const NODE_WIDTH: i32 = 160;
const NODE_GAP: i32 = 10;
const CHIP_PITCH: i32 = CHIP.0 + 4;
/// Pods side by side in a node, and lines of them before the rest is counted.
const CHIPS_PER_LINE: usize = 4;
const CHIP_LINES_MAX: usize = 4;
/// More nodes than this per zone are counted.
const NODES_MAX: usize = 12;
const ZONE_TITLE: i32 = 30;
const PENDING_LINE: i32 = 26;
const PENDING_MAX: usize = 3;

struct Zone<'a> {
    name: &'a str,
    nodes: Vec<&'a NodeSummary>,
}

fn zones(cluster: &ClusterSummary) -> Vec<Zone<'_>> {
    let mut zones: Vec<Zone<'_>> = Vec::new();
    for node in &cluster.nodes {
        match zones.iter_mut().find(|zone| zone.name == node.zone) {
            Some(zone) => zone.nodes.push(node),
            None => zones.push(Zone {
                name: &node.zone,
                nodes: vec![node],
            }),
        }
    }
    zones.sort_by_key(|zone| zone.name);
    zones
}

/// Lines of pods that the fullest node needs.
fn chip_lines(cluster: &ClusterSummary) -> usize {
    let most = cluster.nodes.iter().map(|node| node.pods.len()).max();
    most.unwrap_or(0)
        .div_ceil(CHIPS_PER_LINE)
        .clamp(1, CHIP_LINES_MAX)
}

fn node_height(cluster: &ClusterSummary) -> i32 {
    34 + chip_lines(cluster) as i32 * (CHIP.1 + 4) + 8
}

/// Nodes side by side in a zone that is one of `zones` in `width`.
fn per_line(zones: usize, width: i32) -> usize {
    let zone = (width + ZONE_GAP) / zones.max(1) as i32 - ZONE_GAP;
    ((zone - NODE_GAP) / (NODE_WIDTH + NODE_GAP)).max(1) as usize
}

pub(super) fn height(cluster: &ClusterSummary, width: i32) -> i32 {
    let zones = zones(cluster);
    let side_by_side = per_line(zones.len(), width);
    let lines = zones
        .iter()
        .map(|zone| zone.nodes.len().min(NODES_MAX).div_ceil(side_by_side))
        .max()
        .unwrap_or(0) as i32;
    let nodes = match lines {
        0 => 0,
        _ => ZONE_TITLE + lines * (node_height(cluster) + NODE_GAP),
    };
    nodes + pending(cluster).len() as i32 * PENDING_LINE
}

/// Pods without a node, in words, once per workload and reason.
fn pending(cluster: &ClusterSummary) -> Vec<String> {
    let mut reasons: Vec<(&(String, String), usize)> = Vec::new();
    for entry in &cluster.pending {
        match reasons.iter_mut().find(|(known, _)| *known == entry) {
            Some((_, pods)) => *pods += 1,
            None => reasons.push((entry, 1)),
        }
    }
    let sentence = |((workload, why), pods): (&(String, String), usize)| {
        format!("{pods} pending: {workload}, {why}")
    };
    reasons
        .into_iter()
        .take(PENDING_MAX)
        .map(sentence)
        .collect()
}

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    cluster: &ClusterSummary,
    graph: &Graph<'_>,
    frame: Frame,
) {
    let zones = zones(cluster);
    let lines = pending(cluster);
    let count = zones.len().max(1) as i32;
    let width = (frame.width() + ZONE_GAP) / count - ZONE_GAP;
    let side_by_side = per_line(zones.len(), frame.width());
    let nodes_bottom = frame.bottom - lines.len() as i32 * PENDING_LINE;
    for (index, zone) in zones.iter().enumerate() {
        let left = frame.left + index as i32 * (width + ZONE_GAP);
        let place = Frame {
            left,
            right: left + width,
            bottom: nodes_bottom,
            ..frame
        };
        draw_zone(canvas, cluster, graph, (zone, side_by_side), place);
    }
    for (index, line) in lines.iter().enumerate() {
        let middle = nodes_bottom + PENDING_LINE / 2 + index as i32 * PENDING_LINE;
        let text = fitted(line, 16, frame.width());
        canvas.text((frame.left, middle + 4), &text, Type::new(16, FAILURE));
    }
}

fn draw_zone(
    canvas: &mut Canvas<'_>,
    cluster: &ClusterSummary,
    graph: &Graph<'_>,
    (zone, side_by_side): (&Zone<'_>, usize),
    frame: Frame,
) {
    canvas.fill(frame, PANEL, 1.0);
    let title = if zone.name.is_empty() {
        "nodes".to_owned()
    } else {
        format!("zone {}", zone.name)
    };
    let remark = Type::new(15, MUTED);
    canvas.text(
        (frame.left + NODE_GAP, frame.top + 15),
        &fitted(&title, 15, frame.width() / 2),
        remark.bold(),
    );
    let left_out = zone.nodes.len().saturating_sub(NODES_MAX);
    if left_out > 0 {
        let text = format!("{left_out} more nodes");
        let right = (frame.right - NODE_GAP, frame.top + 15);
        canvas.text(right, &text, remark.at(Anchor::End));
    }
    let width = ((frame.width() - NODE_GAP) / side_by_side as i32 - NODE_GAP).min(NODE_WIDTH + 60);
    for (index, node) in zone.nodes.iter().take(NODES_MAX).enumerate() {
        let (column, line) = ((index % side_by_side) as i32, (index / side_by_side) as i32);
        let left = frame.left + NODE_GAP + column * (width + NODE_GAP);
        let top = frame.top + ZONE_TITLE + line * (node_height(cluster) + NODE_GAP);
        let place = Frame {
            left,
            top,
            right: left + width,
            bottom: top + node_height(cluster),
        };
        draw_node(canvas, node, graph, place);
    }
}

fn draw_node(canvas: &mut Canvas<'_>, node: &NodeSummary, graph: &Graph<'_>, frame: Frame) {
    canvas.fill(frame, PAPER, 1.0);
    canvas.border(frame, GRID, 2);
    let requested = node.cpu_requested.clamp(0.0, 1.0);
    let meter = Frame {
        top: frame.bottom - 4,
        right: frame.left + (f64::from(frame.width()) * requested).round() as i32,
        ..frame
    };
    canvas.fill(meter, MUTED, 1.0);
    let name = fitted(&node.name, 15, frame.width() - 14);
    let line = (frame.left + 8, frame.top + 17);
    canvas.text(line, &name, Type::new(15, STRONG));
    let fits = CHIPS_PER_LINE * CHIP_LINES_MAX;
    let shown = match node.pods.len() {
        all if all <= fits => all,
        _ => fits - 1,
    };
    let place = |index: usize| {
        (
            frame.left + 8 + (index % CHIPS_PER_LINE) as i32 * CHIP_PITCH,
            frame.top + 34 + (index / CHIPS_PER_LINE) as i32 * (CHIP.1 + 4),
        )
    };
    for (index, pod) in node.pods.iter().take(shown).enumerate() {
        if let Some(number) = graph.number(pod) {
            chip(canvas, place(index), number);
        }
    }
    if shown < node.pods.len() {
        let (left, top) = place(shown);
        let rest = format!("+{}", node.pods.len() - shown);
        canvas.text((left + 2, top + CHIP.1 / 2), &rest, Type::new(15, MUTED));
    }
}
