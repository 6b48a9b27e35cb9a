//! VirtualService: where requests for a host go, and what is done to them on their way.

use super::{
    ExportTo, GatewayName, HttpRoute, Identity, Labels, StringMatch, UriMatch, ValueMatch,
};
use std::collections::BTreeMap;

/// A VirtualService, or what a route of the Gateway API is translated to.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// How it is called.
    pub identity: Identity,
    /// Hosts as written; empty for one that others delegate to.
    pub hosts: Vec<String>,
    /// Where it counts: sidecars alone unless something else is said.
    pub gateways: Vec<GatewayName>,
    /// Routes of requests, the first that matches is taken.
    pub http: Vec<HttpRoute>,
    /// Routes of encrypted connections that are passed on, likewise.
    pub tls: Vec<TlsRoute>,
    /// Routes of other connections, likewise.
    pub tcp: Vec<TcpRoute>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Whether it stands for routes of the Gateway API: its own namespace asks it before others.
    pub is_of_gateway_api: bool,
}

impl VirtualService {
    /// Whether istiod makes it of something that is not Istio's own.
    pub fn is_made(&self) -> bool {
        self.is_of_gateway_api || self.identity.is_of_ingress()
    }
}

/// What a request must be to take a route: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// Its name, for reports.
    pub name: Option<String>,
    /// Path.
    pub uri: Option<UriMatch>,
    /// Whether case does not matter in an exact path or a prefix.
    pub ignores_uri_case: bool,
    /// Scheme.
    pub scheme: Option<StringMatch>,
    /// Method.
    pub method: Option<StringMatch>,
    /// Authority, or `Host`.
    pub authority: Option<StringMatch>,
    /// Headers that must be there so, by their names in lower case.
    pub headers: BTreeMap<String, ValueMatch>,
    /// Headers that must not be there so, likewise.
    pub without_headers: BTreeMap<String, ValueMatch>,
    /// Query parameters that must be there so.
    pub query: BTreeMap<String, ValueMatch>,
    /// Who asks, and how.
    pub source: Source,
}

/// Who asks, and by which port and gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Port of the host.
    pub port: Option<u16>,
    /// Labels of the pod whose sidecar routes.
    pub labels: Labels,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Gateways, in place of those of the VirtualService, if any are given.
    pub gateways: Vec<GatewayName>,
}

/// A route of encrypted connections by the name that their client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoute {
    /// Which connections: one of these.
    pub matches: Vec<TlsMatch>,
    /// Where they go.
    pub destinations: Vec<WeightedDestination>,
}

/// Which encrypted connections take a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsMatch {
    /// Names that the client asks for: one of these, with or without wildcard.
    pub sni_hosts: Vec<String>,
    /// Ranges of addresses that it connects to.
    pub destination_subnets: Vec<String>,
    /// Who asks.
    pub source: Source,
}

/// A route of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    /// Which connections: one of these, or all if there are none.
    pub matches: Vec<TcpMatch>,
    /// Where they go.
    pub destinations: Vec<WeightedDestination>,
}

/// Which connections take a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpMatch {
    /// Ranges of addresses that the client connects to.
    pub destination_subnets: Vec<String>,
    /// Range of addresses that it connects from.
    pub source_subnet: Option<String>,
    /// Who asks.
    pub source: Source,
}

/// Where requests or connections go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Host as written.
    pub host: String,
    /// Subset of a DestinationRule.
    pub subset: Option<String>,
    /// Port; may be missing if the host has only one.
    pub port: Option<u16>,
}

/// A destination with its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedDestination {
    /// Where.
    pub destination: Destination,
    /// Its share, relative to the sum over the route; one that stands alone takes all.
    pub weight: u32,
}
