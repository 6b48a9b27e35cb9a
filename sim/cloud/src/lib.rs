//! The cloud model: what exists and what happens.
mod audit;
mod balance;
mod control;
mod domain;
pub mod envoy;
pub mod facts;
mod fault;
mod guard;
pub mod istio;
pub mod kubernetes;
mod load;
mod memo;
mod meter;
mod path;
pub mod record;
pub mod rules;
pub mod scenario;
mod simulate;
mod slab;
pub mod snapshot;
mod summarize;
pub mod summary;
mod topology;
mod view;

pub use simulate::{Options, simulate};
pub use summarize::{WarmUp, WarmUpMethod, digest, latency_means, summarize};
pub use topology::{PartitionKind, Topology, compile};

#[cfg(test)]
mod tests;
