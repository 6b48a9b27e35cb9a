//! What a sidecar knows at an instant, and what it would be told by then.
//!
//! Models: clusters, listeners, routes and endpoints of the configuration that the sidecar was
//! told, and of the newest that the API server holds, with the addresses that pods and services
//! have; which hosts the sidecar leaves out because they failed.
//! Approximated: names and forms are those of the newest release. Leaves out: what a sidecar has
//! for itself (its agent, its statistics, its checks, where it asks istiod); names of hosts with a
//! final dot.
//! Sources: istio/istio 86c9f01 pilot/pkg/networking/core.
//! Validated by: Bookinfo at an instant, in the tests of the program.

use super::addresses::{self, Allocated};
use super::inbound;
use super::read::Reader;
use crate::control::translation::Translation;
use crate::envoy::memory;
use crate::istio::config::{Identity, Resolution};
use crate::istio::push::Role;
use crate::istio::translate::cluster::{Cluster, Discovery};
use crate::istio::translate::place::Behind;
use crate::istio::translate::tables::{Scope, Tables, View};
use crate::scenario::ServiceId;
use crate::view;
use engine::Time;
use serde::Serialize;
use std::net::IpAddr;

/// A sidecar at an instant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProxySnapshot {
    /// When what it knows of Istio's objects was written.
    #[serde(rename = "told_of_s", serialize_with = "super::as_seconds")]
    pub told_of: Time,
    /// When the newest of Istio's objects were written.
    #[serde(rename = "newest_s", serialize_with = "super::as_seconds")]
    pub newest: Time,
    /// What it was told.
    pub told: ProxyTables,
    /// What it would be told of all that the API server holds.
    pub held: ProxyTables,
    /// Its worker threads.
    pub threads: u8,
    /// Most memory that its container may use, if it is limited.
    pub memory_limit_bytes: Option<u64>,
}

impl ProxySnapshot {
    /// What it was told, counted.
    pub fn known(&self) -> memory::Known {
        let listeners = self.told.listeners.iter();
        let http_listeners = listeners.filter(|it| it.takes_http()).count();
        memory::Known {
            threads: self.threads.into(),
            clusters: self.told.clusters.len() as u64,
            hosts: self.told.endpoints.len() as u64,
            http_listeners: http_listeners as u64,
            tcp_listeners: (self.told.listeners.len() - http_listeners) as u64,
        }
    }
}

/// What a sidecar knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProxyTables {
    /// Clusters.
    pub clusters: Vec<UpstreamSnapshot>,
    /// Listeners.
    pub listeners: Vec<ListenerSnapshot>,
    /// Routes, host by host.
    pub routes: Vec<RouteSnapshot>,
    /// Endpoints of clusters.
    pub endpoints: Vec<HostSnapshot>,
}

/// A cluster of a sidecar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamSnapshot {
    /// Host, or the name of a cluster that has no direction; empty for inbound ones.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
    /// Subset.
    pub subset: Option<String>,
    /// `outbound` or `inbound`.
    pub direction: Option<&'static str>,
    /// How its endpoints come, as Envoy spells it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name and namespace of its DestinationRule.
    pub destination_rule: Option<String>,
    /// Everything else that holds for it, for comparisons.
    #[serde(skip)]
    pub settings: String,
}

impl UpstreamSnapshot {
    /// A cluster of every proxy, which belongs to no service.
    pub(super) fn fixed(name: &str, kind: &'static str) -> Self {
        UpstreamSnapshot {
            host: name.to_owned(),
            port: None,
            subset: None,
            direction: None,
            kind,
            destination_rule: None,
            settings: String::new(),
        }
    }
}

/// A listener of a sidecar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListenerSnapshot {
    /// Address; none if it is for connections from inside the proxy.
    pub address: Option<IpAddr>,
    /// Port.
    pub port: u16,
    /// Its filter chains; the one for everything is the last.
    pub chains: Vec<ChainSnapshot>,
}

impl ListenerSnapshot {
    /// Whether requests of HTTP may come there.
    fn takes_http(&self) -> bool {
        self.chains.iter().any(|chain| {
            let mut applications = chain.applications.iter();
            matches!(chain.to, To::Routes(_)) || applications.any(|it| it.contains("http"))
        })
    }
}

/// A filter chain: which connections take it, and where it leads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChainSnapshot {
    /// Names that clients ask for; any if empty.
    pub server_names: Vec<String>,
    /// `tls` or `raw_buffer`; any if nothing is said.
    pub transport: Option<&'static str>,
    /// Protocols that clients agree to; any if empty.
    pub applications: &'static [&'static str],
    /// Ranges that clients connect to; any if empty.
    pub ranges: Vec<String>,
    /// Port that clients connect to.
    pub port: Option<u16>,
    /// Where it leads.
    pub to: To,
}

