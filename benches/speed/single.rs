//! M/M/1 at a utilization of 0.8: the least model, so the engine's own cost shows most.

use std::collections::VecDeque;

use engine::{Context, Duration, Execution, Lookahead, Partition, PartitionId, QueueKind};
use engine::{Simulation, Time};

use crate::measure::{Figure, Runner, Target};
use crate::random::Random;

const ARRIVAL_MEAN_NANOS: f64 = 1e9 / 0.8;
const SERVICE_MEAN_NANOS: f64 = 1e9;
/// Seconds: 1 / (1 - 0.8).
const SOJOURN_MEAN: f64 = 5.0;
const CUSTOMERS_PER_ROUND: u64 = 6_000_000;

/// What both sides count, and must count alike.
#[derive(Default, PartialEq, Debug)]
struct Counts {
    customers: u64,
    sojourn_nanos: u128,
}

struct Queueing {
    random: Random,
    waiting: VecDeque<Time>,
    counts: Counts,
}

#[derive(Clone, Copy)]
enum Event {
    Arrival,
    Departure,
}

impl Queueing {
    #[inline]
    fn after(&mut self, mean: f64, event: Event, context: &mut Context<'_, Self>) {
        let delay = Duration::from_nanos(self.random.exponential(mean));
        context.after(delay, event);
    }
}

impl Partition for Queueing {
    type Event = Event;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        self.after(ARRIVAL_MEAN_NANOS, Event::Arrival, context);
    }

    #[inline]
    fn handle(&mut self, event: Event, context: &mut Context<'_, Self>) {
        match event {
            Event::Arrival => {
                self.after(ARRIVAL_MEAN_NANOS, Event::Arrival, context);
                if self.waiting.is_empty() {
                    self.after(SERVICE_MEAN_NANOS, Event::Departure, context);
                }
                self.waiting.push_back(context.now());
            }
            Event::Departure => {
                let arrived = self.waiting.pop_front().expect("somebody departs");
                self.counts.customers += 1;
                self.counts.sojourn_nanos += u128::from((context.now() - arrived).as_nanos());
                if !self.waiting.is_empty() {
                    self.after(SERVICE_MEAN_NANOS, Event::Departure, context);
                }
            }
        }
    }

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {}
}

/// The same by hand: two dates, no pending set at all.
struct Reference {
    random: Random,
    arrival: u64,
    departure: u64,
    waiting: VecDeque<u64>,
    counts: Counts,
}

impl Reference {
    fn new() -> Self {
        let mut random = Random::new();
        Reference {
            arrival: random.exponential(ARRIVAL_MEAN_NANOS),
            random,
            departure: u64::MAX,
            waiting: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    fn run(&mut self, until: u64) {
        loop {
            if self.arrival < self.departure {
                let now = self.arrival;
                if now > until {
                    return;
                }
                self.arrival = now + self.random.exponential(ARRIVAL_MEAN_NANOS);
                if self.waiting.is_empty() {
                    self.departure = now + self.random.exponential(SERVICE_MEAN_NANOS);
                }
                self.waiting.push_back(now);
            } else {
                let now = self.departure;
                if now > until {
                    return;
                }
                let arrived = self.waiting.pop_front().expect("somebody departs");
                self.counts.customers += 1;
                self.counts.sojourn_nanos += u128::from(now - arrived);
                self.departure = if self.waiting.is_empty() {
                    u64::MAX
                } else {
                    now + self.random.exponential(SERVICE_MEAN_NANOS)
                };
            }
        }
    }
}

pub fn figures(runner: &mut Runner) {
    let figure = Figure {
        name: "mm1",
        unit: "Mcustomers/s",
        reference: "hand-coded_loop",
        target: Target::RatioAtLeast(0.5),
    };
    if !runner.wants(figure.name) {
        return;
    }
    let model = Queueing {
        random: Random::new(),
        waiting: VecDeque::new(),
        counts: Counts::default(),
    };
    let lookahead = Lookahead::uniform(Duration::MAX);
    let mut simulation = Simulation::new(vec![model], lookahead, QueueKind::Auto);
    let mut end = 0;
    let mut engine = |customers: u64| {
        end += (customers as f64 * ARRIVAL_MEAN_NANOS) as u64;
        simulation.run(Time::from_nanos(end), Execution::Sequential);
    };
    let mut reference = Reference::new();
    let mut reference_end = 0;
    let mut by_hand = |customers: u64| {
        reference_end += (customers as f64 * ARRIVAL_MEAN_NANOS) as u64;
        reference.run(reference_end);
    };
    if runner.alone(&mut engine) {
        return;
    }
    runner.compare(&figure, CUSTOMERS_PER_ROUND, &mut engine, &mut by_hand);
    let model = &simulation.into_partitions()[0];
    assert_eq!(model.counts, reference.counts, "the same sample path");
    let mean = model.counts.sojourn_nanos as f64 / model.counts.customers as f64 / 1e9;
    assert!((mean - SOJOURN_MEAN).abs() < 0.1, "mean sojourn {mean} s");
}
