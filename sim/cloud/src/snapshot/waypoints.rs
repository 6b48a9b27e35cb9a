//! Clusters, listeners, routes and endpoints of a waypoint.
//!
//! Models: a listener that takes tunnels and one inside that tells services and ports apart, with a
//! chain for each port of each service that is reached through the waypoint; its cluster, and one
//! for each subset, for requests and for connections; routes to these and to services that are not
//! reached through it.
//! Approximated: a chain for requests leads to its routes by name, where istioctl spells short
//! ones out. Leaves out: chains for pods that are asked past a service.
//! Sources: istio/istio 86c9f01 pilot/pkg/networking/core/{listener,cluster}_waypoint.go.

use super::outbound::ANY;
use super::proxies::{
    ChainSnapshot, HostSnapshot, Known, ListenerSnapshot, PathSnapshot, ProxyTables, RouteSnapshot,
    TargetCluster, To, UpstreamSnapshot,
};
use crate::istio::protocol::Protocol;
use crate::istio::translate::cluster::ClusterName;
use crate::istio::translate::tables::Passed;

/// The port at which tunnels come.
const TUNNELS: u16 = 15_008;
/// The cluster that leads to the listener inside.
const INSIDE: &str = "main_internal";
/// The clusters that lead into tunnels, and how their endpoints come.
const OUTSIDE: [(&str, &str); 2] = [("encap", "STATIC"), ("connect_originate", "ORIGINAL_DST")];
/// Where endpoints are reached through tunnels.
const TUNNELLED: &str = "envoy://connect_originate/";

