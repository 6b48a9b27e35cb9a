//! Canary releases: a controller that moves the weights of a route, judges the new version on the
//! way, and promotes it or rolls it back.
//!
//! Models: the steps of Argo Rollouts one after the other. Each is written at the API server, and
//! goes from there to istiod and to the proxies like any change. In a pause the controller looks
//! at an interval, at counters that are as old as their last reading, from the time at which the
//! pause began. A look that condemns counts against the failure limit; past it all requests go
//! back to the stable version. A pause ends when its time is over and the last look found nothing
//! against the canary: with too small a sample, or a look that condemned within the limit, the
//! release waits where it is and looks again. After the last step all requests go to the canary.
//! What cannot be written waits, weights and all, until it can.
//!
//! Approximated: the controller writes nothing down about its looks, but does not look while it
//! could not; servers count, so that requests that never reach a pod, and pods that died with
//! what they had counted, say nothing, as in the queries of Flagger.
//! Leaves out: numbers of pods of the versions; the pod template of the stable version after a
//! promotion; a limit to inconclusive looks; other sources of metrics.
//! Sources: argoproj/argo-rollouts rollout/canary.go, analysis/analysis.go; fluxcd/flagger
//! pkg/controller/scheduler.go; [`crate::facts`].
//! Validated by: times of steps by hand, the share of good versions condemned and of bad ones
//! found over many replications, outages of the API server, in the crate's tests.

mod judge;
mod routes;
mod scrape;

pub(crate) use judge::Why;

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::record::{CanaryOutcome, CanaryRecord, VersionRecord};
use crate::scenario::{Action, Canary, CanaryStep, Change, ClusterId, Scenario, WorkloadId};
use crate::snapshot::journal::Happening;
use engine::{Duration, Stream, Time};
use judge::{Judgement, judge};
use routes::{Split, rewritten};
use scrape::{Scraped, Tally};

/// As which it reads and writes.
const CLIENT: Client = Client::Canaries;

/// A canary release at work.
#[derive(Clone, Debug)]
pub(crate) struct CanaryState<'t> {
    pub(crate) described: &'t Canary,
    /// Its entry on the timeline, and its place among the changes of that.
    asked: (u32, u32),
    phase: Phase,
    /// What is scheduled counts only if nothing has changed since.
    number: u32,
    /// Steps that were done.
    steps: u32,
    /// What the route says, or is to say.
    split: Split,
    /// How it ends, once that is known.
    outcome: CanaryOutcome,
    failures: u32,
    looks: u32,
    inconclusive: u32,
    began: Option<Time>,
    judged: Option<Time>,
    ended: Option<Time>,
    stable: Watched,
    canary: Watched,
}

/// What is counted of a version.
#[derive(Clone, Debug)]
struct Watched {
    /// What the controller can know.
    scraped: Scraped,
    /// What users had.
    served: Tally,
}

/// Where a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has asked for it.
    Absent,
    /// The next step is to be done.
    Due,
    /// A step is being written.
    Writing,
    /// A pause, and when the next look at it is due.
    Paused { until: Time, look: Time },
    /// It is over.
    Ended,
}

