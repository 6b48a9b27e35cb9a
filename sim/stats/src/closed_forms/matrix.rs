//! Small dense matrices: just enough linear algebra for networks and modulated queues.
//!
//! Leaves out: sparsity and speed; nothing here is larger than a hundred rows. Gaussian
//! elimination with partial pivoting, so that the diagonally dominant systems of Markov chains
//! keep their digits.

use core::ops::{Add, Index, IndexMut, Mul};

/// A square matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    size: usize,
    cells: Vec<f64>,
}

impl Matrix {
    /// All zeros.
    #[must_use]
    pub fn zero(size: usize) -> Self {
        Self {
            size,
            cells: vec![0.0; size * size],
        }
    }

    /// Ones on the diagonal.
    #[must_use]
    pub fn identity(size: usize) -> Self {
        let mut matrix = Self::zero(size);
        for index in 0..size {
            matrix[(index, index)] = 1.0;
        }
        matrix
    }

    /// From rows of equal length.
    ///
    /// # Panics
    /// If the rows do not form a square.
    #[must_use]
    pub fn from_rows(rows: &[&[f64]]) -> Self {
        assert!(
            rows.iter().all(|row| row.len() == rows.len()),
            "a matrix here is a square"
        );
        Self {
            size: rows.len(),
            cells: rows.concat(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Every cell times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            size: self.size,
            cells: self.cells.iter().map(|cell| cell * factor).collect(),
        }
    }

    /// Rows for columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut result = Self::zero(self.size);
        for row in 0..self.size {
            for column in 0..self.size {
                result[(column, row)] = self[(row, column)];
            }
        }
        result
    }

    /// The row vector `left` times this matrix.
    #[must_use]
    pub fn under(&self, left: &[f64]) -> Vec<f64> {
        (0..self.size)
            .map(|column| {
                (0..self.size)
                    .map(|row| left[row] * self[(row, column)])
                    .sum()
            })
            .collect()
    }

    /// The inverse.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut left = self.clone();
        let mut right = Self::identity(self.size);
        for column in 0..self.size {
            let pivot = (column..self.size)
                .max_by(|&a, &b| left[(a, column)].abs().total_cmp(&left[(b, column)].abs()))
                .expect("the range is not empty");
            assert!(left[(pivot, column)] != 0.0, "the matrix has no inverse");
            left.swap_rows(pivot, column);
            right.swap_rows(pivot, column);
            let scale = 1.0 / left[(column, column)];
            left.scale_row(column, scale);
            right.scale_row(column, scale);
            for row in (0..self.size).filter(|&row| row != column) {
                let factor = left[(row, column)];
                if factor != 0.0 {
                    left.subtract_row(row, column, factor);
                    right.subtract_row(row, column, factor);
                }
            }
        }
        right
    }

    fn swap_rows(&mut self, a: usize, b: usize) {
        for column in 0..self.size {
            self.cells
                .swap(a * self.size + column, b * self.size + column);
        }
    }

    fn scale_row(&mut self, row: usize, factor: f64) {
        for column in 0..self.size {
            self[(row, column)] *= factor;
        }
    }

    fn subtract_row(&mut self, row: usize, other: usize, factor: f64) {
        for column in 0..self.size {
            let change = factor * self[(other, column)];
            self[(row, column)] -= change;
        }
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;
    fn index(&self, (row, column): (usize, usize)) -> &f64 {
        &self.cells[row * self.size + column]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut f64 {
        &mut self.cells[row * self.size + column]
    }
}

impl Add for &Matrix {
    type Output = Matrix;
    fn add(self, other: &Matrix) -> Matrix {
        assert_eq!(self.size, other.size, "sizes differ");
        Matrix {
            size: self.size,
            cells: self
                .cells
                .iter()
                .zip(&other.cells)
                .map(|(a, b)| a + b)
                .collect(),
        }
    }
}

impl Mul for &Matrix {
    type Output = Matrix;
    fn mul(self, other: &Matrix) -> Matrix {
        assert_eq!(self.size, other.size, "sizes differ");
        let mut result = Matrix::zero(self.size);
        for row in 0..self.size {
            for inner in 0..self.size {
                let factor = self[(row, inner)];
                if factor != 0.0 {
                    for column in 0..self.size {
                        result[(row, column)] += factor * other[(inner, column)];
                    }
                }
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_by_hand() {
        let matrix = Matrix::from_rows(&[&[0.0, 2.0], &[4.0, 1.0]]);
        let inverse = Matrix::from_rows(&[&[-0.125, 0.25], &[0.5, 0.0]]);
        assert_eq!(matrix.inverse(), inverse);
        assert_eq!(&matrix * &inverse, Matrix::identity(2));
        assert_eq!(matrix.under(&[1.0, 2.0]), [8.0, 4.0]);
    }
}
