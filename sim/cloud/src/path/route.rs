//! Which way a sidecar sends a request.
//!
//! Models: for each kind of request (who asks whom, at which port, with which attributes) the
//! route that the configuration gives which the sidecar was told: clusters by weight, an answer
//! of the proxy's own, or past everything to the address that was asked for; faults that are
//! injected on purpose, the time that the whole request may take, and its retries. Requests of
//! one kind take one way, so it is looked for once, and so is what is asked behind it, with
//! the headers, path and authority that the route changed.
//!
//! Approximated: requests at ports that carry no HTTP are sent on one by one, where Envoy
//! chooses once for each connection; a request that goes past everything has a connection of
//! its own. Redirects are answers.
//! Sources: envoyproxy/envoy source/common/router; [`crate::istio::translate`].
//! Validated by: requests counted by route, timed by hand, in the crate's tests.

use super::attributes::{Asked, Attributed, Attributes, PLAIN};
use super::edge::Entering;
use super::{Origin, Outcome, Plan};
use crate::control::standing::Standing;
use crate::control::translation::Translation;
use crate::domain::Domain;
use crate::envoy::flags::Flag;
use crate::envoy::hash;
use crate::envoy::injection::{Faults, Millionths};
use crate::envoy::paths::PathRules;
use crate::envoy::retry::RetryPolicy;
use crate::istio::config::{AbortStatus, FaultInjection, HashKey, OutboundMode, StreamLimits};
use crate::istio::protocol::Protocol;
use crate::istio::translate::cluster::{ClusterName, Discovery};
use crate::istio::translate::rewrite::{Changes, Changing, Destinations};
use crate::istio::translate::route::{Action, Choice, Route, To};
use crate::istio::translate::route_patches::{RoutePatches, RoutePlace};
use crate::istio::translate::tables::{Chain, Outbound, Scope, without_port};
use crate::istio::translate::{View, tables};
use crate::memo::Memo;
use crate::record::Reason;
use crate::scenario::{Scenario, ServiceId, TOKEN, TrafficId, WorkloadId};
use std::collections::BTreeMap;

/// Requests that take the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// The configuration that holds.
    generation: u32,
    /// Which part of it the proxy was told.
    scope: u32,
    /// Who asks whom.
    plan: u32,
    /// Whose attributes they have.
    traffic: Option<TrafficId>,
    /// What was asked before, whose headers they may have taken over.
    behind: Option<Behind>,
    /// Whose patches change the way.
    patched: Option<Patched>,
}

/// Pods whose routes EnvoyFilters change alike: those of a workload's revision.
pub(super) type Patched = (WorkloadId, u32);

impl Kind {
    fn spread(&self) -> u32 {
        let number = |traffic: Option<TrafficId>| traffic.map_or(0, |id| 1 + id.0);
        let behind = number(self.behind.map(|(traffic, _)| traffic));
        let asked = number(self.traffic).wrapping_mul(11) ^ behind.wrapping_mul(7);
        self.plan.wrapping_mul(5) ^ self.scope.wrapping_mul(3) ^ asked
    }
}

/// What was asked before a call: of which user, and as it arrived.
type Behind = (TrafficId, Asked);

/// What is asked without a sidecar: plan, traffic, what was asked before, and the service.
type Unpassed = (Option<u32>, Option<TrafficId>, Option<Behind>, ServiceId);

fn spread_of((plan, traffic, behind, service): &Unpassed) -> u32 {
    let user = traffic.or(behind.map(|(user, _)| user));
    let user = user.map_or(0, |user| 1 + user.0);
    plan.map_or(0, |plan| 1 + plan) ^ user.wrapping_mul(5) ^ service.0.wrapping_mul(3)
}

/// All ways that were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    known: Memo<Kind>,
    all: Vec<Way>,
    /// What is asked of whom.
    pub(super) attributed: Attributed,
    /// What is asked past sidecars.
    unpassed: Memo<Unpassed>,
    /// Ways through gateways.
    pub(super) entering: Memo<Entering>,
}

