//! Envoy's own decisions, as pure functions and small state machines: one file per set of rules.
//!
//! Must never know the event queue, scenarios or the data path. Time and draws are handed in;
//! hosts, connections and requests are dense numbers of the caller. A pick allocates nothing.

pub mod bounded;
pub mod breaker;
pub mod flags;
pub mod hash;
pub mod hosts;
pub mod injection;
pub mod least_request;
pub mod maglev;
pub mod memory;
pub mod merge;
pub mod outlier;
pub mod paths;
pub mod pool;
pub mod priority;
pub mod rate_limit;
pub mod retry;
pub mod ring;
pub mod schedule;
pub mod slow_start;
pub mod weights;
pub mod worker;
pub mod zone;
