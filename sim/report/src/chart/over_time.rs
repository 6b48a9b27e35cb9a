//! What every group of users saw over time, and when each fault was over: a row per group,
//! the share answered on the left and the latency on the right.

use super::axis::Axis;
use super::canvas::{
    Anchor, BLUE, Canvas, Drawing, FAILURE, Frame, GRID, MUTED, SMALL, STRONG, TEXT, Type, fitted,
    picture, text_width,
};
use super::marks;
use crate::number::{availability_figure, duration_figure};
use crate::tell::groups;
use cloud::summary::{SeriesPoint, Summary, TrafficSummary};

/// More rows than this are left to the CSV.
const ROWS_MAX: usize = 8;
/// Points in a panel: about one per pixel.
const POINTS_MAX: usize = 700;
/// Left and right edges of the two columns' panels.
const COLUMNS: [(i32, i32); 2] = [(112, 780), (918, 1506)];
/// Height of a row's title.
const TITLE: i32 = 38;
const GAP: i32 = 22;

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let rows = rows(summary);
    let end_s = rows
        .iter()
        .filter_map(|row| row.series.last())
        .map(|point| point.time_s)
        .fold(0.0, f64::max)
        .max(summary.duration_s);
    if rows.iter().all(|row| row.series.is_empty()) {
        return None;
    }
    let panel_height = match rows.len() {
        1 => 340,
        2 | 3 => 170,
        4 | 5 => 130,
        _ => 96,
    };
    let times = COLUMNS.map(|pixels| Axis::linear(0.0, end_s, pixels));
    let wide = COLUMNS.map(|(left, right)| Frame {
        left,
        right,
        top: 0,
        bottom: 0,
    });
    let labels =
        marks::height(summary, &times[0], wide[0]).max(marks::height(summary, &times[1], wide[1]));
    let top = 52 + labels;
    let row_height = TITLE + panel_height + GAP;
    let bottom = top + row_height * rows.len() as i32;
    let left_out = groups(summary).len() - rows.len();
    let height = bottom + if left_out > 0 { 56 } else { 30 };
    let label = "Share of requests answered and latency over time for each group of users";
    picture(height, label, |canvas| {
        headings(canvas);
        for (time, panel) in times.iter().zip(wide) {
            marks::write(canvas, summary, time, panel, 46 + labels);
        }
        let mut panel_top = top;
        for (index, row) in rows.iter().enumerate() {
            let frames = wide.map(|frame| Frame {
                top: panel_top + TITLE,
                bottom: panel_top + TITLE + panel_height,
                ..frame
            });
            let is_last = index + 1 == rows.len();
            for (time, frame) in times.iter().zip(frames) {
                time_grid(canvas, time, frame, is_last);
                marks::shade(canvas, summary, time, frame);
            }
            availability(canvas, summary, row, &rows, (&times[0], frames[0]));
            latency(canvas, row, &rows, (&times[1], frames[1]));
            titles(canvas, summary, row, panel_top + TITLE / 2);
            panel_top += row_height;
        }
        if left_out > 0 {
            let text = format!("{left_out} more groups of users are in series.csv");
            canvas.text((COLUMNS[0].0, height - 20), &text, Type::new(SMALL, MUTED));
        }
    })
}

/// The groups, those with most failures if there are too many.
fn rows(summary: &Summary) -> Vec<&TrafficSummary> {
    let mut rows: Vec<&TrafficSummary> = groups(summary).iter().collect();
    if rows.len() > ROWS_MAX {
        rows.sort_by(|a, b| a.availability.value.total_cmp(&b.availability.value));
        rows.truncate(ROWS_MAX);
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    }
    rows
}

fn headings(canvas: &mut Canvas<'_>) {
    let look = Type::new(TEXT, STRONG).bold();
    canvas.text((COLUMNS[0].0, 24), "Share of requests answered", look);
    canvas.text((COLUMNS[1].0, 24), "Latency of those answered", look);
    let remark = Type::new(SMALL, MUTED).at(Anchor::End);
    let failed = "orange: failed";
    canvas.text((COLUMNS[0].1, 24), failed, remark);
}