/// The way of some requests.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// The configuration that it was found in.
    pub(super) generation: u32,
    pub(super) to: Destination,
    pub(super) faults: Faults,
    /// Time for a request with all its attempts.
    pub(super) timeout: Option<engine::Duration>,
    /// How long its streams may take, where that is said of it.
    pub(super) limits: StreamLimits,
    /// Further attempts.
    pub(super) retries: Option<RetryPolicy>,
    /// Who gets copies, and of how many.
    pub(super) mirrors: Vec<(Lead, Millionths)>,
    /// What is asked, unless an end changes it.
    pub(super) asked: Asked,
    /// What is written into the log about it, before anything else goes wrong.
    pub(super) flag: Option<Flag>,
}

impl Way {
    /// One without anything on it.
    pub(super) fn plain(generation: u32, asked: Asked, to: Destination) -> Self {
        Way {
            generation,
            asked,
            to,
            faults: Faults::default(),
            timeout: None,
            limits: StreamLimits::default(),
            retries: None,
            mirrors: Vec::new(),
            flag: None,
        }
    }
}

/// What is asked: by which plan, with whose attributes, because of whom.
pub(super) type Ask = (u32, Option<TrafficId>, Option<Origin>);

/// Where a way ends.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    /// At clusters, by weight.
    Clusters { weights: Vec<u32>, ends: Vec<End> },
    /// At the proxy, which answers with so many bytes.
    Answer(Outcome, u64),
    /// At the address that was asked for.
    Past,
}

/// One of several ends of a way.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) lead: Lead,
    pub(super) hash: HashSource,
    /// What is asked there.
    pub(super) asked: Asked,
}

/// Where an end of a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// A cluster.
    Cluster(ClusterNumber),
    /// Nowhere: so it is answered.
    Nowhere(Reason),
    /// The address that was asked for, by a cluster that leaves the choice to who asks, or by none.
    Past(Option<LeftToClient>),
}

/// A cluster of the configuration whose hosts are those that clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftToClient {
    /// Its number in the generation.
    pub(super) number: u32,
    /// Its service.
    pub(super) service: ServiceId,
}

/// A cluster of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterNumber {
    /// Its number in the generation.
    pub(crate) number: u32,
    /// Its number in all generations.
    pub(crate) lasting: u32,
    /// Its service.
    pub(crate) service: ServiceId,
}

/// What the hash of a request is taken from, where that decides about its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HashSource {
    /// Nothing: hosts are drawn.
    Nothing,
    /// The same for all requests.
    Fixed(u64),
    /// This text, with the number of the client for [`CLIENT`].
    OfClient(String),
    /// The address of the pod.
    OfPod,
}

/// What stands for the number of the client in the headers of a traffic source.
const CLIENT: &str = "{client}";

impl HashSource {
    /// The hash of a request from a pod, for a user.
    pub(super) fn hash(&self, pod: u32, origin: Option<Origin>) -> Option<u64> {
        match self {
            HashSource::Nothing => None,
            HashSource::Fixed(hash) => Some(*hash),
            HashSource::OfClient(text) => {
                let client = origin.map_or(0, |origin| origin.client);
                Some(hash::of(&text.replace(CLIENT, &client.to_string())))
            }
            HashSource::OfPod => Some(hash::of(&pod.to_string())),
        }
    }
}

