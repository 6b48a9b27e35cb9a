//! Containers of sidecars and gateways, as kubelets see them: how they start, when they count as
//! ready, and how they end.
//!
//! Models: a proxy that starts after its application, unless that waits for it
//! (`holdApplicationUntilProxyStarts`) or the proxy is native; which is ready once it has been
//! told something and has a certificate, as its kubelet finds out at the next of its probes, one a
//! second from the container's start on; a pod that is ready when its application and its proxy
//! are. What was found is remembered until the container ends.
//!
//! When the pod is to end, a proxy beside its application is told to stop at the same time as that,
//! without waiting for its hook: it asks those who are connected with it to go and ends some
//! seconds later, or when nothing passes it any more. Whatever the application asks after that is
//! refused. A native proxy asks them to go as well, and is told to stop as soon as its application has
//! ended, whereupon it ends at once. A gateway is told to stop after its own hook.
//!
//! Approximated: the image of a proxy is on every node; a native proxy starts after the other init
//! containers; the probe of readiness follows at once on that of the start; a proxy that waits
//! for istiod for longer than its probes bear is not started anew, which would change nothing. A
//! connection that nothing passes counts as closed to a proxy that waits for it.
//! Leaves out: `postStart` that is given up after a minute.
//! Sources: [`crate::istio::readiness`], [`crate::istio::drain`]; istio/istio
//! pkg/kube/inject/webhook.go (reorderPod) and tools/istio-iptables; kubernetes/kubernetes
//! pkg/kubelet/prober, pkg/kubelet/kuberuntime/kuberuntime_container.go.
//! Validated by: pods that start without istiod, in `tests/promises/outages.rs`; starts and ends
//! worked out by hand, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::istio::drain::{Exit, Next, Placement, placement};
use crate::istio::readiness;
use crate::kubernetes::kubelet::Life;
use crate::path::Listener;
use crate::scenario::{Sidecar, Template};
use engine::{Duration, Time};

/// What happens to the container of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Envoy runs in it.
    Boots,
    /// Its agent looks whether anything passes.
    Looks,
    /// It ends.
    Exits,
}

