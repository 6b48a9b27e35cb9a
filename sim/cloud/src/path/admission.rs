//! Whom a sidecar lets in to its application.
//!
//! Models: what the sidecar was told of its own pod: connections without mutual TLS are closed
//! at ports that demand it, as soon as a request comes on them; requests are refused with 403 by
//! AuthorizationPolicies, which know the client by its certificate and, where one asks for it, by
//! its address (`callers.rs`), and the request by its host, path, method and headers. Connections
//! that a pod's annotations keep from its sidecar pass it by, in either direction.
//!
//! Approximated: a connection from outside of the cluster comes to the first port of its
//! service, and what is asked on it is that of its traffic source; a connection that a policy
//! closes, at a port that is not HTTP, is told of as refused with 403 too.
//! Sources: [`crate::istio::authentication`], [`crate::istio::authorization`].
//! Validated by: who gets in and who does not, in the crate's tests.

use super::attributes::{Asked, Attributes};
use super::chains::ChainState;
use super::checkpoint::{Checkpoint, LocalBucket, OPEN, Standing, Step};
use super::edge::Takes;
use super::route::answered;
use super::service::RequestArrival;
use super::{Endpoint, Listener, Owner};
use crate::control::taken_in::{TableNumber, Taker};
use crate::domain::Domain;
use crate::envoy::retry::RetryPolicy;
use crate::facts;
use crate::istio::authentication::{self, Outcome, Sent, Server, ServerMode};
use crate::istio::authorization::{self, Addresses, Answer};
use crate::istio::config::{ExternalAuthorization, FilterPlace, InterceptionMode, LimitPart};
use crate::istio::host;
use crate::istio::translate::inbound::InboundTable;
use crate::record::Reason;
use crate::scenario::{ServiceId, WorkloadId};
use crate::slab::Key;
use engine::Time;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Requests that meet the same answer at the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Admitted {
    /// What is taken in for the pod.
    table: TableNumber,
    service: ServiceId,
    port: u32,
    /// The workload that asks, if it shows who it is.
    client: Option<WorkloadId>,
    /// Where it and the pod stand by the ranges of addresses and the names that policies ask for,
    /// or by the address that limits of rates ask for; 0 where none does.
    standing: u32,
    asked: Asked,
}

impl Admitted {
    /// Where it is remembered: any spread will do.
    fn spread(&self) -> u32 {
        let client = self.client.map_or(0, |client| client.0 + 1);
        let asked = self.asked.spread().wrapping_mul(11);
        self.table.workload.0.wrapping_mul(5)
            ^ self.service.0.wrapping_mul(3)
            ^ client
            ^ asked
            ^ self.standing
    }
}

/// A checkpoint that is being made.
struct Building {
    pod: u32,
    /// The workload's port.
    port: u16,
    /// What is asked there.
    asked: Asked,
    steps: Vec<Step>,
}

impl Building {
    fn checkpoint(self, asked: Asked) -> Checkpoint {
        let steps = self.steps;
        Checkpoint { steps, asked }
    }
}

/// The status of a request whose provider does not answer, unless another is said.
const FORBIDDEN: u16 = 403;