/// Where a filter chain leads.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum To {
    /// To routes of this name.
    Routes(String),
    /// To a cluster; none if there are several by weight.
    Cluster(Option<String>),
    /// Nowhere.
    Nothing,
}

/// A route of a host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteSnapshot {
    /// Name of the table that it stands in.
    pub name: String,
    /// Name of the virtual host.
    pub virtual_host: String,
    /// Names by which requests ask for that.
    pub domains: Vec<String>,
    /// What the path must be.
    pub path: PathSnapshot,
    /// Name and namespace of its VirtualService.
    pub virtual_service: Option<String>,
    /// Clusters that requests go to.
    pub clusters: Vec<TargetCluster>,
    /// Everything else that holds for it, for comparisons.
    #[serde(skip)]
    pub settings: String,
}

/// What the path of a request must be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathSnapshot {
    /// This.
    Is(String),
    /// It begins so.
    Begins(String),
    /// This, or below it by path element.
    Below(String),
    /// An expression.
    Matches(String),
}

/// A cluster with its share of requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetCluster {
    /// Its name; none where requests are answered instead.
    pub name: Option<String>,
    /// Its share, relative to the others.
    pub weight: u32,
}

/// An endpoint of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostSnapshot {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Whether istiod says that it is ready.
    pub is_healthy: bool,
    /// Whether the sidecar leaves it out because it failed.
    pub is_left_out: bool,
    /// Name of the cluster.
    pub cluster: String,
    /// What stands before its address if it is reached through something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<&'static str>,
}

/// A pod's sidecar, if one runs.
pub(super) fn proxy(reader: &Reader<'_>, pod: u32) -> Option<ProxySnapshot> {
    let state = &reader.domain.pods[pod as usize];
    let sidecar = state.sidecar.as_ref().filter(|sidecar| sidecar.runs)?;
    let workload = &reader.described.workloads[state.workload.index()];
    let described = &workload.template.sidecar;
    let described = described.as_ref().expect("its pods have one");
    // What is translated for this alone must not be there for the replication.
    let mut translation = reader.domain.translation.clone()?;
    let log = &reader.domain.endpoint_log;
    let (told, newest) = (sidecar.generation, translation.newest());
    let of_told = tables(reader, pod, &mut translation, told, sidecar.view);
    let all = view::View::at(log.len());
    let held = tables(reader, pod, &mut translation, newest, all);
    Some(ProxySnapshot {
        told_of: translation.written(told),
        newest: translation.written(newest),
        told: of_told,
        held,
        threads: described.threads,
        memory_limit_bytes: described.settings.resources.memory_limit_bytes,
    })
}

/// What a sidecar is told in a generation, with this view of endpoints.
fn tables(
    reader: &Reader<'_>,
    pod: u32,
    translation: &mut Translation,
    generation: u32,
    known: view::View,
) -> ProxyTables {
    let domain = reader.domain;
    let version = |service| known.version(&domain.endpoint_log, service);
    let proxy = domain.standing(pod).proxy();
    let view = translation.view(generation, (&proxy, domain.role(pod)));
    let taken_in = translation.inbound(generation, &proxy, &domain.named_ports(pod, known));
    let endpoints = endpoints(reader, pod, translation, (generation, view), version);
    let known = Known {
        translation,
        generation,
        tables: translation.tables(generation),
        scope: &translation.tables(generation).scopes[view.scope as usize],
        allocated: addresses::allocate(reader.described, domain.seed),
    };
    let mut clusters = known.clusters();
    if domain.role(pod) == Role::Waypoint {
        return known.of_waypoint(clusters, endpoints);
    }
    if domain.role(pod).is_alone() {
        let passing = [PASSTHROUGH, INBOUND_PASSTHROUGH];
        clusters.retain(|cluster| !passing.contains(&cluster.host.as_str()));
        return ProxyTables {
            clusters,
            listeners: known.edge_listeners(),
            routes: known.edge_routes(),
            endpoints,
        };
    }
    clusters.extend(inbound::clusters(&taken_in));
    let mut listeners = known.listeners();
    listeners.push(known.catch_all());
    listeners.push(inbound::listener(&taken_in));
    let mut routes = known.routes();
    routes.extend(inbound::routes(&taken_in));
    ProxyTables {
        clusters,
        listeners,
        routes,
        endpoints,
    }
}

/// What a sidecar is told of a configuration, on its way to a snapshot.
pub(super) struct Known<'a> {
    pub(super) translation: &'a Translation,
    pub(super) generation: u32,
    pub(super) tables: &'a Tables,
    pub(super) scope: &'a Scope,
    pub(super) allocated: Vec<Allocated>,
}

