//! istiod: what sidecars know of endpoints, and which generation of configuration they act on.
//!
//! Models: a watch of the API server; changes that wait for calm; a push to every sidecar, which
//! istiod's processors generate one after the other, each at the cost of what is sent; sidecars
//! that act on what the last push told them, for as long as no other comes. A proxy that starts is
//! told all that istiod knows ([`super::subscriptions`]).
//!
//! Approximated: each processor works on one push at a time; a push takes the time of a watch to
//! arrive and to be applied.
//! Sources: istio/istio pilot/pkg/xds; [`crate::istio`]; [`crate::facts`].
//! Validated by: instants of pushes worked out by hand, and requests of sidecars that act on an
//! old view, in the crate's tests.

use super::api::Client;
use super::keys::Source;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::istio::debounce::{Debounce, Patience};
use crate::istio::push::{self, Changed, Kind, Push};
use crate::istio::queue::{Limits, Queue};
use crate::istio::stream;
use crate::kubernetes::bucket::Bucket;
use crate::meter::Observation;
use crate::path::ztunnel;
use crate::record::ViewKind;
use crate::scenario::Mesh;
use crate::view::View;
use engine::Time;

/// The istiod of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Istiod {
    /// What it knows.
    pub(super) view: View,
    debounce: Debounce,
    /// For when its timer is in the calendar.
    wakes_at: Time,
    queue: Queue,
    /// What new streams wait for.
    pub(super) entrance: Bucket,
    /// The generation of configuration that it knows.
    pub(super) generation: u32,
    /// Until when the root of its certificates counts.
    pub(super) root_until: Time,
    /// Where it has looked for keys of tokens.
    pub(super) sources: Vec<Source>,
}

/// What a push tells: endpoints up to a position of what was published, and a generation of
/// configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) position: u32,
    pub(crate) generation: u32,
}

impl Istiod {
    /// An istiod that has been at rest for long.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        let processors = facts::ISTIOD_PROCESSORS.value;
        let limits = Limits::of(mesh.istio_minor, processors);
        Istiod {
            view: View::default(),
            debounce: Debounce::new(Patience::default()),
            wakes_at: Time::MAX,
            queue: Queue::new(limits.pushes.min(processors)),
            entrance: stream::entrance(limits),
            generation: 0,
            root_until: mesh.root.map_or(Time::MAX, |root| root.until),
            sources: Vec::new(),
        }
    }
}

