//! Three M/M/4 stations in a row at a utilization of 0.7 with half a millisecond between them,
//! every sojourn recorded in an HDR histogram: a small model of what the simulator is for. Six
//! events a request, some twelve pending. Then the same with a timeout of 15 s armed per request,
//! of which none is ever late.

use std::collections::VecDeque;

use engine::{Context, Duration, Execution, Lookahead, Partition, PartitionId, QueueKind};
use engine::{Simulation, Time, Timer, TimerClass};
use hdrhistogram::Histogram;

use crate::chain_reference::Reference;
use crate::measure::{Figure, Runner, Target};
use crate::random::Random;

pub const STATIONS: usize = 3;
pub const WORKERS: u32 = 4;
pub const SERVICE_MEAN_NANOS: f64 = 4e6;
pub const ARRIVAL_MEAN_NANOS: f64 = SERVICE_MEAN_NANOS / (WORKERS as f64 * 0.7);
pub const HOP_NANOS: u64 = 500_000;
const TIMEOUT: Duration = Duration::from_secs(15);
/// Milliseconds: three times 4 ms of service and a mean wait by Erlang's C formula, and two hops.
const SOJOURN_MEAN: f64 = 17.287;
const REQUESTS_PER_ROUND: u64 = 1_500_000;

/// One arrival, three completions, two hops.
pub const EVENTS_PER_REQUEST: f64 = 6.0;

/// Whoever says how fast the chain runs has run the chain: its mean sojourn is that of theory.
pub fn assert_sojourn_mean(nanos: f64) {
    let mean = nanos / 1e6;
    let error = (mean - SOJOURN_MEAN).abs() / SOJOURN_MEAN;
    assert!(
        error < 0.01,
        "mean sojourn {mean} ms, not {SOJOURN_MEAN} ms"
    );
}

/// Three digits, up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}

#[derive(Clone, Copy)]
enum Event {
    Arrival,
    Reach { station: u8, request: u16 },
    Complete { station: u8, request: u16 },
    Timeout { request: u16 },
}

#[derive(Default)]
struct Station {
    busy: u32,
    waiting: VecDeque<u16>,
}

#[derive(Clone, Copy, Default)]
struct Request {
    started: Time,
    timeout: Option<Timer>,
}

/// `TIMEOUTS` is 1 if each request arms one.
struct Chain<const TIMEOUTS: usize> {
    random: Random,
    hop: Option<TimerClass>,
    timeout: Option<TimerClass>,
    stations: [Station; STATIONS],
    requests: Vec<Request>,
    free: Vec<u16>,
    late: u64,
    sojourns: Histogram<u64>,
}

impl<const TIMEOUTS: usize> Chain<TIMEOUTS> {
    fn new() -> Self {
        Chain {
            random: Random::new(),
            hop: None,
            timeout: None,
            stations: Default::default(),
            requests: Vec::new(),
            free: Vec::new(),
            late: 0,
            sojourns: histogram(),
        }
    }

    #[inline]
    fn expect_arrival(&mut self, context: &mut Context<'_, Self>) {
        let delay = Duration::from_nanos(self.random.exponential(ARRIVAL_MEAN_NANOS));
        context.after(delay, Event::Arrival);
    }

    #[inline]
    fn serve(&mut self, station: u8, request: u16, context: &mut Context<'_, Self>) {
        let delay = Duration::from_nanos(self.random.exponential(SERVICE_MEAN_NANOS));
        context.after(delay, Event::Complete { station, request });
    }

    #[inline]
    fn reach(&mut self, station: u8, request: u16, context: &mut Context<'_, Self>) {
        let place = &mut self.stations[usize::from(station)];
        if place.busy < WORKERS {
            place.busy += 1;
            self.serve(station, request, context);
        } else {
            place.waiting.push_back(request);
        }
    }

