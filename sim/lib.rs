//! Simulates hybrid clouds from their own YAML: the library behind the `hybridsim` command.
//!
//! The rooms, each a crate of its own, under the names that the code calls them by; and
//! [`study`], which runs replications of a scenario in parallel and summarises them.

pub mod study;

pub use {cloud, engine, loader, report, stats};
