//! What happened when: shaded spans and lines across panels, and their labels above.

use super::axis::Axis;
use super::canvas::{Canvas, FAULT, Frame, MUTED, SMALL, STRONG, Type, fitted, text_width};
use cloud::summary::{Mark, Summary};

/// Height of a line of labels.
const LANE: i32 = 26;
/// More lines of labels than this push the picture away.
const LANES_MAX: usize = 6;

/// A label and where it stands.
struct Label {
    text: String,
    left: i32,
    lane: usize,
}

/// Shades the warm-up and every mark in a panel.
pub(super) fn shade(canvas: &mut Canvas<'_>, summary: &Summary, time: &Axis, frame: Frame) {
    if summary.warm_up_s > 0.0 {
        let right = time.at(summary.warm_up_s);
        canvas.fill(Frame { right, ..frame }, MUTED, 0.14);
    }
    for mark in &summary.marks {
        let left = time.at(mark.start_s);
        if let Some(end) = mark.end_s {
            let right = time.at(end).max(left + 1);
            let span = Frame {
                left,
                right,
                ..frame
            };
            canvas.fill(span, FAULT, 0.2);
        }
        canvas.line(&[(left, frame.top), (left, frame.bottom)], FAULT, 2, 1.0);
    }
}

/// Labels of all marks above a panel, in as few lines as do not overlap.
fn labels(summary: &Summary, time: &Axis, panel: Frame) -> Vec<Label> {
    let mut ends: Vec<i32> = Vec::new();
    let mut labels = Vec::new();
    let mut left_out = 0;
    let warm_up = (summary.warm_up_s > 0.0).then(|| Mark {
        start_s: 0.0,
        end_s: Some(summary.warm_up_s),
        label: "warm-up, not counted".to_owned(),
    });
    for mark in warm_up.iter().chain(&summary.marks) {
        let text = fitted(&mark.label, SMALL, panel.width());
        let width = text_width(&text, SMALL) + 16;
        let left = time.at(mark.start_s).min(panel.right - width + 16);
        let free = ends.iter().position(|end| *end <= left);
        let lane = free.unwrap_or(ends.len());
        if lane == LANES_MAX {
            left_out += 1;
            continue;
        }
        if lane == ends.len() {
            ends.push(0);
        }
        ends[lane] = left + width;
        labels.push(Label { text, left, lane });
    }
    if left_out > 0 {
        labels.push(Label {
            text: format!("and {left_out} more"),
            left: panel.left,
            lane: LANES_MAX,
        });
    }
    labels
}

/// Height that labels take above a panel.
pub(super) fn height(summary: &Summary, time: &Axis, panel: Frame) -> i32 {
    let lanes = labels(summary, time, panel);
    let lanes = lanes.iter().map(|label| label.lane + 1).max().unwrap_or(0);
    lanes as i32 * LANE
}

/// Writes the labels; the lowest line ends at `bottom`.
pub(super) fn write(
    canvas: &mut Canvas<'_>,
    summary: &Summary,
    time: &Axis,
    panel: Frame,
    bottom: i32,
) {
    for label in labels(summary, time, panel) {
        let middle = bottom - LANE / 2 - label.lane as i32 * LANE;
        canvas.text((label.left, middle), &label.text, Type::new(SMALL, STRONG));
    }
}
