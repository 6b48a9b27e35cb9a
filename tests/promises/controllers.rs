//! Controllers decide as recordings of kube-controller-manager say they do.

use cloud::kubernetes::amount::Amount;
use cloud::kubernetes::budget::{self, Demand};
use cloud::kubernetes::rolling::{self, Limits, Revision, Step};
use cloud::kubernetes::victims::{Candidate, precedence};
use engine::{Duration, Time};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The rows of a file of recordings: the committed ones, and those of a further directory.
fn rows(file: &str) -> Vec<Value> {
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let further = std::env::var_os("HYBRIDSIM_PARITY").map(PathBuf::from);
    let paths = [Some(committed), further].into_iter().flatten();
    let paths = paths.map(|folder| folder.join("controllers").join(file));
    let texts = paths.filter(|path| path.exists()).map(|path| {
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    });
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines
        .map(|line| serde_json::from_str(line).expect("a recording is JSON"))
        .collect()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a count")).expect("a small count")
}

fn amount(value: &Value) -> Amount {
    match value.as_str() {
        Some(text) => {
            let percent = text.strip_suffix('%').expect("a percentage");
            Amount::Percent(percent.parse().expect("a whole percentage"))
        }
        None => Amount::Count(number(value)),
    }
}

#[test]
fn budgets_are_counted_as_recorded() {
    let rows = rows("disruption-budgets.jsonl");
    let fresh: Vec<_> = rows.iter().filter(|row| row["fresh"] == true).collect();
    assert!(fresh.len() >= 163, "{}", fresh.len());
    for row in fresh {
        let demand = match row.get("minAvailable") {
            Some(least) => Demand::MinAvailable(amount(least)),
            None => Demand::MaxUnavailable(amount(&row["maxUnavailable"])),
        };
        let status = budget::count(demand, number(&row["expected"]), number(&row["current"]));
        let counted = (status.desired, status.allowed);
        let recorded = (number(&row["desired"]), number(&row["allowed"]));
        assert_eq!(counted, recorded, "{row}");
    }
}

/// The limits and the replicas of a recorded rollout; `None` where it recreates.
fn limits(row: &Value) -> (u32, Option<Limits>) {
    let replicas = number(&row["replicas"]);
    let strategy = &row["strategy"];
    if strategy["type"] == "Recreate" {
        return (replicas, None);
    }
    let rolling = &strategy["rollingUpdate"];
    let given = |name: &str| rolling.get(name).map_or(Amount::Percent(25), amount);
    let limits = Limits::resolve(given("maxSurge"), given("maxUnavailable"), replicas);
    (replicas, Some(limits))
}

fn revision(wanted: u32, available: u32) -> Revision {
    Revision {
        wanted,
        available,
        most: 0,
    }
}

/// The first steps of a rollout, as (old, new), before any of the new pods is available.
fn first_steps(replicas: u32, limits: Limits) -> Vec<(u32, u32)> {
    let (mut old, mut new) = (replicas, 0);
    let mut steps = vec![(old, new)];
    loop {
        let step = rolling::rolling_step(replicas, limits, &[revision(old, old)], revision(new, 0));
        match step {
            Step::Rest => return steps,
            Step::New(wanted) => new = wanted,
            Step::Old(wanted) => old = wanted[0],
        }
        steps.push((old, new));
    }
}

#[test]
fn rollouts_begin_as_recorded_and_keep_their_limits() {
    let rows = rows("rolling-updates.jsonl");
    let mut rolling = 0;
    for row in &rows {
        let (replicas, Some(limits)) = limits(row) else {
            continue;
        };
        rolling += 1;
        let states = row["old_new_oldavail_newavail"].as_array().expect("states");
        let states: Vec<[u32; 4]> = states
            .iter()
            .map(|state| [0, 1, 2, 3].map(|index| number(&state[index])))
            .collect();
        let mut steps: Vec<_> = states.iter().map(|state| (state[0], state[1])).collect();
        steps.dedup();
        let ours = first_steps(replicas, limits);
        let count = ours.len().min(3);
        assert_eq!(ours[..count], steps[..count], "{row}");
        for [old, new, old_available, new_available] in states {
            assert!(old + new <= replicas + limits.surge, "{row}");
            assert!(
                old_available + new_available >= replicas - limits.unavailable,
                "{row}"
            );
        }
    }
    assert!(rolling >= 13, "{rolling}");
}

