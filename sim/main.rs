//! The command line: parses what the user said, runs one command, and turns its end into an
//! exit code.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
