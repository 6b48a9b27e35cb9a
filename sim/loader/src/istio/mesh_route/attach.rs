//! Routes where they belong: at Services, ServiceEntries and listeners of Gateways, those for one
//! host put together.

use super::head::{Head, report_missing};
use super::{ANSWERED, Backend, LEFT_OUT, MeshRoute, NO_COPIES, Parent};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::grants::Grants;
use crate::istio::listeners::{Attaching, Denied, Listener, Listeners, Namespaces};
use crate::istio::objects::Written;
use crate::istio::parents::ParentKind;
use crate::istio::reads::Reads;
use crate::kubernetes::service::Service;
use cloud::facts;
use cloud::istio::config::{
    Destination, GatewayName, HttpAction, HttpMatch, HttpRoute, Object, Source, StringMatch,
    Target, UriMatch, VirtualService,
};
use cloud::istio::host;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What routes may refer to.
pub(in crate::istio) struct Known<'a> {
    services: BTreeSet<(&'a str, &'a str)>,
    pub(super) domain: &'a str,
    /// Those of Gateways and ListenerSets.
    pub(super) owners: Vec<&'a Listeners>,
    pub(super) grants: &'a Grants,
    namespaces: &'a Namespaces,
    pub(super) reads: Reads,
}

impl<'a> Known<'a> {
    pub(in crate::istio) fn of(
        services: &'a [Service],
        (owners, grants): (Vec<&'a Listeners>, &'a Grants),
        namespaces: &'a Namespaces,
        reads: Reads,
    ) -> Known<'a> {
        let names = services.iter().map(|service| {
            let metadata = &service.metadata;
            (metadata.namespace.as_str(), metadata.name.as_str())
        });
        Known {
            services: names.collect(),
            domain: facts::MESH_TRUST_DOMAIN.value,
            owners,
            grants,
            namespaces,
            reads,
        }
    }

    /// Manifests of routes alone refer to services that are somewhere else.
    fn has(&self, namespace: &str, name: &str) -> bool {
        self.services.is_empty() || self.services.contains(&(namespace, name))
    }

    pub(super) fn has_host(&self, wanted: &str) -> bool {
        self.services.is_empty()
            || self
                .services
                .iter()
                .any(|(namespace, name)| host::service(name, namespace, self.domain) == wanted)
    }
}

/// Listeners that have routes, by the positions of who has them and their own.
pub(in crate::istio) type Busy = BTreeSet<(usize, usize)>;

/// What shares a VirtualService: the namespace of routes of the mesh or the Gateway of Istio, the
/// port, and the host.
type Place = (String, Option<u16>, String);

/// More routes of VirtualServices are refused: they grow with the product of listeners, host
/// names and matches.
const ROUTES_MAX: usize = 500_000;

/// Puts routes for one host together: each namespace, port and host has one VirtualService, and
/// so has each listener and host.
pub(in crate::istio) fn merge(
    mut routes: Vec<MeshRoute>,
    entries: &[Written],
    known: &Known<'_>,
    busy: &mut Busy,
    diagnostics: &mut Diagnostics,
) -> Vec<Written> {
    routes.sort_by_cached_key(|route| {
        let identity = &route.head.identity;
        (
            identity.created,
            identity.namespace.clone(),
            identity.name.clone(),
        )
    });
    for route in &mut routes {
        route.check(known, diagnostics);
    }
    let mut left = ROUTES_MAX;
    let mut merged: BTreeMap<Place, (VirtualService, &MeshRoute)> = BTreeMap::new();
    for route in &routes {
        let mut count = 0;
        for parent in &route.head.parents {
            let is_at_gateway = parent.kind.has_listeners();
            let port = parent.port.filter(|_| !is_at_gateway);
            let http = match route.is_refused(is_at_gateway, known) {
                true => Vec::new(),
                false => route.at(port, is_at_gateway),
            };
            for (gateway, host) in places(route, parent, entries, known, busy, diagnostics) {
                left = left.saturating_sub(http.len());
                if left == 0 {
                    let message = format!("routes at gateways are more than {ROUTES_MAX}");
                    diagnostics.report(Code::OverBudget, route.head.span, message);
                    return Vec::new();
                }
                if http.is_empty() {
                    continue;
                }
                let owner = match &gateway {
                    GatewayName::Mesh => route.head.identity.namespace.clone(),
                    GatewayName::Object { namespace, name } => format!("{namespace}/{name}"),
                };
                let (service, _) = merged
                    .entry((owner, port, host.clone()))
                    .or_insert_with(|| {
                        count += 1;
                        let which = (count - 1).to_string();
                        (route.head.generated(&which, gateway, host), route)
                    });
                service.http.extend(http.iter().cloned());
            }
        }
    }
    let written = merged.into_values().map(|(mut service, route)| {
        service
            .http
            .sort_by_cached_key(|route| rank(&route.matches));
        route.head.written(service)
    });
    written.collect()
}