impl<'t> CanaryState<'t> {
    /// All releases of a cluster on the timeline.
    pub(crate) fn all(scenario: &'t Scenario, cluster: ClusterId) -> Vec<CanaryState<'t>> {
        let entries = (0..).zip(&scenario.timeline);
        let asked = entries.flat_map(|(entry, described)| {
            let changes = match &described.action {
                Action::Apply {
                    cluster: at,
                    changes,
                } if *at == cluster => changes.as_slice(),
                _ => &[],
            };
            let numbered = (0..).zip(changes);
            numbered.filter_map(move |(position, change)| match change {
                Change::Canary(canary) => Some(CanaryState::new(canary, (entry, position))),
                _ => None,
            })
        });
        asked.collect()
    }

    fn new(described: &'t Canary, asked: (u32, u32)) -> Self {
        let analysis = described.analysis.as_ref();
        let interval = analysis.map_or(facts::METRICS_SCRAPE_INTERVAL.value, |analysis| {
            analysis.scrape_interval
        });
        let watched = Watched {
            scraped: Scraped::new(interval),
            served: Tally::default(),
        };
        CanaryState {
            described,
            asked,
            phase: Phase::Absent,
            number: 0,
            steps: 0,
            split: Split::default(),
            outcome: CanaryOutcome::Undecided,
            failures: 0,
            looks: 0,
            inconclusive: 0,
            began: None,
            judged: None,
            ended: None,
            stable: watched.clone(),
            canary: watched,
        }
    }

    /// Whether it has begun: its end is no end of what users meet.
    fn is_counting(&self) -> bool {
        self.phase != Phase::Absent
    }

    fn watched(&mut self, workload: WorkloadId) -> Option<&mut Watched> {
        if self.described.canary.workloads.contains(&workload) {
            Some(&mut self.canary)
        } else if self.described.stable.workloads.contains(&workload) {
            Some(&mut self.stable)
        } else {
            None
        }
    }

    /// Whether the pause at the present step is one in which the canary is judged.
    fn is_judged(&self) -> bool {
        let analysis = self.described.analysis.as_ref();
        analysis.is_some_and(|analysis| self.steps >= analysis.starting_step)
    }

    /// Looks at what is known by now.
    fn look(&mut self, now: Time) -> Judgement {
        let Some(analysis) = self
            .described
            .analysis
            .as_ref()
            .filter(|_| self.is_judged())
        else {
            return Judgement::Successful;
        };
        let canary = self.canary.scraped.known(now);
        // Where all requests go to the canary nothing is left to compare it with.
        let stable = (self.split.weight < 100).then(|| self.stable.scraped.known(now));
        let level = analysis.level(self.described.looks_planned());
        let judgement = judge(analysis, level, &canary, stable.as_ref());
        self.looks += 1;
        match judgement {
            Judgement::Successful => {}
            Judgement::Failed(_) => self.failures += 1,
            Judgement::Inconclusive => self.inconclusive += 1,
        }
        judgement
    }

    /// When the next look after one is due, in a pause until a time.
    fn next_look(&self, now: Time, until: Time) -> Time {
        let Some(analysis) = self
            .described
            .analysis
            .as_ref()
            .filter(|_| self.is_judged())
        else {
            return until;
        };
        let next = now.saturating_add(analysis.interval);
        if now < until { next.min(until) } else { next }
    }

    fn decide(&mut self, outcome: CanaryOutcome, now: Time) {
        self.outcome = outcome;
        self.judged = Some(now);
        self.phase = Phase::Due;
    }

    fn record(&mut self, cluster: ClusterId) -> CanaryRecord {
        let version = |watched: &mut Watched| {
            let served = std::mem::take(&mut watched.served);
            VersionRecord {
                succeeded: served.succeeded,
                failed: served.failed,
                latency: served.latency,
            }
        };
        CanaryRecord {
            cluster,
            entry: self.asked.0,
            began: self.began,
            judged: self.judged,
            ended: self.ended,
            // What was decided and never written has not happened.
            outcome: match self.ended {
                Some(_) => self.outcome,
                None => CanaryOutcome::Undecided,
            },
            steps: self.steps,
            looks: self.looks,
            inconclusive: self.inconclusive,
            stable: version(&mut self.stable),
            canary: version(&mut self.canary),
        }
    }
}

/// What happens to a canary release, for those who look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CanaryNews {
    /// So many of its steps were done.
    StepDone(u32),
    /// A look found it failing.
    Condemned(Why),
    /// It goes back.
    RolledBack,
    /// It has all requests.
    Promoted,
}

