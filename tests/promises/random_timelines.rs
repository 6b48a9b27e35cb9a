//! Whatever happens at whatever time, a run ends, breaks none of the model's own rules, and is
//! the same on any number of threads.
//!
//! Timelines are drawn at random and put into shipped scenarios, with another version of
//! Kubernetes and of Istio: from a fixed seed, so that each run of this test is the same.
//! `HYBRIDSIM_TIMELINES_SEED` and `HYBRIDSIM_TIMELINES_COUNT` try others, and
//! `HYBRIDSIM_TIMELINES_SECONDS` lets each of them last so long; what fails is printed as a
//! scenario, made as small as its failure allows.

mod ground;
mod happenings;

use crate::support::{Project, documents, look, number_asked, panic_message, shipped};
use cloud::scenario::Scenario;
use cloud::{Options, WarmUp, compile, simulate, summarize};
use engine::{Draw, Execution, QueueKind, Seed, Stream};
use ground::Ground;
use happenings::{Happenings, duration, pick};
use loader::{File, Loaded};
use report::Style;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

const SEED: u64 = 1;
const COUNT: u64 = 250;
/// Simulated time of a run.
const SECONDS: [u64; 3] = [5, 10, 40];
/// How many replications of a scenario are run.
const REPLICATIONS: u32 = 2;
/// How long a scenario that takes a second or less is waited for. No result depends on it: it
/// only lets a run that never ends be named. Simulated time cannot do that, since such a run may
/// stand still at an instant, nor can a number of events, since it may never leave one.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);
/// What is wrong with a timeline that the generator should not have drawn.
const REFUSED: &str = "the loader refuses it";
/// Scenarios that are drawn until something can happen in one of them.
const ATTEMPTS: u64 = 1_000;

/// A scenario with a timeline at random.
#[derive(Clone)]
struct Drawn {
    /// Name of the file, from which paths of manifests count.
    name: String,
    document: Json,
    kinds: Vec<String>,
}

impl Drawn {
    fn text(&self) -> String {
        serde_json::to_string(&self.document).expect("a document")
    }

    fn load(&self) -> Loaded {
        load(&self.name, &self.document)
    }

    /// It as it can be written into a file.
    fn show(&self) -> String {
        let Drawn { name, .. } = self;
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("# in a file of {folder}/\n{}\n", self.text())
    }
}

fn load(name: &str, document: &Json) -> Loaded {
    let file = File {
        name: name.to_owned(),
        text: document.to_string(),
    };
    loader::load(&[file], &Project)
}

/// What timelines are drawn for.
struct Worlds {
    shipped: Vec<(String, Json)>,
    happenings: Happenings,
    seed: u64,
    seconds: Option<u64>,
}

impl Worlds {
    fn new(seed: u64, seconds: Option<u64>) -> Worlds {
        let read = |file: File| {
            let of_file = documents(&file.text);
            let found = of_file.into_iter().find(|it| it["kind"] == "Scenario");
            (file.name, found.expect("a Scenario"))
        };
        let shipped = shipped().into_iter().map(read);
        // Far more services than a test has time for.
        let shipped = shipped.filter(|(name, _)| !name.contains("thirty-thousand"));
        Worlds {
            shipped: shipped.collect(),
            happenings: Happenings::new(),
            seed,
            seconds,
        }
    }

    /// The timeline of this number.
    fn draw(&self, number: u64) -> Drawn {
        let seed = Seed {
            master: self.seed,
            replication: 0,
        };
        let stream = Stream::new(seed, "timelines");
        let mut attempts = (0..ATTEMPTS).map(|attempt| stream.draw(number, attempt));
        attempts
            .find_map(|mut draw| self.attempt(self.turn(number), &mut draw))
            .unwrap_or_else(|| panic!("nowhere is place for {}", self.turn(number)))
    }

    /// What happens first in the timeline of this number, so that everything has its turn.
    fn turn(&self, number: u64) -> &str {
        let kinds = &self.happenings.kinds;
        &kinds[number as usize % kinds.len()]
    }

