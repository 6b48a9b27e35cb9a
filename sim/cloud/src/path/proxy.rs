//! L7 proxies: an ingress controller or a gateway.
//!
//! Models: a workload with workers and a service time, whose pods route each request by host,
//! path, header and method, draw a backend by weight, balance over the endpoints of their own
//! view, and keep HTTP/1.1 connections to pods, past the services' virtual addresses. Answers
//! of its own: 404 without a route, 500 for a backend that does not resolve or weights of
//! zero, 503 without endpoints or connection, 504 when the route's timeout passes.
//!
//! Approximated: the load that a proxy's pod sees is its own requests in flight; all pods of
//! a proxy share one endpoint view. Leaves out: retries of proxies, buffering, TLS.
//! Sources: Gateway API (HTTPRoute), Envoy, ingress-nginx.
//! Validated by: one test per answer and per kind of match.

use super::{Endpoint, Owner, Plan, Target};
use crate::balance::{self, Turn};
use crate::domain::{Clock, Domain};
use crate::facts;
use crate::record::{Caller, Reason};
use crate::scenario::{
    OnFailure, PathMatch, Protocol, ProxyId, RequestAttributes, Retry, Route, RouteMatch,
    ServiceId, TrafficId, WorkloadId,
};
use crate::slab::Key;
use crate::view::View;
use engine::{Stream, Time};

/// A proxy at work.
#[derive(Clone, Debug)]
pub(crate) struct ProxyState<'t> {
    pub(crate) routes: &'t [Route],
    /// Those that were written since, and when, one after the other.
    pub(crate) written: Vec<(Time, &'t [Route])>,
    /// First plan of each route's backends.
    pub(crate) plans: Vec<u32>,
    /// What its pods know of endpoints.
    pub(crate) view: View,
    /// Draws of backends.
    pub(crate) stream: Stream,
    /// Whose turn it is, by pod.
    turns: std::collections::BTreeMap<u32, Turn>,
}

impl<'t> ProxyState<'t> {
    pub(crate) fn new(stream: Stream) -> Self {
        ProxyState {
            routes: &[],
            written: Vec::new(),
            plans: Vec::new(),
            view: View::default(),
            stream,
            turns: std::collections::BTreeMap::new(),
        }
    }
}

/// Whether a route takes requests with these attributes.
pub(crate) fn takes(route: &RouteMatch, request: &RequestAttributes) -> bool {
    let host =
        route.hosts.is_empty() || route.hosts.iter().any(|host| is_host(host, &request.host));
    let path = match &route.path {
        PathMatch::Any => true,
        PathMatch::Exact(path) => path_of(request) == path,
        PathMatch::Prefix(prefix) => is_below(prefix, path_of(request)),
    };
    let header = |wanted: &(String, String)| request.headers.contains(wanted);
    let method = route
        .method
        .as_ref()
        .is_none_or(|method| *method == request.method);
    host && path && method && route.headers.iter().all(header)
}

/// The path without its query.
fn path_of(request: &RequestAttributes) -> &str {
    request.path.split('?').next().unwrap_or("/")
}

fn is_host(pattern: &str, host: &str) -> bool {
    let name = host.split(':').next().unwrap_or(host);
    match pattern.strip_prefix("*.") {
        Some(domain) => name
            .strip_suffix(domain)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => pattern == "*" || pattern.eq_ignore_ascii_case(name),
    }
}

