//! What a running Envoy answered, against `cloud::envoy` in a small rig.
//!
//! Every recording is tried as it is: its hosts, clients and arrivals drive the decisions of
//! `cloud::envoy` by the engine's queue, and what comes out is held against what was recorded,
//! within the tolerance that the recording states. Latencies are not compared: they carry the
//! noise of a busy machine. Of further directories in `HYBRIDSIM_PARITY` every file with a
//! question and a configuration is tried too.

mod case;
mod compare;
mod rig;
mod setup;

use case::Case;
use compare::Comparison;
use serde_json::Value;
use setup::{Log, Setup};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// So often the rig runs for one result: indices and phases begin elsewhere each time.
const REPLICATIONS: u32 = 24;

/// Files with recordings: the committed ones, and those of further folders.
fn files() -> Vec<PathBuf> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let further = std::env::var_os("HYBRIDSIM_PARITY").unwrap_or_default();
    let mut found = Vec::new();
    for root in std::iter::once(committed).chain(std::env::split_paths(&further)) {
        for folder in [root.join("envoy"), root] {
            let listed = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let paths = listed.map(|entry| entry.path());
            found.extend(paths.filter(|path| path.extension().is_some_and(|kind| kind == "json")));
        }
    }
    found.sort();
    found
}

fn recording(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let recording: Value = serde_json::from_str(&text).ok()?;
    let is_one = recording["question"].is_string() && recording["config"].is_object();
    (is_one && recording["results"].is_array()).then_some(recording)
}

/// How the figures of a recording compare.
#[derive(Default)]
struct Verdict {
    compared: usize,
    /// Figures that differ in most repetitions.
    wrong: Vec<String>,
    /// Figures that differ in a few: a stall of the machine spoils a repetition.
    stray: usize,
}

/// A figure over the repetitions of what was tried.
#[derive(Default)]
struct Tally {
    repetitions: usize,
    differences: Vec<String>,
}

fn try_recording(recording: &Value) -> Verdict {
    let mut verdict = Verdict::default();
    let mut tallies: BTreeMap<(String, String), Tally> = BTreeMap::new();
    let mut runs: Vec<(Setup, Vec<Log>)> = Vec::new();
    for result in recording["results"].as_array().into_iter().flatten() {
        let case = Case { recording, result };
        let setup = match case.setup() {
            Ok(setup) => setup,
            Err(strange) => {
                verdict.wrong.push(format!("not understood: {strange}"));
                continue;
            }
        };
        let known = runs.iter().position(|(known, _)| *known == setup);
        let index = known.unwrap_or_else(|| {
            let logs = (0..REPLICATIONS).map(|replication| rig::run(&setup, replication));
            let logs = logs.collect();
            runs.push((setup, logs));
            runs.len() - 1
        });
        let (setup, logs) = &runs[index];
        for (figure, difference) in Comparison::of(case, setup, logs).figures {
            let tally = tallies.entry((case.parameters(), figure)).or_default();
            tally.repetitions += 1;
            tally.differences.extend(difference);
        }
    }
    for ((_, figure), tally) in tallies {
        verdict.compared += tally.repetitions;
        if 2 * tally.differences.len() > tally.repetitions {
            verdict.wrong.extend(
                tally
                    .differences
                    .iter()
                    .map(|told| format!("{figure}: {told}")),
            );
        } else {
            verdict.stray += tally.differences.len();
        }
    }
    verdict
}

#[test]
fn envoy_did_what_it_was_recorded_doing() {
    let (mut wrong, mut recordings, mut compared, mut stray) = (Vec::new(), 0, 0, 0);
    for path in files() {
        let Some(recording) = recording(&path) else {
            continue;
        };
        recordings += 1;
        let verdict = try_recording(&recording);
        compared += verdict.compared;
        stray += verdict.stray;
        if !verdict.wrong.is_empty() {
            wrong.push(format!("{path:?}\n  {}", verdict.wrong.join("\n  ")));
        }
    }
    assert!(recordings >= 182, "{recordings} recordings");
    assert!(compared > 15_000, "{compared} figures");
    assert!(
        100 * stray < 2 * compared,
        "{stray} of {compared} figures stray"
    );
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} of {recordings} recordings differ:\n{}",
        wrong.join("\n")
    );
}
