//! Releases of Istio, and what changed with them.
//!
//! Models: the switches that change where requests go, what proxies do about failures, and how
//! istiod pushes. What depends on numbers of a release stands in [`crate::facts`].
//! Sources: istio.io change notes of each release; istio/istio 86c9f01 pilot/pkg/features;
//! envoyproxy/envoy changelogs.
//! Leaves out: patch releases.

use crate::facts;
use std::ops::RangeInclusive;

/// A release of Istio: 1.`minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    minor: u32,
}

impl Default for Version {
    fn default() -> Self {
        Version {
            minor: facts::ISTIO_MINOR.value,
        }
    }
}

impl Version {
    /// The oldest release whose changes are known.
    pub const OLDEST: Version = Version { minor: 18 };
    /// The newest.
    pub const NEWEST: Version = Version { minor: 32 };

    /// The release 1.`minor`; an older or newer one than is known counts as the nearest.
    pub fn new(minor: u32) -> Version {
        Version {
            minor: minor.clamp(Version::OLDEST.minor, Version::NEWEST.minor),
        }
    }

    /// Its number after the point.
    pub fn minor(self) -> u32 {
        self.minor
    }

    /// The release of Envoy in its proxies: 1.`this`.
    pub fn envoy_minor(self) -> u32 {
        self.minor + facts::ISTIO_ENVOY_OFFSET.value
    }

    /// Whether outlier detection never ejects more than its percentage, so that the first host
    /// of few stays (Envoy 1.28).
    pub fn caps_first_ejection(self) -> bool {
        self.envoy_minor() >= facts::ENVOY_OUTLIER_STRICT_FROM_MINOR.value
    }

    /// Whether `failover` and `failoverPriority` may stand together.
    pub fn combines_failover_with_labels(self) -> bool {
        self.minor >= 20
    }

    /// Whether routes of the Gateway API may have services as parents (GAMMA).
    pub fn routes_services_by_gateway_api(self) -> bool {
        self.minor >= 19
    }

    /// Whether istiod reads its own objects only in namespaces that it looks at.
    pub fn scopes_objects(self) -> bool {
        self.minor >= facts::ISTIO_SCOPED_OBJECTS_FROM_MINOR.value
    }

    /// Whether routes to a Service that is another name lead on to what it stands for.
    pub fn leads_through_aliases(self) -> bool {
        self.minor >= facts::ISTIO_EXTERNAL_NAME_ALIAS_FROM_MINOR.value
    }

    /// Whether names without a dot in routes of the Gateway API stand for themselves, and not for
    /// Services.
    pub fn takes_gateway_api_hosts_as_written(self) -> bool {
        self.minor >= facts::ISTIO_GATEWAY_API_HOSTS_AS_WRITTEN_FROM_MINOR.value
    }

    /// Whether istiod reads TLSRoutes, and listeners for TLS, without being told to.
    pub fn reads_tls_routes(self) -> bool {
        self.minor >= facts::ISTIO_TLS_ROUTE_FROM_MINOR.value
    }

    /// Whether it reads TCPRoutes, and listeners for TCP, without being told to.
    pub fn reads_tcp_routes(self) -> bool {
        self.minor >= facts::ISTIO_TCP_ROUTE_FROM_MINOR.value
    }

    /// How many certificates a listener of a Gateway may name that ends TLS: one, and since 1.27 up
    /// to two.
    pub fn certificates_of_listeners(self) -> RangeInclusive<usize> {
        match self.minor < facts::ISTIO_SEVERAL_CERTIFICATES_FROM_MINOR.value {
            true => 1..=1,
            false => 0..=2,
        }
    }

    /// Whether Gateways choose namespaces by labels whose ListenerSets may attach.
    pub fn selects_listener_sets(self) -> bool {
        self.minor >= facts::ISTIO_LISTENER_SET_SELECTOR_FROM_MINOR.value
    }

    /// Whether of listeners that contradict one another istiod takes the first alone.
    pub fn settles_listeners(self) -> bool {
        self.minor >= facts::ISTIO_LISTENERS_SETTLED_FROM_MINOR.value
    }

    /// Whether TLSRoutes act on connections that a listener decrypts.
    pub fn routes_what_gateways_decrypt(self) -> bool {
        self.minor >= facts::ISTIO_TLS_ROUTE_FROM_MINOR.value
    }

    /// Whether TLSRoutes take no more names than their listener does.
    pub fn narrows_tls_routes(self) -> bool {
        self.minor >= facts::ISTIO_TLS_ROUTE_NARROWED_FROM_MINOR.value
    }

    /// Whether waypoints route connections that are not HTTP.
    pub fn routes_connections_at_waypoints(self) -> bool {
        self.minor >= facts::ISTIO_WAYPOINT_CONNECTIONS_FROM_MINOR.value
    }

    /// Whether a header that `withoutHeaders` names, and that is not there, counts as empty; before,
    /// such a match took no request without it.
    pub fn takes_missing_headers_as_empty(self) -> bool {
        self.minor >= facts::ISTIO_MISSING_HEADER_EMPTY_FROM_MINOR.value
    }

    /// Whether istiod sends proxies only what changed.
    pub fn pushes_deltas(self) -> bool {
        self.minor >= 22
    }

    /// Whether ztunnels that come back are sent only what they do not have.
    pub fn sends_ztunnels_what_they_lack(self) -> bool {
        self.minor >= facts::ISTIO_ZTUNNEL_DELTA_FROM_MINOR.value
    }

    /// Whether a 503 is retried by default.
    pub fn retries_unavailable_by_default(self) -> bool {
        self.minor < facts::ISTIO_NO_RETRY_OF_503_FROM_MINOR.value
    }

    /// Whether endpoints that are terminating are not sent to proxies.
    pub fn hides_terminating_endpoints(self) -> bool {
        self.minor >= 25
    }

    /// Whether proxies may be told of their likes, so that they route by zone.
    pub fn discovers_likes(self) -> bool {
        self.minor >= facts::ISTIO_SELF_DISCOVERY_FROM_MINOR.value
    }

    /// Whether proxies flag requests whose caller has reset the stream (DR).
    pub fn flags_remote_resets(self) -> bool {
        self.envoy_minor() >= facts::ENVOY_REMOTE_RESET_FLAG_FROM_MINOR.value
    }

    /// Whether Sidecars leave hosts out of those that they let in.
    pub fn leaves_hosts_out(self) -> bool {
        self.minor >= facts::ISTIO_SIDECAR_EXCLUSION_FROM_MINOR.value
    }

    /// Whether proxies take tokens out of query parameters too that are not to be sent on.
    pub fn takes_tokens_out_of_queries(self) -> bool {
        self.envoy_minor() >= facts::ENVOY_TOKEN_LEAVES_QUERY_FROM_MINOR.value
    }

    /// Whether a sidecar retries what was reset before its application saw it.
    pub fn retries_inbound_resets(self) -> bool {
        self.minor >= 24
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_turn_with_their_release() {
        let [old, new] = [Version::new(19), Version::new(24)];
        assert!(!old.caps_first_ejection() && new.caps_first_ejection());
        assert!(old.retries_unavailable_by_default() && !new.retries_unavailable_by_default());
        assert!(!old.pushes_deltas() && new.pushes_deltas());
        assert_eq!(Version::new(30).envoy_minor(), 38);
        assert_eq!(Version::new(5), Version::OLDEST);
        assert_eq!(Version::new(99), Version::NEWEST);
    }
}
