//! What patches of EnvoyFilters make of routes.
//!
//! Models: patches of hosts come before those of their routes; a route without retries gets those
//! of its host. What a patch says takes the place of what is there, but that lists grow.
//! Approximated: patches change routes that send on, and leave others as they are.
//! Source: istio/istio pilot/pkg/networking/core/envoyfilter/rc_patch.go, pkg/proto/merge;
//! envoyproxy/envoy api/envoy/config/route/v3/route_components.proto.
//! Validated by: the tests below, and requests under patches in the crate's tests.

use super::route::{Action, RetryPolicy, Route};
use crate::facts;
use crate::istio::config::{PatchedRoutes, RetryOn, RetryPatch, RoutePatch, StreamLimits};
use engine::Duration;

/// Where a route stands.
#[derive(Clone, Copy)]
pub struct RoutePlace<'a> {
    /// What its configuration is called.
    pub configuration: &'a str,
    /// Whether that is one of a gateway.
    pub is_at_gateway: bool,
    /// What its host is called.
    pub host: &'a str,
    /// Whether its host answers to a name.
    pub answers_to: &'a dyn Fn(&str) -> bool,
    /// What it is called.
    pub route: Option<&'a str>,
}

impl RoutePlace<'_> {
    /// The port that the name of the configuration tells, and at a gateway its server and Gateway.
    fn told(&self) -> (Option<u16>, &str, String) {
        let name = self.configuration;
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        if !self.is_at_gateway {
            let inbound = name.strip_prefix("inbound|");
            let port = inbound.map_or(Some(name), |rest| rest.split('|').next());
            return (number(port), "", String::new());
        }
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            ["https", port, server, gateway, namespace] => {
                (number(Some(port)), server, format!("{namespace}/{gateway}"))
            }
            _ => (number(name.strip_prefix("http.")), "", String::new()),
        }
    }
}

impl PatchedRoutes {
    /// Whether a host is meant.
    fn takes_host(&self, place: RoutePlace<'_>) -> bool {
        let (port, server, gateway) = place.told();
        let is = |said: &Option<String>, there: &str| said.as_deref().is_none_or(|it| it == there);
        let is_ours =
            !place.is_at_gateway || is(&self.server, server) && is(&self.gateway, &gateway);
        is_ours
            && is(&self.configuration, place.configuration)
            && (self.port.is_none() || self.port == port)
            && is(&self.host, place.host)
            && self.domain.as_deref().is_none_or(place.answers_to)
    }

    fn takes(&self, place: RoutePlace<'_>) -> bool {
        self.takes_host(place) && (self.route.is_none() || self.route.as_deref() == place.route)
    }
}

/// Patches of routes, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePatches {
    /// Of hosts.
    pub hosts: Vec<(PatchedRoutes, RetryPatch)>,
    /// Of routes.
    pub routes: Vec<(PatchedRoutes, RoutePatch)>,
}

impl RoutePatches {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == RoutePatches::default()
    }

    /// A route as the proxy is told of it.
    pub fn apply(&self, place: RoutePlace<'_>, route: &Route) -> Route {
        let mut patched = route.clone();
        if !matches!(route.action, Action::Forward { .. }) {
            return patched;
        }
        let timeout = self.time(place, |patch| patch.timeout);
        patched.timeout = match timeout {
            Some(timeout) => Some(timeout).filter(|timeout| !timeout.is_zero()),
            None => route.timeout,
        };
        patched.limits = self.limits(place);
        for (_, patch) in self.of(place) {
            if let Some(retries) = &patch.retries {
                patched.retries = Some(retries.over(patched.retries));
            }
        }
        if patched.retries.is_none() {
            let hosts = self.hosts.iter().filter(|it| it.0.takes_host(place));
            patched.retries = hosts.fold(None, |known, (_, patch)| Some(patch.over(known)));
        }
        patched
    }

    /// How long a request may take that is handed in along a route, zero being no limit.
    pub fn timeout(&self, place: RoutePlace<'_>) -> Option<Duration> {
        self.time(place, |patch| patch.timeout)
    }

    /// How long streams along a route may take.
    pub fn limits(&self, place: RoutePlace<'_>) -> StreamLimits {
        StreamLimits {
            idle: self.time(place, |patch| patch.limits.idle),
            lasting: self.time(place, |patch| patch.limits.lasting),
        }
    }

    fn time(
        &self,
        place: RoutePlace<'_>,
        of: impl Fn(&RoutePatch) -> Option<Duration>,
    ) -> Option<Duration> {
        self.of(place).filter_map(|(_, patch)| of(patch)).last()
    }

    fn of(&self, place: RoutePlace<'_>) -> impl Iterator<Item = &(PatchedRoutes, RoutePatch)> {
        self.routes.iter().filter(move |it| it.0.takes(place))
    }
}

