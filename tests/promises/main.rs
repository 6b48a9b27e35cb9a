//! Promises to the user, a module per kind.

mod bad_input;
mod statistics;
