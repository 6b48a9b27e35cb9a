//! What queueing theory knows exactly: pure functions to hold a simulator against.
//!
//! Rates per second and times in seconds, or any other pair of inverse units. Every function
//! is validated against the rows of `tests/data/closed-forms.csv`, most of which were computed
//! to eighteen digits by other means (exact rationals, 50-digit arithmetic).
//!
//! - [`single_server`]: M/M/1, M/G/1, M/D/1, M/H2/1, G/M/1, processor sharing, priorities.
//! - [`many_servers`]: Erlang B, C and A, bounded queues, retrials.
//! - [`networks`]: tandems, Jackson networks, mean value analysis, machine repair.
//! - [`parallel`]: fan-out, quorums, hedging, fork-join, power of choices.
//! - [`levels`]: modulated arrivals, the shorter of two queues.
//! - [`demand`]: rates that change over time, token buckets.
//! - [`reliability`]: retries, probes, repair, error budgets.
//! - [`transport`]: round trips, timers, quota.

pub mod demand;
pub mod levels;
pub mod many_servers;
pub mod matrix;
pub mod networks;
pub mod parallel;
pub mod reliability;
pub mod single_server;
pub mod transport;
