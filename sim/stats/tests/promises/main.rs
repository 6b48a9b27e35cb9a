//! What the statistics promise.

// The name by which the rest of the workspace calls it.
extern crate hybridsim_stats as stats;

mod consistency;
mod coverage;
mod oracles;
mod properties;
mod rows;