impl Known<'_> {
    /// What a waypoint is told, of these clusters and their endpoints.
    pub(super) fn of_waypoint(
        &self,
        clusters: Vec<UpstreamSnapshot>,
        endpoints: Vec<HostSnapshot>,
    ) -> ProxyTables {
        let routes: Vec<RouteSnapshot> = self
            .passed()
            .flat_map(|it| self.passed_routes(it))
            .collect();
        let targets = routes.iter().flat_map(|route| &route.clusters);
        let asked: Vec<&str> = targets.filter_map(|it| it.name.as_deref()).collect();
        let mut told: Vec<UpstreamSnapshot> = clusters
            .into_iter()
            .flat_map(|cluster| self.as_told(cluster, &asked))
            .collect();
        told.extend(self.fixed());
        let endpoints = endpoints.into_iter();
        let endpoints = endpoints.flat_map(|endpoint| self.endpoints_as_told(endpoint, &asked));
        ProxyTables {
            endpoints: endpoints.collect(),
            clusters: told,
            listeners: self.waypoint_listeners(),
            routes,
        }
    }

    fn passed(&self) -> impl Iterator<Item = &Passed> {
        self.scope.passed.iter()
    }

    /// Whether a port is told apart by what comes first, and so has a chain for requests and one
    /// for connections: which of them it has.
    fn ways(&self, passed: &Passed) -> &'static [&'static str] {
        let service = self.translation.service(passed.service);
        let mut ports = service.ports.iter();
        let found = ports.find(|port| port.number == passed.port);
        match (passed.is_http, found.map(|port| port.protocol)) {
            (true, Some(Protocol::Sniffed)) => &["tcp", "http"],
            (true, _) => &["http"],
            (false, _) => &["tcp"],
        }
    }

    /// The port of a service that is reached through the waypoint, of a cluster's name.
    fn passed_by(&self, host: &str, port: u16) -> Option<&Passed> {
        let is_it = |passed: &&Passed| {
            passed.port == port && self.translation.service(passed.service).host == host
        };
        self.passed().find(is_it)
    }

    /// A cluster under the names that it has at the waypoint; none if nobody asks it.
    fn as_told(&self, cluster: UpstreamSnapshot, asked: &[&str]) -> Vec<UpstreamSnapshot> {
        let Some(port) = cluster.port else {
            return Vec::new();
        };
        let Some(passed) = self.passed_by(&cluster.host, port) else {
            let name = ClusterName {
                host: cluster.host.clone(),
                port,
                subset: cluster.subset.clone(),
            };
            let is_asked = asked.contains(&name.to_string().as_str());
            return Vec::from_iter(is_asked.then_some(cluster));
        };
        let ways = self.ways(passed).iter();
        ways.map(|way| UpstreamSnapshot {
            subset: Some(subset(way, cluster.subset.as_deref())),
            direction: Some("inbound-vip"),
            ..cluster.clone()
        })
        .collect()
    }

    fn endpoints_as_told(&self, endpoint: HostSnapshot, asked: &[&str]) -> Vec<HostSnapshot> {
        let mut parts = endpoint.cluster.splitn(4, '|').skip(1);
        let (Some(port), Some(of), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
            return Vec::new();
        };
        let known = port
            .parse()
            .ok()
            .and_then(|port| self.passed_by(host, port));
        let Some(passed) = known else {
            let is_asked = asked.contains(&endpoint.cluster.as_str());
            return Vec::from_iter(is_asked.then_some(endpoint));
        };
        let of = (!of.is_empty()).then_some(of);
        let ways = self.ways(passed).iter();
        ways.map(|way| HostSnapshot {
            cluster: format!("inbound-vip|{port}|{}|{host}", subset(way, of)),
            through: Some(TUNNELLED),
            ..endpoint.clone()
        })
        .collect()
    }

    fn fixed(&self) -> impl Iterator<Item = UpstreamSnapshot> {
        let all = [(INSIDE, "STATIC")].into_iter().chain(OUTSIDE);
        all.map(|(name, kind)| UpstreamSnapshot::fixed(name, kind))
    }

    fn waypoint_listeners(&self) -> Vec<ListenerSnapshot> {
        let chains = self.passed().flat_map(|passed| {
            self.ways(passed).iter().map(|way| {
                let name = self.own_name(passed, way);
                ChainSnapshot::all(match *way {
                    "http" => self.destination(passed, name),
                    _ => To::Cluster(Some(name)),
                })
            })
        });
        vec![
            ListenerSnapshot {
                address: Some(ANY),
                port: TUNNELS,
                chains: vec![ChainSnapshot::all(To::Cluster(Some(INSIDE.to_owned())))],
            },
            ListenerSnapshot {
                address: None,
                port: 0,
                chains: chains.collect(),
            },
        ]
    }

    /// Where requests go: to a cluster, if a route alone takes all of them there.
    fn destination(&self, passed: &Passed, name: String) -> To {
        let routes = self.passed_routes(passed);
        let whole = PathSnapshot::Begins("/".to_owned());
        match routes.as_slice() {
            [only] if only.path == whole && only.clusters.len() == 1 => {
                To::Cluster(only.clusters[0].name.clone())
            }
            _ => To::Routes(name),
        }
    }

    /// The cluster of all pods of a service that is reached through the waypoint.
    fn own_name(&self, passed: &Passed, way: &str) -> String {
        let host = &self.translation.service(passed.service).host;
        format!("inbound-vip|{}|{way}|{host}", passed.port)
    }

    fn passed_routes(&self, passed: &Passed) -> Vec<RouteSnapshot> {
        if !passed.is_http {
            return Vec::new();
        }
        let known = &self.tables.hosts[passed.host as usize];
        let name = self.own_name(passed, "http");
        let full = format!("inbound|http|{}", passed.port);
        let mut routes = self.routes_of(known, &name, &full, &["*".to_owned()]);
        for target in routes.iter_mut().flat_map(|route| &mut route.clusters) {
            self.rename(target);
        }
        routes
    }

    /// A service that is reached through the waypoint has other clusters there.
    fn rename(&self, target: &mut TargetCluster) {
        let Some(name) = &target.name else {
            return;
        };
        let parts: Vec<&str> = name.splitn(4, '|').collect();
        let [_, port, of, host] = parts[..] else {
            return;
        };
        let known = port
            .parse()
            .ok()
            .and_then(|port| self.passed_by(host, port));
        if known.is_some_and(|passed| passed.is_http) {
            let of = (!of.is_empty()).then_some(of);
            target.name = Some(format!("inbound-vip|{port}|{}|{host}", subset("http", of)));
        }
    }
}

/// How a subset is called in the name of a cluster for requests or for connections.
fn subset(way: &str, of: Option<&str>) -> String {
    match of {
        Some(of) => format!("{way}/{of}"),
        None => way.to_owned(),
    }
}
