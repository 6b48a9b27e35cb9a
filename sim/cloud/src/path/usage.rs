//! What a pod uses: counters that only grow, as those of its containers, and what
//! metrics-server makes of them.
//!
//! Models: CPU as the integral of busy workers, or of the CPU shared out; requests begun; a
//! sample is the difference of two readings over the time between them, and can be seen some
//! time after it was taken. A container that started since the last reading is sampled over
//! its own life, once that is long enough.
//!
//! Approximated: own work is CPU throughout. Leaves out: memory.
//! Sources: kubernetes-sigs/metrics-server pkg/storage, google/cadvisor; [`crate::facts`].
//! Validated by: the tests below, and the utilization that an autoscaler sees in the crate's.

use crate::facts;
use crate::kubernetes::autoscaling::proposal::Usage;
use engine::Time;

/// The counters of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    busy_milli: u64,
    since: Time,
    /// Thousandths of a core times nanoseconds.
    cpu: u128,
    requests: u64,
    /// When its container started, if it has.
    started: Option<Time>,
    /// The last reading: when, `cpu` and `requests`.
    read: Option<(Time, u128, u64)>,
    /// The sample that can be seen, and the one after it with the time that it can be.
    seen: Option<Usage>,
    next: Option<(Time, Usage)>,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Counters {
            busy_milli: 0,
            since: Time::ZERO,
            cpu: 0,
            requests: 0,
            started: None,
            read: None,
            seen: None,
            next: None,
        }
    }

    /// A container starts: its counters begin anew.
    pub(crate) fn start(&mut self, now: Time) {
        *self = Counters {
            since: now,
            started: Some(now),
            ..Counters::new()
        };
    }

    /// What is busy changes by so many thousandths of a core.
    pub(crate) fn busy(&mut self, change: i64, now: Time) {
        self.cpu = self.cpu_until(now);
        self.since = now;
        self.busy_milli = self.busy_milli.saturating_add_signed(change);
    }

    /// A request begins.
    pub(crate) fn request(&mut self) {
        self.requests += 1;
    }

    fn cpu_until(&self, now: Time) -> u128 {
        self.cpu + u128::from(self.busy_milli) * u128::from(now.since(self.since).as_nanos())
    }

    /// metrics-server reads the counters; what it makes of them can be seen at `visible`.
    pub(crate) fn read(&mut self, now: Time, visible: Time) {
        if let Some((_, sample)) = self.next.take() {
            self.seen = Some(sample);
        }
        let Some(started) = self.started else {
            return;
        };
        let (from, cpu, requests) = self.read.unwrap_or((started, 0, 0));
        let window = now.since(from);
        if self.read.is_none() && window < facts::METRICS_FRESH_CONTAINER_MIN.value {
            return;
        }
        let nanos = u128::from(window.as_nanos());
        let until = self.cpu_until(now);
        let milli = u128::from(self.requests - requests) * 1_000_000_000_000;
        let (Some(cpu), Some(answered)) =
            ((until - cpu).checked_div(nanos), milli.checked_div(nanos))
        else {
            return;
        };
        let sample = Usage {
            cpu_milli: cpu as u64,
            requests_milli: answered as u64,
            taken: now,
            window,
        };
        self.next = Some((visible, sample));
        self.read = Some((now, until, self.requests));
    }

    /// The newest sample that can be seen.
    pub(crate) fn sample(&self, now: Time) -> Option<Usage> {
        match self.next {
            Some((visible, sample)) if visible <= now => Some(sample),
            _ => self.seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Duration;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_sample_is_the_mean_between_two_readings_and_is_seen_later() {
        let mut counters = Counters::new();
        counters.read(at(1), at(9));
        assert_eq!(counters.sample(at(20)), None, "nothing runs");
        counters.start(at(10));
        counters.busy(2_000, at(10));
        counters.request();
        counters.read(at(16), at(24));
        assert_eq!(counters.sample(at(30)), None, "six seconds are too few");
        counters.busy(-2_000, at(21));
        counters.read(at(31), at(39));
        assert_eq!(counters.sample(at(38)), None);
        let first = counters.sample(at(39)).unwrap();
        // Two cores for 11 of 21 seconds; one request in them.
        assert_eq!((first.cpu_milli, first.requests_milli), (1_047, 47));
        counters.busy(500, at(40));
        counters.read(at(46), at(54));
        assert_eq!(counters.sample(at(53)), Some(first));
        let second = counters.sample(at(54)).unwrap();
        assert_eq!((second.cpu_milli, second.requests_milli), (200, 0));
        assert_eq!(second.window, Duration::from_secs(15));
    }

    #[test]
    fn a_restart_begins_anew() {
        let mut counters = Counters::new();
        counters.start(at(0));
        counters.busy(1_000, at(0));
        counters.read(at(15), at(15));
        counters.start(at(16));
        assert_eq!(counters.sample(at(17)), None);
        counters.read(at(30), at(30));
        assert_eq!(counters.sample(at(30)).unwrap().cpu_milli, 0);
    }
}
