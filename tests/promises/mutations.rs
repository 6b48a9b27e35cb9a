//! Whatever is written, the loader takes it or says what is wrong, and what it takes can be
//! looked at: files of the project with mistakes at random, from a fixed seed.
//!
//! `HYBRIDSIM_MUTATIONS_SEED` and `HYBRIDSIM_MUTATIONS_COUNT` try others.

use crate::support::{Project, below, documents, look, number_asked, panic_message};
use cloud::compile;
use cloud::scenario::Scenario;
use engine::{Draw, Duration, Seed, Stream};
use loader::{File, Library};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEED: u64 = 1;
const COUNT: u64 = 1_200;
/// Folders whose files are changed.
const FOLDERS: [&str; 2] = ["scenarios", "tests/data/fields"];
/// A scenario that takes as long as a hundred others.
const LARGEST: &str = "thirty-thousand";
/// More pods than this are not made, only described.
const PODS_MAX: u64 = 2_000;

/// What stands in a mistaken file where something else belongs.
fn odd_value(draw: &mut Draw) -> Json {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(1e300),
        json!(""),
        json!("0"),
        json!("-1s"),
        json!("0s"),
        json!("1ns"),
        json!("300000d"),
        json!("101%"),
        json!("0%"),
        json!("1e9/s"),
        json!("*"),
        json!("*.*"),
        json!("a/b/c"),
        json!("/"),
        json!("::1"),
        json!("0.0.0.0/0"),
        json!("255.255.255.255"),
        json!("ä\u{0}\u{202e}"),
        json!("("),
        json!("x".repeat(300)),
        json!([]),
        json!([[]]),
        json!([null]),
        json!({}),
        json!({"": ""}),
    ];
    odd[draw.below(odd.len() as u32) as usize].clone()
}

/// How many values a tree has, itself included.
fn size(value: &Json) -> u32 {
    match value {
        Json::Object(map) => 1 + map.values().map(size).sum::<u32>(),
        Json::Array(items) => 1 + items.iter().map(size).sum::<u32>(),
        _ => 1,
    }
}

/// The value of a number in the order of the text.
fn value(tree: &mut Json, number: u32) -> &mut Json {
    if number == 0 {
        return tree;
    }
    let mut left = number - 1;
    let inner: Box<dyn Iterator<Item = &mut Json>> = match tree {
        Json::Object(map) => Box::new(map.values_mut()),
        Json::Array(items) => Box::new(items.iter_mut()),
        _ => unreachable!("a tree has as many values as its size says"),
    };
    for one in inner {
        let size = size(one);
        if left < size {
            return value(one, left);
        }
        left -= size;
    }
    unreachable!("a tree has as many values as its size says")
}

/// One mistake in a tree.
fn change_tree(trees: &mut [Json], draw: &mut Draw) {
    let pick = |trees: &[Json], draw: &mut Draw| {
        let tree = draw.below(trees.len() as u32) as usize;
        (tree, draw.below(size(&trees[tree])))
    };
    let (tree, number) = pick(trees, draw);
    let (other_tree, other_number) = pick(trees, draw);
    let other = value(&mut trees[other_tree], other_number).clone();
    let at = value(&mut trees[tree], number);
    match draw.below(4) {
        // What stands elsewhere.
        0 => *at = other,
        1 => *at = odd_value(draw),
        _ => match at {
            Json::Object(map) if !map.is_empty() => {
                let key = map.keys().nth(draw.below(map.len() as u32) as usize);
                let key = key.expect("one of its keys").clone();
                let taken = map.shift_remove(&key).expect("it is there");
                if draw.chance(0.3) {
                    map.insert(format!("{key}s"), taken);
                }
            }
            Json::Array(items) if !items.is_empty() => {
                let position = draw.below(items.len() as u32) as usize;
                match draw.chance(0.5) {
                    true => drop(items.remove(position)),
                    false => items.push(items[position].clone()),
                }
            }
            Json::String(text) => {
                let odd = odd_value(draw);
                *text += odd.as_str().unwrap_or("-");
            }
            Json::Number(number) => *at = json!(number.as_f64().unwrap_or(0.0) * -1e3),
            other => *other = odd_value(draw),
        },
    }
}