/// Where requests take a route because of a parent: a gateway or the mesh, and a host. Marks
/// listeners that have routes, by the positions of who has them and their own.
fn places(
    route: &MeshRoute,
    parent: &Parent,
    entries: &[Written],
    known: &Known<'_>,
    busy: &mut Busy,
    diagnostics: &mut Diagnostics,
) -> Vec<(GatewayName, String)> {
    if !parent.kind.has_listeners() {
        let hosts = hosts(parent, entries, known, diagnostics).into_iter();
        return hosts.map(|host| (GatewayName::Mesh, host)).collect();
    }
    let head = &route.head;
    let mut places = Vec::new();
    for (owner, listener) in listeners(head, parent, known, busy, diagnostics) {
        let name = owner.generated(listener);
        let hosts = owner.hosts_at(listener, &head.hostnames);
        places.extend(hosts.into_iter().map(|host| (name.clone(), host)));
    }
    places
}

/// Listeners of a parent that take a route. Marks them; reports it if there are none.
pub(super) fn listeners<'a>(
    head: &Head,
    parent: &Parent,
    known: &Known<'a>,
    busy: &mut Busy,
    diagnostics: &mut Diagnostics,
) -> Vec<(&'a Listeners, &'a Listener)> {
    let Parent {
        kind,
        namespace,
        name,
        ..
    } = parent;
    let mut owners = known.owners.iter().copied().enumerate();
    let found = owners.find(|(_, it)| {
        let identity = &it.identity;
        (it.kind, &identity.namespace, &identity.name) == (*kind, namespace, name)
    });
    let Some((number, owner)) = found else {
        // The document of a Gateway has problems of its own.
        if *kind != ParentKind::Gateway {
            let message = format!("nobody listens for a {} `{namespace}/{name}`", kind.name());
            diagnostics
                .report(Code::GatewayNotFound, parent.span, message)
                .help("give its `namespace`, if that is another, and let it belong to a Gateway");
        }
        return Vec::new();
    };
    let attaching = Attaching {
        namespace: &head.identity.namespace,
        kind: head.kind,
        hostnames: &head.hostnames,
        listener: parent.listener.as_deref(),
        port: parent.port,
    };
    let taken = match owner.attach(&attaching, known.namespaces) {
        Ok(taken) => taken,
        Err(denied) => {
            report_denied(denied, &head.identity.namespace, parent, diagnostics);
            return Vec::new();
        }
    };
    busy.extend(taken.iter().map(|&position| (number, position)));
    let taken = taken.into_iter();
    taken
        .map(|position| (owner, &owner.all()[position]))
        .collect()
}

fn report_denied(denied: Denied, namespace: &str, parent: &Parent, diagnostics: &mut Diagnostics) {
    let kind = match parent.kind {
        ParentKind::Gateway => "gateway",
        kind => kind.name(),
    };
    let (message, help) = match denied {
        Denied::NoneFits => (
            format!(
                "no listener of the {kind} `{}` takes this route",
                parent.name
            ),
            "compare `sectionName`, `port` and host names with those of its listeners",
        ),
        Denied::Namespace => (
            format!(
                "the {kind} `{}` takes no routes of the namespace `{namespace}`",
                parent.name
            ),
            "set `allowedRoutes: {namespaces: {from: All}}` on its listener: without it, its own namespace alone may attach",
        ),
    };
    diagnostics
        .report(Code::GatewayNotFound, parent.span, message)
        .help(help);
}

/// Reports listeners that no route attaches to.
pub(in crate::istio) fn report_idle(known: &Known<'_>, busy: &Busy, diagnostics: &mut Diagnostics) {
    for (number, owner) in known.owners.iter().enumerate() {
        for (position, listener) in owner.all().iter().enumerate() {
            if !busy.contains(&(number, position)) {
                let message = format!(
                    "no route attaches to the listener `{}` of `{}`",
                    listener.name, owner.identity.name
                );
                diagnostics.report(Code::GatewayWithoutRoutes, listener.span, message);
            }
        }
    }
}

