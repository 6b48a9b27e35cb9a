//! What a report promises, on a made-up summary.

mod csv;
mod flags;
mod json;
mod markup;
mod staleness;
mod support;
mod terminal;
