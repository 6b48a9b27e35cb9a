//! Texts and places in them.

use serde::Serialize;

/// A text to read: the loader never opens anything itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How the user calls it, as a path relative to where the command runs.
    pub name: String,
    /// Its contents.
    pub text: String,
}

/// Where something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Position of the file in the list handed to the loader.
    #[serde(skip)]
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// Line of the first byte, from 1.
    #[serde(skip)]
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    #[serde(skip)]
    pub column: u32,
}

impl Span {
    /// The start of a file, for what is wrong with the file as a whole.
    pub const fn start_of_file(file: u32) -> Span {
        Span {
            file,
            start: 0,
            end: 0,
            line: 1,
            column: 1,
        }
    }

    /// From the start of this span to the end of another one in the same file.
    pub fn until(self, other: Span) -> Span {
        Span {
            end: other.end.max(self.start),
            ..self
        }
    }
}