    /// A scenario, unless other versions refuse what it holds or the first cannot happen there.
    fn attempt(&self, first: &str, draw: &mut Draw) -> Option<Drawn> {
        let (name, document) = pick(&self.shipped, draw);
        let mut document = document.clone();
        change_world(&mut document["spec"], draw);
        let seconds = self.seconds.unwrap_or(*pick(&SECONDS, draw));
        let spec = document["spec"].as_object_mut().expect("a spec");
        for key in ["expect", "objectives", "variants"] {
            spec.shift_remove(key);
        }
        spec.insert(
            "run".to_owned(),
            json!({"duration": format!("{seconds}s"), "analysis": "terminating", "replications": REPLICATIONS}),
        );
        let written = spec.shift_remove("timeline").unwrap_or(json!([]));
        let written = written.as_array().expect("a list").clone();
        let still = load(name, &document).scenario?;
        let ground = Ground::new(&still, &[written, own_manifests(&document)].concat());
        let mut happening = Some(self.happenings.of_kind(first, &ground, draw)?);
        let mut kinds = Vec::new();
        let mut timeline: Vec<Json> = Vec::new();
        for _ in 0..1 + draw.below(12) {
            let (mut entry, drawn) = happening
                .take()
                .unwrap_or_else(|| self.happenings.draw(&ground, draw));
            // A route takes one release.
            let is_canary = |kind: &String| kind.starts_with("canary");
            if kinds.iter().any(is_canary) && drawn.iter().any(is_canary) {
                continue;
            }
            let at = match timeline.last() {
                // What happens at one instant must have an order as well.
                Some(before) if draw.chance(0.2) => before["at"].clone(),
                _ if draw.chance(0.1) => json!(duration(draw)),
                _ => json!(format!("{}ms", draw.below(seconds as u32 * 1_000))),
            };
            entry["at"] = at;
            timeline.push(entry);
            kinds.extend(drawn);
        }
        document["spec"]["timeline"] = json!(timeline);
        Some(Drawn {
            name: name.clone(),
            document,
            kinds,
        })
    }
}

/// Other versions, a variant, a mesh where there is none.
fn change_world(spec: &mut Json, draw: &mut Draw) {
    let variants = spec["variants"].as_array().cloned().unwrap_or_default();
    if !variants.is_empty() && draw.chance(0.5) {
        merge(spec, &pick(&variants, draw)["patch"]);
    }
    let minor = 14 + draw.below(19);
    let kubernetes = 22 + draw.below(15);
    let with_mesh = draw.chance(0.4);
    let of_mesh = *pick(&["injectedNamespaces", "ambientNamespaces"], draw);
    let is_ideal = spec["network"] == "ideal";
    let clusters = spec["clusters"].as_array_mut();
    for cluster in clusters.into_iter().flatten() {
        if cluster.get("istio").is_some() {
            cluster["istio"]["version"] = json!(format!("1.{minor}"));
        } else if with_mesh && !is_ideal {
            cluster["istio"] = json!({"version": format!("1.{minor}"), of_mesh: ["default"]});
        }
        if draw.chance(0.5) {
            cluster["kubernetes"] = json!(format!("1.{kubernetes}"));
        }
    }
}