/// Hosts of a parent; reports one that is not there.
pub(super) fn hosts(
    parent: &Parent,
    entries: &[Written],
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<String> {
    let Parent {
        namespace, name, ..
    } = parent;
    let is_entry = parent.kind == ParentKind::ServiceEntry;
    let found = if is_entry {
        entries.iter().find_map(|written| match &written.object {
            Object::ServiceEntry(entry)
                if (&entry.identity.namespace, &entry.identity.name) == (namespace, name) =>
            {
                Some(entry.hosts.clone())
            }
            _ => None,
        })
    } else {
        known
            .has(namespace, name)
            .then(|| vec![host::service(name, namespace, known.domain)])
    };
    found.unwrap_or_else(|| {
        let kind = if is_entry { "ServiceEntry" } else { "Service" };
        let message =
            format!("there is no {kind} `{namespace}/{name}`, so the route takes nothing");
        let found = diagnostics.report(Code::GatewayNotFound, parent.span, message);
        let same = known.services.iter().find(|(_, other)| other == name);
        if let Some((other, _)) = same {
            found.help(format!("set `namespace: {other}`"));
        }
        Vec::new()
    })
}

/// Sorts before less specific matches; what has none comes last.
fn rank(matches: &[HttpMatch]) -> impl Ord + use<> {
    matches
        .first()
        .map_or((true, 0, Reverse(0), false, Reverse((0, 0))), |it| {
            let (kind, length) = match &it.uri {
                Some(UriMatch::Text(StringMatch::Exact(path))) => (0, path.len()),
                Some(UriMatch::Below(path)) => (1, path.len().max(1)),
                Some(UriMatch::Text(StringMatch::Prefix(path))) => (1, path.len()),
                Some(UriMatch::Text(StringMatch::Regex(path))) => (2, path.len()),
                None => (3, 0),
            };
            let conditions = (it.headers.len(), it.query.len());
            (
                false,
                kind,
                Reverse(length),
                it.method.is_none(),
                Reverse(conditions),
            )
        })
}

impl MeshRoute {
    /// Whether istiod leaves it out, at Gateways or in the mesh: for a backend or filter that is a
    /// mistake, and a GRPCRoute also for a mirror that leads nowhere.
    fn is_refused(&self, is_at_gateway: bool, known: &Known<'_>) -> bool {
        let MeshRoute { head, rules } = self;
        let loses = |backend: &Backend| is_at_gateway && head.denied(backend, known).is_some();
        rules.iter().any(|rule| {
            let mut backends = rule.backends.iter();
            rule.is_refused
                || backends.any(|it| head.is_refused_for(it, is_at_gateway, known))
                || (head.is_grpc() && rule.mirrored.iter().any(loses))
        })
    }

    /// Its routes for a port, one for each match.
    fn at(&self, port: Option<u16>, is_at_gateway: bool) -> Vec<HttpRoute> {
        let mut routes = Vec::new();
        for rule in &self.rules {
            let mut matches: Vec<Vec<HttpMatch>> =
                rule.matches.iter().map(|it| vec![it.clone()]).collect();
            if matches.is_empty() {
                let everything = port.map(|_| HttpMatch::default());
                matches.push(everything.into_iter().collect());
            }
            routes.extend(matches.into_iter().map(|mut matches| {
                for it in &mut matches {
                    it.source = Source {
                        port,
                        ..Source::default()
                    };
                }
                let granted = rule.granted.as_ref().filter(|_| is_at_gateway);
                HttpRoute {
                    matches,
                    ..granted.unwrap_or(&rule.route).clone()
                }
            }));
        }
        routes
    }

    /// Services that are not there answer nothing: their share of requests gets 500, and no copies
    /// are sent to them.
    fn check(&mut self, known: &Known<'_>, diagnostics: &mut Diagnostics) {
        let is_grpc = self.head.is_grpc();
        for rule in &mut self.rules {
            let mirrors = rule.route.mirrors.iter().zip(&rule.mirrored);
            let (mirrors, mirrored): (Vec<_>, Vec<_>) = mirrors
                .filter(|(mirror, backend)| {
                    let host = &mirror.destination.host;
                    !report_missing(host, backend, known, NO_COPIES, diagnostics)
                })
                .map(|(mirror, backend)| (mirror.clone(), backend.clone()))
                .unzip();
            rule.is_refused |= is_grpc && mirrors.len() < rule.route.mirrors.len();
            (rule.route.mirrors, rule.mirrored) = (mirrors, mirrored);
            let HttpAction::Forward(destinations) = &mut rule.route.action else {
                continue;
            };
            for (destination, backend) in destinations.iter_mut().zip(&rule.backends) {
                let Target::Host(Destination { host, .. }) = &destination.target else {
                    continue;
                };
                if report_missing(host, backend, known, ANSWERED, diagnostics) {
                    destination.target = Target::Broken { status: 500 };
                }
            }
        }
        if self.head.is_at_gateway() {
            self.grant(known, diagnostics);
        }
    }

    /// At Gateways what other namespaces do not grant leads nowhere: the share of backends gets 500,
    /// and copies are not sent.
    fn grant(&mut self, known: &Known<'_>, diagnostics: &mut Diagnostics) {
        let MeshRoute { head, rules } = self;
        let of_mirrors = match head.is_grpc() {
            true => LEFT_OUT,
            false => "Gateways send no copies there",
        };
        let mut is_denied =
            |backend: &Backend, help: &str| head.report_denied(backend, known, help, diagnostics);
        for rule in rules {
            let mut route = rule.route.clone();
            if let HttpAction::Forward(destinations) = &mut route.action {
                for (destination, backend) in destinations.iter_mut().zip(&rule.backends) {
                    if is_denied(
                        backend,
                        "requests that a Gateway sends there are answered with an error (500)",
                    ) {
                        destination.target = Target::Broken { status: 500 };
                    }
                }
            }
            let mirrors = route.mirrors.into_iter().zip(&rule.mirrored);
            route.mirrors = mirrors
                .filter(|(_, backend)| !is_denied(backend, of_mirrors))
                .map(|(mirror, _)| mirror)
                .collect();
            rule.granted = (route != rule.route).then_some(route);
        }
    }
}
