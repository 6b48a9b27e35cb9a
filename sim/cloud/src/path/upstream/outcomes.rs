//! What comes of a sidecar's attempts: further ones, and hosts that are left out for a while.
//!
//! Models: every outcome is told to the cluster's detector and to the retries of the request;
//! sweeps of detectors; threads that hear of health a merge window late; the end of a route's
//! time.
//! Sources: envoyproxy/envoy source/common/router/router.cc; [`crate::envoy::outlier`],
//! [`crate::envoy::retry`], [`crate::envoy::merge`].
//! Validated by: failures counted by hand in the crate's tests.

use super::super::Outcome;
use super::super::call::Stage;
use super::Slot;
use crate::domain::{Clock, Domain, Event};
use crate::envoy::flags::Flag;
use crate::envoy::merge::{Change, Delivery};
use crate::envoy::outlier::{self, Happening, OutlierDetector};
use crate::envoy::retry::{self, Cut, Sent, Verdict};
use crate::record::Reason;
use crate::slab::Key;
use engine::{Draw, Duration, Time};

impl Domain<'_> {
    /// Enters the next sweep of a cluster's detector into the calendar, if it has one.
    pub(super) fn await_sweep(&mut self, pod: u32, upstream: u32, context: &mut Clock<'_, Self>) {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let Some(sidecar) = sidecar else { return };
        let starts = sidecar.starts;
        let known = &sidecar.upstreams[upstream as usize];
        let Some(detector) = &known.outlier else {
            return;
        };
        let (since, interval) = (known.since, detector.interval());
        let passed = context.now().saturating_since(since).as_nanos() / interval.as_nanos();
        let event = Event::Swept {
            pod,
            starts,
            upstream,
        };
        context.schedule(since + interval * (passed + 1), event);
    }

    /// A sidecar sweeps through the hosts of a cluster.
    pub(crate) fn swept(
        &mut self,
        pod: u32,
        starts: u16,
        upstream: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        self.judge(
            (pod, starts),
            upstream,
            context,
            |detector, draw, report| {
                detector.sweep(now, draw, report);
            },
        );
        if self.sidecar_runs(pod, starts) {
            self.await_sweep(pod, upstream, context);
        }
    }

    /// Whether a sidecar has not ended since.
    fn sidecar_runs(&self, pod: u32, starts: u16) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        sidecar.is_some_and(|sidecar| sidecar.runs && sidecar.starts == starts)
    }

    /// Something happens to a cluster's detector, and threads hear of whom it left out or let in.
    fn judge(
        &mut self,
        (pod, starts): (u32, u16),
        upstream: u32,
        context: &mut Clock<'_, Self>,
        happens: impl FnOnce(&mut OutlierDetector, &mut Draw, &mut dyn FnMut(Happening)),
    ) {
        let now = context.now();
        if !self.sidecar_runs(pod, starts) {
            return;
        }
        let mut draw = self.health_draw(pod, now);
        let Some(known) = self.upstream(pod, upstream) else {
            return;
        };
        let Some(detector) = &mut known.outlier else {
            return;
        };
        let mut changed = Vec::new();
        let members = &known.members;
        happens(detector, &mut draw, &mut |happening| match happening {
            Happening::Ejected(place, _) | Happening::Returned(place) => {
                changed.push(members[place as usize].priority as usize);
            }
            Happening::Observed(..) | Happening::Overflowed(..) => {}
        });
        changed.sort_unstable();
        for priority in changed {
            match known.windows[priority].change(Change::Merged, now) {
                Delivery::Now => known.tell_threads(priority..priority + 1, &mut draw, now),
                Delivery::Waits => {}
                Delivery::At(at) => {
                    let event = Event::ThreadsHear {
                        pod,
                        starts,
                        upstream,
                        priority: priority as u16,
                    };
                    context.schedule(at, event);
                }
            }
        }
    }

    /// A merge window ends: threads hear how the hosts of a priority are.
    pub(crate) fn threads_hear(
        &mut self,
        pod: u32,
        starts: u16,
        (upstream, priority): (u32, u16),
        now: Time,
    ) {
        if !self.sidecar_runs(pod, starts) {
            return;
        }
        let mut draw = self.health_draw(pod, now);
        let priority = usize::from(priority);
        if let Some(known) = self.upstream(pod, upstream)
            && known
                .windows
                .get_mut(priority)
                .is_some_and(|it| it.fire(now))
        {
            known.tell_threads(priority..priority + 1, &mut draw, now);
        }
    }

    /// What is drawn when hosts of a sidecar's are left out or let in.
    fn health_draw(&self, pod: u32, now: Time) -> Draw {
        let workload = self.pods[pod as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.health;
        stream.draw(u64::from(pod), now.as_nanos())
    }

    /// An attempt of a sidecar has ended: its host is judged by it. Says how long the sidecar
    /// pauses before it tries again, if it does.
    pub(in crate::path) fn pause_of_sidecar(
        &mut self,
        key: Key,
        passage: Key,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) -> Option<Duration> {
        let stage = self.calls[key].stage;
        let verdict = self.judge_attempt(key, passage, outcome, context);
        if let Some(Verdict::After(pause)) = verdict {
            return Some(pause);
        }
        self.flag_attempt(passage, outcome, stage, verdict);
        None
    }

    /// What comes of an attempt, if retries are asked about it.
    fn judge_attempt(
        &mut self,
        key: Key,
        passage: Key,
        outcome: Outcome,
        context: &mut Clock<'_, Self>,
    ) -> Option<Verdict> {
        let call = &self.calls[key];
        let seen = seen(outcome, call.stage)?;
        let identity = call.work().part(PAUSE);
        let slot = self.passages[passage].slot?;
        self.tell_detector(slot, seen, context);
        let state = &self.passages[passage];
        if state.is_copy() || outcome.is_ok() && state.retries.made() == 0 {
            return None;
        }
        let pod = &self.pods[state.pod as usize];
        let stream = &self.workloads[pod.workload.index()].sidecars.work;
        let mut draw = stream.draw(identity.request, identity.branch);
        let mut retries = state.retries;
        let policy = self.ways.at(state.way).retries.clone()?;
        let (_, breakers) = self.host_pool(slot)?;
        let verdict = retries.decide(&policy, seen, breakers, &mut draw);
        self.passages[passage].retries = retries;
        Some(verdict)
    }

    /// The detector of a cluster hears what came of an attempt.
    fn tell_detector(&mut self, slot: Slot, seen: retry::Outcome, context: &mut Clock<'_, Self>) {
        let result = match seen {
            retry::Outcome::Status(status) => outlier::Result::Status(status),
            retry::Outcome::Grpc(_) | retry::Outcome::Cut(Cut::Overflow, _) => return,
            retry::Outcome::Cut(Cut::ConnectFailure, _) => outlier::Result::ConnectFailed,
            retry::Outcome::Cut(Cut::Local, _) => outlier::Result::TimedOut,
            retry::Outcome::Cut(Cut::Remote | Cut::RefusedStream, _) => outlier::Result::Reset,
        };
        self.tell_result(slot, result, context);
    }

    /// A request has got a connection: only detectors that tell connections apart care.
    pub(super) fn tell_connected(&mut self, slot: Slot, context: &mut Clock<'_, Self>) {
        let known = self.upstream(slot.pod, slot.upstream);
        let detector = known.and_then(|known| known.outlier.as_ref());
        if detector.is_some_and(OutlierDetector::splits) {
            self.tell_result(slot, outlier::Result::Connected, context);
        }
    }

    fn tell_result(&mut self, slot: Slot, result: outlier::Result, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let Some(known) = self.upstream(slot.pod, slot.upstream) else {
            return;
        };
        let place = known.hosts[slot.host as usize].place;
        let Some(place) = place.filter(|_| known.outlier.is_some()) else {
            return;
        };
        let said = known.told.outlier.as_ref();
        let result = said.map_or(result, |said| result.by(&said.error_codes));
        let sidecar = self.pods[slot.pod as usize].sidecar.as_ref();
        let starts = sidecar.map_or(0, |sidecar| sidecar.starts);
        self.judge(
            (slot.pod, starts),
            slot.upstream,
            context,
            |detector, draw, report| {
                detector.tell(place, result, now, draw, report);
            },
        );
    }

    /// The call that sends a request on, until there is an answer.
    pub(in crate::path) fn open_call(&self, key: Key) -> Option<Key> {
        let call = self.passages.get(key)?.call?;
        self.calls.get(call).map(|_| call)
    }

    /// The call that sends a request on ends before there is an answer.
    pub(in crate::path) fn end_call(&mut self, key: Key, call: Key) {
        self.calls.remove(call);
        let mut retries = self.passages[key].retries;
        let slot = self.passages[key].slot;
        if let Some((_, breakers)) = slot.and_then(|slot| self.host_pool(slot)) {
            retries.release(breakers);
        }
        self.passages[key].retries = retries;
    }

    /// Whether a request has gone through a sidecar, or its answer is on its way back.
    pub(crate) fn is_through(&self, key: Key) -> bool {
        self.open_call(key).is_none()
    }

    /// The time for a request with all its attempts is over.
    pub(crate) fn route_timed_out(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(call) = self.open_call(key) else {
            return;
        };
        let slot = self.passages[key].slot;
        let stage = self.calls[call].stage;
        if stage != Stage::Paused {
            self.abandon(call, context);
            self.meter_attempt(call, Err(Reason::Timeout), context);
            // A request that waits for a connection has no host yet that could be to blame.
            if let Some(slot) = slot.filter(|_| stage != Stage::Queued) {
                self.tell_result(slot, outlier::Result::TimedOut, context);
            }
        }
        self.end_call(key, call);
        self.passages[key].flags.set(Flag::RequestTimeout);
        self.passage_answered(key, Err(Reason::GatewayTimeout), 0, context);
    }
}

