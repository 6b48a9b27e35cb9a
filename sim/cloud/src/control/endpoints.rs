//! EndpointSlices: from a pod's readiness to what the API server publishes.
//!
//! Models: the first change after a publication starts a delay, whatever changes until it has
//! passed is published with it; L7 proxies hear of it one watch later.
//! Leaves out: slices of 100 endpoints, re-queueing after errors, trigger-time annotations.
//! Sources: kubernetes/kubernetes EndpointSlice controller; [`crate::facts`].
//! Validated by: staleness computed by hand in the crate's tests.

use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::scenario::{ProxyId, ServiceId, WorkloadId};

impl Domain<'_> {
    /// The readiness of one of a workload's pods has changed.
    pub(crate) fn readiness_changed(
        &mut self,
        workload: WorkloadId,
        context: &mut Clock<'_, Self>,
    ) {
        for index in 0..self.services.len() {
            if self.services[index].backends.contains(&workload) {
                self.endpoints_changed(ServiceId::from(index), context);
            }
        }
    }

    /// A service needs other endpoints than it has.
    pub(crate) fn endpoints_changed(&mut self, service: ServiceId, context: &mut Clock<'_, Self>) {
        if self.is_ideal() {
            self.services[service.index()].ready = self.endpoints_wanted(service);
            return;
        }
        let state = &mut self.services[service.index()];
        if state.changed.is_none() {
            state.changed = Some(context.now());
            let event = Event::EndpointsDue(service);
            context.after(facts::ENDPOINT_SLICE_DELAY.value, event);
        }
    }

    /// The endpoints that a service should have now, ascending.
    fn endpoints_wanted(&self, service: ServiceId) -> Vec<u32> {
        let cluster = self.cluster.expect("services belong to clusters");
        let unready_too =
            self.topology.cluster(cluster).services[service.index()].publish_not_ready;
        let state = &self.services[service.index()];
        let pods = (0..).zip(&self.pods);
        pods.filter(|(_, pod)| {
            let present = matches!(pod.phase, Phase::Starting | Phase::Running);
            let wanted = pod.ready || (unready_too && present);
            wanted && state.backends.contains(&pod.workload)
        })
        .map(|(index, _)| index)
        .collect()
    }

    /// The EndpointSlice controller writes.
    pub(crate) fn endpoints_due(&mut self, service: ServiceId, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let pods = self.endpoints_wanted(service);
        let changed = self.services[service.index()].changed.take();
        let changed = changed.unwrap_or(now);
        if !self.endpoint_log.publish(service, pods, changed, now) {
            return;
        }
        for node in 0..self.nodes.len() as u32 {
            self.await_sync(node, context);
        }
        for proxy in 0..self.proxies.len() {
            let event = Event::ProxyInformed(ProxyId::from(proxy));
            context.after(facts::WATCH_DELAY.value, event);
        }
    }

    /// A proxy's watch brings what was published one watch delay ago.
    pub(crate) fn proxy_informed(&mut self, proxy: ProxyId, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let knows = engine::Time::ZERO
            + now
                .since(engine::Time::ZERO)
                .saturating_sub(facts::WATCH_DELAY.value);
        let kind = ViewKind::L7Proxy;
        let meters = &mut self.meters;
        let view = &mut self.proxies[proxy.index()].view;
        view.catch_up(&self.endpoint_log, knows, |publication| {
            let changed = publication.changed;
            meters.observe(now, Observation::ViewApplied { kind, changed });
        });
    }
}
