//! The cloud model: what exists and what happens.
#![allow(dead_code)]
mod balance;
pub mod facts;
mod guard;
mod load;
mod meter;
pub mod record;
pub mod scenario;
mod slab;
pub mod summary;
mod topology;
mod view;
