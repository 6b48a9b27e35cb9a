//! Ingresses: one proxy per class.
//!
//! Models: the most specific host first, then the longest path, then an exact path before a
//! prefix, then the default backends.
//! Leaves out: that a controller which has found the host of a request looks at no other rule.
//! Sources: kubernetes.io, Ingress (path types, multiple matches, host name wildcards).

use super::labels::LabelIndex;
use super::proxies::{NamedBackend, NamedRoute, ProxyView, Site, backend, host_rank, path_measure};
use super::{Notes, View, WorkloadKey};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::Objects;
use crate::kubernetes::gateway::prefix;
use crate::kubernetes::ingress::{Ingress, IngressClass, IngressRoute};
use cloud::scenario::{Balance, PathMatch, RouteMatch};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Adds the proxies of all classes that some ingress belongs to.
pub(super) fn add(
    view: &mut View,
    objects: &Objects,
    index: &LabelIndex,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    let default = IngressClass::default_of(&objects.ingress_classes);
    let default = default.map(|class| class.metadata.name.clone());
    let mut by_class: BTreeMap<Option<String>, Vec<&Ingress>> = BTreeMap::new();
    for ingress in &objects.ingresses {
        let class = ingress.class.clone().or_else(|| default.clone());
        by_class.entry(class).or_default().push(ingress);
    }
    for (class, ingresses) in by_class {
        if let Some(class) = &class {
            check_class(class, objects, ingresses[0], diagnostics);
        }
        let name = class
            .as_deref()
            .map_or("ingress".to_owned(), |class| format!("ingress-{class}"));
        let site = Site {
            namespace: "default",
            name: name.clone(),
            ports: vec![("http".to_owned(), 80), ("https".to_owned(), 443)],
            span: ingresses[0].metadata.span,
        };
        let candidates = controllers(view, index, class.as_deref());
        let (workload, service) = site.find_or_install(view, &candidates, notes);
        let routes = routes(view, &ingresses, diagnostics);
        // The most common controller, ingress-nginx, goes round.
        let proxy = ProxyView {
            workload,
            service,
            routes,
            balance: Balance::RoundRobin,
        };
        view.proxies.insert(class.unwrap_or(name), proxy);
    }
}

fn check_class(class: &str, objects: &Objects, ingress: &Ingress, diagnostics: &mut Diagnostics) {
    let known = || {
        objects
            .ingress_classes
            .iter()
            .map(|known| known.metadata.name.as_str())
    };
    if known().any(|known| known == class) {
        return;
    }
    let message = format!("no manifest defines the class `{class}`");
    let found = diagnostics.report(Code::IngressClassNotFound, ingress.class_span, message);
    if let Some(near) = crate::shape::nearest(class, known()) {
        found.help(format!("did you mean `{near}`?"));
    }
}

/// The `app.kubernetes.io/name` that charts of controllers give to their pods, and the
/// component that forwards requests where there are several.
const CONTROLLERS: &[(&str, Option<&str>)] = &[
    ("contour", Some("envoy")),
    ("haproxy-ingress", None),
    ("ingress-nginx", Some("controller")),
    ("kong", None),
    ("kubernetes-ingress", None),
    ("nginx-ingress", None),
    ("traefik", None),
];

/// Workloads that are the controller of a class, by the usual labels.
fn controllers(view: &View, index: &LabelIndex, class: Option<&str>) -> Vec<WorkloadKey> {
    let of_class =
        |name: &str| class.is_none_or(|class| name.contains(class) || class.contains(name));
    let has_component = |key: &&WorkloadKey, component: Option<&str>| {
        let labels = view
            .workloads
            .get(*key)
            .map(|found| &found.placement.labels);
        let own = labels.and_then(|labels| labels.get("app.kubernetes.io/component"));
        component.is_none_or(|component| own.is_some_and(|own| own == component))
    };
    CONTROLLERS
        .iter()
        .filter(|(name, _)| of_class(name))
        .flat_map(|(name, component)| {
            let found = index.with("app.kubernetes.io/name", name).iter();
            found.filter(|key| has_component(key, *component)).cloned()
        })
        .collect()
}

fn routes(view: &View, ingresses: &[&Ingress], diagnostics: &mut Diagnostics) -> Vec<NamedRoute> {
    let mut routes: Vec<_> = ingresses
        .iter()
        .flat_map(|ingress| {
            ingress
                .routes
                .iter()
                .map(|route| (&ingress.metadata.namespace, route))
        })
        .map(|(namespace, route)| {
            let path = path(route);
            let (exact, length) = path_measure(&path);
            // A rule of its own comes before the default backend.
            let is_default = route.path.is_none() && route.host.is_none();
            let rank = (
                host_rank(route.host.as_deref()),
                Reverse(length),
                !exact,
                is_default,
            );
            let target = match &route.backend {
                Some((service, port)) => {
                    let key = (namespace.clone(), service.clone());
                    backend(view, key, port, route.span, diagnostics)
                }
                None => None,
            };
            let matches = RouteMatch {
                hosts: route.host.iter().cloned().collect(),
                path,
                ..RouteMatch::default()
            };
            (
                rank,
                NamedRoute {
                    matches,
                    backends: vec![NamedBackend { target, weight: 1 }],
                    timeout: None,
                },
            )
        })
        .collect();
    routes.sort_by(|(left, _), (right, _)| left.cmp(right));
    routes.into_iter().map(|(_, route)| route).collect()
}

fn path(route: &IngressRoute) -> PathMatch {
    match &route.path {
        None => PathMatch::Any,
        Some(path) if route.exact => PathMatch::Exact(path.clone()),
        Some(path) => prefix(path),
    }
}
