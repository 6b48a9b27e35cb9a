//! Objectives and expectations, those that need attention first.

use super::{INDENT, Paint, Style, wrapped};
use crate::number::found;
use crate::tell;
use cloud::summary::{Outcome, Summary, Verdict};

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    if summary.verdicts.is_empty() {
        return None;
    }
    let lines: Vec<String> = tell::verdicts(summary)
        .into_iter()
        .map(|verdict| line(verdict, style))
        .collect();
    Some(lines.join("\n"))
}

fn line(verdict: &Verdict, style: Style) -> String {
    let (mark, paint) = match verdict.outcome {
        Outcome::Met => ("✓", Paint::Green),
        Outcome::Missed => ("✗", Paint::Red),
        Outcome::Undecided => ("?", Paint::Yellow),
    };
    let word = format!("{mark} {:<9}", tell::outcome(verdict.outcome));
    let hanging = " ".repeat(INDENT.len() + word.chars().count() + 1);
    let found = found(verdict.found.as_ref(), verdict.unit);
    let statement = format!("{}: found {found}", verdict.statement);
    format!(
        "{INDENT}{} {}",
        style.paint(paint, &word),
        wrapped(&statement, &hanging, style).trim_start()
    )
}
