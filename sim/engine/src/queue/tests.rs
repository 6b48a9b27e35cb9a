use proptest::prelude::*;
use rand_core::Rng;

use super::*;
use crate::random::{Draw, Seed, Stream};
use crate::ziggurat;

/// How far ahead of the clock things are scheduled, in nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Load {
    Exponential,
    Bimodal,
    Constant,
    EqualTimes,
    AnyMagnitude,
}

const LOADS: [Load; 5] = [
    Load::Exponential,
    Load::Bimodal,
    Load::Constant,
    Load::EqualTimes,
    Load::AnyMagnitude,
];

impl Load {
    fn delay(self, draw: &mut Draw) -> u64 {
        match self {
            Load::Exponential => (ziggurat::exponential(draw) * 1e9) as u64,
            Load::Bimodal => {
                let mean = if draw.chance(0.9) { 1e6 } else { 1e10 };
                (ziggurat::exponential(draw) * mean) as u64
            }
            Load::Constant => 1_000_000,
            Load::EqualTimes => u64::from(draw.below(3)) * 1_000,
            Load::AnyMagnitude => draw.next_u64() >> (8 + draw.below(56)),
        }
    }
}

/// A queue with a clock, and a record of what it gave out.
struct Bench {
    queue: Queue<u32>,
    clock: u64,
    pushed: u32,
    popped: Vec<(Key, u32)>,
}

impl Bench {
    fn new(kind: QueueKind) -> Self {
        Bench {
            queue: Queue::new(kind),
            clock: 0,
            pushed: 0,
            popped: Vec::new(),
        }
    }

    fn push(&mut self, delay: u64) {
        let event = self.pushed;
        self.pushed += 1;
        // Scrambled, so that the order among equal times is not that of pushing.
        let order = u64::from(event).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let time = self.clock.saturating_add(delay);
        let key = Key { time, order };
        self.queue.push(Entry { key, event });
    }

    fn pop_before(&mut self, limit: Key) -> bool {
        let entry = self.queue.pop_before(limit);
        if let Some(Entry { key, event }) = entry {
            assert!(key < limit && key.time >= self.clock);
            self.clock = key.time;
            self.popped.push((key, event));
        }
        entry.is_some()
    }
}

/// Fills, holds and drains queues several times: `sizes` pending while holding `count` times.
fn hold(kind: QueueKind, load: Load, sizes: &[usize], count: usize) -> Vec<(Key, u32)> {
    let mut draw = Stream::new(Seed::default(), "hold").draw(0, 0);
    let mut bench = Bench::new(kind);
    for &size in sizes {
        while bench.queue.len() < size {
            bench.push(load.delay(&mut draw));
        }
        for _ in 0..count {
            assert!(bench.pop_before(Key::MAX));
            bench.push(load.delay(&mut draw));
        }
        while bench.queue.len() > size / 50 {
            assert!(bench.pop_before(Key::MAX));
        }
    }
    bench.popped
}

#[test]
fn every_kind_holds_in_the_same_order() {
    for load in LOADS {
        let sizes = [3, 60, 3_000, 20, 700];
        let expected = hold(QueueKind::Std, load, &sizes, 4_000);
        assert!(expected.len() > 20_000);
        for kind in QueueKind::ALL {
            let found = hold(kind, load, &sizes, 4_000);
            assert!(found == expected, "{kind:?} under {load:?}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(Load),
    Pop,
    /// Look at the least, so that what is pushed next may come before what was seen.
    Peek,
    /// Pop whatever is at most so many nanoseconds ahead.
    Until(u64),
    Fill(Load, u8),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let load = || prop::sample::select(LOADS.to_vec());
    prop_oneof![
        8 => load().prop_map(Step::Push),
        6 => Just(Step::Pop),
        3 => Just(Step::Peek),
        2 => (0u64..2_000_000).prop_map(Step::Until),
        1 => (load(), any::<u8>()).prop_map(|(load, count)| Step::Fill(load, count)),
        1 => Just(Step::Drain),
    ]
}

fn play(kind: QueueKind, steps: &[Step]) -> (Vec<(Key, u32)>, Vec<Key>) {
    let mut draw = Stream::new(Seed::default(), "play").draw(0, 0);
    let mut bench = Bench::new(kind);
    let mut seen = Vec::new();
    for step in steps {
        match *step {
            Step::Push(load) => bench.push(load.delay(&mut draw)),
            Step::Pop => {
                bench.pop_before(Key::MAX);
            }
            Step::Peek => seen.push(bench.queue.peek()),
            Step::Until(ahead) => {
                let time = bench.clock.saturating_add(ahead);
                while bench.pop_before(Key { time, order: 0 }) {}
            }
            Step::Fill(load, count) => {
                for _ in 0..count {
                    bench.push(load.delay(&mut draw));
                }
            }
            Step::Drain => while bench.pop_before(Key::MAX) {},
        }
        assert_eq!(
            bench.queue.len(),
            bench.pushed as usize - bench.popped.len()
        );
    }
    while bench.pop_before(Key::MAX) {}
    assert!(bench.queue.is_empty() && bench.queue.peek() == Key::MAX);
    (bench.popped, seen)
}

proptest! {
    #[test]
    fn every_kind_plays_any_steps_alike(steps in prop::collection::vec(step(), 1..200)) {
        let expected = play(QueueKind::Std, &steps);
        for kind in QueueKind::ALL {
            prop_assert!(play(kind, &steps) == expected, "{kind:?}");
        }
    }
}

#[test]
fn auto_goes_to_the_wheel_and_comes_back() {
    let mut bench = Bench::new(QueueKind::Auto);
    let in_wheel = |bench: &Bench| matches!(bench.queue.structure, Structure::Wheel(_));
    for round in 0..3 {
        assert!(!in_wheel(&bench), "round {round}");
        for delay in 0..1_000 {
            bench.push(delay);
        }
        assert!(in_wheel(&bench), "round {round}");
        while bench.pop_before(Key::MAX) {}
    }
    assert_eq!(bench.popped.len(), 3_000);
}

#[test]
fn a_million_pending_events_take_at_most_48_bytes_each() {
    let mut draw = Stream::new(Seed::default(), "memory").draw(0, 0);
    for kind in [QueueKind::Auto, QueueKind::Wheel, QueueKind::Heap] {
        let mut bench = Bench::new(kind);
        for _ in 0..1_000_000 {
            bench.push(Load::Exponential.delay(&mut draw));
        }
        for _ in 0..1_000_000 {
            bench.pop_before(Key::MAX);
            bench.push(Load::Exponential.delay(&mut draw));
        }
        let bytes = bench.queue.memory_bytes() / bench.queue.len();
        assert!((24..=48).contains(&bytes), "{kind:?}: {bytes}");
    }
}
