#![cfg(feature = "threads")]
//! One model, full of coincidences, run in every way.

use core::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::partition::{Timer, TimerClass};
use crate::random::{Seed, Stream};

/// Passes tokens around: each event draws what its token does next.
struct Player {
    stream: Stream,
    delays: Vec<Duration>,
    timers: Vec<TimerClass>,
    armed: Vec<(Timer, u32)>,
    handled: u64,
    /// A digest of everything seen, in the order of seeing it.
    seen: u64,
    panics_at: Option<u64>,
}

#[derive(Clone, Copy)]
enum Event {
    Token(u32),
    Timer(u32),
}

/// Delays are multiples of this, so that equal times are common.
const GRAIN: u64 = 1_000;

impl Player {
    fn note(&mut self, context: &Context<'_, Self>, kind: u64, token: u32) {
        self.handled += 1;
        assert_ne!(Some(self.handled), self.panics_at, "a player trips");
        for word in [context.now().as_nanos(), kind, u64::from(token)] {
            self.seen = fold(self.seen, word);
        }
    }

    fn act(&mut self, token: u32, context: &mut Context<'_, Self>) {
        let mut draw = self.stream.draw(self.handled, u64::from(token));
        let delay = Duration::from_nanos(u64::from(draw.below(4)) * GRAIN);
        if !self.armed.is_empty() && draw.chance(0.3) {
            let index = draw.below(self.armed.len() as u32) as usize;
            let (timer, token) = self.armed.swap_remove(index);
            // Taken back too late, the token is under way already.
            if context.disarm(timer) {
                context.after(delay, Event::Token(token));
            }
            assert!(!context.disarm(timer));
        }
        match draw.below(4) {
            0 => context.after(delay, Event::Token(token)),
            1 => {
                let class = self.timers[draw.below(self.timers.len() as u32) as usize];
                let timer = context.arm(class, Event::Timer(token));
                self.armed.push((timer, token));
            }
            _ => {
                let to = draw.below(self.delays.len() as u32);
                let least = self.delays[to as usize];
                if least == Duration::MAX {
                    context.schedule(context.now() + delay, Event::Token(token));
                } else {
                    context.send(PartitionId(to as u16), least + delay, token);
                }
            }
        }
    }
}

impl Partition for Player {
    type Event = Event;
    type Message = u32;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let classes =
            [3, 1, 3].map(|grains| context.timer_class(Duration::from_nanos(grains * GRAIN)));
        self.timers.extend(classes);
        for token in 0..20 {
            self.act(token, context);
        }
    }

    fn handle(&mut self, event: Event, context: &mut Context<'_, Self>) {
        match event {
            Event::Token(token) => {
                self.note(context, 1, token);
                self.act(token, context);
            }
            Event::Timer(token) => {
                self.note(context, 2, token);
                self.act(token, context);
            }
        }
    }

    fn receive(&mut self, from: PartitionId, token: u32, context: &mut Context<'_, Self>) {
        self.note(context, 3 + u64::from(from.0), token);
        self.act(token, context);
    }
}

fn players(master: u64, lookahead: &[Vec<Duration>]) -> Vec<Player> {
    let seed = Seed {
        master,
        replication: 0,
    };
    let rows = lookahead.iter().enumerate();
    rows.map(|(index, row)| {
        let mut delays = row.clone();
        delays[index] = Duration::ZERO;
        Player {
            stream: Stream::new(seed, &format!("player {index}")),
            delays,
            timers: Vec::new(),
            armed: Vec::new(),
            handled: 0,
            seen: 0,
            panics_at: None,
        }
    })
    .collect()
}

const END: Time = Time::from_nanos(100 * GRAIN);

fn threads(count: usize) -> Execution {
    Execution::Threads(NonZeroUsize::new(count).unwrap())
}

fn executions() -> [Execution; 6] {
    [
        Execution::Sequential,
        Execution::Windows,
        threads(1),
        threads(2),
        threads(3),
        threads(8),
    ]
}

#[derive(Debug, PartialEq)]
struct Outcome {
    digest: u64,
    events: u64,
    seen: Vec<u64>,
}

fn outcome(simulation: Simulation<Player>) -> Outcome {
    Outcome {
        digest: simulation.digest(),
        events: simulation.events(),
        seen: simulation.partitions().map(|player| player.seen).collect(),
    }
}

fn run(master: u64, rows: &[Vec<Duration>], queue: QueueKind, execution: Execution) -> Outcome {
    let lookahead = Lookahead::matrix(rows.to_vec());
    let mut simulation = Simulation::new(players(master, rows), lookahead, queue);
    simulation.run(END, execution);
    outcome(simulation)
}

fn uniform(partitions: usize, grains: u64) -> Vec<Vec<Duration>> {
    vec![vec![Duration::from_nanos(grains * GRAIN); partitions]; partitions]
}

