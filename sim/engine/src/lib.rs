//! The discrete-event engine: integer time, pending events, partitions that exchange messages,
//! and addressed randomness. It knows nothing of clouds, files, clocks or (without the `threads`
//! feature) threads.
//!
//! A model implements [`Partition`] and a [`Simulation`] runs one or more of them. Everything is
//! executed in the total order (time, origin partition, sequence at origin), so that the result
//! depends neither on the [`QueueKind`] nor on the [`Execution`].

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
