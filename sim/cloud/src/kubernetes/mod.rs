//! Kubernetes' own decisions, as pure functions and small state machines: what is read goes
//! in, what is decided comes out.
//!
//! Must never know the event queue, where chance comes from (draws are handed in), or the
//! partition that asks: each file can be held against its original on its own.

pub mod amount;
pub mod autoscaling;
pub mod back_off;
pub mod bucket;
pub mod budget;
pub mod daemon;
pub mod election;
pub mod etcd;
pub mod eviction;
pub mod kubelet;
pub mod probe;
pub mod provisioning;
pub mod reflector;
pub mod resolver;
pub mod rolling;
pub mod runner;
pub mod slices;
pub mod slow_start;
pub mod stateful;
pub mod victims;
