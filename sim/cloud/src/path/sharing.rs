//! Processor sharing, exactly and event by event: every request in service gets an equal
//! share of the CPU, but at most one core.
//!
//! Virtual time is the work that each request present has received. It advances at the rate
//! `min(1, cores / requests)`, so a request that came with work `w` is done when virtual time
//! has advanced by `w`, whatever happens to the rate meanwhile: one pending completion per
//! station, and no touching of the others when one comes or goes.
//!
//! Leaves out: the scheduling period of the CPU controller (throttling in slices of 100 ms).
//! Sources: textbook egalitarian processor sharing with a rate cap (limited processor sharing).
//! Validated by: the insensitivity of M/G/1-PS and by hand in `tests`.

use crate::slab::Key;
use engine::{Duration, Time};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Virtual time counts in this many parts of a nanosecond, so that rounding it down at every
/// change loses nothing that can be seen.
const FRACTION_BITS: u32 = 20;

/// The requests that share one CPU.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    cpu_milli: u64,
    virtual_time: u128,
    since: Time,
    /// Virtual time at which each request is done, the least first; equal ones in the order
    /// of their coming.
    due: BinaryHeap<Reverse<(u128, u64, Key)>>,
    joined: u64,
    /// Numbers the pending completion: only the newest counts.
    generation: u32,
}

impl Sharing {
    pub(crate) fn new(cpu_milli: u64) -> Self {
        Sharing {
            cpu_milli,
            virtual_time: 0,
            since: Time::ZERO,
            due: BinaryHeap::new(),
            joined: 0,
            generation: 0,
        }
    }

    /// How many requests share the CPU.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Cores, the last one perhaps not whole.
    pub(crate) fn cores(&self) -> u64 {
        self.cpu_milli.div_ceil(1_000)
    }

    /// CPU in use, in thousandths of a core.
    pub(crate) fn used_milli(&self) -> u64 {
        self.cpu_milli.min(1_000 * self.due.len() as u64)
    }

    fn advance(&mut self, now: Time) {
        let passed = u128::from(now.since(self.since).as_nanos()) << FRACTION_BITS;
        self.since = now;
        let shares = 1_000 * self.due.len() as u128;
        let received = passed * u128::from(self.used_milli());
        self.virtual_time += received.checked_div(shares).unwrap_or(0);
    }

    /// A request joins with so much work.
    pub(crate) fn join(&mut self, now: Time, work: Duration, task: Key) {
        self.advance(now);
        let due = self.virtual_time + (u128::from(work.as_nanos()) << FRACTION_BITS);
        self.due.push(Reverse((due, self.joined, task)));
        self.joined += 1;
    }

    /// The request that is done now, if the completion of this generation is still awaited.
    pub(crate) fn leave(&mut self, now: Time, generation: u32) -> Option<Key> {
        if generation != self.generation {
            return None;
        }
        self.advance(now);
        let Reverse((due, _, task)) = self.due.pop()?;
        // Rounding may have left virtual time a hair short of what the event stands for.
        self.virtual_time = self.virtual_time.max(due);
        Some(task)
    }

    /// When the next request is done if nothing changes, and the generation of that event.
    pub(crate) fn next(&mut self) -> Option<(Time, u32)> {
        self.generation = self.generation.wrapping_add(1);
        let Reverse((due, ..)) = self.due.peek()?;
        let work = due.saturating_sub(self.virtual_time);
        let scaled = work * 1_000 * self.due.len() as u128;
        let nanos = scaled.div_ceil(u128::from(self.used_milli()) << FRACTION_BITS);
        Some((
            self.since + Duration::from_nanos(nanos as u64),
            self.generation,
        ))
    }

    /// All leave unfinished.
    pub(crate) fn clear(&mut self) {
        self.due.clear();
        self.generation = self.generation.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs jobs (arrival, work) in milliseconds and gives the instants they are done at.
    fn run(cpu_milli: u64, jobs: &[(u64, u64)]) -> Vec<u64> {
        let mut sharing = Sharing::new(cpu_milli);
        let mut slab = crate::slab::Slab::new();
        let mut done = vec![0; jobs.len()];
        let mut next: Option<(Time, u32)> = None;
        let mut coming = jobs.iter().enumerate().peekable();
        loop {
            let arrival = coming
                .peek()
                .map(|(_, job)| Time::ZERO + Duration::from_millis(job.0));
            match (arrival, next) {
                (Some(at), pending) if pending.is_none_or(|(done, _)| at < done) => {
                    let (index, job) = coming.next().unwrap();
                    let key = slab.insert(index);
                    sharing.join(at, Duration::from_millis(job.1), key);
                }
                (_, Some((at, generation))) => {
                    let key = sharing.leave(at, generation).unwrap();
                    done[slab.remove(key).unwrap()] = at.as_nanos() / 1_000_000;
                }
                _ => return done,
            }
            next = sharing.next();
        }
    }

    #[test]
    fn one_core_is_shared_equally() {
        // Both at half speed from 0; the short one leaves at 40, the long one goes on alone.
        assert_eq!(run(1_000, &[(0, 20), (0, 50)]), [40, 70]);
        // The second comes when 10 of 30 are done; both have 20 left and share until 50.
        assert_eq!(run(1_000, &[(0, 30), (10, 20)]), [50, 50]);
    }

    #[test]
    fn nobody_gets_more_than_a_core() {
        assert_eq!(run(2_000, &[(0, 30), (0, 40)]), [30, 40]);
        // Three on two cores: two thirds of a core each.
        assert_eq!(run(2_000, &[(0, 30), (0, 30), (0, 30)]), [45, 45, 45]);
        assert_eq!(run(500, &[(0, 30)]), [60]);
    }
}
