//! Commands, one file each, and what they share: arguments, exit codes, the two output streams.
//!
//! A document that a program may read goes to standard output, alone; everything that is said
//! to a person beside it goes to standard error.

mod check;
mod completions;
mod facts;
mod files;
mod init;
mod inspect;
mod list;
mod output;
mod problems;
mod progress;
mod run;
mod schema;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;
use problems::BadInput;

/// Simulates hybrid clouds from their own YAML: what latency and availability users get, and why.
#[derive(Parser)]
#[command(name = "hybridsim", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 an objective or expectation missed under --gate, \
    2 bad input, 3 internal error, 130 interrupted."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a scenario, or plain manifests with stated assumptions
    Run(run::Arguments),
    /// Read files and say everything that is wrong, and what becomes of every field
    Check(check::Arguments),
    /// Write a commented Scenario for manifests that you already have
    Init(init::Arguments),
    /// List the scenarios that ship inside this program
    List,
    /// List every default number with its unit, source and grade
    Facts(facts::Arguments),
    /// Print what a part of a cluster would hold, from manifests
    Inspect(inspect::Arguments),
    /// Print the JSON Schema of the Scenario kind, for editors
    Schema,
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It did what was asked.
    Fine,
    /// It did, and an objective or expectation was missed under `--gate`.
    Missed,
    /// The input was wrong; what and where has been said.
    BadInput,
    /// The user interrupted it; what was known by then has been said.
    Interrupted,
}

impl From<End> for ExitCode {
    fn from(end: End) -> ExitCode {
        ExitCode::from(match end {
            End::Fine => 0,
            End::Missed => 1,
            End::BadInput => 2,
            End::Interrupted => EXIT_INTERRUPTED,
        })
    }
}

/// Exit code of an internal error: a failed assertion, or output that could not be written.
const EXIT_INTERNAL_ERROR: u8 = 3;
/// Exit code after an interrupt, as shells have it: 128 and the number of the signal.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    let end = catch_unwind(AssertUnwindSafe(|| dispatch(&arguments.command, &output)));
    match end {
        Ok(Ok(end)) => end.into(),
        Ok(Err(error)) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error, &output),
        // The panic has been reported where it happened.
        Err(_) => ExitCode::from(EXIT_INTERNAL_ERROR),
    }
}

fn fail(error: &anyhow::Error, output: &Output) -> ExitCode {
    let text = format!("{error:#}");
    if !text.is_empty() {
        output.tell(&format!("error: {text}"));
    }
    if error.is::<BadInput>() {
        End::BadInput.into()
    } else {
        ExitCode::from(EXIT_INTERNAL_ERROR)
    }
}

fn dispatch(command: &Command, output: &Output) -> anyhow::Result<End> {
    match command {
        Command::Run(arguments) => run::run(arguments, output),
        Command::Check(arguments) => check::run(arguments, output),
        Command::Init(arguments) => init::run(arguments, output),
        Command::List => list::run(output),
        Command::Facts(arguments) => facts::run(arguments, output),
        Command::Inspect(arguments) => inspect::run(arguments, output),
        Command::Schema => schema::run(output),
        Command::Completions(arguments) => completions::run(arguments, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
