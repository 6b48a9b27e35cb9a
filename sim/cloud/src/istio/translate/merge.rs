//! Servers of several Gateways at one proxy: which of them it has, and which share routes.
//!
//! The older Gateway decides what a port carries. Servers for plain HTTP are put together; beside
//! them, or beside a server for plain TCP, nothing else has a place at the port. Servers that are
//! told apart by the name of TLS share it, but no two for the same host.
//!
//! Leaves out: ports of the proxy's pod that two ports of its services lead to.
//! Sources: istio/istio pilot/pkg/model/gateway.go (mergeGateways, canMergeProtocols,
//! CheckDuplicates), pkg/config/gateway/gateway.go.

use crate::istio::config::{Gateway, HostNamespace, Server, ServerHost};
use std::collections::BTreeMap;

/// A server and the Gateway that it is of.
pub type Owned<'a> = (&'a Gateway, &'a Server);

/// Port and the address that is bound to.
type Place<'a> = (u16, Option<&'a str>);

/// Servers by the place that they share, in the order in which their places came up, and those
/// that are left out, each with the one that stands in its way.
#[derive(Debug, Default)]
pub struct Merging<'a> {
    /// Servers that listen: those for plain HTTP together, all others alone.
    pub listening: Vec<Vec<Owned<'a>>>,
    /// Servers that do not, each with one that does and what they clash over.
    pub left_out: Vec<(Owned<'a>, Owned<'a>, Clash)>,
}

/// What two servers cannot both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// A host whose TLS ends there, or that is redirected.
    Host,
    /// The port, which carries something else.
    Port,
}

/// Puts together what Gateways say that choose one proxy, the older first.
pub fn merged<'a>(gateways: impl IntoIterator<Item = &'a Gateway>) -> Merging<'a> {
    let mut merging = Merging::default();
    // What is not told apart by names, by port and address; its place among `listening`.
    let mut plain: BTreeMap<u16, BTreeMap<Option<&str>, usize>> = BTreeMap::new();
    let mut named: BTreeMap<(Place<'a>, String), Owned<'a>> = BTreeMap::new();
    for gateway in gateways {
        for server in &gateway.servers {
            let owned = (gateway, server);
            let place = (server.port, server.bind.as_deref());
            if server.tls.is_some() {
                let keys = server
                    .hosts
                    .iter()
                    .map(|host| (place, written(host, gateway)));
                let keys: Vec<_> = keys.collect();
                if let Some(&known) = keys.iter().find_map(|key| named.get(key)) {
                    merging.left_out.push((owned, known, Clash::Host));
                    continue;
                }
                named.extend(keys.into_iter().map(|key| (key, owned)));
            }
            let at_port = plain.entry(server.port).or_default();
            let is_plain = !server.is_told_apart();
            match at_port.get(&place.1) {
                Some(&index) => {
                    let shared = &mut merging.listening[index];
                    let first = shared[0];
                    if first.1.protocol.is_http() && server.protocol.is_http() {
                        shared.push(owned);
                    } else {
                        merging.left_out.push((owned, first, Clash::Port));
                    }
                }
                None => {
                    if is_plain {
                        at_port.insert(place.1, merging.listening.len());
                    }
                    merging.listening.push(vec![owned]);
                }
            }
        }
    }
    merging
}

/// A host of a server as istiod compares it, with the namespace that it is for.
fn written(host: &ServerHost, gateway: &Gateway) -> String {
    let namespace = match &host.namespace {
        HostNamespace::Any => return host.host.clone(),
        HostNamespace::Own => &gateway.identity.namespace,
        HostNamespace::None => "~",
        HostNamespace::Named(name) => name,
    };
    format!("{namespace}/{}", host.host)
}
