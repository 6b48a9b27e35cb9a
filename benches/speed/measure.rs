//! Interleaved measurement: a few rounds of engine, reference, engine, reference..., of which the
//! median ratio counts. A busy machine disturbs both sides alike.

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

const ROUNDS: usize = 9;

/// Counts what is allocated, and the most of it at once.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What must be reached, and by what.
#[derive(Clone, Copy)]
pub enum Target {
    RatioAtLeast(f64),
    ValueAtMost(f64),
    /// Nothing is promised: the figure is told.
    Reported,
}

/// A figure and what it is compared with. One word each.
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    pub reference: &'static str,
    pub target: Target,
}

/// Median speeds of both sides, in millions of operations per second.
#[derive(Clone, Copy)]
pub struct Speeds {
    pub ours: f64,
    pub theirs: f64,
}

/// One side of a comparison: does so many operations more, and goes on from there next time.
pub trait Side {
    fn run(&mut self, operations: u64);
}

impl<F: FnMut(u64)> Side for F {
    fn run(&mut self, operations: u64) {
        self(operations);
    }
}

/// Runs the figures that were asked for.
pub struct Runner {
    words: Vec<String>,
    /// Run only the engine's side, once, with so many operations.
    only: Option<u64>,
    missed: Vec<&'static str>,
}

impl Runner {
    /// `--operations N` and words that are looked for in the names of figures. What else cargo
    /// adds is ignored.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut runner = Runner {
            words: Vec::new(),
            only: None,
            missed: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            if argument == "--operations" {
                let count = arguments.next().and_then(|count| count.parse().ok());
                runner.only = Some(count.expect("--operations takes a number"));
            } else if !argument.starts_with('-') {
                runner.words.push(argument);
            }
        }
        runner
    }

    pub fn wants(&self, name: &str) -> bool {
        if self.only.is_some() {
            return self.words.iter().any(|word| word == name);
        }
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Whether only the engine's side is to run; it then has.
    pub fn alone(&self, engine: &mut impl Side) -> bool {
        if let Some(operations) = self.only {
            engine.run(operations);
        }
        self.only.is_some()
    }

    /// Whether only the engine's side of one figure is to run.
    pub fn is_alone(&self) -> bool {
        self.only.is_some()
    }

    /// Compares speeds: millions of operations per second of processor time.
    pub fn compare(
        &mut self,
        figure: &Figure,
        operations: u64,
        engine: &mut impl Side,
        reference: &mut impl Side,
    ) -> Speeds {
        let speed = |time: Duration| operations as f64 / time.as_secs_f64() / 1e6;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms up: caches, branch predictors, the model's own transient.
        for round in 0..=ROUNDS {
            let our_time = timed(|| engine.run(operations));
            let their_time = timed(|| reference.run(operations));
            if round > 0 {
                ours.push(speed(our_time));
                theirs.push(speed(their_time));
                ratios.push(their_time.as_secs_f64() / our_time.as_secs_f64());
            }
        }
        let speeds = Speeds {
            ours: median(ours),
            theirs: median(theirs),
        };
        self.report(figure, speeds.ours, median(ratios));
        speeds
    }

    /// Prints a figure and whether its target is met.
    pub fn report(&mut self, figure: &Figure, value: f64, ratio: f64) {
        let Figure {
            name,
            unit,
            reference,
            target,
        } = figure;
        println!("figure {name} {value:.3} {unit} ratio {ratio:.3} to {reference}");
        let (text, met) = match *target {
            Target::RatioAtLeast(least) => (format!("ratio>={least}"), ratio >= least),
            Target::ValueAtMost(most) => (format!("value<={most}"), value <= most),
            Target::Reported => return,
        };
        let verdict = if met { "met" } else { "missed" };
        println!("check {name} target {text} {verdict}");
        if !met {
            self.missed.push(name);
        }
    }

    /// Says what was missed, if anything was.
    pub fn finish(&self) {
        if !self.missed.is_empty() {
            println!("missed: {}", self.missed.join(" "));
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long an action takes.
pub fn timed(action: impl FnOnce()) -> Duration {
    let start = Stopwatch::start();
    action();
    start.elapsed()
}

/// The most bytes that are allocated at once during an action, beyond those there were before.
pub fn allocated_at_most(action: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    action();
    ALLOCATED.peak_usage() - before
}

/// Processor time of this thread where the system tells it, because others may share the
/// machine; elapsed time elsewhere.
struct Stopwatch {
    processor: Option<Duration>,
    wall: Instant,
}

impl Stopwatch {
    #[allow(
        clippy::disallowed_methods,
        reason = "a benchmark measures real time; the model never sees it"
    )]
    fn start() -> Self {
        Stopwatch {
            processor: processor_time(),
            wall: Instant::now(),
        }
    }

    fn elapsed(&self) -> Duration {
        match (self.processor, processor_time()) {
            (Some(before), Some(after)) if after > before => after - before,
            _ => self.wall.elapsed(),
        }
    }
}

/// Linux counts nanoseconds on the processor, exact to a scheduler tick.
fn processor_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = statistics.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
