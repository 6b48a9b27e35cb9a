//! `hybridsim run`: simulate, tell, judge.

use std::fs;
use std::hash::Hasher;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use cloud::scenario::Scenario;
use cloud::summary::{Outcome, Summary};
use engine::Duration;
use hybridsim::study::{self, Study, StudyError, StudyOptions, Unwatched};
use loader::Loaded;
use report::{Extras, Tool};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::files::{self, DEFAULT_SCENARIO};
use super::output::Output;
use super::problems::{self, BadInput};
use super::progress::Bar;
use super::{EXIT_INTERRUPTED, End};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario, manifests, folders of manifests, or the name of a shipped scenario
    ///
    /// Without any, the default scenario that ships with the program.
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Run this variant of the Scenario instead of the Scenario itself
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Master seed instead of the Scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Exactly so many replications
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    replications: Option<u32>,
    /// Number of the first replication, to replay one
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_replication: u32,
    /// So many threads; the result is the same on any number [default: all processors]
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Simulated time of one replication, as 90s or 20m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Write the whole report there: HTML, JSON, CSV and charts
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// End with exit code 1 if an objective or expectation is missed
    #[arg(long)]
    gate: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    match loader::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("nothing happens in no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let input = files::read(&arguments.files, DEFAULT_SCENARIO)?;
    let mut loaded = loader::load(&input.files, input.library.as_ref());
    problems::tell(&loaded, output);
    let scenario = choose(&mut loaded, arguments.variant.as_deref())?;
    if arguments.variant.is_none() && !loaded.variants.is_empty() {
        let names = variant_names(&loaded).join(", ");
        output.tell(&format!(
            "not run: {names}; run a variant with --variant NAME"
        ));
    }
    let interrupt = interrupted_by_the_user()?;
    let study = simulate(&scenario, arguments, &interrupt, output)?;
    tell(&study, &extras(&loaded)?, arguments, output)?;
    Ok(end(&study.summary, arguments.gate))
}

/// The scenario to run: the base, or a variant of it.
pub(super) fn choose(loaded: &mut Loaded, variant: Option<&str>) -> anyhow::Result<Scenario> {
    let base = loaded.scenario.take().ok_or_else(BadInput::told)?;
    let Some(name) = variant else {
        return Ok(base);
    };
    let known = variant_names(loaded);
    let position = known
        .iter()
        .position(|known| known == name)
        .with_context(|| {
            BadInput(match known.as_slice() {
                [] => format!("no variant {name}: the scenario has none"),
                _ => format!("no variant {name}: there are {}", known.join(", ")),
            })
        })?;
    Ok(loaded.variants.swap_remove(position).1)
}

fn variant_names(loaded: &Loaded) -> Vec<String> {
    let names = loaded.variants.iter().map(|(name, _)| name.clone());
    names.collect()
}

/// A flag that the first interrupt raises; a second one ends the program at once.
fn interrupted_by_the_user() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupt = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&interrupt);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_INTERRUPTED.into());
        }
    })?;
    Ok(interrupt)
}

fn simulate(
    scenario: &Scenario,
    arguments: &Arguments,
    interrupt: &Arc<AtomicBool>,
    output: &Output,
) -> anyhow::Result<Study> {
    let options = StudyOptions {
        seed: arguments.seed,
        replications: arguments.replications,
        first_replication: arguments.first_replication,
        duration: arguments.duration,
        threads: arguments.threads,
        interrupt: Arc::clone(interrupt),
        ..StudyOptions::default()
    };
    let study = if output.watched() {
        study::run(scenario, &options, &Bar::new())
    } else {
        study::run(scenario, &options, &Unwatched)
    };
    study.map_err(|error| match error {
        StudyError::NothingToMeasure { .. } => BadInput(error.to_string()).into(),
        StudyError::Broken(_) => error.into(),
    })
}

/// Where the study comes from.
fn extras(loaded: &Loaded) -> anyhow::Result<Extras> {
    let inputs = loaded.files.iter().map(|file| report::Input {
        name: file.name.clone(),
        hash: hash(&file.text),
    });
    Ok(Extras {
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        command: Some(replay_command()),
        inputs: inputs.collect(),
        ledger: serde_json::to_value(&loaded.ledger)?,
    })
}

/// The arguments that change bytes, as they were given.
fn replay_command() -> String {
    let mut words = vec!["hybridsim".to_owned()];
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" | "--out" => drop(arguments.next()),
            "--json" | "--gate" => {}
            other if other.starts_with("--threads=") || other.starts_with("--out=") => {}
            _ => words.push(argument),
        }
    }
    words.join(" ")
}

/// A hash of a text that is the same everywhere.
fn hash(text: &str) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(text.as_bytes());
    let hash = hasher.finish128();
    format!("{:016x}{:016x}", hash.h1, hash.h2)
}

fn tell(
    study: &Study,
    extras: &Extras,
    arguments: &Arguments,
    output: &Output,
) -> anyhow::Result<()> {
    if output.json() {
        output.print(&report::json(&study.summary, extras))?;
    } else {
        output.print(&report::terminal(&study.summary, output.style()))?;
    }
    if let Some(folder) = &arguments.out {
        write_all(folder, &study.summary, extras)
            .with_context(|| format!("the report cannot be written to {}", folder.display()))?;
        output.tell(&format!(
            "report written to {}",
            folder.join("report.html").display()
        ));
    } else if !output.json() {
        output.tell("the whole report, with plots: add --out DIR");
    }
    Ok(())
}

fn write_all(folder: &Path, summary: &Summary, extras: &Extras) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("report.html"), report::html(summary, extras))?;
    fs::write(folder.join("report.json"), report::json(summary, extras))?;
    for (name, text) in report::csv(summary) {
        fs::write(folder.join(name), text)?;
    }
    for (name, text) in report::charts(summary) {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn end(summary: &Summary, gate: bool) -> End {
    let missed = summary
        .verdicts
        .iter()
        .any(|verdict| verdict.outcome == Outcome::Missed);
    if summary.interrupted {
        End::Interrupted
    } else if gate && missed {
        End::Missed
    } else {
        End::Fine
    }
}