/// One mistake in a text.
fn change_text(text: &mut String, draw: &mut Draw) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return;
    }
    let position = draw.below(lines.len() as u32) as usize;
    let other = lines[draw.below(lines.len() as u32) as usize].clone();
    let line = &mut lines[position];
    match draw.below(6) {
        0 => drop(lines.remove(position)),
        1 => lines.insert(position, other),
        2 => line.insert_str(0, &" ".repeat(1 + draw.below(3) as usize)),
        3 => *line = line.trim_start().to_owned(),
        4 => {
            let count = line.chars().count() as u32;
            let cut = draw.below(count + 1) as usize;
            *line = line.chars().take(cut).collect();
        }
        _ => {
            let odd = [
                ":", "- ", "&a ", "*a", "{", "]", "'", "\"", "|", "\t", "%", "#", "\r", "!!x ",
            ];
            let count = line.chars().count() as u32;
            let at = draw.below(count + 1) as usize;
            let odd = odd[draw.below(odd.len() as u32) as usize];
            let before: String = line.chars().take(at).collect();
            let after: String = line.chars().skip(at).collect();
            *line = format!("{before}{odd}{after}");
        }
    }
    *text = lines.join("\n");
}

/// The text with a mistake or two.
fn mutated(text: &str, draw: &mut Draw) -> String {
    let mut text = text.to_owned();
    let mistakes = 1 + draw.below(2);
    let mut trees = documents(&text);
    if draw.chance(0.8) && !trees.is_empty() {
        (0..mistakes).for_each(|_| change_tree(&mut trees, draw));
        let texts = trees.iter().map(Json::to_string);
        text = texts.collect::<Vec<_>>().join("\n---\n");
    } else {
        (0..mistakes).for_each(|_| change_text(&mut text, draw));
    }
    text
}

/// A Scenario or manifests, with all that they name.
struct World {
    files: Vec<File>,
}

impl World {
    /// Of a file that is taken as it stands.
    fn new(file: File) -> Option<World> {
        let loaded = loader::load(&[file], &Project);
        let files = loaded.files;
        loaded.scenario.map(|_| World { files })
    }

    /// It with mistakes in one of its files, and which.
    fn mutated(&self, draw: &mut Draw) -> (World, usize) {
        let mut files = self.files.clone();
        let position = draw.below(files.len() as u32) as usize;
        files[position].text = mutated(&files[position].text, draw);
        (World { files }, position)
    }
}

impl Library for World {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let with_mistakes = |mut file: File| {
            let known = self.files.iter().find(|known| known.name == file.name);
            if let Some(known) = known {
                file.text.clone_from(&known.text);
            }
            file
        };
        let found = Project.read(path)?;
        Ok(found.into_iter().map(with_mistakes).collect())
    }
}

fn pods(scenario: &Scenario) -> u64 {
    let clusters = scenario.clusters.iter();
    let of_clusters = clusters.clone().flat_map(|cluster| &cluster.workloads);
    let pods: u64 = of_clusters.map(|it| u64::from(it.replicas)).sum();
    pods + clusters
        .map(|cluster| cluster.nodes.len() as u64)
        .sum::<u64>()
}

/// Whether a world is taken; and if it is, it can be looked at.
fn is_taken(world: &World) -> bool {
    let loaded = loader::load(&world.files[..1], world);
    for problem in &loaded.diagnostics {
        loader::render(problem, &loaded.files, false);
    }
    let Some(scenario) = loaded.scenario else {
        assert!(!loaded.diagnostics.is_empty(), "nobody says what is wrong");
        return false;
    };
    if pods(&scenario) <= PODS_MAX {
        look(&compile(&scenario), Seed::default(), Duration::ZERO);
    }
    true
}

#[test]
fn whatever_is_written_is_taken_or_refused() {
    let files = FOLDERS.into_iter().flat_map(below);
    let files: Vec<File> = files.filter(|file| !file.name.contains(LARGEST)).collect();
    let worlds: Vec<World> = files.into_par_iter().filter_map(World::new).collect();
    let seed = Seed {
        master: number_asked("HYBRIDSIM_MUTATIONS_SEED").unwrap_or(SEED),
        replication: 0,
    };
    let stream = Stream::new(seed, "mutations");
    let count = number_asked("HYBRIDSIM_MUTATIONS_COUNT").unwrap_or(COUNT);
    let outcomes: Vec<Result<bool, String>> = (0..count)
        .into_par_iter()
        .map(|number| {
            let mut draw = stream.draw(number, 0);
            let world = &worlds[draw.below(worlds.len() as u32) as usize];
            let (world, position) = world.mutated(&mut draw);
            let taken = catch_unwind(AssertUnwindSafe(|| is_taken(&world)));
            taken.map_err(|panic| {
                let (asked, why) = (&world.files[0].name, panic_message(panic.as_ref()));
                let File { name, text } = &world.files[position];
                format!("{why}:\n# {asked} with this {name}\n{text}\n")
            })
        })
        .collect();
    let failed: Vec<&String> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(
        failed.is_empty(),
        "{} panics, first {}",
        failed.len(),
        failed[0]
    );
    // A generator that makes only nonsense, or no mistakes, would show nothing.
    let taken = outcomes.iter().filter(|it| **it == Ok(true)).count() as u64;
    assert!(
        taken * 10 > count && taken * 10 < 9 * count,
        "{taken} of {count}"
    );
}