impl Domain<'_> {
    /// What the sidecar of a pod was told: the generation, and its part of it.
    pub(super) fn told(&mut self, pod: u32) -> (u32, View) {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let sidecar = sidecar.expect("a sidecar that sends");
        let generation = sidecar.generation;
        if let Some((known, view)) = sidecar.told
            && known == generation
        {
            return (generation, view);
        }
        let proxy = self.standing(pod).proxy();
        let role = self.role(pod);
        let translation = self.translation.as_mut().expect("a mesh translates");
        let view = translation.view(generation, (&proxy, role));
        let patches = translation.patches(generation, (&proxy, role));
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let sidecar = sidecar.expect("a sidecar that sends");
        sidecar.told = Some((generation, view));
        sidecar.patches = patches;
        (generation, view)
    }

    /// Whose patches change the routes that a proxy was told, if any do.
    pub(super) fn patched(&self, pod: u32) -> Option<Patched> {
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref().expect("a sidecar that sends");
        let is_plain = sidecar.patches.routes_outbound.is_empty();
        (!is_plain).then_some((state.workload, state.revision))
    }

    /// Where a pod stands, and its labels.
    pub(crate) fn standing(&self, pod: u32) -> Standing<'_> {
        let state = &self.pods[pod as usize];
        let cluster = self.cluster.expect("pods stand in clusters");
        let cluster = self.topology.cluster(cluster);
        Standing {
            cluster,
            node: state.node,
            zone: state.zone,
            namespace: &cluster.workloads[state.workload.index()].namespace,
            labels: &self.template(pod).placement.labels,
            site: state.site.map(|site| &cluster.sites[site.index()]),
        }
    }

    /// The way of a request that an application hands to the sidecar of its pod, by its number
    /// among all.
    pub(super) fn way_of(
        &mut self,
        pod: u32,
        service: ServiceId,
        (plan, traffic, origin): Ask,
    ) -> u32 {
        let (generation, view) = self.told(pod);
        let kind = Kind {
            generation,
            scope: view.scope,
            plan,
            traffic,
            behind: origin.map(Origin::behind),
            patched: self.patched(pod),
        };
        if let Some(way) = self.ways.known.get(kind.spread(), &kind) {
            return way;
        }
        let translation = self.translation.as_mut().expect("a mesh translates");
        let asking = Asking::new(
            (translation, &self.ways.attributed),
            &self.topology.scenario,
            Some(&self.plans[plan as usize]),
            service,
            (traffic, kind.behind),
        )
        .made_plain(translation.path_rules());
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let way = asking.way(
            (translation, &mut self.ways.attributed),
            (generation, view.scope),
            &sidecar
                .expect("a sidecar that sends")
                .patches
                .routes_outbound,
        );
        let number = self.ways.add(way);
        self.ways.known.insert(kind, number);
        number
    }
}

impl Domain<'_> {
    /// What an application without a sidecar asks, or somebody in another partition.
    pub(super) fn unpassed(
        &mut self,
        plan: Option<u32>,
        service: ServiceId,
        (traffic, origin): (Option<TrafficId>, Option<Origin>),
    ) -> Asked {
        let behind = origin.map(Origin::behind);
        let key = (plan, traffic, behind, service);
        if let Some(known) = self.ways.unpassed.get(spread_of(&key), &key) {
            return Asked(known);
        }
        let translation = self.translation.as_ref().expect("a mesh translates");
        let plan = plan.map(|plan| &self.plans[plan as usize]);
        let asking = Asking::new(
            (translation, &self.ways.attributed),
            &self.topology.scenario,
            plan,
            service,
            (traffic, behind),
        );
        let asked = self.ways.attributed.number(asking.attributes);
        self.ways.unpassed.insert(key, asked.0);
        asked
    }
}

impl Domain<'_> {
    /// A way from the sidecar of a pod to a service that is asked about requests.
    pub(super) fn way_to(
        &mut self,
        pod: u32,
        (host, port): (&str, u16),
        asked: Asked,
        timeout: engine::Duration,
    ) -> u32 {
        let (generation, view) = self.told(pod);
        let translation = self.translation.as_mut().expect("a mesh translates");
        let tables = translation.tables(generation);
        let is_meant =
            |name: &ClusterName| name.host == host && name.port == port && name.subset.is_none();
        let name = tables.names.iter().position(is_meant);
        let by_name = tables.scopes[view.scope as usize].by_name.clone();
        let lead = match name {
            Some(name) => lead(translation, generation, &by_name, To::Cluster(name as u32)),
            None => Lead::Nowhere(Reason::NoCluster),
        };
        let hash = HashSource::Nothing;
        let to = Destination::Clusters {
            weights: vec![1],
            ends: vec![End { lead, hash, asked }],
        };
        self.ways.add(Way {
            timeout: Some(timeout),
            ..Way::plain(generation, asked, to)
        })
    }
}

impl Ways {
    pub(super) fn add(&mut self, way: Way) -> u32 {
        self.all.push(way);
        self.all.len() as u32 - 1
    }

    /// Where a way ends that has one end.
    pub(super) fn lead_of(&self, number: u32) -> Option<Lead> {
        match &self.at(number).to {
            Destination::Clusters { ends, .. } => ends.first().map(|end| end.lead),
            Destination::Answer(..) | Destination::Past => None,
        }
    }

    /// A way by its number.
    pub(super) fn at(&self, number: u32) -> &Way {
        &self.all[number as usize]
    }
}

