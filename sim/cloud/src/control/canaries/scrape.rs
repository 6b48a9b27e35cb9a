//! What is known of a version: counters of its pods, as old as when they were last read.
//!
//! Models: each pod counts its answers; it is read at a fixed interval, at a phase of its own. A
//! window over counters begins with the first reading after its start and ends with the last one
//! before somebody asks, so a pod that was read once or never says nothing.
//! Approximated: histograms of latencies have 32 buckets per power of two, as native ones of
//! Prometheus may; Envoy's classic ones are coarser. Leaves out: readings that fail.
//! Sources: prometheus/prometheus promql/functions.go (`increase`), scrape/target.go (offsets).
//! Validated by: the tests below.

use crate::record::Sketch;
use engine::{Duration, Time};
use std::collections::BTreeMap;

/// Answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// With an error.
    pub(crate) failed: u64,
    /// Without one.
    pub(crate) succeeded: u64,
    /// How long these took.
    pub(crate) latency: Sketch,
}

impl Tally {
    /// Counts an answer: how long it took, if it was without an error.
    pub(crate) fn count(&mut self, latency: Option<Duration>) {
        match latency {
            Some(latency) => {
                self.succeeded += 1;
                self.latency.record(latency);
            }
            None => self.failed += 1,
        }
    }

    /// How many.
    pub(crate) fn answers(&self) -> u64 {
        self.failed + self.succeeded
    }

    fn add(&mut self, other: &Tally) {
        self.failed += other.failed;
        self.succeeded += other.succeeded;
        self.latency.merge(&other.latency);
    }
}

/// The counters of a pod.
#[derive(Clone, Debug)]
struct Target {
    phase: Duration,
    /// Readings so far.
    readings: u64,
    /// Whether one of them lies in the window.
    is_based: bool,
    /// Counted since the last reading.
    fresh: Tally,
    /// Read since the window's first reading.
    known: Tally,
}

/// How often something was read whose first reading is at `phase`.
fn readings(now: Time, phase: Duration, interval: Duration) -> u64 {
    let since = now.since(Time::ZERO);
    match since.as_nanos().checked_sub(phase.as_nanos()) {
        Some(since) => since / interval.as_nanos() + 1,
        None => 0,
    }
}

impl Target {
    fn catch_up(&mut self, now: Time, interval: Duration) {
        let readings = readings(now, self.phase, interval);
        if readings > self.readings {
            self.readings = readings;
            let fresh = std::mem::take(&mut self.fresh);
            if std::mem::replace(&mut self.is_based, true) {
                self.known.add(&fresh);
            }
        }
    }
}

/// The counters of a version's pods.
#[derive(Clone, Debug)]
pub(crate) struct Scraped {
    interval: Duration,
    targets: BTreeMap<u32, Target>,
}

impl Scraped {
    /// Counters that are read so often.
    ///
    /// # Panics
    /// If that is at once.
    pub(crate) fn new(interval: Duration) -> Self {
        assert!(!interval.is_zero(), "counters are read once in a while");
        Scraped {
            interval,
            targets: BTreeMap::new(),
        }
    }

    /// How often they are read.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// A pod has answered. `phase` says when it is read within an interval.
    pub(crate) fn count(
        &mut self,
        pod: u32,
        latency: Option<Duration>,
        phase: impl FnOnce() -> Duration,
        now: Time,
    ) {
        let interval = self.interval;
        let target = self.targets.entry(pod).or_insert_with(|| {
            let phase = phase();
            // A counter is not there before it has counted something.
            Target {
                phase,
                readings: readings(now, phase, interval),
                is_based: false,
                fresh: Tally::default(),
                known: Tally::default(),
            }
        });
        target.catch_up(now, interval);
        target.fresh.count(latency);
    }

    /// A window begins.
    pub(crate) fn begin_window(&mut self, now: Time) {
        for target in self.targets.values_mut() {
            target.catch_up(now, self.interval);
            target.known = Tally::default();
            target.is_based = false;
        }
    }

    /// What is known of the window.
    pub(crate) fn known(&mut self, now: Time) -> Tally {
        let mut all = Tally::default();
        for target in self.targets.values_mut() {
            target.catch_up(now, self.interval);
            all.add(&target.known);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    #[test]
    fn a_window_spans_from_reading_to_reading() {
        let mut scraped = Scraped::new(Duration::from_secs(15));
        let phase = || Duration::from_secs(5); // Read at 5, 20, 35, 50.
        let answer = Some(Duration::from_millis(3));
        scraped.count(0, answer, phase, at(1.0));
        scraped.begin_window(at(6.0));
        scraped.count(0, answer, phase, at(10.0));
        assert_eq!(scraped.known(at(19.0)).answers(), 0, "nothing was read yet");
        scraped.count(0, None, phase, at(25.0));
        assert_eq!(
            scraped.known(at(34.0)).answers(),
            0,
            "what came before the first reading is the base"
        );
        scraped.count(0, answer, phase, at(36.0));
        let known = scraped.known(at(40.0));
        assert_eq!((known.failed, known.succeeded), (1, 0), "as old as 35 s");
        let known = scraped.known(at(50.0));
        assert_eq!((known.failed, known.succeeded), (1, 1));
        assert_eq!(known.latency.count(), 1);
    }

    #[test]
    fn pods_are_read_each_at_its_time() {
        let mut window = Scraped::new(Duration::from_secs(10));
        // From 20 s on: one pod is read at 30 and up to 60 s, the other from 25 to 65 s.
        for second in 0..67 {
            if second == 20 {
                window.begin_window(at(20.2));
            }
            for pod in 0..2_u32 {
                let phase = || Duration::from_secs(u64::from(pod) * 5);
                window.count(pod, None, phase, at(f64::from(second) + 0.5));
            }
        }
        assert_eq!(window.known(at(67.0)).failed, 30 + 40);
    }
}
