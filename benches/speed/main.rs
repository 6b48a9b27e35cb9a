//! How fast the engine is, as ratios to references that are coded here and run interleaved.
//!
//! `cargo bench --bench speed` prints one line per figure and whether its target is met;
//! `cargo bench --bench speed -- hold chain` only those whose name contains one of the words;
//! `-- --operations 100000 chain` runs nothing but the engine's side of one figure, once, for a
//! program that counts instructions.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints its figures: that is what it is for"
)]

mod chain;
mod chain_reference;
mod cloud_chain;
mod hold;
mod large_cluster;
mod measure;
mod mesh;
mod random;
mod reference_heap;
mod single;

use measure::Runner;

fn main() {
    let mut runner = Runner::from_arguments(std::env::args().skip(1));
    hold::figures(&mut runner);
    single::figures(&mut runner);
    chain::figures(&mut runner);
    cloud_chain::figures(&mut runner);
    large_cluster::figures(&mut runner);
    mesh::figures(&mut runner);
    runner.finish();
}
