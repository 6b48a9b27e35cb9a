//! `hybridsim schema`: the JSON Schema of the Scenario kind.

use super::End;
use super::output::Output;

pub(super) fn run(output: &Output) -> anyhow::Result<End> {
    output.print_json(&loader::json_schema())?;
    Ok(End::Fine)
}
