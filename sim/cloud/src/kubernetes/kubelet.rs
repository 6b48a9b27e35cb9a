//! The life of a pod under its kubelet: from being bound to its node until it is gone.
//!
//! Models: sandbox, init containers, image, container and application in turn; what the
//! kubelet knows, which lags behind what is so by up to a relist of the containers; probes;
//! restarts with their pauses; the end, with a hook inside the grace period, the signal to
//! stop, what the application makes of that, and the kill. A restart for the sake of liveness
//! ends the container in the same way.
//! Approximated: one container per pod; all init containers are one; a kubelet that was down
//! finds what happened meanwhile at the times at which it would have found it.
//! A proxy beside the application may hold its start back, and may outlive it; what becomes of
//! that container is told from outside.
//! Leaves out: volumes, evictions under pressure.
//! Sources: kubernetes/kubernetes pkg/kubelet (kubelet.go, pleg, prober, kuberuntime).
//! Validated by: lives worked out by hand, and times of detection over all phases, below.

use super::back_off::{BackOff, Pauses};
use super::probe::{Condition, Prober, Probes, Verdict};
use crate::scenario::OnStop;
use engine::{Duration, Time};
use std::sync::Arc;

/// What a pod asks of its kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Work of the init containers.
    pub init: Duration,
    /// From the start of the container until the application takes connections.
    pub start_up: Duration,
    /// How it is probed.
    pub probes: Probes,
    /// How long its hook runs before it is told to stop.
    pub pre_stop: Duration,
    /// How long it may take to stop, hook and all.
    pub grace: Duration,
    /// What the application does when it is told to stop.
    pub on_stop: OnStop,
    /// Whether its container is started once a proxy beside it is ready.
    pub waits_for_proxy: bool,
}

/// How fast a kubelet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From hearing of a pod to its sandbox with an address.
    pub sandbox: Duration,
    /// From an image that is there to a running container.
    pub container: Duration,
    /// From one relist of the containers to the next; zero if it knows all at once.
    pub relist: Duration,
    /// A relist happens at this instant.
    pub phase: Time,
    /// Least time between the signal to stop and the kill.
    pub grace_min: Duration,
    /// Pauses between restarts.
    pub restarts: Pauses,
}

impl Pace {
    /// When the kubelet gets to know of what happens at `at`.
    fn notices(&self, at: Time) -> Time {
        let relist = self.relist.as_nanos();
        if relist == 0 {
            return at;
        }
        let phase = self.phase.as_nanos() % relist;
        let since = at.as_nanos().saturating_sub(phase);
        Time::from_nanos(phase + since.div_ceil(relist) * relist)
    }
}

/// What comes of a pod's life, for those who act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its node needs the image: say [`Life::pulled`] when it is there.
    Pull,
    /// Its container runs.
    Started,
    /// The application takes connections.
    Serves,
    /// It takes no more, and finishes what it has begun: say [`Life::drained`] when it has.
    Drains,
    /// The container has ended, with all that was in it.
    Exited,
    /// The kubelet finds the pod ready.
    Ready,
    /// The kubelet finds it not ready.
    NotReady,
    /// A probe has failed for good: what it was for.
    Unhealthy(Probed),
    /// The kubelet stops the container.
    Killing,
    /// A restart has to wait for so long.
    BackOff(Duration),
    /// The kubelet has let the pod go.
    Gone,
    /// Its proxy is to be started: say [`Life::proxy_is_ready`] when it is.
    Prepared,
    /// The kubelet begins to stop the containers of the pod.
    Ending,
}

/// What a kubelet says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// What it needs is made ready.
    Preparing,
    /// It is made, for the first time or again.
    Creating,
    /// It runs.
    Running,
    /// It waits to be started again.
    BackOff,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Whether the application has started.
    Startup,
    /// Whether it takes requests.
    Readiness,
    /// Whether it lives.
    Liveness,
}

