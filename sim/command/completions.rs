//! `hybridsim completions SHELL`: a completion script, derived from the arguments themselves.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{End, output::Output};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let mut script = Vec::new();
    generate(
        arguments.shell,
        &mut super::Arguments::command(),
        "hybridsim",
        &mut script,
    );
    let script = String::from_utf8(script)?;
    if output.json() {
        output.print_json(&serde_json::json!({ "script": script }))?;
    } else {
        output.print(&script)?;
    }
    Ok(End::Fine)
}
