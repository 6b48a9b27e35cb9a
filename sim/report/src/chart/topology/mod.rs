//! What was simulated: who sends requests, the clusters in their regions, the calls between
//! workloads and the nodes with the pods on them at the start.

mod graph;
mod layers;
mod machines;

use super::canvas::{
    Anchor, BLUE, Canvas, Drawing, Frame, GRID, Ink, MUTED, PAPER, SERIES, SMALL, STRONG, TEXT,
    Type, WIDTH, fitted, picture,
};
use crate::number::counted;
use cloud::summary::{ClusterSummary, Summary};
use graph::Graph;

const SOURCES: (i32, i32) = (20, 300);
const CLUSTERS: (i32, i32) = (420, WIDTH - 20);
const SOURCE_HEIGHT: i32 = 92;
const SOURCE_GAP: i32 = 24;
const PADDING: i32 = 24;
const CLUSTER_TITLE: i32 = 56;
const CLUSTER_GAP: i32 = 34;
/// Size of the number that stands for a workload.
const CHIP: (i32, i32) = (32, 22);

/// Who sends requests, and into which clusters.
struct Source {
    title: String,
    place: String,
    traffic: Vec<String>,
    clusters: Vec<String>,
}

/// A cluster with its drawing's parts and their heights.
struct Box<'a> {
    cluster: &'a ClusterSummary,
    graph: Graph<'a>,
    machines: i32,
}

impl Box<'_> {
    fn height(&self) -> i32 {
        let between = if self.machines > 0 { PADDING } else { 0 };
        CLUSTER_TITLE + self.graph.height() + between + self.machines + PADDING
    }
}

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let inner = CLUSTERS.1 - CLUSTERS.0 - 2 * PADDING;
    let boxes: Vec<Box<'_>> = summary
        .topology
        .clusters
        .iter()
        .map(|cluster| Box {
            cluster,
            graph: Graph::new(summary, &cluster.name),
            machines: machines::height(cluster, inner),
        })
        .collect();
    if boxes.is_empty() {
        return None;
    }
    let sources = sources(summary);
    let clusters_height: i32 = boxes.iter().map(|each| each.height() + CLUSTER_GAP).sum();
    let sources_height = sources.len() as i32 * (SOURCE_HEIGHT + SOURCE_GAP);
    let height = 56 + clusters_height.max(sources_height);
    let label = "Clusters, nodes, pods, users and calls";
    picture(height, label, |canvas| {
        let heading = Type::new(TEXT, STRONG).bold();
        canvas.text((CLUSTERS.0, 24), "Clusters", heading);
        let legend = "numbers mark pods; bars: busy share of workloads, requested CPU of nodes";
        let remark = Type::new(SMALL, MUTED).at(Anchor::End);
        canvas.text((CLUSTERS.1, 24), legend, remark);
        let frames = cluster_frames(&boxes, 52 + (height - 56 - clusters_height) / 2);
        let source_top = 52 + (height - 56 - sources_height) / 2;
        let places = source_frames(sources.len(), source_top);
        let above = (SOURCES.0, (source_top - 28).max(24));
        canvas.text(above, "Who sends requests", heading);
        for frame in &frames {
            canvas.fill(*frame, PAPER, 1.0);
            canvas.border(*frame, GRID, 3);
        }
        enter(canvas, (&sources, &places), (&boxes, &frames));
        for (source, place) in sources.iter().zip(&places) {
            draw_source(canvas, source, *place);
        }
        for (each, frame) in boxes.iter().zip(&frames) {
            draw_cluster(canvas, each, *frame);
        }
    })
}

/// Networks of users, then traffic that begins inside clusters.
fn sources(summary: &Summary) -> Vec<Source> {
    let topology = &summary.topology;
    let mut sources: Vec<Source> = topology
        .user_networks
        .iter()
        .map(|(name, region)| Source {
            title: name.clone(),
            place: region.clone(),
            traffic: Vec::new(),
            clusters: Vec::new(),
        })
        .collect();
    let networks = sources.len();
    for (traffic, from, clusters) in &topology.entries {
        let network = sources[..networks]
            .iter_mut()
            .find(|source| source.title == *from);
        match network {
            Some(source) => {
                source.traffic.push(traffic.clone());
                for cluster in clusters {
                    if !source.clusters.contains(cluster) {
                        source.clusters.push(cluster.clone());
                    }
                }
            }
            None => sources.push(Source {
                title: traffic.clone(),
                place: format!("inside {from}"),
                traffic: Vec::new(),
                clusters: clusters.clone(),
            }),
        }
    }
    sources
}

