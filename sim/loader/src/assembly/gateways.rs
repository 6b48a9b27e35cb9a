//! Gateways and the HTTPRoutes that attach to them: one proxy per gateway.
//!
//! Models: attachment by name, listener, port and host name; precedence by host name, path,
//! method, headers, age and name; weights; references that do not resolve.
//! Leaves out: who may attach to whom, and references to services of other namespaces, which
//! always are granted.
//! Sources: kubernetes-sigs/gateway-api v1.6, HTTPRouteRule.matches and Listener.hostname.

use super::labels::LabelIndex;
use super::proxies::{NamedBackend, NamedRoute, ProxyView, Site, backend, host_rank, path_measure};
use super::{Notes, View};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::kubernetes::gateway::{Backend, Gateway, HttpRoute, Listener, Parent, Rule};
use crate::shape::nearest;
use crate::value::IntegerOrText;
use cloud::facts;
use cloud::istio::config::GATEWAY_NAME;
use cloud::scenario::{Balance, RouteMatch};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// More routes, counted with their backends, are refused: they grow with the product of host
/// names and matches.
const BACKENDS_MAX: usize = 500_000;

/// Adds the proxies of all gateways.
pub(super) fn add(
    view: &mut View,
    objects: &Objects,
    index: &LabelIndex,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    let mut attached: BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>> = BTreeMap::new();
    let mut busy: BTreeSet<(usize, usize)> = BTreeSet::new();
    let positions: BTreeMap<_, _> = objects
        .gateways
        .iter()
        .enumerate()
        .map(|(position, gateway)| (path(gateway), position))
        .collect();
    for (number, route) in objects.routes.iter().enumerate() {
        for parent in &route.parents {
            let Some(gateway) = find_gateway(parent, &positions, objects, diagnostics) else {
                continue;
            };
            if objects.gateways[gateway].is_waypoint() {
                report_at_waypoint(parent, diagnostics);
                continue;
            }
            let hosts = attach(route, parent, &objects.gateways[gateway], &mut |listener| {
                busy.insert((gateway, listener));
            });
            match hosts {
                Some(hosts) => {
                    let routes = attached.entry(gateway).or_default();
                    routes.entry(number).or_default().extend(hosts);
                }
                None => report_unattached(parent, diagnostics),
            }
        }
    }
    let mut left = BACKENDS_MAX;
    let gateways = objects.gateways.iter().enumerate();
    for (position, gateway) in gateways.filter(|(_, gateway)| !gateway.is_waypoint()) {
        let routes = attached.remove(&position).unwrap_or_default().into_iter();
        let routes = routes
            .map(|(number, hosts)| (&objects.routes[number], hosts))
            .collect();
        report_idle(
            gateway,
            |listener| busy.contains(&(position, listener)),
            diagnostics,
        );
        add_proxy(view, gateway, routes, index, &mut left, notes, diagnostics);
    }
}

fn add_proxy(
    view: &mut View,
    gateway: &Gateway,
    attached: Vec<(&HttpRoute, BTreeSet<String>)>,
    index: &LabelIndex,
    left: &mut usize,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    let metadata = &gateway.metadata;
    let mut ports: Vec<(String, u16)> = Vec::new();
    for listener in &gateway.listeners {
        if !ports.iter().any(|(_, port)| *port == listener.port) {
            ports.push((listener.name.clone(), listener.port));
        }
    }
    let site = Site {
        namespace: &metadata.namespace,
        name: format!("{}-{}", metadata.name, gateway.class),
        ports,
        span: metadata.span,
    };
    let made_for_it = BTreeMap::from([(GATEWAY_NAME.to_owned(), metadata.name.clone())]);
    let candidates = index.candidates_in(&metadata.namespace, &made_for_it);
    let (workload, service) = site.find_or_install(view, candidates, notes);
    let routes = routes(view, &attached, left, diagnostics);
    let balance = Balance::LeastRequest {
        choices: notes.fact(&facts::LEAST_REQUEST_CHOICES),
    };
    view.proxies.insert(
        metadata.path(),
        ProxyView {
            workload,
            service,
            routes,
            balance,
        },
    );
}

/// Namespace and name.
fn path(gateway: &Gateway) -> (&str, &str) {
    (&gateway.metadata.namespace, &gateway.metadata.name)
}

/// The gateway that a route names; reports one that is not there.
fn find_gateway(
    parent: &Parent,
    positions: &BTreeMap<(&str, &str), usize>,
    objects: &Objects,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    if !parent.is_gateway {
        // What it does is said to Istio.
        return None;
    }
    let position = positions
        .get(&(parent.namespace.as_str(), parent.name.as_str()))
        .copied();
    if position.is_none() {
        let message = format!(
            "there is no gateway `{}` in namespace `{}`",
            parent.name, parent.namespace
        );
        let found = diagnostics.report(Code::GatewayNotFound, parent.span, message);
        let known = objects
            .gateways
            .iter()
            .map(|gateway| gateway.metadata.name.as_str());
        let elsewhere = objects
            .gateways
            .iter()
            .find(|gateway| gateway.metadata.name == parent.name);
        if let Some(gateway) = elsewhere {
            found.help(format!("set `namespace: {}`", gateway.metadata.namespace));
        } else if let Some(near) = nearest(&parent.name, known) {
            found.help(format!("did you mean `{near}`?"));
        }
    }
    position
}

