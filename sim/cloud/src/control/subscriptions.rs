//! Streams of sidecars and gateways to istiod: who is told what changes, and who has to come back.
//!
//! Models: a proxy that starts, knows nothing and asks at once; a stream that istiod ends at its
//! age, after which the proxy comes back within its pause; streams that end with istiod, or when
//! nothing has passed between a proxy and istiod for as long as keep-alives wait; pauses between
//! tries that grow; the rate at which istiod takes streams, and turns away whom it would keep
//! waiting for more than a second. Who is taken is told everything, in turn with the other pushes.
//!
//! Approximated: the last keep-alive came just before a node was cut off; tries in vain are not
//! in the calendar but counted when istiod can be reached again; the ways between a proxy and
//! istiod take no time of their own; a stream that outlives an interruption has its age anew.
//! Streams of machines of sites are those of
//! [`super::enrolment`], and ztunnels' are taken for granted.
//! Sources: [`crate::istio::stream`]; istio/istio pilot/pkg/xds/{ads,delta,discovery}.go.
//! Validated by: a herd at the rate of its istiod, and proxies that start without one, in the
//! crate's tests and in `tests/promises/outages.rs`.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::istio::push::Push;
use crate::istio::stream::{self, Reconnect};
use crate::scenario::Component;
use engine::{Draw, Duration, Time};

/// A proxy's stream to istiod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    state: State,
    pauses: Reconnect,
    /// Which try or stream this is: what is in the calendar counts only for one of them.
    pub(crate) number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none, and nobody wants one.
    Absent,
    /// istiod tells of changes on it.
    Open,
    /// Nothing passes, and neither end has noticed.
    Silent,
    /// The next try is in the calendar, or waits for its token.
    Trying,
    /// istiod cannot be reached; it would be tried at this instant, and again after each pause.
    Away(Time),
}

/// What happens to a proxy's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The proxy tries to open one.
    Tried,
    /// istiod takes it, after it has waited for its token.
    Taken,
    /// Keep-alives have been waited for in vain.
    Missed,
    /// It has reached its age.
    Aged,
}

impl Subscription {
    /// None.
    pub(crate) const ABSENT: Subscription = Subscription {
        state: State::Absent,
        pauses: Reconnect::NEW,
        number: 0,
    };

    /// Whether what istiod says arrives.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Its proxy has ended.
    pub(crate) fn end(&mut self) {
        *self = Subscription {
            number: self.number + 1,
            ..Subscription::ABSENT
        };
    }
}