/// What the kubelet is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Sandbox and init containers.
    Preparing { until: Time },
    /// The proxy has to be ready first.
    Held,
    /// The image comes.
    Pulling,
    /// The container is made.
    Creating { until: Time },
    /// It was started.
    Watching,
    /// It has failed, and waits to be started again.
    Waiting { until: Time, failed: Time },
    /// Its hook runs.
    PreStop { until: Time, kill_at: Time },
    /// It was told to stop.
    Signalled { kill_at: Time },
    /// Nothing: its node is without power.
    Off,
    /// Nothing more.
    Gone,
}

/// The container, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Absent,
    /// It runs; the application takes connections from then on.
    Starting {
        since: Time,
        serves_at: Time,
    },
    Serving {
        since: Time,
    },
    Draining,
    Exited {
        at: Time,
    },
}

/// A pod's life so far.
#[derive(Clone, Debug)]
pub struct Life {
    plan: Arc<Plan>,
    pace: Pace,
    /// When the kubelet heard of it: its probes stand on a grid through this instant.
    admitted: Time,
    stage: Stage,
    container: Container,
    hangs: bool,
    /// When the kubelet gets to know what the container has become.
    notice: Option<Time>,
    prober: Option<Box<Prober>>,
    back_off: BackOff,
    ready: bool,
    /// Whether its end was asked for.
    deleted: bool,
    /// How long it may take to stop, if whoever asked for it said otherwise.
    grace: Option<Duration>,
    /// Whether a proxy runs that is stopped like the application, and may outlive it.
    has_proxy: bool,
}

impl Life {
    /// A pod that its kubelet hears of now.
    pub fn admitted(plan: Arc<Plan>, pace: Pace, now: Time) -> Life {
        let until = now + pace.sandbox + plan.init;
        Life {
            plan,
            pace,
            admitted: now,
            stage: Stage::Preparing { until },
            container: Container::Absent,
            hangs: false,
            notice: None,
            prober: None,
            back_off: BackOff::default(),
            ready: false,
            deleted: false,
            grace: None,
            has_proxy: false,
        }
    }

    /// A pod that serves and is ready at `now`, and has been for long.
    pub fn established(plan: Arc<Plan>, pace: Pace, admitted: Time, now: Time) -> Life {
        let mut probes = plan.probes;
        let mut life = Life::admitted(plan, pace, admitted);
        life.stage = Stage::Watching;
        life.container = Container::Serving { since: now };
        life.ready = true;
        let condition = Condition::Healthy;
        probes.startup = None;
        let (prober, _) = Prober::new(probes, admitted, admitted, now, condition);
        life.prober = Some(Box::new(prober.established()));
        life
    }

