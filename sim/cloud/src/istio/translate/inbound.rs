//! What a sidecar takes in for its application: by port, with the mutual TLS that the port asks
//! for and the policies that guard the workload.
//!
//! Ports are those of the services that the workload is an endpoint of, or those that its Sidecar
//! lists, if it lists any. Connections to other ports pass through, guarded as well.
//!
//! Connections to the application are limited by what the Sidecar says of the port, else of all
//! ports, else by the DestinationRule of the service, as far as that is for everybody, else by the
//! mesh; only pools and budgets of retries count here, and no upgrade to HTTP/2. Source:
//! istio/istio 86c9f01f pilot/pkg/networking/core/cluster_builder.go (buildInboundCluster),
//! pilot/pkg/model/sidecar.go (InboundConnectionPoolForPort).

use super::cluster::{self, Spoken};
use super::registry::{Proxy, World};
use super::route::{RetryPolicy, inbound_retries};
use super::rules::{self, Rules};
use super::scope;
use crate::envoy::breaker::Thresholds;
use crate::envoy::pool;
use crate::istio::authentication::{Policies, ServerMode, selects};
use crate::istio::authorization::Guard;
use crate::istio::config::{
    ConnectionPool, Descriptor, FilterPlace, IngressListener, Labels, LimitActions, LimitPart,
    LimitService, LocalLimit, OnBehalf, PolicyTarget, Sidecar, TcpPool, TokenIssuer, TrafficPolicy,
    application_port,
};
use crate::istio::protocol::Protocol;
use engine::Duration;

/// A port of the workload that a service names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The service.
    pub service: u32,
    /// Which of its ports.
    pub port: u32,
    /// The workload's port.
    pub target: u16,
}

/// A port that a sidecar takes connections at.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// The workload's port.
    pub port: u16,
    /// Where the application listens, if the Sidecar says another place.
    pub application: Option<String>,
    /// What it carries.
    pub protocol: Protocol,
    /// The service, if one names it.
    pub service: Option<u32>,
    /// Which connections are taken.
    pub mode: ServerMode,
    /// Connections to the application.
    pub pool: Option<ConnectionPool>,
    /// The same as Envoy keeps them, where anything is limited.
    pub limited: Option<Limited>,
    /// Further attempts at the application; only requests have any.
    pub retries: Option<RetryPolicy>,
}

/// Limited connections of a sidecar to its application.
#[derive(Clone, Debug, PartialEq)]
pub struct Limited {
    /// What all threads share.
    pub limits: Thresholds,
    /// What each thread keeps: for HTTP/1.1, for HTTP/2, or for both in this order.
    pub connections: Vec<pool::Settings>,
}

impl Inbound {
    /// The port at which the Sidecar says that the application listens, if it says one.
    pub fn application_port(&self) -> Option<u16> {
        application_port(self.application.as_ref()?)
    }
}

/// All that a sidecar takes in.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundTable {
    /// Ports, ascending.
    pub ports: Vec<Inbound>,
    /// Modes of ports that nobody names but a policy.
    exceptions: Vec<(u16, ServerMode)>,
    /// Which connections are taken at all other ports.
    others: ServerMode,
    /// Whether something stands between some port and the application: limits, or another place
    /// where that listens.
    is_narrow: bool,
    /// Who may do what.
    pub guard: Guard,
    /// What else requests have to pass.
    pub filters: Filters,
}

/// Limits of rates, and tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Limits of the proxy's own.
    local: Vec<LocalLimit>,
    /// The service that counts.
    pub service: Option<LimitService>,
    /// What it is told.
    actions: Vec<LimitActions>,
    /// Whose tokens count.
    pub(super) issuers: Vec<TokenIssuer>,
}

/// What actions tell of a request, from the parts that it has.
fn describe<'a>(
    actions: impl Iterator<Item = &'a LimitActions>,
    part: impl Fn(&LimitPart) -> Option<(String, String)>,
) -> Vec<Descriptor> {
    let whole = actions.filter_map(|action| {
        let mut parts = Vec::new();
        for said in &action.parts {
            let is_optional = matches!(
                said,
                LimitPart::Header {
                    is_optional: true,
                    ..
                }
            );
            match part(said) {
                Some(found) => parts.push(found),
                None if is_optional => {}
                None => return None,
            }
        }
        (!parts.is_empty()).then_some(parts)
    });
    whole.collect()
}

