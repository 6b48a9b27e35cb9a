//! Text in columns, as Go's tabwriter sets it for command lines.

/// How wide columns are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spacing {
    /// Blanks between the widest cell of a column and the next column.
    pub(crate) padding: usize,
    /// Least width of a column, with these blanks.
    pub(crate) width_min: usize,
}

/// A table that is being written.
pub(crate) struct Table {
    spacing: Spacing,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(spacing: Spacing, headings: &[&str]) -> Table {
        let headings = headings.iter().map(|&heading| heading.to_owned());
        Table {
            spacing,
            rows: vec![headings.collect()],
        }
    }

    /// Adds a row of as many cells as there are headings.
    pub(crate) fn add(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a cell for each heading");
        self.rows.push(cells);
    }

    /// The rows as lines; the last column is as wide as its text.
    pub(crate) fn print(&self) -> String {
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                (cells.max().unwrap_or(0) + self.spacing.padding).max(self.spacing.width_min)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let (last, others) = row.split_last().expect("tables have columns");
            for (cell, width) in others.iter().zip(&widths) {
                text += &format!("{cell:width$}");
            }
            text += last;
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_apart_and_at_least_so_wide() {
        let spacing = Spacing {
            padding: 3,
            width_min: 6,
        };
        let mut table = Table::new(spacing, &["NAME", "A", "ÜBER", "AGE"]);
        table.add(["web-1", "1", "", "5m"].map(str::to_owned).to_vec());
        let expected = "NAME    A     ÜBER   AGE\nweb-1   1            5m\n";
        assert_eq!(table.print(), expected);
    }
}
