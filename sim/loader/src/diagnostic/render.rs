//! Shows a problem as a compiler would: message, place, line, mark, help.

use super::{Diagnostic, Severity};
use crate::source::File;
use std::fmt::Write;

/// The problem as text, with its line of the source and a mark below; `colour` adds terminal
/// colours. Ends with a newline.
pub fn render(diagnostic: &Diagnostic, files: &[File], colour: bool) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    let Diagnostic {
        code,
        severity,
        message,
        help,
        ..
    } = diagnostic;
    let head = format!("{}[{}]", severity.name(), code.id());
    let _ = writeln!(
        text,
        "{}{}",
        paint.severity(*severity, &head),
        paint.bold(&format!(": {message}"))
    );
    let width = diagnostic.line.max(1).to_string().len();
    let margin = " ".repeat(width);
    if let Some(span) = diagnostic.span {
        let (line, column) = (diagnostic.line, diagnostic.column);
        let _ = writeln!(
            text,
            "{margin}{} {}:{line}:{column}",
            paint.dim("-->"),
            diagnostic.file
        );
        if let Some((source, before, marked)) = files
            .get(span.file as usize)
            .and_then(|file| excerpt(&file.text, span.start as usize, span.end as usize))
        {
            let bar = paint.dim("|");
            let mark = paint.severity(*severity, &"^".repeat(marked));
            let _ = writeln!(text, "{margin} {bar}");
            let _ = writeln!(text, "{} {bar} {source}", paint.dim(&line.to_string()));
            let _ = writeln!(text, "{margin} {bar} {}{mark}", " ".repeat(before));
        }
    }
    if let Some(help) = help {
        let _ = writeln!(text, "{margin} {} help: {help}", paint.dim("="));
    }
    text
}

/// Longest part of a line that is shown, in characters.
const LINE_MAX: usize = 120;

/// The line around a place, with tabs made spaces: text, characters before the mark, length of the mark.
fn excerpt(text: &str, start: usize, end: usize) -> Option<(String, usize, usize)> {
    let (head, tail) = (text.get(..start)?, text.get(start..)?);
    let before = head.rsplit('\n').next().unwrap_or_default();
    let after = tail
        .split('\n')
        .next()
        .unwrap_or_default()
        .trim_end_matches('\r');
    let marked = text
        .get(start..end)?
        .split('\n')
        .next()
        .unwrap_or_default()
        .trim_end();
    let clean = |part: &str| part.replace(|letter: char| letter.is_control(), " ");
    let before_length = before.chars().count();
    // Only the neighbourhood of the mark is shown of a very long line.
    let skipped = before_length.saturating_sub(LINE_MAX * 2 / 3);
    let line: String = clean(before).chars().skip(skipped).collect::<String>() + &clean(after);
    let line: String = line.chars().take(LINE_MAX).collect();
    let position = before_length - skipped;
    let length = marked
        .chars()
        .count()
        .clamp(1, LINE_MAX.saturating_sub(position).max(1));
    Some((line.trim_end().to_owned(), position, length))
}

/// Terminal colours, or none.
struct Paint {
    colour: bool,
}

impl Paint {
    fn wrap(&self, style: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        let style = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        self.wrap(style, text)
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.wrap("34", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Diagnostics};
    use crate::source::Span;

    #[test]
    fn a_problem_shows_its_line() {
        let files = [File {
            name: "app.yaml".to_owned(),
            text: "spec:\n\treplica: é2 # x\n".to_owned(),
        }];
        let mut diagnostics = Diagnostics::default();
        let span = Span {
            file: 0,
            start: 7,
            end: 14,
            line: 2,
            column: 2,
        };
        diagnostics
            .report(Code::UnknownField, span, "unknown field `replica`")
            .help("did you mean `replicas`?");
        let found = diagnostics.finish(&files);
        insta::assert_snapshot!(render(&found[0], &files, false), @r"
        warning[HS0011]: unknown field `replica`
         --> app.yaml:2:2
          |
        2 |  replica: é2 # x
          |  ^^^^^^^
          = help: did you mean `replicas`?
        ");
        assert!(render(&found[0], &files, true).contains("\u{1b}[1;33m"));
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("{}bad{}", "x".repeat(5_000), "y".repeat(5_000));
        let (line, before, marked) = excerpt(&text, 5_000, 5_003).unwrap();
        assert!(line.chars().count() <= LINE_MAX);
        assert_eq!(&line[before..before + marked], "bad");
    }
}