impl Filters {
    fn of(world: &World<'_>, proxy: &Proxy) -> Self {
        let is_near = |namespace: &str| {
            namespace == world.mesh.root_namespace || namespace == proxy.namespace
        };
        let mut filters = Filters::default();
        let all = world.objects.envoy_filters.iter();
        let ours = all
            .filter(|it| is_near(&it.identity.namespace) && selects(&it.selector, &proxy.labels));
        for filter in ours {
            filters.local.extend(filter.local.iter().cloned());
            filters.actions.extend(filter.actions.iter().cloned());
            filters.service = filters.service.or_else(|| filter.service.clone());
        }
        let all = world.objects.request_authentications.iter();
        let ours = all.filter(|it| {
            let is_meant = match &it.target {
                PolicyTarget::Everybody => true,
                PolicyTarget::Selected(selector) => selects(selector, &proxy.labels),
                PolicyTarget::References(_) => false,
            };
            is_meant && is_near(&it.identity.namespace)
        });
        filters.issuers = ours.flat_map(|it| it.issuers.clone()).collect();
        filters
    }

    /// Tokens that count at a waypoint on behalf of a service.
    pub(super) fn at_waypoint(world: &World<'_>, on: OnBehalf<'_>) -> Self {
        let all = world.objects.request_authentications.iter();
        let ours = all.filter(|it| it.target.is_attached(&it.identity.namespace, on));
        Filters {
            issuers: ours.flat_map(|it| it.issuers.clone()).collect(),
            ..Filters::default()
        }
    }

    /// Tokens of these issuers alone.
    #[cfg(test)]
    pub(super) fn with_issuers(issuers: Vec<TokenIssuer>) -> Self {
        Filters {
            issuers,
            ..Filters::default()
        }
    }

    fn is_empty(&self) -> bool {
        *self == Filters::default()
    }

    /// Limits of the proxy's own that stand at a place and hold for a port: its own, or else those
    /// of all ports. Each with its number among all.
    pub fn local_at(
        &self,
        place: FilterPlace,
        port: u16,
    ) -> impl Iterator<Item = (u32, &LocalLimit)> {
        let has_own = self.local.iter().any(|limit| limit.port == Some(port));
        let wanted = has_own.then_some(port);
        let local = (0..).zip(&self.local);
        local.filter(move |(_, limit)| limit.place == place && limit.port == wanted)
    }

    /// What is told of a request at a port, from the parts that it has.
    pub fn told(
        &self,
        port: u16,
        part: impl Fn(&LimitPart) -> Option<(String, String)>,
    ) -> Vec<Descriptor> {
        let at_port = |it: &&LimitActions| it.port.is_none_or(|of| of == port);
        let has_routes = self.actions.iter().any(|it| at_port(&it) && it.is_of_route);
        let actions = self.actions.iter().filter(at_port);
        describe(actions.filter(|it| it.is_of_route == has_routes), part)
    }

    /// What a limit of the proxy's own is told of a request.
    pub fn told_to(
        &self,
        limit: &LocalLimit,
        port: u16,
        part: impl Fn(&LimitPart) -> Option<(String, String)>,
    ) -> Vec<Descriptor> {
        match (limit.descriptors.is_empty(), limit.actions.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => self.told(port, part),
            (false, false) => describe(limit.actions.iter(), part),
        }
    }

    /// Whether it matters where requests come from.
    pub fn asks_for_addresses(&self) -> bool {
        let own = self.local.iter().flat_map(|limit| &limit.actions);
        let mut actions = self.actions.iter().chain(own);
        actions.any(|it| it.parts.contains(&LimitPart::RemoteAddress))
    }
}

impl InboundTable {
    /// Ports that take mutual TLS only.
    pub(super) fn of(mut ports: Vec<Inbound>, guard: Guard, filters: Filters) -> Self {
        ports.sort_by_key(|it| it.port);
        InboundTable {
            ports,
            exceptions: Vec::new(),
            others: ServerMode::Strict,
            is_narrow: false,
            guard,
            filters,
        }
    }