/// What an application asks, as its sidecar sees it, or what comes to a gateway.
pub(super) struct Asking {
    service: u32,
    port: u16,
    attributes: Attributes,
    /// What hashes are taken from that stand for who asked.
    asker: HashSource,
}

impl Asking {
    fn new(
        (translation, attributed): (&Translation, &Attributed),
        scenario: &Scenario,
        plan: Option<&Plan>,
        service: ServiceId,
        (traffic, behind): (Option<TrafficId>, Option<Behind>),
    ) -> Self {
        let known = translation.service(service.0);
        let port = known.ports.get(plan.map_or(0, |plan| plan.port) as usize);
        let mut attributes = Attributes {
            token: None,
            shown: None,
            method: "GET".to_owned(),
            said: Changing {
                authority: known.host.clone(),
                path: "/".to_owned(),
                headers: BTreeMap::new(),
            },
        };
        let arrived = behind.and_then(|(_, asked)| attributed.get(asked));
        if let Some(own) = plan.and_then(|plan| plan.attributes.as_ref()) {
            let before = match (arrived, behind) {
                (Some(arrived), _) => Some(arrived.clone()),
                (None, Some((user, _))) => Some(by_user(scenario, user)),
                (None, None) => None,
            };
            let token = before.as_ref().and_then(|before| before.token.clone());
            let headers = before.into_iter().flat_map(|before| before.said.headers);
            // Who has a token of its own hands on no other.
            let is_taken_over = |(name, value): &(String, String)| {
                let is_own = own.token.is_some() && value.contains(TOKEN);
                own.forwarded.contains(name) && !is_own
            };
            let said = &mut attributes.said;
            said.path.clone_from(&own.path);
            said.headers.extend(headers.filter(is_taken_over));
            said.headers.extend(own.headers.iter().cloned());
            if own.token.is_some() {
                said.place_token();
            }
            let token = own.token.clone().or(token);
            attributes.token = token.filter(|_| said.has_token());
            attributes.method.clone_from(&own.method);
        }
        if let Some(traffic) = traffic {
            // Proxies pass on what they were asked.
            let whole = arrived.cloned();
            attributes = whole.unwrap_or_else(|| by_user(scenario, traffic));
        }
        Asking {
            service: service.0,
            port: port.map_or(0, |port| port.number),
            attributes,
            asker: HashSource::OfPod,
        }
    }

    /// What comes through a port of a gateway.
    pub(super) fn at_edge(service: ServiceId, port: u16, attributes: Attributes) -> Self {
        Asking {
            service: service.0,
            port,
            attributes,
            asker: HashSource::OfClient(CLIENT.to_owned()),
        }
    }

    /// The same with a path that a proxy has made plain.
    pub(super) fn made_plain(mut self, rules: PathRules) -> Self {
        self.attributes.make_plain(rules);
        self
    }

    /// Whom it asks.
    pub(super) fn authority(&self) -> &str {
        &self.attributes.said.authority
    }

