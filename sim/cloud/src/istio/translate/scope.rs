//! What a proxy knows: services and VirtualServices that its Sidecar lets in and that others
//! show its namespace.
//!
//! One Sidecar holds for a sidecar: of its namespace the oldest that selects it, else the oldest
//! for all, else the root namespace's. Each of its egress listeners lets in what its hosts name and
//! do not leave out; one with a port of its own knows services by that port alone, and so it does
//! what routes lead to that are not let in, of which others know the ports that routes name.
//! Of services with one name the namespace's own counts, else the oldest.
//!
//! Sources: istio/istio 86c9f01 pilot/pkg/model/sidecar.go (convertIstioListenerToWrapper,
//! selectServices, collectImportedServices), pilot/pkg/model/virtualservice.go
//! (SelectVirtualServices).

use super::delegates::Merged;
use super::registry::{Service, World};
use crate::istio::config::{
    Audience, CaptureMode, EgressListener, ExportTo, GatewayName, HostNamespace, HttpAction,
    Labels, ServerHost, Sidecar, Target,
};
use crate::istio::host;
use crate::istio::protocol::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Where listeners stand that applications ask by themselves.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What an egress listener lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Its own port, if it names one.
    pub port: Option<u16>,
    /// What it carries there; what services say, if it does not.
    pub protocol: Option<Protocol>,
    /// The address that it binds to, if it does.
    pub bind: Option<IpAddr>,
    /// Services, ascending.
    pub services: Vec<u32>,
    /// The only port of services that it knows, if it does not know all.
    pub only_port: Option<u16>,
    /// VirtualServices for sidecars, in the order in which they count.
    pub virtual_services: Vec<u32>,
}

/// Ports of a service that a proxy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// All.
    All,
    /// These.
    Only(BTreeSet<u16>),
}

impl Ports {
    /// The only one, or all if none is.
    pub fn of(only: Option<u16>) -> Ports {
        only.map_or(Ports::All, |port| Ports::Only(BTreeSet::from([port])))
    }

    /// Those of both.
    pub fn join(&mut self, other: &Ports) {
        match (&mut *self, other) {
            (Ports::Only(own), Ports::Only(other)) => own.extend(other),
            _ => *self = Ports::All,
        }
    }

    /// Whether a port is one of them.
    pub fn have(&self, port: u16) -> bool {
        match self {
            Ports::All => true,
            Ports::Only(ports) => ports.contains(&port),
        }
    }
}

/// The Sidecar that holds for a sidecar.
pub fn sidecar<'a>(
    world: &World<'a>,
    namespace: &str,
    labels: &Labels,
) -> Option<(usize, &'a Sidecar)> {
    let root = &world.mesh.root_namespace;
    Sidecar::of(&world.objects.sidecars, root, (namespace, labels))
}

/// Whether a namespace may see a service.
fn is_visible(world: &World<'_>, service: &Service, namespace: &str) -> bool {
    let audience = match &service.export_to {
        ExportTo::Default => &world.mesh.service_export_to,
        ExportTo::Only(audience) => audience,
    };
    let sees = |it: &Audience| it.includes(namespace, &service.namespace);
    audience.iter().any(sees)
}

/// Whether an entry of `hosts` names this namespace, as an object of `own` writes it.
fn names(entry: &ServerHost, namespace: &str, own: &str) -> bool {
    match &entry.namespace {
        HostNamespace::Any => true,
        HostNamespace::Own => namespace == own,
        HostNamespace::None => false,
        HostNamespace::Named(name) => name == namespace,
    }
}

/// Services that are there more than once, each with all of its name.
pub struct Twins(Vec<bool>);

impl Twins {
    /// Finds them.
    pub fn new(services: &[Service]) -> Self {
        let mut order: Vec<usize> = (0..services.len()).collect();
        order.sort_by_key(|&index| &services[index].host);
        let mut twins = vec![false; services.len()];
        for pair in order.windows(2) {
            if services[pair[0]].host == services[pair[1]].host {
                twins[pair[0]] = true;
                twins[pair[1]] = true;
            }
        }
        Twins(twins)
    }

