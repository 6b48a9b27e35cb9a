//! A scenario as dense tables: who runs where and how far apart everything is.
//!
//! Must never know time or chance.

pub(crate) mod links;
pub(crate) mod scheduler;
