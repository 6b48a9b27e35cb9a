//! Probes of containers, without a step per probe: between two changes of what is probed the
//! answers are all the same, so the probe that turns the verdict can be counted ahead.
//!
//! Models: a grid of probes with its own phase, initial delay, thresholds, a timeout for what
//! hangs; a startup probe holds the others back; readiness is probed at once when a container
//! that has started is not ready; what liveness or startup turn down is restarted.
//! Approximated: a probe answers as the container does when the probe begins; one that hangs
//! longer than the period delays the next, and the grid with it. Nothing is retried inside a
//! probe.
//! Sources: kubernetes/kubernetes pkg/kubelet/prober (worker.go, prober_manager.go).
//! Validated by: times of detection over all phases against their exact mean, least and
//! greatest, and against a probe by probe simulation, below.

use crate::facts;
use engine::{Duration, Time};

/// How a container is probed for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Nothing is probed until the container has run for so long.
    pub initial_delay: Duration,
    /// From one probe to the next; positive.
    pub period: Duration,
    /// How long a probe waits for an answer.
    pub timeout: Duration,
    /// Successes in a row that turn the verdict up; positive.
    pub success_threshold: u32,
    /// Failures in a row that turn it down; positive.
    pub failure_threshold: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Probe {
            initial_delay: Duration::ZERO,
            period: facts::PROBE_PERIOD.value,
            timeout: facts::PROBE_TIMEOUT.value,
            success_threshold: facts::PROBE_SUCCESS_THRESHOLD.value,
            failure_threshold: facts::PROBE_FAILURE_THRESHOLD.value,
        }
    }
}

/// How what is probed answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Well.
    Healthy,
    /// With an error or a refusal, at once.
    Failing,
    /// Not at all.
    Hanging,
}

/// One probe's count of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    probe: Probe,
    condition: Condition,
    /// When the next probe begins that is not counted yet.
    next: Time,
    /// Whether the last answers were good.
    last: bool,
    /// How many of these there were in a row, up to the greater threshold.
    run: u32,
    /// What holds; `None` until enough answers agree.
    verdict: Option<bool>,
}

impl Worker {
    /// A worker whose probes stand on a grid through `phase`, for a container that runs from
    /// `started` on.
    pub fn new(
        probe: Probe,
        phase: Time,
        started: Time,
        verdict: Option<bool>,
        condition: Condition,
    ) -> Worker {
        let mut worker = Worker {
            probe,
            condition,
            next: Time::from_nanos(phase.as_nanos() % probe.period.as_nanos()),
            last: verdict.unwrap_or(false),
            run: 0,
            verdict,
        };
        worker.hold_until(started.saturating_add(probe.initial_delay));
        worker
    }

    /// What the probe believes.
    pub fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// The grid's first probe that is not before `at` comes next.
    fn hold_until(&mut self, at: Time) {
        let late = at.saturating_since(self.next).as_nanos();
        let periods = late.div_ceil(self.probe.period.as_nanos());
        self.next = self
            .next
            .saturating_add(self.probe.period.saturating_mul(periods));
    }

    /// One probe out of turn, whose answer counts; the grid stays.
    fn trigger(&mut self, now: Time, started: Time) {
        self.count_until(now);
        if now >= started.saturating_add(self.probe.initial_delay) {
            self.answered(1);
        }
    }

    /// From one probe to the next, as things are.
    fn interval(&self) -> Duration {
        match self.condition {
            Condition::Hanging => self.probe.period.max(self.probe.timeout),
            Condition::Healthy | Condition::Failing => self.probe.period,
        }
    }

    fn threshold(&self, good: bool) -> u32 {
        match good {
            true => self.probe.success_threshold,
            false => self.probe.failure_threshold,
        }
    }

    /// So many answers of the present kind.
    fn answered(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let good = self.condition == Condition::Healthy;
        if self.last != good {
            self.last = good;
            self.run = 0;
        }
        let threshold = self.threshold(good);
        let run = u64::from(self.run).saturating_add(count);
        self.run = u32::try_from(run).unwrap_or(threshold).min(threshold);
        if self.run >= threshold {
            self.verdict = Some(good);
        }
    }

    /// From the begin of a probe to its answer, as things are.
    fn patience(&self) -> Duration {
        match self.condition {
            Condition::Hanging => self.probe.timeout,
            Condition::Healthy | Condition::Failing => Duration::ZERO,
        }
    }

    /// Counts the probes that were answered before `now`.
    fn count_until(&mut self, now: Time) {
        let due = now.saturating_since(self.next.saturating_add(self.patience()));
        let due = due.as_nanos();
        let count = due.div_ceil(self.interval().as_nanos());
        self.next = self
            .next
            .saturating_add(self.interval().saturating_mul(count));
        self.answered(count);
    }

    /// What is probed changes.
    pub fn set_condition(&mut self, condition: Condition, now: Time) {
        self.count_until(now);
        self.condition = condition;
        // A probe that waits for its answer gets it now.
        self.next = self.next.max(now);
    }

    /// When the verdict changes if nothing else does.
    pub fn turns_at(&self) -> Option<Time> {
        let good = self.condition == Condition::Healthy;
        if self.verdict == Some(good) {
            return None;
        }
        let counted = if self.last == good { self.run } else { 0 };
        let missing = self.threshold(good).saturating_sub(counted).max(1);
        let last = self
            .next
            .saturating_add(self.interval().saturating_mul(u64::from(missing - 1)));
        Some(last.saturating_add(self.patience()))
    }

