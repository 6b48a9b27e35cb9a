//! How busy each workload was over time: a row per workload, all on one scale.

use super::axis::Axis;
use super::canvas::{
    Anchor, BLUE, Canvas, Drawing, FAILURE, Frame, GRID, MUTED, PANEL, SMALL, STRONG, TEXT, Type,
    fitted, picture,
};
use super::marks;
use crate::number::share_figure;
use crate::tell::workload_path;
use cloud::summary::{Summary, WorkloadSummary};

const LEFT: i32 = 430;
const RIGHT: i32 = 1400;
/// More rows than this are left to the CSV.
const ROWS_MAX: usize = 40;
/// Busier than this waits become long.
const HIGH: f64 = 0.9;
const POINTS_MAX: usize = 970;

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let rows = rows(summary);
    if rows.is_empty() {
        return None;
    }
    let ends = rows.iter().filter_map(|row| row.utilization_series.last());
    let end_s = ends
        .map(|(time, _)| *time)
        .fold(summary.duration_s, f64::max);
    let time = Axis::linear(0.0, end_s, (LEFT, RIGHT));
    let full = full_height(&rows);
    let row_height = match rows.len() {
        0..=12 => 56,
        13..=20 => 44,
        _ => 34,
    };
    let panel = Frame {
        left: LEFT,
        right: RIGHT,
        top: 0,
        bottom: 0,
    };
    let top = 56 + marks::height(summary, &time, panel);
    let bottom = top + row_height * rows.len() as i32;
    let label = "Busy share of each workload over time";
    picture(bottom + 46, label, |canvas| {
        let heading = Type::new(TEXT, STRONG).bold();
        canvas.text((20, 24), "Busy share of each workload", heading);
        let remark = Type::new(SMALL, MUTED);
        let scale = if full < 1.0 {
            format!("full height is {:.0} % busy", 100.0 * full)
        } else {
            "full height is all workers busy; orange above 90 %".to_owned()
        };
        canvas.text((LEFT, 24), &scale, remark);
        canvas.text((1584, 24), "whole run", heading.at(Anchor::End));
        marks::write(canvas, summary, &time, panel, top - 6);
        let ticks = time.clock_ticks(6);
        for (index, row) in rows.iter().enumerate() {
            let row_top = top + row_height * index as i32;
            let frame = Frame {
                top: row_top + 4,
                bottom: row_top + row_height - 4,
                ..panel
            };
            canvas.fill(frame, PANEL, 1.0);
            for (value, _) in &ticks {
                let x = time.at(*value);
                canvas.line(&[(x, frame.top), (x, frame.bottom)], GRID, 1, 1.0);
            }
            marks::shade(canvas, summary, &time, frame);
            draw_row(canvas, row, (&time, full), frame);
        }
        let look = Type::new(SMALL, MUTED).at(Anchor::Middle);
        for (value, label) in &ticks {
            canvas.text((time.at(*value), bottom + 20), label, look);
        }
    })
}

/// The workloads in their order, the busiest if there are too many.
fn rows(summary: &Summary) -> Vec<&WorkloadSummary> {
    let mut rows: Vec<&WorkloadSummary> = summary
        .workloads
        .iter()
        .filter(|workload| !workload.utilization_series.is_empty())
        .collect();
    if rows.len() > ROWS_MAX {
        rows.sort_by(|a, b| b.utilization.value.total_cmp(&a.utilization.value));
        rows.truncate(ROWS_MAX);
    }
    rows
}

/// The busy share that fills a row: one for all rows, so that they can be compared, and small
/// where nothing is busy, so that there is something to see.
fn full_height(rows: &[&WorkloadSummary]) -> f64 {
    let series = rows.iter().flat_map(|row| &row.utilization_series);
    let greatest = series.map(|(_, share)| *share).fold(0.0, f64::max);
    [0.1, 0.25, 0.5]
        .into_iter()
        .find(|full| greatest <= *full)
        .unwrap_or(1.0)
}

fn draw_row(
    canvas: &mut Canvas<'_>,
    row: &WorkloadSummary,
    (time, full): (&Axis, f64),
    frame: Frame,
) {
    let axis = Axis::linear(0.0, full, (frame.bottom, frame.top));
    let size = row.utilization_series.len().div_ceil(POINTS_MAX).max(1);
    let line: Vec<(f64, f64)> = row
        .utilization_series
        .chunks(size)
        .map(|chunk| {
            let greatest = chunk.iter().map(|(_, share)| *share).fold(0.0, f64::max);
            (chunk[0].0, greatest)
        })
        .collect();
    let above = |floor: f64, share: f64| axis.at(share.max(floor));
    let surface = |floor: f64| {
        let first = (time.at(line[0].0), axis.at(floor));
        let last = (time.at(line[line.len() - 1].0), axis.at(floor));
        let top = line
            .iter()
            .map(|&(at, share)| (time.at(at), above(floor, share)));
        std::iter::once(first)
            .chain(top)
            .chain([last])
            .collect::<Vec<_>>()
    };
    canvas.area(&surface(0.0), BLUE, 0.45);
    if line.iter().any(|(_, share)| *share > HIGH) {
        canvas.area(&surface(HIGH), FAILURE, 1.0);
    }
    let stroke: Vec<(i32, i32)> = line
        .iter()
        .map(|&(at, share)| (time.at(at), axis.at(share)))
        .collect();
    canvas.line(&stroke, BLUE, 2, 1.0);
    let (_, middle) = frame.middle();
    let name = fitted(&workload_path(row), SMALL, LEFT - 36);
    canvas.text((20, middle), &name, Type::new(SMALL, STRONG));
    let figure = share_figure(&row.utilization).inline;
    let look = Type::new(SMALL, STRONG).at(Anchor::End);
    canvas.text((1584, middle), &figure, look);
}