#[test]
fn recreation_goes_as_recorded() {
    let rows = rows("rolling-updates.jsonl");
    let mut recreated = 0;
    for row in &rows {
        let (replicas, None) = limits(row) else {
            continue;
        };
        recreated += 1;
        let states = row["seq_[spec,replicas,ready,available]"]
            .as_array()
            .expect("states");
        for pair in states.windows(2) {
            let spec = |state: &Value, of: &str| state[of].get(0).map_or(0, number);
            let (old, new) = (spec(&pair[0], "old"), spec(&pair[0], "new"));
            let present = number(&pair[0]["old"][1]);
            let step = rolling::recreate_step(replicas, &[revision(old, old)], present, new);
            let next = (spec(&pair[1], "old"), spec(&pair[1], "new"));
            let allowed = match step {
                Step::Rest => vec![(old, new)],
                // The recording may show the pods change before the controller has looked.
                Step::New(wanted) => vec![(old, new), (old, wanted)],
                Step::Old(wanted) => vec![(old, new), (wanted[0], new)],
            };
            assert!(allowed.contains(&next), "{row}");
        }
    }
    assert!(recreated >= 1, "{recreated}");
}

/// How old the youngest pod of a set is where the recording does not say; any age will do
/// that has no power of two of nanoseconds between it and those that are a little older.
const AGE_UNTOLD: Duration = Duration::from_secs(5);

/// The pods of a recorded set, at a thousand seconds.
fn candidates(row: &Value) -> BTreeMap<String, Candidate> {
    let now = Time::ZERO + Duration::from_secs(1_000);
    let pods = row["pods"].as_object().expect("pods");
    let gaps = pods.values().map(|pod| pod["gap"].as_f64().unwrap_or(0.0));
    let mut age = AGE_UNTOLD.as_secs_f64() + gaps.sum::<f64>();
    let mut candidates = BTreeMap::new();
    for (name, pod) in pods {
        let since = pod["since"].as_f64().unwrap_or(age);
        age -= pod["gap"].as_f64().unwrap_or(0.0);
        let instant = |age: f64| Time::from_nanos(now.as_nanos() - (age * 1e9) as u64);
        let ready = pod["ready"] != false && pod["phase"] != "Pending";
        let uid = row["uids"][name].as_str().unwrap_or("0").replace('-', "");
        let candidate = Candidate {
            assigned: pod["node"].is_string(),
            running: pod["phase"] != "Pending",
            ready_since: ready.then(|| instant(since)),
            deletion_cost: pod["cost"].as_i64().unwrap_or(0) as i32,
            colocated: 0,
            restarts: pod.get("restarts").map_or(0, number),
            created: instant(age),
            uid: u128::from_str_radix(&uid, 16).expect("a UID"),
        };
        candidates.insert(name.clone(), candidate);
    }
    candidates
}

/// Every victim is one that no other pod would have had to go before.
#[test]
fn victims_go_as_recorded() {
    let rows = rows("replicaset-victims.jsonl");
    assert!(rows.len() >= 10, "{}", rows.len());
    let now = Time::ZERO + Duration::from_secs(1_000);
    for row in &rows {
        let mut pods = candidates(row);
        for victims in row["order"].as_array().expect("an order") {
            if row["owned"] == true {
                count_colocated(row, &mut pods);
            }
            for victim in victims.as_array().expect("victims of a step") {
                let name = victim.as_str().expect("a name");
                let gone = pods.remove(name).expect("a pod goes once");
                for (other, pod) in &pods {
                    let order = precedence(pod, &gone, now);
                    assert_ne!(order, Ordering::Less, "{name} before {other}: {row}");
                }
            }
        }
        assert!(pods.is_empty(), "{row}");
    }
}

/// Only pods whose ReplicaSet has an owner are compared by how many share their node.
fn count_colocated(row: &Value, pods: &mut BTreeMap<String, Candidate>) {
    let names: Vec<String> = pods.keys().cloned().collect();
    let node = |name: &String| &row["pods"][name]["node"];
    for name in &names {
        let others = names.iter().filter(|other| node(other) == node(name));
        pods.get_mut(name).expect("listed").colocated = others.count() as u32;
    }
}
