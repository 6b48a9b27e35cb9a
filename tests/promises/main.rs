//! Promises to the user, a module per kind.

mod statistics;
