//! `hybridsim init`: a commented Scenario for manifests that somebody already has.

use serde_json::json;

use super::End;
use super::files::{self, DEFAULT_SCENARIO};
use super::output::Output;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Manifests or folders of manifests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let input = files::read(&arguments.files, DEFAULT_SCENARIO)?;
    let skeleton = loader::init(&input.files, input.library.as_ref());
    if output.json() {
        output.print_json(&json!({ "scenario": skeleton }))?;
    } else {
        output.print(&skeleton)?;
    }
    Ok(End::Fine)
}
