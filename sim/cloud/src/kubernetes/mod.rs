//! Kubernetes' own decisions, as pure functions and small state machines: what is read goes
//! in, what is decided comes out.
//!
//! Must never know the event queue, chance, or the partition that asks: each file can be held
//! against its original on its own.

pub mod autoscaling;
pub mod provisioning;
pub mod resolver;