impl Domain<'_> {
    /// What the proxy of a pod was told to take in, and the number of that.
    pub(super) fn inbound_table(
        &mut self,
        taker: Taker,
        pod: u32,
    ) -> (TableNumber, Arc<InboundTable>) {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let sidecar = sidecar.expect("a sidecar that takes in");
        let number = self.table_number(taker, pod, (sidecar.generation, sidecar.view));
        if let Some((known, table)) = &sidecar.taken_in
            && *known == number
        {
            return (number, table.clone());
        }
        let table = self.table(number, pod);
        let settings = self.template(pod).sidecar.as_ref().map(|it| &it.settings);
        let drain = settings.map_or(facts::MESH_DRAIN.value, |it| it.proxy.drain());
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let sidecar = sidecar.expect("a sidecar that takes in");
        sidecar.take_in((number, table.clone()), drain);
        (number, table)
    }

    /// Further attempts of a sidecar at its application, which it was told of.
    pub(super) fn inbound_retries(&mut self, endpoint: Endpoint) -> Option<RetryPolicy> {
        let (_, table) = self.inbound_table(Taker::Sidecar, endpoint.pod);
        let inbound = table.find(self.target_port(endpoint))?;
        inbound.retries.as_ref().map(|policy| policy.for_envoy())
    }

    /// The port of the pod that an endpoint stands for.
    pub(super) fn target_port(&self, endpoint: Endpoint) -> u16 {
        let cluster = self.cluster.expect("endpoints stand in clusters");
        let described = &self.topology.cluster(cluster).services[endpoint.service.index()];
        let port = described.ports.get(endpoint.port as usize);
        port.map_or(0, |port| port.target_port)
    }

    /// Whether a connection that an application opens to a service goes through its sidecar.
    pub(super) fn captures_outbound(&self, pod: u32, service: ServiceId, port: u32) -> bool {
        let Some(sidecar) = &self.template(pod).sidecar else {
            return false;
        };
        let translation = self.translation.as_ref().expect("a mesh translates");
        let described = translation.service(service.0);
        let address = described.addresses.first().copied();
        let port = described.ports.get(port as usize);
        let settings = &sidecar.settings;
        settings.interception != Some(InterceptionMode::None)
            && settings.capture.takes_outbound(
                address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port.map_or(0, |port| port.number),
            )
    }

    /// Whether a connection to a pod goes through its sidecar.
    pub(super) fn captures_inbound(&self, endpoint: Endpoint) -> bool {
        let Some(sidecar) = &self.template(endpoint.pod).sidecar else {
            return false;
        };
        let settings = &sidecar.settings;
        settings.interception != Some(InterceptionMode::None)
            && settings.capture.takes_inbound(self.target_port(endpoint))
    }

    /// What becomes of a connection on which this is sent.
    pub(super) fn meeting(&mut self, sent: Sent, endpoint: Endpoint) -> Outcome {
        let server = match (endpoint.listener, self.carrier(endpoint.pod)) {
            (Listener::Inbound(_), _) => self.taker(endpoint),
            (Listener::Edge(_, takes), _) => return takes.meets(Some(sent)),
            // Waypoints take tunnels, of ztunnels and of gateways.
            (Listener::Waypoint(_), _) => Server::Sidecar(ServerMode::Strict),
            // A ztunnel takes what a sidecar does.
            (_, Some(node)) => Server::Sidecar(self.mode_at(node, endpoint)),
            (Listener::Application | Listener::Outbound(_), None) => Server::Application,
        };
        authentication::meet(sent, server)
    }

    /// The sidecar of an endpoint as one who connects meets it.
    fn taker(&mut self, endpoint: Endpoint) -> Server {
        let port = self.target_port(endpoint);
        let (_, table) = self.inbound_table(Taker::Sidecar, endpoint.pod);
        let mode = table.mode(port);
        match table.find(port).is_some_and(|it| it.protocol.is_http()) {
            true => Server::Reader(mode),
            false => Server::Sidecar(mode),
        }
    }

    fn mode(&mut self, endpoint: Endpoint) -> ServerMode {
        let port = self.target_port(endpoint);
        self.inbound_table(Taker::Sidecar, endpoint.pod)
            .1
            .mode(port)
    }

    /// Whether a sidecar closes a connection over what comes on it.
    pub(super) fn closes_on(&mut self, endpoint: Endpoint) -> bool {
        match endpoint.listener {
            Listener::Edge(_, takes) => !endpoint.secured && takes != Takes::Anything,
            Listener::Waypoint(_) => false,
            _ => !endpoint.secured && self.mode(endpoint) == ServerMode::Strict,
        }
    }

    /// What a request has to pass at a sidecar.
    pub(super) fn checkpoint(&mut self, request: &RequestArrival, now: Time) -> u32 {
        let endpoint = request.endpoint;
        let taker = match endpoint.listener {
            Listener::Waypoint(_) => Taker::Waypoint(endpoint.service),
            _ => Taker::Sidecar,
        };
        let (mut number, mut table) = self.inbound_table(taker, endpoint.pod);
        if let ChainState::Draining(former) = self.chain_state(endpoint, now) {
            (number, table) = (former, self.table(former, endpoint.pod));
        }
        if table.is_open() {
            return OPEN;
        }
        let call = self.call_behind(request);
        let client = call.map(|call| self.calls[call].client);
        let shown = match endpoint.listener {
            Listener::Edge(_, takes) => takes == Takes::Mesh,
            _ => endpoint.secured,
        };
        let client = client.filter(|_| shown);
        let client = client.map(|pod| self.pods[pod as usize].workload);
        let asked = self.asked_by(request);
        let is_counted = table.filters.asks_for_addresses();
        let is_named = table.guard.asks_for_names();
        let server_name = is_named.then(|| self.server_name(request, asked)).flatten();
        let (addresses, standing) = match is_counted || table.guard.asks_for_addresses() {
            false if server_name.is_none() => (Addresses::UNASKED, 0),
            asks => {
                let addresses = match asks {
                    true => self.addresses(request),
                    false => Addresses::UNASKED,
                };
                let standing = Standing {
                    holding: table.guard.holding(addresses),
                    counted: is_counted.then_some(addresses.remote),
                    server_name: server_name.clone(),
                };
                (addresses, self.checkpoints.number_of(standing))
            }
        };
        let key = Admitted {
            table: number,
            service: endpoint.service,
            port: endpoint.port,
            client,
            standing,
            asked,
        };
        if let Some(known) = self.checkpoints.known.get(key.spread(), &key) {
            return known;
        }
        let caller = (client, addresses, server_name.as_deref());
        let checkpoint = self.make_checkpoint(&table, endpoint, caller, asked);
        let number = self.checkpoints.all.len() as u32;
        self.checkpoints.all.push(checkpoint);
        self.checkpoints.known.insert(key, number);
        number
    }

    /// The name that the client asked for in TLS: an application or a user the host, a sidecar the
    /// name of its cluster unless a rule says another.
    fn server_name(&self, request: &RequestArrival, asked: Asked) -> Option<String> {
        let endpoint = request.endpoint;
        let is_encrypted = match endpoint.listener {
            Listener::Edge(_, takes) => takes != Takes::Anything,
            _ => endpoint.secured,
        };
        if !is_encrypted {
            return None;
        }
        let owner = self.call_behind(request).map(|key| self.calls[key].owner);
        let Some(Owner::Passage(key)) = owner else {
            return self.host_asked(asked);
        };
        self.name_of_lead(key)
    }

    /// The steps that requests of one kind have to pass, in the order of Envoy's filters.
    fn make_checkpoint(
        &mut self,
        table: &InboundTable,
        endpoint: Endpoint,
        (client, addresses, server_name): (Option<WorkloadId>, Addresses, Option<&str>),
        asked: Asked,
    ) -> Checkpoint {
        let port = match endpoint.listener {
            Listener::Waypoint(_) => self.port_asked(endpoint),
            _ => self.target_port(endpoint),
        };
        let is_http = match endpoint.listener {
            Listener::Edge(..) => self.reads_at_edge(endpoint, asked),
            _ => table.reads_http(port),
        };
        let attributes = self.ways.attributed.get(asked).cloned();
        let attributes = attributes.filter(|_| is_http);
        let principal = client.map(|client| self.principal(client));
        let of_connection = authorization::Asked {
            principal: principal.as_deref(),
            source: addresses.source,
            // Only HTTP says where it comes from.
            remote: addresses.source,
            destination: addresses.destination,
            port,
            server_name,
            http: None,
        };
        let mut building = Building {
            pod: endpoint.pod,
            port,
            asked,
            steps: Vec::new(),
        };
        let Some(mut attributes) = attributes else {
            self.authorize(table, &of_connection, &mut building);
            return building.checkpoint(asked);
        };
        let translation = self.translation.as_ref().expect("a mesh translates");
        attributes.make_plain(translation.path_rules());
        let version = translation.version();
        let limited = (&attributes, addresses.remote);
        self.limit(table, FilterPlace::First, limited, &mut building);
        // Browsers send no tokens before they know that they may.
        let checked = match attributes.is_preflight() {
            true => Ok(None),
            false => table
                .filters
                .check(&attributes.said, attributes.token.as_ref()),
        };
        let shown = match checked {
            Ok(shown) => shown,
            Err(status) => {
                let refused = answered(status).err().unwrap_or(Reason::Unauthenticated);
                building.steps.push(Step::Refuse(refused));
                return building.checkpoint(asked);
            }
        };
        for header in table.filters.claim_headers() {
            attributes.said.headers.remove(&header.to_lowercase());
        }
        if let Some(shown) = &shown {
            let said = &mut attributes.said;
            said.headers.extend(shown.headers.iter().cloned());
            shown.take_out(said, version);
        }
        let of_request = authorization::Asked {
            remote: addresses.remote,
            http: Some(attributes.http(shown.as_ref().map(|it| &it.token))),
            ..of_connection
        };
        self.authorize(table, &of_request, &mut building);
        let limited = (&attributes, addresses.remote);
        self.limit(table, FilterPlace::Last, limited, &mut building);
        if let Some(shown) = shown {
            let said = &attributes.said;
            attributes.token = attributes.token.filter(|_| said.has_token());
            let routes = matches!(
                endpoint.listener,
                Listener::Edge(..) | Listener::Waypoint(_)
            );
            attributes.shown = routes.then_some(shown.token);
        }
        building.checkpoint(self.ways.attributed.number(attributes))
    }

    /// The address that a connection goes to: of its pod, or at a waypoint of the service that is
    /// asked.
    pub(super) fn address_asked(&self, endpoint: Endpoint) -> IpAddr {
        let translation = self.translation.as_ref().expect("a mesh translates");
        let asked = match endpoint.listener {
            Listener::Waypoint(_) => translation.service(endpoint.service.0).addresses.first(),
            _ => None,
        };
        let pod = || IpAddr::V4(self.address_of(endpoint.pod));
        asked.copied().unwrap_or_else(pod)
    }

    /// Providers and policies.
    fn authorize(
        &mut self,
        table: &InboundTable,
        asked: &authorization::Asked<'_>,
        building: &mut Building,
    ) {
        let providers = table.guard.providers(asked);
        // istiod does not choose among several of a workload: it denies what they would be asked.
        if table.guard.names_several_providers() && !providers.is_empty() {
            building.steps.push(Step::Refuse(Reason::Forbidden));
            return;
        }
        for name in providers {
            let translation = self.translation.as_ref().expect("a mesh translates");
            let step = match translation.provider(name).cloned() {
                // Whom istiod does not know, nobody can ask.
                None => Step::Refuse(Reason::Forbidden),
                Some(provider) => self.ask_provider(&provider, building),
            };
            building.steps.push(step);
        }
        let verdict = table.guard.decide(asked, |_| Answer::Allow);
        if !verdict.lets_through() {
            building.steps.push(Step::Refuse(Reason::Forbidden));
        }
    }

    fn ask_provider(&mut self, provider: &ExternalAuthorization, building: &Building) -> Step {
        let default = facts::ISTIO_AUTHORIZATION_TIMEOUT.value;
        let timeout = provider.timeout.unwrap_or(default);
        let host = provider.service.rsplit('/').next().unwrap_or_default();
        let host = self.full_host(host, building.pod);
        let at = (host.as_str(), provider.port);
        let status = provider.status_on_error.unwrap_or(FORBIDDEN);
        Step::Ask {
            way: self.way_to(building.pod, at, building.asked, timeout),
            allows: self.allows(&host, building.asked),
            fails_open: provider.fails_open,
            on_error: answered(status).err().unwrap_or(Reason::Forbidden),
        }
    }

    /// A host as istiod knows it; short names are of the pod's namespace.
    fn full_host(&self, host: &str, pod: u32) -> String {
        let namespace = self.standing(pod).namespace.to_owned();
        host::complete(host, &namespace, facts::CLUSTER_DOMAIN.value)
    }

    /// Whether those behind a service let a request through that they are asked about.
    fn allows(&self, host: &str, asked: Asked) -> bool {
        let translation = self.translation.as_ref().expect("a mesh translates");
        let Some(service) = translation.service_of(host) else {
            return true; // It cannot be asked.
        };
        let cluster = self.cluster.expect("sidecars stand in clusters");
        let described = self.topology.cluster(cluster);
        let mut behind = described.services[service as usize].backends.iter();
        let Some(attributes) = self.ways.attributed.get(asked) else {
            return true;
        };
        behind.all(|workload| {
            let behavior = &described.workloads[workload.index()].template.behavior;
            behavior.lets_through(&attributes.said.path, |name| {
                attributes.said.headers.get(name).map(String::as_str)
            })
        })
    }

    /// Limits of rates that stand at a place.
    fn limit(
        &mut self,
        table: &InboundTable,
        place: FilterPlace,
        (attributes, remote): (&Attributes, IpAddr),
        building: &mut Building,
    ) {
        let port = building.port;
        let part = |part: &LimitPart| attributes.part(part, remote);
        for (limit, described) in table.filters.local_at(place, port) {
            let told = table.filters.told_to(described, port, part);
            let buckets = described.buckets(&told).into_iter();
            building.steps.extend(buckets.map(|(descriptor, tokens)| {
                Step::Limit(LocalBucket {
                    limit,
                    descriptor,
                    port,
                    tokens,
                    enforced_millionths: described.enforced_millionths,
                })
            }));
        }
        let service = table.filters.service.as_ref();
        let Some(service) = service.filter(|service| service.place == place) else {
            return;
        };
        let told = table.filters.told(port, part);
        if told.is_empty() {
            return; // There is nothing to ask.
        }
        let translation = self.translation.as_ref().expect("a mesh translates");
        let domain = translation.limit_domain(&service.domain);
        let limited = told.into_iter().filter_map(|parts| {
            let quota = domain?.quota(&parts)?;
            let counter = self.checkpoints.counter(&service.domain, parts);
            Some((counter, quota))
        });
        let counters = limited.collect();
        let at = (service.host.as_str(), service.port);
        building.steps.push(Step::Count {
            way: self.way_to(building.pod, at, building.asked, service.timeout),
            counters,
            denies_on_failure: service.denies_on_failure,
        });
    }

    /// What the certificates of a workload say.
    pub(super) fn principal(&self, workload: WorkloadId) -> String {
        let cluster = self.cluster.expect("workloads stand in clusters");
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let translation = self.translation.as_ref().expect("a mesh translates");
        format!(
            "{}/ns/{}/sa/{}",
            translation.trust_domain(),
            described.namespace,
            described.template.service_account,
        )
    }

    /// The call of a request, if its caller is of this partition and still there.
    fn call_behind(&self, request: &RequestArrival) -> Option<Key> {
        let call = (request.from.partition == self.id).then_some(request.from.call);
        call.filter(|&call| self.calls.get(call).is_some())
    }

    /// What a request asks.
    pub(super) fn asked_by(&mut self, request: &RequestArrival) -> Asked {
        let service = request.endpoint.service;
        let call = self.call_behind(request);
        let Some(call) = call.map(|call| &self.calls[call]) else {
            return self.unpassed(None, service, (request.traffic, request.origin));
        };
        match (call.owner, call.origin) {
            (Owner::Passage(_), Some(origin)) => origin.asked,
            _ => {
                let (plan, of) = (call.plan, (call.traffic, call.origin));
                self.unpassed(Some(plan), service, of)
            }
        }
    }
}
