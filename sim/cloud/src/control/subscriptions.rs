//! Streams of proxies to istiod: who is told what changes, and who has to come back.
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
//! Streams of machines of sites are those of [`super::enrolment`]; what ztunnels make of theirs is
//! in [`super::ztunnels`].
//! Sources: [`crate::istio::stream`]; istio/istio pilot/pkg/xds/{ads,delta,discovery}.go;
//! istio/ztunnel src/xds/client.rs.
//! Validated by: a herd at the rate of its istiod, and proxies that start without one, in the
//! crate's tests and in `tests/promises/outages.rs`.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::istio::push::Push;
use crate::istio::stream::{self, Reconnect};
use crate::path::ztunnel;
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
        for proxy in self.subscribers() {
            let is_on_site = |pod: u32| self.pods[pod as usize].site.is_some();
            if ztunnel::node_of(proxy).is_none() && is_on_site(proxy) {
                continue;
            }
            let Some(subscription) = self.subscription(proxy) else {
                continue;
            };
            subscription.state = State::Open;
            let mut draw = self.subscription_draw(proxy, 0);
            let left = stream::age(&mut draw).mul_f64(draw.uniform());
            self.await_age(proxy, left, context);
        }
    }

    /// The numbers of all that may have a stream.
    fn subscribers(&self) -> impl Iterator<Item = u32> + use<> {
        let nodes = match self.ztunnels {
            Some(_) => self.nodes.len() as u32,
            None => 0,
        };
        (0..self.pods.len() as u32).chain((0..nodes).map(ztunnel::number_of))
    }

    /// A proxy has started, and wants a stream.
    pub(crate) fn subscribe(&mut self, proxy: u32, context: &mut Clock<'_, Self>) {
        self.step_of_stream(proxy, Duration::ZERO, Step::Tried, State::Trying, context);
    }

    /// The stream of a proxy that runs.
    fn subscription(&mut self, proxy: u32) -> Option<&mut Subscription> {
        if let Some(node) = ztunnel::node_of(proxy) {
            let ztunnel = self.nodes[node as usize].ztunnel.as_mut();
            let running = ztunnel.filter(|ztunnel| ztunnel.runs);
            return running.map(|ztunnel| &mut ztunnel.subscription);
        }
        let sidecar = self.pods[proxy as usize].sidecar.as_mut();
        let running = sidecar.filter(|sidecar| sidecar.runs);
        running.map(|sidecar| &mut sidecar.subscription)
    }

    fn subscription_draw(&self, proxy: u32, number: u32) -> Draw {
        if let (Some(node), Some(streams)) = (ztunnel::node_of(proxy), &self.ztunnels) {
            let stream = &streams.subscriptions;
            return stream.draw(u64::from(node), u64::from(number));
        }
        let workload = self.pods[proxy as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.subscriptions;
        stream.draw(u64::from(proxy), u64::from(number))
    }

    /// A stream comes into a state, in which a step follows after a time.
    fn step_of_stream(
        &mut self,
        proxy: u32,
        wait: Duration,
        step: Step,
        state: State,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(subscription) = self.subscription(proxy) else {
            return;
        };
        subscription.state = state;
        subscription.number += 1;
        let number = subscription.number;
        // Most ages lie beyond the end of a run.
        if (context.now() + wait).since(Time::ZERO) <= self.topology.scenario.run.duration {
            context.after(
                wait,
                Event::Streamed {
                    proxy,
                    number,
                    step,
                },
            );
        }
    }

    /// An open stream ends when it has reached its age.
    fn await_age(&mut self, proxy: u32, left: Duration, context: &mut Clock<'_, Self>) {
        let left = left + facts::ISTIOD_STREAM_AGE_GRACE.value;
        self.step_of_stream(proxy, left, Step::Aged, State::Open, context);
    }

    /// Something happens to a proxy's stream.
    pub(crate) fn streamed(
        &mut self,
        (proxy, number): (u32, u32),
        step: Step,
        context: &mut Clock<'_, Self>,
    ) {
        let subscription = self.subscription(proxy);
        if subscription.is_none_or(|subscription| subscription.number != number) {
            return;
        }
        match step {
            Step::Tried => self.stream_tried(proxy, context),
            Step::Taken => self.stream_taken(proxy, context),
            Step::Missed | Step::Aged => self.stream_ends(proxy, context),
        }
    }

    /// Whether anything passes between a proxy and its cluster, under these levers.
    fn is_connected(&self, levers: &Levers, proxy: u32) -> bool {
        match ztunnel::node_of(proxy) {
            Some(node) => levers.node(node).is_none(),
            None => self.is_joined_to_cluster(levers, proxy),
        }
    }

    /// Whether a proxy that asks now is heard and believes the answer.
    pub(super) fn can_subscribe(&self, proxy: u32, now: Time) -> bool {
        self.is_connected(&self.levers, proxy) && self.istiod_answers(now)
    }

    /// A proxy asks: it waits for its token, or is turned away.
    fn stream_tried(&mut self, proxy: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(proxy, now) {
            return self.stream_ends(proxy, context);
        }
        let entrance = &mut self.istiod.as_mut().expect("it takes streams").entrance;
        if entrance.wait(now) > facts::ISTIOD_STREAM_WAIT_MAX.value {
            return self.stream_ends(proxy, context);
        }
        let wait = entrance.take(now);
        self.step_of_stream(proxy, wait, Step::Taken, State::Trying, context);
    }

    /// istiod takes a stream, and tells all that it knows on it.
    fn stream_taken(&mut self, proxy: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(proxy, now) {
            return self.stream_ends(proxy, context);
        }
        let number = {
            let subscription = self.subscription(proxy).expect("it runs");
            subscription.pauses.answered();
            subscription.number
        };
        let age = stream::age(&mut self.subscription_draw(proxy, number));
        self.await_age(proxy, age, context);
        self.tell_everything(proxy, &Push::forced(now), context);
    }

    /// A stream has ended, or could not be had: the proxy tries again after its pause, if then
    /// istiod can be reached.
    fn stream_ends(&mut self, proxy: u32, context: &mut Clock<'_, Self>) {
        let pause = self.pause_of_stream(proxy);
        if self.can_subscribe(proxy, context.now()) {
            self.step_of_stream(proxy, pause, Step::Tried, State::Trying, context);
        } else if let Some(subscription) = self.subscription(proxy) {
            subscription.state = State::Away(context.now() + pause);
        }
    }

    /// The pause before the next try.
    fn pause_of_stream(&mut self, proxy: u32) -> Duration {
        let Some(subscription) = self.subscription(proxy) else {
            return Duration::ZERO;
        };
        subscription.number += 1;
        let number = subscription.number;
        let mut draw = self.subscription_draw(proxy, number);
        let subscription = self.subscription(proxy).expect("it runs");
        match ztunnel::node_of(proxy) {
            Some(_) => subscription.pauses.pause_of_ztunnel(),
            None => subscription.pauses.pause(&mut draw),
        }
    }

    /// Proxies may have lost istiod, or can reach it again.
    pub(super) fn subscriptions_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        if self.istiod.is_none() {
            return;
        }
        self.certificates_resumed(before, context);
        let is_down = |levers: &Levers| levers.control.down.contains(&Component::Istiod);
        let has_ended = !is_down(before) && is_down(&self.levers);
        if has_ended {
            self.keys_are_forgotten();
            self.pushes_are_forgotten();
        }
        self.await_calm(context);
        let is_frozen = self.levers.control.frozen.contains(&Component::Istiod);
        for proxy in self.subscribers() {
            let state = self.subscription(proxy).map(|it| it.state);
            let is_joined = !is_frozen && self.is_connected(&self.levers, proxy);
            match state {
                // istiod is gone, and its streams with it.
                Some(State::Open | State::Silent) if has_ended => self.stream_ends(proxy, context),
                Some(State::Open) if !is_joined => {
                    let patience = stream::silence();
                    self.step_of_stream(proxy, patience, Step::Missed, State::Silent, context);
                }
                Some(State::Silent | State::Away(_)) => self.stream_comes_back(proxy, context),
                _ => {}
            }
        }
    }

    /// Proxies that are away and can reach istiod again will try.
    pub(super) fn streams_come_back(&mut self, context: &mut Clock<'_, Self>) {
        for proxy in self.subscribers() {
            self.stream_comes_back(proxy, context);
        }
    }

    fn stream_comes_back(&mut self, proxy: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.can_subscribe(proxy, now) {
            return;
        }
        match self.subscription(proxy).map(|it| it.state) {
            // It has outlived the interruption, and brings what was said meanwhile.
            Some(State::Silent) => {
                let number = self.subscription(proxy).expect("it runs").number;
                let age = stream::age(&mut self.subscription_draw(proxy, number));
                self.await_age(proxy, age, context);
                let told = self.told_now();
                let event = Event::SidecarTold { pod: proxy, told };
                context.after(facts::WATCH_DELAY.value, event);
            }
            Some(State::Away(mut next)) => {
                while next < now {
                    next += self.pause_of_stream(proxy);
                }
                self.step_of_stream(proxy, next.since(now), Step::Tried, State::Trying, context);
            }
            _ => {}
        }
    }
}