    /// The first of these routes that takes it, by the scheme that it came by.
    pub(super) fn find<'r>(&self, routes: &'r [Route], scheme: &str) -> Option<&'r Route> {
        let request = self.attributes.request(scheme);
        routes.iter().find(|it| it.conditions.matches(&request))
    }

    /// What decides about the host in a cluster that hashes.
    fn hash_source(&self, key: Option<&HashKey>) -> HashSource {
        let of = |value: Option<&str>| match value {
            None => HashSource::Nothing,
            Some(text) if text.contains(CLIENT) => HashSource::OfClient(text.to_owned()),
            Some(text) => HashSource::Fixed(hash::of(text)),
        };
        match key {
            None | Some(HashKey::Nothing) => HashSource::Nothing,
            Some(HashKey::Header(name)) => {
                of(self.headers().get(&name.to_lowercase()).map(String::as_str))
            }
            Some(HashKey::QueryParameter(name)) => {
                let path = &self.attributes.said.path;
                let query = path.split_once('?').map_or("", |(_, query)| query);
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                of(pairs.filter(|(key, _)| key == name).map(|it| it.1).next())
            }
            // Without a cookie Envoy makes one out of the addresses of the connection.
            Some(HashKey::Cookie { name, ttl, .. }) => match self.cookie(name) {
                None if ttl.is_some() => self.asker.clone(),
                value => of(value),
            },
            Some(HashKey::SourceAddress) => self.asker.clone(),
        }
    }

    fn headers(&self) -> &BTreeMap<String, String> {
        &self.attributes.said.headers
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers().get("cookie")?.split(';');
        let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The way through a configuration.
    fn way(
        &self,
        (translation, attributed): (&mut Translation, &mut Attributed),
        (generation, scope): (u32, u32),
        patches: &RoutePatches,
    ) -> Way {
        let asked = attributed.number(self.attributes.clone());
        let tables = translation.tables(generation);
        let scope = &tables.scopes[scope as usize];
        let service = translation.service_in(generation, self.service);
        // A name that stands for a range is asked for somewhere in it.
        let in_range = || service.ranges.first().map(ipnet::IpNet::addr);
        let address = service.addresses.first().copied().or_else(in_range);
        let unspecified = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let way = |to| Way::plain(generation, asked, to);
        let carried = translation.protocol(generation, self.service, self.port);
        let to = address.unwrap_or(unspecified);
        let listener = match scope.outbound(Some(self.service), to, self.port) {
            Outbound::Passthrough => return way(Destination::Past),
            Outbound::BlackHole => return way(Destination::Answer(Err(Reason::Reset), 0)),
            Outbound::Listener(listener) => listener,
        };
        // What clients send is what the port says that it carries: those of TLS name their server.
        let is_opaque = carried.is_some_and(|it| !it.is_http() && it != Protocol::Sniffed);
        if listener.http.is_none() || is_opaque {
            let is_tls = carried.is_some_and(Protocol::is_tls);
            let server_name = is_tls.then(|| without_port(self.authority()));
            let Some(chain) = Chain::taking(&listener.chains, to, server_name) else {
                return way(unknown(scope, Reason::Reset));
            };
            let choices = chain.choices.clone();
            let by_name = scope.by_name.clone();
            let choices = choices
                .iter()
                .map(|choice| (choice, asked))
                .collect::<Vec<_>>();
            return way(self.forward(translation, generation, &by_name, &choices));
        }
        let Some(host) = scope.host(&tables.directory, listener, self.authority()) else {
            return way(unknown(scope, Reason::Blocked));
        };
        let routes = tables.hosts[host as usize].routes.clone();
        let by_name = scope.by_name.clone();
        let name = &tables.hosts[host as usize].host;
        let found = self.find(&routes, PLAIN).map(|route| {
            let full = format!("{name}:{}", self.port);
            let is_sniffed = translation.is_sniffed(self.service, self.port);
            let port = self.port.to_string();
            let place = RoutePlace {
                configuration: if is_sniffed { &full } else { &port },
                is_at_gateway: false,
                host: &full,
                answers_to: &|domain| scope.host(&tables.directory, listener, domain) == Some(host),
                route: route.name.as_deref(),
            };
            patches.apply(place, route)
        });
        match found {
            Some(route) => {
                let changed = self.changed(&route, attributed);
                let way = self.routed(translation, generation, &by_name, (&route, &changed));
                Way { asked, ..way }
            }
            None => Way {
                flag: Some(Flag::NoRoute),
                ..way(Destination::Answer(Err(Reason::NoRoute), 0))
            },
        }
    }

    pub(super) fn routed(
        &self,
        translation: &mut Translation,
        generation: u32,
        by_name: &tables::Index,
        (route, changed): (&Route, &[Asked]),
    ) -> Way {
        let to = match &route.action {
            Action::Forward { choices, .. } => {
                let choices = choices.iter().zip(changed.iter().copied());
                let choices = choices.collect::<Vec<_>>();
                self.forward(translation, generation, by_name, &choices)
            }
            Action::Redirect(redirect) => Destination::Answer(answered(redirect.status), 0),
            Action::Respond { status, body_bytes } => {
                Destination::Answer(answered(*status), *body_bytes)
            }
        };
        let mirrors = route.mirrors.iter().map(|(name, share)| {
            let lead = lead(translation, generation, by_name, To::Cluster(*name));
            (lead, Millionths(share.millionths()))
        });
        Way {
            mirrors: mirrors.collect(),
            faults: injected(&route.fault),
            timeout: route.timeout,
            limits: route.limits,
            retries: route.retries.as_ref().map(|policy| policy.for_envoy()),
            ..Way::plain(generation, Asked::BY_USER, to)
        }
    }

    /// What is asked of each destination of a route.
    pub(super) fn changed(&self, route: &Route, attributed: &mut Attributed) -> Vec<Asked> {
        let Action::Forward { choices, .. } = &route.action else {
            return Vec::new();
        };
        let destinations = match choices.len() {
            1 => Destinations::One,
            _ => Destinations::Several,
        };
        let changed = choices.iter().map(|choice| {
            let mut attributes = Attributes {
                shown: None,
                ..self.attributes.clone()
            };
            attributes.said.apply(Changes {
                route: &route.headers.request,
                destination: &choice.headers.request,
                destinations,
                rewrite: route.rewrite.as_ref(),
                matched: route.conditions.path(),
            });
            attributed.number(attributes)
        });
        changed.collect()
    }

    pub(super) fn forward(
        &self,
        translation: &mut Translation,
        generation: u32,
        by_name: &tables::Index,
        choices: &[(&Choice, Asked)],
    ) -> Destination {
        let ends = choices.iter().map(|&(choice, asked)| {
            let lead = lead(translation, generation, by_name, choice.to);
            let hash = match lead {
                Lead::Nowhere(_) | Lead::Past(_) => HashSource::Nothing,
                Lead::Cluster(ClusterNumber { number, .. }) => {
                    self.hash_source(translation.cluster(generation, number).hash.as_ref())
                }
            };
            End { lead, hash, asked }
        });
        Destination::Clusters {
            ends: ends.collect(),
            weights: choices.iter().map(|(choice, _)| choice.weight).collect(),
        }
    }
}