fn titles(canvas: &mut Canvas<'_>, summary: &Summary, row: &TrafficSummary, middle: i32) {
    let name = Type::new(TEXT, STRONG).bold();
    let figure = Type::new(SMALL, MUTED).at(Anchor::End);
    let available = availability_figure(row, summary.confidence).inline;
    let p99 = format!("p99 {}", duration_figure(&row.latency.p99).inline);
    for ((left, right), text) in COLUMNS.into_iter().zip([available, p99]) {
        let room = right - left - text_width(&text, SMALL) - 20;
        canvas.text((left, middle), &fitted(&row.name, TEXT, room), name);
        canvas.text((right, middle), &text, figure);
    }
}

fn time_grid(canvas: &mut Canvas<'_>, time: &Axis, frame: Frame, with_labels: bool) {
    for (value, label) in time.clock_ticks(6) {
        let x = time.at(value);
        canvas.line(&[(x, frame.top), (x, frame.bottom)], GRID, 1, 1.0);
        if with_labels {
            let look = Type::new(SMALL, MUTED).at(Anchor::Middle);
            canvas.text((x, frame.bottom + 20), &label, look);
        }
    }
}

fn value_grid(canvas: &mut Canvas<'_>, ticks: Vec<(f64, String)>, axis: &Axis, frame: Frame) {
    let look = Type::new(SMALL, MUTED).at(Anchor::End);
    let mut free = i32::MAX;
    for (value, label) in ticks {
        let y = axis.at(value);
        canvas.line(&[(frame.left, y), (frame.right, y)], GRID, 1, 1.0);
        // Ticks go upwards; one too near to the last label stays bare.
        if y + SMALL + 4 <= free {
            canvas.text((frame.left - 10, y), &label, look);
            free = y;
        }
    }
}

/// Steps put together where there are more than pixels: the worst of each bundle.
fn bundled(series: &[SeriesPoint]) -> Vec<SeriesPoint> {
    let size = series.len().div_ceil(POINTS_MAX).max(1);
    let least = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::min);
    let most = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
    series
        .chunks(size)
        .filter_map(|chunk| {
            chunk.iter().copied().reduce(|worst, point| SeriesPoint {
                time_s: worst.time_s,
                rate: worst.rate.max(point.rate),
                availability: least(worst.availability, point.availability),
                availability_range: match (worst.availability_range, point.availability_range) {
                    (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                    (a, b) => a.or(b),
                },
                p50: most(worst.p50, point.p50),
                p99: most(worst.p99, point.p99),
            })
        })
        .collect()
}

