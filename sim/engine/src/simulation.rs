//! Runs partitions together, in one of several ways that give the same result.
//!
//! *Sequential* executes the globally least event each time. *Windows* runs each partition alone
//! up to a bound before which nothing can reach it any more, delivers the mail, and goes on: the
//! conservative synchronisation in windows that is surveyed by A. Ferscha and S. K. Tripathi,
//! "Parallel and Distributed Simulation of Discrete Event Systems" (University of Maryland, 1994).
//! Windows start at the least pending event, so idle times cost nothing. *Threads* does the same
//! on several threads. Since a message's place in the order is fixed when it is sent, none of
//! this can be seen by the partitions.

#[cfg(feature = "threads")]
use core::num::NonZeroUsize;

use crate::order::Key;
use crate::partition::{Context, Core, Letter, Partition, PartitionId, Step, fold};
use crate::queue::QueueKind;
use crate::time::{Duration, Time};

/// How [`Simulation::run`] goes about it. The result is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// The globally least event first, on this thread.
    Sequential,
    /// Partition by partition in conservative windows, on this thread: for its locality faster
    /// than sequential, unless the lookahead is shorter than the time between events.
    #[default]
    Windows,
    /// The same windows on so many threads.
    #[cfg(feature = "threads")]
    Threads(NonZeroUsize),
}

/// The least delay of a message from each partition to each other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookahead(Delays);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Delays {
    Uniform(Duration),
    Matrix(Vec<Vec<Duration>>),
}

impl Lookahead {
    /// The same least delay between any two partitions.
    #[must_use]
    pub fn uniform(delay: Duration) -> Self {
        Lookahead(Delays::Uniform(delay))
    }

    /// `delays[from][to]`; [`Duration::MAX`] where there is no link. The diagonal is ignored.
    #[must_use]
    pub fn matrix(delays: Vec<Vec<Duration>>) -> Self {
        Lookahead(Delays::Matrix(delays))
    }

    fn into_rows(self, partitions: usize) -> Vec<Vec<Duration>> {
        match self.0 {
            Delays::Uniform(delay) => vec![vec![delay; partitions]; partitions],
            Delays::Matrix(rows) => {
                let square = rows.iter().all(|row| row.len() == partitions);
                assert!(
                    square && rows.len() == partitions,
                    "the lookahead needs a row and a column for each of {partitions} partitions"
                );
                rows
            }
        }
    }
}

/// A partition with its side of the engine.
pub(crate) struct Cell<P: Partition> {
    pub(crate) partition: P,
    pub(crate) core: Core<P>,
}

impl<P: Partition> Cell<P> {
    #[inline]
    fn step_before(&mut self, limit: Key) -> bool {
        match self.core.next_before(limit, &self.partition) {
            None => return false,
            Some(Step::Event(event)) => self
                .partition
                .handle(event, &mut Context::new(&mut self.core)),
            Some(Step::Message(from, message)) => {
                self.partition
                    .receive(from, message, &mut Context::new(&mut self.core));
            }
        }
        true
    }

    /// Executes everything before `limit`.
    pub(crate) fn run_before(&mut self, limit: Key) {
        while self.step_before(limit) {}
    }

    /// Executes everything before `limit`, or until mail has been written.
    fn run_until_mail(&mut self, limit: Key) {
        while self.core.outbox.is_empty() && self.step_before(limit) {}
    }
}