/// By path element: `/a` is above `/a/b` and not above `/ab`.
fn is_below(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'t> Domain<'t> {
    /// Gives a proxy its routes, with a plan for each backend.
    pub(crate) fn set_routes(&mut self, id: ProxyId, routes: &'t [Route]) {
        let cluster = self.cluster.expect("proxies run in clusters");
        let workload = self.topology.cluster(cluster).proxies[id.index()].workload;
        let mut first = Vec::new();
        for route in routes {
            first.push(self.plans.len() as u32);
            for backend in &route.backends {
                self.plans.push(Plan {
                    caller: Caller::Workload(cluster, workload),
                    from_pod: true,
                    traffic: None,
                    attributes: None,
                    port: 0,
                    // A backend without a service is answered before its plan is looked at; what
                    // is asked, and for whom, comes with each request.
                    target: Target::Backend(backend.service.unwrap_or(ServiceId(0))),
                    probability: 1.0,
                    repeat: 1,
                    request_bytes: 0,
                    protocol: Protocol::Http1 {
                        idle_timeout: facts::HTTP_IDLE_TIMEOUT.value,
                    },
                    timeout: route.timeout,
                    retry: Retry::NEVER,
                    on_failure: OnFailure::Fail,
                });
            }
        }
        self.proxies[id.index()].routes = routes;
        self.proxies[id.index()].plans = first;
    }

    /// Which of a proxy's routes takes requests of a source.
    fn route_of(&self, proxy: ProxyId, traffic: Option<TrafficId>) -> Option<usize> {
        let routes = self.proxies[proxy.index()].routes;
        match traffic {
            Some(traffic) => {
                let request = &self.topology.scenario.traffic[traffic.index()].attributes;
                routes
                    .iter()
                    .position(|route| takes(&route.matches, request))
            }
            // A pod's call names no host and no path of its own.
            None => routes.iter().position(|route| {
                let matches = &route.matches;
                let root = match &matches.path {
                    PathMatch::Any => true,
                    PathMatch::Exact(path) | PathMatch::Prefix(path) => path == "/",
                };
                matches.hosts.is_empty() && root && matches.headers.is_empty()
            }),
        }
    }

    /// A proxy's pod has done its own work on a request: on to a backend.
    pub(crate) fn route(&mut self, key: Key, proxy: ProxyId, context: &mut Clock<'_, Self>) {
        let task = &self.tasks[key];
        let (identity, pod, traffic) = (task.identity, task.pod, task.traffic);
        let Some(position) = self.route_of(proxy, traffic) else {
            return self.finish(key, Err(Reason::NoRoute), context);
        };
        let state = &self.proxies[proxy.index()];
        let backends = &state.routes[position].backends;
        let total: u64 = backends
            .iter()
            .map(|backend| u64::from(backend.weight))
            .sum();
        if total == 0 {
            return self.finish(key, Err(Reason::ServerError), context);
        }
        let mut draw = state.stream.draw(identity.request, identity.branch);
        let mut ticket = (draw.uniform() * total as f64) as u64;
        let mut chosen = 0;
        for (index, backend) in backends.iter().enumerate() {
            chosen = index;
            if ticket < u64::from(backend.weight) {
                break;
            }
            ticket -= u64::from(backend.weight);
        }
        if backends[chosen].service.is_none() {
            return self.finish(key, Err(Reason::ServerError), context);
        }
        let plan = state.plans[position] + chosen as u32;
        self.tasks[key].open = 1;
        self.make_call(Owner::Task(key), plan, pod, identity.part(1), context);
    }

    /// The endpoint that a proxy's pod sends a request to.
    pub(crate) fn choose_backend(&mut self, key: Key, service: ServiceId) -> Option<Endpoint> {
        let call = &self.calls[key];
        let (pod, identity) = (call.client, call.work());
        let workload = self.pods[pod as usize].workload;
        let proxy = self.proxy_of(workload)?;
        let cluster = self.cluster?;
        let policy = self.topology.cluster(cluster).proxies[proxy.index()].balance;
        let state = &mut self.proxies[proxy.index()];
        let endpoints = state.view.endpoints(&self.endpoint_log, service);
        if endpoints.is_empty() {
            return None;
        }
        let stream = &self.services[service.index()].stream;
        let mut draw = stream.draw(identity.request, identity.branch);
        // Pods of a proxy do not march in step.
        let turn = state
            .turns
            .entry(pod)
            .or_insert_with(|| Turn::starting_at(pod));
        let outstanding = &self.outstanding;
        let load = |at: u32| {
            let pair = (pod, endpoints[at as usize]);
            outstanding.get(&pair).copied().unwrap_or(0)
        };
        let chosen = balance::choose(policy, endpoints.len() as u32, turn, &mut draw, load);
        let chosen = endpoints[chosen as usize];
        *self.outstanding.entry((pod, chosen)).or_default() += 1;
        Some(self.endpoint(chosen, service, None))
    }

    /// A proxy's pod has one request less at the endpoint that an attempt was for.
    pub(crate) fn release_outstanding(&mut self, key: Key) {
        let call = &self.calls[key];
        let of_gateway = matches!(call.owner, Owner::Task(_));
        if !of_gateway || !matches!(self.plans[call.plan as usize].target, Target::Backend(_)) {
            return;
        }
        let Some(endpoint) = call.stage.endpoint() else {
            return;
        };
        if let Some(count) = self.outstanding.get_mut(&(call.client, endpoint.pod)) {
            *count -= 1;
        }
    }

    /// The proxy that a workload is, if it is one.
    pub(crate) fn proxy_of(&self, workload: WorkloadId) -> Option<ProxyId> {
        let cluster = self.cluster?;
        self.topology.clusters[cluster.index()].proxies[workload.index()]
    }
}

/// What a proxy answers when its backend failed.
pub(crate) fn translated(reason: Reason) -> Reason {
    match reason {
        Reason::Timeout => Reason::GatewayTimeout,
        Reason::Refused | Reason::ConnectTimeout | Reason::NoEndpoints | Reason::Reset => {
            Reason::Unavailable
        }
        passed_on => passed_on,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, path: &str) -> RequestAttributes {
        RequestAttributes {
            host: host.into(),
            path: path.into(),
            method: "GET".into(),
            token: None,
            headers: vec![("version".into(), "v2".into())],
        }
    }

    #[test]
    fn hosts_match_exactly_or_below_a_wildcard() {
        let takes_host = |pattern: &str, host: &str| {
            let route = RouteMatch {
                hosts: vec![pattern.into()],
                ..RouteMatch::default()
            };
            takes(&route, &request(host, "/"))
        };
        assert!(takes_host("shop.example.com", "shop.example.com"));
        assert!(takes_host("shop.example.com", "Shop.Example.com:8080"));
        assert!(takes_host("*.example.com", "shop.example.com"));
        assert!(takes_host("*.example.com", "a.shop.example.com"));
        assert!(!takes_host("*.example.com", "example.com"));
        assert!(!takes_host("*.example.com", "badexample.com"));
        assert!(!takes_host("shop.example.com", "example.com"));
    }

    #[test]
    fn prefixes_match_by_path_element() {
        let takes_path = |path: PathMatch, asked: &str| {
            let route = RouteMatch {
                path,
                ..RouteMatch::default()
            };
            takes(&route, &request("h", asked))
        };
        let prefix = |path: &str| PathMatch::Prefix(path.into());
        assert!(takes_path(prefix("/"), "/anything"));
        assert!(takes_path(prefix("/cart"), "/cart"));
        assert!(takes_path(prefix("/cart/"), "/cart"));
        assert!(takes_path(prefix("/cart"), "/cart/items?page=2"));
        assert!(!takes_path(prefix("/cart"), "/cartoon"));
        assert!(takes_path(PathMatch::Exact("/cart".into()), "/cart?page=2"));
        assert!(!takes_path(PathMatch::Exact("/cart".into()), "/cart/items"));
    }

    #[test]
    fn headers_and_methods_must_all_hold() {
        let route = |headers: &[(&str, &str)], method: Option<&str>| RouteMatch {
            headers: headers
                .iter()
                .map(|&(name, value)| (name.into(), value.into()))
                .collect(),
            method: method.map(Into::into),
            ..RouteMatch::default()
        };
        assert!(takes(
            &route(&[("version", "v2")], Some("GET")),
            &request("h", "/")
        ));
        assert!(!takes(
            &route(&[("version", "v1")], None),
            &request("h", "/")
        ));
        assert!(!takes(&route(&[], Some("POST")), &request("h", "/")));
    }
}
