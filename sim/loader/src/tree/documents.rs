//! Cuts a file into documents before it is parsed, as `kubectl` does, so that an error in one
//! document hides nothing in the others.

use std::ops::Range;

/// A document of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// Its bytes, with its own `---` line if it has one.
    pub bytes: Range<usize>,
    /// Number of lines before it.
    pub lines_before: u32,
}

/// The documents of a text; those without any content are left out.
pub(super) fn split(text: &str) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut current = Slice {
        bytes: 0..0,
        lines_before: 0,
    };
    let mut has_content = false;
    let mut position = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            if has_content {
                slices.push(Slice {
                    bytes: current.bytes.start..position,
                    ..current.clone()
                });
            }
            // Directives stand before the separator of the document that they belong to.
            if has_content || !holds_directive(&text[current.bytes.start..position]) {
                current = Slice {
                    bytes: position..position,
                    lines_before: number as u32,
                };
            }
            has_content = holds_content(&line[3..]);
        } else {
            has_content |= holds_content(line) && !line.starts_with('%');
        }
        position += line.len();
    }
    if has_content {
        slices.push(Slice {
            bytes: current.bytes.start..position,
            ..current
        });
    }
    slices
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn holds_content(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    !line.is_empty() && !line.starts_with('#') && line != "..."
}

fn holds_directive(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<(&str, u32)> {
        split(text)
            .into_iter()
            .map(|slice| (&text[slice.bytes], slice.lines_before))
            .collect()
    }

    #[test]
    fn separators_cut_and_empty_documents_vanish() {
        assert_eq!(
            documents("# head\n---\na: 1\n---\n# nothing\n---\nb: |\n  ---\n--- # chart\nc: 3"),
            [
                ("---\na: 1\n", 1),
                ("---\nb: |\n  ---\n", 5),
                ("--- # chart\nc: 3", 8)
            ]
        );
        assert_eq!(documents("a: 1"), [("a: 1", 0)]);
        assert_eq!(documents("--- {a: 1}\n"), [("--- {a: 1}\n", 0)]);
        assert_eq!(documents("---\n...\n"), []);
        assert_eq!(
            documents("%YAML 1.2\n---\na: 1\n"),
            [("%YAML 1.2\n---\na: 1\n", 0)]
        );
        assert_eq!(documents(""), []);
    }
}
