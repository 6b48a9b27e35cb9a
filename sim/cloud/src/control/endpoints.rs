//! EndpointSlices: from a pod's readiness to what the API server publishes.
//!
//! Models: the first change after a publication starts a delay as recorded of the controller;
//! whatever changes until it has passed is published with it. One that follows another closely
//! may lose a race against the controller's own view and come a second later. The slices are
//! packed as the controller packs them, and each costs a write of its client's limit. While
//! nobody leads, or nothing can be written, nothing is published; afterwards everything is.
//! L7 proxies hear of it one watch later.
//! Approximated: the slices of one update are published together.
//! Sources: [`crate::kubernetes::slices`]; [`crate::facts`].
//! Validated by: the recording of delays; staleness and outages in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::slices;
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::scenario::{ProxyId, ServiceId, ServiceKind, WorkloadId};
use crate::view::EndpointSet;
use engine::Time;

impl Domain<'_> {
    /// The readiness of one of a workload's pods has changed.
    pub(crate) fn readiness_changed(
        &mut self,
        workload: WorkloadId,
        context: &mut Clock<'_, Self>,
    ) {
        for position in 0..self.workloads[workload.index()].services.len() {
            let service = self.workloads[workload.index()].services[position];
            self.endpoints_changed(service, context);
        }
        if self.has_registry() {
            self.registry_changed(context);
        }
    }

    /// A service needs other endpoints than it has.
    pub(crate) fn endpoints_changed(&mut self, service: ServiceId, context: &mut Clock<'_, Self>) {
        let cluster = self.cluster.expect("services stand in clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        if let ServiceKind::Host { .. } = described.kind {
            return; // Nobody writes EndpointSlices for what is no Service.
        }
        if self.is_ideal() {
            let now = context.now();
            self.services[service.index()].ready = self.endpoints_wanted(service, now).pods;
            return;
        }
        let now = context.now();
        let state = &mut self.services[service.index()];
        if state.changed.is_none() {
            state.changed = Some(now);
            self.write_endpoints(service, context);
        }
    }

    /// The controller takes up a service, if it can.
    fn write_endpoints(&mut self, service: ServiceId, context: &mut Clock<'_, Self>) {
        let now = context.now();
        // The recorded delay holds a write of the ordinary kind already.
        let Some(wait) = self.write_wait(Client::ControllerManager, now) else {
            return;
        };
        let state = &mut self.services[service.index()];
        let mut draw = state.slice_delays.draw(state.slice_updates, 0);
        state.slice_updates += 1;
        let mut delay = slices::delay(&mut draw);
        let gap = state.published.map(|published| now.since(published));
        if gap.is_some_and(|gap| gap < facts::ENDPOINT_SLICE_BURST_GAP.value) {
            delay += slices::race_penalty(&mut draw);
        }
        context.after(delay + wait, Event::EndpointsDue(service));
    }

    /// The controller can work again: it takes up all that has changed meanwhile.
    pub(super) fn endpoints_resumed(&mut self, context: &mut Clock<'_, Self>) {
        for service in (0..self.services.len()).map(ServiceId::from) {
            if self.services[service.index()].changed.is_some() {
                self.write_endpoints(service, context);
            }
        }
    }

    /// The endpoints that a service should have since `changed`.
    fn endpoints_wanted(&self, service: ServiceId, changed: Time) -> EndpointSet {
        let cluster = self.cluster.expect("services belong to clusters");
        let unready_too =
            self.topology.cluster(cluster).services[service.index()].publish_not_ready;
        let backends = self.services[service.index()].backends.iter();
        let pods = backends.flat_map(|workload| &self.workloads[workload.index()].pods);
        let mut set = EndpointSet {
            pods: Vec::new(),
            leaving: Vec::new(),
            entries: self.endpoint_log.newest(service).entries.clone(),
            changed,
        };
        for &pod in pods {
            let state = &self.pods[pod as usize];
            let published = unready_too && state.life.is_some();
            // Whoever asks for pods that are not ready gets those on their way out as ready too.
            if published || (state.ready && !state.deleted) {
                set.pods.push(pod);
            } else if state.ready {
                set.leaving.push(pod);
            }
        }
        set.pods.sort_unstable();
        set.leaving.sort_unstable();
        set
    }

    /// The EndpointSlice controller writes.
    pub(crate) fn endpoints_due(&mut self, service: ServiceId, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let able = self.is_writable() && self.acts(Client::ControllerManager);
        if !able || self.services[service.index()].changed.is_none() {
            return;
        }
        let state = &mut self.services[service.index()];
        let changed = state.changed.take().expect("checked just now");
        let set = self.endpoints_wanted(service, changed);
        let state = &mut self.services[service.index()];
        let desired = set.pods.iter().chain(&set.leaving).copied().collect();
        let before = self.endpoint_log.newest(service);
        let leaves = |set: &EndpointSet, pod: u32| set.leaving.binary_search(&pod).is_ok();
        let differs = |pod: &u32| leaves(before, *pod) != leaves(&set, *pod);
        let writes = slices::pack(&mut state.slices, desired, differs);
        for _ in 1..writes.total() {
            // What further slices cost, the next write feels.
            self.api_write(Client::ControllerManager, now);
        }
        if !self.endpoint_log.publish(service, set, now) {
            return;
        }
        let version = self.endpoint_log.newest_version(service);
        self.selections.published(service, version);
        self.services[service.index()].published = Some(now);
        for node in 0..self.nodes.len() as u32 {
            self.await_sync(node, context);
        }
        for proxy in 0..self.proxies.len() as u32 {
            self.proxy_hears(ProxyId(proxy), context);
        }
        self.istiod_hears(context);
    }

    /// Something is written that a proxy watches.
    pub(super) fn proxy_hears(&mut self, proxy: ProxyId, context: &mut Clock<'_, Self>) {
        if let Some(delay) = self.watch(Client::L7Proxy(proxy.0)) {
            context.after(delay, Event::ProxyInformed(proxy));
        }
    }

    /// A proxy's watch brings what was written one watch delay ago.
    pub(crate) fn proxy_informed(&mut self, proxy: ProxyId, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let knows = self.heard_until(Client::L7Proxy(proxy.0), now);
        let kind = ViewKind::L7Proxy;
        let meters = &mut self.meters;
        let view = &mut self.proxies[proxy.index()].view;
        view.catch_up(&self.endpoint_log, knows, |publication| {
            if publication.is_for_istiod {
                return;
            }
            let changed = publication.changed;
            meters.observe(now, Observation::ViewApplied { kind, changed });
        });
        let written = &mut self.proxies[proxy.index()].written;
        let heard = written.partition_point(|(at, _)| *at <= knows);
        let newest = written.drain(..heard).next_back();
        if let Some((_, routes)) = newest {
            self.set_routes(proxy, routes);
        }
    }
}
