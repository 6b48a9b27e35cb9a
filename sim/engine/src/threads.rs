//! Conservative windows on several threads.
//!
//! In each window the threads claim partitions one after the other; between two windows one of
//! them, whichever the barrier names, moves the mail and sets the next bounds while the others
//! wait. Which thread runs which partition has no influence on what the partition does.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};

use crate::order::Key;
use crate::partition::Partition;
use crate::simulation::{Cell, exchange_mail, window_ends};
use crate::time::Duration;

/// What the threads share.
struct Floor<'a, P: Partition> {
    places: Vec<Mutex<Place<'a, P>>>,
    closure: &'a [Vec<Duration>],
    limit: Key,
    /// The next partition to claim in this window.
    claim: AtomicUsize,
    finished: AtomicBool,
    /// The panic of a partition, to be continued on the calling thread: a thread that just died
    /// would leave the others waiting for ever.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    barrier: Barrier,
}

struct Place<'a, P: Partition> {
    cell: &'a mut Cell<P>,
    end: Key,
}

/// Executes everything before `limit`.
pub(crate) fn run<P: Partition>(
    cells: &mut [Cell<P>],
    closure: &[Vec<Duration>],
    limit: Key,
    threads: NonZeroUsize,
) {
    let threads = threads.get().min(cells.len()).max(1);
    let end = Key::default();
    let places = cells.iter_mut().map(|cell| Mutex::new(Place { cell, end }));
    let floor = Floor {
        places: places.collect(),
        closure,
        limit,
        claim: AtomicUsize::new(0),
        finished: AtomicBool::new(false),
        panic: Mutex::new(None),
        barrier: Barrier::new(threads),
    };
    floor.turn();
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| floor.work());
        }
        floor.work();
    });
    let panic = floor.panic.into_inner();
    if let Some(payload) = panic.unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(payload);
    }
}

/// A panic is caught and continued by `run`, so that a poisoned lock needs no second report.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Partition> Floor<'_, P> {
    fn work(&self) {
        while !self.finished.load(Ordering::Acquire) {
            self.guard(|| self.run_claimed());
            if self.barrier.wait().is_leader() {
                self.turn();
            }
            self.barrier.wait();
        }
    }

    fn guard(&self, action: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(action)) {
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// Alone, between two windows, so that all threads see the end at the same place: one that
    /// left a window earlier than the others would be missing at the barrier.
    fn turn(&self) {
        self.guard(|| self.prepare());
        if lock(&self.panic).is_some() {
            self.finished.store(true, Ordering::Release);
        }
    }

    fn run_claimed(&self) {
        loop {
            let index = self.claim.fetch_add(1, Ordering::Relaxed);
            let Some(place) = self.places.get(index) else {
                return;
            };
            let place = &mut *lock(place);
            place.cell.run_before(place.end);
        }
    }

    /// Moves the mail and sets the bounds of the next window.
    fn prepare(&self) {
        let mut places: Vec<MutexGuard<'_, Place<'_, P>>> = self.places.iter().map(lock).collect();
        let mut cells: Vec<&mut Cell<P>> =
            places.iter_mut().map(|place| &mut *place.cell).collect();
        exchange_mail(&mut cells);
        let next: Vec<Key> = cells.iter_mut().map(|cell| cell.core.next_key()).collect();
        for (place, end) in places
            .iter_mut()
            .zip(window_ends(&next, self.closure, self.limit))
        {
            place.end = end;
        }
        if next.iter().all(|&key| key >= self.limit) {
            self.finished.store(true, Ordering::Release);
        }
        self.claim.store(0, Ordering::Release);
    }
}
