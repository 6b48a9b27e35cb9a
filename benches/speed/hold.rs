//! The hold model: N events pending; pop one, schedule another.

use std::collections::BinaryHeap;

use engine::{Entry, Key, Queue, QueueKind};

use crate::measure::{Figure, Runner, Side, Target};
use crate::random::Random;
use crate::reference_heap::{FourAry, Pending, PendingSet};

impl PendingSet for Queue<u64> {
    #[inline]
    fn push(&mut self, pending: Pending) {
        let Pending { time, order, event } = pending;
        let key = Key { time, order };
        Queue::push(self, Entry { key, event });
    }

    #[inline]
    fn pop(&mut self) -> Pending {
        let Entry { key, event } = self
            .pop_before(Key::MAX)
            .expect("a hold never empties the set");
        Pending {
            time: key.time,
            order: key.order,
            event,
        }
    }
}

/// Nanoseconds until the event that replaces one.
trait Increment: Clone {
    fn draw(&mut self) -> u64;
}

#[derive(Clone)]
struct Exponential(Random);

impl Increment for Exponential {
    #[inline]
    fn draw(&mut self) -> u64 {
        self.0.exponential(1e9)
    }
}

#[derive(Clone)]
struct Bimodal(Random);

impl Increment for Bimodal {
    #[inline]
    fn draw(&mut self) -> u64 {
        let far = self.0.word() >> 32 < (1 << 32) / 10;
        self.0.exponential(if far { 1e10 } else { 1e6 })
    }
}

struct Hold<S, I> {
    set: S,
    increment: I,
    pushed: u64,
    /// A digest of what was popped, and when.
    digest: u64,
}

impl<S: PendingSet, I: Increment> Hold<S, I> {
    fn new(mut set: S, mut increment: I, pending: u64) -> Self {
        for order in 0..pending {
            let time = increment.draw();
            set.push(Pending {
                time,
                order,
                event: order,
            });
        }
        Hold {
            set,
            increment,
            pushed: pending,
            digest: 0,
        }
    }
}

impl<S: PendingSet, I: Increment> Side for Hold<S, I> {
    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let Pending { time, event, .. } = self.set.pop();
            self.digest = self.digest.rotate_left(5) ^ time ^ event;
            self.set.push(Pending {
                time: time + self.increment.draw(),
                order: self.pushed,
                event: self.pushed,
            });
            self.pushed += 1;
        }
    }
}

pub fn figures(runner: &mut Runner) {
    for (name, pending, operations, least) in [
        ("hold_1e3", 1_000, 8_000_000, 1.5),
        ("hold_1e5", 100_000, 5_000_000, 2.5),
        ("hold_1e6", 1_000_000, 1_000_000, 8.0),
    ] {
        let figure = Figure {
            name,
            unit: "Mholds/s",
            reference: "std_BinaryHeap",
            target: Target::RatioAtLeast(least),
        };
        let heap = BinaryHeap::new();
        compare(
            runner,
            &figure,
            pending,
            operations,
            heap,
            Exponential(Random::new()),
        );
    }
    let figure = Figure {
        name: "hold_bimodal_1e6",
        unit: "Mholds/s",
        reference: "4-ary_heap",
        target: Target::RatioAtLeast(2.0),
    };
    let heap = FourAry::default();
    compare(
        runner,
        &figure,
        1_000_000,
        1_000_000,
        heap,
        Bimodal(Random::new()),
    );
    memory(runner);
}

fn compare<S: PendingSet, I: Increment>(
    runner: &mut Runner,
    figure: &Figure,
    pending: u64,
    operations: u64,
    reference: S,
    increment: I,
) {
    if !runner.wants(figure.name) {
        return;
    }
    let mut engine = Hold::new(Queue::new(QueueKind::Auto), increment.clone(), pending);
    if runner.alone(&mut engine) {
        return;
    }
    let mut reference = Hold::new(reference, increment, pending);
    runner.compare(figure, operations, &mut engine, &mut reference);
    assert_eq!(engine.digest, reference.digest, "the same order");
}

/// Bytes per pending event after a million holds of a million events.
fn memory(runner: &mut Runner) {
    let figure = Figure {
        name: "bytes_per_event_1e6",
        unit: "bytes",
        reference: "24-byte_event",
        target: Target::ValueAtMost(48.0),
    };
    if !runner.wants(figure.name) {
        return;
    }
    let pending = 1_000_000;
    let queue = Queue::new(QueueKind::Auto);
    let mut engine = Hold::new(queue, Exponential(Random::new()), pending);
    engine.run(pending);
    let bytes = engine.set.memory_bytes() as f64 / pending as f64;
    runner.report(&figure, bytes, bytes / 24.0);
}