impl Domain<'_> {
    /// Proxies that there are from the start have streams of any age.
    pub(crate) fn start_subscriptions(&mut self, context: &mut Clock<'_, Self>) {
        for pod in 0..self.pods.len() as u32 {
            if self.pods[pod as usize].site.is_some() {
                continue;
            }
            let Some(subscription) = self.subscription(pod) else {
                continue;
            };
            subscription.state = State::Open;
            let mut draw = self.subscription_draw(pod, 0);
            let left = stream::age(&mut draw).mul_f64(draw.uniform());
            self.await_age(pod, left, context);
        }
    }

    /// A proxy has started, and wants a stream.
    pub(crate) fn subscribe(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        self.step_of_stream(pod, Duration::ZERO, Step::Tried, State::Trying, context);
    }

    /// The stream of a proxy that runs.
    fn subscription(&mut self, pod: u32) -> Option<&mut Subscription> {
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let running = sidecar.filter(|sidecar| sidecar.runs);
        running.map(|sidecar| &mut sidecar.subscription)
    }

    fn subscription_draw(&self, pod: u32, number: u32) -> Draw {
        let workload = self.pods[pod as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.subscriptions;
        stream.draw(u64::from(pod), u64::from(number))
    }

    /// A stream comes into a state, in which a step follows after a time.
    fn step_of_stream(
        &mut self,
        pod: u32,
        wait: Duration,
        step: Step,
        state: State,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(subscription) = self.subscription(pod) else {
            return;
        };
        subscription.state = state;
        subscription.number += 1;
        let number = subscription.number;
        // Most ages lie beyond the end of a run.
        if (context.now() + wait).since(Time::ZERO) <= self.topology.scenario.run.duration {
            context.after(wait, Event::Streamed { pod, number, step });
        }
    }

    /// An open stream ends when it has reached its age.
    fn await_age(&mut self, pod: u32, left: Duration, context: &mut Clock<'_, Self>) {
        let left = left + facts::ISTIOD_STREAM_AGE_GRACE.value;
        self.step_of_stream(pod, left, Step::Aged, State::Open, context);
    }

    /// Something happens to a proxy's stream.
    pub(crate) fn streamed(
        &mut self,
        (pod, number): (u32, u32),
        step: Step,
        context: &mut Clock<'_, Self>,
    ) {
        let subscription = self.subscription(pod);
        if subscription.is_none_or(|subscription| subscription.number != number) {
            return;
        }
        match step {
            Step::Tried => self.stream_tried(pod, context),
            Step::Taken => self.stream_taken(pod, context),
            Step::Missed | Step::Aged => self.stream_ends(pod, context),
        }
    }

    /// Whether a proxy that asks now is heard and believes the answer.
    fn can_subscribe(&self, pod: u32, now: Time) -> bool {
        self.reaches_istiod(pod) && self.istiod_answers(now)
    }

    /// A proxy asks: it waits for its token, or is turned away.
    fn stream_tried(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(pod, now) {
            return self.stream_ends(pod, context);
        }
        let entrance = &mut self.istiod.as_mut().expect("it takes streams").entrance;
        if entrance.wait(now) > facts::ISTIOD_STREAM_WAIT_MAX.value {
            return self.stream_ends(pod, context);
        }
        let wait = entrance.take(now);
        self.step_of_stream(pod, wait, Step::Taken, State::Trying, context);
    }

    /// istiod takes a stream, and tells all that it knows on it.
    fn stream_taken(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(pod, now) {
            return self.stream_ends(pod, context);
        }
        let number = {
            let subscription = self.subscription(pod).expect("it runs");
            subscription.pauses.answered();
            subscription.number
        };
        let age = stream::age(&mut self.subscription_draw(pod, number));
        self.await_age(pod, age, context);
        self.tell_everything(pod, &Push::forced(now), context);
    }

    /// A stream has ended, or could not be had: the proxy tries again after its pause, if then
    /// istiod can be reached.
    fn stream_ends(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let pause = self.pause_of_stream(pod);
        if self.can_subscribe(pod, context.now()) {
            self.step_of_stream(pod, pause, Step::Tried, State::Trying, context);
        } else if let Some(subscription) = self.subscription(pod) {
            subscription.state = State::Away(context.now() + pause);
        }
    }

    /// The pause before the next try.
    fn pause_of_stream(&mut self, pod: u32) -> Duration {
        let Some(subscription) = self.subscription(pod) else {
            return Duration::ZERO;
        };
        subscription.number += 1;
        let number = subscription.number;
        let mut draw = self.subscription_draw(pod, number);
        let subscription = self.subscription(pod).expect("it runs");
        subscription.pauses.pause(&mut draw)
    }

    /// Proxies may have lost istiod, or can reach it again.
    pub(super) fn subscriptions_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        if self.istiod.is_none() {
            return;
        }
        self.certificates_resumed(before, context);
        let is_down = |levers: &Levers| levers.control.down.contains(&Component::Istiod);
        let has_ended = !is_down(before) && is_down(&self.levers);
        let is_frozen = self.levers.control.frozen.contains(&Component::Istiod);
        for pod in 0..self.pods.len() as u32 {
            let state = self.subscription(pod).map(|it| it.state);
            let is_joined = !is_frozen && self.is_joined_to_cluster(&self.levers, pod);
            match state {
                // istiod is gone, and its streams with it.
                Some(State::Open | State::Silent) if has_ended => self.stream_ends(pod, context),
                Some(State::Open) if !is_joined => {
                    let patience = stream::silence();
                    self.step_of_stream(pod, patience, Step::Missed, State::Silent, context);
                }
                Some(State::Silent | State::Away(_)) => self.stream_comes_back(pod, context),
                _ => {}
            }
        }
    }

    /// Proxies that are away and can reach istiod again will try.
    pub(super) fn streams_come_back(&mut self, context: &mut Clock<'_, Self>) {
        for pod in 0..self.pods.len() as u32 {
            self.stream_comes_back(pod, context);
        }
    }

    fn stream_comes_back(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(pod, now) {
            return;
        }
        match self.subscription(pod).map(|it| it.state) {
            // It has outlived the interruption, and brings what was said meanwhile.
            Some(State::Silent) => {
                let number = self.subscription(pod).expect("it runs").number;
                let age = stream::age(&mut self.subscription_draw(pod, number));
                self.await_age(pod, age, context);
                let told = self.told_now();
                let event = Event::SidecarTold { pod, told };
                context.after(facts::WATCH_DELAY.value, event);
            }
            Some(State::Away(mut next)) => {
                while next < now {
                    next += self.pause_of_stream(pod);
                }
                self.step_of_stream(pod, next.since(now), Step::Tried, State::Trying, context);
            }
            _ => {}
        }
    }
}
