//! VirtualServices with what they delegate merged in, hosts made full, and in order of age.
//!
//! Routes of the Gateway API say hosts as they mean them: `shop` is no Service of their namespace,
//! but what clients ask for by that name.

use super::registry::World;
use crate::istio::config::{
    Audience, Destination, ExportTo, GatewayName, HttpAction, HttpMatch, HttpRoute, Labels,
    StringMatch, Target, TcpRoute, TlsRoute, UriMatch, ValueMatch, VirtualService,
};
use crate::istio::host;
use std::collections::BTreeMap;

/// A VirtualService, ready to be translated.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// Its place in the configuration.
    pub index: usize,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Full hosts, in small letters.
    pub hosts: Vec<String>,
    /// Where it counts.
    pub gateways: Vec<GatewayName>,
    /// Routes of requests.
    pub http: Vec<HttpRoute>,
    /// Routes of encrypted connections.
    pub tls: Vec<TlsRoute>,
    /// Routes of other connections.
    pub tcp: Vec<TcpRoute>,
    /// Who may see it.
    pub audience: Vec<Audience>,
    /// Whether it stands for routes of the Gateway API.
    pub is_of_gateway_api: bool,
}

/// In which group a namespace sees a VirtualService; earlier groups come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// Kept to the namespace, which is this one.
    Private,
    /// Shown to this namespace by name.
    Named,
    /// Routes of the Gateway API that are shown to everybody, of this namespace: its own clients
    /// take them before those of the service's namespace.
    PublicOfOwn,
    /// Shown to everybody.
    Public,
}

impl Merged {
    /// How a namespace sees it, if it does.
    pub fn visibility(&self, namespace: &str) -> Option<Visibility> {
        let is_own = self.namespace == namespace;
        let of = |audience: &Audience| match audience {
            Audience::Everybody if is_own && self.is_of_gateway_api => {
                Some(Visibility::PublicOfOwn)
            }
            Audience::Everybody => Some(Visibility::Public),
            Audience::OwnNamespace if is_own => Some(Visibility::Private),
            Audience::Namespace(name) if name == namespace => Some(Visibility::Named),
            _ => None,
        };
        self.audience.iter().filter_map(of).max()
    }

    /// Whether it counts for sidecars, or for a Gateway.
    pub fn counts_for(&self, gateway: &GatewayName) -> bool {
        self.gateways.contains(gateway)
    }
}

/// All VirtualServices with hosts, the oldest first.
pub fn merged(world: &World<'_>) -> Vec<Merged> {
    let objects = &world.objects.virtual_services;
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_cached_key(|&index| objects[index].identity.age_order());
    // What delegates further is no delegate.
    let is_last = |it: &&VirtualService| {
        let mut routes = it.http.iter();
        it.hosts.is_empty()
            && !routes.any(|route| matches!(route.action, HttpAction::Delegate { .. }))
    };
    let delegates = objects.iter().filter(is_last);
    let delegates: BTreeMap<(&str, &str), &VirtualService> = delegates
        .map(|it| {
            (
                (it.identity.namespace.as_str(), it.identity.name.as_str()),
                it,
            )
        })
        .collect();
    let with_hosts = order
        .into_iter()
        .filter(|&index| !objects[index].hosts.is_empty());
    with_hosts
        .map(|index| merge(world, index, &delegates))
        .collect()
}

fn audience(world: &World<'_>, object: &VirtualService) -> Vec<Audience> {
    match &object.export_to {
        ExportTo::Default => world.mesh.virtual_service_export_to.clone(),
        ExportTo::Only(audience) => audience.clone(),
    }
}