/// The part of an attempt's draws that belongs to the pause after it.
const PAUSE: u64 = 3;

/// What Envoy sees of an attempt; `None` if it was not made.
fn seen(outcome: Outcome, stage: Stage) -> Option<retry::Outcome> {
    let Err(reason) = outcome else {
        return Some(retry::Outcome::Status(200));
    };
    let unsent = stage == Stage::Queued;
    Some(match reason {
        Reason::NoEndpoints | Reason::NameUnresolved => return None,
        Reason::NoCluster | Reason::Injected if stage.endpoint().is_none() => return None,
        Reason::NoCluster | Reason::Injected => retry::Outcome::Status(503),
        Reason::Forbidden | Reason::RateLimited | Reason::Unauthenticated | Reason::Blocked => {
            retry::Outcome::Status(reason.status())
        }
        Reason::Overflow if unsent => retry::Outcome::Cut(Cut::Overflow, Sent::Nothing),
        Reason::Refused | Reason::ConnectTimeout => {
            retry::Outcome::Cut(Cut::ConnectFailure, Sent::Nothing)
        }
        Reason::Timeout => retry::Outcome::Cut(Cut::Local, Sent::Begun),
        Reason::Reset => retry::Outcome::Cut(Cut::Remote, Sent::Begun),
        Reason::NoRoute => retry::Outcome::Status(404),
        Reason::ServerError | Reason::DependencyFailed => retry::Outcome::Status(500),
        Reason::Overflow | Reason::Unavailable => retry::Outcome::Status(503),
        Reason::GatewayTimeout => retry::Outcome::Status(504),
    })
}
