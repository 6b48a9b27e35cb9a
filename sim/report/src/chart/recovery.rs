//! When each fault was over: a dot per replication, the mean with its interval, the range.

use super::axis::Axis;
use super::canvas::{
    Anchor, BLUE, Canvas, Drawing, Frame, MUTED, SMALL, STRONG, TEXT, Type, fitted, picture,
};
use super::rows::Rows;
use crate::number::{counted, duration_figure};
use cloud::summary::{RecoverySummary, Summary};

const LEFT: i32 = 430;
const RIGHT: i32 = 1560;
const ROWS: Rows = Rows {
    left: LEFT,
    right: RIGHT,
    top: 52,
    row: 112,
    edge: RIGHT,
};
const RADIUS: u32 = 6;
/// More rows than this are left to the table.
const ROWS_MAX: usize = 12;

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let rows: Vec<&RecoverySummary> = summary
        .recovery
        .iter()
        .filter(|recovery| !recovery.values.is_empty())
        .take(ROWS_MAX)
        .collect();
    if rows.is_empty() {
        return None;
    }
    let greatest = rows
        .iter()
        .flat_map(|row| &row.values)
        .copied()
        .fold(0.0, f64::max);
    let time = Axis::linear(0.0, greatest * 1.05, (LEFT, RIGHT));
    let label = "Time from each fault to the last failure";
    picture(ROWS.bottom(rows.len()) + 46, label, |canvas| {
        let heading = Type::new(TEXT, STRONG).bold();
        let title = "Time from the fault to the last failure, a dot per replication";
        canvas.text((20, 24), title, heading);
        let ticks = (&time, time.clock_ticks(10));
        ROWS.draw(canvas, ticks, &rows, |canvas, row, frame| {
            draw_row(canvas, summary, row, &time, frame);
        });
    })
}

fn draw_row(
    canvas: &mut Canvas<'_>,
    summary: &Summary,
    row: &RecoverySummary,
    time: &Axis,
    frame: Frame,
) {
    let name = Type::new(TEXT, STRONG).bold();
    let remark = Type::new(SMALL, MUTED);
    let room = LEFT - 40;
    let felt = format!(
        "felt in {} of {}",
        row.felt,
        counted(summary.replications.into(), "replication")
    );
    canvas.text(
        (20, frame.top + 26),
        &fitted(&row.traffic, TEXT, room),
        name,
    );
    canvas.text(
        (20, frame.top + 56),
        &fitted(&row.fault, SMALL, room),
        remark,
    );
    canvas.text((20, frame.top + 84), &fitted(&felt, SMALL, room), remark);
    dots(canvas, row, time, frame);
    let Some(estimate) = &row.recovery else {
        return;
    };
    let y = frame.bottom - 28;
    if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
        canvas.line(&[(time.at(low), y), (time.at(high), y)], STRONG, 4, 1.0);
    }
    canvas.dot((time.at(estimate.value), y), 7, STRONG, 1.0);
    let text = format!("mean {}", duration_figure(estimate).inline);
    let right = time.at(estimate.high.unwrap_or(estimate.value)) + 16;
    let look = Type::new(SMALL, STRONG).bold();
    let width = super::canvas::text_width(&text, SMALL);
    if right + width < frame.right {
        canvas.text((right, y), &text, look);
    } else {
        let left = time.at(estimate.low.unwrap_or(estimate.value)) - 16;
        canvas.text((left, y), &text, look.at(Anchor::End));
    }
}

/// Dots that would cover each other are stacked.
fn dots(canvas: &mut Canvas<'_>, row: &RecoverySummary, time: &Axis, frame: Frame) {
    let lowest = frame.bottom - 56;
    let step = 2 * RADIUS as i32 + 1;
    let mut ends: Vec<i32> = Vec::new();
    for value in &row.values {
        let x = time.at(*value);
        let free = ends.iter().position(|end| end + step <= x);
        let level = free.unwrap_or(ends.len()).min(3);
        if level == ends.len() {
            ends.push(x);
        }
        ends[level] = x;
        canvas.dot((x, lowest - level as i32 * step), RADIUS, BLUE, 0.6);
    }
}