/// The host names under which a route attaches to a gateway (an empty one stands for all);
/// `None` if no listener takes it. Tells the listeners that do.
fn attach(
    route: &HttpRoute,
    parent: &Parent,
    gateway: &Gateway,
    taken_by: &mut impl FnMut(usize),
) -> Option<BTreeSet<String>> {
    let mut hosts = BTreeSet::new();
    for (position, listener) in gateway.listeners.iter().enumerate() {
        let named = parent
            .listener
            .as_ref()
            .is_none_or(|name| *name == listener.name);
        let on_port = parent.port.is_none_or(|port| port == listener.port);
        let common = shared_hosts(&route.hostnames, listener);
        if named && on_port && listener.http && !common.is_empty() {
            taken_by(position);
            hosts.extend(common);
        }
    }
    if hosts.is_empty() { None } else { Some(hosts) }
}

/// Host names that both a route and a listener take; an empty one stands for all.
fn shared_hosts(route: &[String], listener: &Listener) -> BTreeSet<String> {
    let Some(own) = &listener.hostname else {
        return if route.is_empty() {
            BTreeSet::from([String::new()])
        } else {
            route.iter().cloned().collect()
        };
    };
    if route.is_empty() {
        return BTreeSet::from([own.clone()]);
    }
    route
        .iter()
        .filter_map(|host| {
            if covers(own, host) {
                Some(host.clone())
            } else if covers(host, own) {
                Some(own.clone())
            } else {
                None
            }
        })
        .collect()
}

/// Whether a host name, perhaps with a wildcard, takes all that another one takes.
fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => narrow.ends_with(suffix) && narrow.len() > suffix.len(),
        None => wide == narrow,
    }
}

fn routes(
    view: &View,
    attached: &[(&HttpRoute, BTreeSet<String>)],
    left: &mut usize,
    diagnostics: &mut Diagnostics,
) -> Vec<NamedRoute> {
    let mut routes = Vec::new();
    for (route, hosts) in attached {
        // Without a time of creation a route counts as younger than those that have one.
        let age = (
            route.created.is_none(),
            &route.created,
            route.metadata.path(),
        );
        for (position, rule) in route.rules.iter().enumerate() {
            let backends: Vec<_> = rule
                .backends
                .iter()
                .map(|found| named_backend(view, found, diagnostics))
                .collect();
            let size = hosts.len() * rule.matches.len() * (1 + backends.len());
            *left = left.saturating_sub(size);
            if *left == 0 {
                report_too_many(route, diagnostics);
                return Vec::new();
            }
            for (host, matches) in hosts
                .iter()
                .flat_map(|host| rule.matches.iter().map(move |found| (host, found)))
            {
                let rank = (rank(host, matches), age.clone(), position);
                routes.push((rank, named(host, matches, &backends, rule)));
            }
        }
    }
    // Equal ranks keep the order of the matches.
    routes.sort_by(|(left, _), (right, _)| left.cmp(right));
    routes.into_iter().map(|(_, route)| route).collect()
}

/// Sorts before less specific matches.
fn rank(host: &str, matches: &RouteMatch) -> impl Ord + use<> {
    let (exact, length) = path_measure(&matches.path);
    let host = host_rank(Some(host).filter(|host| !host.is_empty()));
    (
        host,
        !exact,
        Reverse(length),
        matches.method.is_none(),
        Reverse(matches.headers.len()),
    )
}

fn named(host: &str, matches: &RouteMatch, backends: &[NamedBackend], rule: &Rule) -> NamedRoute {
    let hosts = if host.is_empty() {
        Vec::new()
    } else {
        vec![host.to_owned()]
    };
    NamedRoute {
        matches: RouteMatch {
            hosts,
            ..matches.clone()
        },
        backends: backends.to_vec(),
        timeout: rule.timeout,
    }
}

fn named_backend(view: &View, found: &Backend, diagnostics: &mut Diagnostics) -> NamedBackend {
    let target = match (&found.service, found.port) {
        (Some(service), Some(port)) => backend(
            view,
            service.clone(),
            &IntegerOrText::Integer(port.into()),
            found.span,
            diagnostics,
        ),
        (service, _) => {
            let what = if service.is_some() {
                "names no port"
            } else {
                "is no Service"
            };
            diagnostics
                .report(
                    Code::BackendNotFound,
                    found.span,
                    format!("the backend {what}"),
                )
                .help("requests that are sent there are answered with an error (500)");
            None
        }
    };
    NamedBackend {
        target,
        weight: found.weight,
    }
}

fn report_too_many(route: &HttpRoute, diagnostics: &mut Diagnostics) {
    let message =
        format!("gateways have more than {BACKENDS_MAX} routes, counted with their backends");
    diagnostics.report(Code::OverBudget, route.metadata.span, message);
}

fn report_unattached(parent: &Parent, diagnostics: &mut Diagnostics) {
    let message = format!(
        "no listener of the gateway `{}` takes this route",
        parent.name
    );
    diagnostics
        .report(Code::GatewayNotFound, parent.span, message)
        .help("compare `sectionName`, `port` and host names with those of its listeners");
}

fn report_at_waypoint(parent: &Parent, diagnostics: &mut Diagnostics) {
    let message = format!("`{}` is a waypoint, which takes no routes", parent.name);
    diagnostics
        .report(Code::GatewayNotFound, parent.span, message)
        .help("let the route's parent be the Service that uses the waypoint");
}

fn report_idle(gateway: &Gateway, is_busy: impl Fn(usize) -> bool, diagnostics: &mut Diagnostics) {
    for (position, listener) in gateway.listeners.iter().enumerate() {
        if !is_busy(position) && listener.http {
            let message = format!(
                "no route attaches to the listener `{}` of `{}`",
                listener.name, gateway.metadata.name
            );
            diagnostics.report(Code::GatewayWithoutRoutes, listener.span, message);
        }
    }
}
