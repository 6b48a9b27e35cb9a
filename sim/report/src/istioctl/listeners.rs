//! `istioctl proxy-config listeners`.

use super::Row;
use cloud::snapshot::{ChainSnapshot, ListenerSnapshot, To};

pub(super) const HEADINGS: &[&str] = &["ADDRESSES", "PORT", "MATCH", "DESTINATION"];

pub(super) fn rows(listeners: &[ListenerSnapshot]) -> Vec<Row> {
    let mut sorted: Vec<&ListenerSnapshot> = listeners.iter().collect();
    sorted.sort_by_cached_key(|it| (it.port, address(it)));
    sorted.into_iter().flat_map(chains).collect()
}

/// Nothing for one that connections from inside the proxy come to.
fn address(listener: &ListenerSnapshot) -> String {
    let address = listener.address.as_ref();
    address.map_or_else(String::new, ToString::to_string)
}

/// The chains of a listener, the destination that is last in the alphabet first.
fn chains(listener: &ListenerSnapshot) -> Vec<Row> {
    let pairs = listener.chains.iter();
    let mut pairs: Vec<(String, String)> = pairs
        .map(|chain| (destination(&chain.to), matched(chain)))
        .collect();
    pairs.sort_by(|left, right| right.0.cmp(&left.0));
    let row = |(destination, matched): (String, String)| Row {
        cells: vec![
            address(listener),
            listener.port.to_string(),
            matched,
            destination,
        ],
        settings: String::new(),
    };
    pairs.into_iter().map(row).collect()
}

/// Protocols that istioctl has a name for.
const NAMED: &[(&[&str], &str)] = &[(&["istio-peer-exchange", "istio"], "TCP TLS")];

fn matched(chain: &ChainSnapshot) -> String {
    let mut parts = Vec::new();
    if !chain.server_names.is_empty() {
        parts.push(format!("SNI: {}", chain.server_names.join(",")));
    }
    if let Some(transport) = chain.transport {
        parts.push(format!("Trans: {transport}"));
    }
    if !chain.applications.is_empty() {
        let named = NAMED.iter().find(|(all, _)| *all == chain.applications);
        let text = named.map_or_else(
            || chain.applications.join(","),
            |(_, name)| (*name).to_owned(),
        );
        parts.push(format!("App: {text}"));
    }
    let port = chain.port.map(|port| format!(":{port}"));
    match (chain.ranges.as_slice(), port) {
        ([], None) => {}
        ([], Some(port)) => parts.push(format!("Addr: *{port}")),
        (ranges, port) => {
            let port = port.unwrap_or_default();
            parts.push(format!("Addr: {}{port}", ranges.join(",")));
        }
    }
    match parts.is_empty() {
        true => "ALL".to_owned(),
        false => parts.join("; "),
    }
}

fn destination(to: &To) -> String {
    match to {
        To::Routes(name) => format!("Route: {name}"),
        To::Nothing => "Non-HTTP/Non-TCP".to_owned(),
        To::Cluster(Some(name)) if name.contains("Cluster") => name.clone(),
        To::Cluster(name) => format!("Cluster: {}", name.as_deref().unwrap_or_default()),
    }
}
