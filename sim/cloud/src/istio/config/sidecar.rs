//! Sidecar: what a sidecar takes in and what it knows.

use super::{ConnectionPool, Destination, Identity, Labels, ServerHost, ServerTls};
use crate::istio::authentication::selects;
use crate::istio::protocol::Protocol;

/// A Sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// How it is called.
    pub identity: Identity,
    /// Whose sidecars: all of the namespace if nothing is said, or of the mesh in the root
    /// namespace.
    pub selector: Option<Labels>,
    /// What it takes in; what its services say if empty.
    pub ingress: Vec<IngressListener>,
    /// What it knows; everything if empty.
    pub egress: Vec<EgressListener>,
    /// Connections to the application.
    pub inbound_pool: Option<ConnectionPool>,
    /// What becomes of connections to hosts that it does not know; the mesh's if nothing is said.
    pub outbound: Option<OutboundPolicy>,
}

impl Sidecar {
    /// The one of `all` that holds for a workload, by its namespace and labels, and its position:
    /// of the namespace the oldest that selects it, else the oldest for all, else that of the root
    /// namespace.
    pub fn of<'a>(
        all: &'a [Sidecar],
        root_namespace: &str,
        (namespace, labels): (&str, &Labels),
    ) -> Option<(usize, &'a Sidecar)> {
        let all = all.iter().enumerate();
        let fits = |sidecar: &Sidecar| match &sidecar.selector {
            None => true,
            Some(selector) => sidecar.identity.namespace == namespace && selects(selector, labels),
        };
        let of = |namespace: &str| {
            let ours = all
                .clone()
                .filter(|(_, it)| it.identity.namespace == namespace);
            let ours = ours.filter(|(_, it)| fits(it));
            ours.min_by_key(|(_, it)| (it.selector.is_none(), it.identity.age_order()))
        };
        of(namespace).or_else(|| of(root_namespace))
    }
}

/// The port that a `defaultEndpoint` leads to: none for a socket, nor without an address, which
/// leaves connections at their own port.
pub fn application_port(default_endpoint: &str) -> Option<u16> {
    let (address, port) = default_endpoint.rsplit_once(':')?;
    let port = port.parse().ok();
    port.filter(|_| !address.is_empty())
}

/// What a sidecar takes in.
#[derive(Clone, Debug, PartialEq)]
pub struct IngressListener {
    /// Port.
    pub port: u16,
    /// What it carries.
    pub protocol: Protocol,
    /// Name of the port.
    pub name: String,
    /// How connections come to it.
    pub capture: CaptureMode,
    /// Where the application listens, if not at the same port.
    pub default_endpoint: Option<String>,
    /// Encryption.
    pub tls: Option<ServerTls>,
    /// Connections to the application.
    pub pool: Option<ConnectionPool>,
}

/// What a sidecar knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressListener {
    /// Port that it listens at; those of the services if nothing is said.
    pub port: Option<u16>,
    /// What it carries there.
    pub protocol: Option<Protocol>,
    /// Hosts that it knows, as `namespace/host`.
    pub hosts: Vec<ServerHost>,
    /// Hosts that it knows nothing of all the same, as `~namespace/host`.
    pub left_out: Vec<ServerHost>,
    /// How connections come to it.
    pub capture: CaptureMode,
    /// Address that it binds to.
    pub bind: Option<String>,
}

impl EgressListener {
    /// Its own port, which is then the only one that it knows of services; one for HTTP_PROXY is
    /// asked for all of them.
    pub fn only_port(&self) -> Option<u16> {
        let asks_for_all = self.protocol == Some(Protocol::HttpProxy);
        self.port.filter(|_| !asks_for_all)
    }
}

/// How connections come to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureMode {
    /// As those of other listeners.
    Default,
    /// They are captured.
    Iptables,
    /// The application asks it itself.
    None,
}

/// What becomes of connections to hosts that a sidecar does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundPolicy {
    /// In which way.
    pub mode: OutboundMode,
    /// Who gets them instead.
    pub egress_proxy: Option<Destination>,
}

/// What becomes of connections to unknown hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundMode {
    /// They fail.
    RegistryOnly,
    /// They pass.
    AllowAny,
    /// They pass, and hosts of requests are resolved by the proxy.
    AllowAnyDynamicDns,
}