/// Partitions, their pending events, and the mail between them.
///
/// # Examples
/// Two players return a ball; it flies for 30 to 40 ms, and is in play for one second.
/// ```
/// use hybridsim_engine::{
///     Context, Duration, Execution, Lookahead, Partition, PartitionId, QueueKind, Seed,
///     Simulation, Stream, Time,
/// };
///
/// struct Player {
///     flights: Stream,
///     hits: u64,
/// }
///
/// #[derive(Clone, Copy)]
/// enum Event {
///     Hit,
/// }
///
/// /// The ball.
/// struct Ball;
///
/// impl Partition for Player {
///     type Event = Event;
///     type Message = Ball;
///
///     fn start(&mut self, context: &mut Context<'_, Self>) {
///         if context.id() == PartitionId(0) {
///             context.schedule(Time::ZERO, Event::Hit);
///         }
///     }
///
///     fn handle(&mut self, event: Event, context: &mut Context<'_, Self>) {
///         match event {
///             Event::Hit => {
///                 self.hits += 1;
///                 let jitter = self.flights.draw(self.hits, 0).below(10_000);
///                 let flight = Duration::from_micros(30_000 + u64::from(jitter));
///                 let other = PartitionId(1 - context.id().0);
///                 context.send(other, flight, Ball);
///             }
///         }
///     }
///
///     fn receive(&mut self, _: PartitionId, Ball: Ball, context: &mut Context<'_, Self>) {
///         context.after(Duration::from_millis(5), Event::Hit);
///     }
/// }
///
/// let play = |execution, queue| {
///     let seed = Seed { master: 42, replication: 0 };
///     let players = ["first", "second"].map(|name| Player {
///         flights: Stream::new(seed, name),
///         hits: 0,
///     });
///     let lookahead = Lookahead::uniform(Duration::from_millis(30));
///     let mut simulation = Simulation::new(players.into(), lookahead, queue);
///     simulation.run(Time::from_secs_f64(1.0), execution);
///     let hits: Vec<u64> = simulation.partitions().map(|player| player.hits).collect();
///     (hits, simulation.digest())
/// };
/// let (hits, digest) = play(Execution::Sequential, QueueKind::Auto);
/// assert_eq!(hits, [13, 13]);
/// // Neither the way of running nor the structure of the pending set can be seen.
/// assert_eq!(play(Execution::Windows, QueueKind::Heap), (hits, digest));
/// ```
pub struct Simulation<P: Partition> {
    cells: Vec<Cell<P>>,
    /// `closure[from][to]`: the least delay over any chain of messages; from a partition to
    /// itself, over the shortest cycle.
    closure: Vec<Vec<Duration>>,
    started: bool,
}

impl<P: Partition> Simulation<P> {
    /// Partitions at time zero, of which none has started.
    ///
    /// # Panics
    /// If there are more than 65 536 partitions, or the lookahead is a matrix of another size.
    #[must_use]
    pub fn new(partitions: Vec<P>, lookahead: Lookahead, queue: QueueKind) -> Self {
        let rows = lookahead.into_rows(partitions.len());
        let closure = close(&rows);
        let cells = partitions.into_iter().zip(rows).enumerate();
        let cells = cells
            .map(|(index, (partition, row))| {
                let id = PartitionId(u16::try_from(index).expect("at most 65536 partitions"));
                let core = Core::new(id, queue, row);
                Cell { partition, core }
            })
            .collect();
        Simulation {
            cells,
            closure,
            started: false,
        }
    }

    /// Executes every event, timer and message at or before `until`; later ones stay pending, and
    /// a further call goes on from there.
    pub fn run(&mut self, until: Time, execution: Execution) {
        self.start();
        let limit = Key::after(until);
        if let [only] = self.cells.as_mut_slice() {
            only.run_before(limit);
            return;
        }
        // Without a delay between partitions no window has a width: step instead.
        let zero = self.closure.iter().flatten().any(|delay| delay.is_zero());
        match execution {
            Execution::Windows if !zero => self.run_windows(limit),
            #[cfg(feature = "threads")]
            Execution::Threads(threads) if !zero => {
                crate::threads::run(&mut self.cells, &self.closure, limit, threads);
            }
            _ => self.run_sequential(limit),
        }
    }

    fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        for cell in &mut self.cells {
            cell.partition.start(&mut Context::new(&mut cell.core));
        }
        exchange_mail(&mut self.cells.iter_mut().collect::<Vec<_>>());
    }

    fn run_sequential(&mut self, limit: Key) {
        let mut next: Vec<Key> = self.cells.iter_mut().map(|c| c.core.next_key()).collect();
        while let Some((least, bound)) = two_least(&next) {
            if next[least] >= limit {
                break;
            }
            // Nothing else comes before `bound` unless this partition sends it.
            let cell = &mut self.cells[least];
            cell.run_until_mail(bound.min(limit));
            let mut mail = core::mem::take(&mut cell.core.outbox);
            next[least] = cell.core.next_key();
            for Letter { to, key, message } in mail.drain(..) {
                let to = usize::from(to.0);
                self.cells[to].core.deliver(key, message);
                next[to] = next[to].min(key);
            }
            self.cells[least].core.outbox = mail;
        }
    }

    fn run_windows(&mut self, limit: Key) {
        let mut cells: Vec<&mut Cell<P>> = self.cells.iter_mut().collect();
        let mut next: Vec<Key> = Vec::new();
        loop {
            exchange_mail(&mut cells);
            next.clear();
            next.extend(cells.iter_mut().map(|cell| cell.core.next_key()));
            if next.iter().all(|&key| key >= limit) {
                return;
            }
            for (cell, end) in cells
                .iter_mut()
                .zip(window_ends(&next, &self.closure, limit))
            {
                cell.run_before(end);
            }
        }
    }

    /// The partitions, in order.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = &P> {
        self.cells.iter().map(|cell| &cell.partition)
    }

    /// The partitions, in order, with what they have become.
    #[must_use]
    pub fn into_partitions(self) -> Vec<P> {
        self.cells.into_iter().map(|cell| cell.partition).collect()
    }

    /// A digest of the order: of the (time, origin, sequence) of everything that was executed, by
    /// partition.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let cores = self.cells.iter().map(|cell| &cell.core);
        cores.fold(0, |digest, core| {
            fold(fold(digest, core.digest()), core.events())
        })
    }

    /// How many events, timers and messages have been executed.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.cells.iter().map(|cell| cell.core.events()).sum()
    }
}

/// The index of the least key and the second least key; nothing for no keys.
fn two_least(keys: &[Key]) -> Option<(usize, Key)> {
    let (least, _) = keys.iter().enumerate().min_by_key(|&(_, key)| key)?;
    let others = keys.iter().enumerate().filter(|&(index, _)| index != least);
    let second = others.map(|(_, &key)| key).min().unwrap_or(Key::MAX);
    Some((least, second))
}

/// Moves all mail to its receivers, whose keys already say where it belongs.
pub(crate) fn exchange_mail<P: Partition>(cells: &mut [&mut Cell<P>]) {
    for from in 0..cells.len() {
        if cells[from].core.outbox.is_empty() {
            continue;
        }
        let mut mail = core::mem::take(&mut cells[from].core.outbox);
        for Letter { to, key, message } in mail.drain(..) {
            cells[usize::from(to.0)].core.deliver(key, message);
        }
        cells[from].core.outbox = mail;
    }
}

/// How far each partition may go on its own, as an exclusive limit: to the first time at which
/// something that is not there yet may happen there. Whatever arrives was caused by something
/// pending now, over a chain of messages.
pub(crate) fn window_ends<'a>(
    next: &'a [Key],
    closure: &'a [Vec<Duration>],
    limit: Key,
) -> impl Iterator<Item = Key> + 'a {
    let least = next.iter().enumerate().min_by_key(|&(_, key)| key);
    let least = least.map_or(0, |(index, _)| index);
    let arrival = |from: usize, to: usize| {
        let time = Time::from_nanos(next[from].time).saturating_add(closure[from][to]);
        time.as_nanos()
    };
    (0..next.len()).map(move |to| {
        // Most often nothing is to be done before the partition that is next can interfere; then
        // the others need not be asked.
        let first = arrival(least, to);
        if next[to].time >= first && first < u64::MAX {
            return Key::default();
        }
        let first = (0..next.len()).fold(first, |first, from| first.min(arrival(from, to)));
        // At the end of the clock nothing can arrive any more: let everything pass.
        let end = match first {
            u64::MAX => Key::MAX,
            time => Key { time, order: 0 },
        };
        end.min(limit)
    })
}

/// Shortest chains of messages between any two partitions (Floyd and Warshall), with the shortest
/// cycle on the diagonal.
fn close(rows: &[Vec<Duration>]) -> Vec<Vec<Duration>> {
    let mut closure = rows.to_vec();
    for (index, row) in closure.iter_mut().enumerate() {
        row[index] = Duration::MAX;
    }
    for via in 0..closure.len() {
        let onward = closure[via].clone();
        for row in &mut closure {
            let first = row[via];
            for (direct, &second) in row.iter_mut().zip(&onward) {
                *direct = (*direct).min(first.saturating_add(second));
            }
        }
    }
    closure
}

#[cfg(test)]
mod tests;
