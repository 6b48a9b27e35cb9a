//! Results told: terminal tables, JSON, CSV, charts and a self-contained HTML page.
//!
//! The only room that knows output formats. It reads [`cloud::summary::Summary`], and
//! [`cloud::snapshot::Snapshot`] for [`kubectl`], and hands back text; nothing here computes a result, opens a file or looks at a clock, so the same summary
//! always gives the same bytes. Every figure is told with its interval.
//!
//! A table or a chart is one file plus one line in a closed list: the sections of
//! [`terminal()`], the files of [`csv()`], the charts of [`charts()`], which [`html()`] shows as well.

mod chart;
mod columns;
mod csv;
mod extras;
mod html;
pub mod istioctl;
mod json;
pub mod kubectl;
pub mod memory;
mod number;
mod tell;
mod terminal;

pub use chart::charts;
pub use csv::csv;
pub use extras::{Extras, Input, Tool};
pub use html::html;
pub use json::{SCHEMA, json};
pub use terminal::{Style, terminal};
