//! A report for terminals: the answer first, then tables, then what to know about them.

mod canaries;
mod flags;
mod measures;
mod provenance;
mod proxies;
mod recovery;
mod users;
mod verdicts;
mod views;
mod workloads;
mod ztunnels;

use crate::number::Figure;
use crate::tell::clean;
use cloud::summary::Summary;
use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table};

/// How to write for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; at least 60 are used.
    pub width: usize,
    /// Whether ANSI colours are wanted.
    pub colour: bool,
}

/// Fewer columns than this are not worth a table.
const WIDTH_MIN: usize = 60;
/// From this width on a figure and its interval stand on one line.
const WIDE: usize = 104;
/// Spaces before everything under a heading.
const INDENT: &str = "  ";

/// A part of the report; `None` where there is nothing to tell.
type Section = fn(&Summary, Style) -> Option<String>;

/// The parts, in reading order. Another table is another file and one line here.
const SECTIONS: [Section; 12] = [
    verdicts::section,
    users::section,
    measures::section,
    recovery::section,
    canaries::section,
    workloads::section,
    workloads::sidecars,
    ztunnels::section,
    flags::section,
    views::section,
    proxies::section,
    provenance::section,
];

/// The report as text for a terminal, ending with a line break.
///
/// Control characters in names are dropped, so that no name can move the cursor. Without
/// `colour` the text holds no escape sequence at all.
pub fn terminal(summary: &Summary, style: Style) -> String {
    let style = Style {
        width: style.width.max(WIDTH_MIN),
        ..style
    };
    let mut parts = vec![title(summary, style)];
    parts.extend(
        SECTIONS
            .iter()
            .filter_map(|section| section(summary, style)),
    );
    let mut text = parts.join("\n\n");
    text.push('\n');
    text
}

fn title(summary: &Summary, style: Style) -> String {
    let name = style.paint(Paint::Bold, &clean(&summary.scenario));
    match &summary.question {
        Some(question) => format!("{name}\n{}", wrapped(question, "", style)),
        None => name,
    }
}

/// Ways to set text apart.
#[derive(Clone, Copy, Debug)]
enum Paint {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

impl Style {
    fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Green => "1;32",
            Paint::Yellow => "1;33",
            Paint::Red => "1;31",
        };
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn heading(self, title: &str, remark: &str) -> String {
        let title = self.paint(Paint::Bold, title);
        if remark.is_empty() {
            return title;
        }
        format!("{title}  {}", self.paint(Paint::Dim, remark))
    }

    /// A figure with its interval, on two lines where there is little room.
    fn cell(self, figure: Figure) -> String {
        if self.width >= WIDE {
            figure.inline
        } else {
            format!("{}\n{}", figure.value, figure.margin)
        }
    }
}

/// Words over several lines, each after `indent`.
fn wrapped(text: &str, indent: &str, style: Style) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = indent.to_owned();
    for word in clean(text).split(' ') {
        let is_empty = line.len() == indent.len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > style.width {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

/// A table under a heading: the first `words` columns hold words, the others figures.
fn table(header: &[&str], rows: Vec<Vec<String>>, words: usize, style: Style) -> String {
    let mut table = Table::new();
    table
        .load_style(
            comfy_table::TableStyle::new()
                .header_lines(ContentLineStyle::none())
                .content_lines(ContentLineStyle::none())
                .header_separator(LineStyle::none().fill('─').junction('─')),
        )
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(style.width - INDENT.len()).unwrap_or(u16::MAX))
        .set_header(header.iter().copied());
    for row in rows {
        let cells = row.iter().map(|cell| {
            let lines: Vec<String> = cell.lines().map(clean).collect();
            lines.join("\n").trim_end().to_owned()
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    let last = header.len() - 1;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if index >= words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| format!("{INDENT}{}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}