    #[inline]
    fn arrive(&mut self, context: &mut Context<'_, Self>) {
        self.expect_arrival(context);
        let request = self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request::default());
            (self.requests.len() - 1) as u16
        });
        let slot = &mut self.requests[usize::from(request)];
        slot.started = context.now();
        if let (1.., Some(class)) = (TIMEOUTS, self.timeout) {
            slot.timeout = Some(context.arm(class, Event::Timeout { request }));
        }
        self.reach(0, request, context);
    }

    #[inline]
    fn complete(&mut self, station: u8, request: u16, context: &mut Context<'_, Self>) {
        let place = &mut self.stations[usize::from(station)];
        match place.waiting.pop_front() {
            Some(next) => self.serve(station, next, context),
            None => place.busy -= 1,
        }
        let onward = station + 1;
        if usize::from(onward) < STATIONS {
            if let Some(class) = self.hop {
                context.arm(
                    class,
                    Event::Reach {
                        station: onward,
                        request,
                    },
                );
            }
            return;
        }
        let slot = &mut self.requests[usize::from(request)];
        if let Some(timeout) = slot.timeout.take() {
            context.disarm(timeout);
        }
        let sojourn = (context.now() - slot.started).as_nanos();
        self.sojourns.saturating_record(sojourn);
        self.free.push(request);
    }
}

impl<const TIMEOUTS: usize> Partition for Chain<TIMEOUTS> {
    type Event = Event;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        self.hop = Some(context.timer_class(Duration::from_nanos(HOP_NANOS)));
        self.timeout = Some(context.timer_class(TIMEOUT));
        self.expect_arrival(context);
    }

    #[inline]
    fn handle(&mut self, event: Event, context: &mut Context<'_, Self>) {
        match event {
            Event::Arrival => self.arrive(context),
            Event::Reach { station, request } => self.reach(station, request, context),
            Event::Complete { station, request } => self.complete(station, request, context),
            Event::Timeout { request } => {
                self.requests[usize::from(request)].timeout = None;
                self.late += 1;
            }
        }
    }

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {}
}

/// A chain in the engine that can be run on.
struct Run<const TIMEOUTS: usize> {
    simulation: Simulation<Chain<TIMEOUTS>>,
    end: u64,
}

impl<const TIMEOUTS: usize> Run<TIMEOUTS> {
    fn new() -> Self {
        let lookahead = Lookahead::uniform(Duration::MAX);
        Run {
            simulation: Simulation::new(vec![Chain::new()], lookahead, QueueKind::Auto),
            end: 0,
        }
    }

    fn run(&mut self, requests: u64) {
        self.end += (requests as f64 * ARRIVAL_MEAN_NANOS) as u64;
        let end = Time::from_nanos(self.end);
        self.simulation.run(end, Execution::Sequential);
    }

    /// What was recorded, checked against the closed form.
    fn sojourns(&self) -> &Histogram<u64> {
        let chain = self.simulation.partitions().next().expect("one partition");
        assert_eq!(chain.late, 0, "no request takes as long as its timeout");
        assert_sojourn_mean(chain.sojourns.mean());
        &chain.sojourns
    }
}

pub fn figures(runner: &mut Runner) {
    chain(runner);
    chain_timeouts(runner);
}

fn chain(runner: &mut Runner) {
    let figure = Figure {
        name: "chain",
        unit: "Mrequests/s",
        reference: "hand-coded_loop",
        target: Target::RatioAtLeast(0.8),
    };
    if !runner.wants(figure.name) {
        return;
    }
    let mut engine = Run::<0>::new();
    let mut reference = Reference::new();
    if runner.alone(&mut |requests| engine.run(requests)) {
        return;
    }
    runner.compare(
        &figure,
        REQUESTS_PER_ROUND,
        &mut |requests| engine.run(requests),
        &mut |requests| reference.run(requests),
    );
    assert_eq!(
        engine.sojourns(),
        &reference.sojourns,
        "the same sample path"
    );
}

fn chain_timeouts(runner: &mut Runner) {
    let figure = Figure {
        name: "chain_timeouts",
        unit: "Mrequests/s",
        reference: "chain",
        target: Target::RatioAtLeast(0.85),
    };
    if !runner.wants(figure.name) {
        return;
    }
    let mut engine = Run::<1>::new();
    let mut without = Run::<0>::new();
    runner.compare(
        &figure,
        REQUESTS_PER_ROUND,
        &mut |requests| engine.run(requests),
        &mut |requests| without.run(requests),
    );
    assert_eq!(
        engine.sojourns(),
        without.sojourns(),
        "the same sample path"
    );
}
