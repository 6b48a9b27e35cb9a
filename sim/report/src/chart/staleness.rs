//! For how much of their time proxies were behind: a row per workload, the stalest first, with how
//! that spreads over its proxies.

use super::axis::Axis;
use super::canvas::{
    Anchor, BLUE, Canvas, Drawing, FAILURE, Frame, SMALL, STRONG, TEXT, Type, fitted, picture,
};
use super::rows::Rows;
use crate::number::{duration, share_figure};
use crate::tell;
use cloud::summary::{ProxySummary, Summary};

const LEFT: i32 = 430;
const RIGHT: i32 = 1180;
const EDGE: i32 = 1584;
const ROWS: Rows = Rows {
    left: LEFT,
    right: RIGHT,
    top: 56,
    row: 56,
    edge: EDGE,
};
/// More rows than this are left to the CSV.
const ROWS_MAX: usize = 24;
/// Shares at which the axis may end: their quarters are round.
const FULL: [f64; 9] = [0.001, 0.004, 0.01, 0.04, 0.1, 0.2, 0.4, 0.8, 1.0];

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let rows = tell::stalest(summary);
    let rows: Vec<&ProxySummary> = rows.into_iter().take(ROWS_MAX).collect();
    if rows.is_empty() {
        return None;
    }
    let greatest = rows
        .iter()
        .flat_map(|row| [row.spread.greatest, row.behind.high.unwrap_or(0.0)])
        .fold(0.0, f64::max);
    let full = FULL.into_iter().find(|full| greatest <= *full);
    let axis = Axis::linear(0.0, full.unwrap_or(1.0), (LEFT, RIGHT));
    let label = "Share of time in which proxies were behind, by workload";
    picture(ROWS.bottom(rows.len()) + 46, label, |canvas| {
        let heading = Type::new(TEXT, STRONG).bold();
        canvas.text((20, 24), "Time behind", heading);
        canvas.text((EDGE, 24), "mean, greatest lag", heading.at(Anchor::End));
        let ticks = (&axis, axis.share_ticks());
        ROWS.draw(canvas, ticks, &rows, |canvas, row, frame| {
            draw_row(canvas, row, &axis, frame);
        });
    })
}

fn draw_row(canvas: &mut Canvas<'_>, row: &ProxySummary, axis: &Axis, frame: Frame) {
    let (_, middle) = frame.middle();
    let name = fitted(&tell::proxies(row), SMALL, LEFT - 36);
    canvas.text((20, middle), &name, Type::new(SMALL, STRONG));
    let spread = row.spread;
    let along = |from: f64, to: f64| [(axis.at(from), middle), (axis.at(to), middle)];
    canvas.line(&along(spread.least, spread.greatest), BLUE, 2, 1.0);
    canvas.line(&along(spread.p10, spread.p90), BLUE, 12, 0.45);
    canvas.dot((axis.at(spread.median), middle), 7, BLUE, 1.0);
    canvas.dot((axis.at(spread.greatest), middle), 6, FAILURE, 1.0);
    let figure = share_figure(&row.behind).inline;
    let text = format!("{figure}, {}", duration(row.lag_max));
    let look = Type::new(SMALL, STRONG).at(Anchor::End);
    canvas.text((EDGE, middle), &text, look);
}