    /// Whether everything that may be connected is let in.
    pub fn is_open(&self) -> bool {
        self.guard.is_empty() && self.filters.is_empty()
    }

    /// Whether something stands between some port and the application.
    pub fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    /// The port, if it is one that is named.
    pub fn find(&self, port: u16) -> Option<&Inbound> {
        let found = self.ports.binary_search_by_key(&port, |it| it.port);
        found.ok().map(|index| &self.ports[index])
    }

    /// Ports that nobody names but a policy, and which connections are taken there.
    pub fn exceptions(&self) -> impl Iterator<Item = (u16, ServerMode)> {
        let named = |port: u16| self.find(port).is_some();
        let exceptions = self.exceptions.iter().copied();
        exceptions.filter(move |(port, _)| !named(*port))
    }

    /// Which connections are taken at ports that nobody names at all.
    pub fn others(&self) -> ServerMode {
        self.others
    }

    /// Whether requests at a port are read.
    pub fn reads_http(&self, port: u16) -> bool {
        let protocol = self.find(port).map(|it| it.protocol);
        protocol.is_some_and(|it| it.is_http() || it == Protocol::Sniffed)
    }

    /// Whether connections to a port are taken by the same filter chain as in another table.
    pub fn has_chain_of(&self, other: &InboundTable, port: u16) -> bool {
        (self.find(port), self.mode(port)) == (other.find(port), other.mode(port))
            && (&self.guard, &self.filters) == (&other.guard, &other.filters)
    }

    /// Which connections are taken at a port.
    pub fn mode(&self, port: u16) -> ServerMode {
        if let Some(inbound) = self.find(port) {
            return inbound.mode;
        }
        let mut exceptions = self.exceptions.iter();
        let exception = exceptions.find(|(number, _)| *number == port);
        exception.map_or(self.others, |(_, mode)| *mode)
    }
}

/// Who asks for what a sidecar takes in, and what holds for it.
struct Asking<'a> {
    world: &'a World<'a>,
    rules: Option<&'a Rules>,
    proxy: &'a Proxy,
    sidecar: Option<&'a Sidecar>,
}

impl Asking<'_> {
    /// What the DestinationRule of a service says of one of its ports.
    fn policy(&self, service: u32, port: u16) -> Option<TrafficPolicy> {
        let rules = self.rules?;
        let (world, namespace) = (self.world, &self.proxy.namespace);
        if !scope::lets_in(world, service, namespace, self.sidecar) {
            return None;
        }
        let own = rules.own(namespace);
        let described = &world.services[service as usize];
        // Rules for some workloads do not count on this side.
        let rule = rules.find(own, &Labels::default(), service, described)?;
        Some(rules::policy(Some(rules.get(rule)), None, port))
    }

    /// Connections to the application at a port. `service` names it, with a port of its own.
    fn pool(
        &self,
        listener: Option<&IngressListener>,
        service: Option<(u32, u16)>,
        protocol: Protocol,
    ) -> (Option<ConnectionPool>, Option<Limited>) {
        let rule = service.and_then(|(service, port)| self.policy(service, port));
        let budget = rule.as_ref().and_then(|rule| rule.retry_budget);
        let of_listener = listener.and_then(|it| it.pool.clone());
        let of_sidecar = || self.sidecar?.inbound_pool.clone();
        let of_rule = || rule?.common.connection_pool;
        let pool = of_listener
            .or_else(of_sidecar)
            .or_else(of_rule)
            .or_else(|| self.world.mesh.connection_pool.clone());
        let said = pool.clone().unwrap_or_default();
        let limits = cluster::limits(&said, budget.map(cluster::budget));
        // What nothing limits is as good as no pool: connections inside a pod take no time.
        let is_limited = limits != cluster::limits(&ConnectionPool::default(), None);
        let limited = (is_limited && self.rules.is_some()).then(|| Limited {
            limits,
            connections: cluster::connections(
                spoken(&said, protocol),
                (&said, UNTIL_THE_CLIENT_ENDS_IT),
                self.world.version,
            ),
        });
        (pool, limited)
    }
}

