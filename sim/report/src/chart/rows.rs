//! Rows under each other along one axis, as charts of workloads and of faults have them.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Frame, GRID, MUTED, SMALL, Type};

/// Where the rows of a chart stand, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    /// Height of each.
    pub row: i32,
    /// How far to the right the line under each goes.
    pub edge: i32,
}

impl Rows {
    /// Below how many rows.
    pub fn bottom(self, count: usize) -> i32 {
        self.top + self.row * count as i32
    }

    /// Draws the ticks of the axis, and each row in its frame.
    pub fn draw<T>(
        self,
        canvas: &mut Canvas<'_>,
        (axis, ticks): (&Axis, Vec<(f64, String)>),
        rows: &[T],
        mut draw_row: impl FnMut(&mut Canvas<'_>, &T, Frame),
    ) {
        let (top, bottom) = (self.top, self.bottom(rows.len()));
        let look = Type::new(SMALL, MUTED).at(Anchor::Middle);
        for (value, label) in ticks {
            let x = axis.at(value);
            canvas.line(&[(x, top), (x, bottom)], GRID, 1, 1.0);
            canvas.text((x, bottom + 20), &label, look);
        }
        for (index, row) in rows.iter().enumerate() {
            let frame = Frame {
                left: self.left,
                right: self.right,
                top: self.bottom(index),
                bottom: self.bottom(index + 1),
            };
            canvas.line(
                &[(20, frame.bottom), (self.edge, frame.bottom)],
                GRID,
                1,
                1.0,
            );
            draw_row(canvas, row, frame);
        }
    }
}
