//! A study: independent replications of one scenario, as many as it takes, and what they say
//! together.
//!
//! Replications run in parallel and are merged in their order; when there are more threads than
//! replications, the rest runs partitions of one replication side by side. Neither can be seen
//! in what comes out: the same bytes for the same scenario and seed on any number of threads.
//!
//! In the long run (`steady-state` with an automatic warm-up) pilot replications say how much of
//! the start to discard, and are then thrown away: fresh replications with other numbers are
//! measured. With a wished precision, replications are added until every traffic source's mean
//! latency is known that well and stays so for a look-ahead.

use cloud::record::Record;
use cloud::scenario::{Analysis, Replications, Scenario, TrafficId};
use cloud::summary::Summary;
use cloud::{Options, Topology, WarmUp, WarmUpMethod};
use engine::{Duration, Execution, QueueKind, Seed};
use rayon::prelude::*;
use stats::{SequentialRule, Verdict};
use std::any::Any;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of the first pilot replication, far from every replication that counts.
const FIRST_PILOT: u32 = 1 << 31;
/// Pilots that the average for MSER-5 is taken over.
const PILOTS: u32 = 10;
/// Steps that a pilot's series has: a hundred batches for MSER-5.
const PILOT_STEPS: u64 = 500;
/// Percentage k of the look-ahead (Hoad, Robinson and Davies 2010).
const LOOK_AHEAD_PERCENT: u32 = 5;

/// How to carry out a study. The default does what the scenario says on all processors.
#[derive(Clone, Debug, Default)]
pub struct StudyOptions {
    /// Master seed instead of the scenario's.
    pub seed: Option<u64>,
    /// Exactly so many replications instead of the scenario's plan.
    pub replications: Option<u32>,
    /// Number of the first replication, to replay one.
    pub first_replication: u32,
    /// Simulated time of one replication instead of the scenario's.
    pub duration: Option<Duration>,
    /// Threads; as many as there are processors if not given. Not seen in the result.
    pub threads: Option<NonZeroUsize>,
    /// What holds pending events. Not seen in the result.
    pub queue: QueueKind,
    /// Once true, no further replication is begun and the study ends with what it has.
    pub interrupt: Arc<AtomicBool>,
}

/// What replications are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To find the warm-up; thrown away.
    Pilot,
    /// To be measured.
    Measured,
}

/// Is told how far a study has come, from any thread.
pub trait Progress: Sync {
    /// So many replications of a phase are planned by now, those that ended included.
    fn planned(&self, phase: Phase, replications: u32);
    /// A replication ended after so many events.
    fn ended(&self, phase: Phase, events: u64);
}

/// Progress that nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn planned(&self, _: Phase, _: u32) {}
    fn ended(&self, _: Phase, _: u64) {}
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Study {
    /// What the replications say together.
    pub summary: Summary,
    /// Every replication, in their order.
    pub records: Vec<Record>,
}

/// Why there is no study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StudyError {
    /// The warm-up leaves nothing to measure: the input asks for too much.
    NothingToMeasure {
        /// What would be discarded.
        warm_up: Duration,
        /// Simulated time of a replication.
        duration: Duration,
    },
    /// The model broke one of its own rules: an error of the simulator.
    Broken(Box<Broken>),
}

/// A replication in which the model broke one of its own rules, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Name of the scenario.
    pub scenario: String,
    /// Master seed.
    pub seed: u64,
    /// Number of the replication.
    pub replication: u32,
    /// Simulated time, where it is not the scenario's own.
    pub duration: Option<Duration>,
    /// What the assertion said.
    pub message: String,
}

impl Broken {
    /// The command that replays the replication, with the place of the scenario left open.
    pub fn replay(&self, scenario: &str) -> String {
        let duration = self
            .duration
            .map(|duration| format!(" --duration {duration}"));
        format!(
            "hybridsim run {scenario} --seed {} --first-replication {} --replications 1 --threads 1{}",
            self.seed,
            self.replication,
            duration.unwrap_or_default()
        )
    }
}

impl fmt::Display for StudyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StudyError::NothingToMeasure { warm_up, duration } => write!(
                formatter,
                "a warm-up of {warm_up} leaves nothing of a run of {duration} to measure"
            ),
            StudyError::Broken(broken) => write!(
                formatter,
                "scenario {}, seed {}, replication {}: {}\nreplay it with: {}",
                broken.scenario,
                broken.seed,
                broken.replication,
                broken.message,
                broken.replay("FILE")
            ),
        }
    }
}

