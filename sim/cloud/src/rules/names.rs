//! Names of chains: a prefix and a hash of what the chain is for.

use super::{Protocol, Service, ServicePort};
use data_encoding::BASE32;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// The first letters of the hash of a text, in base 32.
fn hash(text: &str, letters: usize) -> String {
    let mut encoded = BASE32.encode(&Sha256::digest(text.as_bytes()));
    encoded.truncate(letters);
    encoded
}

/// A service port as comments call it: `namespace/name:port`.
pub(super) fn port_name(service: &Service, port: &ServicePort) -> String {
    let Service {
        namespace, name, ..
    } = service;
    match port.name.as_str() {
        "" => format!("{namespace}/{name}"),
        named => format!("{namespace}/{name}:{named}"),
    }
}

/// The part of iptables chain names that is common to the chains of a service port.
pub(super) fn iptables_hash(port: &str, protocol: Protocol) -> String {
    hash(&format!("{port}{}", protocol.name()), 16)
}

/// The chain of an endpoint in iptables.
pub(super) fn iptables_endpoint(port: &str, protocol: Protocol, address: SocketAddr) -> String {
    let text = format!("{port}{}{address}", protocol.name());
    format!("KUBE-SEP-{}", hash(&text, 16))
}

/// The part of nftables names that is common to the chains of a service port.
pub(super) fn nftables(service: &Service, port: &ServicePort) -> String {
    let long = nftables_long(service, port);
    format!("{}-{long}", hash(&long, 8))
}

/// The same for an endpoint.
pub(super) fn nftables_endpoint(
    service: &Service,
    port: &ServicePort,
    address: SocketAddr,
) -> String {
    let long = nftables_long(service, port);
    let long = format!("{long}__{}/{}", address.ip(), address.port());
    format!("{}-{long}", hash(&long, 8))
}

fn nftables_long(service: &Service, port: &ServicePort) -> String {
    let (namespace, name) = (&service.namespace, &service.name);
    format!("{namespace}/{name}/{}/{}", port.protocol.name(), port.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kube_proxy() {
        assert_eq!(
            iptables_hash("ns1/svc1:p80", Protocol::Tcp),
            "XPGD46QRK7WJZT7O"
        );
        let address = "10.180.0.1:80".parse().unwrap();
        let name = iptables_endpoint("ns1/svc1:p80", Protocol::Tcp, address);
        assert_eq!(name, "KUBE-SEP-SXIVWICOYRO3J4NJ");
        assert_eq!(hash("ns1/svc1/tcp/p80", 8), "ULMVA6XW");
    }
}