    /// Its kubelet goes at another pace from now on; what has begun keeps its end.
    pub fn go_at(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Whether the kubelet finds it ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the kubelet has let it go.
    pub fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// When the kubelet will know what the container has become, if it does not yet.
    pub fn notices_at(&self) -> Option<Time> {
        self.notice
    }

    /// From an image that is there to a running container.
    pub fn container(&self) -> Duration {
        self.pace.container
    }

    /// What its init containers take.
    pub fn init(&self) -> Duration {
        self.plan.init
    }

    /// From the end's beginning to the kill, hook and all.
    pub fn time_to_stop(&self) -> Duration {
        self.grace
            .unwrap_or(self.plan.grace)
            .max(self.pace.grace_min)
    }

    /// Whether its container runs, as far as the kubelet knows.
    pub fn is_running(&self) -> bool {
        self.prober.is_some()
    }

    /// What the kubelet says of the container; nothing once it has let the pod go, or has no power.
    pub fn container_state(&self) -> Option<ContainerState> {
        let runs = matches!(
            self.container,
            Container::Starting { .. } | Container::Serving { .. }
        );
        match self.stage {
            Stage::Off | Stage::Gone => None,
            Stage::Preparing { .. } | Stage::Held => Some(ContainerState::Preparing),
            Stage::Pulling | Stage::Creating { .. } => Some(ContainerState::Creating),
            Stage::Waiting { .. } => Some(ContainerState::BackOff),
            // It has not seen yet that the container has come.
            Stage::Watching if runs && !self.is_running() => Some(ContainerState::Creating),
            Stage::Watching | Stage::PreStop { .. } | Stage::Signalled { .. } => {
                Some(ContainerState::Running)
            }
        }
    }

    /// Whether it waits for its image.
    pub fn is_pulling(&self) -> bool {
        self.stage == Stage::Pulling
    }

    /// When something happens if nothing else does.
    pub fn next(&self) -> Option<Time> {
        let stage = match self.stage {
            Stage::Preparing { until }
            | Stage::Creating { until }
            | Stage::Waiting { until, .. }
            | Stage::PreStop { until, .. } => Some(until),
            Stage::Signalled { kill_at } => Some(kill_at),
            Stage::Held | Stage::Pulling | Stage::Watching | Stage::Off | Stage::Gone => None,
        };
        let application = match self.container {
            Container::Starting { serves_at, .. } if !self.hangs => Some(serves_at),
            _ => None,
        };
        let probes = self.prober.as_ref().and_then(|prober| prober.turns_at());
        let all = [stage, application, self.notice, probes];
        all.into_iter().flatten().min()
    }

    /// Time has come to `now`.
    pub fn wake(&mut self, now: Time, told: &mut Vec<Told>) {
        while let Some(at) = self.next().filter(|&at| at <= now) {
            self.step(at, told);
        }
    }

    /// What falls due at `at` happens; causes come before what notices them.
    fn step(&mut self, at: Time, told: &mut Vec<Told>) {
        if matches!(self.container, Container::Starting { serves_at, .. } if serves_at <= at)
            && !self.hangs
        {
            return self.serve(at, told);
        }
        if self.notice.is_some_and(|notice| notice <= at) {
            self.notice = None;
            return self.notices(at, told);
        }
        match self.stage {
            Stage::Preparing { until } if until <= at && self.plan.waits_for_proxy => {
                self.stage = Stage::Held;
                told.push(Told::Prepared);
            }
            Stage::Preparing { until } if until <= at => self.pull(told),
            Stage::Creating { until } if until <= at => self.start(at, told),
            Stage::Waiting { until, failed } if until <= at => self.restart(failed, at, told),
            Stage::PreStop { until, kill_at } if until <= at => self.signal(kill_at, at, told),
            Stage::Signalled { kill_at } if kill_at <= at => self.exit(at, told),
            _ => self.probe(at, told),
        }
    }

    fn pull(&mut self, told: &mut Vec<Told>) {
        self.stage = Stage::Pulling;
        told.push(Told::Pull);
    }

    /// The proxy is ready that its container waits for.
    pub fn proxy_is_ready(&mut self, told: &mut Vec<Told>) {
        if self.stage == Stage::Held {
            self.pull(told);
        }
    }

    /// A proxy begins to run that is stopped like the application.
    pub fn proxy_begins(&mut self) {
        self.has_proxy = true;
    }

    /// It has ended.
    pub fn proxy_ends(&mut self, now: Time) {
        self.has_proxy = false;
        let is_over = matches!(self.container, Container::Exited { .. });
        if self.deleted && is_over && self.stage == Stage::Watching {
            self.notice.get_or_insert(self.pace.notices(now));
        }
    }

    /// The node has the image.
    pub fn pulled(&mut self, now: Time) {
        if self.stage == Stage::Pulling {
            self.stage = Stage::Creating {
                until: now + self.pace.container,
            };
        }
    }

    fn start(&mut self, at: Time, told: &mut Vec<Told>) {
        self.stage = Stage::Watching;
        self.hangs = false;
        self.container = Container::Starting {
            since: at,
            serves_at: at + self.plan.start_up,
        };
        self.notice = Some(self.pace.notices(at));
        told.push(Told::Started);
    }

    fn serve(&mut self, at: Time, told: &mut Vec<Told>) {
        if let Container::Starting { since, .. } = self.container {
            self.container = Container::Serving { since };
        }
        self.condition_changed(at);
        told.push(Told::Serves);
    }

    /// The container, as a probe finds it.
    fn condition(&self) -> Condition {
        match self.container {
            Container::Starting { .. } | Container::Serving { .. } if self.hangs => {
                Condition::Hanging
            }
            Container::Serving { .. } => Condition::Healthy,
            _ => Condition::Failing,
        }
    }

    fn condition_changed(&mut self, at: Time) {
        let condition = self.condition();
        if let Some(prober) = &mut self.prober {
            prober.set_condition(condition, at);
        }
    }

    /// The kubelet gets to know what has become of the container.
    fn notices(&mut self, at: Time, told: &mut Vec<Told>) {
        match self.container {
            Container::Starting { since, .. } | Container::Serving { since } => {
                let condition = self.condition();
                let (prober, verdict) =
                    Prober::new(self.plan.probes, self.admitted, since, at, condition);
                self.prober = Some(Box::new(prober));
                if verdict == Some(Verdict::Ready) {
                    self.find_ready(true, told);
                }
            }
            Container::Exited { at: failed } => {
                self.prober = None;
                self.find_ready(false, told);
                if self.deleted && self.has_proxy {
                    return; // It is over when the proxy is.
                }
                if self.deleted {
                    return self.leave(told);
                }
                match self.back_off.remaining(failed, at, self.pace.restarts) {
                    Duration::ZERO => self.restart(failed, at, told),
                    pause => {
                        told.push(Told::BackOff(pause));
                        self.stage = Stage::Waiting {
                            until: at + pause,
                            failed,
                        };
                    }
                }
            }
            Container::Absent | Container::Draining => {}
        }
    }

    fn restart(&mut self, failed: Time, at: Time, told: &mut Vec<Told>) {
        self.back_off.tried(failed, at, self.pace.restarts);
        self.container = Container::Absent;
        self.pull(told);
    }

    fn find_ready(&mut self, ready: bool, told: &mut Vec<Told>) {
        if std::mem::replace(&mut self.ready, ready) != ready {
            told.push(if ready { Told::Ready } else { Told::NotReady });
        }
    }

    /// A probe's verdict changes.
    fn probe(&mut self, at: Time, told: &mut Vec<Told>) {
        let verdict = self.prober.as_mut().and_then(|prober| prober.turn(at));
        let Some(verdict) = verdict else {
            return;
        };
        match verdict {
            Verdict::Ready => self.find_ready(true, told),
            Verdict::Started => {}
            Verdict::NotReady => {
                told.push(Told::Unhealthy(Probed::Readiness));
                self.find_ready(false, told);
            }
            Verdict::NotLive => self.kill(Probed::Liveness, at, told),
            Verdict::NeverStarted => self.kill(Probed::Startup, at, told),
        }
    }

    fn kill(&mut self, probed: Probed, at: Time, told: &mut Vec<Told>) {
        told.push(Told::Unhealthy(probed));
        self.stop(at, told);
    }

    /// The end of the container begins.
    fn stop(&mut self, at: Time, told: &mut Vec<Told>) {
        if let Some(prober) = &mut self.prober {
            prober.stop();
        }
        told.push(Told::Killing);
        let grace = self.grace.unwrap_or(self.plan.grace);
        let hook = self.plan.pre_stop.min(grace);
        let left = grace.saturating_sub(hook).max(self.pace.grace_min);
        let kill_at = at + hook + left;
        match hook {
            Duration::ZERO => self.signal(kill_at, at, told),
            _ => {
                self.stage = Stage::PreStop {
                    until: at + hook,
                    kill_at,
                };
            }
        }
    }

    /// The application is told to stop.
    fn signal(&mut self, kill_at: Time, at: Time, told: &mut Vec<Told>) {
        self.stage = Stage::Signalled { kill_at };
        if self.hangs {
            return; // It does not hear.
        }
        match (self.container, self.plan.on_stop) {
            (Container::Serving { .. }, OnStop::Drain) => {
                self.container = Container::Draining;
                self.condition_changed(at);
                told.push(Told::Drains);
            }
            (Container::Serving { .. } | Container::Starting { .. }, _) => self.exit(at, told),
            (Container::Absent | Container::Draining | Container::Exited { .. }, _) => {}
        }
    }

    /// A draining application has nothing left to do.
    pub fn drained(&mut self, now: Time, told: &mut Vec<Told>) {
        if self.container == Container::Draining {
            self.exit(now, told);
        }
    }

    /// The container ends by itself, if it runs.
    pub fn crash(&mut self, now: Time, told: &mut Vec<Told>) {
        let runs = !matches!(self.container, Container::Absent | Container::Exited { .. });
        if runs {
            self.exit(now, told);
        }
    }

    fn exit(&mut self, at: Time, told: &mut Vec<Told>) {
        self.container = Container::Exited { at };
        self.condition_changed(at);
        self.stage = Stage::Watching;
        self.notice = Some(self.pace.notices(at));
        told.push(Told::Exited);
    }

    /// The application stops to answer, or answers again; one that is started anew answers.
    pub fn hang(&mut self, hangs: bool, now: Time, told: &mut Vec<Told>) {
        self.hangs = hangs;
        if let Container::Starting { since, serves_at } = self.container {
            let serves_at = serves_at.max(now);
            self.container = Container::Starting { since, serves_at };
        }
        self.condition_changed(now);
        if let Stage::Signalled { kill_at } = self.stage {
            self.signal(kill_at, now, told);
        }
    }

    /// The kubelet hears that the pod is to end, within another grace period than its own if
    /// one is given.
    pub fn delete(&mut self, grace: Option<Duration>, now: Time, told: &mut Vec<Told>) {
        if std::mem::replace(&mut self.deleted, true) {
            return;
        }
        self.grace = grace;
        if !matches!(self.stage, Stage::Off | Stage::Gone) {
            told.push(Told::Ending);
        }
        match (self.stage, self.container) {
            (Stage::Off | Stage::Gone, _) => {}
            // The end has begun already, for the sake of liveness.
            (Stage::PreStop { .. } | Stage::Signalled { .. }, _) => {}
            (Stage::Watching, Container::Exited { .. }) => {}
            (Stage::Watching, _) => self.stop(now, told),
            _ => self.leave(told),
        }
    }

    fn leave(&mut self, told: &mut Vec<Told>) {
        self.stage = Stage::Gone;
        self.notice = None;
        self.prober = None;
        self.find_ready(false, told);
        told.push(Told::Gone);
    }

    /// The node loses its power.
    pub fn power_off(&mut self, told: &mut Vec<Told>) {
        if self.stage == Stage::Gone {
            return;
        }
        self.stage = Stage::Off;
        self.notice = None;
        self.prober = None;
        // With its container, or with the proxy that it waits for or that outlives it.
        let runs = self.has_proxy
            || self.plan.waits_for_proxy
            || !matches!(self.container, Container::Absent | Container::Exited { .. });
        (self.container, self.has_proxy) = (Container::Absent, false);
        if runs {
            told.push(Told::Exited);
        }
    }

    /// The node runs again: the kubelet has forgotten all pauses and starts afresh.
    pub fn power_on(&mut self, pace: Pace, now: Time, told: &mut Vec<Told>) {
        if self.stage != Stage::Off {
            return;
        }
        self.find_ready(false, told);
        if self.deleted {
            return self.leave(told);
        }
        *self = Life::admitted(self.plan.clone(), pace, now);
    }
}

#[cfg(test)]
mod tests;