fn cluster_frames(boxes: &[Box<'_>], top: i32) -> Vec<Frame> {
    let mut top = top;
    boxes
        .iter()
        .map(|each| {
            let frame = Frame {
                left: CLUSTERS.0,
                right: CLUSTERS.1,
                top,
                bottom: top + each.height(),
            };
            top = frame.bottom + CLUSTER_GAP;
            frame
        })
        .collect()
}

fn source_frames(count: usize, top: i32) -> Vec<Frame> {
    (0..count as i32)
        .map(|index| {
            let top = top + index * (SOURCE_HEIGHT + SOURCE_GAP);
            Frame {
                left: SOURCES.0,
                right: SOURCES.1,
                top,
                bottom: top + SOURCE_HEIGHT,
            }
        })
        .collect()
}

/// Arrows from sources to clusters, spread along both edges so that none covers another.
fn enter(
    canvas: &mut Canvas<'_>,
    (sources, places): (&[Source], &[Frame]),
    (boxes, frames): (&[Box<'_>], &[Frame]),
) {
    let enters = |source: &Source, each: &Box<'_>| source.clusters.contains(&each.cluster.name);
    for (index, (source, place)) in sources.iter().zip(places).enumerate() {
        let targets = boxes.iter().filter(|each| enters(source, each)).count() as i32;
        let mut target = 0;
        for (each, frame) in boxes.iter().zip(frames) {
            if !enters(source, each) {
                continue;
            }
            target += 1;
            let from = place.top + place.height() * target / (targets + 1);
            let arriving = sources.iter().filter(|source| enters(source, each)).count() as i32;
            let before = sources[..index]
                .iter()
                .filter(|source| enters(source, each))
                .count() as i32;
            let spread = frame.height().min(arriving * 44);
            let middle = frame.top + CLUSTER_TITLE + each.graph.height() / 2;
            let top = (middle - spread / 2).max(frame.top + 12);
            let to = top + spread * (2 * before + 1) / (2 * arriving);
            let ink = SERIES[index % SERIES.len()];
            arrow(canvas, &[(place.right, from), (frame.left, to)], ink);
        }
    }
}

fn draw_source(canvas: &mut Canvas<'_>, source: &Source, frame: Frame) {
    canvas.fill(frame, PAPER, 1.0);
    canvas.border(frame, BLUE, 2);
    let left = frame.left + 16;
    let room = frame.width() - 32;
    let title = fitted(&source.title, TEXT, room);
    let remark = Type::new(SMALL - 2, MUTED);
    canvas.text(
        (left, frame.top + 24),
        &title,
        Type::new(TEXT, STRONG).bold(),
    );
    let place = fitted(&source.place, SMALL - 2, room);
    canvas.text((left, frame.top + 50), &place, remark);
    let traffic = match source.traffic.as_slice() {
        [] => String::new(),
        [only] if *only == source.title => String::new(),
        many => many.join(", "),
    };
    let traffic = fitted(&traffic, SMALL - 2, room);
    canvas.text((left, frame.top + 74), &traffic, remark);
}

fn draw_cluster(canvas: &mut Canvas<'_>, each: &Box<'_>, frame: Frame) {
    let left = frame.left + PADDING;
    let title = fitted(&each.cluster.name, TEXT, frame.width() / 2);
    let title_look = Type::new(TEXT, STRONG).bold();
    canvas.text((left, frame.top + 28), &title, title_look);
    let facts = format!(
        "{}, {}",
        each.cluster.region,
        counted(each.cluster.nodes.len() as u64, "node")
    );
    let facts = fitted(&facts, SMALL, frame.width() / 2 - PADDING);
    let right = (frame.right - PADDING, frame.top + 28);
    canvas.text(right, &facts, Type::new(SMALL, MUTED).at(Anchor::End));
    let graph = Frame {
        left,
        right: frame.right - PADDING,
        top: frame.top + CLUSTER_TITLE,
        bottom: frame.top + CLUSTER_TITLE + each.graph.height(),
    };
    each.graph.draw(canvas, graph);
    let nodes = Frame {
        top: frame.bottom - PADDING - each.machines,
        bottom: frame.bottom - PADDING,
        ..graph
    };
    machines::draw(canvas, each.cluster, &each.graph, nodes);
}

/// The number that stands for a workload, its upper left corner at the point.
fn chip(canvas: &mut Canvas<'_>, (left, top): (i32, i32), index: usize) {
    let frame = Frame {
        left,
        top,
        right: left + CHIP.0,
        bottom: top + CHIP.1,
    };
    canvas.fill(frame, SERIES[index % SERIES.len()], 1.0);
    let look = Type::new(15, PAPER).bold().at(Anchor::Middle);
    canvas.text(frame.middle(), &(index + 1).to_string(), look);
}

/// A smooth arrow through points, its head at the last one.
fn arrow(canvas: &mut Canvas<'_>, points: &[(i32, i32)], ink: Ink) {
    const STEPS: i32 = 40;
    let mut line = Vec::new();
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        for step in 0..=STEPS {
            // Horizontal at both ends: 3t² − 2t³ across.
            let t = f64::from(step) / f64::from(STEPS);
            let across = t * t * (3.0 - 2.0 * t);
            let x = f64::from(x0) + f64::from(x1 - x0) * t;
            let y = f64::from(y0) + f64::from(y1 - y0) * across;
            line.push((x, y));
        }
    }
    let Some(&(x, y)) = points.last() else { return };
    canvas.curve(&line, ink, 2, 0.9);
    canvas.area(&[(x, y), (x - 12, y - 6), (x - 12, y + 6)], ink, 1.0);
}