    /// The time at which the verdict changes has come.
    fn turn(&mut self, now: Time) {
        self.count_until(now);
        self.next = self.next.saturating_add(self.interval());
        self.answered(1);
    }
}

/// How a container is probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Until it has succeeded the others wait.
    pub startup: Option<Probe>,
    /// Whether the pod takes requests.
    pub readiness: Option<Probe>,
    /// Whether the container has to be restarted.
    pub liveness: Option<Probe>,
}

/// What probing a container comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts as ready.
    Ready,
    /// It does not any more.
    NotReady,
    /// Its startup probe has succeeded.
    Started,
    /// Its startup probe has failed: restart it.
    NeverStarted,
    /// Its liveness probe has failed: restart it.
    NotLive,
}

/// The probes of one running container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prober {
    probes: Probes,
    /// Instant of the grid of probes.
    phase: Time,
    /// When the container began to run.
    since: Time,
    condition: Condition,
    startup: Option<Worker>,
    readiness: Option<Worker>,
    liveness: Option<Worker>,
}

impl Prober {
    /// A container that runs from `since` on, as its kubelet finds out at `noticed`, probed on
    /// a grid through `phase`. What it answers is `condition`. Gives whether it is ready at
    /// once.
    pub fn new(
        probes: Probes,
        phase: Time,
        since: Time,
        noticed: Time,
        condition: Condition,
    ) -> (Prober, Option<Verdict>) {
        let mut prober = Prober {
            probes,
            phase,
            since,
            condition,
            startup: None,
            readiness: None,
            liveness: None,
        };
        prober.startup = probes
            .startup
            .map(|probe| prober.worker(probe, noticed, None));
        let verdict = match prober.startup {
            Some(_) => None,
            None => prober.has_started(noticed),
        };
        (prober, verdict)
    }

    /// The same, of a container that has passed all its probes before.
    pub fn established(mut self) -> Prober {
        let workers = [&mut self.readiness, &mut self.liveness];
        for worker in workers.into_iter().flatten() {
            worker.verdict = Some(true);
        }
        self
    }

    fn worker(&self, probe: Probe, from: Time, verdict: Option<bool>) -> Worker {
        let mut worker = Worker::new(probe, self.phase, self.since, verdict, self.condition);
        worker.hold_until(from);
        worker
    }

    /// The other probes begin; the first of readiness at once.
    fn has_started(&mut self, now: Time) -> Option<Verdict> {
        self.liveness = self
            .probes
            .liveness
            .map(|probe| self.worker(probe, now, Some(true)));
        let Some(probe) = self.probes.readiness else {
            return Some(Verdict::Ready);
        };
        let mut worker = self.worker(probe, now, Some(false));
        if self.condition != Condition::Hanging {
            worker.trigger(now, self.since);
        }
        self.readiness = Some(worker);
        (worker.verdict == Some(true)).then_some(Verdict::Ready)
    }

    /// Whether the container counts as ready.
    pub fn is_ready(&self) -> bool {
        let readiness = self.readiness.map(|worker| worker.verdict == Some(true));
        self.startup.is_none() && readiness.unwrap_or(true)
    }

    /// What the container answers from now on.
    pub fn set_condition(&mut self, condition: Condition, now: Time) {
        self.condition = condition;
        let workers = [&mut self.startup, &mut self.readiness, &mut self.liveness];
        for worker in workers.into_iter().flatten() {
            worker.set_condition(condition, now);
        }
    }

    /// The container is asked to stop: only readiness is probed from now on.
    pub fn stop(&mut self) {
        self.liveness = None;
        self.probes.liveness = None;
        if self.startup.take().is_some() {
            // It never became ready, and will not.
            self.probes.readiness = None;
        }
    }

    /// When a verdict changes if nothing else does. Restarts come before what they end.
    pub fn turns_at(&self) -> Option<Time> {
        let workers = [self.startup, self.liveness, self.readiness];
        workers
            .into_iter()
            .flatten()
            .filter_map(|worker| worker.turns_at())
            .min()
    }

    /// A time given by [`Prober::turns_at`] has come; ask again until that has no such time.
    pub fn turn(&mut self, now: Time) -> Option<Verdict> {
        let is_due = |worker: &Option<Worker>| {
            worker.is_some_and(|worker| worker.turns_at().is_some_and(|at| at <= now))
        };
        if is_due(&self.startup) {
            let mut worker = self.startup.expect("it is due");
            worker.turn(now);
            if worker.verdict == Some(false) {
                self.startup = Some(worker);
                return Some(Verdict::NeverStarted);
            }
            self.startup = None;
            return Some(self.has_started(now).unwrap_or(Verdict::Started));
        }
        if is_due(&self.liveness) {
            let worker = self.liveness.as_mut().expect("it is due");
            worker.turn(now);
            return Some(Verdict::NotLive);
        }
        if is_due(&self.readiness) {
            let worker = self.readiness.as_mut().expect("it is due");
            worker.turn(now);
            return Some(match worker.verdict {
                Some(true) => Verdict::Ready,
                _ => Verdict::NotReady,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests;