/// A merge patch, as variants have it.
fn merge(base: &mut Json, patch: &Json) {
    let Some(patch) = patch.as_object() else {
        *base = patch.clone();
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    let map = base.as_object_mut().expect("it is one now");
    for (key, value) in patch {
        match value {
            Json::Null => drop(map.shift_remove(key)),
            _ => merge(map.entry(key).or_insert(Json::Null), value),
        }
    }
}

/// Entries that apply again what a cluster begins with.
fn own_manifests(document: &Json) -> Vec<Json> {
    let clusters = document["spec"]["clusters"].as_array();
    let of_cluster = |cluster: &Json| {
        let name = cluster["name"].clone();
        let paths = cluster["manifests"].as_array().cloned().unwrap_or_default();
        let entry = move |path| json!({"apply": path, "cluster": name.clone()});
        paths.into_iter().map(entry).collect::<Vec<_>>()
    };
    clusters
        .into_iter()
        .flatten()
        .flat_map(of_cluster)
        .collect()
}

/// Runs it in several ways, and looks at an instant of it.
fn check(drawn: &Drawn) -> Result<(), String> {
    let loaded = drawn.load();
    let scenario = loaded.scenario.ok_or_else(|| {
        let told = loaded.diagnostics.iter();
        let told: Vec<_> = told.map(|it| it.message.as_str()).collect();
        format!("{REFUSED}: {}", told.join("; "))
    })?;
    let run = AssertUnwindSafe(|| run(&scenario));
    catch_unwind(run).unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}

fn run(scenario: &Scenario) -> Result<(), String> {
    let topology = compile(scenario);
    let master = scenario.run.seed;
    let mut records = Vec::new();
    for replication in 0..REPLICATIONS {
        let seed = Seed {
            master,
            replication,
        };
        let two = NonZeroUsize::new(2).expect("not zero");
        let (execution, queue) = match topology.partitions().len() {
            1 => (Execution::Sequential, QueueKind::Heap),
            _ => (Execution::Threads(two), QueueKind::Auto),
        };
        let other = Options {
            execution,
            queue,
            ..Options::default()
        };
        let record = simulate(&topology, seed, &Options::default());
        let again = simulate(&topology, seed, &other).digest;
        if record.digest != again {
            let digest = record.digest;
            return Err(format!(
                "replication {replication}: {digest} and {again} on {other:?}"
            ));
        }
        records.push(record);
    }
    let summary = summarize(&topology, &records, &WarmUp::NONE);
    let style = Style {
        width: 100,
        colour: false,
    };
    let told = report::terminal(&summary, style).len();
    let written = report::csv(&summary).len() + report::charts(&summary).len();
    let shown = look(
        &topology,
        Seed {
            master,
            replication: 0,
        },
        scenario.run.duration / 2,
    );
    match told > 0 && written > 0 && shown > 0 {
        true => Ok(()),
        false => Err(format!("told {told}, written {written}, shown {shown}")),
    }
}

/// What became of all timelines up to a number, by those that failed.
struct Course {
    kinds: BTreeSet<String>,
    failed: Vec<(Drawn, String)>,
}

/// What a worker tells.
enum News {
    Begun(u64, Drawn),
    Ended(u64, Result<(), String>),
}

/// Runs timelines side by side, each waited for with patience.
fn run_all(worlds: Arc<Worlds>, count: u64) -> Course {
    let (news, told) = channel();
    let next = Arc::new(AtomicU64::new(0));
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for _ in 0..workers {
        let (worlds, next, news) = (worlds.clone(), next.clone(), news.clone());
        std::thread::spawn(move || work(&worlds, &next, count, &news));
    }
    drop(news);
    let mut course = Course {
        kinds: BTreeSet::new(),
        failed: Vec::new(),
    };
    let mut running: BTreeMap<u64, Drawn> = BTreeMap::new();
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(News::Begun(number, drawn)) => {
                course.kinds.extend(drawn.kinds.iter().cloned());
                running.insert(number, drawn);
            }
            Ok(News::Ended(number, result)) => {
                let drawn = running.remove(&number).expect("what ended has begun");
                if let Err(why) = result {
                    course.failed.push((drawn, why));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let all = running.into_values();
                let all = all.map(|drawn| (drawn, "it does not end".to_owned()));
                course.failed.extend(all);
                return course;
            }
            Err(RecvTimeoutError::Disconnected) => return course,
        }
    }
}

fn work(worlds: &Worlds, next: &AtomicU64, count: u64, news: &Sender<News>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let drawn = worlds.draw(number);
        // Whoever gave up listens no longer.
        let _ = news.send(News::Begun(number, drawn.clone()));
        let _ = news.send(News::Ended(number, check(&drawn)));
    }
}

/// The same timeline without all that its failure does not need.
fn shrink(drawn: &Drawn, why: &str) -> Drawn {
    let is_refused = |why: &str| why.starts_with(REFUSED);
    let fails_alike = |it: &Drawn| {
        let result = check(it);
        result.is_err_and(|other| is_refused(&other) == is_refused(why))
    };
    let mut small = drawn.clone();
    loop {
        let entries = small.document["spec"]["timeline"].as_array();
        let count = entries.map_or(0, Vec::len);
        let without = |position: usize| {
            let mut smaller = small.clone();
            let entries = smaller.document["spec"]["timeline"].as_array_mut();
            entries.expect("a timeline").remove(position);
            smaller
        };
        match (0..count).map(without).find(fails_alike) {
            Some(smaller) => small = smaller,
            None => return small,
        }
    }
}

#[test]
fn whatever_happens_runs_end_alike_and_break_no_rule() {
    let [seed, count, seconds] =
        ["SEED", "COUNT", "SECONDS"].map(|it| number_asked(&format!("HYBRIDSIM_TIMELINES_{it}")));
    let worlds = Arc::new(Worlds::new(seed.unwrap_or(SEED), seconds));
    let all: BTreeSet<String> = worlds.happenings.kinds.iter().cloned().collect();
    let course = run_all(worlds, count.unwrap_or(COUNT));
    let failed = course.failed.iter().map(|(drawn, why)| {
        let small = match why.as_str() {
            "it does not end" => drawn.clone(),
            _ => shrink(drawn, why),
        };
        format!("{why}:\n{}", small.show())
    });
    let failed: Vec<String> = failed.collect();
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
    if [seed, count, seconds] == [None; 3] {
        let missing: Vec<_> = all.difference(&course.kinds).collect();
        assert!(missing.is_empty(), "nobody drew {missing:?}");
    }
}