/// What a user asks.
fn by_user(scenario: &Scenario, user: TrafficId) -> Attributes {
    let user = &scenario.traffic[user.index()].attributes;
    let mut said = Changing {
        authority: user.host.clone(),
        path: user.path.clone(),
        headers: user.headers.iter().cloned().collect(),
    };
    if user.token.is_some() {
        said.place_token();
    }
    Attributes {
        token: user.token.clone(),
        shown: None,
        method: user.method.clone(),
        said,
    }
}

/// What becomes of requests that nothing is said about.
fn unknown(scope: &Scope, blocked: Reason) -> Destination {
    match scope.unknown {
        OutboundMode::RegistryOnly => Destination::Answer(Err(blocked), 0),
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => Destination::Past,
    }
}

fn lead(translation: &mut Translation, generation: u32, by_name: &tables::Index, to: To) -> Lead {
    let name = match to {
        To::Nowhere(status) => {
            return Lead::Nowhere(answered(status).err().unwrap_or(Reason::Unavailable));
        }
        To::Cluster(name) => name,
    };
    let Some(number) = by_name.get(name) else {
        return Lead::Nowhere(Reason::NoCluster);
    };
    let cluster = translation.cluster(generation, number);
    let service = ServiceId(cluster.service);
    match cluster.discovery {
        Discovery::Original => Lead::Past(Some(LeftToClient { number, service })),
        Discovery::Nowhere => Lead::Nowhere(Reason::NoEndpoints),
        Discovery::Told | Discovery::Names => Lead::Cluster(ClusterNumber {
            number,
            service,
            lasting: translation.lasting_number(generation, name),
        }),
    }
}

/// What a status means to who asked.
pub(super) fn answered(status: u16) -> Outcome {
    match status {
        401 => Err(Reason::Unauthenticated),
        403 => Err(Reason::Forbidden),
        404 => Err(Reason::NoRoute),
        429 => Err(Reason::RateLimited),
        502 | 503 => Err(Reason::Unavailable),
        504 => Err(Reason::GatewayTimeout),
        _ if status < 400 => Ok(()),
        _ => Err(Reason::ServerError),
    }
}

fn injected(said: &FaultInjection) -> Faults {
    Faults {
        delay: said
            .delay
            .map(|delay| (Millionths(delay.share.millionths()), delay.lasts)),
        abort: said.abort.map(|abort| {
            let status = match abort.with {
                AbortStatus::Http(status) => status,
                AbortStatus::Grpc(0) => 200,
                // What matters here is that who asked has not got what it wanted.
                AbortStatus::Grpc(_) => 503,
            };
            (Millionths(abort.share.millionths()), status)
        }),
    }
}