impl Domain<'_> {
    /// A release was asked for at the API server.
    pub(super) fn canary_begins(&mut self, asked: (u32, u32), context: &mut Clock<'_, Self>) {
        let found = self.canaries.iter().position(|state| state.asked == asked);
        let canary = found.expect("all releases of the timeline are there");
        let state = &mut self.canaries[canary];
        state.began = Some(context.now());
        state.phase = Phase::Due;
        if let Some(delay) = self.watch(CLIENT) {
            self.wake_canary(canary as u32, context.now() + delay, context);
        }
    }

    fn wake_canary(&mut self, canary: u32, at: Time, context: &mut Clock<'_, Self>) {
        let state = &mut self.canaries[canary as usize];
        state.number += 1;
        let number = state.number;
        context.schedule(at, Event::CanaryWakes { canary, number });
    }

    /// The controller can work again.
    pub(super) fn canaries_resumed(&mut self, context: &mut Clock<'_, Self>) {
        for canary in 0..self.canaries.len() as u32 {
            let phase = self.canaries[canary as usize].phase;
            if matches!(phase, Phase::Due | Phase::Paused { .. }) {
                self.go_on(canary, context);
            }
        }
    }

    /// The controller turns to a release.
    pub(crate) fn canary_wakes(&mut self, canary: u32, number: u32, context: &mut Clock<'_, Self>) {
        if self.canaries[canary as usize].number == number {
            self.go_on(canary, context);
        }
    }

    fn go_on(&mut self, canary: u32, context: &mut Clock<'_, Self>) {
        if !self.can_act(CLIENT) {
            return;
        }
        match self.canaries[canary as usize].phase {
            Phase::Absent | Phase::Writing | Phase::Ended => {}
            Phase::Due => self.next_step(canary, context),
            Phase::Paused { until, look } => self.paused(canary, (until, look), context),
        }
    }

    /// The next step is done, or the release is ended.
    fn next_step(&mut self, canary: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.canaries[canary as usize];
        let step = state.described.steps.get(state.steps as usize);
        match (state.outcome, step) {
            (CanaryOutcome::Undecided, Some(CanaryStep::Pause(lasts))) => {
                let until = now.saturating_add(*lasts);
                let look = state.next_look(now, until);
                state.phase = Phase::Paused { until, look };
                state.stable.scraped.begin_window(now);
                state.canary.scraped.begin_window(now);
                self.wake_canary(canary, look, context);
            }
            (CanaryOutcome::Undecided, Some(step)) => {
                state.split = state.split.after(step);
                self.write_split(canary, context);
            }
            (CanaryOutcome::Undecided, None) => {
                state.decide(CanaryOutcome::Promoted, now);
                state.split = Split::plain(100);
                self.write_split(canary, context);
            }
            (CanaryOutcome::Promoted | CanaryOutcome::RolledBack, _) => {
                self.write_split(canary, context);
            }
        }
    }

    /// What the route is to say goes to the API server.
    fn write_split(&mut self, canary: u32, context: &mut Clock<'_, Self>) {
        let Some(delay) = self.api_write(CLIENT, context.now()) else {
            return;
        };
        let state = &mut self.canaries[canary as usize];
        state.phase = Phase::Writing;
        state.number += 1;
        let number = state.number;
        context.after(delay, Event::CanaryWritten { canary, number });
    }

    /// A split is written, unless the API server is gone meanwhile: then it is written again.
    pub(crate) fn canary_written(
        &mut self,
        canary: u32,
        number: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        let state = &self.canaries[canary as usize];
        if state.number != number {
            return;
        }
        if !self.can_act(CLIENT) {
            let state = &mut self.canaries[canary as usize];
            state.phase = Phase::Due;
            return;
        }
        self.put_split(canary, context);
        let state = &mut self.canaries[canary as usize];
        let news = match state.outcome {
            CanaryOutcome::Undecided => {
                state.steps += 1;
                state.phase = Phase::Due;
                CanaryNews::StepDone(state.steps)
            }
            outcome => {
                state.ended = Some(now);
                state.phase = Phase::Ended;
                match outcome {
                    CanaryOutcome::Promoted => CanaryNews::Promoted,
                    _ => CanaryNews::RolledBack,
                }
            }
        };
        self.tell(now, Happening::Canary { canary, news });
        self.go_on(canary, context);
    }

    /// The API server holds the split.
    fn put_split(&mut self, canary: u32, context: &mut Clock<'_, Self>) {
        let state = &self.canaries[canary as usize];
        let (described, split) = (state.described, &state.split);
        let translation = self.translation.as_mut().expect("canaries are in a mesh");
        let objects = translation.objects(translation.newest());
        let services = objects.virtual_services.iter().filter(|service| {
            let identity = &service.identity;
            let name = (identity.namespace.clone(), identity.name.clone());
            described.services.contains(&name)
        });
        let written = services.map(|service| rewritten(service, described, split).into());
        let written: Vec<_> = written.collect();
        translation.write(&written, context.now());
        self.istiod_hears(context);
    }

    /// In a pause: a look at the canary, and perhaps the end of the pause.
    fn paused(&mut self, canary: u32, (until, look): (Time, Time), context: &mut Clock<'_, Self>) {
        let now = context.now();
        if now < look {
            return self.wake_canary(canary, look, context);
        }
        let state = &mut self.canaries[canary as usize];
        let judgement = state.look(now);
        let limit = state.described.analysis.as_ref();
        let limit = limit.map_or(0, |analysis| analysis.failure_limit);
        let is_condemned = state.failures > limit;
        if let Judgement::Failed(why) = judgement {
            let news = CanaryNews::Condemned(why);
            self.tell(now, Happening::Canary { canary, news });
        }
        let state = &mut self.canaries[canary as usize];
        if is_condemned {
            state.decide(CanaryOutcome::RolledBack, now);
            state.split = Split::plain(0);
            return self.write_split(canary, context);
        }
        if now >= until && judgement == Judgement::Successful {
            state.steps += 1;
            state.phase = Phase::Due;
            let news = CanaryNews::StepDone(state.steps);
            self.tell(now, Happening::Canary { canary, news });
            return self.next_step(canary, context);
        }
        let look = state.next_look(now, until);
        state.phase = Phase::Paused { until, look };
        self.wake_canary(canary, look, context);
    }

    /// A pod of a workload has answered, with an error or after so long; perhaps a copy.
    pub(crate) fn count_for_canaries(
        &mut self,
        pod: u32,
        latency: Option<Duration>,
        is_copy: bool,
        now: Time,
    ) {
        let workload = self.pods[pod as usize].workload;
        let (seed, place) = (self.seed, self.id);
        let topology = self.topology;
        let counting = self.canaries.iter_mut().filter(|state| state.is_counting());
        for state in counting {
            let Some(watched) = state.watched(workload) else {
                continue;
            };
            let interval = watched.scraped.interval();
            let phase = || {
                let name = format!("scrapes of {}", topology.partition_name(place));
                let mut draw = Stream::new(seed, &name).draw(u64::from(pod), 0);
                interval.mul_f64(draw.uniform())
            };
            watched.scraped.count(pod, latency, phase, now);
            if !is_copy {
                watched.served.count(latency);
            }
        }
    }

    /// What becomes of this cluster's releases in the books.
    pub(crate) fn canary_records(&mut self) -> Vec<CanaryRecord> {
        let Some(cluster) = self.cluster else {
            return Vec::new();
        };
        let states = self.canaries.iter_mut();
        states.map(|state| state.record(cluster)).collect()
    }
}