impl Domain<'_> {
    /// Something is written that istiod watches.
    pub(super) fn istiod_hears(&mut self, context: &mut Clock<'_, Self>) {
        if self.istiod.is_some()
            && let Some(delay) = self.watch(Client::Istiod)
        {
            context.after(delay, Event::IstiodInformed);
        }
    }

    /// istiod hears of what was published one watch delay ago.
    pub(crate) fn istiod_informed(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        if !self.acts(Client::Istiod) {
            return;
        }
        let knows = self.heard_until(Client::Istiod, now);
        let Some(istiod) = &mut self.istiod else {
            return;
        };
        let mut pushes = Vec::new();
        let Istiod {
            view,
            debounce,
            generation,
            ..
        } = istiod;
        let translation = self.translation.as_ref();
        view.catch_up(&self.endpoint_log, knows, |publication| {
            if translation.is_some_and(|it| !it.looks_at(publication.service)) {
                return;
            }
            let changed = Changed {
                kind: Kind::Endpoints,
                namespace: 0,
                object: publication.service.0,
            };
            pushes.extend(debounce.change(Push::of(changed, now), now));
        });
        if let Some(translation) = &self.translation {
            let newest = translation.newest_at(knows).max(*generation);
            for changed in translation.changed(*generation, newest) {
                pushes.extend(debounce.change(Push::of(changed, now), now));
            }
            *generation = newest;
        }
        for push in pushes {
            self.push(&push, context);
        }
        self.await_calm(context);
    }

    /// Something has changed that istiod alone knows of: it pushes that when all is calm.
    pub(super) fn push_soon(&mut self, push: Push, context: &mut Clock<'_, Self>) {
        let istiod = self.istiod.as_mut().expect("it pushes");
        if let Some(push) = istiod.debounce.change(push, context.now()) {
            self.push(&push, context);
        }
        self.await_calm(context);
    }

    /// Enters istiod's timer into the calendar; one that was due while it stood still is due now.
    pub(super) fn await_calm(&mut self, context: &mut Clock<'_, Self>) {
        let Some(istiod) = &mut self.istiod else {
            return;
        };
        if let Some(at) = istiod.debounce.timer().filter(|&at| at < istiod.wakes_at) {
            let at = at.max(context.now());
            istiod.wakes_at = at;
            context.schedule(at, Event::IstiodLooks);
        }
    }

    /// istiod has ended, and with it what it waited to push: proxies that come back to the next are
    /// told everything.
    pub(super) fn pushes_are_forgotten(&mut self) {
        let istiod = self.istiod.as_mut().expect("it has ended");
        istiod.debounce = Debounce::new(Patience::default());
    }

    /// istiod looks whether all is calm.
    pub(crate) fn istiod_looks(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let acts = self.acts(Client::Istiod);
        let Some(istiod) = &mut self.istiod else {
            return;
        };
        istiod.wakes_at = Time::MAX;
        if !acts {
            return; // It looks when it runs again.
        }
        let mut next = istiod.debounce.tick(now);
        while let Some(batch) = next {
            self.push(&batch, context);
            let istiod = self.istiod.as_mut().expect("it pushes");
            next = istiod.debounce.prepared(now);
        }
        self.await_calm(context);
    }

    /// Every sidecar that it concerns is to be told, and every ztunnel; the others act as before.
    pub(super) fn push(&mut self, push: &Push, context: &mut Clock<'_, Self>) {
        if !push.is_endpoints_only() {
            self.look_for_keys(context);
        }
        for pod in 0..self.pods.len() as u32 {
            let sidecar = self.pods[pod as usize].sidecar.as_ref();
            if !sidecar.is_some_and(|sidecar| sidecar.runs) || !self.hears_istiod(pod) {
                continue;
            }
            let is_concerned = self.concerns(pod, push);
            let told = self.told_now();
            let queue = &mut self.istiod.as_mut().expect("it pushes").queue;
            if is_concerned {
                queue.put(pod, push.clone());
            } else if !queue.has(pod) {
                let event = Event::SidecarSpared { pod, told };
                context.after(facts::WATCH_DELAY.value, event);
            }
        }
        let queue = &mut self.istiod.as_mut().expect("it pushes").queue;
        for (node, state) in (0..).zip(&self.nodes) {
            let ztunnel = state.ztunnel.as_ref();
            // There is nothing for them in what does not change addresses or policies.
            let hears = ztunnel.is_some_and(|ztunnel| ztunnel.subscription.is_open());
            if hears && push.changed().next().is_some() {
                queue.put(ztunnel::number_of(node), push.clone());
            }
        }
        self.generate(context);
    }

    /// A proxy whose stream has begun is to be told everything.
    pub(super) fn tell_everything(&mut self, pod: u32, push: &Push, context: &mut Clock<'_, Self>) {
        self.look_for_keys(context);
        let queue = &mut self.istiod.as_mut().expect("it tells").queue;
        queue.put(pod, push.clone());
        self.generate(context);
    }

    /// Processors of istiod that are free turn to the next sidecars.
    fn generate(&mut self, context: &mut Clock<'_, Self>) {
        if !self.acts(Client::Istiod) {
            return;
        }
        let slow = self.levers.control.istiod_slow_factor;
        while let Some((pod, push)) = self.istiod.as_mut().expect("it pushes").queue.serve() {
            let volume = self.volume(pod, &push);
            let mut work = push::work(volume);
            if slow != 1.0 {
                work = work.mul_f64(slow);
            }
            let told = self.told_now();
            context.after(work, Event::PushGenerated { pod, told });
        }
    }

    /// What istiod can tell now.
    pub(super) fn told_now(&self) -> Told {
        let istiod = self.istiod.as_ref().expect("it tells");
        Told {
            position: istiod.view.position() as u32,
            generation: istiod.generation,
        }
    }

    /// A push is on its way to a sidecar.
    pub(crate) fn push_generated(&mut self, pod: u32, told: Told, context: &mut Clock<'_, Self>) {
        let istiod = self.istiod.as_mut().expect("it pushes");
        istiod.queue.done(pod);
        let event = Event::SidecarTold { pod, told };
        context.after(facts::WATCH_DELAY.value, event);
        self.generate(context);
    }

    /// A proxy applies what istiod knew when it was told.
    pub(crate) fn proxy_told(&mut self, number: u32, told: Told, context: &mut Clock<'_, Self>) {
        let now = context.now();
        match ztunnel::node_of(number) {
            Some(node) => self.ztunnel_told(node, told, context),
            None if self.hears_istiod(number) => {
                self.sidecar_told(number, told, now);
                self.sidecar_may_be_ready(number, context);
            }
            None => {} // Its stream has ended meanwhile.
        }
    }

    /// A sidecar applies what istiod knew when it was told.
    pub(super) fn sidecar_told(&mut self, pod: u32, told: Told, now: Time) {
        let Some(sidecar) = &self.pods[pod as usize].sidecar else {
            return;
        };
        match sidecar.is_configured {
            true => self.proxy_takes_in(pod, now),
            false => self.proxy_acts(pod, now),
        }
        let Some(sidecar) = &mut self.pods[pod as usize].sidecar else {
            return;
        };
        let (meters, kind) = (&mut self.meters, ViewKind::Sidecar);
        let view = &mut sidecar.view;
        // What it hears first of all is not late.
        let is_new = !std::mem::replace(&mut sidecar.is_configured, true);
        view.advance(&self.endpoint_log, told.position as usize, |publication| {
            if is_new {
                return;
            }
            let changed = publication.changed;
            meters.observe(now, Observation::ViewApplied { kind, changed });
        });
        if let Some(istiod) = &self.istiod {
            sidecar.credentials.believe(istiod.root_until);
        }
        if is_new {
            (sidecar.generation, sidecar.configured) = (told.generation, now);
        } else if told.generation > sidecar.generation {
            sidecar.generation = told.generation;
            sidecar.configured = now;
            let translation = self.translation.as_ref().expect("a mesh translates");
            let changed = translation.written(told.generation);
            meters.observe(now, Observation::ViewApplied { kind, changed });
        }
    }

    /// What a sidecar is told whose stream begins.
    pub(super) fn all_that_istiod_tells(&self) -> Option<Told> {
        let istiod = self.istiod.as_ref()?;
        Some(Told {
            position: istiod.view.position() as u32,
            generation: istiod.generation,
        })
    }

    /// Nothing of what istiod knows by now is new for a sidecar.
    pub(crate) fn sidecar_spared(&mut self, pod: u32, told: Told, now: Time) {
        let Some(sidecar) = &mut self.pods[pod as usize].sidecar else {
            return;
        };
        let position = told.position as usize;
        sidecar.view.advance(&self.endpoint_log, position, |_| {});
        if told.generation > sidecar.generation {
            sidecar.generation = told.generation;
            sidecar.configured = now;
        }
    }

    /// What a sidecar that starts is told.
    pub(crate) fn known_to_istiod(&self) -> (View, u32) {
        let istiod = self.istiod.as_ref();
        let istiod = istiod.expect("sidecars are part of a mesh");
        (istiod.view, istiod.generation)
    }
}