fn merge(
    world: &World<'_>,
    index: usize,
    delegates: &BTreeMap<(&str, &str), &VirtualService>,
) -> Merged {
    let object = &world.objects.virtual_services[index];
    let namespace = &object.identity.namespace;
    let as_written = object.is_of_gateway_api && world.version.takes_gateway_api_hosts_as_written();
    let full = |host: &str, namespace: &str| match as_written {
        true => host.to_lowercase(),
        false => host::complete(host, namespace, world.domain).to_lowercase(),
    };
    let complete = |destination: &mut Destination, namespace: &str| {
        destination.host = full(&destination.host, namespace);
    };
    let mut http = Vec::new();
    for route in &object.http {
        let HttpAction::Delegate {
            namespace: of,
            name,
        } = &route.action
        else {
            http.push(with_full_hosts(route.clone(), |it| complete(it, namespace)));
            continue;
        };
        let delegate = delegates.get(&(of.as_str(), name.as_str()));
        let is_shown = |it: &&&VirtualService| {
            let audience = audience(world, it);
            audience.iter().any(|it| it.includes(namespace, of))
        };
        for part in delegate
            .filter(is_shown)
            .into_iter()
            .flat_map(|it| &it.http)
        {
            let part = with_full_hosts(part.clone(), |it| complete(it, of));
            http.extend(merge_route(route, part));
        }
    }
    let mut tls = object.tls.clone();
    let mut tcp = object.tcp.clone();
    let of_tls = tls.iter_mut().flat_map(|route| &mut route.destinations);
    of_tls.for_each(|it| complete(&mut it.destination, namespace));
    let of_tcp = tcp.iter_mut().flat_map(|route| &mut route.destinations);
    of_tcp.for_each(|it| complete(&mut it.destination, namespace));
    Merged {
        index,
        namespace: namespace.clone(),
        name: object.identity.name.clone(),
        hosts: object.hosts.iter().map(|it| full(it, namespace)).collect(),
        gateways: object.gateways.clone(),
        http,
        tls,
        tcp,
        audience: audience(world, object),
        is_of_gateway_api: object.is_of_gateway_api,
    }
}

fn with_full_hosts(mut route: HttpRoute, complete: impl Fn(&mut Destination)) -> HttpRoute {
    if let HttpAction::Forward(destinations) = &mut route.action {
        for destination in destinations {
            if let Target::Host(destination) = &mut destination.target {
                complete(destination);
            }
        }
    }
    for mirror in &mut route.mirrors {
        complete(&mut mirror.destination);
    }
    route
}

fn joined(outer: &Option<String>, inner: Option<String>) -> Option<String> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => Some(format!("{outer}-{inner}")),
        (outer, inner) => inner.or_else(|| outer.clone()),
    }
}

/// What the inner route says, or what the outer one says if it says nothing.
fn or_outer<T: Clone + Default + PartialEq>(inner: T, outer: &T) -> T {
    if inner == T::default() {
        outer.clone()
    } else {
        inner
    }
}

/// A delegate's route under the route that delegates; nothing if they contradict.
fn merge_route(outer: &HttpRoute, inner: HttpRoute) -> Option<HttpRoute> {
    let matches = merge_matches(&outer.matches, inner.matches)?;
    Some(HttpRoute {
        name: joined(&outer.name, inner.name),
        matches,
        rewrite: inner.rewrite.or_else(|| outer.rewrite.clone()),
        timeout: inner.timeout.or(outer.timeout),
        retries: inner.retries.or_else(|| outer.retries.clone()),
        fault: or_outer(inner.fault, &outer.fault),
        mirrors: or_outer(inner.mirrors, &outer.mirrors),
        headers: or_outer(inner.headers, &outer.headers),
        answers_preflights: inner.answers_preflights || outer.answers_preflights,
        action: inner.action,
    })
}