    /// Leaves one of each name: of our namespace, or the oldest.
    fn leave_one(&self, services: &[Service], found: &mut Vec<u32>, namespace: &str) {
        let twin = |service: u32| self.0[service as usize];
        if !found.iter().any(|&service| twin(service)) {
            return;
        }
        let rank = |service: u32| {
            let it = &services[service as usize];
            (it.namespace != namespace, it.created, it.namespace.clone())
        };
        let all = found.clone();
        found.retain(|&service| {
            let name = &services[service as usize].host;
            let others = all
                .iter()
                .filter(|&&other| services[other as usize].host == *name);
            !twin(service) || others.map(|&other| rank(other)).min() == Some(rank(service))
        });
    }
}

/// What each egress listener of a proxy lets in.
pub fn egress(
    world: &World<'_>,
    virtual_services: &[Merged],
    twins: &Twins,
    namespace: &str,
    sidecar: Option<&Sidecar>,
) -> Vec<Egress> {
    let everything = EgressListener {
        port: None,
        protocol: None,
        hosts: vec![ServerHost::of("*/*")],
        left_out: Vec::new(),
        capture: CaptureMode::Default,
        bind: None,
    };
    let visible: Vec<u32> = (0..world.services.len() as u32)
        .filter(|&service| is_visible(world, &world.services[service as usize], namespace))
        .collect();
    let seen = seen(virtual_services, &GatewayName::Mesh, namespace);
    let (listeners, own) = match sidecar {
        Some(sidecar) if !sidecar.egress.is_empty() => (
            sidecar.egress.as_slice(),
            own_namespace(world, sidecar, namespace),
        ),
        _ => (std::slice::from_ref(&everything), namespace),
    };
    let build = |listener: &EgressListener| {
        let mut services: Vec<u32> = visible
            .iter()
            .copied()
            .filter(|&service| lists(listener, &world.services[service as usize], own))
            .collect();
        twins.leave_one(world.services, &mut services, namespace);
        let virtual_services = seen.iter().copied().filter(|&index| {
            let it = &virtual_services[index as usize];
            // Routes of the Gateway API are let in as services are.
            let fits = match it.is_of_gateway_api {
                true => host::is_subset,
                false => host::matches,
            };
            let mut hosts = it.hosts.iter();
            hosts.any(|host| includes(listener, own, (host, &it.namespace), fits))
        });
        let bound = listener.bind.as_ref().and_then(|it| it.parse().ok());
        // Who is not captured asks at the loopback address.
        let own = (listener.capture == CaptureMode::None).then_some(LOOPBACK);
        Egress {
            port: listener.port,
            protocol: listener.port.and(listener.protocol),
            bind: bound.or(own),
            services,
            only_port: listener.only_port(),
            virtual_services: virtual_services.collect(),
        }
    };
    listeners.iter().map(build).collect()
}

/// Whether a proxy knows a service through what its Sidecar lets in.
pub fn lets_in(
    world: &World<'_>,
    service: u32,
    namespace: &str,
    sidecar: Option<&Sidecar>,
) -> bool {
    let service = &world.services[service as usize];
    if !is_visible(world, service, namespace) {
        return false;
    }
    let Some(sidecar) = sidecar.filter(|it| !it.egress.is_empty()) else {
        return true;
    };
    let own = own_namespace(world, sidecar, namespace);
    let mut listeners = sidecar.egress.iter();
    listeners.any(|listener| lists(listener, service, own))
}

/// Whether a listener lets a service in, as an object of `own` writes it.
fn lists(listener: &EgressListener, service: &Service, own: &str) -> bool {
    let mut ports = service.ports.iter();
    let has_port = listener
        .only_port()
        .is_none_or(|port| ports.any(|it| it.number == port));
    let of = (service.host.as_str(), service.namespace.as_str());
    has_port && includes(listener, own, of, host::is_subset)
}