impl RetryPatch {
    /// A policy with what this says; on top of Envoy's own if there is none.
    fn over(&self, known: Option<RetryPolicy>) -> RetryPolicy {
        let mut policy = known.unwrap_or_else(|| RetryPolicy {
            attempts: facts::ENVOY_RETRIES.value,
            on: RetryOn::default(),
            per_try_timeout: None,
            avoids_previous_hosts: false,
            host_selection_attempts: facts::ENVOY_HOST_SELECTIONS.value,
            remote_localities: false,
            backoff: None,
            max_backoff: None,
        });
        if let Some(on) = &self.on {
            let codes = std::mem::take(&mut policy.on.status_codes);
            policy.on = RetryOn {
                status_codes: codes,
                ..on.clone()
            };
        }
        if self.replaces_codes && !self.status_codes.is_empty() {
            policy.on.status_codes.clear();
        }
        policy.on.status_codes.extend(&self.status_codes);
        policy.attempts = self.attempts.unwrap_or(policy.attempts);
        if let Some(timeout) = self.per_try_timeout {
            policy.per_try_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        policy.avoids_previous_hosts |= self.avoids_previous_hosts;
        let draws = self.host_selection_attempts;
        policy.host_selection_attempts = draws.unwrap_or(policy.host_selection_attempts);
        policy.backoff = self.backoff.or(policy.backoff);
        policy.max_backoff = self.max_backoff.or(policy.max_backoff);
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(configuration: &'a str, host: &'a str, is_at_gateway: bool) -> RoutePlace<'a> {
        RoutePlace {
            configuration,
            is_at_gateway,
            host,
            answers_to: &|domain| domain == "web.shop",
            route: Some("first"),
        }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn all_that_is_said_of_a_place_has_to_be_so() {
        let all = PatchedRoutes::default();
        let web = place("80", "web.shop.svc.cluster.local:80", false);
        let is_meant = |change: &dyn Fn(&mut PatchedRoutes), place| {
            let mut matches = all.clone();
            change(&mut matches);
            matches.takes(place)
        };
        assert!(is_meant(&|_| {}, web));
        assert!(is_meant(&|it| it.port = Some(80), web));
        assert!(!is_meant(&|it| it.port = Some(8080), web));
        assert!(is_meant(&|it| it.configuration = text("80"), web));
        assert!(is_meant(&|it| it.domain = text("web.shop"), web));
        assert!(!is_meant(&|it| it.domain = text("api.shop"), web));
        assert!(is_meant(&|it| it.route = text("first"), web));
        assert!(!is_meant(&|it| it.route = text("second"), web));
        assert!(!is_meant(
            &|it| it.host = text("web.shop.svc.cluster.local"),
            web
        ));
        // Sidecars have no servers.
        assert!(is_meant(&|it| it.gateway = text("shop/edge"), web));
        // A port whose protocol is told by its first bytes has a configuration without number.
        let sniffed = place("web.shop.svc.cluster.local:80", "", false);
        assert!(!is_meant(&|it| it.port = Some(80), sniffed));
        let inbound = place("inbound|8080||", "inbound|http|80", false);
        assert!(is_meant(&|it| it.port = Some(8080), inbound));
        assert!(is_meant(&|it| it.host = text("inbound|http|80"), inbound));
        // Plain servers do not tell their Gateway.
        let plain = place("http.8080", "", true);
        assert!(is_meant(&|it| it.port = Some(8080), plain));
        assert!(!is_meant(&|it| it.gateway = text("shop/edge"), plain));
        let encrypted = place("https.443.https.edge.shop", "", true);
        assert!(is_meant(&|it| it.port = Some(443), encrypted));
        assert!(is_meant(&|it| it.gateway = text("shop/edge"), encrypted));
        assert!(is_meant(&|it| it.server = text("https"), encrypted));
        assert!(!is_meant(&|it| it.server = text("http"), encrypted));
    }

    #[test]
    fn a_patch_says_over_what_is_there_and_adds_to_lists() {
        let known = RetryPolicy {
            attempts: 2,
            on: RetryOn::of("unavailable,503"),
            per_try_timeout: Some(Duration::from_secs(1)),
            avoids_previous_hosts: true,
            host_selection_attempts: 5,
            remote_localities: false,
            backoff: None,
            max_backoff: None,
        };
        let patch = RetryPatch {
            on: Some(RetryOn::of("5xx")),
            status_codes: vec![429],
            per_try_timeout: Some(Duration::ZERO),
            ..RetryPatch::default()
        };
        let patched = patch.over(Some(known.clone()));
        let on = RetryOn {
            status_codes: vec![503, 429],
            ..RetryOn::of("5xx")
        };
        let expected = RetryPolicy {
            on,
            per_try_timeout: None,
            ..known
        };
        assert_eq!(patched, expected);
        let replacing = RetryPatch {
            replaces_codes: true,
            ..patch.clone()
        };
        assert_eq!(replacing.over(Some(patched)).on.status_codes, [429]);
        // Without a policy of istiod's there is one attempt more, and at any host.
        let alone = patch.over(None);
        assert_eq!((alone.attempts, alone.host_selection_attempts), (1, 1));
        assert!(!alone.avoids_previous_hosts);
    }
}
