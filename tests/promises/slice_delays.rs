//! The delays of EndpointSlices against what a running controller did.

use cloud::kubernetes::slices;
use engine::{Seed, Stream};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const RECORDING: &str = "endpointslice-delay.jsonl";

/// The recording of this project, and those of the folders that the environment names.
fn recordings() -> Vec<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let more = std::env::var_os("HYBRIDSIM_PARITY").map(PathBuf::from);
    let folders = [Some(own), more].into_iter().flatten();
    folders
        .flat_map(|folder| {
            [
                folder.join("controllers").join(RECORDING),
                folder.join(RECORDING),
            ]
        })
        .filter(|path| path.is_file())
        .collect()
}

/// Milliseconds from the answer to a patch to the slice, of patches on their own.
fn delays(path: &PathBuf) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let samples = rows.filter_map(|row: Value| row["samples"].as_array().cloned());
    let delays = samples
        .flatten()
        .map(|sample| sample[1].as_f64().unwrap() * 1e3);
    let mut delays: Vec<f64> = delays.collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// The greatest distance between two distributions, given as ascending values.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let share = |values: &[f64], at: f64| {
        values.partition_point(|value| *value <= at) as f64 / values.len() as f64
    };
    let steps = one.iter().chain(other);
    steps
        .map(|&at| (share(one, at) - share(other, at)).abs())
        .fold(0.0, f64::max)
}

#[test]
fn slice_delays_are_distributed_as_recorded() {
    let stream = Stream::new(Seed::default(), "delays");
    let mut modelled: Vec<f64> = (0..20_000)
        .map(|index| slices::delay(&mut stream.draw(index, 0)).as_secs_f64() * 1e3)
        .collect();
    modelled.sort_by(f64::total_cmp);
    let recordings = recordings();
    assert!(!recordings.is_empty());
    for path in recordings {
        let recorded = delays(&path);
        assert!(
            recorded.len() >= 20,
            "{}: {} samples",
            path.display(),
            recorded.len()
        );
        // Kolmogorov and Smirnov: one in a thousand samples of the model would be farther away.
        let far = 1.95 / (recorded.len() as f64).sqrt();
        let distance = distance(&modelled, &recorded);
        assert!(distance < far, "{}: {distance} of {far}", path.display());
    }
}