/// How long connections to an application live that carry no requests: nothing that a Sidecar or a
/// rule says ends them.
const UNTIL_THE_CLIENT_ENDS_IT: TcpPool = TcpPool {
    connections_max: None,
    connect_timeout: None,
    keepalive: None,
    lifetime: None,
    idle_timeout: Some(Duration::ZERO),
};

/// What a sidecar speaks to its application; it never upgrades.
fn spoken(pool: &ConnectionPool, protocol: Protocol) -> Spoken {
    if pool.http.uses_client_protocol || protocol == Protocol::Sniffed {
        Spoken::OfClient
    } else if protocol.is_http2() {
        Spoken::Http2
    } else if protocol.is_http() {
        Spoken::Http1
    } else {
        Spoken::Bytes
    }
}

/// What a sidecar takes in. `named` are the ports of its workload that services name; without
/// rules it is what a ztunnel takes in, which limits nothing.
pub fn inbound(
    world: &World<'_>,
    rules: Option<&Rules>,
    proxy: &Proxy,
    named: &[Named],
) -> InboundTable {
    let policies = Policies {
        all: &world.objects.peer_authentications,
        root_namespace: &world.mesh.root_namespace,
    };
    let mode = |port| policies.of_port(&proxy.namespace, &proxy.labels, port);
    let sidecar = scope::sidecar(world, &proxy.namespace, &proxy.labels).map(|(_, it)| it);
    let asking = Asking {
        world,
        rules,
        proxy,
        sidecar,
    };
    let retries = |protocol: Protocol| {
        let is_grpc = matches!(protocol, Protocol::Grpc | Protocol::GrpcWeb);
        let may = (protocol.is_http() || protocol == Protocol::Sniffed) && !is_grpc;
        may.then(|| inbound_retries(world.version)).flatten()
    };
    let mut named = named.to_vec();
    named.sort_by_key(|it| (it.target, world.services[it.service as usize].created));
    let mut ports: Vec<Inbound> = match sidecar {
        Some(sidecar) if !sidecar.ingress.is_empty() => {
            let listed = sidecar.ingress.iter();
            let listed = listed.map(|it| {
                let behind = named.iter().find(|named| named.target == it.port);
                let behind = behind.map(|named| (named.service, it.port));
                let (pool, limited) = asking.pool(Some(it), behind, it.protocol);
                Inbound {
                    port: it.port,
                    application: it.default_endpoint.clone(),
                    protocol: it.protocol,
                    service: None,
                    mode: mode(it.port),
                    pool,
                    limited,
                    retries: retries(it.protocol),
                }
            });
            listed.collect()
        }
        _ => {
            // A service that does not exist yet has no ports.
            let of = |it: &Named| {
                let service = &world.services[it.service as usize];
                let port = service.ports.get(it.port as usize)?;
                let protocol = port.protocol;
                let (pool, limited) = asking.pool(None, Some((it.service, port.number)), protocol);
                Some(Inbound {
                    port: it.target,
                    application: None,
                    protocol,
                    service: Some(it.service),
                    mode: mode(it.target),
                    pool,
                    limited,
                    retries: retries(protocol),
                })
            };
            let carried = named.iter().filter_map(of);
            carried.filter(|it| it.protocol != Protocol::Udp).collect()
        }
    };
    // Of several for one port the oldest service counts: sorting keeps their order.
    ports.sort_by_key(|it| it.port);
    ports.dedup_by_key(|it| it.port);
    let ours = policies.all.iter().filter(|it| {
        it.identity.namespace == proxy.namespace && selects(&it.selector, &proxy.labels)
    });
    let said = ours.flat_map(|it| it.ports.keys().copied());
    InboundTable {
        is_narrow: ports
            .iter()
            .any(|it| it.limited.is_some() || it.application.is_some()),
        ports,
        exceptions: said.map(|port| (port, mode(port))).collect(),
        // Port 0 is nobody's: what holds for it holds for all that nobody names.
        others: mode(0),
        guard: Guard::of(
            &world.objects.authorization_policies,
            &world.mesh.root_namespace,
            &proxy.namespace,
            &proxy.labels,
        ),
        filters: Filters::of(world, proxy),
    }
}
