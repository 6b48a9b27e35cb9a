//! How long requests may take at a proxy that was told so.
//!
//! Models: a stream without anything that comes or goes on it for too long (SI), or that lasts too
//! long (DT), is answered with 504, whatever the proxy has under way for it; both count from its
//! request, since a request comes in one piece and its answer goes in one. istiod sets neither, but
//! EnvoyFilters may.
//! Leaves out: requests that are not all there (408).
//! Sources: envoyproxy/envoy source/common/http/conn_manager_impl.cc (onIdleTimeout,
//! onStreamMaxDurationReached); istio/istio pilot/pkg/networking/core/listener_builder.go.
//! Validated by: what is answered and logged when, in the crate's tests.

use super::Listener;
use super::call::Stage;
use crate::domain::{Clock, Domain, Event};
use crate::envoy::flags::Flag;
use crate::istio::config::StreamLimits;
use crate::record::Reason;
use crate::slab::Key;

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
        let limits = self.stream_limits(passage);
        for (limit, flag) in [
            (limits.idle, Flag::StreamIdle),
            (limits.lasting, Flag::DurationTimeout),
        ] {
            if let Some(limit) = limit.filter(|limit| !limit.is_zero()) {
                let class = context.timer_class(limit);
                context.arm(class, Event::Overdue { passage, flag });
            }
        }
    }

    fn stream_limits(&self, passage: Key) -> StreamLimits {
        let passage = &self.passages[passage];
        let sidecar = self.pods[passage.pod as usize].sidecar.as_ref();
        let patches = &sidecar.expect("a proxy that was asked").patches;
        match passage.listener {
            Listener::Outbound(_) => patches.outbound,
            _ => patches.inbound,
        }
    }

    /// The time of a stream is up.
    pub(crate) fn overdue(&mut self, key: Key, flag: Flag, context: &mut Clock<'_, Self>) {
        if self.open_passage(key).is_none() {
            return;
        }
        self.drop_call(key, context);
        self.flag(key, flag);
        self.passage_answered(key, Err(Reason::GatewayTimeout), 0, context);
    }

    /// What a proxy has under way for a request ends, without an outcome.
    pub(super) fn drop_call(&mut self, passage: Key, context: &mut Clock<'_, Self>) {
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