/// Whether one of the hosts of a listener, as an object of `own` writes it, includes a host of a
/// namespace, and none leaves it out.
fn includes(
    listener: &EgressListener,
    own: &str,
    (host, of): (&str, &str),
    fits: fn(&str, &str) -> bool,
) -> bool {
    let mut hosts = listener.hosts.iter();
    let mut left_out = listener.left_out.iter();
    hosts.any(|entry| names(entry, of, own) && fits(host, &entry.host))
        && !left_out.any(|entry| names(entry, of, own) && host::is_subset(host, &entry.host))
}

/// The namespace that a Sidecar means by its own: of one of the root namespace that to which it is
/// applied.
fn own_namespace<'a>(world: &World<'_>, sidecar: &'a Sidecar, namespace: &'a str) -> &'a str {
    match sidecar.identity.namespace == world.mesh.root_namespace {
        true => namespace,
        false => &sidecar.identity.namespace,
    }
}

/// VirtualServices that a namespace sees for a gateway, in the order in which they count.
pub fn seen(virtual_services: &[Merged], gateway: &GatewayName, namespace: &str) -> Vec<u32> {
    let mut seen: Vec<(super::delegates::Visibility, u32)> = virtual_services
        .iter()
        .zip(0..)
        .filter(|(it, _)| it.counts_for(gateway))
        .filter_map(|(it, index)| Some((it.visibility(namespace)?, index)))
        .collect();
    seen.sort_unstable();
    seen.into_iter().map(|(_, index)| index).collect()
}

/// Services of a host that a VirtualService leads to, and the ports there that it names.
pub type Led = (Vec<u32>, Ports);

/// Services that routes of a listener's VirtualServices lead to: they are known as well, at the
/// ports that these name, or at the only one of the listener. Of one name the namespace's own is
/// taken, else the first by namespace, unless another is known already.
/// `named` holds what each VirtualService leads to.
pub fn destinations(
    world: &World<'_>,
    known: &mut BTreeMap<u32, Ports>,
    listener: &Egress,
    namespace: &str,
    named: &[Vec<Led>],
) {
    let indices = listener.virtual_services.iter();
    for (services, ports) in indices.flat_map(|&index| &named[index as usize]) {
        let visible = services.iter().copied();
        let visible =
            visible.filter(|&it| is_visible(world, &world.services[it as usize], namespace));
        let best = visible.min_by_key(|&it| {
            let service = &world.services[it as usize];
            (service.namespace != namespace, &service.namespace)
        });
        let Some(best) = best else {
            continue;
        };
        let ports = match listener.only_port {
            Some(_) => Ports::of(listener.only_port),
            None => ports.clone(),
        };
        let mut of_service = world.services[best as usize].ports.iter();
        if !of_service.any(|it| ports.have(it.number)) {
            continue;
        }
        if let Some(own) = known.get_mut(&best) {
            own.join(&ports);
        } else if services.iter().all(|it| !known.contains_key(it)) {
            known.insert(best, ports);
        }
    }
}

/// Hosts that a VirtualService leads to, with the ports there that it names: all, where a route
/// does not say.
pub fn hosts_of(it: &Merged) -> BTreeMap<&str, Ports> {
    let of_http = it.http.iter().flat_map(|route| {
        let forward = match &route.action {
            HttpAction::Forward(destinations) => destinations.as_slice(),
            _ => &[],
        };
        let mirrors = route.mirrors.iter().map(|mirror| &mirror.destination);
        let forward = forward.iter().filter_map(|it| match &it.target {
            Target::Host(destination) => Some(destination),
            Target::Broken { .. } => None,
        });
        forward.chain(mirrors)
    });
    let of_tls = it.tls.iter().flat_map(|route| &route.destinations);
    let of_tcp = it.tcp.iter().flat_map(|route| &route.destinations);
    let others = of_tls.chain(of_tcp).map(|it| &it.destination);
    let mut hosts: BTreeMap<&str, Ports> = BTreeMap::new();
    for destination in of_http.chain(others) {
        let ports = Ports::of(destination.port);
        let known = hosts.entry(&destination.host);
        known
            .and_modify(|known| known.join(&ports))
            .or_insert(ports);
    }
    hosts
}