fn merge_matches(outer: &[HttpMatch], inner: Vec<HttpMatch>) -> Option<Vec<HttpMatch>> {
    if outer.is_empty() {
        return Some(inner);
    }
    if inner.is_empty() {
        return Some(outer.to_vec());
    }
    let mut merged = Vec::new();
    for inner in &inner {
        let fitting = outer.iter().filter(|outer| !contradicts(outer, inner));
        let before = merged.len();
        merged.extend(fitting.map(|outer| merge_match(outer, inner)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

/// What both say; of one thing, what the inner one says.
fn both<T: Clone>(outer: &BTreeMap<String, T>, inner: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let all = outer.iter().chain(inner);
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn merge_match(outer: &HttpMatch, inner: &HttpMatch) -> HttpMatch {
    let mut merged = inner.clone();
    merged.name = joined(&outer.name, merged.name);
    merged.uri = merged.uri.or_else(|| outer.uri.clone());
    merged.scheme = merged.scheme.or_else(|| outer.scheme.clone());
    merged.method = merged.method.or_else(|| outer.method.clone());
    merged.authority = merged.authority.or_else(|| outer.authority.clone());
    merged.headers = both(&outer.headers, &inner.headers);
    merged.without_headers = both(&outer.without_headers, &inner.without_headers);
    merged.query = both(&outer.query, &inner.query);
    let source = &mut merged.source;
    source.port = source.port.or(outer.source.port);
    source.labels = both(&outer.source.labels, &inner.source.labels);
    source.namespace = source
        .namespace
        .take()
        .or_else(|| outer.source.namespace.clone());
    if source.gateways.is_empty() {
        source.gateways = outer.source.gateways.clone();
    }
    merged
}

/// Whether the inner match is not a part of the outer one.
fn contradicts(outer: &HttpMatch, inner: &HttpMatch) -> bool {
    let text = |uri: &Option<UriMatch>| match uri {
        Some(UriMatch::Text(text)) => Some(text.clone()),
        Some(UriMatch::Below(path)) => Some(StringMatch::Prefix(path.clone())),
        None => None,
    };
    let pairs = [
        (text(&outer.uri), text(&inner.uri)),
        (outer.scheme.clone(), inner.scheme.clone()),
        (outer.method.clone(), inner.method.clone()),
        (outer.authority.clone(), inner.authority.clone()),
    ];
    let of_texts = pairs
        .iter()
        .any(|(outer, inner)| leaves(outer.as_ref(), inner.as_ref()));
    of_texts
        || values_leave(&outer.headers, &inner.headers)
        || values_leave(&outer.without_headers, &inner.without_headers)
        || values_leave(&outer.query, &inner.query)
        || outer.ignores_uri_case != inner.ignores_uri_case
        || sources_leave(outer, inner)
}

fn sources_leave(outer: &HttpMatch, inner: &HttpMatch) -> bool {
    let (outer, inner) = (&outer.source, &inner.source);
    let port = |it: Option<u16>| it.filter(|_| outer.port.is_some() && inner.port.is_some());
    let labels_differ = |outer: &Labels, inner: &Labels| {
        let mut inner = inner.iter();
        inner.any(|(name, value)| outer.get(name).is_some_and(|it| it != value))
    };
    let gateways =
        !outer.gateways.is_empty() && inner.gateways.iter().any(|it| !outer.gateways.contains(it));
    port(outer.port) != port(inner.port)
        || (outer.namespace.is_some() && outer.namespace != inner.namespace)
        || labels_differ(&outer.labels, &inner.labels)
        || gateways
}

fn values_leave(
    outer: &BTreeMap<String, ValueMatch>,
    inner: &BTreeMap<String, ValueMatch>,
) -> bool {
    inner
        .iter()
        .any(|(name, inner)| match (outer.get(name), inner) {
            (Some(ValueMatch::Is(outer)), ValueMatch::Is(inner)) => {
                leaves(Some(outer), Some(inner))
            }
            (Some(outer), inner) => outer != inner,
            (None, _) => false,
        })
}

/// Whether the inner text match lets in what the outer one does not; expressions cannot be
/// compared and so always contradict.
fn leaves(outer: Option<&StringMatch>, inner: Option<&StringMatch>) -> bool {
    use StringMatch::*;
    match (outer, inner) {
        (None, _) | (_, None) => false,
        (Some(Exact(outer)), Some(Exact(inner))) => outer != inner,
        (Some(Prefix(outer)), Some(Prefix(inner) | Exact(inner))) => {
            !inner.starts_with(outer.as_str())
        }
        _ => true,
    }
}
