//! Clusters, listeners and routes of a sidecar for what others send to its application.
//!
//! Approximated: routes of requests stand here once, where Envoy has them once for each way in
//! which these may come.

use super::outbound::{ANY, PLAIN, PLAIN_HTTP};
use super::proxies::{
    ChainSnapshot, INBOUND_PASSTHROUGH, ListenerSnapshot, PathSnapshot, RouteSnapshot,
    TargetCluster, To, UpstreamSnapshot,
};
use crate::facts;
use crate::istio::authentication::ServerMode;
use crate::istio::protocol::Protocol;
use crate::istio::translate::inbound::{Inbound, InboundTable};

/// What encrypted connections are called.
const TLS: &str = "tls";
/// Protocols by which sidecars agree to pass requests on.
const ISTIO_HTTP: &[&str] = &["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Protocols by which they agree to pass bytes on.
const ISTIO_TCP: &[&str] = &["istio-peer-exchange", "istio"];
/// All of these.
const ISTIO_ALL: &[&str] = &[
    "istio",
    "istio-peer-exchange",
    "istio-http/1.0",
    "istio-http/1.1",
    "istio-h2",
];

/// Which connections take a chain: how they are encrypted, and what clients agree to.
type Way = (&'static str, &'static [&'static str]);

/// The ways in to a port.
fn ways(protocol: Protocol, mode: ServerMode) -> &'static [Way] {
    let is_sniffed = protocol == Protocol::Sniffed;
    match mode {
        ServerMode::Strict if is_sniffed => &[(TLS, ISTIO_HTTP), (TLS, &[])],
        ServerMode::Strict => &[(TLS, &[])],
        ServerMode::Disable if is_sniffed => &[(PLAIN, PLAIN_HTTP), (PLAIN, &[])],
        ServerMode::Disable => &[(PLAIN, &[])],
        ServerMode::Permissive if is_sniffed => &[
            (TLS, ISTIO_HTTP),
            (PLAIN, PLAIN_HTTP),
            (TLS, ISTIO_TCP),
            (PLAIN, &[]),
            (TLS, &[]),
        ],
        ServerMode::Permissive if protocol.is_http() => &[(TLS, ISTIO_ALL), (PLAIN, &[])],
        ServerMode::Permissive => &[(TLS, ISTIO_ALL), (TLS, &[]), (PLAIN, &[])],
    }
}

fn name(port: u16) -> String {
    format!("inbound|{port}||")
}

/// A cluster for each port that is named.
pub(super) fn clusters(table: &InboundTable) -> impl Iterator<Item = UpstreamSnapshot> {
    table.ports.iter().map(|inbound| UpstreamSnapshot {
        host: String::new(),
        port: Some(inbound.port),
        subset: None,
        direction: Some("inbound"),
        kind: match inbound.application {
            None => "ORIGINAL_DST",
            Some(_) => "STATIC",
        },
        destination_rule: None,
        settings: format!("{:?} {:?}", inbound.application, inbound.pool),
    })
}

/// The listener for all that comes.
pub(super) fn listener(table: &InboundTable) -> ListenerSnapshot {
    let own = facts::ISTIO_INBOUND_PORT.value as u16;
    let mut chains = vec![ChainSnapshot {
        port: Some(own),
        ..ChainSnapshot::all(To::Nothing)
    }];
    let exceptions = table.exceptions().map(|(port, mode)| (Some(port), mode));
    let others = exceptions.chain([(None, table.others())]);
    for (port, mode) in others {
        let to = To::Cluster(Some(INBOUND_PASSTHROUGH.to_owned()));
        let ways = ways(Protocol::Sniffed, mode);
        chains.extend(ways.iter().map(|way| ChainSnapshot {
            ranges: vec![format!("{ANY}/0")],
            ..chain(*way, port, &to)
        }));
    }
    for inbound in &table.ports {
        let to = To::Cluster(Some(name(inbound.port)));
        let ways = ways(inbound.protocol, inbound.mode).iter();
        chains.extend(ways.map(|way| chain(*way, Some(inbound.port), &to)));
    }
    ListenerSnapshot {
        address: Some(ANY),
        port: own,
        chains,
    }
}

fn chain((transport, applications): Way, port: Option<u16>, to: &To) -> ChainSnapshot {
    ChainSnapshot {
        transport: Some(transport),
        applications,
        port,
        ..ChainSnapshot::all(to.clone())
    }
}

/// A route for each port that carries requests, and one for all other ports.
pub(super) fn routes(table: &InboundTable) -> impl Iterator<Item = RouteSnapshot> {
    let carries =
        |inbound: &&Inbound| inbound.protocol.is_http() || inbound.protocol == Protocol::Sniffed;
    let ports = table.ports.iter().filter(carries);
    let ports = ports.map(|inbound| {
        let settings = format!("{:?}", inbound.retries);
        route(name(inbound.port), inbound.port, settings)
    });
    let others = route(INBOUND_PASSTHROUGH.to_owned(), 0, String::new());
    ports.chain([others])
}

fn route(cluster: String, port: u16, settings: String) -> RouteSnapshot {
    RouteSnapshot {
        name: cluster.clone(),
        virtual_host: format!("inbound|http|{port}"),
        domains: vec!["*".to_owned()],
        path: PathSnapshot::Begins("/".to_owned()),
        virtual_service: None,
        clusters: vec![TargetCluster {
            name: Some(cluster),
            weight: 1,
        }],
        settings,
    }
}