impl Known<'_> {
    fn clusters(&self) -> Vec<UpstreamSnapshot> {
        let of_services = self.scope.clusters.iter().map(|&number| {
            let cluster = &self.tables.clusters[number as usize];
            let name = &self.tables.names[cluster.name as usize];
            let rule = self.translation.rule_of(self.generation, number);
            UpstreamSnapshot {
                host: name.host.clone(),
                port: Some(name.port),
                subset: name.subset.clone(),
                direction: Some("outbound"),
                kind: self.kind(cluster),
                destination_rule: rule.map(|rule| full_name(&rule.identity)),
                settings: settings(cluster),
            }
        });
        let fixed = [
            (BLACK_HOLE, "STATIC"),
            (PASSTHROUGH, "ORIGINAL_DST"),
            (INBOUND_PASSTHROUGH, "ORIGINAL_DST"),
        ];
        let fixed = fixed.map(|(name, kind)| UpstreamSnapshot::fixed(name, kind));
        of_services.chain(fixed).collect()
    }

    fn kind(&self, cluster: &Cluster) -> &'static str {
        match cluster.discovery {
            Discovery::Told => "EDS",
            Discovery::Original | Discovery::Nowhere => "ORIGINAL_DST",
            Discovery::Names => match self.translation.service(cluster.service).resolution {
                Resolution::DnsRoundRobin => "LOGICAL_DNS",
                // Envoy has no type of its own for what an extension discovers.
                Resolution::DynamicDns => "STATIC",
                Resolution::None | Resolution::Static | Resolution::Dns => "STRICT_DNS",
            },
        }
    }

    /// Where a service is reached from inside: where pods see it.
    pub(super) fn address(&self, service: u32, known: IpAddr) -> IpAddr {
        let allocated = self.allocated.get(service as usize);
        let allocated = allocated.and_then(|allocated| allocated.cluster_ip);
        allocated.map_or(known, IpAddr::V4)
    }

    /// Addresses of a service, as pods see them.
    pub(super) fn addresses(&self, service: u32) -> impl Iterator<Item = IpAddr> {
        let known = self.translation.service(service).addresses.iter();
        known.map(move |known| self.address(service, *known))
    }

    /// The name of a cluster.
    pub(super) fn name(&self, number: u32) -> String {
        self.tables.names[number as usize].to_string()
    }
}

/// The cluster that leads nowhere.
const BLACK_HOLE: &str = "BlackHoleCluster";
/// The cluster that leads to whom an application connects.
pub(super) const PASSTHROUGH: &str = "PassthroughCluster";
/// The cluster that leads to the application, at ports that nobody names.
pub(super) const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// Name and namespace of an object of Istio's, as its tools write them.
pub(super) fn full_name(identity: &Identity) -> String {
    format!("{}.{}", identity.name, identity.namespace)
}

/// What holds for a cluster, apart from numbers that each configuration gives anew.
fn settings(cluster: &Cluster) -> String {
    let unnumbered = Cluster {
        name: 0,
        rule: None,
        subset: None,
        ..cluster.clone()
    };
    format!("{unnumbered:?}")
}

/// Endpoints of all clusters whose endpoints istiod tells.
fn endpoints(
    reader: &Reader<'_>,
    pod: u32,
    translation: &mut Translation,
    (generation, view): (u32, View),
    version: impl Fn(ServiceId) -> u32,
) -> Vec<HostSnapshot> {
    let domain = reader.domain;
    let sidecar = domain.pods[pod as usize].sidecar.as_ref();
    let scope = &translation.tables(generation).scopes[view.scope as usize];
    let mut endpoints = Vec::new();
    for number in scope.clusters.clone() {
        let cluster = translation.cluster(generation, number);
        if cluster.discovery == Discovery::Original {
            continue;
        }
        let (service, name) = (ServiceId(cluster.service), cluster.name);
        let through = translation.waypoint_for_gateways(generation, service);
        let through = through.filter(|_| domain.role(pod) == Role::Gateway);
        let behind = through.unwrap_or(service);
        let version = version(behind);
        let lasting = translation.lasting_number(generation, name);
        let asked = (generation, number, view.viewer, (behind, version));
        let assignment = translation.assignment(asked, || domain.endpoints_of(behind, version));
        let pods = domain.pods_behind(behind, version);
        let cluster = translation.tables(generation).names[name as usize].to_string();
        for host in assignment.groups.iter().flat_map(|group| &group.hosts) {
            let Behind::Endpoint(endpoint, port) = host.behind else {
                continue; // There are no gateways between networks here.
            };
            let to = pods[endpoint as usize];
            endpoints.push(HostSnapshot {
                address: reader.pods[to as usize].address.into(),
                port,
                is_healthy: host.is_healthy,
                is_left_out: sidecar.is_some_and(|sidecar| sidecar.leaves_out(lasting, to)),
                cluster: cluster.clone(),
                through: None,
            });
        }
    }
    endpoints
}
