//! The engine's own figures alone, built without the cloud: for counting instructions.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints its figures: that is what it is for"
)]
#![allow(
    dead_code,
    reason = "figures that are not the engine's alone use more of what stands here"
)]

extern crate hybridsim_engine as engine;

mod chain;
mod chain_reference;
mod hold;
mod measure;
mod random;
mod reference_heap;
mod single;

use measure::Runner;

fn main() {
    let mut runner = Runner::from_arguments(std::env::args().skip(1));
    hold::figures(&mut runner);
    single::figures(&mut runner);
    chain::figures(&mut runner);
    runner.finish();
}
