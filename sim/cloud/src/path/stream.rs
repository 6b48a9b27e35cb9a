//! How long requests may take at a proxy that was told so.
//!
//! Models: a stream without anything that comes or goes on it for too long (SI), or that lasts too
//! long (DT), is answered with 504, whatever the proxy has under way for it; both count from its
//! request, since a request comes in one piece and its answer goes in one; what a route says of that
//! counts in place of what its listener says, and routes of what a sidecar takes in say that its
//! streams may last. Otherwise istiod sets neither, but EnvoyFilters may, which may also limit how
//! long an application takes for what is handed to it (UT).
//! Leaves out: requests that are not all there (408).
//! Sources: envoyproxy/envoy source/common/http/conn_manager_impl.cc (onIdleTimeout,
//! onStreamMaxDurationReached); istio/istio pilot/pkg/networking/core/listener_builder.go.
//! Validated by: what is answered and logged when, in the crate's tests.

use super::Listener;
use super::call::Stage;
use crate::domain::{Clock, Domain, Event};
use crate::envoy::flags::Flag;
use crate::istio::config::StreamLimits;
use crate::istio::translate::route_patches::{RoutePatches, RoutePlace};
use crate::record::Reason;
use crate::slab::Key;
use engine::Duration;

impl Domain<'_> {
    /// A request has come to a proxy, which may have been told how long that may take.
    pub(super) fn limit_stream(&mut self, passage: Key, context: &mut Clock<'_, Self>) {
        let pod = self.passages[passage].pod;
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let generation = sidecar.map_or(0, |sidecar| sidecar.generation);
        let translation = self.translation.as_ref();
        if !translation.is_some_and(|it| it.is_patched(generation)) {
            return;
        }
        self.told(pod);
        arm_all(passage, self.stream_limits(passage), context);
    }

    fn stream_limits(&self, key: Key) -> StreamLimits {
        let passage = &self.passages[key];
        let sidecar = self.pods[passage.pod as usize].sidecar.as_ref();
        let patches = &sidecar.expect("a proxy that was asked").patches;
        match passage.listener {
            Listener::Outbound(_) => patches.outbound,
            Listener::Edge(..) | Listener::Waypoint(_) => patches.inbound,
            _ => {
                let along_route = self.inbound_route(key, &patches.routes_inbound);
                let (_, limits) = along_route.unwrap_or_default();
                StreamLimits {
                    idle: limits.idle.or(patches.inbound.idle),
                    // istiod writes into these routes that streams may last.
                    lasting: limits.lasting,
                }
            }
        }
    }

    /// What patches say of the route of a request to the application: how long that may take, and
    /// how long its stream may.
    fn inbound_route(
        &self,
        passage: Key,
        patches: &RoutePatches,
    ) -> Option<(Option<Duration>, StreamLimits)> {
        if patches.is_empty() {
            return None;
        }
        let (service, port) = self.passages[passage].asked_at();
        let services = &self.topology.cluster(self.cluster?).services;
        let port = services[service.index()].ports.get(port as usize)?;
        let place = RoutePlace {
            configuration: &format!("inbound|{}||", port.target_port),
            is_at_gateway: false,
            host: &format!("inbound|http|{}", port.port),
            answers_to: &|domain| domain == "*",
            route: Some("default"),
        };
        Some((patches.timeout(place), patches.limits(place)))
    }

    /// The way of a request is known, which may have limits of its own.
    pub(super) fn limit_way(&self, passage: Key, context: &mut Clock<'_, Self>) {
        arm_all(passage, self.way_limits(passage), context);
    }

    fn way_limits(&self, passage: Key) -> StreamLimits {
        match self.passages[passage].way {
            u32::MAX => StreamLimits::default(),
            way => self.ways.at(way).limits,
        }
    }

    /// A request is handed to the application, which may have so long for it.
    pub(super) fn limit_application(&self, passage: Key, context: &mut Clock<'_, Self>) {
        let pod = self.passages[passage].pod;
        let Some(sidecar) = &self.pods[pod as usize].sidecar else {
            return;
        };
        let route = self.inbound_route(passage, &sidecar.patches.routes_inbound);
        let timeout = route.and_then(|(timeout, _)| timeout);
        arm(passage, timeout, Flag::RequestTimeout, context);
    }

    /// The time of a stream is up.
    pub(crate) fn overdue(&mut self, key: Key, flag: Flag, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.open_passage(key) else {
            return;
        };
        let limits = self.way_limits(key);
        let own = match flag {
            Flag::StreamIdle => limits.idle,
            Flag::DurationTimeout => limits.lasting,
            _ => None,
        };
        let so_far = context.now().since(passage.arrived);
        if own.is_some_and(|limit| limit.is_zero() || so_far < limit) {
            return; // It was the listener's limit, and the route has its own.
        }
        self.drop_call(key, context);
        self.flag(key, flag);
        self.passage_answered(key, Err(Reason::GatewayTimeout), 0, context);
    }

    /// What a proxy has under way for a request ends, without an outcome.
    pub(in crate::path) fn drop_call(&mut self, passage: Key, context: &mut Clock<'_, Self>) {
        self.leave_application(passage, context);
        if let Some(call) = self.open_call(passage) {
            if self.calls[call].stage != Stage::Paused {
                self.abandon(call, context);
            }
            self.end_call(passage, call);
        }
    }

    /// Whether the time of a stream does not matter any more.
    pub(crate) fn is_never_overdue(&self, passage: Key) -> bool {
        self.open_passage(passage).is_none()
    }
}

fn arm_all(passage: Key, limits: StreamLimits, context: &mut Clock<'_, Domain<'_>>) {
    arm(passage, limits.idle, Flag::StreamIdle, context);
    arm(passage, limits.lasting, Flag::DurationTimeout, context);
}

/// Zero is no limit.
fn arm(passage: Key, limit: Option<Duration>, flag: Flag, context: &mut Clock<'_, Domain<'_>>) {
    if let Some(limit) = limit.filter(|limit| !limit.is_zero()) {
        let class = context.timer_class(limit);
        context.arm(class, Event::Overdue { passage, flag });
    }
}