impl std::error::Error for StudyError {}

/// Runs a study. An interrupted one ends early and says so in its summary.
///
/// # Errors
/// If nothing is left to measure, or the model breaks one of its own rules.
pub fn run(
    scenario: &Scenario,
    options: &StudyOptions,
    progress: &dyn Progress,
) -> Result<Study, StudyError> {
    let scenario = with_options(scenario, options);
    let runner = Runner {
        options,
        progress,
        threads: options.threads.map_or_else(processors, NonZeroUsize::get),
    };
    let warm_up = runner.warm_up(&scenario)?;
    let duration = scenario.run.duration;
    if warm_up.length >= duration {
        return Err(StudyError::NothingToMeasure {
            warm_up: warm_up.length,
            duration,
        });
    }
    let topology = cloud::compile(&scenario);
    let (records, wanted) = runner.measured(&topology, warm_up.length)?;
    let mut summary = cloud::summarize(&topology, &records, &warm_up);
    summary.interrupted = (records.len() as u32) < wanted;
    Ok(Study { summary, records })
}

fn with_options(scenario: &Scenario, options: &StudyOptions) -> Scenario {
    let mut scenario = scenario.clone();
    let run = &mut scenario.run;
    run.seed = options.seed.unwrap_or(run.seed);
    run.duration = options.duration.unwrap_or(run.duration);
    if let Some(replications) = options.replications {
        run.replications = Replications {
            min: replications,
            max: replications,
            ..run.replications
        };
    }
    scenario
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

struct Runner<'a> {
    options: &'a StudyOptions,
    progress: &'a dyn Progress,
    threads: usize,
}

impl Runner<'_> {
    fn is_interrupted(&self) -> bool {
        self.options.interrupt.load(Ordering::Relaxed)
    }

    fn warm_up(&self, scenario: &Scenario) -> Result<WarmUp, StudyError> {
        match scenario.run.analysis {
            Analysis::Terminating => Ok(WarmUp::NONE),
            Analysis::SteadyState {
                warm_up: Some(length),
            } => Ok(WarmUp {
                length,
                method: WarmUpMethod::Given,
            }),
            Analysis::SteadyState { warm_up: None } => self.found_warm_up(scenario),
        }
    }

    /// MSER-5 on the mean latency per step over pilot replications, the longest of all sources.
    fn found_warm_up(&self, scenario: &Scenario) -> Result<WarmUp, StudyError> {
        let mut scenario = scenario.clone();
        let step = scenario.run.duration / PILOT_STEPS;
        scenario.run.series_step = step.max(Duration::from_nanos(1));
        self.progress.planned(Phase::Pilot, PILOTS);
        let numbers = FIRST_PILOT..FIRST_PILOT + PILOTS;
        let topology = cloud::compile(&scenario);
        let pilots = self.replications(Phase::Pilot, &topology, numbers, Duration::ZERO)?;
        let cuts: Vec<Cut> = (0..scenario.traffic.len())
            .map(|index| cut(&pilots, TrafficId::from(index)))
            .collect();
        let steps = cuts.iter().map(|cut| cut.steps).max().unwrap_or(0);
        Ok(WarmUp {
            length: scenario.run.series_step * steps as u64,
            method: if cuts.iter().any(|cut| cut.too_short) {
                WarmUpMethod::Mser5TooShort
            } else {
                WarmUpMethod::Mser5
            },
        })
    }

    /// The replications that count: the least number first, then as many more as the wish for
    /// precision asks for, and how many that is. It follows from the results alone.
    fn measured(
        &self,
        topology: &Topology,
        warm_up: Duration,
    ) -> Result<(Vec<Record>, u32), StudyError> {
        let plan = topology.scenario().run.replications;
        let mut records: Vec<Record> = Vec::new();
        let mut wanted = plan.min;
        while (records.len() as u32) < wanted && !self.is_interrupted() {
            self.progress.planned(Phase::Measured, wanted);
            let first = self.options.first_replication;
            let numbers = first + records.len() as u32..first + wanted;
            records.extend(self.replications(Phase::Measured, topology, numbers, warm_up)?);
            if records.len() as u32 == wanted {
                wanted = wanted_after(topology.scenario(), &records);
            }
        }
        Ok((records, wanted))
    }

    /// Replications with these numbers, in their order; fewer if interrupted.
    fn replications(
        &self,
        phase: Phase,
        topology: &Topology,
        numbers: Range<u32>,
        warm_up: Duration,
    ) -> Result<Vec<Record>, StudyError> {
        let side_by_side = self.threads.min(numbers.len()).max(1);
        let options = Options {
            queue: self.options.queue,
            execution: execution(self.threads / side_by_side, topology.partitions().len()),
            warm_up,
        };
        let broken = AtomicBool::new(false);
        let one = |number: u32| {
            if self.is_interrupted() || broken.load(Ordering::Relaxed) {
                return None;
            }
            let result = self.replication(topology, number, &options);
            match &result {
                Ok(record) => self.progress.ended(phase, record.events),
                Err(_) => broken.store(true, Ordering::Relaxed),
            }
            Some(result)
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(side_by_side)
            .build()
            .expect("the operating system gives threads");
        let results: Vec<Option<_>> = pool.install(|| numbers.into_par_iter().map(one).collect());
        results.into_iter().flatten().collect()
    }

    fn replication(
        &self,
        topology: &Topology,
        replication: u32,
        options: &Options,
    ) -> Result<Record, StudyError> {
        let scenario = topology.scenario();
        let seed = Seed {
            master: scenario.run.seed,
            replication,
        };
        // Nothing that the closure touches is used after a panic.
        let run = AssertUnwindSafe(|| cloud::simulate(topology, seed, options));
        catch_unwind(run).map_err(|panic| {
            StudyError::Broken(Box::new(Broken {
                scenario: scenario.name.clone(),
                seed: seed.master,
                replication,
                duration: self.options.duration,
                message: message(panic.as_ref()),
            }))
        })
    }
}

