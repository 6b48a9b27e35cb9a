//! What a report promises, on a made-up summary.

mod csv;
mod json;
mod support;
mod terminal;
