//! The discrete-event engine: integer time, pending events, partitions that exchange messages,
//! and addressed randomness. It knows nothing of clouds, files, clocks or (without the `threads`
//! feature) threads.
//!
//! A model implements [`Partition`] and a [`Simulation`] runs one or more of them. Everything is
//! executed in the total order (time, origin partition, sequence at origin), so that the result
//! depends neither on the [`QueueKind`] nor on the [`Execution`]; the digest of a run says so.
//!
//! | part | what it gives | how it is validated |
//! |---|---|---|
//! | [`Time`], [`Duration`] | integer nanoseconds, rounded once | exact arithmetic |
//! | [`Partition`], [`Context`] | events of at most 16 bytes, timers of constant delay, messages | records of small models, worked out by hand |
//! | [`Simulation`] | one loop: sequential, in conservative windows, or these on threads | the same digest and state in all of them, on any network |
//! | [`Queue`] | five pending sets, and one that chooses | the same order from all under any load |
//! | [`Stream`], [`Draw`] | draws addressed by (seed, replication, name, counters) | published answers of Philox, independence |
//! | [`Distribution`] | laws of durations, over `libm` on every platform | exact moments, golden samples |
//!
//! Its speed is promised by `cargo bench --bench speed`.

mod distribution;
mod float;
mod order;
mod partition;
mod queue;
mod random;
mod simulation;
#[cfg(feature = "threads")]
mod threads;
mod time;
mod timers;
mod ziggurat;

pub use distribution::{Distribution, DistributionError};
pub use order::{Entry, Key};
pub use partition::{Context, Partition, PartitionId, Timer, TimerClass};
pub use queue::{Queue, QueueKind};
pub use random::{Draw, Seed, Stream, philox4x64};
pub use simulation::{Execution, Lookahead, Simulation};
pub use time::{Duration, Time};