/// How one replication uses so many threads: no more than it has partitions.
fn execution(threads: usize, partitions: usize) -> Execution {
    match NonZeroUsize::new(threads.min(partitions)) {
        Some(threads) if threads.get() > 1 => Execution::Threads(threads),
        _ => Execution::Sequential,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the model stopped without a message")
        .to_owned()
}

/// How many replications there must be, judged from those there are.
fn wanted_after(scenario: &Scenario, records: &[Record]) -> u32 {
    let plan = scenario.run.replications;
    let have = records.len() as u32;
    let Some(precision) = plan.precision else {
        return have;
    };
    let rule = SequentialRule {
        confidence: scenario.run.confidence,
        relative_precision: precision,
        minimum: plan.min,
        maximum: plan.max,
        look_ahead_percent: LOOK_AHEAD_PERCENT,
    };
    let in_order: Vec<&Record> = records.iter().collect();
    let wanted = (0..scenario.traffic.len()).map(|index| {
        let means = cloud::latency_means(&in_order, TrafficId::from(index));
        if means.len() < records.len() {
            // Some replication answered nobody: there is no mean to be precise about.
            return plan.max;
        }
        match rule.judge(&means) {
            Verdict::Continue { until } => {
                // As many as the spread so far asks for, but never more than twice as many:
                // that spread is known badly while there are few.
                let needed = stats::replications_needed(&means, rule.confidence, precision);
                until.max(needed.min(2 * have)).min(plan.max)
            }
            Verdict::Reached { .. } | Verdict::NotReached => have,
        }
    });
    wanted.max().unwrap_or(have)
}

/// Where MSER-5 cuts a source's series.
struct Cut {
    steps: usize,
    too_short: bool,
}

/// Steps in which no pilot answered anybody are left out of the series, not of the cut.
fn cut(pilots: &[Record], traffic: TrafficId) -> Cut {
    let traffic = || pilots.iter().map(|pilot| &pilot.traffic[traffic.index()]);
    let count = traffic()
        .map(|record| record.steps.len())
        .max()
        .unwrap_or(0);
    let mut positions = Vec::new();
    let mut series = Vec::new();
    for position in 0..count {
        let steps = || traffic().filter_map(|record| record.steps.get(position));
        let succeeded: u64 = steps().map(|step| step.succeeded).sum();
        if succeeded > 0 {
            let latency_ns: u128 = steps().map(|step| step.latency_sum_ns).sum();
            positions.push(position);
            series.push(latency_ns as f64 / succeeded as f64);
        }
    }
    let mser5 = stats::mser5(&series);
    Cut {
        steps: if mser5.truncation == 0 {
            0
        } else {
            positions[mser5.truncation]
        },
        too_short: mser5.too_short,
    }
}