/// Pixels of a value over time, in stretches without gaps.
fn stretches(
    series: &[SeriesPoint],
    time: &Axis,
    axis: &Axis,
    value: impl Fn(&SeriesPoint) -> Option<f64>,
) -> Vec<Vec<(i32, i32)>> {
    let mut stretches = vec![Vec::new()];
    for point in series {
        match (value(point), stretches.last_mut()) {
            (Some(value), Some(stretch)) => stretch.push((time.at(point.time_s), axis.at(value))),
            _ => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// A line and, backwards, another one: a band.
fn band(canvas: &mut Canvas<'_>, low: &[(i32, i32)], high: &[(i32, i32)], share: f64) {
    let around: Vec<(i32, i32)> = low.iter().chain(high.iter().rev()).copied().collect();
    canvas.area(&around, BLUE, share);
}

fn availability(
    canvas: &mut Canvas<'_>,
    summary: &Summary,
    row: &TrafficSummary,
    rows: &[&TrafficSummary],
    (time, frame): (&Axis, Frame),
) {
    let axis = Axis::linear(availability_floor(rows), 1.0, (frame.bottom, frame.top));
    value_grid(canvas, axis.share_ticks(), &axis, frame);
    let series = bundled(&row.series);
    let range = |end: fn((f64, f64)) -> f64| {
        stretches(&series, time, &axis, move |point| {
            point.availability_range.map(end)
        })
    };
    for (low, high) in range(|ends| ends.0).iter().zip(&range(|ends| ends.1)) {
        band(canvas, low, high, 0.18);
    }
    for line in stretches(&series, time, &axis, |point| point.availability) {
        let (first, last) = (line[0].0, line[line.len() - 1].0);
        let mut lost = line.clone();
        lost.extend([(last, frame.top), (first, frame.top)]);
        if line.iter().any(|(_, y)| *y > frame.top) {
            canvas.area(&lost, FAILURE, 0.5);
        }
        canvas.line(&line, BLUE, 3, 1.0);
    }
    over(canvas, summary, row, (time, frame));
}

/// Where the axis of availability begins: low enough for all, high enough to see something.
fn availability_floor(rows: &[&TrafficSummary]) -> f64 {
    let least = rows
        .iter()
        .flat_map(|row| &row.series)
        .filter_map(|point| point.availability)
        .fold(1.0, f64::min);
    [0.99, 0.96, 0.9, 0.8, 0.6]
        .into_iter()
        .find(|floor| least > floor + 0.1 * (1.0 - floor))
        .unwrap_or(0.0)
}

/// Marks the mean time of the last failure after each fault.
fn over(
    canvas: &mut Canvas<'_>,
    summary: &Summary,
    row: &TrafficSummary,
    (time, frame): (&Axis, Frame),
) {
    for recovery in summary
        .recovery
        .iter()
        .filter(|each| each.traffic == row.name)
    {
        let mark = summary
            .marks
            .iter()
            .find(|mark| mark.label == recovery.fault);
        let (Some(mark), Some(estimate)) = (mark, &recovery.recovery) else {
            continue;
        };
        let x = time.at(mark.start_s + estimate.value);
        canvas.line(&[(x, frame.top), (x, frame.bottom)], STRONG, 2, 1.0);
        let text = format!("over after {}", duration_figure(estimate).inline);
        let (from, anchor) = if x + 12 + text_width(&text, SMALL) > frame.right {
            (x - 12, Anchor::End)
        } else {
            (x + 12, Anchor::Start)
        };
        let look = Type::new(SMALL, STRONG).bold().at(anchor);
        canvas.text((from, frame.bottom - frame.height() / 4), &text, look);
    }
}

fn latency(
    canvas: &mut Canvas<'_>,
    row: &TrafficSummary,
    rows: &[&TrafficSummary],
    (time, frame): (&Axis, Frame),
) {
    let bundles: Vec<Vec<SeriesPoint>> = rows.iter().map(|row| bundled(&row.series)).collect();
    let all = bundles.iter().flatten();
    let values = all.flat_map(|point| [point.p50, point.p99]).flatten();
    let axis = Axis::for_latency(values, (frame.bottom, frame.top));
    value_grid(canvas, axis.latency_ticks(), &axis, frame);
    let series = bundled(&row.series);
    let p50 = stretches(&series, time, &axis, |point| point.p50);
    let p99 = stretches(&series, time, &axis, |point| point.p99);
    for (low, high) in p50.iter().zip(&p99) {
        if p50.len() == p99.len() {
            band(canvas, low, high, 0.12);
        }
    }
    for line in &p50 {
        canvas.line(line, BLUE, 3, 1.0);
    }
    for line in &p99 {
        canvas.line(line, BLUE, 2, 0.75);
    }
    let ends = [("p99", &p99), ("median", &p50)];
    let mut free = i32::MIN;
    for (name, lines) in ends {
        let Some(&(_, y)) = lines.last().and_then(|line| line.last()) else {
            continue;
        };
        let y = y.max(free);
        canvas.text((frame.right + 8, y), name, Type::new(SMALL - 2, MUTED));
        free = y + SMALL;
    }
    if p50.is_empty() && p99.is_empty() {
        let look = Type::new(SMALL, MUTED).at(Anchor::Middle);
        canvas.text(frame.middle(), "nobody was answered", look);
    }
}
