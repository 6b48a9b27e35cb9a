//! `hybridsim list`: the scenarios that ship inside this program, each with its question.

use serde_json::json;

use super::End;
use super::files::{all_shipped, folder_of, shipped};
use super::output::Output;

pub(super) fn run(output: &Output) -> anyhow::Result<End> {
    let mut rows = Vec::new();
    for name in all_shipped() {
        let input = shipped(&name).expect("a name of the list is shipped");
        let loaded = loader::load(&input.files, input.library.as_ref());
        let question = loaded.scenario.and_then(|scenario| scenario.question);
        rows.push((name, question.unwrap_or_default()));
    }
    if output.json() {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, question)| json!({ "name": name, "question": question }))
            .collect();
        output.print_json(&rows)?;
    } else {
        output.print(&grouped(&rows))?;
        output.tell("run one with `hybridsim run NAME`");
    }
    Ok(End::Fine)
}

/// Names and questions, those of a folder under its name.
fn grouped(rows: &[(String, String)]) -> String {
    let mut text = String::new();
    for group in rows.chunk_by(|left, right| folder_of(&left.0) == folder_of(&right.0)) {
        let folder = group.first().and_then(|(name, _)| folder_of(name));
        if let Some(folder) = folder {
            text += &format!("\n{folder}/\n\n");
        }
        let entries: Vec<String> = group
            .iter()
            .map(|(name, question)| format!("{name}\n    {question}\n"))
            .collect();
        text += &entries.join("\n");
    }
    text
}