impl Domain<'_> {
    /// How the proxy of a pod is put beside its application; one that is alone is a container
    /// like any other.
    fn placement_of(&self, sidecar: &Sidecar) -> Placement {
        let cluster = self.cluster.expect("pods stand in clusters");
        let mesh = self.topology.cluster(cluster).mesh.as_ref();
        match (sidecar.settings.is_native, mesh) {
            _ if sidecar.role.is_alone() => Placement::Beside,
            (Some(true), _) => Placement::Native,
            (Some(false), _) | (None, None) => Placement::Beside,
            (None, Some(mesh)) => placement(mesh.native_sidecars, mesh.istio_minor, self.minor()),
        }
    }

    /// Whether the application of such pods starts once their proxy is ready.
    pub(super) fn holds_application(&self, template: &Template) -> bool {
        let sidecar = template.sidecar.as_ref();
        sidecar.filter(|it| !it.role.is_alone()).is_some_and(|it| {
            let holds = it.settings.proxy.holds_application == Some(true);
            holds || self.placement_of(it) == Placement::Native
        })
    }

    /// The sandbox of a pod stands: its proxy is made first.
    pub(super) fn proxy_is_made(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let life = self.pods[pod as usize].life.as_ref();
        let made = life.map_or(Duration::ZERO, |life| life.container());
        self.proxy_starts(pod, made, context);
    }

    /// The container of an application runs: unless it does already, so will the proxy.
    pub(super) fn proxy_follows(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        if state.site.is_some() {
            if let Some(starts) = self.sidecar_starts(pod, context.now()) {
                self.certificate_due(pod, starts, context);
                // Its stream is a matter of its enrolment.
                self.sidecar_stands(pod, context.now());
            }
            return;
        }
        match self.role(pod).is_alone() {
            true => self.proxy_starts(pod, Duration::ZERO, context),
            false => self.proxy_is_made(pod, context),
        }
    }

    /// The container of a proxy starts after a time, unless it runs or is about to.
    fn proxy_starts(&mut self, pod: u32, after: Duration, context: &mut Clock<'_, Self>) {
        let start_up = match self.is_ideal() {
            true => Duration::ZERO,
            false => facts::SIDECAR_START_UP.value,
        };
        let now = context.now();
        let Some(sidecar) = self.pods[pod as usize].sidecar.as_mut() else {
            return;
        };
        let is_coming = sidecar.boots_at != Time::MAX && sidecar.boots_at >= now;
        if sidecar.runs || is_coming {
            return;
        }
        sidecar.started = now + after;
        sidecar.boots_at = now + after + start_up;
        let (at, starts) = (sidecar.boots_at, sidecar.starts);
        let step = Step::Boots;
        context.schedule(at, Event::SidecarSteps { pod, starts, step });
    }

    /// A proxy begins to run: its pod has not ended before it has, where it stands beside.
    pub(super) fn proxy_begins(&mut self, pod: u32) {
        let described = self.template(pod).sidecar.as_ref();
        let is_beside = described.is_some_and(|it| self.placement_of(it) == Placement::Beside);
        let state = &mut self.pods[pod as usize];
        if let Some(life) = state.life.as_mut().filter(|_| is_beside) {
            life.proxy_begins();
        }
    }

    /// Something happens to the container of a proxy.
    pub(crate) fn sidecar_steps(
        &mut self,
        (pod, starts): (u32, u16),
        step: Step,
        context: &mut Clock<'_, Self>,
    ) {
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref();
        let Some(sidecar) = sidecar.filter(|it| it.starts == starts) else {
            return; // It has ended meanwhile.
        };
        match step {
            Step::Boots if sidecar.boots_at == context.now() && self.has_power(pod) => {
                if let Some(starts) = self.sidecar_starts(pod, context.now()) {
                    self.proxy_begins(pod);
                    self.certificate_due(pod, starts, context);
                    self.subscribe(pod, context);
                }
            }
            Step::Boots => {} // Its pod was to end before, or its node has.
            Step::Looks => self.agent_looks(pod, context),
            Step::Exits => self.proxy_exits(pod, context),
        }
    }

    /// Whether containers of a pod can run.
    fn has_power(&self, pod: u32) -> bool {
        let life = self.pods[pod as usize].life.as_ref();
        life.is_some_and(|life| life.container_state().is_some())
    }

    /// A proxy may have become ready: its kubelet will find out.
    pub(super) fn sidecar_may_be_ready(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(sidecar) = self.pods[pod as usize].sidecar.as_ref() else {
            return;
        };
        if !sidecar.listens() || sidecar.is_ready {
            return;
        }
        let period = readiness::startup_probe().period;
        let (now, since, starts) = (context.now(), sidecar.started, sidecar.starts);
        let probes = now.since(since).as_nanos().div_ceil(period.as_nanos());
        let at = since + period * probes;
        context.schedule(at, Event::SidecarReady { pod, starts });
    }

    /// A kubelet finds a proxy ready.
    pub(crate) fn sidecar_ready(&mut self, pod: u32, starts: u16, context: &mut Clock<'_, Self>) {
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let Some(sidecar) = sidecar.filter(|it| it.starts == starts && !it.is_ready) else {
            return;
        };
        sidecar.is_ready = true;
        self.write_status(pod, context);
        self.live(pod, context, |life, _, told| life.proxy_is_ready(told));
    }

    /// Whether nothing but its application can keep a pod from being ready.
    pub(super) fn has_ready_sidecar(&self, pod: u32) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        sidecar.is_none_or(|sidecar| sidecar.is_ready)
    }

    /// The sidecar of a pod has been ready for long.
    pub(super) fn sidecar_stands(&mut self, pod: u32, now: Time) {
        self.sidecar_knows_all(pod, now);
        if let Some(sidecar) = self.pods[pod as usize].sidecar.as_mut() {
            sidecar.is_ready = true;
        }
    }

    /// The end of a pod begins: its proxy drains, and is told to stop unless it is native.
    pub(super) fn proxy_hears_of_end(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(described) = self.template(pod).sidecar.as_ref() else {
            return;
        };
        if described.role.is_alone() || self.is_ideal() {
            return; // Its own hook comes first.
        }
        match self.placement_of(described) {
            Placement::Beside => self.agent_stops(pod, context),
            Placement::Native => self.proxy_drains(pod),
        }
    }

    fn proxy_drains(&mut self, pod: u32) {
        if let Some(sidecar) = self.pods[pod as usize].sidecar.as_mut() {
            sidecar.boots_at = Time::MAX;
            sidecar.drains = sidecar.runs;
        }
    }

    /// An agent is told to stop: its proxy drains, and closes its listeners when it has.
    fn agent_stops(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        self.proxy_drains(pod);
        let described = self.template(pod).sidecar.as_ref();
        let described = described.expect("a proxy that stops");
        let (patience, drain) = (described.patience, described.settings.proxy.drain());
        let state = &mut self.pods[pod as usize];
        let (Some(sidecar), Some(life)) = (state.sidecar.as_mut(), state.life.as_ref()) else {
            return;
        };
        if sidecar.runs && sidecar.exit.is_none() {
            let (exit, next) = Exit::begin(patience, false);
            sidecar.drained = context.now() + drain;
            sidecar.exit = Some((exit, context.now() + life.time_to_stop()));
            self.agent_waits(pod, next, context);
        }
    }

    /// An agent waits for what it does next, or for the kill.
    fn agent_waits(&mut self, pod: u32, next: Next, context: &mut Clock<'_, Self>) {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let sidecar = sidecar.expect("a proxy that stops");
        let (_, kill_at) = sidecar.exit.expect("it was told to");
        let starts = sidecar.starts;
        let (wait, step) = match next {
            Next::ExitAfter(wait) => (wait, Step::Exits),
            Next::LookAfter(wait) => (wait, Step::Looks),
        };
        let at = context.now() + wait;
        let (at, step) = match at < kill_at {
            true => (at, step),
            false => (kill_at, Step::Exits),
        };
        context.schedule(at, Event::SidecarSteps { pod, starts, step });
    }

    fn agent_looks(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let passing = self.passages.iter().filter(|(_, it)| it.pod == pod);
        let open = passing.count() as u32;
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let exit = sidecar.and_then(|sidecar| sidecar.exit.as_mut());
        let next = exit.expect("it was told to stop").0.look(Some(open));
        self.agent_waits(pod, next, context);
    }

    /// The container of a proxy ends; its application may run on, without whatever passed it.
    fn proxy_exits(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let passing = self.passages.iter().filter(|(_, it)| it.pod == pod);
        let outbound = passing.filter(|(_, it)| matches!(it.listener, Listener::Outbound(_)));
        let asked: Vec<_> = outbound.filter_map(|(_, it)| it.reply).collect();
        self.proxy_is_gone(pod, context);
        for to in asked {
            self.reset(to, context);
        }
        self.live(pod, context, |life: &mut Life, now, _| life.proxy_ends(now));
    }

    /// A proxy runs no more, if it did; others hear of it unless its node is cut off.
    pub(super) fn proxy_is_gone(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        let (before, node) = (state.incarnation(), state.node);
        let runs = state.sidecar.as_ref().is_some_and(|sidecar| sidecar.runs);
        self.sidecar_dies(pod, context);
        if runs && node.is_none_or(|node| self.levers.node(node).is_none()) {
            self.announce_closing(pod, before, context);
        }
    }

    /// Whether a proxy goes on when the container of its application has ended with the pod's end.
    pub(super) fn proxy_outlives(&self, pod: u32) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        sidecar.is_some_and(|it| it.runs) && !self.is_ideal()
    }

    /// The container that is not the proxy has ended. Of a gateway there is none: the proxy itself
    /// was told to stop. A native one is told now, and has asked others to go before.
    pub(super) fn proxy_is_left(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let state = &self.pods[pod as usize];
        let (Some(sidecar), Some(described)) = (&state.sidecar, &self.template(pod).sidecar) else {
            return;
        };
        if !state.deleted {
            return;
        }
        if described.role.is_alone() {
            return self.agent_stops(pod, context);
        }
        if self.placement_of(described) == Placement::Native {
            let (starts, step) = (sidecar.starts, Step::Exits);
            let told = facts::NEXT_CONTAINER_STOP.value;
            context.after(told, Event::SidecarSteps { pod, starts, step });
        }
    }
}