#[test]
fn every_execution_and_queue_gives_the_same() {
    for (partitions, grains) in [(1, 1), (2, 5), (5, 1), (5, 0), (9, 30)] {
        let rows = uniform(partitions, grains);
        let expected = run(1, &rows, QueueKind::Std, Execution::Sequential);
        assert!(expected.events > 100);
        for execution in executions() {
            for queue in QueueKind::ALL {
                let found = run(1, &rows, queue, execution);
                assert_eq!(
                    found, expected,
                    "{partitions} {grains} {execution:?} {queue:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Links of any delay, also of none, and missing ones.
    #[test]
    fn every_execution_gives_the_same_on_any_network(
        master in any::<u64>(),
        rows in (2usize..6).prop_flat_map(|n| {
            let delay = prop_oneof![
                8 => (1u64..20).prop_map(|grains| Duration::from_nanos(grains * GRAIN)),
                1 => Just(Duration::MAX),
            ];
            prop::collection::vec(prop::collection::vec(delay, n), n)
        }),
        zero in any::<bool>(),
    ) {
        let mut rows = rows;
        if zero {
            rows[0][1] = Duration::ZERO;
        }
        let expected = run(master, &rows, QueueKind::Auto, Execution::Sequential);
        for execution in executions() {
            let found = run(master, &rows, QueueKind::Auto, execution);
            prop_assert_eq!(&found, &expected, "{:?}", execution);
        }
    }
}

#[test]
fn a_run_can_be_continued() {
    let rows = uniform(4, 2);
    let expected = run(7, &rows, QueueKind::Auto, Execution::Sequential);
    let lookahead = Lookahead::uniform(Duration::from_nanos(2 * GRAIN));
    let mut simulation = Simulation::new(players(7, &rows), lookahead, QueueKind::Auto);
    for (quarter, execution) in executions().into_iter().enumerate().take(4) {
        simulation.run(
            Time::from_nanos((quarter as u64 + 1) * 25 * GRAIN),
            execution,
        );
    }
    assert_eq!(outcome(simulation), expected);
}

#[test]
fn another_seed_gives_another_digest() {
    let rows = uniform(3, 1);
    let first = run(1, &rows, QueueKind::Auto, Execution::Sequential);
    let second = run(2, &rows, QueueKind::Auto, Execution::Sequential);
    assert_ne!(first.digest, second.digest);
}

#[test]
fn a_panic_of_a_partition_reaches_the_caller() {
    let rows = uniform(4, 2);
    for execution in executions() {
        let mut all = players(1, &rows);
        all[2].panics_at = Some(50);
        let lookahead = Lookahead::matrix(rows.clone());
        let mut simulation = Simulation::new(all, lookahead, QueueKind::Auto);
        let result = catch_unwind(AssertUnwindSafe(|| simulation.run(END, execution)));
        let payload = result.expect_err("a player trips");
        let message = payload.downcast_ref::<String>().expect("a message");
        assert!(
            message.contains("a player trips"),
            "{execution:?}: {message}"
        );
    }
}

/// Notes when and as what each of its events happens.
#[derive(Default)]
struct Recorder {
    plan: Vec<(u64, &'static str)>,
    record: Vec<(u64, u32)>,
}

impl Partition for Recorder {
    type Event = u32;
    type Message = u32;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let long = context.timer_class(Duration::from_nanos(10));
        let short = context.timer_class(Duration::from_nanos(4));
        let again = context.timer_class(Duration::from_nanos(10));
        assert_eq!(long, again);
        let plan = core::mem::take(&mut self.plan);
        for (number, &(delay, how)) in plan.iter().enumerate() {
            let number = number as u32;
            match how {
                "long" => {
                    context.arm(long, number);
                }
                "short" => {
                    context.arm(short, number);
                }
                "send" => context.send(context.id(), Duration::from_nanos(delay), number),
                _ => context.after(Duration::from_nanos(delay), number),
            }
        }
    }

    fn handle(&mut self, event: u32, context: &mut Context<'_, Self>) {
        self.record.push((context.now().as_nanos(), event));
    }

    fn receive(&mut self, _: PartitionId, message: u32, context: &mut Context<'_, Self>) {
        self.handle(message, context);
    }
}

#[test]
fn timers_messages_and_events_at_one_time_come_in_the_order_of_asking() {
    let plan = vec![
        (0, "long"),
        (10, "event"),
        (0, "short"),
        (10, "send"),
        (0, "long"),
        (4, "event"),
        (4, "send"),
        (10, "event"),
        (0, "short"),
        (0, "event"),
    ];
    let recorder = Recorder {
        plan,
        ..Recorder::default()
    };
    let lookahead = Lookahead::uniform(Duration::ZERO);
    let mut simulation = Simulation::new(vec![recorder], lookahead, QueueKind::Auto);
    simulation.run(Time::from_nanos(9), Execution::Sequential);
    let early = [(0, 9), (4, 2), (4, 5), (4, 6), (4, 8)];
    assert_eq!(simulation.partitions().next().unwrap().record, early);
    simulation.run(Time::from_nanos(10), Execution::Sequential);
    let late = [(10, 0), (10, 1), (10, 3), (10, 4), (10, 7)];
    assert_eq!(simulation.into_partitions()[0].record[5..], late);
}

/// Arms five timers of each of two classes, then disarms some at 1 ns.
#[derive(Default)]
struct Disarmer {
    timers: Vec<Timer>,
    fired: Vec<(u64, u32)>,
    answers: Vec<bool>,
}

impl Partition for Disarmer {
    type Event = u32;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        for delay in [10, 7] {
            let class = context.timer_class(Duration::from_nanos(delay));
            for number in 0..5 {
                let event = delay as u32 * 10 + number;
                self.timers.push(context.arm(class, event));
            }
        }
        context.after(Duration::from_nanos(1), 1);
        context.after(Duration::from_nanos(9), 2);
    }

    fn handle(&mut self, event: u32, context: &mut Context<'_, Self>) {
        let indices: &[usize] = match event {
            1 => &[5, 0, 6, 3, 8, 0],
            // The first of these has fired.
            2 => &[7, 1, 2],
            _ => {
                self.fired.push((context.now().as_nanos(), event));
                return;
            }
        };
        for &index in indices {
            self.answers.push(context.disarm(self.timers[index]));
        }
    }

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {}
}

#[test]
fn what_is_disarmed_does_not_happen() {
    let lookahead = Lookahead::uniform(Duration::MAX);
    let mut simulation = Simulation::new(vec![Disarmer::default()], lookahead, QueueKind::Auto);
    simulation.run(Time::MAX, Execution::Sequential);
    assert_eq!(simulation.events(), 2 + 3);
    let disarmer = &simulation.into_partitions()[0];
    assert_eq!(disarmer.fired, [(7, 72), (7, 74), (10, 104)]);
    let answers = [true, true, true, true, true, false, false, true, true];
    assert_eq!(disarmer.answers, answers);
}

/// Arms a timer each nanosecond for 10 ns on; some of the numbers become pointless on the way.
#[derive(Default)]
struct Forgetful {
    class: Option<TimerClass>,
    fired: Vec<(u64, u32)>,
}

impl Partition for Forgetful {
    type Event = u32;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        self.class = Some(context.timer_class(Duration::from_nanos(10)));
        (0..8).for_each(|at| context.schedule(Time::from_nanos(at), 100 + at as u32));
    }

    fn handle(&mut self, event: u32, context: &mut Context<'_, Self>) {
        match event.checked_sub(100) {
            Some(number) => {
                context.arm(self.class.expect("it has started"), number);
            }
            None => self.fired.push((context.now().as_nanos(), event)),
        }
    }

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {}

    fn is_pointless(&self, event: &u32) -> bool {
        !matches!(event, 0 | 4)
    }
}

#[test]
fn pointless_timers_leave_with_the_one_before_them() {
    for execution in executions() {
        let lookahead = Lookahead::uniform(Duration::MAX);
        let player = vec![Forgetful::default()];
        let mut simulation = Simulation::new(player, lookahead, QueueKind::Auto);
        simulation.run(Time::MAX, execution);
        assert_eq!(simulation.events(), 8 + 2, "{execution:?}");
        assert_eq!(simulation.into_partitions()[0].fired, [(10, 0), (14, 4)]);
    }
}

/// Sends one message, too early for its lookahead.
struct Hasty;

impl Partition for Hasty {
    type Event = ();
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        if context.id() == PartitionId(0) {
            context.send(PartitionId(1), Duration::from_nanos(9), ());
        }
    }

    fn handle(&mut self, (): (), _: &mut Context<'_, Self>) {}

    fn receive(&mut self, _: PartitionId, (): (), _: &mut Context<'_, Self>) {}
}

#[test]
#[should_panic(expected = "a message from 0 to 1 takes 9ns, less than the lookahead 10ns")]
fn a_message_cannot_be_faster_than_the_lookahead() {
    let lookahead = Lookahead::uniform(Duration::from_nanos(10));
    let mut simulation = Simulation::new(vec![Hasty, Hasty], lookahead, QueueKind::Auto);
    simulation.run(Time::MAX, Execution::Sequential);
}

/// Both have an event in the last representable nanosecond.
#[test]
fn the_end_of_the_clock_is_reached() {
    for execution in executions() {
        let last = [Recorder::default(), Recorder::default()].map(|mut recorder| {
            recorder.plan.push((u64::MAX, "event"));
            recorder
        });
        let lookahead = Lookahead::uniform(Duration::from_nanos(5));
        let mut simulation = Simulation::new(last.into(), lookahead, QueueKind::Auto);
        simulation.run(Time::MAX, execution);
        assert_eq!(simulation.events(), 2, "{execution:?}");
    }
}

#[test]
fn closure_takes_shortest_chains_and_cycles() {
    let delay = |nanos| Duration::from_nanos(nanos);
    let none = Duration::MAX;
    let rows = [
        vec![none, delay(5), none],
        vec![none, none, delay(7)],
        vec![delay(1), delay(30), none],
    ];
    let expected = [
        vec![delay(13), delay(5), delay(12)],
        vec![delay(8), delay(13), delay(7)],
        vec![delay(1), delay(6), delay(13)],
    ];
    assert_eq!(close(&rows), expected);
}
